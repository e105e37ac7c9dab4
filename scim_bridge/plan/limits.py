"""Limits: the hourly guard, the limits of a run of `reconcile`, and when changes were requested (rules L8, Q4)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.employee import Days, DesiredEmployee, Field, Value
from scim_bridge.domain.person import HOUR, GuardedChange, Person, RequestedAt

SMALL = 15
"""With fewer people at work than this, a third of them is the first limit (rule L8)."""

_WORDS = {
    GuardedChange.ending: "the ending",
    GuardedChange.creation: "the creation",
    GuardedChange.phone: "the change of phone",
    GuardedChange.employee_number: "the change of employee number",
}
WAYS_ON = "Correct it in Entra if it is a mistake, send it with `outbox release`, or withdraw it with `outbox drop`"
"""What to do about a held change, in this order; without a semicolon, which separates notes."""

_PLURAL = {
    GuardedChange.ending: "endings",
    GuardedChange.creation: "creations",
    GuardedChange.phone: "changes of phone",
    GuardedChange.employee_number: "changes of employee number",
}


@dataclass(frozen=True, slots=True)
class HourlyLimits:
    """`DELIVERY__MAX_ENDED_PER_HOUR`, `DELIVERY__MAX_ENDED_FRACTION` and `DELIVERY__MAX_CREATED_PER_HOUR`."""

    max_ended_per_hour: int = 5
    max_ended_fraction: float = 0.05
    """0.0-1.0, of the people at work."""

    max_created_per_hour: int = 0
    """0: creations are not guarded."""

    def guards(self, kind: GuardedChange) -> bool:
        """Return whether changes of this kind are limited at all."""
        return kind is not GuardedChange.creation or self.max_created_per_hour > 0

    def least(self, kind: GuardedChange, at_work: int) -> int:
        """Return how many pass within an hour, regardless of their share of the people at work.

        :param at_work: As in `of`; more than `SMALL` need not be counted.
        """
        if kind is GuardedChange.creation:
            return self.max_created_per_hour
        return min(self.max_ended_per_hour, max(1, at_work // 3)) if at_work < SMALL else self.max_ended_per_hour

    def of(self, kind: GuardedChange, at_work: int) -> int:
        """Return how many pass within an hour: a change is held only if it exceeds both limits.

        :param at_work: People linked and active when the hour began, or now with those ended in it.
        """
        least = self.least(kind, at_work)
        if kind is GuardedChange.creation:
            return least
        # Exact decimal arithmetic: 0.29 of 100 people is 29, and not a little less.
        return max(least, int(Decimal(str(self.max_ended_fraction)) * at_work))

    def why_held(self, kind: GuardedChange, count: int, at_work: int) -> str:
        """Return the words for a held change: settings, count and limit, and what to do.

        :param count: How many there would be within the hour, this one included.
        """
        allowed = f"DELIVERY__MAX_CREATED_PER_HOUR ({self.max_created_per_hour}) allows"
        if kind is not GuardedChange.creation:
            small = f", and with fewer than {SMALL} people a third of them" if at_work < SMALL else ""
            allowed = (
                f"DELIVERY__MAX_ENDED_PER_HOUR ({self.max_ended_per_hour}{small}) and DELIVERY__MAX_ENDED_FRACTION "
                f"({self.max_ended_fraction:g} of {at_work} people at work) allow"
            )
        return (
            f"{_WORDS[kind]} is held by the guard: it would make {count} {_PLURAL[kind]} within an hour, "
            f"more than {allowed}. {WAYS_ON}"
        )


def busiest_hour(moments: Iterable[datetime], at: datetime) -> int:
    """Return how many changes the busiest hour around `at` would have, with one more at `at`.

    Changes are not delivered in the order in which they were requested. A late one must not overfill an hour that
    has been counted already. Two that are exactly an hour apart are not in one hour.
    """
    near = sorted([*(moment for moment in moments if at - HOUR < moment < at + HOUR), at])
    most, first = 0, 0
    for last, moment in enumerate(near):
        while moment - near[first] >= HOUR:
            first += 1
        if near[first] <= at <= moment:
            most = max(most, last - first + 1)
    return most


@dataclass(frozen=True, slots=True)
class Moment:
    """The time at which a write arrives, and the company's zone."""

    now: datetime
    today: date
    zone: ZoneInfo
    """The company's time zone."""


def first_occasions(days: Days, desired: DesiredEmployee, moment: Moment) -> RequestedAt:
    """Return when changes were requested, for a person whose user Entra has just created."""
    return RequestedAt(
        ending=ending_said(None, days, None, moment),
        is_announced=_is_announced(None, days, said=False, moment=moment),
        creation=_creation(None, days, desired, moment),
    )


def next_occasions(
    person: Person, days: Days, desired: DesiredEmployee, moment: Moment, before: Callable[[], DesiredEmployee | None]
) -> RequestedAt:
    """Return when changes were requested, for a person whose user Entra has written again.

    :param person: The person before the write.
    :param days: The days after the write; `desired` is after it too.
    :param before: Makes the desired employee before the write, if needed; None where there is none to compare with.
    """
    said = person.occasions
    ending = ending_said(person.days, days, said.ending, moment)
    is_announced = _is_announced(person.days, days, said=said.is_announced, moment=moment)
    if person.employee_number is None:
        creation = _creation(said.creation, days, desired, moment)
        return RequestedAt(ending=ending, is_announced=is_announced, creation=creation)
    phone, number = Field.phone, Field.employee_number
    return RequestedAt(
        ending=ending,
        is_announced=is_announced,
        phone=_change(phone, person.acknowledged.phone, desired, said.phone or said.creation, moment, before),
        employee_number=_change(
            number, person.employee_number, desired, said.employee_number or said.creation, moment, before
        ),
    )


