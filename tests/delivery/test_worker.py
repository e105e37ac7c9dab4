"""The worker: several people at a time, several tenants in turn, and a clean end."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text

from scim_bridge.delivery.worker import Worker
from scim_bridge.domain.employee import Days
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import history, people
from tests.conftest import Clock
from tests.world import World, a_user

PATIENCE_SECONDS = 60.0


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    """Eight people are due."""
    world = World(database, clock, settings={"delivery": {"inline_seconds": 0}})
    for number in range(8):
        world.entra.directory.add(
            a_user(
                object_id=f"object-{number}",
                user_principal_name=f"{number}@contractor.example",
                mail=f"{number}@contractor.example",
                mobile=f"+47 9876543{number}",
                employee_id=f"104{number}",
            )
        )
    world.cycle()
    return world


def still_due(world: World, tenant: str = "default") -> int:
    query = select(func.count()).select_from(people).where(people.c.state == "due", people.c.tenant == tenant)
    with world.database.read() as s:
        return int(s.connection.execute(query).scalar_one())


def add_absent_people(world: World, tenant: str, how_many: int) -> None:
    """People of whom nothing is to be done in Ditio, but who are due."""
    with world.database.write(tenant) as s:
        for number in range(how_many):
            person_id = PersonId(f"{tenant}-{number:03d}")
            person = Person(person_id, user_id=None, days=Days(active=False))
            s.people.add(person, external_id=None, wakes_on=None)
            s.outbox.mark_due(person_id)


def of_other_tenant(world: World, name: str) -> Any:
    return replace(world.parts.tenants["default"], name=name)


def test_several_people_are_delivered_at_the_same_time(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1, D2: as many as there are places, each under a lease of his own, and each once."""
    ditio = world.parts.tenants["default"].ditio
    get, together = ditio.get, threading.Barrier(4)

    def get_together(*arguments: Any, **options: Any) -> Any:
        together.wait(PATIENCE_SECONDS)  # Who comes alone would wait for ever.
        return get(*arguments, **options)

    monkeypatch.setattr(ditio, "get", get_together)
    assert world.parts.worker(places=4).run_until_idle() == 8

    assert still_due(world) == 0
    assert sorted(world.ditio.company.employees) == [f"104{number}" for number in range(8)]
    assert {employee.created_count for employee in world.ditio.company.employees.values()} == {1}


def test_several_workers_deliver_each_person_once(world: World):
    """D1: any number of workers may run (PostgreSQL: `FOR UPDATE SKIP LOCKED`)."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            world.parts.worker(places=2).run_until_idle()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert failures == []
    assert still_due(world) == 0
    assert {employee.created_count for employee in world.ditio.company.employees.values()} == {1}
    assert len([call for call in world.ditio.writes() if call.method == "POST"]) == 8


def test_a_person_who_is_in_hand_is_delivered_before_it_stops(world: World, monkeypatch: pytest.MonkeyPatch):
    """SIGTERM drains: no one new is taken, no lease is left behind."""
    ditio = world.parts.tenants["default"].ditio
    get, asked = ditio.get, threading.Event()

    def get_and_stop(*arguments: Any, **options: Any) -> Any:
        asked.set()
        return get(*arguments, **options)

    monkeypatch.setattr(ditio, "get", get_and_stop)
    world.parts.worker(places=2).run(asked.is_set, lambda: None)

    with world.database.read() as s:
        rows = s.connection.execute(select(people.c.state, people.c.lease)).all()
    assert all(row.lease is None for row in rows)
    assert {row.state for row in rows} == {"delivered", "due"}


def test_tenants_are_served_in_turn(world: World):
    """D2: leasing is fair: a company with a thousand people due does not keep one with three waiting."""
    add_absent_people(world, "large", 20)
    add_absent_people(world, "small", 3)
    tenants = [of_other_tenant(world, name) for name in ("large", "small")]

    Worker(tenants, places=1).run_until_idle()

    settled = select(history.c.tenant).where(history.c.what == "delivery").order_by(history.c.id)
    with world.database.read() as s:
        order = [row.tenant for row in s.connection.execute(settled)]
    assert order[:6] == ["large", "small"] * 3
    assert order[6:] == ["large"] * 17


def test_tenants_with_no_one_due_make_no_one_wait(world: World):
    """D2: as soon as a tenant's place is free again it is used by a place that has nothing to do."""
    world.restarts_with(ditio={"max_concurrency": 1})
    tenants = [world.parts.tenants["default"], of_other_tenant(world, "idle")]
    due_at_pauses: list[int] = []

    Worker(tenants, places=3).run(lambda: bool(due_at_pauses), lambda: due_at_pauses.append(still_due(world)))

    assert due_at_pauses == [0]


def test_a_slow_tenant_does_not_take_all_the_threads(world: World, monkeypatch: pytest.MonkeyPatch):
    """D2: all of the other's people are delivered while Ditio answers no one of the slow one's."""
    add_absent_people(world, "other", 10)
    ditio = world.parts.tenants["default"].ditio
    get, answers = ditio.get, threading.Event()

    def get_late(*arguments: Any, **options: Any) -> Any:
        answers.wait(PATIENCE_SECONDS)
        return get(*arguments, **options)

    monkeypatch.setattr(ditio, "get", get_late)
    tenants = [world.parts.tenants["default"], of_other_tenant(world, "other")]
    worker = Worker(tenants, places=3)
    thread = threading.Thread(target=worker.run_until_idle)
    thread.start()
    try:
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            if still_due(world, "other") == 0 or answers.wait(0.05):
                break
        assert still_due(world, "other") == 0
        assert still_due(world) == 8
    finally:
        answers.set()
        thread.join(PATIENCE_SECONDS)
    assert still_due(world) == 0


def test_people_are_delivered_though_what_can_wait_goes_wrong(world: World):
    """D1: trouble with removing what is old keeps no one from being delivered."""
    with world.database.write() as s:
        s.connection.execute(text("ALTER TABLE audit RENAME TO put_away"))
    idle: list[bool] = []
    try:
        world.worker.run(lambda: bool(idle), lambda: idle.append(True))
    finally:
        with world.database.write() as s:
            s.connection.execute(text("ALTER TABLE put_away RENAME TO audit"))

    assert still_due(world) == 0
