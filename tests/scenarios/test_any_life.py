"""Any life: whatever happens to a few people in Entra, and however Ditio answers, both sides agree at the end."""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.faults import Fault
from scim_bridge.sandbox.style import documented_styles
from scim_bridge.storage import schema
from scim_bridge.storage.database import Database
from scim_bridge.storage.outbox import Outbox
from tests.conftest import Clock
from tests.world import World, a_user

PHONES = ["98765432", "41234567", "90012345", "+47 400 12 345"]
NUMBERS = ["1042", "1043", "A-7"]

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
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
def test_both_sides_agree_at_the_end(
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    life: list[tuple[int, tuple[str, Any]]],
    style: Any,
    inline: int,
):
    """A2, D1, P1, R4, L7: nothing lost, nobody twice, nothing deleted."""
    caplog.set_level(logging.ERROR)
    caplog.clear()
    world = _a_world(tmp_path_factory.mktemp("life"), style, inline)
    staff = [_person(index) for index in range(3)]
    for user in staff:
        world.provisions(user)
    for index, (event, value) in life:
        _happens(world, staff[index], event, value)
    _calms_down(world)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert {call.method for call in world.ditio.writes()} <= {"POST", "PATCH"}
    for user in staff:
        _agrees(world, user)
    world.database.close()


def _a_world(folder: Path, style: Any, inline: int) -> World:
    clock = Clock()
    database = Database(f"sqlite:///{folder / 'life.db'}", clock=clock)
    schema.upgrade(database)
    return World(database, clock, style=style, settings={"delivery": {"inline_seconds": inline}})


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
    """Ditio answers again, and time passes until nobody waits: a phone may wait for another's to change first."""
    world.ditio.faults.clear()
    for _ in range(4):
        world.clock.passes(hours=2)
        world.worker.run_until_idle()
        with world.database.write() as connection:
            Outbox(connection, "default", world.clock()).retry()
    world.worker.run_until_idle()


def _agrees(world: World, user: EntraUser) -> None:
    with world.database.read() as connection:
        waiting = Outbox(connection, "default", world.clock()).waiting()
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
