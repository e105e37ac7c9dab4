"""Who is told details: whoever asks from this machine, or has the metrics token."""

import ipaddress
import secrets
from urllib.parse import urlsplit

from flask import Request

FORWARDED = ("Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Original-For", "True-Client-Ip", "Cf-Connecting-Ip")
"""What a proxy on this machine says of whom it asks for: then loopback is the proxy, and not who asks. So it is with
all that begins as `X-Forwarded-For` does."""

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_insider(request: Request, token: str | None) -> bool:
    """Whether the request carries the token as bearer; where there is none, whether it comes from loopback itself.

    :param token: `SERVER__METRICS_TOKEN`; None where there is none.
    """
    if token is not None:
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(sent.strip().encode(), token.encode())
    return _is_loopback(request.remote_addr) and not _came_through_proxy(request)


def _came_through_proxy(request: Request) -> bool:
    """Whether there is any sign of one: what it adds, the public name that it was asked for, or nginx's HTTP/1.0."""
    names = {name.title() for name, _ in request.headers}
    adds = any(name.startswith("X-Forwarded") for name in names) or not names.isdisjoint(FORWARDED)
    return adds or _host(request) not in LOCAL_NAMES or request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"


def _host(request: Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        return None


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
