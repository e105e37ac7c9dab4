"""Faults that a test or a demo plans for calls to come."""

from __future__ import annotations

import random as randomness
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

KINDS = (
    "status",
    "html",
    "timeout-before",
    "timeout-after",
    "timeout-late",
    "reset-before",
    "reset-after",
    "slow",
    "refused-connection",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, for the calls that it names.

    `-after` means that the write is applied and then its answer lost; `-before` that it is not applied;
    `-late` that it is applied some time after the caller gave up.
    """

    kind: str
    """One of `KINDS`; `html` is the page of a gateway before Ditio: a status with an HTML body."""

    status: int = 500
    """HTTP status of `status` and `html`."""

    method: str | None = None
    """Only calls with this method; None means every method."""

    path: str = ""
    """Only calls whose decoded path contains this text."""

    times: int | None = 1
    """How often it strikes; None means until it is cleared."""

    retry_after: str | None = None
    """Value of the `Retry-After` header of `status` and `html`."""

    seconds: float = 0.0
    """How long `slow` takes, and how long a timeout hangs on a real socket. In process nothing sleeps."""

    late_seconds: float = 0.0
    """How long after it arrived a `timeout-late` write is applied, on the sandbox's clock."""

    lasts_seconds: float | None = None
    """How long after it was planned it strikes at most, on the sandbox's clock; None means for ever."""

    probability: float = 1.0
    """Chance to strike a call that it names, 0.0 to 1.0, drawn from the sandbox's own random."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}; known are {', '.join(KINDS)}")

    def names(self, method: str, path: str) -> bool:
        """Whether this fault is meant for such a call."""
        return self.method in (None, method) and self.path in path


class Faults:
    """The planned faults, in the order in which they were planned; safe to share between threads.

    :param now: Returns the time, for faults that last for a while.
    """

    def __init__(self, random: randomness.Random, now: Callable[[], datetime]) -> None:
        self._random = random
        self._now = now
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def plan(self, *faults: Fault) -> None:
        """Add faults; the first planned one that fits a call strikes it."""
        with self._lock:
            self._planned.extend(_Planned(fault, fault.times, self._end_of(fault)) for fault in faults)

    def clear(self) -> None:
        """Forget all planned faults."""
        with self._lock:
            self._planned.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes this call, and count it; None when the call goes well."""
        with self._lock:
            now = self._now()
            self._planned = [each for each in self._planned if each.ends_at is None or now < each.ends_at]
            for each in self._planned:
                if each.fault.names(method, path) and self._strikes(each.fault):
                    self._count(each)
                    return each.fault
            return None

    def _end_of(self, fault: Fault) -> datetime | None:
        return None if fault.lasts_seconds is None else self._now() + timedelta(seconds=fault.lasts_seconds)

    def _strikes(self, fault: Fault) -> bool:
        return fault.probability >= 1.0 or self._random.random() < fault.probability

    def _count(self, planned: _Planned) -> None:
        if planned.left is None:
            return
        planned.left -= 1
        if planned.left <= 0:
            self._planned = [each for each in self._planned if each is not planned]


@dataclass(slots=True)
class _Planned:
    """A fault that may still strike, so often and until then."""

    fault: Fault
    left: int | None
    ends_at: datetime | None
