"""How many may pass within an hour (rule L8), and when what is counted was said."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.employee import Days, DesiredEmployee, EmployeeNumber, Field, Problem, first_days
from scim_bridge.domain.person import Acknowledged, GuardedChange, Person, PersonId, RequestedAt
from scim_bridge.plan.limits import HourlyLimits, Moment, busiest_hour, first_occasions, next_occasions

OSLO = ZoneInfo("Europe/Oslo")
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MOMENT = Moment(NOW, date(2026, 3, 2), OSLO)
EARLIER = NOW - timedelta(days=1)
AT_WORK = Days(active=True, active_since=date(2026, 3, 1))
GONE = Days(active=False, inactive_since=date(2026, 3, 2))


@pytest.mark.parametrize(
    ("kind", "at_work", "limit"),
    [
        (GuardedChange.ending, 200, 10),
        (GuardedChange.ending, 219, 10),
        (GuardedChange.ending, 220, 11),
        (GuardedChange.phone, 1000, 50),
        (GuardedChange.employee_number, 1000, 50),
        (GuardedChange.creation, 1000, 3),
    ],
)
def test_both_limits_have_to_be_exceeded(kind: GuardedChange, at_work: int, limit: int):
    """L8: more than so many, and more than that share of the people at work; creations go by their number alone."""
    assert HourlyLimits(max_created_per_hour=3).of(kind, at_work) == limit


@pytest.mark.parametrize("kind", [GuardedChange.ending, GuardedChange.phone, GuardedChange.employee_number])
@pytest.mark.parametrize(
    ("at_work", "limit"), [(0, 1), (2, 1), (3, 1), (5, 1), (6, 2), (12, 4), (14, 4), (15, 5), (100, 5)]
)
def test_in_a_small_company_the_number_is_a_third(kind: GuardedChange, at_work: int, limit: int):
    """L8: of fewer than 15 people, at least one; a stricter setting holds."""
    assert HourlyLimits(max_ended_per_hour=5).of(kind, at_work) == limit
    assert HourlyLimits(max_ended_per_hour=1).of(kind, at_work) == max(1, at_work // 20)
    assert HourlyLimits(max_ended_per_hour=0, max_ended_fraction=0.0).of(kind, at_work) == 0


@given(percent=st.integers(0, 100), at_work=st.integers(0, 100_000))
def test_a_share_is_exact(percent: int, at_work: int):
    """L8: 29 of 100 are not more than 0.29 of them, whatever a floating number makes of it."""
    limits = HourlyLimits(max_ended_per_hour=0, max_ended_fraction=percent / 100)
    assert limits.of(GuardedChange.ending, at_work) == percent * at_work // 100


def test_creations_are_guarded_only_where_that_is_set():
    """L8: `DELIVERY__MAX_CREATED_PER_HOUR` 0 = off."""
    assert not HourlyLimits().guards(GuardedChange.creation)
    assert HourlyLimits(max_created_per_hour=1).guards(GuardedChange.creation)
    assert all(HourlyLimits().guards(kind) for kind in set(GuardedChange) - {GuardedChange.creation})


MINUTES = st.lists(st.integers(0, 200), max_size=12)


@given(minutes=MINUTES, at=st.integers(0, 200))
def test_the_busiest_hour_is_that_of_the_definition(minutes: list[int], at: int):
    """L8: of all hours that a change falls into the one that has most, itself counted; in whatever order they come."""
    every = [*minutes, at]
    hours = [sum(start <= minute < start + 60 for minute in every) for start in range(at - 59, at + 1)]

    found = busiest_hour((EARLIER + timedelta(minutes=minute) for minute in minutes), EARLIER + timedelta(minutes=at))
    assert found == max(hours)


def a_person(**changes: Any) -> Person:
    known = Acknowledged({Field.phone: "+4798765432"})
    given: dict[str, Any] = {
        "days": AT_WORK,
        "employee_number": EmployeeNumber("1042"),
        "acknowledged": known,
        **changes,
    }
    return Person(PersonId("kari"), None, **given)


def desired_employees(phone: str | None = "+4798765432", number: str | None = "1042") -> DesiredEmployee:
    wanted = {Field.phone: phone, Field.employee_number: number}
    return DesiredEmployee({name: value for name, value in wanted.items() if value is not None})


def after(
    person: Person, days: Days = AT_WORK, desired: DesiredEmployee | None = None, before: DesiredEmployee | None = None
) -> RequestedAt:
    return next_occasions(person, days, desired or desired_employees(), MOMENT, lambda: before)


def test_an_ending_is_said_when_its_write_is_committed():
    """L8: "in the hour in which the write was committed"; a second word about it is no second ending."""
    assert after(a_person(), GONE).ending == NOW
    left = a_person(days=GONE, occasions=RequestedAt(ending=EARLIER))
    assert after(left, GONE).ending == EARLIER


def test_a_leave_date_counts_from_the_end_of_its_day_in_the_companys_time_zone():
    """L8: "or the day ended"."""
    ahead = replace(AT_WORK, leave=date(2026, 3, 5))
    assert after(a_person(), ahead).ending == datetime(2026, 3, 5, 23, 0, tzinfo=UTC)


def test_a_leave_date_that_is_over_already_counts_from_the_write():
    """L8: 500 of them, written at once by mistake, are 500 endings of this hour, whatever their dates are."""
    assert after(a_person(), replace(AT_WORK, leave=date(2026, 1, 5))).ending == NOW


def test_a_leave_date_that_leaves_doubt_is_no_ending():
    """L3, L8: the ending is said by the write that takes the doubt away."""
    doubtful = first_days(active=True, leave=date(2026, 1, 5), start=None, today=MOMENT.today)
    assert first_occasions(doubtful, desired_employees(), MOMENT) == RequestedAt()
    assert after(a_person(days=doubtful), GONE).ending == NOW


def test_a_person_who_is_back_has_no_ending():
    """L8: "a held ending dissolves when Entra says active again"."""
    assert after(a_person(days=GONE, occasions=RequestedAt(ending=EARLIER))).ending is None


def test_a_value_is_said_when_it_was_last_another():
    """L8: a write about something else does not say a phone again, and another phone does."""
    new, newer = desired_employees(phone="+4740000000"), desired_employees(phone="+4741111111")
    assert after(a_person(), desired=new).phone == NOW
    said = a_person(occasions=RequestedAt(phone=EARLIER))
    assert after(said, desired=new, before=new).phone == EARLIER
    assert after(said, desired=newer, before=new).phone == NOW
    assert after(said, desired=new, before=None).phone == NOW
    assert after(said).phone is None
    assert after(a_person(), desired=desired_employees(number="7")).employee_number == NOW
    assert after(said, desired=desired_employees(phone=None), before=new).phone is None


def test_a_person_who_becomes_complete_is_hired_by_that_write():
    """L8: creations count from the write that made them possible."""
    problem = Problem(Field.phone, "phoneNumbers", "there is none")
    incomplete = DesiredEmployee({Field.employee_number: "1042"}, problems=(problem,))
    assert first_occasions(AT_WORK, incomplete, MOMENT) == RequestedAt()
    assert first_occasions(AT_WORK, desired_employees(), MOMENT) == RequestedAt(creation=NOW)
    newcomer = a_person(employee_number=None, acknowledged=Acknowledged())
    assert after(newcomer).creation == NOW
    assert after(a_person(employee_number=None, occasions=RequestedAt(creation=EARLIER))).creation == EARLIER
    assert after(newcomer, GONE).creation is None


def test_what_differs_at_an_adoption_was_said_by_the_write_that_hired():
    """L8: a wrong phone for everyone is noticed on the first day too."""
    assert RequestedAt(creation=NOW).of(GuardedChange.phone) == NOW
    adopted = a_person(occasions=RequestedAt(creation=EARLIER))
    new = desired_employees(phone="+4740000000")
    assert after(adopted, desired=new, before=new).phone == EARLIER
