"""Serves an application exactly as `scim-bridge serve` serves the bridge: the same gunicorn, the same settings."""

from collections.abc import Callable

from flask import Flask

from scim_bridge import logs
from scim_bridge.cli.context import Address, address_of, listen
from scim_bridge.web.server import Server
from tests.benchmarks.bridge import THREADS

LOG_LEVEL = "info"


def serve(make_app: Callable[[], Flask]) -> None:
    """Serve on a free port of loopback, which is printed, until a signal ends it."""
    logs.configure(LOG_LEVEL)
    listener = listen(Address("127.0.0.1", 0))
    address = address_of(listener)
    server = Server(
        make_app,
        listener=listener.detach(),
        workers=1,
        threads=THREADS,
        client_seconds=10.0,
        log_level=LOG_LEVEL,
        log_config=logs.standard_config(LOG_LEVEL, "console"),
        when_ready=lambda: print(f"Listening on http://{address}.", flush=True),
    )
    server.run_with(None)
