"""Carries a `requests` session's calls to a WSGI application in the same process.

The exceptions stand for what a network does to a call; `WsgiTransport` raises for them what `requests`
raises for the real thing, so that a client cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError
from werkzeug.test import run_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

TIMEOUT_SECONDS = "sandbox.timeout_seconds"
"""Environ key: how many seconds the client waits for an answer, for an application that plays slow."""


class AnswerLost(Exception):
    """The connection broke before the answer came."""


class AnswerLate(Exception):
    """The answer did not come in time."""


class ConnectionNotMade(Exception):
    """Nobody listens."""


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
        """Nothing is held open."""


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
    """A stream for `wsgi.errors` that keeps nothing."""

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
