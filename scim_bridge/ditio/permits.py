"""How many calls are under way at a time, all threads of a process together (rule D2)."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from scim_bridge.errors import BudgetSpent

EVERY_SECONDS = 1.0
"""How long a thread waits at a time before it looks after what grows old meanwhile."""


class Permits:
    """Lets so many threads call at a time, whoever came first before the others.

    A permit is a thread's: while it has one, whatever else it asks for needs no other. So nobody who has one ever waits
    for one, and the request for a token, which others wait for, is never held up by them.

    :param count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()
        self._holders: set[int] = set()
        """Threads by their ids: what a thread has begun, another may end, such as the reading of a list."""

    @contextmanager
    def one(self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
        """A permit for the block.

        :param within: How many seconds to wait at most; None for as long as it takes, which others' time-outs bound.
        :param meanwhile: Done every second of the wait: renews a lease, for one. What it raises ends the wait.
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
        with self._lock:
            if self._free:  # Nobody waits then: one that is given back goes to whoever waits first.
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            self._wait(turn, within, meanwhile)
        except BaseException:  # Whatever ends the wait, an interrupt too: the place in the row must not stay taken.
            self._leave(turn)
            raise

    def _wait(self, turn: threading.Event, within: float | None, meanwhile: Callable[[], object] | None) -> None:
        left = inf if within is None else within
        while not turn.wait(max(0.0, min(left, EVERY_SECONDS))):
            left -= EVERY_SECONDS
            if left <= 0:
                raise BudgetSpent("as many calls to Ditio as may be are under way, and the time for this one is up")
            if meanwhile is not None:
                meanwhile()

    def _leave(self, turn: threading.Event) -> None:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self._give_back()  # It was its turn at the last moment.

    def _give_back(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
