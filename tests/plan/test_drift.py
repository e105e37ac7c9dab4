"""Causes by the truth table, and what is only listed (rules Q1, Q2): pure."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from scim_bridge.domain.drift import Cause, Kind
from scim_bridge.domain.employee import ActualEmployee, Days, DesiredEmployee, EmployeeNumber, Employment, Field, Value
from scim_bridge.domain.operations import UpdateEmployee
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import Acknowledged, Person, PersonId
from scim_bridge.domain.values import UserId
from scim_bridge.plan.drift import DriftFacts, PersonDrift, drift_of, only_rows
from scim_bridge.plan.steps import Policy
from scim_bridge.reconcile.report import lines
from scim_bridge.scim.mapping import DEFAULT_RULES

TODAY = date(2026, 3, 2)
NUMBER = EmployeeNumber("1042")
LONG_AGO = datetime(2026, 2, 1, tzinfo=UTC)
FACTS = DriftFacts(
    State.delivered,
    None,
    1,
    "kari",
    modified_at=LONG_AGO,
    delivered_at=LONG_AGO,
    acknowledged_at={"workTitle": LONG_AGO},
    acknowledged_in={"workTitle": 1},
)
CHANGED = replace(FACTS, modified_at=LONG_AGO + timedelta(days=1))
PARKED = replace(CHANGED, state=State.parked, reason="refused", delivered_at=None)


def compared(
    wanted: str,
    found: str,
    known: dict[Field, Value | None],
    facts: DriftFacts = FACTS,
    others: dict[Field, Value | None] | None = None,
) -> PersonDrift:
    acknowledged = Acknowledged(values={Field.email: "k@x", **known}, login=True, employed=True)
    person = Person(PersonId("p"), UserId("u"), Days(True, TODAY), NUMBER, acknowledged=acknowledged)
    desired = DesiredEmployee({Field.employee_number: NUMBER, Field.work_title: wanted, Field.email: "k@x"})
    shown: dict[Field, Value | None] = {Field.work_title: found, Field.email: "k@x", **(others or {})}
    employee = ActualEmployee(NUMBER, shown, False, (Employment(date(2026, 1, 1)),))
    return drift_of(person, desired, employee, Policy(DEFAULT_RULES.owners()), facts, today=TODAY)


@pytest.mark.parametrize(
    ("wanted", "found", "known", "facts", "cause"),
    [
        ("W", "F", {}, FACTS, Cause.never_delivered),
        ("W", "A", {Field.work_title: "A"}, CHANGED, Cause.never_delivered),
        ("W", "A", {Field.work_title: "A"}, FACTS, Cause.mapping_changed),
        ("W", "F", {Field.work_title: "A"}, FACTS, Cause.edited_in_ditio),
        ("W", "F", {Field.work_title: "A"}, CHANGED, Cause.edited_in_ditio),
        ("W", "F", {Field.work_title: "W"}, FACTS, Cause.edited_in_ditio),
    ],
)
def test_a_cause_is_told_by_three_values(
    wanted: str, found: str, known: dict[Field, Value | None], facts: DriftFacts, cause: Cause
):
    """Q1: W wanted, F found, A acknowledged; whether the document changed since A."""
    (item,) = compared(wanted, found, known, facts).items

    assert (item.kind, item.field, item.cause) == (Kind.field, "workTitle", cause)
    assert (item.wanted, item.found, item.acknowledged) == (wanted, found, known.get(Field.work_title))


@pytest.mark.parametrize("known", [{}, {Field.work_title: "A"}, {Field.work_title: "W"}])
def test_what_is_found_as_wanted_is_in_sync(known: dict[Field, Value | None]):
    """Q1: F = W with W ≠ A is in sync, and has to be acknowledged."""
    drift = compared("W", "W", known)

    assert drift.items == ()
    assert (drift.plan.seen.values.get(Field.work_title) == "W") is (known.get(Field.work_title) != "W")


def test_what_was_refused_is_listed_and_what_was_edited_is_repaired():
    """Q2: the difference that is parked, and that person's others."""
    refused = compared("W", "A", {Field.work_title: "A"}, PARKED)
    edited = compared("W", "F", {Field.work_title: "W"}, PARKED)

    assert [item.listed for item in refused.items] == ["parked, refused: see `outbox list`"]
    assert [item.listed for item in edited.items] == [None]


def test_only_the_rows_of_a_scope_are_sent():
    """Q3: the operations of some rows, and no others."""
    drift = compared("W", "F", {Field.work_title: "W"}, others={Field.email: "other@x"})
    (title,) = [item for item in drift.items if item.field == "workTitle"]

    assert len(drift.items) == 2
    assert only_rows(drift.plan, (title,)).operations == (UpdateEmployee({Field.work_title: "W"}),)
    assert only_rows(drift.plan, ()).operations == ()


def test_people_read_what_differs_and_why():
    """Design, section 9: grouped by person, with a mark before each row."""
    told = list(lines(compared("W", "F", {Field.work_title: "W"}).items))

    assert [(line.mark, line.text) for line in told] == [
        (None, "kari, employee 1042"),
        ("~", 'workTitle is "F", wanted "W"  (edited in Ditio)'),
    ]
