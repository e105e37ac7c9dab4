"""The time limit of one answer, kept at its socket: a time-out of the libraries begins anew with each byte."""

import io
import socket
import time
from contextlib import suppress
from http.client import HTTPResponse
from math import inf
from typing import Any


class Deadline:
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


class AnswerInTime(HTTPResponse):
    """An answer of which all counts: status, headers, lengths of chunks, and the body, packed or not."""

    def __init__(self, sock: socket.socket, *given: Any, **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.deadline = Deadline(sock.gettimeout())
        self.fp = io.BufferedReader(_Bytes(self.fp.detach(), sock, self.deadline))


class _Bytes(io.RawIOBase):
    """The bytes that come, until the time is over."""

    def __init__(self, bytes_of: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
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
