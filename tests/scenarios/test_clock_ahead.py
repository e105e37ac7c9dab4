"""A clock that was ahead by a day has left its moments behind: none counts that lies beyond its cap."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import acknowledged, breakers, people
from tests.conftest import Clock
from tests.world import World, a_user


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    """Kari is due."""
    world = World(database, clock, settings={"delivery": {"inline_seconds": 0}})
    world.provisions(a_user())
    return world


def put(world: World, **moments: object) -> None:
    with world.database.write() as s:
        s.connection.execute(update(people).values(**moments))


def delivered(world: World) -> bool:
    with world.database.read() as s:
        return s.connection.execute(select(people.c.state)).scalar_one() == "delivered"


def tomorrow(world: World) -> datetime:
    return world.clock() + timedelta(days=1)


def test_a_back_off_of_a_day_does_not_count(world: World):
    """R3: the longest is an hour."""
    put(world, due_at=tomorrow(world), attempts=9)

    assert world.worker.run_until_idle() == 1
    assert delivered(world)


def test_a_back_off_of_an_hour_does(world: World):
    """R3."""
    put(world, due_at=world.clock() + timedelta(hours=1), attempts=9)

    assert world.worker.run_until_idle() == 0


def test_a_lease_of_a_day_lasts_as_long_as_any_other(world: World):
    """D1: its holder may be alive, and renews it; a dead one's is over soon."""
    put(world, lease="a dead process", leased_until=tomorrow(world))
    assert world.worker.run_until_idle() == 0

    world.clock.passes(minutes=2)
    assert world.worker.run_until_idle() == 1
    assert delivered(world)


def test_the_lease_of_a_person_at_rest_is_shortened_too(world: World):
    """D1: certificates and `reconcile` lease people who are not due."""
    world.worker.run_until_idle()
    put(world, lease="a dead process", leased_until=tomorrow(world))
    world.parts.worker(places=1).forget()

    with world.database.read() as s:
        assert s.connection.execute(select(people.c.leased_until)).scalar_one() < world.clock() + timedelta(minutes=2)


def test_a_probe_is_not_put_off_for_a_day(world: World):
    """D2: probes are at most 30 s apart, and Ditio's own pause is an hour at most."""
    world.ditio.faults.plan(Fault("refused-connection", times=None))
    world.worker.run_until_idle()
    world.ditio.faults.clear()
    with world.database.write("default") as s:
        s.connection.execute(update(breakers).values(next_probe_at=tomorrow(world), quiet_until=tomorrow(world)))
        found = s.breaker.get()

    assert found.is_open
    assert found.wants_probe(world.clock())
    world.worker.run_until_idle()
    assert delivered(world)


def test_a_schedule_that_began_tomorrow_is_not_believed(world: World):
    """RECONCILE__EVERY; those who is believed to be alive until tomorrow says so again, or is replaced."""
    with world.database.write("default") as s:
        s.schedules.take("reconcile", "dead", every_seconds=60, alive_seconds=20)
        s.connection.execute(update(schedules).values(started_at=tomorrow(world), alive_until=tomorrow(world)))

    def take() -> bool:
        with world.database.write("default") as s:
            now = world.clock()
            return s.at(now).schedules.take("reconcile", "b", every_seconds=60, alive_seconds=20)

    assert not take()
    world.clock.passes(seconds=21)
    assert take()
    with world.database.write() as s:
        s.connection.execute(update(schedules).values(started_at=tomorrow(world), alive_until=None))
    assert take()


def test_what_was_written_tomorrow_hides_no_read(world: World):
    """C5: a moment of acknowledging or of doubt that lies a day ahead stands in for nothing, and delays nothing."""
    world.worker.run_until_idle()
    put(world, doubted_at=tomorrow(world), linked_at=tomorrow(world))
    with world.database.write() as s:
        s.connection.execute(update(acknowledged).values(taken_at=tomorrow(world)))
    (employee,) = world.ditio.company.employees.values()
    employee.work_title = "Sjef"
    put(world, state="due", due_at=world.clock(), due_since=world.clock())

    assert world.worker.run_until_idle() == 1
    assert delivered(world)
    assert employee.work_title == "Maskinfører"
