"""Which request has the next thread: those of one company after those of another (rule A9).

A company that sends more than it has threads for waits for its own requests, and no other company does. Used by the
main loop alone, which is one thread.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scim_bridge.settings import DEFAULT_TENANT

Waiting = TypeVar("Waiting")

LARGE_BYTES = 8 * 1024
"""Longer requests than this are large: they take the processor, and one of a company's runs at a time. A user as Entra
sends them has half as much."""

OPEN, OTHERS = "/open", "/others"
"""The lanes of what is nobody's: whether the process lives, and all the rest. No company is called like this."""

_OPEN = re.compile(rb"\S+ /(?:healthz|readyz|metrics)[ ?]")
_TENANT = re.compile(rb"\S+ /+(?:tenants/+([^/ ]{1,100})/+)?scim/")


def lane_of(request: bytes, tenants: Collection[str]) -> str:
    """Whose requests a request is among, from how it begins; whose it truly is, is told by its credential."""
    found = _TENANT.match(request)
    if found is None:
        return OPEN if _OPEN.match(request) else OTHERS
    name = found[1].decode(errors="replace") if found[1] else DEFAULT_TENANT
    return name if name in tenants else OTHERS


@dataclass(eq=False)
class _Lane(Generic[Waiting]):
    small: deque[Waiting] = field(default_factory=deque)
    large: deque[Waiting] = field(default_factory=deque)
    running: int = 0
    has_large: bool = False


class Lanes(Generic[Waiting]):
    """The requests of one process that wait for a thread, and how many of each company have one.

    :param companies: How many there are: where there is one, all threads but one are for it.
    """

    def __init__(self, threads: int, companies: int) -> None:
        self._free = threads
        self._limit = max(1, threads - 1 if companies < 2 else threads // 2)
        self._lanes: OrderedDict[str, _Lane[Waiting]] = OrderedDict()

    def add(self, name: str, waiting: Waiting, *, is_large: bool) -> None:
        """A request is here."""
        lane = self._lanes.setdefault(name, _Lane())
        (lane.large if is_large else lane.small).append(waiting)

    def next(self) -> Waiting | None:
        """The request that has the next free thread; None if there is no such thread, or nobody for it."""
        if self._free <= 0:
            return None
        for name, lane in self._lanes.items():
            if lane.running >= self._limit:
                continue
            is_large = bool(lane.large) and not lane.has_large
            if not is_large and not lane.small:
                continue
            lane.has_large = lane.has_large or is_large
            lane.running += 1
            self._free -= 1
            self._lanes.move_to_end(name)
            return lane.large.popleft() if is_large else lane.small.popleft()
        return None

    def done(self, name: str, *, was_large: bool) -> None:
        """A request has given its thread back."""
        lane = self._lanes[name]
        lane.running -= 1
        self._free += 1
        if was_large:
            lane.has_large = False
