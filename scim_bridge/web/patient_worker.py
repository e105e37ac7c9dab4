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
"""A request longer than this is large: it uses the processor, and one per company runs at a time. A user as Entra
sends it is half as long."""

OPEN, OTHERS = "/open", "/others"
"""The lanes of requests that belong to no company: the health check, and all others. No company has such a name."""

_OPEN = re.compile(rb"\S+ /(?:healthz|readyz|metrics)[ ?]")
_TENANT = re.compile(rb"\S+ /+(?:tenants/+([^/ ]{1,100})/+)?scim/")


def lane_of(request: bytes, tenants: Collection[str]) -> str:
    """Return a request's lane, judged by how it begins; only its credential proves the company."""
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
    """The requests of one process that wait for a thread, and how many threads each company has.

    :param companies: How many there are; with only one, it may use all threads but one.
    """

    def __init__(self, threads: int, companies: int) -> None:
        self._free = threads
        self._limit = max(1, threads - 1 if companies < 2 else threads // 2)
        self._lanes: OrderedDict[str, _Lane[Waiting]] = OrderedDict()

    def add(self, name: str, waiting: Waiting, *, is_large: bool) -> None:
        """Add a request that has arrived."""
        lane = self._lanes.setdefault(name, _Lane())
        (lane.large if is_large else lane.small).append(waiting)

    def next(self) -> Waiting | None:
        """Return the request that gets the next free thread; None if no thread is free, or no request may have it."""
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
        """Note that a request has given its thread back."""
        lane = self._lanes[name]
        lane.running -= 1
        self._free += 1
        if was_large:
            lane.has_large = False


HEADER_SECONDS = 5.0
"""How long a client may take for the first byte, and then for the header."""

BEFOREHAND = 64 * 1024
"""How many bytes of a request are collected before it gets a thread; a whole user has a few thousand."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class RequestDeadline:
    """A connection's socket as the parser reads it, with one deadline for a whole request, header and body.

    A socket's own time-out starts anew with each byte, so a slow client could hold a thread without end. Past the
    deadline the client counts as gone: the server closes the connection.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._deadline = self._header_deadline = 0.0
        self.collected = b""
        """What has arrived of the request."""

        self.is_over = False
        """Whether the time of a request ran out."""

        self.has_ended = False
        """Whether the client sends no more."""

    @property
    def is_large(self) -> bool:
        """Return whether the request is one that uses the processor."""
        length = _LENGTH.search(self.collected.partition(b"\r\n\r\n")[0] + b"\r\n")
        return max(len(self.collected), int(length[1]) if length else 0) > LARGE_BYTES

    def resume(self) -> None:
        """Continue once the request has a thread: the client is not charged for waiting for one."""
        self._deadline = time.monotonic() + self._seconds

    def collect(self) -> bool:
        """Read what has arrived, without waiting. Return whether it needs a thread: it is whole, or too long."""
        if not self._deadline:
            now = time.monotonic()
            self._deadline, self._header_deadline = now + self._seconds, now + min(self._seconds, HEADER_SECONDS)
        self._connection.setblocking(False)
        with suppress(BlockingIOError):
            while not self.has_ended and len(self.collected) < BEFOREHAND:
                received = self._connection.recv(BEFOREHAND)
                self.collected += received
                self.has_ended = not received
        return self.has_ended or len(self.collected) >= BEFOREHAND or _is_whole(self.collected)

    @property
    def deadline(self) -> float:
        """Return when the awaited part of the request has to be here."""
        return self._deadline if b"\r\n\r\n" in self.collected else self._header_deadline

    def hurry(self, seconds: float) -> None:
        """Wait for the rest of this request no longer than this."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def end(self) -> bytes:
        """End a request that is answered; the next has a time of its own. Return what was collected of it already."""
        self._deadline = 0.0
        left, self.collected = self.collected, b""
        return left

    def recv(self, size: int) -> bytes:
        """Return up to so many bytes. :raises NoMoreData: the time for this request is over."""
        try:
            if self.collected:
                given, self.collected = self.collected[:size], self.collected[size:]
                return given
            # The parser has the header by now, or reads on after a part that was too long to collect.
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            return self._connection.recv(size)
        except TimeoutError:
            self.is_over = True
            raise NoMoreData(b"") from None
        finally:
            # For the answer, which may be long: the server does not wait for a client that does not read it.
            self._connection.settimeout(self._seconds)


def _is_whole(received: bytes) -> bool:
    """Return whether header and body are complete, so that the thread waits for no client."""
    header, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    if _EXPECTS.search(header + end):
        # The client sends no body before the server answers 100 Continue.
        return True
    if _CHUNKED.search(header + end):
        return body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(header + end)
    return length is None or len(body) >= int(length[1])


DRAIN_SECONDS = 0.5
"""How long the rest of an unread body is read, so that the connection can be used again."""

MOST_CONNECTIONS = 100
"""How many connections one address may have to one process; a trusted proxy may have any number."""

SWITCH_SECONDS = 0.0005
"""How long a thread computes before another one may."""

LOOK_SECONDS = 0.5
"""How often the worker looks for connections whose time is over."""


class _Connection(TConn):  # type: ignore[misc]  # gunicorn has no types.
    """A connection that counts for its address as long as it is open."""

    def __init__(self, worker: "PatientWorker", sock: socket.socket, client: Any, server: Any, address: str) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self.patient = RequestDeadline(sock, worker.app.client_seconds)
        # Otherwise gunicorn would wait for the first byte in a thread.
        self.data_ready = True
        self.lane, self.is_large = OTHERS, False
        self._open, self._address = worker.open_connections, address
        self._open[address] += 1

    def close(self, graceful: bool = False) -> None:
        """Close the connection."""
        self._open[self._address] -= 1
        if self._open[self._address] <= 0:
            del self._open[self._address]
        super().close(graceful)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types.
    """gunicorn's threaded worker, whose main loop collects a request before the request gets a thread.

    The application says how long a request may take (`client_seconds`), which addresses are proxies (`is_trusted`),
    and which companies there are (`tenants`).
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.open_connections: Counter[str] = Counter()
        self._lanes: Lanes[_Connection] = Lanes(self.cfg.threads, len(self.app.tenants))
        self._looked_at = 0.0

    def accept(self, listener: socket.socket) -> bool:
        """Accept a connection, unless its address has too many. Return whether one was waiting."""
        try:
            sock, client = listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True
        address = whole_network(str(client[0])) if client else ""
        if self.open_connections[address] >= MOST_CONNECTIONS and not self.app.is_trusted(client[0]):
            sock.close()
            return True
        self.nr_conns += 1
        self._collect(_Connection(self, sock, client, listener.getsockname(), address))
        return True

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or cease to accept connections. A server that stops gives its address up at once.

        gunicorn keeps the address until it has ended: clients would still connect, and never be answered.
        """
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            self.leave_address()

    def leave_address(self) -> None:
        """Take the connections that are waiting, and close the address: a proxy sends to another server at once."""
        for listener in self.sockets:
            if listener.fileno() < 0:
                continue  # A signal may come between two calls.
            while self.accept(listener):
                pass
            listener.close()

    def on_pending_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """Collect more of a request."""
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        self._collect(conn)

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """Begin the next request of a connection."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._collect(conn)

    def _collect(self, conn: _Connection) -> None:
        try:
            is_ready = conn.patient.collect()
        except OSError:
            self._let_go(conn)
            return
        if conn.patient.has_ended and not conn.patient.collected:
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
        if conn.patient.collected:
            conn.lane = lane_of(conn.patient.collected, self.app.tenants)
            conn.is_large = conn.patient.is_large
        self._lanes.add(conn.lane, conn, is_large=conn.is_large)
        self._dispatch()

    def finish_request(self, conn: _Connection, fs: Any) -> None:
        """Finish an answered request: another one gets its thread."""
        self._lanes.done(conn.lane, was_large=conn.is_large)
        super().finish_request(conn, fs)
        self._dispatch()

    def _dispatch(self) -> None:
        while (conn := self._lanes.next()) is not None:
            super().enqueue_req(conn)

    def init_process(self) -> None:
        """Begin to serve."""
        # A thread that comes back from the database waits this long for each thread that computes.
        sys.setswitchinterval(SWITCH_SECONDS)
        super().init_process()

    def murder_pending(self) -> None:
        """Close connections whose request has not arrived in time."""
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
            # The main loop would read for two more seconds before it closes, and serve no other client meanwhile.
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)
            return False
        # gunicorn continues at once with what it finds there of the next request.
        buffer = conn.parser.unreader.buf
        buffer.seek(0, SEEK_END)
        buffer.write(patient.end())
        return kept

    def _keepalive_after(self, conn: _Connection, keepalive: bool) -> bool:
        if not keepalive:
            return False
        conn.patient.hurry(DRAIN_SECONDS)
        return bool(conn.parser.finish_body(deadline=time.monotonic() + DRAIN_SECONDS))
