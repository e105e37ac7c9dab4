"""How many endings, changes of login and creations may pass within an hour (rule L8). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from scim_bridge.domain.occasions import HOUR, Guarded

SMALL = 15
"""With fewer people at work than this the first number is a third of them (rule L8)."""

_WORDS = {
    Guarded.ending: "the ending",
    Guarded.creation: "the creation",
    Guarded.phone: "the change of phone",
    Guarded.employee_number: "the change of employee number",
}
_PLURAL = {
    Guarded.ending: "endings",
    Guarded.creation: "creations",
    Guarded.phone: "changes of phone",
    Guarded.employee_number: "changes of employee number",
}


@dataclass(frozen=True, slots=True)
class HourlyLimits:
    """`DELIVERY__MAX_ENDED_PER_HOUR`, `DELIVERY__MAX_ENDED_FRACTION` and `DELIVERY__MAX_CREATED_PER_HOUR`."""

    max_ended_per_hour: int = 5
    max_ended_fraction: float = 0.05
    """0.0-1.0, of the people at work."""

    max_created_per_hour: int = 0
    """0: creations are not guarded."""

    def guards(self, kind: Guarded) -> bool:
        """Whether changes of this kind are counted at all."""
        return kind is not Guarded.creation or self.max_created_per_hour > 0

    def least(self, kind: Guarded, at_work: int) -> int:
        """How many pass within an hour whatever their share of the people at work is.

        :param at_work: As in `of`; more than `SMALL` need not be counted.
        """
        if kind is Guarded.creation:
            return self.max_created_per_hour
        return min(self.max_ended_per_hour, max(1, at_work // 3)) if at_work < SMALL else self.max_ended_per_hour

    def of(self, kind: Guarded, at_work: int) -> int:
        """How many pass within an hour: both limits have to be exceeded before one is held.

        :param at_work: People linked and active when the hour began, or now with those ended in it.
        """
        least = self.least(kind, at_work)
        if kind is Guarded.creation:
            return least
        # Exact: 0.29 of 100 people are 29, and not a little less.
        return max(least, int(Decimal(str(self.max_ended_fraction)) * at_work))

    def why_held(self, kind: Guarded, count: int, at_work: int) -> str:
        """What is said of one that is held: settings, count and limit, and the cure.

        :param count: How many there would be within the hour, this one included.
        """
        allowed = f"DELIVERY__MAX_CREATED_PER_HOUR ({self.max_created_per_hour}) allows"
        if kind is not Guarded.creation:
            small = f", and with fewer than {SMALL} people a third of them" if at_work < SMALL else ""
            allowed = (
                f"DELIVERY__MAX_ENDED_PER_HOUR ({self.max_ended_per_hour}{small}) and DELIVERY__MAX_ENDED_FRACTION "
                f"({self.max_ended_fraction:g} of {at_work} people at work) allow"
            )
        return (
            f"{_WORDS[kind]} is held by the guard: it would make {count} {_PLURAL[kind]} within an hour, "
            f"more than {allowed}. `outbox release` sends what is held, `outbox drop` withdraws it"
        )


def busiest_hour(moments: Iterable[datetime], at: datetime) -> int:
    """How many there would be, with one more at `at`, in the busiest hour that this one falls into.

    Changes are not delivered in the order in which they were said: one that comes late must not make an hour too
    full that has been counted already. Two that are exactly an hour apart are not in one hour.
    """
    near = sorted([*(moment for moment in moments if at - HOUR < moment < at + HOUR), at])
    most, first = 0, 0
    for last, moment in enumerate(near):
        while moment - near[first] >= HOUR:
            first += 1
        if near[first] <= at <= moment:
            most = max(most, last - first + 1)
    return most
