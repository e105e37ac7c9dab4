"""The client: keep-alive connections that send prepared bytes, one thread each, and watch the clock."""

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from scim_bridge.errors import BridgeError
from tests.benchmarks.figures import percentile

TIMEOUT_SECONDS = 60.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

Source = Callable[[], bytes]
"""The next request, as bytes. Called by several threads."""


def get(path: str, query: str, token: str) -> bytes:
    """A GET, whole."""
    return f"GET {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def post(path: str, body: bytes, content_type: str, token: str) -> bytes:
    """A POST, whole."""
    return _with_body("POST", path, body, content_type, token)


def patch(path: str, body: bytes, content_type: str, token: str) -> bytes:
    """A PATCH, whole."""
    return _with_body("PATCH", path, body, content_type, token)


def _with_body(method: str, path: str, body: bytes, content_type: str, token: str) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    head: bytes
    body: bytes

    @property
    def content_type(self) -> str:
        """The value of `Content-Type`."""
        found = re.search(rb"\r\ncontent-type: *([^\r]+)", self.head, re.IGNORECASE)
        return found.group(1).decode() if found else ""


class Connection:
    """One connection that stays open; the least work that reads an answer correctly, for the client is not measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> Answer:
        """Send a request and read its answer. :raises BridgeError: the connection ended."""
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        length = _LENGTH.search(received, 0, end + 2)
        wanted = end + 4 + (int(length.group(1)) if length else 0)
        while len(received) < wanted:
            received += self._more()
        return Answer(int(received[9:12]), received[: end + 2], received[end + 4 :])

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _more(self) -> bytes:
        received = self._socket.recv(65536)
        if not received:
            raise BridgeError("the server closed the connection instead of answering")
        return received


@dataclass(frozen=True, slots=True)
class Burst:
    """One round of one candidate."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    client_cpu_seconds: float
    server_cpu_seconds: float | None

    @property
    def per_second(self) -> float:
        """Answers each second."""
        return self.requests / self.seconds


def burst(
    port: int,
    source: Source,
    status: int,
    *,
    connections: int,
    seconds: float,
    requests: int | None,
    server_cpu: Callable[[], float | None],
) -> Burst:
    """Keep a server busy over several connections at once.

    :param status: What each answer has to be.
    :param requests: How many to send; None for as many as go into `seconds`.
    :param server_cpu: How much CPU time the server has used so far.
    :raises BridgeError: an answer is another; the round tells nothing then.
    """
    opened = [Connection(port) for _ in range(connections)]
    shares = [None] * connections if requests is None else _shares(requests, connections)
    latencies: list[list[float]] = [[] for _ in opened]
    failures: list[Exception] = []
    together = threading.Barrier(connections + 1)

    def keep_asking(connection: Connection, share: int | None, took: list[float]) -> None:
        together.wait()
        deadline = time.perf_counter() + seconds
        try:
            while (now := time.perf_counter()) < deadline if share is None else len(took) < share:
                request = source()
                now = time.perf_counter()
                answer = connection.exchange(request)
                took.append(time.perf_counter() - now)
                if answer.status != status:
                    raise BridgeError(f"answered {answer.status} instead of {status}: {answer.body[:500].decode()}")
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=keep_asking, args=each) for each in zip(opened, shares, latencies, strict=True)]
    for thread in threads:
        thread.start()
    cpu_before = server_cpu()
    together.wait()
    began, client_before = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    elapsed, client = time.perf_counter() - began, time.process_time() - client_before
    cpu_after = server_cpu()
    for connection in opened:
        connection.close()
    if failures:
        raise failures[0]
    took = [each for one in latencies for each in one]
    return Burst(
        len(took),
        elapsed,
        percentile(took, 0.5) * 1000,
        percentile(took, 0.95) * 1000,
        client,
        None if cpu_before is None or cpu_after is None else cpu_after - cpu_before,
    )


def _shares(requests: int, connections: int) -> list[int | None]:
    return [requests // connections + (1 if place < requests % connections else 0) for place in range(connections)]
