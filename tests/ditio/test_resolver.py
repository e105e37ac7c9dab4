"""A resolver that hangs: the look-up of a name counts against a call's time-out (rules A3, A4, D1)."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scim_bridge.clients import build_client
from scim_bridge.errors import TransientError
from scim_bridge.http import keys
from scim_bridge.http.exchange import pooled_sessions
from scim_bridge.http.keys import FetchFailed, fetched
from scim_bridge.settings import Settings

SOON = 3.0


@pytest.fixture(autouse=True)
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's own resolver, which answers no one until the test is over."""
    over = threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    over.set()


def a_client():
    ditio = {"client_id": "a", "client_secret": "b"}
    urls = {"api_url": "https://ditio.invalid/core", "identity_url": "https://identity.ditio.invalid"}
    return build_client(Settings.model_validate({"ditio": {**ditio, **urls, "timeout_seconds": 0.5}}))


def test_no_call_to_ditio_outlasts_its_time_out():
    """A4, D1: neither a request's thread nor a lease waits for a resolver; nothing was sent."""
    began = time.monotonic()
    with pytest.raises(TransientError, match="no connection") as error:
        a_client().check(within=2.5)

    assert not error.value.ambiguous
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("url", ["http://ditio.invalid/a", "https://ditio.invalid/a"])
@pytest.mark.parametrize("proxies", [{}, {"http": "http://proxy.invalid", "https": "http://proxy.invalid"}])
def test_neither_does_any_connection(url: str, proxies: dict[str, str]):
    """A4: with and without TLS, and through a proxy, whose name has to be looked up as well."""
    began = time.monotonic()
    with pytest.raises(OSError, match=r"timed out|within"):
        pooled_sessions(1)().get(url, timeout=0.3, proxies=proxies)

    assert time.monotonic() - began < SOON


def test_nor_does_a_fetch_of_an_issuer_s_keys(monkeypatch: pytest.MonkeyPatch):
    """A3: a person who signs in is answered within the request's budget."""
    monkeypatch.setattr(keys, "FETCH_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(FetchFailed):
        fetched("https://login.invalid/keys")

    assert time.monotonic() - began < SOON
