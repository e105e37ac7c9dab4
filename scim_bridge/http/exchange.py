"""One bounded HTTP exchange: its answer, its time limit, certificates and proxies."""

import http.client
import io
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from scim_bridge.errors import CredentialsRefused, DeliveryError, TransientError, Unreached

MAX_BYTES = 32 * 1024 * 1024
_CHUNK = 64 * 1024

TELLING_SECONDS = 2.0
"""A call that had less time than this, and got no answer in it, says nothing about the server (rules A4, R3)."""


class Unfinished(Exception):
    """An answer was given up while it was being read: too slow, or too large."""


class TooSlow(Unfinished):
    """The time ran out before the answer was complete."""


_UNUSABLE_URL = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema)
"""Raised before anything is sent, for an invalid address."""


def pooled_sessions(connections: int) -> Callable[[], requests.Session]:
    """Return a factory of sessions that share one pool of connections; make it after the process has forked."""
    adapter = _TotalTimeAdapter(pool_connections=4, pool_maxsize=connections)

    def session() -> requests.Session:
        made = _Session()
        made.mount("https://", adapter)
        made.mount("http://", adapter)
        return made

    return session


class _Session(requests.Session):
    """Reads the environment once for each server: proxies, exceptions from them, the bundle of certificates.

    Plain requests reads all of it on every call, which takes a fifth of the time that a call needs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[tuple[str, str, bool | None], Mapping[str, Any]] = {}

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None: no redirect is followed. Plain requests looks where each leads, and fails if that is no URL."""
        return None

    def merge_environment_settings(  # Its types are private to requests.
        self, url: str | bytes | None, proxies: Any, stream: bool | None, verify: Any, cert: Any
    ) -> Any:
        """Return the environment's and session's options; read them anew where the caller gives options."""
        if proxies or verify is not None or cert is not None:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        parts = urlsplit(str(url))
        asked = (parts.scheme, parts.netloc, stream)
        if asked not in self._found:
            self._found[asked] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return dict(self._found[asked])


class _Deadline:
    """Until when an answer may be read, by the machine's monotonic clock.

    :param each: How long the next bytes may take, and at first the whole answer, in seconds; None for any time.
    """

    def __init__(self, each: float | None) -> None:
        self.each = each
        self._until = inf if each is None else time.monotonic() + each

    @property
    def left(self) -> float:
        """Return how many seconds are left."""
        return self._until - time.monotonic()

    def extend(self, seconds: float) -> None:
        """Let the rest of the answer take so many seconds from now on."""
        self._until = time.monotonic() + seconds


