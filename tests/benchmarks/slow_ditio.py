"""`python -m tests.benchmarks.slow_ditio MILLISECONDS`: a simulated Ditio that takes so long for each call of its API.

`/own-time` tells how many calls there were, and how long they took inside it: what the bridge can't be faster than.
"""

import json
import random
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OWN_TIME = "/own-time"


class Slowed:
    """An application, each of whose API calls takes so much longer, in parallel; tokens do not."""

    def __init__(self, app: "WSGIApplication", seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._lock = Lock()
        self._calls = 0
        self._own_seconds = 0.0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one call."""
        if environ["PATH_INFO"] == OWN_TIME:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps({"calls": self._calls, "seconds": self._own_seconds}).encode()]
        if not environ["PATH_INFO"].startswith("/core"):
            return self._app(environ, start_response)
        began = time.perf_counter()
        time.sleep(self._seconds)
        answer = list(self._app(environ, start_response))
        with self._lock:
            self._calls += 1
            self._own_seconds += time.perf_counter() - began
        return answer


if __name__ == "__main__":
    ditio = SandboxDitio(now=lambda: datetime.now(UTC), random=random.Random(0))
    server = serve(Slowed(ditio.app, float(sys.argv[1]) / 1000), "127.0.0.1", 0)
    print(f"Listening on http://127.0.0.1:{server.server_port}.", flush=True)
    server.serve_forever()
