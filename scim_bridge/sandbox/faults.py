"""Faults that a test or a demo plans for calls to come."""

from __future__ import annotations

import random as randomness
import threading
from dataclasses import dataclass

KINDS = (
    "status",
    "html",
    "timeout-before",
    "timeout-after",
    "reset-before",
    "reset-after",
    "slow",
    "refused-connection",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, for the calls that it names.

    `-after` means that the write is applied and then its answer lost; `-before` that it is not applied.
    """

    kind: str
    """One of `KINDS`; `html` is a status with an HTML body."""

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

    probability: float = 1.0
    """Chance to strike a call that it names, 0.0 to 1.0, drawn from the sandbox's own random."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}; known are {', '.join(KINDS)}")

    def names(self, method: str, path: str) -> bool:
        """Whether this fault is meant for such a call."""
        return self.method in (None, method) and self.path in path


class Faults:
    """The planned faults, in the order in which they were planned; safe to share between threads."""

    def __init__(self, random: randomness.Random) -> None:
        self._random = random
        self._lock = threading.Lock()
        self._planned: list[tuple[Fault, int | None]] = []

    def plan(self, *faults: Fault) -> None:
        """Add faults; the first planned one that fits a call strikes it."""
        with self._lock:
            self._planned.extend((fault, fault.times) for fault in faults)

    def clear(self) -> None:
        """Forget all planned faults."""
        with self._lock:
            self._planned.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes this call, and count it; None when the call goes well."""
        with self._lock:
            for index, (fault, left) in enumerate(self._planned):
                if fault.names(method, path) and self._strikes(fault):
                    self._count(index, fault, left)
                    return fault
            return None

    def _strikes(self, fault: Fault) -> bool:
        return fault.probability >= 1.0 or self._random.random() < fault.probability

    def _count(self, index: int, fault: Fault, left: int | None) -> None:
        if left is None:
            return
        if left <= 1:
            del self._planned[index]
        else:
            self._planned[index] = (fault, left - 1)