def ending_said(before: Days | None, days: Days, said: datetime | None, moment: Moment) -> datetime | None:
    """Return from when the person is no longer at work; a leave date counts from the end of its day.

    :param before: The person's days before the write; None for a new person.
    :param said: The time that was stored before.
    """
    if days.is_doubtful:
        return None  # Nothing ends before Entra has sent something clearer (rule L3).
    if days.wants_employment(moment.today):
        leave = days.effective_leave()
        return None if leave is None else _end_of(leave, moment.zone)
    was_at_work = before is None or before.wants_employment(moment.today)
    return moment.now if was_at_work or said is None else said


def _is_announced(before: Days | None, days: Days, *, said: bool, moment: Moment) -> bool:
    """Return whether the ending comes on its leave date, stored at least a day before it passes (rule L8).

    :param before: The days before the write; None for a new person.
    :param said: What was stored before.
    """
    leave = days.effective_leave()
    if leave is None or (days.inactive_since is not None and days.inactive_since < leave):
        return False  # A person who is blocked before the leave date ends before it.
    is_known = said and before is not None and before.effective_leave() == leave
    return is_known or _end_of(leave, moment.zone) - moment.now >= timedelta(days=1)


def settled_occasions(
    person: Person, desired: DesiredEmployee, values: Mapping[Field, Value | None]
) -> tuple[tuple[GuardedChange, datetime], ...]:
    """Return which changes are done, and when they were requested: Ditio has the desired value.

    :param values: What Ditio accepted, or was seen to have.
    """
    said = person.occasions
    pending = (
        (Field.phone, GuardedChange.phone, said.phone),
        (Field.employee_number, GuardedChange.employee_number, said.employee_number),
    )
    return tuple(
        (kind, at)
        for field, kind, at in pending
        if at is not None and field in values and values[field] == desired.text(field)
    )


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def _creation(said: datetime | None, days: Days, desired: DesiredEmployee, moment: Moment) -> datetime | None:
    """Return since when the person may be created; an incomplete one counts from the write that completed it."""
    if not days.wants_employment(moment.today) or desired.missing():
        return None
    return said or moment.now


def _change(
    field: Field,
    acknowledged: str | None,
    desired: DesiredEmployee,
    said: datetime | None,
    moment: Moment,
    before: Callable[[], DesiredEmployee | None],
) -> datetime | None:
    """Return since when a value other than the acknowledged one is wanted; each new value starts anew."""
    wanted = desired.text(field)
    if wanted is None or wanted == acknowledged:
        return None
    if said is None:
        return moment.now
    earlier = before()
    return said if earlier is not None and earlier.text(field) == wanted else moment.now


FEW = 20
"""With fewer people at work than this, a share of them says nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`RECONCILE__MAX_ENDED_FRACTION` and `RECONCILE__MAX_CHANGES`."""

    max_ended_fraction: float = 0.1
    max_changes: int = 500


@dataclass(frozen=True, slots=True)
class CompanySize:
    """The figures that a plan is measured by."""

    shown: int
    """Employees that Ditio showed."""

    linked: int
    """People who have an employee."""

    at_work: int
    """Linked people that Ditio shows as employed, or with an open login."""

    shown_before: int | None = None
    """Employees in the last complete read that was believed; None before there was one."""


def roster_doubt(company: CompanySize) -> str | None:
    """Return why the roster is not believed, with figure and limit; None if it is."""
    if company.shown == 0 and company.linked > 0:
        return f"Ditio shows no employee at all, and {company.linked} people are linked to one"
    before = company.linked if company.shown_before is None else company.shown_before
    if company.shown * 2 < before:
        whose = "are linked" if company.shown_before is None else "were shown by the last complete read"
        return f"Ditio shows {company.shown} employees, fewer than half of the {before} that {whose}"
    return None


def limit_exceeded(items: Iterable[Drift], company: CompanySize, limits: Limits, *, reviewed: bool) -> str | None:
    """Return why a plan would change too much, with figure and limit; None if it would not.

    :param reviewed: Whether kinds that only a reviewed plan repairs count too.
    """
    changes = 0
    ended: set[str] = set()
    for item in items:
        if item.may_be_repaired(reviewed=reviewed):
            changes += 1
            if item.kind in (Kind.should_be_inactive, Kind.left_without_notice) and item.person_id is not None:
                ended.add(item.person_id)
    return excess_of(changes, len(ended), company, limits)


def excess_of(changes: int, ended: int, company: CompanySize, limits: Limits) -> str | None:
    """Return the same from figures.

    :param changes: Differences that would be repaired.
    :param ended: People whose employment would end.
    """
    if company.at_work >= FEW and ended > limits.max_ended_fraction * company.at_work:
        return (
            f"{ended} of {company.at_work} people at work would be ended, more than the share of "
            f"{limits.max_ended_fraction:g} that RECONCILE__MAX_ENDED_FRACTION allows"
        )
    if changes > limits.max_changes:
        return (
            f"{changes} differences would be repaired, more than RECONCILE__MAX_CHANGES ({limits.max_changes}) allows"
        )
    return None
