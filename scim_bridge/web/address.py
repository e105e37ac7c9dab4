"""Whose request it is, where proxies stand in front: only what a trusted proxy says of its client is believed."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from flask import Request

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Finds the client's address. :param trusted: The proxies of `SERVER__TRUSTED_PROXIES`."""

    trusted: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def behind(cls, proxies: Iterable[str]) -> "Addresses":
        """With the proxies as the settings name them."""
        return cls(tuple(ip_network(each) for each in proxies))

    def of(self, request: Request) -> str:
        """The address of whoever asks: the last one in `X-Forwarded-For` that is no proxy of ours.

        Proxies add to the end, so what stands before it is the client's own claim.
        """
        address = _parsed(request.remote_addr or "")
        if address is None:
            return UNKNOWN
        said = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
        while self._is_trusted(address) and said:
            before = _parsed(said.pop())
            if before is None:
                break
            address = before
        return str(address)

    def is_trusted(self, address: str) -> bool:
        """Whether a connection comes from a proxy of ours."""
        parsed = _parsed(address)
        return parsed is not None and self._is_trusted(parsed)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address, without the port that some proxies add."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
