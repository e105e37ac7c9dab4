"""Runs that were asked for in the console: each by one process, again if its process dies, few at a time."""

import pytest

from scim_bridge.reconcile.run import Asked
from scim_bridge.storage.asked import COMPARE, AskedRun, AskedRuns
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.reconcile.test_scheduler import OneRun, Runs

TENANTS = ["default", "nord", "sor"]


def a_worker(database: Database, runs: Runs, name: str, *, most: int = 4, tenants: list[str] | None = None) -> Asked:
    def start(tenant: str, asked: AskedRun) -> OneRun:
        return runs.start()

    return Asked(database, tenants or TENANTS, start, lambda: name, most)


def ask(database: Database, name: str = COMPARE, tenant: str = "default") -> bool:
    with database.write(tenant) as s:
        return s.asked.ask(name, "Kari")


def left(database: Database, tenant: str = "default") -> list[str]:
    with database.read(tenant) as s:
        return [each.name for each in s.asked.all()]


def test_one_of_several_processes_does_it_once(database: Database, clock: Clock):
    runs = Runs()
    workers = [a_worker(database, runs, name) for name in "abc"]
    assert ask(database)
    assert not ask(database)
    for _ in range(20):
        for each in workers:
            each.look()
        clock.passes(seconds=5)
    assert len(runs.exits) == 1

    runs.exits[0] = 2
    for each in workers:
        each.look()
    assert left(database) == []
    clock.passes(hours=1)
    for each in workers:
        each.look()
    assert len(runs.exits) == 1


def test_a_dead_worker_is_replaced_within_30_seconds(database: Database, clock: Clock):
    runs = Runs()
    ask(database)
    a_worker(database, runs, "dead").look()
    other = a_worker(database, runs, "b")
    clock.passes(seconds=15)
    other.look()
    assert len(runs.exits) == 1
    clock.passes(seconds=10)
    other.look()
    assert len(runs.exits) == 2


def test_a_worker_that_was_replaced_ends_nothing_of_the_other(database: Database, clock: Clock):
    runs = Runs()
    ask(database, "repair:p")
    slow, other = a_worker(database, runs, "a"), a_worker(database, runs, "b")
    slow.look()
    clock.passes(seconds=30)
    other.look()
    runs.exits[0] = -9
    slow.look()
    assert left(database) == ["repair:p"]

    runs.exits[1] = 0
    other.look()
    assert left(database) == []


def test_a_worker_that_stops_in_good_order_makes_room_at_once(database: Database, clock: Clock):
    runs = Runs()
    ask(database)
    one, other = a_worker(database, runs, "a"), a_worker(database, runs, "b")
    one.look()
    one.stop()
    assert runs.exits == [-15]
    other.look()
    assert len(runs.exits) == 2


def test_an_end_that_could_not_be_stored_is_stored_later(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """The database is out of reach at that moment: the run is over all the same, and is not begun again."""
    runs = Runs()
    ask(database)
    worker = a_worker(database, runs, "a")
    worker.look()
    runs.exits[0] = 0
    with monkeypatch.context() as away:
        away.setattr(AskedRuns, "end", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            worker.look()
    worker.look()
    assert left(database) == []
    clock.passes(seconds=90)
    worker.look()
    assert len(runs.exits) == 1


def test_few_run_at_a_time_and_one_for_each_company(database: Database, clock: Clock):
    runs = Runs()
    for tenant in TENANTS:
        ask(database, tenant=tenant)
    ask(database, "repair:p", "default")
    worker = a_worker(database, runs, "a", most=2)
    worker.look()
    assert len(runs.exits) == 2
    runs.exits[0] = 0
    worker.look()
    assert len(runs.exits) == 3


def test_what_a_company_asks_that_is_not_served_is_left(database: Database, clock: Clock):
    """A company that was taken out of the settings, or one that another bridge serves."""
    runs = Runs()
    ask(database, tenant="nord")
    a_worker(database, runs, "a", tenants=["default"]).look()
    assert runs.exits == []
    assert left(database, "nord") == [COMPARE]


def test_asked_runs_are_no_schedule_and_no_process(database: Database, clock: Clock):
    """They share a table with both."""
    ask(database)
    with database.write("default") as s:
        assert s.schedules.take("reconcile", "x", every_seconds=60, alive_seconds=20)
        assert [each.name for each in s.asked.all()] == [COMPARE]


def test_who_asked_is_known_until_it_has_ended(database: Database, clock: Clock):
    runs = Runs()
    ask(database)
    worker = a_worker(database, runs, "a")
    worker.look()
    with database.read("default") as s:
        (asked,) = s.asked.all()
        assert (asked.by, asked.is_running) == ("Kari", True)
    runs.exits[0] = 1
    worker.look()
    with database.read("default") as s:
        assert (s.asked.all(), s.asked.failed_at(COMPARE)) == ([], s.now)

    ask(database)
    with database.read("default") as s:
        assert s.asked.failed_at(COMPARE) is None
