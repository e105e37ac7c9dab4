"""What the environment says of connections: proxies, exceptions from them, certificates that are trusted."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from scim_bridge.http.exchange import pooled_sessions

CALLS = ("https://ditio.test/core/a", "https://identity.ditio.test/connect/token", "http://ditio.test:8080/core/a")
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Spy(BaseAdapter):
    """Remembers how each request would go out, and answers 204."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str | None, dict[str, str], dict[str, Any]]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.seen.append((request.url, dict(request.headers), options))
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 204, request, str(request.url)
        return answer

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def spied(session: requests.Session) -> Spy:
    spy = Spy()
    session.mount("https://", spy)
    session.mount("http://", spy)
    return spy


def call_all(session: requests.Session) -> Spy:
    spy = spied(session)
    for url in CALLS * 2:
        session.request("GET", url, timeout=1.0, stream=True, allow_redirects=False)
    return spy


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"HTTPS_PROXY": "http://proxy.test:3128"},
        {"HTTP_PROXY": "http://proxy.test:3128", "HTTPS_PROXY": "http://other.test:3128"},
        {"ALL_PROXY": "http://proxy.test:3128", "NO_PROXY": "identity.ditio.test"},
        {"ALL_PROXY": "http://proxy.test:3128", "NO_PROXY": "ditio.test:8080"},
        {"https_proxy": "http://proxy.test:3128", "no_proxy": ".ditio.test"},
        {"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": "*"},
        {"REQUESTS_CA_BUNDLE": "/etc/company.pem"},
        {"CURL_CA_BUNDLE": "/etc/other.pem", "HTTPS_PROXY": "http://proxy.test:3128"},
    ],
)
def test_calls_go_out_as_with_plain_requests(said: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """The first one and those after it; a company may let its servers out through a proxy alone."""
    for name, value in said.items():
        monkeypatch.setenv(name, value)

    assert call_all(pooled_sessions(1)()).seen == call_all(requests.Session()).seen


def test_a_proxy_is_one_of_the_things_compared(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "identity.ditio.test")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/company.pem")

    api, identity, _ = call_all(pooled_sessions(1)()).seen[3:]
    assert api[2]["proxies"]["https"] == "http://proxy.test:3128"
    assert "https" not in identity[2]["proxies"]
    assert api[2]["verify"] == "/etc/company.pem"


def test_the_environment_is_read_once_for_each_server(monkeypatch: pytest.MonkeyPatch):
    """It has a hundred lines on many a server, and does not change while a process runs."""
    read, read_proxies = [], requests.sessions.get_environ_proxies

    def counted(url: str, no_proxy: str | None = None) -> Any:
        read.append(url)
        return read_proxies(url, no_proxy)

    monkeypatch.setattr(requests.sessions, "get_environ_proxies", counted)
    call_all(pooled_sessions(1)())

    assert read == list(CALLS)


def test_what_the_caller_says_counts_for_his_request_alone():
    session = pooled_sessions(1)()
    spy = spied(session)
    for options in ({}, {"verify": False}, {"proxies": {"https": "http://proxy.test:3128"}}, {}):
        session.get(CALLS[0], **options)

    seen = [(options["verify"], dict(options["proxies"])) for _, _, options in spy.seen]
    assert seen == [(True, {}), (False, {}), (True, {"https": "http://proxy.test:3128"}), (True, {})]
