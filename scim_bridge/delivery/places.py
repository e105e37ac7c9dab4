"""Places for deliveries while a request waits: few for all, and none for one company alone (rules A4, D2)."""

import threading
from collections.abc import Mapping


class Places:
    """The places of one web process; safe to share between threads.

    A company that has one gets another only if one stays free for whoever has none, and half of them at most: what its
    Ditio keeps waiting is its own. A write that finds no place is a worker's.

    :param limits: For each company, the most that it may have at a time.
    :param count: How many there are.
    """

    def __init__(self, limits: Mapping[str, int], count: int) -> None:
        share = count if len(limits) == 1 else max(1, count // 2)
        self._limits = {name: min(limit, share) for name, limit in limits.items()}
        self._keeps_free = 0 if len(limits) == 1 else 1
        self._taken = dict.fromkeys(limits, 0)
        self._free = count
        self._lock = threading.Lock()

    def take(self, tenant: str) -> bool:
        """Take a place, if there is one for this company. Never waits."""
        with self._lock:
            taken = self._taken[tenant]
            if taken >= self._limits[tenant] or self._free <= (self._keeps_free if taken else 0):
                return False
            self._taken[tenant] += 1
            self._free -= 1
            return True

    def give_back(self, tenant: str) -> None:
        """The place is free again."""
        with self._lock:
            self._taken[tenant] -= 1
            self._free += 1
