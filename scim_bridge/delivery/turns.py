"""Whose turn it is: tenants one after another, none of which keeps all places to itself (rule D2)."""

import threading
from collections.abc import Mapping


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
        self._lock = threading.Lock()

    def candidates(self) -> list[str]:
        """Who may take a place now, in turn: whoever was served last comes last.

        A second place is only for a tenant that leaves one for every other that has none: a slow company may have
        to wait for its Ditio, and nobody else with it.
        """
        with self._lock:
            return [name for name in self._order if self._may(name)]

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
