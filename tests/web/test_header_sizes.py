"""What gunicorn reads of a request before the bridge sees it is bounded: a line, a header, their number."""

import pytest
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from gunicorn.http.parser import RequestParser

from scim_bridge import logs
from scim_bridge.web.server import Server


@pytest.fixture
def server() -> Server:
    return Server(
        lambda: pytest.fail("nobody asks for the application"),
        listener=0,
        workers=1,
        threads=1,
        client_seconds=1.0,
        log_level="info",
        log_config=logs.standard_config("info", "json"),
        when_ready=lambda: None,
    )


def parsed(server: Server, *headers: str, line: str = "GET /healthz HTTP/1.1") -> object:
    sent = "\r\n".join([line, "Host: x", *headers, "", ""]).encode()
    return next(RequestParser(server.cfg, iter([sent]), ("127.0.0.1", 1)))


def test_what_entra_sends_fits(server: Server):
    """A JWT of a few thousand letters, and a long filter, percent-encoded."""
    parsed(server, f"Authorization: Bearer {'x' * 6000}", *[f"X-{n}: y" for n in range(90)])
    parsed(server, line=f"GET /scim/v2/Users?filter={'%20' * 2500} HTTP/1.1")


@pytest.mark.parametrize(
    ("headers", "line"),
    [
        ([f"Authorization: Bearer {'x' * 9000}"], "GET / HTTP/1.1"),
        ([f"X-{number}: y" for number in range(101)], "GET / HTTP/1.1"),
        ([f"X-{number}: {'y' * 8000}" for number in range(101)], "GET / HTTP/1.1"),
        ([], f"GET /?{'x' * 9000} HTTP/1.1"),
    ],
    ids=["a long header", "many headers", "many long headers", "a long line"],
)
def test_more_is_refused_unread(server: Server, headers: list[str], line: str):
    """Design, section 10: header sizes are bounded."""
    with pytest.raises((LimitRequestHeaders, LimitRequestLine)):
        parsed(server, *headers, line=line)
