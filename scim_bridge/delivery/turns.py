"""Whose turn it is: tenants one after another, none of which keeps all places to itself (rule D2)."""

import threading
from collections.abc import Collection, Mapping

from scim_bridge.delivery.budget import LEASE_MARGIN_SECONDS

REST_SECONDS = 0.5
"""How long a tenant that had nobody due is looked at after all others."""


MAX_PLACES = 64
"""How many threads one process has at most, unless it delivers for more tenants."""


def places_for(calls: int, per_second: float | None) -> int:
    """How many of a tenant's people a worker has in hand: half as many again as it may make calls at a time.

    So Ditio does not idle while the others commit. No more than the pace lets through before a lease grows old, though.
    """
    most = calls + max(1, calls // 2)
    return most if per_second is None else max(1, min(most, int(per_second * LEASE_MARGIN_SECONDS / 2)))


def pace_seconds(places: int, per_second: float | None) -> float:
    """How long a call waits for its turn at most: behind one of everybody in hand, and of a list that is being read."""
    return 0.0 if per_second is None else (places + 1) / per_second


def threads_for(limits: Collection[int]) -> int:
    """How many threads a worker has. :param limits: For each tenant, how many of its people may be in hand."""
    # One for each tenant at least, or the slow ones could keep all of them.
    return min(max(MAX_PLACES, len(limits)), sum(limits))


class Turns:
    """Gives out the places of one worker process; safe to share between threads.

    :param limits: For each tenant, the most places that it may have at a time.
    :param places: How many there are.
    """

    def __init__(self, limits: Mapping[str, int], places: int) -> None:
        self._limits = dict(limits)
        self._places = places
        self._taken = dict.fromkeys(limits, 0)
        self._order = list(limits)
        self._in_vain = dict.fromkeys(limits, float("-inf"))
        self._lock = threading.Lock()

    def candidates(self, now: float) -> list[str]:
        """Who may take a place now, in turn: whoever was served last comes last.

        A second place is only for a tenant that leaves one for every other that has none: a slow company may have
        to wait for its Ditio, and nobody else with it. Tenants that had nobody due a moment ago come after the others:
        many idle companies cost a busy one nothing.

        :param now: On the monotonic clock.
        """
        with self._lock:
            may = [name for name in self._order if self._may(name)]
            return sorted(may, key=lambda name: now - self._in_vain[name] < REST_SECONDS)

    def had_nobody(self, name: str, now: float) -> None:
        """A tenant was looked at in vain."""
        with self._lock:
            self._in_vain[name] = now

    def take(self, name: str) -> None:
        """A tenant got a place; its turn is over."""
        with self._lock:
            self._taken[name] += 1
            self._order.remove(name)
            self._order.append(name)

    def give_back(self, name: str) -> None:
        """The place is free again."""
        with self._lock:
            self._taken[name] -= 1

    def _may(self, name: str) -> bool:
        free = self._places - sum(self._taken.values())
        if free <= 0 or self._taken[name] >= self._limits[name]:
            return False
        without = sum(1 for other, taken in self._taken.items() if other != name and not taken)
        return not self._taken[name] or free > without
