"""Converging: whatever Entra wants and Ditio has, there comes a delivery that sends nothing, and no owner is passed."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from scim_bridge.sandbox.documents import CUT_AT
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.style import ALL_ANSWERS, ALL_EMPLOYMENTS, ALL_ENVELOPES, Style
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import metadata, people
from tests.conftest import Clock
from tests.thorough import either
from tests.world import World, a_user

DELIVERIES = 8
"""Enough for two rounds, for a form to be told, and for one delivery that has nothing to do."""

TEXTS = st.sampled_from(["Formann", "formann", "LEDER", "Ås-Ødegård", "Grunnarbeider og rørlegger"])
NAMES = st.sampled_from(["Kari", "kari", "Åse Marie", "Bjørn-Håkon"])
PHONES = st.sampled_from(["+4798765432", "+4741234567"])
DAYS = st.sampled_from([date(1990, 5, 15), date(1985, 1, 31)])
MAILS = st.sampled_from(["kari@contractor.example", "K.N@contractor.example"])

DESIRED = st.fixed_dictionaries(
    {
        "given_name": NAMES,
        "surname": NAMES,
        "mobile": PHONES,
        "mail": st.none() | MAILS,
        "job_title": st.none() | TEXTS,
        "department": st.none() | TEXTS,
        "birth_date": st.none() | DAYS.map(date.isoformat),
        "hire_date": st.sampled_from([None, "2026-03-01", "2026-06-01"]),
    }
)
ACTUAL = st.none() | st.fixed_dictionaries(
    {
        "first_name": NAMES,
        "last_name": NAMES,
        "phone": PHONES,
        "email": st.none() | MAILS,
        "work_title": st.none() | TEXTS,
        "department": st.none() | TEXTS,
        "birth_date": st.none() | DAYS,
        "payroll": st.integers(0, 2),
        "disabled": st.booleans(),
        "start": st.sampled_from([None, date(2020, 1, 1)]),
        "end": st.sampled_from([None, date(2025, 12, 31)]),
    }
)
FORMS = st.fixed_dictionaries(
    {},
    optional={
        "firstName": st.sampled_from(["upper", "cut", "echoed", "ignored", "alternating"]),
        "phone": st.sampled_from(["spaced", "ignored"]),
        "email": st.sampled_from(["upper", "cut", "ignored"]),
        "workTitle": st.sampled_from(["upper", "cut", "echoed", "ignored", "alternating"]),
        "department": st.sampled_from(["upper", "cut", "echoed", "ignored", "alternating"]),
        "birthDate": st.just("ignored"),
    },
)
STYLES = st.builds(
    Style,
    envelope=st.sampled_from(ALL_ENVELOPES),
    answers=st.sampled_from(ALL_ANSWERS),
    employment=st.sampled_from(ALL_EMPLOYMENTS),
    omit_empty=st.booleans(),
    date_form=st.sampled_from(["day", "datetime"]),
    read_lag=st.sampled_from([0, 0, 1, 2]),
    forms=FORMS,
)
OWNERS = st.dictionaries(
    st.sampled_from(["email", "workTitle", "department", "birthDate", "payroll", "firstName", "phone"]),
    st.sampled_from(["ditio", "seed"]),
    max_size=2,
)
OWN_NAMES = {
    "email": "email",
    "workTitle": "work_title",
    "birthDate": "birth_date",
    "firstName": "first_name",
    "phone": "phone",
}
WANTED = {
    "firstName": "given_name",
    "lastName": "surname",
    "workTitle": "job_title",
    "phone": "mobile",
    "email": "mail",
    "department": "department",
}
RESTLESS = {"ignored", "alternating"}


@given(desired=DESIRED, actual=ACTUAL, style=STYLES, owners=OWNERS, lag=st.sampled_from([0, 5]))
@settings(
    max_examples=either(25, 10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
def test_delivering_makes_the_next_plan_empty(
    database: Database,
    clock: Clock,
    desired: dict[str, Any],
    actual: dict[str, Any] | None,
    style: Style,
    owners: dict[str, str],
    lag: int,
):
    """C1, C2, C5, H5: for any desired and actual person, and however Ditio answers."""
    world = a_world(database, clock, style, owners, lag)
    if actual is not None:
        world.ditio.plant("1042", **actual)
    before = owned_by_ditio(world, owners) if actual is not None else {}
    kari = a_user(**desired)
    world.provisions(kari)
    sent: list[Any] = [body for _, _, body in world.sent()]
    for _ in range(DELIVERIES):
        world.forget()
        is_delivered_again(world)
        sent += [body for _, _, body in world.sent()]

    assert world.sent() == []
    for field, owner in owners.items():
        assert owner != "ditio" or field == "phone" or not any(is_in(field, body) for body in sent[(actual is None) :])
    assert owned_by_ditio(world, owners if actual is not None else {}) == before
    restless = {field for field, form in style.forms.items() if form in RESTLESS}
    agrees(world, kari, style, owners, restless | looks_ignored(desired, actual or {}, style))


def looks_ignored(desired: Mapping[str, Any], actual: Mapping[str, Any], style: Style) -> set[str]:
    """Fields whose new value looks like the old one in Ditio's form: by rule C2 that is another round."""
    planted = {"firstName": "first_name", "email": "email", "workTitle": "work_title", "department": "department"}
    return {
        field
        for field, name in planted.items()
        if in_form(actual.get(name), style.forms.get(field)) == in_form(desired[WANTED[field]], style.forms.get(field))
    }


