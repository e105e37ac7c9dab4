"""Clients that dribble, on real sockets: no one else waits for them."""

import socket
import sys
import threading
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests

from scim_bridge.web.patient_worker import MOST_CONNECTIONS
from tests.processes.conftest import Bridge
from tests.processes.running import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")

THREADS = 2

HEADER = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


class Dribbler:
    """Sends a start, then a letter every tenth of a second, until the server has enough of it."""

    def __init__(self, address: tuple[str, int], start: bytes, letter: bytes) -> None:
        self._letter = letter
        self._over = threading.Event()
        self.socket = socket.create_connection(address, timeout=PATIENCE_SECONDS)
        self.socket.sendall(start)
        self._thread = threading.Thread(target=self._dribble, daemon=True)
        self._thread.start()

    def is_let_go(self) -> bytes:
        """Wait until the server closes; what it answered."""
        answer = b""
        try:
            while chunk := self.socket.recv(4096):
                answer += chunk
        except ConnectionError:
            pass
        return answer

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.socket.close()

    def _dribble(self) -> None:
        while not self._over.wait(0.1):
            try:
                self.socket.sendall(self._letter)
            except OSError:
                return


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_clients_that_dribble_or_say_nothing_hold_no_one_up(bridge: Bridge):
    """A3: no thread is given to a request that is not here; one address has so many connections, for so long."""
    bridge.settings |= {"SCIM_BRIDGE_SERVER__WORKERS": "1", "SCIM_BRIDGE_SERVER__THREADS": str(THREADS)}
    bridge.serves("--without-worker")
    parts = urlsplit(bridge.url)
    address = (str(parts.hostname), int(parts.port or 0))
    starts = [b"GET /healthz HTTP/1.1\r\nX-Slow: ", HEADER + b"Content-Length: 5000\r\n\r\n"]
    with ExitStack() as stack:
        for _ in range(20):
            for start in starts:
                stack.callback(Dribbler(address, start, b"a").close)
        assert requests.get(f"{bridge.url}/healthz", timeout=3).ok

        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(MOST_CONNECTIONS)]
        for one in silent:
            one.settimeout(PATIENCE_SECONDS)
        # The last ones are too many; the first ones are let go when they have said nothing for so long.
        assert _is_closed(silent[-1])
        assert _is_closed(silent[0])
    eventually(lambda: bridge.asks("GET", "/scim/v2/Users").ok, "served")


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_connection_is_kept_and_requests_may_follow_each_other_at_once(bridge: Bridge):
    """RFC 9112 §9.3.2: what was sent ahead is answered in order; a client may wait to be told to send its body."""
    bridge.serves("--without-worker")
    parts = urlsplit(bridge.url)
    asks = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    waits = HEADER + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=PATIENCE_SECONDS) as client:
        client.sendall(asks * 3 + asks[:20])
        _reads(client, b"HTTP/1.1 200 OK", 3)
        client.sendall(asks[20:])
        _reads(client, b"HTTP/1.1 200 OK", 1)
        client.sendall(waits)
        _reads(client, b"HTTP/1.1 100 Continue", 1)
        client.sendall(b"a=b&c" + asks)
        _reads(client, b"HTTP/1.1 200 OK", 1)


def _reads(client: socket.socket, line: bytes, times: int) -> None:
    received = b""
    while received.count(line) < times:
        more = client.recv(4096)
        assert more, received
        received += more


SECRET = b"scimbcs-what-only-the-client-knows"

UNREADABLE = [
    HEADER + b"Transfer-Encoding: chunked\r\n\r\ngrant_type=client_credentials&client_secret=" + SECRET,
    HEADER + b"Transfer-Encoding: chunked\r\n\r\n5;" + SECRET + b"\r\nabcde" + SECRET + b"\r\n",
    b"POST /oauth/token HTTP/1.1\r\nclient secret: " + SECRET + b"\r\n\r\n",
    b"client_secret=" + SECRET + b"\r\n\r\n",
    b"GET /" + SECRET + b" HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nX-Y: \x1b[31m\xc2\x85" + SECRET + b"\r\n " + SECRET + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: " + SECRET + b"\r\n\r\n",
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_of_a_request_that_cannot_be_read_is_logged(bridge: Bridge):
    """A9: a body that is taken for a header, or for the size of a chunk, may be a secret; and it is never a 500."""
    bridge.serves("--without-worker")
    parts = urlsplit(bridge.url)
    for sent in UNREADABLE * 10:
        with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=PATIENCE_SECONDS) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 ")), answer
    logged = bridge.logged()
    assert SECRET.decode() not in logged
    assert "Traceback" not in logged
    assert "serve.invalid_request" in logged
    assert logged.count("127.0.0.1") < 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("start", "letter"),
    [
        (b"GET /healthz HTTP/1.1\r\nX-Slow: ", b"a"),
        (HEADER + b"Content-Length: 5000\r\n\r\n", b"a"),
        (HEADER + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
    ids=["header", "body", "chunks"],
)
def test_a_client_that_dribbles_is_let_go(bridge: Bridge, start: bytes, letter: bytes):
    """A3: it holds no thread beyond SERVER__CLIENT_SECONDS; a person who is whole is answered meanwhile."""
    bridge.settings |= {
        "SCIM_BRIDGE_SERVER__WORKERS": "1",
        "SCIM_BRIDGE_SERVER__THREADS": str(THREADS),
        "SCIM_BRIDGE_SERVER__CLIENT_SECONDS": "1",
    }
    bridge.serves("--without-worker")
    parts = urlsplit(bridge.url)
    address = (str(parts.hostname), int(parts.port or 0))
    with ExitStack() as stack:
        # As many who send nothing at all: they never get a thread.
        for _ in range(10 * THREADS):
            stack.enter_context(socket.create_connection(address, timeout=PATIENCE_SECONDS))
        dribblers = [Dribbler(address, start, letter) for _ in range(2 * THREADS)]
        for each in dribblers:
            stack.callback(each.close)

        assert bridge.asks("GET", "/scim/v2/Users").status_code == 200
        for each in dribblers:
            answer = each.is_let_go()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        assert bridge.asks("GET", "/scim/v2/Users").status_code == 200
    assert "Traceback" not in bridge.logged()
