"""gunicorn's threaded worker: a request is complete before it gets a thread; companies take turns (rules A3, A9)."""

import re
import socket
import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from os import SEEK_END
from selectors import EVENT_READ
from typing import Any, Generic, TypeVar

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn, ThreadWorker

from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.web.auth.failures import whole_network

Waiting = TypeVar("Waiting")

LARGE_BYTES = 8 * 1024
"""Longer requests than this are large: they take the processor, and one of a company's runs at a time. A user as Entra
sends them has half as much."""

OPEN, OTHERS = "/open", "/others"
"""The lanes of what is nobody's: whether the process lives, and all the rest. No company is called like this."""

_OPEN = re.compile(rb"\S+ /(?:healthz|readyz|metrics)[ ?]")
_TENANT = re.compile(rb"\S+ /+(?:tenants/+([^/ ]{1,100})/+)?scim/")


def lane_of(request: bytes, tenants: Collection[str]) -> str:
    """Whose requests a request is among, from how it begins; whose it truly is, is told by its credential."""
    found = _TENANT.match(request)
    if found is None:
        return OPEN if _OPEN.match(request) else OTHERS
    name = found[1].decode(errors="replace") if found[1] else DEFAULT_TENANT
    return name if name in tenants else OTHERS


@dataclass(eq=False)
class _Lane(Generic[Waiting]):
    small: deque[Waiting] = field(default_factory=deque)
    large: deque[Waiting] = field(default_factory=deque)
    running: int = 0
    has_large: bool = False