def in_form(text: str | None, form: str | None) -> str | None:
    return text and (text[:CUT_AT] if form == "cut" else text.upper())


def a_world(database: Database, clock: Clock, style: Style, owners: Mapping[str, str], lag: int) -> World:
    with database.write() as s:
        for table in metadata.tables.values():
            s.connection.execute(table.delete())
    fields = {name: {"owner": owner} for name, owner in owners.items()}
    adopting = {"delivery": {"adopt": "always"}, "mapping": {"fields": fields}, "ditio": {"read_lag_seconds": lag}}
    return World(database, clock, style=style, settings=adopting)


def is_delivered_again(world: World) -> None:
    world.clock.passes(hours=2)  # What is sent again counts in an hour of its own: the company is one person (L8).
    with world.database.write("default") as s:
        person_id = s.connection.execute(select(people.c.id)).scalar_one()
        s.outbox.mark_due(person_id)
    world.worker.run_until_idle()


def owned_by_ditio(world: World, owners: Mapping[str, str]) -> dict[str, object]:
    employee = world.employee("1042")
    return {
        field: getattr(employee, OWN_NAMES[field])
        for field, owner in owners.items()
        if owner == "ditio" and field in OWN_NAMES
    }


def is_in(field: str, body: Any) -> bool:
    return isinstance(body, dict) and any(key == field or is_in(field, value) for key, value in body.items())


def agrees(world: World, user: EntraUser, style: Style, owners: Mapping[str, str], restless: set[str]) -> None:
    employee, (state, detail) = world.employee("1042"), world.state(user)
    assert state == "delivered" or (state == "parked" and restless)
    assert state == "delivered" or any(f"Ditio keeps changing {field}" in str(detail) for field in restless), detail
    for field, name in WANTED.items():
        if field in ("email", "department"):
            continue
        wanted = getattr(user, name)
        if wanted is not None and owners.get(field, "entra") == "entra" and style.forms.get(field) != "ignored":
            assert getattr(employee, {**OWN_NAMES, "lastName": "last_name"}[field]) == wanted
    employment = employee.employment
    assert not employee.disabled
    assert employment is not None
    assert employment.end is None
    if user.department and owners.get("department", "entra") == "entra" and style.forms.get("department") != "ignored":
        assert employment.department == user.department


@pytest.mark.parametrize("field", ["email", "workTitle", "department", "birthDate", "payroll"])
def test_a_field_of_ditios_own_is_never_sent(world: World, field: str):
    """H5: owner `ditio`, at a creation, at a change and at a return."""
    world.restarts_with(mapping={"fields": {field: {"owner": "ditio"}}})
    kari = a_user(extra={"urn:ietf:params:scim:schemas:extension:ditio:2.0:User:payroll": "2"})
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, job_title="Leder", department="Betong", mail="k@contractor.example", surname="Hansen")
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=3)
    world.changes(kari, account_enabled=True)

    assert world.state(kari)[0] == "delivered"
    assert not any(is_in(field, body) for _, _, body in world.sent())
