"""Who sends too many wrong credentials is told to wait; whoever has a right one is never asked about it (rule A3)."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

WINDOW_SECONDS = 60.0

MOST_ADDRESSES = 10_000
"""What is remembered at a time: beyond it the address whose failures began first is forgotten."""


class Failures:
    """Failures by address, in the memory of this process: a limit for each web process, gone when it ends.

    :param limit: How many an address may have in a minute.
    """

    def __init__(self, limit: int, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = Lock()

    def add(self, address: str) -> tuple[int, float | None]:
        """Count a failure.

        :returns: Which of its window's it is, and the seconds to wait if it is one too many.
        """
        who, now = whole_network(address), self._monotonic()
        with self._lock:
            began, count = self._counts.get(who, (now, 0))
            if now - began >= WINDOW_SECONDS:
                del self._counts[who]
                began, count = now, 0
            count += 1
            self._counts[who] = (began, count)
            while len(self._counts) > MOST_ADDRESSES:
                self._counts.popitem(last=False)
        return count, (began + WINDOW_SECONDS - now if count > self._limit else None)

    def is_first_too_many(self, count: int) -> bool:
        """Whether this one is worth a line in the log: those after it are not."""
        return count == self._limit + 1


def whole_network(address: str) -> str:
    """Of IPv6 one customer has 2^64 addresses: they count as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
