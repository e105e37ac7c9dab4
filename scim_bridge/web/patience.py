"""Clients that take their time: none holds a thread before its request is here, nor for long after (rule A3)."""

import re
import socket
import time
from contextlib import suppress

from gunicorn.http.errors import NoMoreData

from scim_bridge.web.lanes import LARGE_BYTES

HEADER_SECONDS = 5.0
"""How long a client may take for the first byte, and for the header from then on."""

BEFOREHAND = 64 * 1024
"""How much of a request is collected before a thread is given to it, in bytes; a whole user has a few thousand."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class Patient:
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
