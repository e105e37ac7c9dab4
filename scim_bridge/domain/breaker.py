"""The breaker: whether the bridge calls a tenant's Ditio just now (rules R2, R3, D2)."""

from dataclasses import dataclass
from datetime import datetime

from scim_bridge.domain.person import PersonId

OPENS_AT = 3
"""How many different people have to meet a fault, with no successful delivery between them.

A person who failed before another person's successful delivery is not counted: the trouble is theirs alone."""

FIRST_GAP_SECONDS = 1.0
LONGEST_GAP_SECONDS = 30.0


LONGEST_TOLD = 1000
"""Longest explanation, in characters, for people who wait."""


def gap_seconds(probes: int) -> float:
    """Return how long after the start of a probe the next one may start.

    :param probes: How many probes there were since the breaker opened.
    """
    return float(min(LONGEST_GAP_SECONDS, FIRST_GAP_SECONDS * 2 ** min(probes, 10)))


@dataclass(frozen=True, slots=True)
class Breaker:
    """What all processes know of a tenant's Ditio; times are by the database's clock."""

    opened_at: datetime | None = None
    """Since when it is open; None while it is closed."""

    why: str | None = None
    """The last fault, for the operator; ids only."""

    next_probe_at: datetime | None = None
    probes: int = 0
    """How many people were tried since the breaker opened."""

    probe_lease: str | None = None
    """The lease of the last probe, running or finished."""

    suspects: tuple[PersonId, ...] = ()
    """The people who met a fault since the last successful delivery."""

    on_trial: bool = False
    """Whether the operator closed the breaker: one more fault opens it again."""

    quiet_until: datetime | None = None
    """Until when Ditio asked not to be called (429). The bridge obeys; it is no fault."""

    paused_at: datetime | None = None
    """Since when the operator has paused deliveries (rule D4)."""

    @property
    def is_paused(self) -> bool:
        """Whether `outbox pause` stops all deliveries, probes included."""
        return self.paused_at is not None

    @property
    def is_open(self) -> bool:
        """Whether only probes are delivered."""
        return self.opened_at is not None

    @property
    def is_at_peace(self) -> bool:
        """Whether a successful delivery changes nothing here."""
        return not (self.is_open or self.suspects or self.on_trial)

    def is_quiet(self, now: datetime) -> bool:
        """Return whether Ditio asked not to be called now."""
        return self.quiet_until is not None and now < self.quiet_until

    def lets_through(self, now: datetime) -> bool:
        """Return whether people may be delivered now."""
        return not self.is_open and not self.is_quiet(now) and not self.is_paused

    def wants_probe(self, now: datetime) -> bool:
        """Return whether it is time for a probe, if none is running."""
        may_call = not self.is_quiet(now) and not self.is_paused
        return self.is_open and may_call and (self.next_probe_at is None or self.next_probe_at <= now)

    def with_suspect(self, suspect: PersonId) -> tuple[PersonId, ...]:
        """Return the suspects, this person included."""
        return tuple(dict.fromkeys((*self.suspects, suspect)))

    def opens(self, suspect: PersonId) -> bool:
        """Return whether a fault of this person opens the breaker."""
        return self.on_trial or len(self.with_suspect(suspect)) >= OPENS_AT

    def told_to(self, detail: str | None, now: datetime) -> str | None:
        """Return why a due person waits: their own detail, or what all others wait for."""
        told = self.told(now)
        if told is None or (self.why is not None and detail is not None and self.why in detail):
            return detail
        return told

    def told(self, now: datetime) -> str | None:
        """Return why due people wait; None while the breaker lets them through."""
        if self.opened_at is not None:
            since = f"Ditio is not called since {_instant(self.opened_at)}, except for a test now and then"
            return f"{since}: {self.why}"[:LONGEST_TOLD]
        if self.quiet_until is not None and self.is_quiet(now):
            return f"Ditio asked not to be called before {_instant(self.quiet_until)}"
        return None


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
