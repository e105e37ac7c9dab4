"""What is believed of a read that may be older than our last write (rule C5): pure."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber, Employment, Field
from scim_bridge.domain.person import Acknowledged, Lifecycle, SentValue
from scim_bridge.plan.readback import believed

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
OLD = Employment(date(2020, 1, 1))
ENDED = Employment(date(2020, 1, 1), date(2026, 3, 2))
NEW = Employment(date(2026, 3, 3))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def found(**shown: Any) -> ActualEmployee:
    values = {Field.work_title: "Formann", Field.email: "a@b.example"}
    return ActualEmployee(EmployeeNumber("1042"), values, **shown)


def test_only_what_was_written_just_now_is_not_believed():
    """C5: per field."""
    sent_values = {Field.work_title: SentValue(ago(4)), Field.email: SentValue(ago(6))}

    assert set(believed(found(), Acknowledged(sent_values=sent_values), NOW, 5).values) == {Field.email}


def test_off_is_off():
    sent_values = {Field.work_title: SentValue(NOW)}
    changed_at = {Lifecycle.login: NOW}
    known = Acknowledged(sent_values=sent_values, login=False, changed_at=changed_at)

    assert believed(found(disabled=False), known, NOW, 0) == found(disabled=False)


@pytest.mark.parametrize(("seconds", "disabled"), [(4, True), (6, False)])
def test_a_login_that_was_closed_just_now_is_closed(seconds: float, disabled: bool):
    known = Acknowledged(login=False, changed_at={Lifecycle.login: ago(seconds)})

    assert believed(found(disabled=False), known, NOW, 5).disabled is disabled


def test_a_login_in_doubt_is_read():
    """R4: an answer that was lost is not acknowledged, however short ago."""
    known = Acknowledged(login=None, changed_at={Lifecycle.login: NOW}, uncertain=frozenset({Lifecycle.login}))

    assert believed(found(disabled=False), known, NOW, 5).disabled is False


@pytest.mark.parametrize("shown", [(OLD,), (ENDED,), ()], ids=["still open", "ended", "not shown"])
def test_an_employment_that_was_ended_just_now_has_ended(shown: tuple[Employment, ...]):
    known = Acknowledged({Field.end_date: ENDED.end}, employed=False, changed_at={Lifecycle.employment: NOW})
    employments = believed(found(employments=shown), known, NOW, 5).employments

    assert employments is not None
    assert [each.end for each in employments] == [ENDED.end]


@pytest.mark.parametrize("shown", [(OLD,), (ENDED,), (ENDED, NEW)], ids=["before both", "before", "after"])
def test_an_employment_that_was_created_just_now_is_open(shown: tuple[Employment, ...]):
    """C5, L6: and it is the one with the start that was given."""
    values = {Field.end_date: ENDED.end, Field.start_date: NEW.start}
    known = Acknowledged(values, employed=True, changed_at={Lifecycle.employment: NOW})

    assert believed(found(employments=shown), known, NOW, 5).employments == (ENDED, NEW)


def test_a_start_that_was_moved_just_now_opens_no_second_employment():
    known = Acknowledged({Field.start_date: NEW.start}, employed=True, changed_at={Lifecycle.employment: NOW})

    assert believed(found(employments=(OLD,)), known, NOW, 5).employments == (NEW,)