class _AnswerInTime(http.client.HTTPResponse):
    """An answer of which all counts: status, headers, lengths of chunks, and the body, packed or not."""

    def __init__(self, sock: socket.socket, *given: Any, **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.deadline = _Deadline(sock.gettimeout())
        self.fp = io.BufferedReader(_Bytes(self.fp.detach(), sock, self.deadline))


class _Bytes(io.RawIOBase):
    """The bytes that come, until the time is over."""

    def __init__(self, bytes_of: io.RawIOBase, sock: socket.socket, deadline: _Deadline) -> None:
        self._bytes_of = bytes_of
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left, each = self._deadline.left, self._deadline.each
        if left <= 0:
            raise TimeoutError("the answer came too slowly")
        if each is None or left >= each:
            return self._bytes_of.readinto(buffer)
        self._sock.settimeout(left)
        try:
            return self._bytes_of.readinto(buffer)
        finally:
            # The next call on this connection sends with the whole time-out again.
            with suppress(OSError):
                self._sock.settimeout(each)

    def close(self) -> None:
        self._bytes_of.close()
        super().close()


class PerThread(threading.local):
    """One session for each thread, made when it first needs one: those of requests are not made to be shared."""

    def __init__(self, factory: Callable[[], requests.Session]) -> None:
        self._session = factory()

    def __call__(self) -> requests.Session:
        """Return this thread's session."""
        return self._session


class _InTime(HTTPConnection):
    """Counts a name look-up against the time-out of connecting, and each byte of an answer against that of reading.

    The system's resolver has no time-out, and that of a socket begins anew with each byte.
    """

    _deadline: _Deadline | None = None
    _is_made = False

    def connect(self) -> None:
        """Connect, through the proxy if there is one."""
        self._is_made = False
        super().connect()
        self._is_made = True

    @property
    def has_connected_to_proxy(self) -> bool:
        """Whether the proxy was reached, also after the connection broke: then a request may have been sent.

        urllib3 forgets it, and says of any connection that broke that the proxy could not be reached.
        """
        return self._is_made or super().has_connected_to_proxy

    @property
    def response_class(self) -> Callable[..., _AnswerInTime]:  # type: ignore[override]  # A class in http.client.
        """Return what makes the answer out of the socket."""
        return self._begun

    def _begun(self, *given: Any, **named: Any) -> _AnswerInTime:
        answer = _AnswerInTime(*given, **named)
        self._deadline = answer.deadline
        return answer

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # As urllib3 itself has it.
        """Return the answer, with its `deadline`."""
        response = super().getresponse()
        response.deadline = self._deadline  # type: ignore[attr-defined]
        return response

    def _new_conn(self) -> socket.socket:
        connect = super()._new_conn
        if not isinstance(self.timeout, int | float):
            return connect()
        made: Future[socket.socket] = Future()
        # A look-up can't be cancelled: its thread ends when the resolver gives up, and disturbs nothing until then.
        threading.Thread(target=_connect, args=(connect, made), daemon=True).start()
        if not wait([made], self.timeout).done and made.cancel():
            raise ConnectTimeoutError(self, f"no connection to {self.host} within {self.timeout:g} s")
        return made.result()


def _connect(connect: Callable[[], socket.socket], made: "Future[socket.socket]") -> None:
    try:
        found = connect()
    except Exception as error:
        if made.set_running_or_notify_cancel():
            made.set_exception(error)
        return
    if made.set_running_or_notify_cancel():
        made.set_result(found)
    else:
        found.close()


class _InTimeOverTls(_InTime, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _InTime


class _PoolOverTls(HTTPSConnectionPool):
    ConnectionCls = _InTimeOverTls


class _TotalTimeAdapter(HTTPAdapter):
    """Counts looking up, connecting and waiting against one time-out, which plain requests grants to each."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pool for connections without a proxy."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the pool for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *given: Any, **options: Any) -> requests.Response:
        if isinstance(seconds := options.get("timeout"), int | float):
            options["timeout"] = Timeout(total=seconds)
        return super().send(request, *given, **options)


_POOLS = {"http": _Pool, "https": _PoolOverTls}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that is under way.

    :param what: What it is for, as the beginning of an error's sentence.
    :param setting: The setting with the address.
    :param seconds: How long it may take.
    """

    what: str
    setting: str
    seconds: float
    began: float
    monotonic: Callable[[], float]
    is_write: bool = False
    request_id: str = ""

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Turn errors of the libraries within the block into the bridge's own.

        A write that failed on the way is ambiguous unless it is certain that nothing was sent (rule R4). If no
        connection could be made, the fault concerns no person in particular. If one broke, it is the person's (R3).
        """
        try:
            yield
        except _UNUSABLE_URL as exc:
            raise CredentialsRefused(f"{self.what}: {self.setting} is not a valid address") from exc
        except (requests.RequestException, HTTPError, Unfinished) as exc:
            never_sent, seconds = _never_sent(exc), self.monotonic() - self.began
            call = f", request {self.request_id}" if self.request_id else ""
            message = f"{self.what}: {_reason(exc, never_sent)} (after {seconds:.1f} s{call})"
            cut_short = _is_late(exc) and self.seconds < TELLING_SECONDS
            about: dict[str, Any] = {"request_id": self.request_id or None, "seconds": seconds}
            if never_sent and not cut_short:
                raise Unreached(message, **about) from exc
            ambiguous = self.is_write and not never_sent
            raise TransientError(message, ambiguous=ambiguous, cut_short=cut_short, **about) from exc

    def body(self, response: requests.Response) -> bytes:
        """Read the whole body, in pieces as they come.

        A time-out of requests counts for each piece, so a slow server would never hit it.

        :raises Unfinished: when the body is too slow, or larger than `MAX_BYTES`.
        """
        body = bytearray()
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if len(body) > MAX_BYTES:
                raise Unfinished(f"the answer is larger than {MAX_BYTES // 1024 // 1024} MiB")
            if self.monotonic() > self.began + self.seconds:
                raise TooSlow("the answer came too slowly")
        return bytes(body)


def _never_sent(exc: BaseException) -> bool:
    if isinstance(exc, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    return any(isinstance(cause, NewConnectionError | ssl.SSLCertVerificationError) for cause in _causes(exc))


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield the errors that requests and urllib3 wrap into one another, outermost first."""
    yield exc
    wrapped = [*exc.args, getattr(exc, "reason", None)]
    for inner in wrapped:
        if isinstance(inner, BaseException):
            yield from _causes(inner)


def _reason(exc: Exception, never_sent: bool) -> str:
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(exc)):
        return "the server's certificate is not trusted"
    if never_sent:
        return "no connection could be made"
    if isinstance(exc, Unfinished):
        return str(exc)
    return "no answer in time" if _is_late(exc) else "the connection broke"


def _is_late(exc: Exception) -> bool:
    return isinstance(exc, requests.Timeout | ReadTimeoutError | TooSlow)


def joined(base: str, path: str) -> str:
    """Return a path under a base URL that may itself carry a path and end in a slash."""
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


E = TypeVar("E", bound=DeliveryError)


@dataclass(frozen=True, slots=True)
class Received:
    """An answer, of any status."""

    status: int
    headers: Mapping[str, str]
    """Its keys are looked up regardless of case."""

    body: bytes
    request_id: str
    """The server's id of the call, or the one that was sent with it."""

    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.status <= 299

    @property
    def is_page(self) -> bool:
        """Whether it is a web page: gateways and proxies send one where they should pass on the server's answer."""
        kind = self.headers.get("Content-Type", "")
        return "html" in kind.lower() or self.body.lstrip()[:1] == b"<"

    def document(self) -> object:
        """Return the body as JSON; None for a 204.

        :raises ValueError: when it is not JSON.
        """
        if self.status == 204:
            return None
        try:
            document: object = json.loads(self.body)
        except RecursionError as exc:
            raise ValueError("the JSON is nested too deeply") from exc
        return document

    def error(self, error: E) -> E:
        """Return this error, after it was told the same of the call."""
        error.status, error.request_id, error.seconds = self.status, self.request_id, self.seconds
        return error


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Return how long a `Retry-After` asks to wait (RFC 9110 §10.2.3: seconds, or a date); None if unreadable."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
