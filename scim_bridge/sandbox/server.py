"""Serves a WSGI application on a real socket: threaded, quiet, HTTP/1.1 with connections kept alive."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.serving import BaseWSGIServer, ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def serve(app: WSGIApplication, host: str, port: int) -> BaseWSGIServer:
    """Return a server bound to `host` and `port` (0: any free one); call its `serve_forever`.

    :raises OSError: when the address cannot be bound.
    """
    return _Server(host, port, app, handler=_Handler)


@contextmanager
def running(app: WSGIApplication, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` in a daemon thread for as long as the context lasts; yield its URL without a slash."""
    server = serve(app, host, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def reset_on_close(connection: socket.socket) -> None:
    """Make closing `connection` send a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class _Server(ThreadedWSGIServer):
    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        # An orderly shutdown would tell the client "closed" before the reset.
        if isinstance(request, socket.socket) and _is_reset(request):
            self.close_request(request)
        else:
            super().shutdown_request(request)


class _Handler(WSGIRequestHandler):
    """Werkzeug's handler closes every connection; this one reads each body to its end and keeps it open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.environ = environ = self.make_environ()
        environ["wsgi.input"] = BytesIO(get_input_stream(environ).read())
        try:
            body, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
        except ConnectionError:
            self.close_connection = True
            return
        self._answer(b"".join(body), status, list(headers))

    def _answer(self, body: bytes, status: str, headers: list[tuple[str, str]]) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        if code not in ("204", "304"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing."""


def _is_reset(connection: socket.socket) -> bool:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _RESET_ON_CLOSE
    except OSError:
        return False
