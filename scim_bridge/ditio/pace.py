"""How fast calls follow one another, all threads of a process together (rule D2)."""

import threading
import time
from collections.abc import Callable

from scim_bridge.errors import BudgetSpent


class Pace:
    """Lets calls start at even distances.

    :param per_second: How many in a second; None for as many as there are.
    """

    def __init__(
        self,
        per_second: float | None,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._distance = 1.0 / per_second if per_second else 0.0
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")

    def keep(self, *, until: float | None) -> None:
        """Wait until the next call may start.

        :param until: When it must have started, on the monotonic clock; None for whenever that is.
        :raises BudgetSpent: it would be later; no place in the row is taken.
        """
        if not self._distance:
            return
        with self._lock:
            now = self._monotonic()
            starts = max(now, self._next)
            if until is not None and starts > until:
                raise BudgetSpent(f"calls to Ditio are limited, and the next may start in {starts - now:.1f} s only")
            self._next = starts + self._distance
        if starts > now:
            self._sleep(starts - now)
