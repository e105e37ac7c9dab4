"""How much time a request has left for Ditio (rule A4)."""

from collections.abc import Callable
from dataclasses import dataclass

WRITE_NEEDS_SECONDS = 0.5
"""With less than this left no write to Ditio starts: it would be cut short, and ambiguous."""

LEASE_MARGIN_SECONDS = 10.0
"""How much longer than a call's time-out, or a request's budget, a lease lasts (rules A4, D1)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A deadline on the monotonic clock; without one only the client's own time-outs count (the worker)."""

    monotonic: Callable[[], float]
    deadline: float | None = None

    def left(self) -> float | None:
        """Seconds left, never negative; None where there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self.monotonic())

    def allows_write(self) -> bool:
        """Whether a write may still start."""
        left = self.left()
        return left is None or left >= WRITE_NEEDS_SECONDS
