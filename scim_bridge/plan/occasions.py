"""When a person's changes were said, decided by intake in the transaction of the write (rules L1, L8). Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import Field, Value, Wish
from scim_bridge.domain.employment import Days
from scim_bridge.domain.occasions import Guarded, Occasions
from scim_bridge.domain.person import Person


@dataclass(frozen=True, slots=True)
class Moment:
    """When a write is taken in."""

    now: datetime
    today: date
    zone: ZoneInfo
    """The company's."""


def first_occasions(days: Days, wish: Wish, moment: Moment) -> Occasions:
    """Those of a person whom Entra has just created."""
    return Occasions(
        ending=ending_said(None, days, None, moment),
        creation=_creation(None, days, wish, moment),
    )


def next_occasions(
    person: Person, days: Days, wish: Wish, moment: Moment, before: Callable[[], Wish | None]
) -> Occasions:
    """Those of a person of whom Entra has said something again.

    :param person: As he was before the write.
    :param days: After it, as is the wish.
    :param before: Makes the wish before the write, if it is needed; None where there is none to compare with.
    """
    said = person.occasions
    ending = ending_said(person.days, days, said.ending, moment)
    if person.employee_number is None:
        return Occasions(ending=ending, creation=_creation(said.creation, days, wish, moment))
    phone, number = Field.phone, Field.employee_number
    return Occasions(
        ending=ending,
        phone=_change(phone, person.acknowledged.phone, wish, said.phone or said.creation, moment, before),
        employee_number=_change(
            number, person.employee_number, wish, said.employee_number or said.creation, moment, before
        ),
    )


def ending_said(before: Days | None, days: Days, said: datetime | None, moment: Moment) -> datetime | None:
    """From when the person is not at work any more; a leave date counts from the end of its day.

    :param before: His days before the write; None for somebody new.
    :param said: What was noted before.
    """
    if days.is_doubtful:
        return None  # Nothing is ended before Entra has said something clearer (rule L3).
    if days.wants_employment(moment.today):
        leave = days.effective_leave()
        return None if leave is None else _end_of(leave, moment.zone)
    was_at_work = before is None or before.wants_employment(moment.today)
    return moment.now if was_at_work or said is None else said


def settled_occasions(
    person: Person, wish: Wish, values: Mapping[Field, Value | None]
) -> tuple[tuple[Guarded, datetime], ...]:
    """Which changes have come to their end, and when they were said: Ditio has what is wanted.

    :param values: What Ditio took, or was seen to have.
    """
    said = person.occasions
    pending = (
        (Field.phone, Guarded.phone, said.phone),
        (Field.employee_number, Guarded.employee_number, said.employee_number),
    )
    return tuple(
        (kind, at)
        for field, kind, at in pending
        if at is not None and field in values and values[field] == wish.text(field)
    )


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def _creation(said: datetime | None, days: Days, wish: Wish, moment: Moment) -> datetime | None:
    """Since when he may be hired: incomplete ones count from the write that completed them."""
    if not days.wants_employment(moment.today) or wish.missing():
        return None
    return said or moment.now


def _change(
    field: Field,
    acknowledged: str | None,
    wish: Wish,
    said: datetime | None,
    moment: Moment,
    before: Callable[[], Wish | None],
) -> datetime | None:
    """Since when another value is wanted than Ditio acknowledged; said anew with every other value."""
    wanted = wish.text(field)
    if wanted is None or wanted == acknowledged:
        return None
    if said is None:
        return moment.now
    earlier = before()
    return said if earlier is not None and earlier.text(field) == wanted else moment.now
