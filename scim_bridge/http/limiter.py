"""How many calls one client has under way at a time, and how fast they start."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from scim_bridge.errors import BudgetSpent

EVERY_SECONDS = 1.0
"""How long a waiting thread waits before it does its other duties, such as renewing a lease."""


class Limiter:
    """How many calls one company has under way at a time, first come, first served, and how fast they start.

    A permit belongs to a thread: while it has one, its further calls need no other. So a thread that has one never
    waits for one. The request for a token, which other threads wait for, is never held up by them.

    :param at_a_time: How many threads may call at a time.
    :param per_second: How many calls may start in a second, at even distances; None for any number.
    :param service: Which service is called, as messages name it.
    """

    def __init__(
        self,
        at_a_time: int,
        per_second: float | None = None,
        *,
        service: str = "Ditio",
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._service = service
        self._free = at_a_time
        self._waiting: deque[threading.Event] = deque()
        self._holders: set[int] = set()
        """Threads by their ids: one thread may end what another began, such as the reading of a list."""

        self._distance = 1.0 / per_second if per_second else 0.0
        self._next = -inf
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()

    def keep_pace(self, *, until: float | None) -> None:
        """Wait until the next call may start.

        :param until: When it must have started, on the monotonic clock; None for any time.
        :raises BudgetSpent: it would be later; no place in the row is used.
        """
        if not self._distance:
            return
        with self._lock:
            now = self._monotonic()
            starts = max(now, self._next)
            if until is not None and starts > until:
                raise BudgetSpent(
                    f"calls to {self._service} are limited: the next one may start in {starts - now:.1f} s"
                )
            self._next = starts + self._distance
        if starts > now:
            self._sleep(starts - now)

    @contextmanager
    def permit(self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
        """Yield the right to call for the block.

        :param within: How many seconds to wait at most; None for as long as it takes, which others' time-outs bound.
        :param meanwhile: Done every second of the wait, such as renewing a lease. An error in it ends the wait.
        :raises BudgetSpent: none became free in time.
        """
        me = threading.get_ident()
        if me in self._holders:
            yield
            return
        self._take(within, meanwhile)
        self._holders.add(me)
        try:
            yield
        finally:
            self._holders.discard(me)
            self._give_back()

    def _take(self, within: float | None, meanwhile: Callable[[], object] | None) -> None:
        turn = threading.Event()
        with self._lock:
            self._waiting.append(turn)
            self._hand_out()
        left = inf if within is None else within
        try:
            while not turn.wait(max(0.0, min(left, EVERY_SECONDS))):
                left -= EVERY_SECONDS
                if left <= 0:
                    raise BudgetSpent(
                        f"all permitted calls to {self._service} are under way, and the time for this one ran out"
                    )
                if meanwhile is not None:
                    meanwhile()
        except BaseException:  # Any end of the wait, an interrupt too: the place in the row must not stay taken.
            with self._lock:
                if turn.is_set():  # It was its turn at the last moment.
                    self._free += 1
                    self._hand_out()
                else:
                    self._waiting.remove(turn)
            raise

    def _give_back(self) -> None:
        with self._lock:
            self._free += 1
            self._hand_out()

    def _hand_out(self) -> None:
        if self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().set()
