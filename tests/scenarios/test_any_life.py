"""Any life: whatever happens to a few people in Entra, and however Ditio answers, both sides agree at the end."""

import dataclasses
import logging
import os
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Row, select

from scim_bridge.delivery.guard import release
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import documented_styles
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people
from tests.conftest import Clock
from tests.thorough import either
from tests.world import World, a_user

PHONES = ["98765432", "41234567", "90012345", "+47 400 12 345"]
NUMBERS = ["1042", "1043", "A-7"]

EXAMPLES = int(os.environ.get("ANY_LIFE_EXAMPLES", either(25, 8)))
"""How many lives are tried; a longer run: `ANY_LIFE_EXAMPLES=5000 pytest tests/scenarios/test_any_life.py`."""

LIKE_EACH_TIME = settings(
    max_examples=EXAMPLES,
    derandomize="ANY_LIFE_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)

EVENTS = st.one_of(
    st.tuples(st.just("title"), st.sampled_from(["Formann", "Leder", "Lærling"])),
    st.tuples(st.just("department"), st.sampled_from(["Anlegg", "Betong"])),
    st.tuples(st.just("surname"), st.sampled_from(["Hansen", "Ødegård"])),
    st.tuples(st.just("phone"), st.integers(0, 3)),
    st.tuples(st.just("leaves"), st.none()),
    st.tuples(st.just("returns"), st.none()),
    st.tuples(st.just("leave date"), st.integers(-5, 20)),
    st.tuples(st.just("deleted"), st.none()),
    st.tuples(st.just("days pass"), st.integers(1, 12)),
    st.tuples(st.just("worker"), st.none()),
    st.tuples(
        st.just("trouble"),
        st.tuples(
            st.sampled_from(["status", "html", "timeout-before", "timeout-after", "reset-before", "reset-after"]),
            st.sampled_from([None, "POST", "PATCH"]),
            st.integers(1, 3),
        ),
    ),
)
LIVES = st.lists(st.tuples(st.integers(0, 2), EVENTS), max_size=14)


@given(life=LIVES, style=st.sampled_from(documented_styles()), inline=st.sampled_from([0, 5]))
@example(life=[(0, ("trouble", ("status", None, 3))), (0, ("worker", None))], style=documented_styles()[0], inline=0)
@LIKE_EACH_TIME
def test_both_sides_agree_at_the_end(
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    life: list[tuple[int, tuple[str, Any]]],
    style: Any,
    inline: int,
):
    """A2, D1, P1, R4, L7: nothing lost, no one twice, nothing deleted."""
    caplog.set_level(logging.ERROR)
    caplog.clear()
    world = _a_world(sqlite_template, tmp_path_factory.mktemp("life"), style, inline, end_employment="at-once")
    staff = [_person(index) for index in range(3)]
    for user in staff:
        world.provisions(user)
    for index, (event, value) in life:
        _happens(world, staff[index], event, value)
    _calms_down(world)

    # The breaker may open, and says so: three people in a row can meet the same trouble.
    unexpected = [record for record in caplog.records if "breaker.opened" not in record.getMessage()]
    assert [record for record in unexpected if record.levelno >= logging.ERROR] == []
    assert {call.method for call in world.ditio.writes()} <= {"POST", "PATCH"}
    for user in staff:
        _agrees(world, user)
    world.database.close()


def _a_world(template: Path, folder: Path, style: Any, inline: int, **delivery: Any) -> World:
    clock = Clock()
    shutil.copy(template, folder / "life.db")
    database = Database(f"sqlite:///{folder / 'life.db'}", clock=clock)
    return World(database, clock, style=style, settings={"delivery": {"inline_seconds": inline, **delivery}})


def _person(index: int) -> EntraUser:
    return a_user(
        object_id=f"5d1f3c0e-0000-4000-8000-00000000000{index}",
        user_principal_name=f"person{index}@contractor.example",
        mail=f"person{index}@contractor.example",
        mobile=PHONES[index],
        employee_id=NUMBERS[index],
        given_name=f"Person{index}",
    )


def _happens(world: World, user: EntraUser, event: str, value: Any) -> None:
    today = world.clock().date()
    match event:
        case "title" | "department" | "surname":
            world.changes(user, **{{"title": "job_title"}.get(event, event): value})
        case "phone":
            # A number that another has, or a leaver still has in Ditio, is a story of its own (rule P3).
            taken = {other.mobile for other in world.entra.directory.users.values()}
            shown = {employee.phone[-8:] for employee in world.ditio.company.employees.values()}
            if PHONES[value] not in taken and PHONES[value].replace(" ", "")[-8:] not in shown:
                world.changes(user, mobile=PHONES[value])
        case "leaves":
            world.changes(user, account_enabled=False)
        case "returns":
            world.changes(user, account_enabled=True)
        case "leave date":
            world.changes(user, leave_date=(today + timedelta(days=value)).isoformat())
        case "deleted":
            if user.object_id in world.entra.directory.users:
                world.deletes(user)
        case "days pass":
            world.clock.passes(days=value)
        case "worker":
            world.worker.run_until_idle()
        case "trouble":
            kind, method, times = value
            world.ditio.faults.plan(Fault(kind=kind, method=method, path="/employees", status=503, times=times))


def _calms_down(world: World) -> None:
    """Ditio answers again, the operator releases what is held, and time passes until no one waits.

    A phone may wait for another's to change first.
    """
    world.ditio.faults.clear()
    for _ in range(4):
        world.clock.passes(hours=2)
        world.worker.run_until_idle()
        with world.database.write("default") as s:
            s.outbox.retry()
            release(s, None)
    world.worker.run_until_idle()


def _agrees(world: World, user: EntraUser) -> None:
    with world.database.read("default") as s:
        waiting = s.outbox.waiting()
    assert [(row.state, row.detail) for row in waiting] == []
    today = world.clock().date().isoformat()
    has_left = user.leave_date is not None and user.leave_date < today
    is_wanted = user.object_id in world.entra.directory.users and user.account_enabled
    if (has_left or not is_wanted) and user.employee_id not in world.ditio.company.employees:
        return  # He left before he was delivered: nobody need hear of him (rule H2).
    employee = world.employee(user.employee_id or "")
    assert employee.created_count == 1
    if not is_wanted:
        assert employee.disabled
        assert employee.employment.end is not None
        return
    assert employee.last_name == user.surname
    assert employee.work_title == user.job_title
    assert employee.phone.endswith((user.mobile or "").replace(" ", "")[-8:])
    if not has_left:
        assert not employee.disabled
        assert employee.employment.end is None
        assert employee.employment.department == user.department


# -- Any sequence of hire, change, leave, return, delete, renumber and swap ----------------------------------------

STEPS = st.one_of(
    st.just(("hired", None)),
    st.tuples(st.just("title"), st.sampled_from(["Formann", "Leder"])),
    st.tuples(st.just("department"), st.sampled_from(["Anlegg", "Betong"])),
    st.just(("leaves", None)),
    st.just(("returns", None)),
    st.just(("deleted", None)),
    st.tuples(st.just("phone"), st.sampled_from(PHONES)),
    st.tuples(st.just("renumbered"), st.sampled_from([*NUMBERS, "B-8"])),
    st.tuples(st.just("swaps phones"), st.integers(1, 2)),
    st.tuples(st.just("swaps numbers"), st.integers(1, 2)),
    st.tuples(st.just("days pass"), st.integers(1, 5)),
    st.just(("worker", None)),
    st.just(("released", None)),
)
SEQUENCES = st.lists(st.tuples(st.integers(0, 2), STEPS), max_size=16)


@given(
    sequence=SEQUENCES,
    style=st.sampled_from(documented_styles()),
    end_employment=st.sampled_from(["at-once", "after-last-day"]),
    limit=st.sampled_from([10, 1, 0]),
)
@LIKE_EACH_TIME
def test_the_sandbox_ends_where_entra_ended(
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    sequence: list[tuple[int, tuple[str, Any]]],
    style: Any,
    end_employment: str,
    limit: int,
):
    """A2, C1, H1, L2, L4, L5, L7, L8, P1, P3: or who waits for another's value is held, and all the rest has flowed."""
    settings = {"end_employment": end_employment, "max_ended_per_hour": limit, "max_ended_fraction": 0.05}
    world = _a_world(sqlite_template, tmp_path_factory.mktemp("sequence"), style, 0, **settings)
    staff = [_person(index) for index in range(3)]
    for index, (event, value) in [*((each, ("hired", None)) for each in range(3)), *sequence]:
        _is_said(world, staff, index, event, value)
    _calms_down(world)
    world.clock.passes(days=2)
    world.worker.run_until_idle()

    assert {call.method for call in world.ditio.writes()} <= {"POST", "PATCH"}
    assert all(employee.created_count == 1 for employee in world.ditio.company.employees.values())
    persons = _persons(world)
    users = [user for user in staff if user.object_id in world.entra.directory.users]
    for user in users:
        _is_as_said(world, user, persons.get(world.entra.scim_id(user.object_id)))
    linked = {person.employee_number for person in persons.values()}
    for number, employee in world.ditio.company.employees.items():
        if number not in linked:
            assert employee.disabled
            assert employee.employment is not None
            assert employee.employment.end is not None
    world.database.close()


def _is_said(world: World, staff: list[EntraUser], index: int, event: str, value: Any) -> None:
    user = staff[index]
    if event == "hired":
        if world.entra.scim_id(user.object_id) is None:
            world.provisions(user)
        return
    if event == "released":
        with world.database.write("default") as s:
            release(s, None)
        return
    if event in ("days pass", "worker"):
        world.clock.passes(days=value or 0)
        world.worker.run_until_idle()
        return
    if user.object_id not in world.entra.directory.users:
        return
    match event:
        case "renumbered":
            world.changes(user, employee_id=value)
        case "phone":
            world.changes(user, mobile=value)
        case "swaps phones" | "swaps numbers":
            other, name = staff[(index + value) % 3], "mobile" if event == "swaps phones" else "employee_id"
            mine, theirs = getattr(user, name), getattr(other, name)
            setattr(other, name, mine)
            world.changes(user, **{name: theirs})
        case "deleted":
            world.deletes(user)
            # Somebody who is hired again after that is another user with the same values.
            staff[index] = dataclasses.replace(user, object_id=f"{user.object_id[:-4]}{world.clock.seconds:.0f}{index}")
        case _:
            _happens(world, user, event, value)


def _persons(world: World) -> Mapping[str | None, Row[Any]]:
    with world.database.read() as s:
        return {row.user_id: row for row in s.connection.execute(select(people)) if row.user_id}


def _is_as_said(world: World, user: EntraUser, person: Row[Any] | None) -> None:
    if person is None:
        assert not user.account_enabled  # Another user took his person over (rule P2), and he asks for nothing.
        return
    if person.state != "delivered":
        assert person.reason in ("claimed", "refused"), person.detail
        assert _is_contested(world, user, person), person.detail
    if person.employee_number is None:
        assert person.state != "delivered" or not user.account_enabled
        return
    employee = world.employee(person.employee_number)
    assert employee.disabled == (not user.account_enabled)
    assert employee.employment is not None
    assert (employee.employment.end is None) == user.account_enabled
    assert (employee.last_name, employee.work_title) == (user.surname, user.job_title)
    if user.account_enabled:
        assert employee.employment.department == user.department
    if user.account_enabled and person.state == "delivered":
        assert employee.employee_number == user.employee_id
        assert employee.phone == _e164(user)


def _is_contested(world: World, user: EntraUser, person: Row[Any]) -> bool:
    """Whether another person has, or wants, the number or the phone: in Ditio or in Entra."""
    others = [each for each in world.entra.directory.users.values() if each is not user]
    wanted = {(each.employee_id, _e164(each)) for each in others}
    shown = {
        (each.employee_number, each.phone)
        for each in world.ditio.company.employees.values()
        if each.employee_number != person.employee_number
    }
    return any(number == user.employee_id or phone == _e164(user) for number, phone in wanted | shown)


def _e164(user: EntraUser) -> str:
    return f"+47{(user.mobile or '').replace(' ', '')[-8:]}"


@pytest.mark.parametrize("name", ["mobile", "employee_id"])
def test_a_person_who_swaps_ends_as_said_after_the_cure(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, name: str
):
    """P3: two who wait for each other's value are held: one is changed in Ditio, then `outbox retry`."""
    world = _a_world(sqlite_template, tmp_path_factory.mktemp("swap"), documented_styles()[0], 0)
    staff = [_person(index) for index in range(2)]
    for user in staff:
        world.provisions(user)
    world.worker.run_until_idle()
    _is_said(world, [*staff, staff[1]], 0, "swaps phones" if name == "mobile" else "swaps numbers", 1)
    world.worker.run_until_idle()
    assert {person.reason for person in _persons(world).values()} == {"claimed"}

    if name == "mobile":
        world.employee("1042").phone = "+4740099999"
    else:
        world.ditio.company.change_number("1042", "FREE-1")
    _calms_down(world)

    for user in staff:
        person = _persons(world)[world.entra.scim_id(user.object_id)]
        assert person.state == "delivered", person.detail
        _is_as_said(world, user, person)
    world.database.close()
