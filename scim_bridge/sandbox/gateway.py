"""The gateway before the simulated Ditio and Graph: it records calls, fails as planned, and applies writes late."""

from __future__ import annotations

import json
import random as randomness
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from werkzeug.routing import BaseConverter
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import get_input_stream

from scim_bridge.sandbox.server import TIMEOUT_SECONDS, AnswerLate, AnswerLost, ConnectionNotMade, reset_on_close

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


KINDS = (
    "status",
    "html",
    "timeout-before",
    "timeout-after",
    "timeout-late",
    "reset-before",
    "reset-after",
    "slow",
    "refused-connection",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned failure, for the calls that it names.

    `-after` means that the write is applied and then its answer lost; `-before` that it is not applied;
    `-late` that it is applied some time after the caller gave up.
    """

    kind: str
    """One of `KINDS`; `html` is the page of a gateway before Ditio: a status with an HTML body."""

    status: int = 500
    """HTTP status of `status` and `html`."""

    method: str | None = None
    """Only calls with this method; None means every method."""

    path: str = ""
    """Only calls whose decoded path contains this text."""

    query: str = ""
    """Only calls whose query, as it was sent, contains this text: `skiptoken`, say, for all pages but the first."""

    times: int | None = 1
    """How many calls it affects; None means until it is cleared."""

    retry_after: str | None = None
    """Value of the `Retry-After` header of `status` and `html`."""

    seconds: float = 0.0
    """How long `slow` takes, and how long a timeout hangs on a real socket. In process nothing sleeps."""

    late_seconds: float = 0.0
    """How long after it arrived a `timeout-late` write is applied, on the sandbox's clock."""

    lasts_seconds: float | None = None
    """How long after it was planned it may affect calls, on the sandbox's clock; None means for ever."""

    probability: float = 1.0
    """Chance that it affects a call that it names, 0.0 to 1.0, drawn from the sandbox's own random."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}; known are {', '.join(KINDS)}")

    def names(self, method: str, path: str, query: str) -> bool:
        """Return whether this fault applies to such a call."""
        return self.method in (None, method) and self.path in path and self.query in query


class Faults:
    """The planned faults, in the order in which they were planned; safe to share between threads.

    :param now: Returns the time, for faults that last for a while.
    """

    def __init__(self, random: randomness.Random, now: Callable[[], datetime]) -> None:
        self._random = random
        self._now = now
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def plan(self, *faults: Fault) -> None:
        """Add faults; a call is affected by the first planned one that fits it."""
        with self._lock:
            self._planned.extend(_Planned(fault, fault.times, self._end_of(fault)) for fault in faults)

    def clear(self) -> None:
        """Remove all planned faults."""
        with self._lock:
            self._planned.clear()

    def take(self, method: str, path: str, query: str) -> Fault | None:
        """Return the fault that affects this call, and count it; None when the call succeeds."""
        with self._lock:
            now = self._now()
            self._planned = [each for each in self._planned if each.ends_at is None or now < each.ends_at]
            for each in self._planned:
                fault = each.fault
                is_named = fault.names(method, path, query)
                if is_named and (fault.probability >= 1.0 or self._random.random() < fault.probability):
                    self._count(each)
                    return fault
            return None

    def _end_of(self, fault: Fault) -> datetime | None:
        return None if fault.lasts_seconds is None else self._now() + timedelta(seconds=fault.lasts_seconds)

    def _count(self, planned: _Planned) -> None:
        if planned.left is None:
            return
        planned.left -= 1
        if planned.left <= 0:
            self._planned = [each for each in self._planned if each is not planned]


@dataclass(slots=True)
class _Planned:
    """A planned fault, with the number of calls and the time that it has left."""

    fault: Fault
    left: int | None
    ends_at: datetime | None


ACCEPTED = "sandbox.accepted"
"""Environ key of a call that was accepted when it arrived: its token is not checked again."""


@dataclass(frozen=True, slots=True)
class _Late:
    due_at: datetime
    environ: WSGIEnvironment


class LateWrites:
    """The writes that wait, applied in the order of their times; safe to share between threads.

    Nothing runs by itself: a write is applied before the next call after its time, the first that could tell the
    difference.
    """

    def __init__(self, app: WSGIApplication, now: Callable[[], datetime]) -> None:
        self._app = app
        self._now = now
        self._lock = threading.RLock()
        self._waiting: list[_Late] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, environ: WSGIEnvironment, sent: bytes, seconds: float) -> None:
        """Store a call, to be applied so many seconds from now."""
        kept = {**environ, "wsgi.input": BytesIO(sent), ACCEPTED: True}
        with self._lock:
            self._waiting.append(_Late(self._now() + timedelta(seconds=seconds), kept))
            self._waiting.sort(key=lambda late: late.due_at)

    def apply(self, *, all: bool = False) -> int:
        """Apply the writes that are due, or `all` of them now. Return how many."""
        if not self._waiting:
            return 0
        with self._lock:
            now = self._now()
            due = [each for each in self._waiting if all or each.due_at <= now]
            self._waiting = [each for each in self._waiting if each not in due]
            for each in due:
                run_wsgi_app(self._app, each.environ, buffered=True)
        return len(due)


class SegmentConverter(BaseConverter):
    """One whole path segment, decoded: `<segment:number>`."""

    def to_python(self, value: str) -> str:
        """Return the decoded segment."""
        return value.replace("%2F", "/").replace("%25", "%")


def keep_segments(environ: WSGIEnvironment) -> str:
    """Make PATH_INFO keep encoded slashes apart for `SegmentConverter`; return the path fully decoded."""
    raw = raw_path(environ)
    segments = [unquote_to_bytes(segment) for segment in raw.split("/")]
    kept = (segment.replace(b"%", b"%25").replace(b"/", b"%2F") for segment in segments)
    environ["PATH_INFO"] = b"/".join(kept).decode("latin-1")
    return unquote(raw)


def raw_path(environ: WSGIEnvironment) -> str:
    """Return the path below SCRIPT_NAME as it was sent, still percent-encoded."""
    sent = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "")
    if not sent:
        return str(environ.get("PATH_INFO", "/")).replace("%", "%25")
    if "://" in sent.partition("?")[0]:
        sent = "/" + sent.partition("://")[2].partition("/")[2]
    return sent.partition("?")[0].removeprefix(str(environ.get("SCRIPT_NAME", "")))


ADMIN = "/_sandbox/"

_Answer = tuple[Iterable[bytes], str, list[tuple[str, str]]]
_LOST: _Answer = ([], "0", [])


def bearer(authorization: str) -> str:
    """Return the token in an `Authorization` header; empty if there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call that arrived."""

    method: str
    path: str
    """Decoded, without the API's base path."""

    query: dict[str, str]
    body: object
    """The parsed JSON; None without one. A token request's secret is not stored."""

    status: int
    """The status of the answer, even if the answer was lost; 0 when the call was lost first, or late."""

    token_id: str | None
    """Which token was used, `token-1` and so on; None without a token that the sandbox issued."""

    at: datetime


class Gateway:
    """WSGI middleware. Calls to the admin surface pass untouched and unrecorded.

    :param token_id: Returns the id of the token in an `Authorization` header, or None.
    :param refusal: Returns the body of a planned `status`; the argument is the status in words.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        faults: Faults,
        now: Callable[[], datetime],
        token_id: Callable[[str], str | None],
        base_path: str,
        refusal: Callable[[str], object] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.requests: list[Recorded] = []
        self.late = LateWrites(app, now)
        self._app = app
        self._faults = faults
        self._now = now
        self._token_id = token_id
        self._base_path = base_path
        self._refusal = refusal or _refusal
        self._sleep = sleep
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.late.apply()
        path = keep_segments(environ)
        if path.startswith(ADMIN):
            return self._app(environ, start_response)
        path = self._below_base(path)
        fault = self._faults.take(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""))
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
        return _planned(fault, self._refusal) if fault.kind in ("status", "html") else _LOST

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
    """Return what to raise for a broken connection; a real one ends in a reset."""
    connection = environ.get("werkzeug.socket")
    if connection is None:
        return in_process
    reset_on_close(connection)
    return ConnectionResetError("planned reset")


def _refusal(reason: str) -> object:
    return {"error": reason.replace(" ", ""), "message": "Planned by the sandbox."}


def _planned(fault: Fault, refusal: Callable[[str], object]) -> _Answer:
    reason = HTTPStatus(fault.status).phrase if fault.status in list(HTTPStatus) else "Planned"
    if fault.kind == "html":
        content = f"<html><body><h1>{fault.status} {reason}</h1></body></html>".encode()
        media_type = "text/html"
    else:
        content = json.dumps(refusal(reason)).encode()
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
