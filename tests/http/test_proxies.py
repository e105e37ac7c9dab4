"""Through a proxy too, it is known whether a write was sent: one that may have been is never simply repeated (R4)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from scim_bridge.errors import TransientError, Unreached
from scim_bridge.http.exchange import PerThread, pooled_sessions
from scim_bridge.http.limiter import Limiter
from scim_bridge.http.session import ApiSession, Tokens

DITIO, DITIO_OVER_TLS = "http://ditio.test", "https://ditio.test"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CUT = b"HTTP/1.1 20"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def a_proxy(answers: Sequence[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A proxy that gives these answers on one connection, and then closes it. Yields the requests as they come."""
    listener = socket.create_server(("127.0.0.1", 0))
    came: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for answer in answers:
                request = connection.recv(65536)
                while request.startswith(b"POST") and not request.endswith(b"{}"):
                    request += connection.recv(65536)
                came.append(request)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.delenv(name.lower(), raising=False)
    try:
        yield came
    finally:
        thread.join(5.0)
        listener.close()


def an_api(url: str) -> ApiSession:
    limiter = Limiter(1)
    return ApiSession(
        url,
        "DITIO__API_URL",
        timeout_seconds=5.0,
        tokens=Tokens(lambda within: ("token", 3600.0), service="Ditio", limiter=limiter, monotonic=time.monotonic),
        limiter=limiter,
        sessions=PerThread(pooled_sessions(1)),
        monotonic=time.monotonic,
        new_id=lambda: "id",
    )


def posts(api: ApiSession) -> None:
    api.request("POST", "/a", what="Creating", operation="create", json_body={})


@pytest.mark.parametrize("answers", [[b""], [CUT], [DONE, b""]], ids=["none", "cut short", "none on a kept connection"])
def test_a_write_that_the_proxy_took_may_have_been_done(answers: list[bytes], monkeypatch: pytest.MonkeyPatch):
    """The connection breaks after the request has left: the employee may exist, so no second one is created."""
    with a_proxy(answers, monkeypatch) as came:
        api = an_api(DITIO)
        for _ in answers[:-1]:
            posts(api)
        with pytest.raises(TransientError) as failed:
            posts(api)

    assert came[-1].startswith(b"POST http://ditio.test/a ")
    assert failed.value.ambiguous
    assert not isinstance(failed.value, Unreached)


def test_a_proxy_that_refuses_the_way_has_passed_nothing_on(monkeypatch: pytest.MonkeyPatch):
    with a_proxy([REFUSED], monkeypatch), pytest.raises(Unreached) as failed:
        posts(an_api(DITIO_OVER_TLS))

    assert not failed.value.ambiguous


def test_where_there_is_no_proxy_nothing_was_sent(monkeypatch: pytest.MonkeyPatch):
    """Neither before a connection has worked, nor after one has ended."""
    with a_proxy([DONE], monkeypatch):
        api = an_api(DITIO)
        posts(api)
    for each in (api, an_api(DITIO), an_api(DITIO_OVER_TLS)):
        with pytest.raises(Unreached) as failed:
            posts(each)
        assert not failed.value.ambiguous
