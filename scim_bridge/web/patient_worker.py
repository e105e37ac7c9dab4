"""gunicorn's threaded worker, whose main loop collects a request before a thread is given to it (rules A3, A9)."""

import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from os import SEEK_END
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from scim_bridge.web.auth.throttle import whole_network
from scim_bridge.web.lanes import OTHERS, Lanes, lane_of
from scim_bridge.web.patience import Patient

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
        self.patient = Patient(sock, worker.app.client_seconds)
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
