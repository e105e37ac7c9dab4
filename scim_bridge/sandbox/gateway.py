"""Stands before the simulated Ditio's application: records every call and lets planned faults strike."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import get_input_stream

from scim_bridge.sandbox.faults import Fault, Faults
from scim_bridge.sandbox.late import LateWrites
from scim_bridge.sandbox.segments import keep_segments
from scim_bridge.sandbox.server import reset_on_close
from scim_bridge.sandbox.transport import TIMEOUT_SECONDS, AnswerLate, AnswerLost, ConnectionNotMade

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ADMIN = "/_sandbox/"

_Answer = tuple[Iterable[bytes], str, list[tuple[str, str]]]
_LOST: _Answer = ([], "0", [])


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call that arrived."""

    method: str
    path: str
    """Decoded, without the API's base path."""

    query: dict[str, str]
    body: object
    """The parsed JSON; None without one. A token request's secret is not kept."""

    status: int
    """What was answered, or would have been had the answer not been lost; 0 when the call was lost first, or late."""

    token_id: str | None
    """Which token was used, `token-1` and so on; None without one of ours."""

    at: datetime


class Gateway:
    """WSGI middleware. Calls to the admin surface pass untouched and unrecorded.

    :param token_id: Returns the id of the token in an `Authorization` header, or None.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        faults: Faults,
        now: Callable[[], datetime],
        token_id: Callable[[str], str | None],
        base_path: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.requests: list[Recorded] = []
        self.late = LateWrites(app, now)
        self._app = app
        self._faults = faults
        self._now = now
        self._token_id = token_id
        self._base_path = base_path
        self._sleep = sleep
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.late.apply()
        path = keep_segments(environ)
        if path.startswith(ADMIN):
            return self._app(environ, start_response)
        path = self._below_base(path)
        fault = self._faults.take(environ["REQUEST_METHOD"], path)
        if fault is not None and fault.kind == "refused-connection":
            raise _lose(environ, ConnectionNotMade())
        sent = get_input_stream(environ).read()
        environ["wsgi.input"] = BytesIO(sent)
        if fault is not None and fault.kind == "timeout-late":
            self.late.add(environ, sent, fault.late_seconds)
        body, status, headers = self._answer(environ, fault)
        self._record(environ, path, sent, int(status.split()[0]))
        if fault is not None:
            self._strike(environ, fault)
        start_response(status, headers)
        return body

    def _below_base(self, path: str) -> str:
        inside = bool(self._base_path) and path.startswith(self._base_path + "/")
        return path.removeprefix(self._base_path) if inside else path

    def _answer(self, environ: WSGIEnvironment, fault: Fault | None) -> _Answer:
        if fault is None or fault.kind in ("slow", "timeout-after", "reset-after"):
            body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
            return body, status, list(headers)
        return _planned(fault) if fault.kind in ("status", "html") else _LOST

    def _strike(self, environ: WSGIEnvironment, fault: Fault) -> None:
        on_a_socket = "werkzeug.socket" in environ
        if fault.kind == "slow" and fault.seconds > environ.get(TIMEOUT_SECONDS, float("inf")):
            raise AnswerLate
        if on_a_socket and fault.kind.startswith(("slow", "timeout")):
            self._sleep(fault.seconds)
        if fault.kind.startswith("timeout"):
            raise ConnectionAbortedError("planned timeout") if on_a_socket else AnswerLate()
        if fault.kind.startswith("reset"):
            raise _lose(environ, AnswerLost())

    def _record(self, environ: WSGIEnvironment, path: str, sent: bytes, status: int) -> None:
        call = Recorded(
            method=environ["REQUEST_METHOD"],
            path=path,
            query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
            body=_json_or_none(sent),
            status=status,
            token_id=self._token_id(environ.get("HTTP_AUTHORIZATION", "")),
            at=self._now(),
        )
        with self._lock:
            self.requests.append(call)


def _lose(environ: WSGIEnvironment, in_process: Exception) -> Exception:
    """Return what to raise for a broken connection; a real one is made to end in a reset."""
    connection = environ.get("werkzeug.socket")
    if connection is None:
        return in_process
    reset_on_close(connection)
    return ConnectionResetError("planned reset")


def _planned(fault: Fault) -> _Answer:
    reason = HTTPStatus(fault.status).phrase if fault.status in list(HTTPStatus) else "Planned"
    if fault.kind == "html":
        content = f"<html><body><h1>{fault.status} {reason}</h1></body></html>".encode()
        media_type = "text/html"
    else:
        document = {"error": reason.replace(" ", ""), "message": "Planned by the sandbox."}
        content = json.dumps(document).encode()
        media_type = "application/json"
    headers = [("Content-Type", media_type), ("Content-Length", str(len(content)))]
    if fault.retry_after is not None:
        headers.append(("Retry-After", fault.retry_after))
    return [content], f"{fault.status} {reason}", headers


def _json_or_none(sent: bytes) -> object:
    try:
        document: object = json.loads(sent)
    except ValueError:
        return None
    return document
