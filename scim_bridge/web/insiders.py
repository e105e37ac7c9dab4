"""Who is told details: whoever asks from this machine, or has the metrics token."""

import ipaddress
import secrets

from flask import Request

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")
"""What a proxy on this machine says of whom it asks for: then loopback is the proxy, and not who asks."""


def is_insider(request: Request, token: str | None) -> bool:
    """Whether the request comes from loopback itself, or carries the token as bearer.

    :param token: `SERVER__METRICS_TOKEN`; None where there is none.
    """
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if token is not None and scheme.lower() == "bearer":
        return secrets.compare_digest(sent.strip().encode(), token.encode())
    return _is_loopback(request.remote_addr) and not any(name in request.headers for name in FORWARDED)


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
