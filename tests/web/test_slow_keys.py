"""An issuer that is slow, or never ends its answer: no one with a good credential waits for it."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from joserfc.jwk import RSAKey

from scim_bridge.web.auth import keys
from scim_bridge.web.auth.keys import MOST_RUNNING, OLD_AFTER_SECONDS, Keys, KeysUnavailable
from tests.conftest import Clock

KEY = RSAKey.generate_key(2048)


class Slow:
    """Shows its keys once it is told to."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.asked = 0

    def fetch(self, _: str) -> dict[str, RSAKey]:
        self.asked += 1
        self.goes_on.wait()
        return {"known": KEY}


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.goes_on.set()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "FETCH_SECONDS", 0.3)
    monkeypatch.setattr(keys, "KNOWN_SECONDS", 0.0)


def test_who_has_a_known_key_does_not_wait_for_the_issuer(clock: Clock, slow: Slow):
    """A3: neither for a fetch of his own, because keys are old, nor for that of a stranger who names another."""
    keys = Keys("x", min_refetch_seconds=30, monotonic=clock.monotonic, fetch=slow.fetch)
    slow.goes_on.set()
    assert keys.get("known") is KEY
    slow.goes_on.clear()

    clock.passes(seconds=OLD_AFTER_SECONDS)
    assert keys.get("known") is KEY

    def asks() -> None:
        with pytest.raises(KeysUnavailable):
            keys.get("made-up")

    stranger = threading.Thread(target=asks)
    stranger.start()
    assert keys.get("known") is KEY
    stranger.join()
    assert keys.get("known") is KEY
    assert slow.asked == 2


def test_a_fetch_that_takes_too_long_is_given_up_and_is_not_forgotten(clock: Clock, slow: Slow):
    """A3: 503 after its time; no more of them are left running than a few."""
    keys = Keys("x", min_refetch_seconds=30, monotonic=clock.monotonic, fetch=slow.fetch)
    for _ in range(2 * MOST_RUNNING):
        with pytest.raises(KeysUnavailable):
            keys.get("known")
        clock.passes(seconds=31)
    assert slow.asked == MOST_RUNNING


def test_one_deadline_is_for_all_of_a_fetch(clock: Clock):
    """A3: a letter of a header now and then is no progress, and no time-out of a socket notices."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as client:
                client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not over.wait(0.05):
                    client.sendall(b"a")

        thread = threading.Thread(target=drip)
        thread.start()
        keys = Keys(f"http://127.0.0.1:{server.getsockname()[1]}/", min_refetch_seconds=30, monotonic=clock.monotonic)
        began = time.monotonic()
        with pytest.raises(KeysUnavailable):
            keys.get("known")
        assert time.monotonic() - began < 3
        over.set()
        thread.join()
