"""What one person needs, in its order: pure, without a database or a Ditio."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.employee import (
    ActualEmployee,
    Days,
    DesiredEmployee,
    EmployeeNumber,
    Employment,
    Field,
    Owner,
    Problem,
    Value,
)
from scim_bridge.domain.operations import (
    ChangePhoneNumber,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    UpdateEmployee,
    UpdateEmployment,
)
from scim_bridge.domain.person import Acknowledged, Person, PersonId
from scim_bridge.domain.values import UserId
from scim_bridge.plan.diff import as_found, is_covered
from scim_bridge.plan.steps import Policy, Step, owes_ending, plan_person
from scim_bridge.scim.mapping import DEFAULT_RULES

TODAY = date(2026, 3, 2)
POLICY = Policy(DEFAULT_RULES.owners(), after_last_day=False)
"""Stories about the last day are told in scenarios/test_after_last_day.py."""

EMPLOYED = Days(active=True, active_since=date(2026, 1, 1))
LEFT = Days(active=False, inactive_since=TODAY)
KARI: dict[Field, Value] = {
    Field.employee_number: "1042",
    Field.first_name: "Kari",
    Field.last_name: "Nordmann",
    Field.phone: "+4798765432",
    Field.email: "kari@contractor.example",
    Field.work_title: "Formann",
    Field.department: "Anlegg",
    Field.start_date: date(2026, 1, 1),
    Field.payroll: 1,
}


def a_person(days: Days = EMPLOYED, **acknowledged: Any) -> Person:
    known = {"values": KARI, "login": True, "employed": True, **acknowledged}
    return Person(
        PersonId("p"), UserId("u"), days, employee_number=EmployeeNumber("1042"), acknowledged=Acknowledged(**known)
    )


def found(values: Mapping[Field, Value | None] = KARI, **changes: Any) -> ActualEmployee:
    shown = {"disabled": False, "employments": (Employment(date(2026, 1, 1)),), **changes}
    return ActualEmployee(EmployeeNumber("1042"), values, **shown)


def operations(person: Person, desired: DesiredEmployee, shown: ActualEmployee, policy: Policy = POLICY) -> list[Any]:
    return list(plan_person(person, desired, shown, policy, today=TODAY).operations)


def without(*fields: Field, **changes: Value) -> dict[Field, Value]:
    return {name: value for name, value in KARI.items() if name not in fields} | {
        Field[k]: v for k, v in changes.items()
    }


def test_nothing_differs_nothing_is_sent():
    assert operations(a_person(), DesiredEmployee(KARI), found()) == []


def test_only_differences_in_their_order():
    """C1: phone, employment, profile, each by its own operation."""
    desired = DesiredEmployee(without(phone="+4741234567", department="Betong", work_title="Leder"))

    assert operations(a_person(), desired, found()) == [
        ChangePhoneNumber("+4741234567"),
        UpdateEmployment({Field.department: "Betong"}),
        UpdateEmployee({Field.work_title: "Leder"}),
    ]


def test_equal_but_for_form_is_equal():
    """C2: e-mail case-insensitively, text trimmed, phone as E.164."""
    shown = found(
        {**KARI, Field.email: "KARI@Contractor.example", Field.work_title: " Formann ", Field.phone: "+47 98 76 54 32"}
    )

    assert operations(a_person(), DesiredEmployee(KARI), shown) == []


def test_a_field_that_is_not_shown_is_compared_with_what_was_acknowledged():
    """C2: absent from an answer is unknown, not different."""
    shown = found({Field.first_name: "Kari"})

    assert operations(a_person(), DesiredEmployee(KARI), shown) == []
    assert operations(a_person(), DesiredEmployee(without(work_title="Leder")), shown) == [
        UpdateEmployee({Field.work_title: "Leder"})
    ]


def test_a_login_that_is_not_shown_is_not_changed_on_a_guess():
    """C2: an adopted employee whose phone Ditio does not show."""
    person = a_person(values={})

    assert not any(
        isinstance(o, ChangePhoneNumber)
        for o in operations(person, DesiredEmployee(KARI), found({Field.first_name: "Kari"}))
    )


def test_null_only_where_something_was_acknowledged():
    """H5: what Entra never sent is not desired."""
    desired = DesiredEmployee(without(Field.work_title))

    assert operations(a_person(), desired, found()) == [UpdateEmployee({Field.work_title: None})]
    assert operations(a_person(values=without(Field.work_title)), desired, found()) == []


def test_an_unusable_value_clears_nothing():
    """C3: unusable is not gone."""
    desired = DesiredEmployee(without(Field.email), problems=(Problem(Field.email, "emails", "no address"),))

    assert operations(a_person(), desired, found()) == []


def test_a_required_value_is_never_cleared():
    """C3: a required value that is gone keeps what was acknowledged."""
    assert operations(a_person(), DesiredEmployee(without(Field.phone, Field.last_name)), found()) == []


def test_seeds_are_sent_only_where_ditio_has_none():
    """H5: `seed`."""
    desired = DesiredEmployee({**KARI, Field.birth_date: date(1990, 5, 15)})

    assert operations(a_person(), desired, found({**KARI, Field.birth_date: date(1991, 1, 1)})) == []
    assert operations(a_person(), desired, found({**KARI, Field.birth_date: None})) == [
        UpdateEmployee({Field.birth_date: date(1990, 5, 15)})
    ]
    assert operations(a_person(), desired, found(KARI)) == []


def test_ditios_fields_and_defaults_are_never_sent():
    """H5: owner `ditio`, and a defaulted value."""
    policy = Policy({**POLICY.owners, Field.work_title: Owner.ditio})
    desired = DesiredEmployee(
        without(work_title="Leder", payroll=2, department="Betong"),
        defaulted=frozenset({Field.payroll, Field.department}),
    )

    assert operations(a_person(), desired, found(), policy) == []


def test_leaving():
    """L2: both steps, endings first."""
    assert operations(a_person(LEFT), DesiredEmployee(KARI), found()) == [EndEmployment(TODAY), Disable()]


def test_already_left_is_seen_not_sent():
    """L6: found ended and disabled counts; the day found is acknowledged."""
    shown = found(disabled=True, employments=(Employment(date(2026, 1, 1), date(2026, 2, 15)),))
    plan = plan_person(a_person(LEFT), DesiredEmployee(KARI), shown, POLICY, today=TODAY)

    assert plan.operations == ()
    assert (plan.seen.login, plan.seen.employed) == (False, False)
    assert plan.seen.values[Field.end_date] == date(2026, 2, 15)


def test_an_employment_that_is_not_shown_is_ended_all_the_same():
    """L7: an ending needs nothing but the link."""
    assert operations(a_person(LEFT), DesiredEmployee(KARI), found({}, disabled=None, employments=None)) == [
        EndEmployment(TODAY),
        Disable(),
    ]


def test_returning():
    """L4: enable, create-employment, then department by update-employment."""
    person = a_person(values={**KARI, Field.end_date: date(2026, 2, 1)}, login=False, employed=False)
    shown = found(disabled=True, employments=(Employment(date(2026, 1, 1), date(2026, 2, 1)),))

    assert operations(person, DesiredEmployee(KARI), shown) == [
        Enable(),
        CreateEmployment(date(2026, 2, 2), 1),
        UpdateEmployment({Field.department: "Anlegg"}),
    ]


def test_drift_of_login_and_employment_is_not_sent_live():
    """C4: only where what Entra asks for differs from what was acknowledged."""
    shown = found(disabled=True, employments=(Employment(date(2026, 1, 1), date(2026, 2, 1)),))

    assert operations(a_person(), DesiredEmployee(KARI), shown) == []


def test_a_tombstone_owes_the_ending_alone():
    """L7: of a deleted user only the offboarding is owed."""
    deleted = Person(
        PersonId("p"), None, LEFT, EmployeeNumber("1042"), acknowledged=Acknowledged(KARI, login=True, employed=False)
    )

    assert operations(deleted, DesiredEmployee({}), found({**KARI, Field.work_title: "Endret"})) == [Disable()]
    assert owes_ending(deleted, POLICY)
    assert not owes_ending(deleted, Policy(POLICY.owners, offboarding=[Step.end_employment]))


TEXTS = st.text(alphabet="abcÅæø ", min_size=1, max_size=8).map(str.strip).filter(bool)
WISHES = st.fixed_dictionaries(
    {
        Field.employee_number: st.just("1042"),
        Field.first_name: TEXTS,
        Field.last_name: TEXTS,
        Field.phone: st.sampled_from(["+4798765432", "+4741234567"]),
    },
    optional={
        Field.email: st.sampled_from(["a@b.example", "c@d.example"]),
        Field.work_title: TEXTS,
        Field.department: TEXTS,
        Field.payroll: st.sampled_from([0, 1, 2]),
    },
)


@given(desired=WISHES, shown=WISHES)
def test_after_its_own_operations_the_next_plan_is_empty(desired: dict[Field, Value], shown: dict[Field, Value]):
    """C1, C2: what was sent and shown makes the next plan empty."""
    person = a_person(values={})
    shown_with_gaps = {name: shown.get(name) for name in KARI if name is not Field.start_date}
    plan = plan_person(person, DesiredEmployee(desired), found(shown_with_gaps), POLICY, today=TODAY)
    acknowledged: dict[Field, Value | None] = dict(plan.seen.values)
    for operation in plan.operations:
        match operation:
            case ChangePhoneNumber(phone=phone):
                acknowledged[Field.phone] = phone
            case UpdateEmployee(fields=fields) | UpdateEmployment(fields=fields):
                acknowledged.update(fields)

    after = {**shown_with_gaps, **acknowledged}
    assert operations(a_person(values=acknowledged), DesiredEmployee(desired), found(after)) == []


@given(desired=WISHES)
def test_what_was_acknowledged_settles_without_a_read(desired: dict[Field, Value]):
    """A5: the mapped person equals what Ditio last acknowledged."""
    person = a_person(values=desired)
    shown = as_found(EmployeeNumber("1042"), person.acknowledged)

    assert is_covered(DesiredEmployee(desired), person.acknowledged, POLICY.owners, employed=True)
    assert operations(person, DesiredEmployee(desired), shown) == []
