"""Clients that take their time: none holds a thread longer than `SERVER__CLIENT_SECONDS` (rule A3)."""

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker


class Patient:
    """A connection's socket as the parser reads it, header and body: until a deadline for the whole request.

    Without it a client that sends a letter now and then is waited for without end, since each one resets the time-out
    of a socket. Past the deadline it is as if the client had gone: the server closes the connection.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._deadline = 0.0
        self.is_over = False
        """Whether the time of a request was not enough."""

    def begin(self) -> None:
        """A request begins: its first letter is there."""
        self._deadline = time.monotonic() + self._seconds

    def recv(self, size: int) -> bytes:
        """Up to so many bytes. :raises NoMoreData: the time for this request is over."""
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
            # For the answer, which may be long: a client that does not take it is not waited for either.
            self._connection.settimeout(self._seconds)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types.
    """gunicorn's threaded worker, with a time for each request. The application says how long: `client_seconds`."""

    def handle(self, conn: TConn) -> Any:
        """Serve one request of a connection; runs in one of the threads."""
        if not conn.initialized:
            if not conn.wait_for_data(0):
                # Nothing was sent yet: the main loop waits for it, and no thread.
                return _DEFER
            conn.init()
            conn.parser.unreader.sock = Patient(conn.sock, self.app.client_seconds)
        patient = conn.parser.unreader.sock
        patient.begin()
        kept = super().handle(conn)
        if patient.is_over:
            # The main loop would read on for two seconds before it closes, and serve nobody meanwhile.
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)
            return False
        return kept