class Lanes(Generic[Waiting]):
    """The requests of one process that wait for a thread, and how many of each company have one.

    :param companies: How many there are: where there is one, all threads but one are for it.
    """

    def __init__(self, threads: int, companies: int) -> None:
        self._free = threads
        self._limit = max(1, threads - 1 if companies < 2 else threads // 2)
        self._lanes: OrderedDict[str, _Lane[Waiting]] = OrderedDict()

    def add(self, name: str, waiting: Waiting, *, is_large: bool) -> None:
        """A request is here."""
        lane = self._lanes.setdefault(name, _Lane())
        (lane.large if is_large else lane.small).append(waiting)

    def next(self) -> Waiting | None:
        """The request that has the next free thread; None if there is no such thread, or nobody for it."""
        if self._free <= 0:
            return None
        for name, lane in self._lanes.items():
            if lane.running >= self._limit:
                continue
            is_large = bool(lane.large) and not lane.has_large
            if not is_large and not lane.small:
                continue
            lane.has_large = lane.has_large or is_large
            lane.running += 1
            self._free -= 1
            self._lanes.move_to_end(name)
            return lane.large.popleft() if is_large else lane.small.popleft()
        return None

    def done(self, name: str, *, was_large: bool) -> None:
        """A request has given its thread back."""
        lane = self._lanes[name]
        lane.running -= 1
        self._free += 1
        if was_large:
            lane.has_large = False


HEADER_SECONDS = 5.0
"""How long a client may take for the first byte, and for the header from then on."""

BEFOREHAND = 64 * 1024
"""How much of a request is collected before a thread is given to it, in bytes; a whole user has a few thousand."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class RequestDeadline:
    """A connection's socket as the parser reads it, header and body: until a deadline for the whole request.

    Without it a client that sends a letter now and then is waited for without end, since each one resets the time-out
    of a socket. Past the deadline it is as if the client had gone: the server closes the connection.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._deadline: float | None = None
        self._header_deadline = 0.0
        self._collected = b""
        self.is_over = False
        """Whether the time of a request was not enough."""

        self.has_ended = False
        """Whether the client sends no more."""

    @property
    def beginning(self) -> bytes:
        """What is here of the request."""
        return self._collected

    @property
    def is_large(self) -> bool:
        """Whether the request is one that takes the processor."""
        length = _LENGTH.search(self._collected.partition(b"\r\n\r\n")[0] + b"\r\n")
        return max(len(self._collected), int(length[1]) if length else 0) > LARGE_BYTES

    def resume(self) -> None:
        """The request has a thread: waiting for one was no fault of the client's."""
        self._deadline = time.monotonic() + self._seconds

    @property
    def is_empty(self) -> bool:
        """Whether nothing was collected."""
        return not self._collected

    def begin(self) -> None:
        """A request may begin; its time runs."""
        if self._deadline is None:
            now = time.monotonic()
            self._deadline, self._header_deadline = now + self._seconds, now + min(self._seconds, HEADER_SECONDS)

    def collect(self) -> bool:
        """Take what is there of a request, without waiting. Whether a thread is worth it: it is whole, or too long."""
        self.begin()
        self._connection.setblocking(False)
        with suppress(BlockingIOError):
            while not self.has_ended and len(self._collected) < BEFOREHAND:
                received = self._connection.recv(BEFOREHAND)
                self._collected += received
                self.has_ended = not received
        return self.has_ended or len(self._collected) >= BEFOREHAND or _is_whole(self._collected)

    @property
    def deadline(self) -> float:
        """When the part of the request that is awaited has to be here."""
        assert self._deadline is not None
        return self._deadline if b"\r\n\r\n" in self._collected else self._header_deadline

    def hurry(self, seconds: float) -> None:
        """What is left of this request is waited for no longer than this."""
        assert self._deadline is not None
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def end(self) -> bytes:
        """The request is answered: the next one has a time of its own. What was collected of it already."""
        self._deadline = None
        left, self._collected = self._collected, b""
        return left

    def recv(self, size: int) -> bytes:
        """Up to so many bytes. :raises NoMoreData: the time for this request is over."""
        # For the answer, which may be long: a client that does not take it is not waited for either.
        self._connection.settimeout(self._seconds)
        if self._collected:
            given, self._collected = self._collected[:size], self._collected[size:]
            return given
        # The parser has the header by now, or reads on after what was too long to be collected.
        assert self._deadline is not None
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.is_over = True
            raise NoMoreData(b"")
        self._connection.settimeout(left)
        try:
            return self._connection.recv(size)
        except TimeoutError:
            self.is_over = True
            raise NoMoreData(b"") from None
        finally:
            self._connection.settimeout(self._seconds)


def _is_whole(received: bytes) -> bool:
    """Whether a header is complete, and its body with it, so that nobody has to be waited for."""
    header, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    if _EXPECTS.search(header + end):
        # The client sends no body before it is told to go on.
        return True
    if _CHUNKED.search(header + end):
        return body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(header + end)
    return length is None or len(body) >= int(length[1])


DRAIN_SECONDS = 0.5
"""How long the rest of a body that nobody wants is read, so that the connection can be used again."""

MOST_CONNECTIONS = 100
"""How many connections one address may have to one process; a proxy that the settings trust may have any number."""

SWITCH_SECONDS = 0.0005
"""How long a thread computes before another one may."""

LOOK_SECONDS = 0.5
"""How often those are looked for whose time is over."""


class _Connection(TConn):  # type: ignore[misc]  # gunicorn has no types.
    """A connection that is counted for its address as long as it is open."""

    def __init__(self, worker: "PatientWorker", sock: socket.socket, client: Any, server: Any, address: str) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self.patient = RequestDeadline(sock, worker.app.client_seconds)
        # gunicorn's own wait for the first byte would be one of a thread.
        self.data_ready = True
        self.lane, self.is_large = OTHERS, False
        self._open, self._address = worker.open_connections, address
        self._open[address] += 1

    def close(self, graceful: bool = False) -> None:
        """Close it."""
        self._open[self._address] -= 1
        if self._open[self._address] <= 0:
            del self._open[self._address]
        super().close(graceful)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types.
    """gunicorn's threaded worker, whose main loop collects a request before a thread is given to it.

    The application says how long a request may take (`client_seconds`), which addresses are proxies' (`is_trusted`),
    and which companies there are (`tenants`).
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.open_connections: Counter[str] = Counter()
        self._lanes: Lanes[_Connection] = Lanes(self.cfg.threads, len(self.app.tenants))
        self._looked_at = 0.0

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, unless its address has so many."""
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        address = whole_network(str(client[0])) if client else ""
        if self.open_connections[address] >= MOST_CONNECTIONS and not self.app.is_trusted(client[0]):
            sock.close()
            return
        self.nr_conns += 1
        self._collect(_Connection(self, sock, client, listener.getsockname(), address))

    def on_pending_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """More of a request is here."""
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        self._collect(conn)

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """The next request of a connection begins."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._collect(conn)

    def _collect(self, conn: _Connection) -> None:
        try:
            is_ready = conn.patient.collect()
        except OSError:
            self._let_go(conn)
            return
        if conn.patient.has_ended and conn.patient.is_empty:
            self._let_go(conn)
        elif is_ready:
            self.enqueue_req(conn)
        else:
            conn.timeout = conn.patient.deadline
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _let_go(self, conn: _Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def enqueue_req(self, conn: _Connection) -> None:
        """Let a request wait for its turn."""
        if not conn.patient.is_empty:
            conn.lane = lane_of(conn.patient.beginning, self.app.tenants)
            conn.is_large = conn.patient.is_large
        self._lanes.add(conn.lane, conn, is_large=conn.is_large)
        self._dispatch()

    def finish_request(self, conn: _Connection, fs: Any) -> None:
        """A request is answered: another one has its thread."""
        self._lanes.done(conn.lane, was_large=conn.is_large)
        super().finish_request(conn, fs)
        self._dispatch()

    def _dispatch(self) -> None:
        while (conn := self._lanes.next()) is not None:
            super().enqueue_req(conn)

    def init_process(self) -> None:
        """Begin to serve."""
        # A thread that comes back from the database waits for those that compute, this long for each.
        sys.setswitchinterval(SWITCH_SECONDS)
        super().init_process()

    def murder_pending(self) -> None:
        """Close connections whose request has not come in time."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        for conn in [each for each in self.pending_conns if each.timeout <= now]:
            self.pending_conns.remove(conn)
            self.poller.unregister(conn.sock)
            self._let_go(conn)

    def handle(self, conn: _Connection) -> Any:
        """Serve one request of a connection; runs in one of the threads."""
        patient = conn.patient
        if not conn.initialized:
            conn.init()
            conn.parser.unreader.sock = patient
        patient.resume()
        kept = super().handle(conn)
        if patient.is_over:
            # The main loop would read on for two seconds before it closes, and serve nobody meanwhile.
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)
            return False
        # gunicorn goes on at once with what it finds there of the next request.
        buffer = conn.parser.unreader.buf
        buffer.seek(0, SEEK_END)
        buffer.write(patient.end())
        return kept

    def _keepalive_after(self, conn: _Connection, keepalive: bool) -> bool:
        if not keepalive:
            return False
        conn.patient.hurry(DRAIN_SECONDS)
        return bool(conn.parser.finish_body(deadline=time.monotonic() + DRAIN_SECONDS))
