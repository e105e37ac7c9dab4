"""The breaker: whether a tenant's Ditio is called at all just now (rules R2, R3, D2)."""

from dataclasses import dataclass
from datetime import datetime

from scim_bridge.domain.person import PersonId

OPENS_AT = 3
"""How many different people have to meet a fault, with no delivery between them that went well.

People who failed before, and then saw another's delivery go well, are not counted: their trouble is their own."""

FIRST_GAP_SECONDS = 1.0
LONGEST_GAP_SECONDS = 30.0


LONGEST_TOLD = 1000
"""Characters of what people read who wait."""


def gap_seconds(probes: int) -> float:
    """How long after a probe began the next one may.

    :param probes: How many there were since the breaker opened.
    """
    return float(min(LONGEST_GAP_SECONDS, FIRST_GAP_SECONDS * 2 ** min(probes, 10)))


@dataclass(frozen=True, slots=True)
class Breaker:
    """What all processes know of a tenant's Ditio; instants are by the database's clock."""

    opened_at: datetime | None = None
    """Since when it is open; None while it is closed."""

    why: str | None = None
    """What was met last, for the operator; ids only."""

    next_probe_at: datetime | None = None
    probes: int = 0
    """How many people were tried since it opened."""

    probe_lease: str | None = None
    """The lease under which the last of them was, or is, tried."""

    suspects: tuple[PersonId, ...] = ()
    """Who has met a fault since a delivery last went well."""

    on_trial: bool = False
    """The operator closed it: one more fault opens it again."""

    quiet_until: datetime | None = None
    """Until when Ditio asked not to be called (429): obeyed, and no fault."""

    paused_at: datetime | None = None
    """Since when the operator has nobody delivered (rule D4)."""

    @property
    def is_paused(self) -> bool:
        """Whether `outbox pause` keeps everybody from being delivered, probes included."""
        return self.paused_at is not None

    @property
    def is_open(self) -> bool:
        """Whether nobody is delivered but by a probe."""
        return self.opened_at is not None

    @property
    def is_at_peace(self) -> bool:
        """Whether a delivery that goes well has nothing to tell."""
        return not (self.is_open or self.suspects or self.on_trial)

    def is_quiet(self, now: datetime) -> bool:
        """Whether Ditio asked to be left alone."""
        return self.quiet_until is not None and now < self.quiet_until

    def lets_through(self, now: datetime) -> bool:
        """Whether people may be delivered."""
        return not self.is_open and not self.is_quiet(now) and not self.is_paused

    def wants_probe(self, now: datetime) -> bool:
        """Whether it is time for a probe, if none is under way."""
        may_call = not self.is_quiet(now) and not self.is_paused
        return self.is_open and may_call and (self.next_probe_at is None or self.next_probe_at <= now)

    def with_suspect(self, suspect: PersonId) -> tuple[PersonId, ...]:
        """The suspects, this person among them."""
        return tuple(dict.fromkeys((*self.suspects, suspect)))

    def opens(self, suspect: PersonId) -> bool:
        """Whether a fault that this person meets opens it."""
        return self.on_trial or len(self.with_suspect(suspect)) >= OPENS_AT

    def told_to(self, detail: str | None, now: datetime) -> str | None:
        """What somebody who is due reads: what he met himself, or why he waits with all others."""
        told = self.told(now)
        if told is None or (self.why is not None and detail is not None and self.why in detail):
            return detail
        return told

    def told(self, now: datetime) -> str | None:
        """Why people wait who are due; None while they don't."""
        if self.opened_at is not None:
            since = f"Ditio is not called since {_instant(self.opened_at)}, but to try it now and then"
            return f"{since}: {self.why}"[:LONGEST_TOLD]
        if self.quiet_until is not None and self.is_quiet(now):
            return f"Ditio asked not to be called before {_instant(self.quiet_until)}"
        return None


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
