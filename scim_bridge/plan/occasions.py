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
        is_announced=_is_announced(None, days, said=False, moment=moment),
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
    is_announced = _is_announced(person.days, days, said=said.is_announced, moment=moment)
    if person.employee_number is None:
        creation = _creation(said.creation, days, wish, moment)
        return Occasions(ending=ending, is_announced=is_announced, creation=creation)
    phone, number = Field.phone, Field.employee_number
    return Occasions(
        ending=ending,
        is_announced=is_announced,
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


def _is_announced(before: Days | None, days: Days, *, said: bool, moment: Moment) -> bool:
    """Whether the ending comes on its leave date, and that was stored at least a day before it passes (rule L8).

    :param before: The days before the write; None for a new person.
    :param said: What was noted before.
    """
    leave = days.effective_leave()
    if leave is None or (days.inactive_since is not None and days.inactive_since < leave):
        return False  # Who is blocked before the leave date ends before it.
    is_known = said and before is not None and before.effective_leave() == leave
    return is_known or _end_of(leave, moment.zone) - moment.now >= timedelta(days=1)


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
