"""One bounded HTTP exchange: addresses, limits of rate and concurrency, certificates and proxies."""

import socket
import ssl
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from math import inf
from typing import Any, cast
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from scim_bridge.errors import BudgetSpent, TransientError, Unreached

MAX_BYTES = 32 * 1024 * 1024
_CHUNK = 64 * 1024

TELLING_SECONDS = 2.0
"""A call that had less time than this, and got no answer in it, says nothing about Ditio (rules A4, R3)."""


class Unfinished(Exception):
    """An answer was given up while it was being read: too slow, or too large."""


class TooSlow(Unfinished):
    """The time ran out before the answer was complete."""


Failure = requests.RequestException | HTTPError | Unfinished
"""What an exchange may raise. urllib3 raises its own errors while a body is read piece by piece."""

FAILURES = (requests.RequestException, HTTPError, Unfinished)

UNUSABLE_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
"""Raised before anything is sent, for an invalid address. They belong to `FAILURES` too: catch them first."""


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


class PerThread:
    """One session for each thread: sessions of requests are not made to be shared."""

    def __init__(self, factory: Callable[[], requests.Session]) -> None:
        self._factory = factory
        self._local = threading.local()

    def __call__(self) -> requests.Session:
        """Return this thread's session."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._factory()
        return session


class _InTime(HTTPConnection):
    """Counts a name look-up against the time-out of connecting: the system's resolver has none."""

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

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | Timeout | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        total = Timeout(total=timeout) if isinstance(timeout, int | float) else timeout
        # requests hands urllib3's Timeout on, but its types do not say so.
        of_requests = cast("float | None", total)
        return super().send(request, stream, of_requests, verify, cert, proxies)


_POOLS = {"http": _Pool, "https": _PoolOverTls}


def read_body(response: requests.Response, *, until: float, monotonic: Callable[[], float]) -> bytes:
    """Read the whole body, in pieces as they come.

    A time-out of requests counts for each piece, so a slow server would never hit it.

    :param until: When to give up, by `monotonic`.
    :raises Unfinished: when the body is too slow, or larger than `MAX_BYTES`.
    """
    body = bytearray()
    while piece := response.raw.read1(_CHUNK, decode_content=True):
        body += piece
        if len(body) > MAX_BYTES:
            raise Unfinished(f"the answer is larger than {MAX_BYTES // 1024 // 1024} MiB")
        if monotonic() > until:
            raise TooSlow("the answer came too slowly")
    return bytes(body)


def transient(
    exc: Failure, what: str, *, write: bool, request_id: str | None, seconds: float, allowed: float
) -> TransientError:
    """Return the error for an exchange that failed on the way.

    It is ambiguous for a write unless it is certain that nothing was sent (rule R4). If no connection could be made,
    the fault concerns no person in particular. If a connection broke, it is the person's (rule R3).

    :param what: What was being done, as the beginning of a sentence.
    :param allowed: Seconds that it might have taken.
    """
    never_sent = _never_sent(exc)
    call = f", request {request_id}" if request_id else ""
    message = f"{what}: {_reason(exc, never_sent)} (after {seconds:.1f} s{call})"
    cut_short = _is_late(exc) and allowed < TELLING_SECONDS
    if never_sent and not cut_short:
        return Unreached(message, request_id=request_id, seconds=seconds)
    return TransientError(
        message,
        ambiguous=write and not never_sent,
        cut_short=cut_short,
        request_id=request_id,
        seconds=seconds,
    )


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


def _reason(exc: Failure, never_sent: bool) -> str:
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(exc)):
        return "the server's certificate is not trusted"
    if never_sent:
        return "no connection could be made"
    if isinstance(exc, Unfinished):
        return str(exc)
    return "no answer in time" if _is_late(exc) else "the connection broke"


def _is_late(exc: Failure) -> bool:
    return isinstance(exc, requests.Timeout | ReadTimeoutError | TooSlow)


class Pace:
    """Lets calls start at even distances.

    :param per_second: How many in a second; None for no limit.
    """

    def __init__(
        self,
        per_second: float | None,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._distance = 1.0 / per_second if per_second else 0.0
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")

    def keep(self, *, until: float | None) -> None:
        """Wait until the next call may start.

        :param until: When it must have started, on the monotonic clock; None for any time.
        :raises BudgetSpent: it would be later; no place in the row is used.
        """
        if not self._distance:
            return
        with self._lock:
            now = self._monotonic()
            starts = max(now, self._next)
            if until is not None and starts > until:
                raise BudgetSpent(f"calls to Ditio are limited: the next one may start in {starts - now:.1f} s")
            self._next = starts + self._distance
        if starts > now:
            self._sleep(starts - now)


EMPLOYEES = "/api/v5/integration/employees"
USERS_V4 = "/api/v4/integration/users"
LONGEST_NUMBER = 64


def joined(base: str, path: str) -> str:
    """Return a path under a base URL that may itself carry a path and end in a slash."""
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


def segment(number: str) -> str:
    """Return an employee number, percent-encoded as one segment of a path.

    :raises ValueError: for a number that can't be one segment. HTTP clients resolve `.` and `..` even when
        they are encoded, and `search` is a route of its own; routes are not case-sensitive in ASP.NET.
    """
    if not number.strip():
        raise ValueError("the employee number is empty")
    if len(number) > LONGEST_NUMBER:
        raise ValueError(f"the employee number is longer than {LONGEST_NUMBER} characters")
    if number.strip() in (".", "..") or number.strip().lower() == "search":
        raise ValueError(f"the employee number {number!r} can't be used in a URL of Ditio's")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in number):
        raise ValueError(f"the employee number {number!r} has control characters")
    return quote(number, safe="")


EVERY_SECONDS = 1.0
"""How long a waiting thread waits before it does its other duties, such as renewing a lease."""


class Permits:
    """Lets a limited number of threads call at a time, first come, first served.

    A permit belongs to a thread: while it has one, its further calls need no other. So a thread that has one never
    waits for one. The request for a token, which other threads wait for, is never held up by them.

    :param count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()
        self._holders: set[int] = set()
        """Threads by their ids: one thread may end what another began, such as the reading of a list."""

    @contextmanager
    def one(self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
        """Yield a permit for the block.

        :param within: How many seconds to wait at most; None for as long as it takes, which others' time-outs bound.
        :param meanwhile: Done every second of the wait, such as renewing a lease. An error in it ends the wait.
        :raises BudgetSpent: none became free in time.
        """
        me = threading.get_ident()
        if me in self._holders:
            yield
            return
        self._take(within, meanwhile)
        self._holders.add(me)
        try:
            yield
        finally:
            self._holders.discard(me)
            self._give_back()

    def _take(self, within: float | None, meanwhile: Callable[[], object] | None) -> None:
        with self._lock:
            if self._free:  # No thread waits then: a permit that is given back goes to the first waiting thread.
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            self._wait(turn, within, meanwhile)
        except BaseException:  # Any end of the wait, an interrupt too: the place in the row must not stay taken.
            self._leave(turn)
            raise

    def _wait(self, turn: threading.Event, within: float | None, meanwhile: Callable[[], object] | None) -> None:
        left = inf if within is None else within
        while not turn.wait(max(0.0, min(left, EVERY_SECONDS))):
            left -= EVERY_SECONDS
            if left <= 0:
                raise BudgetSpent("all permitted calls to Ditio are under way, and the time for this one ran out")
            if meanwhile is not None:
                meanwhile()

    def _leave(self, turn: threading.Event) -> None:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self._give_back()  # It was its turn at the last moment.

    def _give_back(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
