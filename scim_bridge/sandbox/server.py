"""The simulated Ditio on a socket, or in process behind a `requests` adapter."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError
from werkzeug.serving import BaseWSGIServer, ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def serve(app: WSGIApplication, host: str, port: int) -> BaseWSGIServer:
    """Return a server bound to `host` and `port` (0: any free one); call its `serve_forever`.

    :raises OSError: when the address cannot be bound.
    """
    return _Server(host, port, app, handler=_Handler)


@contextmanager
def running(app: WSGIApplication) -> Iterator[str]:
    """Serve `app` on loopback, in a daemon thread, as long as the context lasts; yield its URL without a slash."""
    server = serve(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
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
        """Log nothing."""


def _is_reset(connection: socket.socket) -> bool:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _RESET_ON_CLOSE
    except OSError:
        return False


TIMEOUT_SECONDS = "sandbox.timeout_seconds"
"""Environ key: how many seconds the client waits for an answer, for a planned slow answer."""


class AnswerLost(Exception):
    """The connection broke before the answer came."""


class AnswerLate(Exception):
    """The answer did not come in time."""


class ConnectionNotMade(Exception):
    """No server listens at the address."""


class WsgiTransport(BaseAdapter):
    """A transport adapter for `session.mount(prefix, WsgiTransport(app))`; no socket is opened."""

    def __init__(self, app: WSGIApplication) -> None:
        super().__init__()
        self._app = app
        self._reader = HTTPAdapter()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Answer `request` from the application; `timeout` in seconds counts against planned slowness only.

        :raises requests.ReadTimeout: the answer is late.
        :raises requests.ConnectionError: the connection was refused or reset.
        """
        environ = environ_from_request(request) | {TIMEOUT_SECONDS: _read_seconds(timeout)}
        try:
            body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        except (AnswerLost, AnswerLate, ConnectionNotMade) as exc:
            raise _as_requests_says(exc, request) from exc
        response = self._reader.build_response(request, _raw(request, b"".join(body), status, list(headers)))
        if not stream:
            _ = response.content
        return response

    def close(self) -> None:
        """Close nothing: no connection is held open."""


def environ_from_request(request: requests.PreparedRequest) -> WSGIEnvironment:
    """Return the WSGI environ of a prepared request; PATH_INFO is decoded, RAW_URI is as it was sent."""
    url = urlsplit(request.url or "")
    body = _body(request.body)
    raw_uri = (url.path or "/") + (f"?{url.query}" if url.query else "")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path or "/").decode("latin-1"),
        "QUERY_STRING": url.query,
        "RAW_URI": raw_uri,
        "REQUEST_URI": raw_uri,
        "SERVER_NAME": url.hostname or "localhost",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": _Discarded(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ.update(_header_keys({"Host": url.netloc, **request.headers}))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    if request.body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


class _Discarded:
    """A stream for `wsgi.errors` that stores nothing."""

    def write(self, text: str) -> int:
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        pass

    def flush(self) -> None:
        pass


def _header_keys(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    keys = {}
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        keys[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    return keys


def _body(body: Any) -> bytes:
    match body:
        case None:
            return b""
        case str():
            return body.encode()
        case bytes() | bytearray():
            return bytes(body)
        case _ if hasattr(body, "read"):
            return bytes(body.read())
        case _:
            return b"".join(body)


def _raw(request: requests.PreparedRequest, body: bytes, status: str, headers: list[tuple[str, str]]) -> HTTPResponse:
    code, _, reason = status.partition(" ")
    return HTTPResponse(
        body=BytesIO(body),
        headers=HTTPHeaderDict(headers),
        status=int(code),
        reason=reason,
        version=11,
        preload_content=False,
        request_method=request.method,
        request_url=request.url,
    )


def _read_seconds(timeout: float | tuple[float | None, float | None] | None) -> float:
    read = timeout[1] if isinstance(timeout, tuple) else timeout
    return float("inf") if read is None else float(read)


def _as_requests_says(fault: Exception, request: requests.PreparedRequest) -> requests.RequestException:
    url = urlsplit(request.url or "")
    host = url.hostname or "localhost"
    pool = HTTPConnectionPool(host, url.port)
    match fault:
        case AnswerLate():
            return requests.ReadTimeout(ReadTimeoutError(pool, url.path, "Read timed out."), request=request)
        case AnswerLost():
            reset = ConnectionResetError(104, "Connection reset by peer")
            return requests.ConnectionError(ProtocolError("Connection aborted.", reset), request=request)
        case _:
            refused = NewConnectionError(HTTPConnection(host), "[Errno 111] Connection refused")
            return requests.ConnectionError(MaxRetryError(pool, url.path, refused), request=request)
