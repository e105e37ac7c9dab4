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
from dataclasses import dataclass
from math import inf
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from scim_bridge.errors import BudgetSpent, CredentialsRefused, TransientError, Unreached

MAX_BYTES = 32 * 1024 * 1024
_CHUNK = 64 * 1024

TELLING_SECONDS = 2.0
"""A call that had less time than this, and got no answer in it, says nothing about Ditio (rules A4, R3)."""


class Unfinished(Exception):
    """An answer was given up while it was being read: too slow, or too large."""


class TooSlow(Unfinished):
    """The time ran out before the answer was complete."""


_UNUSABLE_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
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


class PerThread(threading.local):
    """One session for each thread, made when it first needs one: those of requests are not made to be shared."""

    def __init__(self, factory: Callable[[], requests.Session]) -> None:
        self._session = factory()

    def __call__(self) -> requests.Session:
        """Return this thread's session."""
        return self._session


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


class Limiter:
    """How many calls one company has under way at a time, first come, first served, and how fast they start.

    A permit belongs to a thread: while it has one, its further calls need no other. So a thread that has one never
    waits for one. The request for a token, which other threads wait for, is never held up by them.

    :param at_a_time: How many threads may call at a time.
    :param per_second: How many calls may start in a second, at even distances; None for any number.
    """

    def __init__(
        self,
        at_a_time: int,
        per_second: float | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._free = at_a_time
        self._waiting: deque[threading.Event] = deque()
        self._holders: set[int] = set()
        """Threads by their ids: one thread may end what another began, such as the reading of a list."""

        self._distance = 1.0 / per_second if per_second else 0.0
        self._next = -inf
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()

    def keep_pace(self, *, until: float | None) -> None:
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

    @contextmanager
    def permit(self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
        """Yield the right to call for the block.

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
        turn = threading.Event()
        with self._lock:
            self._waiting.append(turn)
            self._hand_out()
        left = inf if within is None else within
        try:
            while not turn.wait(max(0.0, min(left, EVERY_SECONDS))):
                left -= EVERY_SECONDS
                if left <= 0:
                    raise BudgetSpent("all permitted calls to Ditio are under way, and the time for this one ran out")
                if meanwhile is not None:
                    meanwhile()
        except BaseException:  # Any end of the wait, an interrupt too: the place in the row must not stay taken.
            with self._lock:
                if turn.is_set():  # It was its turn at the last moment.
                    self._free += 1
                    self._hand_out()
                else:
                    self._waiting.remove(turn)
            raise

    def _give_back(self) -> None:
        with self._lock:
            self._free += 1
            self._hand_out()

    def _hand_out(self) -> None:
        if self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().set()
