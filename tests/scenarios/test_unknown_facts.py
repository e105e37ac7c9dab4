"""What no one knows of Ditio, switched either way: a working life ends the same, or as the rule says ([U])."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import ALL_ANSWERS, ALL_EMPLOYMENTS, ALL_ENVELOPES, Style
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World, a_user, day

Settings = Mapping[str, Mapping[str, Any]]

BY_POST = {"method": "POST", "path": "/{employeeNumber}/%s"}
POSTED: Settings = {
    "ditio": {
        "operations": {
            "disable": {**BY_POST, "path": "/{employeeNumber}/disable"},
            "enable": {**BY_POST, "path": "/{employeeNumber}/enable"},
            "change_phone_number": {
                **BY_POST,
                "path": "/{employeeNumber}/change-phone-number",
                "body": {"phone": "{phone}"},
            },
        }
    }
}
V4: Settings = {"ditio": {"operations": {"disable": "v4", "enable": "v4"}}}
EMPLOYED_FIRST: Settings = {"delivery": {"rehiring": ("create-employment", "enable")}}

SWITCHES: dict[str, tuple[dict[str, Any], Settings]] = {
    "as assumed": ({}, {}),
    "a duplicate is 400": ({"duplicates": "400"}, {}),
    "a duplicate is updated": ({"duplicates": "update"}, {}),
    "a duplicate phone too": ({"duplicates": "update-all"}, {}),
    "ending disables": ({"ending_disables": True}, {}),
    "ending disables, already is refused": ({"ending_disables": True, "already": "refuse"}, {}),
    "enabling needs an employment": ({"enabling_needs_employment": True}, EMPLOYED_FIRST),
    "already is refused": ({"already": "refuse"}, {}),
    "reads lag by one": ({"read_lag": 1}, {}),
    "reads lag by three": ({"read_lag": 3}, {}),
    "disabled by v4": ({"missing_operations": frozenset({"disable", "enable"})}, V4),
    "a birth date is required": ({"birth_date_required": True}, {}),
    "a company id is required": (
        {"require_company_id": True},
        {"ditio": {"company_id": "012345", "send_company_id": True}},
    ),
    "no date is 0001-01-01": ({"no_date": "0001-01-01", "date_form": "datetime"}, {}),
    "a search shows names alone": ({"brief_search": True}, {}),
    "disabled, not isDisabled": ({"disabled_key": "disabled", "omit_empty": True}, {}),
    "errors as text": ({"errors": "text", "already": "refuse"}, {}),
    "errors as problems": ({"errors": "problem", "already": "refuse", "wrong_scope": 401}, {}),
}


def a_world(database: Database, clock: Clock, switched: dict[str, Any], settings: Settings, turn: int) -> World:
    """A Ditio with this switched; each turn with another envelope, answer and shape of the employments."""
    style = Style(
        envelope=ALL_ENVELOPES[turn % len(ALL_ENVELOPES)],
        answers=ALL_ANSWERS[turn % len(ALL_ANSWERS)],
        employment=ALL_EMPLOYMENTS[turn % len(ALL_EMPLOYMENTS)],
    )
    merged = {name: dict(section) for name, section in settings.items()}
    return World(database, clock, style=dataclasses.replace(style, **switched), settings=merged)


def turn_of(database: Database, name: str) -> int:
    """Another on each database, so that twice as many combinations are seen."""
    return 2 * list(SWITCHES).index(name) + ("postgres" in str(database.engine.url))


def time_passes(world: World, **span: float) -> None:
    """The simulated Ditio's lag counts reads: after a while it is over."""
    for _ in range(3):
        world.parts.tenants["default"].ditio.get(EmployeeNumber("1042"))
    world.clock.passes(**span)
    world.worker.run_until_idle()


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.usefixtures("ends_at_once")
def test_a_working_life_ends_the_same(database: Database, clock: Clock, name: str):
    """H1, C1, L2, L4, L7, R4: hired, changed, left, returned, deleted, whatever Ditio is like."""
    switched, settings = SWITCHES[name]
    world = a_world(database, clock, switched, settings, turn_of(database, name))
    kari = a_user()
    world.provisions(kari)
    time_passes(world, minutes=10)
    assert world.state(kari) == ("delivered", None)

    world.changes(kari, job_title="Formann", mobile="41234567", department="Betong")
    time_passes(world, minutes=10)
    employee = world.employee("1042")
    assert (employee.work_title, employee.phone, employee.employment.department) == ("Formann", "+4741234567", "Betong")
    assert world.state(kari) == ("delivered", None)

    world.changes(kari, account_enabled=False)
    time_passes(world, minutes=10)
    assert employee.disabled
    assert employee.employment.end == day("2026-03-02")
    assert world.state(kari) == ("delivered", None)

    time_passes(world, days=30)
    world.changes(kari, account_enabled=True)
    time_passes(world, minutes=10)
    assert world.state(kari)[0] == "delivered"
    assert not employee.disabled
    assert employee.employment.department == "Betong"

    time_passes(world, days=30)
    world.deletes(kari)
    time_passes(world, minutes=10)
    assert employee.disabled
    assert [(each.start, each.end) for each in employee.employments] == [
        (day("2026-03-01"), day("2026-03-02")),
        (day("2026-04-01"), day("2026-05-01")),
    ]
    assert list(world.ditio.company.employees) == ["1042"]
    assert employee.created_count == 1
    assert {call.method for call in world.ditio.writes()} <= {"POST", "PATCH"}


