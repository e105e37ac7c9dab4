"""The short cut tells no one to be in sync who is not (design, section 9): compared there by hash."""

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.employee import ActualEmployee, Days, DesiredEmployee, EmployeeNumber, Employment, Field, Value
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import Acknowledged, Person, PersonId
from scim_bridge.domain.values import UserId
from scim_bridge.plan.diff import fingerprint_of, is_as_wanted
from scim_bridge.plan.drift import DriftFacts, drift_of
from scim_bridge.plan.steps import Policy
from scim_bridge.scim.mapping import DEFAULT_RULES

TODAY = date(2026, 3, 2)
OWNERS = DEFAULT_RULES.owners()
NUMBER = EmployeeNumber("1042")

texts = st.sampled_from(["a", "A", "b"])
optional = st.one_of(st.none(), texts)
FIELDS = (Field.phone, Field.first_name, Field.last_name, Field.email, Field.work_title, Field.department)


def values(of: st.SearchStrategy[Value | None]) -> st.SearchStrategy[dict[Field, Value | None]]:
    return st.dictionaries(st.sampled_from((*FIELDS, Field.birth_date)), of)


employments = st.one_of(
    st.none(),
    st.lists(
        st.builds(Employment, st.just(date(2026, 1, 1)), st.sampled_from([None, date(2026, 2, 1), date(2026, 5, 1)])),
        max_size=2,
    ).map(tuple),
)


@given(
    values(texts),
    values(optional),
    values(optional),
    st.booleans(),
    st.sampled_from([None, True, False]),
    employments,
    st.sampled_from([None, True, False]),
    st.sampled_from([None, True, False]),
)
def test_a_person_who_is_as_wanted_has_no_drift(
    wanted: dict[Field, Value],
    found: dict[Field, Value | None],
    known: dict[Field, Value | None],
    active: bool,
    disabled: bool | None,
    shown: tuple[Employment, ...] | None,
    login: bool | None,
    employed: bool | None,
):
    """Q1: equal fingerprints prove that nothing differs and that nothing has to be acknowledged."""
    days = Days(active=active, active_since=TODAY, inactive_since=None if active else TODAY)
    acknowledged = Acknowledged(values=known, login=login, employed=employed)
    person = Person(PersonId("p"), UserId("u"), days, NUMBER, acknowledged=acknowledged)
    desired = DesiredEmployee({**wanted, Field.employee_number: NUMBER})
    employee = ActualEmployee(NUMBER, found, disabled, shown)
    fingerprint = fingerprint_of(employee, OWNERS, TODAY)

    if is_as_wanted(fingerprint.shown, fingerprint.digest, person, desired, OWNERS, TODAY):
        facts = DriftFacts(State.delivered, None, 1, None, None)
        assert drift_of(person, desired, employee, Policy(OWNERS), facts, today=TODAY).items == ()


def test_what_is_to_be_cleared_is_seen_though_it_is_not_shown():
    """H5: `null` is sent where a value was acknowledged before; a list may leave the field out."""
    held: dict[Field, Value | None] = dict.fromkeys(FIELDS, "a")
    acknowledged = Acknowledged(values=held, login=True, employed=True)
    person = Person(PersonId("p"), UserId("u"), Days(True, TODAY), NUMBER, acknowledged=acknowledged)
    others: dict[Field, Value] = {field: "a" for field in FIELDS if field is not Field.email}
    desired = DesiredEmployee({**others, Field.employee_number: NUMBER})
    employee = ActualEmployee(NUMBER, {**others}, False, (Employment(date(2026, 1, 1)),))
    fingerprint = fingerprint_of(employee, OWNERS, TODAY)

    assert not is_as_wanted(fingerprint.shown, fingerprint.digest, person, desired, OWNERS, TODAY)


def test_an_employee_as_wanted_is_recognised():
    """The short cut is taken by a person who is in sync, or it were none."""
    held: dict[Field, Value | None] = dict.fromkeys(FIELDS, "a")
    acknowledged = Acknowledged(values=held, login=True, employed=True)
    person = Person(PersonId("p"), UserId("u"), Days(True, TODAY), NUMBER, acknowledged=acknowledged)
    desired = DesiredEmployee({**dict.fromkeys(FIELDS, "a"), Field.employee_number: NUMBER})
    employee = ActualEmployee(NUMBER, held, False, (Employment(date(2026, 1, 1)),))
    fingerprint = fingerprint_of(employee, OWNERS, TODAY)

    assert is_as_wanted(fingerprint.shown, fingerprint.digest, person, desired, OWNERS, TODAY)
    edited = fingerprint_of(replace(employee, values={**held, Field.department: "b"}), OWNERS, TODAY)
    assert not is_as_wanted(edited.shown, edited.digest, person, desired, OWNERS, TODAY)
