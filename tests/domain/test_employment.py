"""Employments, and the days that intake decides."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.employee import Days, Employment, first_days, last_end, next_days, open_employment, return_start

TODAY = date(2026, 3, 2)
DAYS = st.dates(min_value=date(2025, 1, 1), max_value=date(2027, 12, 31))


def test_the_last_day_is_worked():
    """An employment ending on 31 August is active that day and not the next."""
    employment = Employment(start=date(2026, 3, 1), end=date(2026, 8, 31))

    assert employment.is_active(on=date(2026, 8, 31))
    assert not employment.is_active(on=date(2026, 9, 1))


def test_the_open_employment_and_the_last_end():
    history = (
        Employment(date(2020, 1, 1), date(2021, 1, 1)),
        Employment(date(2023, 1, 1)),
        Employment(None, date(2022, 6, 30)),
    )

    assert open_employment(history) == Employment(date(2023, 1, 1))
    assert last_end(history) == date(2022, 6, 30)
    assert open_employment(()) is None
    assert last_end(()) is None


def test_leaving_ends_today_or_on_the_earlier_leave_date():
    """L2: on the leave date if that is not after `inactive_since`, else on `inactive_since`; never before the start."""
    left = Days(active=False, inactive_since=TODAY, leave=date(2026, 2, 27))
    assert left.last_day(date(2026, 1, 1)) == date(2026, 2, 27)
    assert left.last_day(date(2026, 3, 1)) == date(2026, 3, 1)

    early = Days(active=False, inactive_since=TODAY, leave=date(2026, 6, 30))
    assert early.last_day(date(2026, 1, 1)) == TODAY


def test_a_stale_leave_date_is_ignored():
    """L3: left over from an earlier employment."""
    days = Days(active=False, inactive_since=TODAY, leave=date(2020, 1, 1), leave_is_stale=True)

    assert days.last_day(None) == TODAY
    assert Days(active=True, leave=date(2020, 1, 1), leave_is_stale=True).wants_employment(TODAY)


def test_a_leave_date_is_acted_on_when_it_is_over():
    """L2: the last day is worked; the day after, both steps are due."""
    days = Days(active=True, leave=TODAY)

    assert days.wants_employment(TODAY)
    assert days.wakes_on(TODAY) == TODAY + timedelta(days=1)
    assert not days.wants_employment(TODAY + timedelta(days=1))
    assert days.wakes_on(TODAY + timedelta(days=1)) is None


def test_saying_the_same_again_moves_no_day():
    """L1: a later write derives no day again."""
    left = next_days(_employed(), active=False, leave=None, today=TODAY, open_start=None, ended_on=None)
    later = next_days(left, active=False, leave=None, today=TODAY + timedelta(days=9), open_start=None, ended_on=None)

    assert later == left


def test_another_past_leave_date_does_not_hire_again():
    """L3: who has left by a leave date is not hired by another date in the past."""
    left = Days(active=True, active_since=date(2025, 1, 1), leave=date(2026, 2, 1))

    after = next_days(
        left, active=True, leave=date(2026, 1, 15), today=TODAY, open_start=None, ended_on=date(2026, 2, 1)
    )

    assert not after.wants_employment(TODAY)


@pytest.mark.parametrize(
    ("said", "is_doubtful", "is_wanted"),
    [
        ({"leave": None}, False, True),
        ({"leave": TODAY + timedelta(days=30)}, False, True),
        ({"start": date(2026, 2, 16)}, False, True),
        ({"active": False}, False, False),
        ({"leave": date(2026, 1, 15)}, True, False),
        ({"start": date(2026, 2, 1)}, True, False),
        ({}, True, False),
    ],
)
def test_only_a_clear_word_ends_the_doubt(said: dict[str, Any], is_doubtful: bool, is_wanted: bool):
    """L3: first seen active with a leave date that has passed; what Entra says then decides, and not the day."""
    first = first_days(active=True, leave=date(2026, 2, 1), start=None, today=TODAY - timedelta(days=1))
    assert first.is_doubtful

    unchanged: dict[str, Any] = {"active": True, "leave": date(2026, 2, 1), "start": None}
    after = next_days(first, **{**unchanged, **said}, today=TODAY, open_start=None, ended_on=None)
    assert (after.is_doubtful, after.wants_employment(TODAY)) == (is_doubtful, is_wanted)
    assert after.active_since == (TODAY if is_wanted else None)


def test_clearing_an_acted_on_leave_date_is_a_return():
    """L2: once acted on, clearing the date while `active` is true is a return."""
    left = Days(active=True, active_since=date(2025, 1, 1), leave=date(2026, 2, 1))

    after = next_days(left, active=True, leave=None, today=TODAY, open_start=None, ended_on=date(2026, 2, 1))

    assert after.wants_employment(TODAY)
    assert after.active_since == TODAY


def test_a_start_that_lies_ahead_decides_whether_a_leave_date_is_stale():
    """L3, H5: before the open employment's start: the start that Entra says, while that lies ahead."""
    hired = first_days(active=True, leave=date(2026, 4, 20), start=date(2026, 4, 1), today=TODAY)
    moved = next_days(
        hired,
        active=True,
        leave=date(2026, 4, 20),
        start=date(2026, 5, 1),
        today=TODAY,
        open_start=date(2026, 4, 1),
        ended_on=None,
    )
    assert moved.leave_is_stale

    back = next_days(
        moved,
        active=True,
        leave=date(2026, 4, 20),
        start=date(2026, 4, 10),
        today=TODAY,
        open_start=date(2026, 5, 1),
        ended_on=None,
    )
    assert not back.leave_is_stale


@given(leave=DAYS, start=DAYS, inactive_since=DAYS)
def test_no_employment_ends_before_it_began(leave: date, start: date, inactive_since: date):
    """L2: never before its own start."""
    days = Days(active=False, inactive_since=inactive_since, leave=leave)

    last_day = days.last_day(start)

    assert last_day is not None
    assert last_day >= start
    assert last_day <= max(start, inactive_since)


@given(start=st.none() | DAYS, since=DAYS, ended_on=st.none() | DAYS)
def test_a_return_never_overlaps_the_employment_before(start: date | None, since: date, ended_on: date | None):
    """L4: after the last end, whatever Entra still says."""
    begins = return_start(start=start, active_since=since, ended_on=ended_on, today=TODAY)

    assert ended_on is None or begins > ended_on


@given(active=st.booleans(), leave=st.none() | DAYS, start=st.none() | DAYS)
def test_a_new_user_with_an_old_leave_date_is_not_ended(active: bool, leave: date | None, start: date | None):
    """L3: a leave date before the employment's start is stale; another that has passed tells neither the one nor the
    other of a person who is active."""
    days = first_days(active=active, leave=leave, start=start, today=TODAY)

    is_before_start = leave is not None and start is not None and leave < start
    has_passed = leave is not None and leave < TODAY
    assert days.is_doubtful == (active and has_passed and not is_before_start)
    assert days.leave_is_stale == (is_before_start or (not active and start is None and has_passed))
    assert days.active == active
    assert (days.inactive_since is None) == active


def _employed() -> Days:
    return Days(active=True, active_since=date(2025, 1, 1))
