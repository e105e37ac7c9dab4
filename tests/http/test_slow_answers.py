"""An answer that comes slowly and steadily: its time is over all the same, wherever it dawdles (rules A4, D1)."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf

import pytest

from scim_bridge.clients import build_client
from scim_bridge.errors import EntraError, TransientError
from scim_bridge.graph.client import GraphClient
from scim_bridge.graph.config import ClientSecret, GraphConfig
from scim_bridge.http import keys
from scim_bridge.http import session as sessions
from scim_bridge.http.exchange import PerThread, pooled_sessions
from scim_bridge.http.keys import FetchFailed, fetched
from scim_bridge.http.limiter import Limiter
from scim_bridge.http.session import ApiSession, Tokens
from scim_bridge.settings import Settings

LIMIT = 0.5
SOON = 5.0
"""What a busy machine may need beyond the limit; the servers below go on for longer."""

GOES_ON = 20.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NAMED = b"\x1f\x8b\x08\x08" + bytes(6)
"""The beginning of a gzip file with a name, which never ends: bytes come, and none of the body."""

DAWDLES = {
    "status": (b"", b"H"),
    "header": (HEAD + b"X-Long: ", b"x"),
    "headers": (HEAD, b"X-Another: x\r\n"),
    "length of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "packed body": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n" + NAMED, b"n"),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-Another: x\r\n"),
}


@contextmanager
def serving(first: bytes, then: bytes, every: float, *, most: int | None = None, answers: int = 1) -> Iterator[str]:
    """A server that answers each request of a connection with `first`, and then `then` again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            for _ in range(answers):
                if not connection.recv(65536):
                    return
                ends_at, count = time.monotonic() + GOES_ON, 0
                connection.sendall(first)
                while not over.is_set() and time.monotonic() < ends_at and (most is None or count < most):
                    over.wait(every)
                    connection.sendall(then)
                    count += 1

    def go_on() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(answer, connection), daemon=True).start()

    threading.Thread(target=go_on, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.close()


def _quietly(answer: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with suppress(OSError):  # The client has left.
        answer(connection)


def an_api(url: str, timeout_seconds: float = LIMIT) -> ApiSession:
    limiter = Limiter(1)
    return ApiSession(
        url,
        "DITIO__API_URL",
        timeout_seconds=timeout_seconds,
        tokens=Tokens(lambda within: ("token", 3600.0), service="Ditio", limiter=limiter, monotonic=time.monotonic),
        limiter=limiter,
        sessions=PerThread(pooled_sessions(1)),
        monotonic=time.monotonic,
        new_id=lambda: "id",
    )


def in_pieces(api: ApiSession) -> bytes:
    read = b""
    with api.stream("/a", what="Reading", operation="read", within=None) as answer:
        while piece := answer.read(65536):
            read += piece
    return read


@pytest.mark.parametrize("where", DAWDLES)
def test_a_whole_answer_has_one_time_limit(where: str):
    first, then = DAWDLES[where]
    with serving(first, then, 0.03) as url:
        began = time.monotonic()
        with pytest.raises(TransientError):
            an_api(url).request("GET", "/a", what="Reading", operation="read")

        assert time.monotonic() - began < SOON


@pytest.mark.parametrize("where", [each for each in DAWDLES if "header" not in each and each != "status"])
def test_a_list_that_is_read_in_pieces_has_one_too(where: str, monkeypatch: pytest.MonkeyPatch):
    """A piece is filled before the reader sees it, so the reader alone can't count."""
    monkeypatch.setattr(sessions, "LONGEST_SECONDS", LIMIT)
    first, then = DAWDLES[where]
    with serving(first, then, 0.03) as url:
        began = time.monotonic()
        with pytest.raises(TransientError):
            in_pieces(an_api(url))

        assert time.monotonic() - began < SOON


def test_a_list_may_take_longer_than_one_piece_of_it():
    """The limit of the whole is another than that of each piece."""
    with serving(HEAD + b"Content-Length: 12\r\n\r\n", b" ", 0.1, most=12) as url:
        began = time.monotonic()
        read = in_pieces(an_api(url))

    assert len(read) == 12
    assert time.monotonic() - began > LIMIT


def test_a_connection_that_is_used_again_has_all_its_time_again():
    """Each answer takes most of the limit; two of them take more."""
    with serving(HEAD + b"Content-Length: 3\r\n\r\n", b" ", 0.3, most=3, answers=2) as url:
        api = an_api(url, 1.5)
        for _ in range(2):
            assert api.request("GET", "/a", what="Reading", operation="read").body == b"   "


def test_a_packed_answer_is_read():
    packed = gzip.compress(b'{"a": 1}')
    first = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with serving(first + packed, b"", 0.0, most=0) as url:
        assert an_api(url, 10.0).request("GET", "/a", what="Reading", operation="read").document() == {"a": 1}


@pytest.mark.parametrize("where", ["status", "headers", "body"])
def test_neither_ditio_nor_graph_nor_an_issuer_holds_a_caller(where: str, monkeypatch: pytest.MonkeyPatch):
    """The token is asked for first, and its answer is the one that dawdles."""
    monkeypatch.setattr(keys, "FETCH_SECONDS", LIMIT)
    first, then = DAWDLES[where]
    with serving(first, then, 0.03) as url:
        ditio = {"client_id": "a", "client_secret": "b", "api_url": url, "identity_url": url, "timeout_seconds": LIMIT}
        graph = GraphConfig("t", "c", ClientSecret("s"), "p", graph_url=url, login_url=url, timeout_seconds=LIMIT)
        began = time.monotonic()
        with pytest.raises(TransientError):
            build_client(Settings.model_validate({"ditio": ditio})).check()
        with pytest.raises(EntraError):
            GraphClient(graph).sign_in()
        with pytest.raises(FetchFailed):
            fetched(url)

        assert time.monotonic() - began < 3 * SOON


def test_of_a_steady_graph_a_read_ends_all_the_same():
    """Each call is in time; there is no end of them."""
    now = [0.0]
    client = GraphClient(
        GraphConfig("t", "c", ClientSecret("s"), "p", requests_per_second=inf), monotonic=lambda: now[0]
    )
    with client.limited(60.0):
        now[0] = 59.0
        assert client._left("Reading") == 1.0
        with client.limited(30.0):
            assert client._left("Reading") == 1.0  # The shorter one counts.
        now[0] = 60.0
        with pytest.raises(EntraError, match="too slow") as error:
            client._left("Reading")
    assert error.value.is_passing
    assert client._left("Reading") is None