@pytest.mark.parametrize("lag", [0, 3])
@pytest.mark.parametrize("duplicates", ["400", "409", "update", "update-all"])
def test_our_own_duplicate_is_ours(database: Database, clock: Clock, duplicates: str, lag: int):
    """R4, P6: the first POST was applied and its answer lost; whatever a duplicate gets, there is one employee."""
    world = a_world(database, clock, {"duplicates": duplicates, "read_lag": lag}, {}, lag)
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    for _ in range(4):
        time_passes(world, hours=1)

    assert world.employee("1042").created_count == 1
    assert world.state(kari) == ("delivered", None)


@pytest.mark.parametrize("duplicates", ["400", "409"])
def test_a_person_out_of_reach_is_never_written_over(world: World, duplicates: str):
    """H1, R1: 404 for a person who is there: what Ditio refuses as a duplicate is parked with its words."""
    world.ditio.plant("1042", "Ola", "Hansen", "+4741111111")
    world.restyle(duplicates=duplicates, out_of_reach=frozenset({"1042"}))
    world.restarts_with(delivery={"inline_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    world.worker.run_until_idle()

    state, detail = world.state(kari)
    assert state == "parked"
    assert "already in use" in str(detail)
    assert world.employee("1042").first_name == "Ola"


@pytest.mark.parametrize("what", ["changes", "leaves", "is deleted"])
def test_a_linked_employee_out_of_reach_is_gone_until_he_is_back(world: World, what: str):
    """P5, L6: 404: parked, `gone`, no one created; once he can be read again `outbox retry` delivers."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.restyle(out_of_reach=frozenset({"1042"}))
    _happens(world, kari, what)
    world.worker.run_until_idle()
    assert waiting(world) == [("parked", "gone")]

    world.restyle(out_of_reach=frozenset())
    retry(world)
    assert waiting(world) == []
    employee = world.employee("1042")
    assert employee.disabled == (what != "changes")
    assert employee.work_title == ("Formann" if what == "changes" else "Maskinfører")
    assert employee.created_count == 1


@pytest.mark.parametrize("errors", ["v5", "simple", "text", "problem"])
@pytest.mark.usefixtures("ends_at_once")
def test_a_locked_month_parks_what_lies_in_it(database: Database, clock: Clock, errors: str):
    """L6, R1: hiring and returning into a locked month are refused, an ending likewise; all end well unlocked."""
    locked = {"payroll_locked_until": day("2026-03-31"), "errors": errors}
    world = a_world(database, clock, locked, {"delivery": {"inline_seconds": 0}}, 1)
    kari = a_user()
    world.provisions(kari)
    world.worker.run_until_idle()
    assert waiting(world) == [("parked", "refused")]
    assert world.ditio.company.employees == {}

    unlocked(world)
    world.changes(kari, account_enabled=False)
    world.worker.run_until_idle()
    assert waiting(world) == [("parked", "refused")]
    assert world.employee("1042").disabled
    assert world.employee("1042").employment.end is None

    unlocked(world)
    assert world.employee("1042").employment.end == day("2026-03-02")
    world.clock.passes(days=10)
    world.changes(kari, account_enabled=True)
    world.worker.run_until_idle()
    assert waiting(world) == [("parked", "refused")]

    unlocked(world)
    assert waiting(world) == []
    assert world.employee("1042").employment.start == day("2026-03-12")
    assert not world.employee("1042").disabled


def test_enabling_that_needs_an_employment_is_parked_in_the_default_order(database: Database, clock: Clock):
    """L4, R1: with the default steps it is refused, and the employment created all the same; then a retry delivers."""
    settings: Settings = {"delivery": {"inline_seconds": 0}}
    world = a_world(database, clock, {"enabling_needs_employment": True}, settings, 2)
    kari = a_user()
    world.provisions(kari)
    world.worker.run_until_idle()
    world.changes(kari, account_enabled=False)
    time_passes(world, days=30)
    world.changes(kari, account_enabled=True)
    time_passes(world, minutes=10)
    assert waiting(world) == [("parked", "refused")]

    retry(world)
    assert waiting(world) == []
    assert not world.employee("1042").disabled
    assert [each.end for each in world.employee("1042").employments] == [day("2026-03-02"), None]


def test_an_operation_with_another_method_is_held_and_then_configured(database: Database, clock: Clock):
    """R1: 405 while the employee can be read is `no-operation`; the setting cures it, and the ending is delivered."""
    world = a_world(database, clock, {"operations_method": "POST"}, {}, 3)
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    assert waiting(world) == [("held", "no-operation")]
    assert str(world.state(kari)[1]).startswith("should-be-inactive: ")

    world.restarts_with(**{name: dict(section) for name, section in POSTED.items()})
    retry(world)
    assert waiting(world) == []
    assert world.employee("1042").disabled


def _happens(world: World, user: EntraUser, what: str) -> None:
    match what:
        case "changes":
            world.changes(user, job_title="Formann")
        case "leaves":
            world.changes(user, account_enabled=False)
        case _:
            world.deletes(user)


def unlocked(world: World) -> None:
    """The payroll month is open for a moment, and the operator tries again."""
    locked = world.ditio.style.payroll_locked_until
    world.restyle(payroll_locked_until=None)
    retry(world)
    world.restyle(payroll_locked_until=locked)


def retry(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()


def waiting(world: World) -> list[tuple[str, str]]:
    with world.database.read("default") as s:
        return [(row.state, row.reason) for row in s.outbox.waiting()]
