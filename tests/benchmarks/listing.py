"""`python -m tests.benchmarks.listing FILE PEOPLE EVERY`: a Ditio that has nothing but a list of its employees.

The list is made as it is sent, from the one employee in the file; EVERY says whose title was edited (0: no one's).
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scim_bridge.sandbox.server import serve
from tests.benchmarks.delivered import listed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TOKEN = json.dumps({"access_token": "of-the-benchmarks", "expires_in": 3600, "token_type": "Bearer"}).encode()


def listing(employee: str, people: int, edited_every: int) -> "WSGIApplication":
    """The application: a token, and the list."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"].endswith("/connect/token"):
            return [TOKEN]
        return listed(employee, people, edited_every=edited_every)

    return app


if __name__ == "__main__":
    file, people, every = sys.argv[1:]
    server = serve(listing(Path(file).read_text(encoding="utf-8"), int(people), int(every)), "127.0.0.1", 0)
    print(f"Listening on http://127.0.0.1:{server.server_port}.", flush=True)
    server.serve_forever()
