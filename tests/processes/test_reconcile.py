"""`reconcile` as real processes: several schedulers on one database, and a run that is killed."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import update

from scim_bridge.operator.repair import Selection, approve, choice
from scim_bridge.plan.limits import Limits
from scim_bridge.reconcile.apply import DUE_ALREADY
from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.runs import Run
from scim_bridge.web.console.visitors import author_of
from tests.processes.conftest import Bridge, Ditio
from tests.processes.running import command_of, eventually, run
from tests.thorough import short_on_sqlite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """By the machine's clock, like the processes."""
    database = Database(database_url)
    yield database
    database.close()


def runs_in(database: Database) -> list[Run]:
    with database.read("default") as s:
        return s.runs.list()


def finished(database: Database) -> list[Run]:
    return [each for each in runs_in(database) if each.finished_at is not None]


def edit(ditio: Ditio, number: str) -> None:
    """A person enters another last name in Ditio."""
    body = {"employeeNumber": number, "firstName": "Kari", "lastName": "Feil", "phone": f"+479876{number}"}
    requests.post(f"{ditio.url}/_sandbox/employees", json=body, timeout=5).raise_for_status()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_schedulers_do_one_run_at_a_time(bridge: Bridge, database: Database):
    """Design, section 9: one leader across processes; no run begins before the one before it has ended."""
    bridge.settings["SCIM_BRIDGE_RECONCILE__EVERY"] = "0.5"
    workers = [bridge.starts("worker") for _ in range(2)]
    for each in workers:
        each.says("(worker.started)")
    before = len(runs_in(database))

    eventually(lambda: len(finished(database)) > before, "a run with both of them there")

    assert [each.ends(signal.SIGTERM) for each in workers] == [0, 0]
    known = runs_in(database)
    ends = [each.finished_at for each in known[:-1]]
    assert all(end is not None and end <= after.started_at for end, after in zip(ends, known[1:], strict=True))
    assert {each.exit for each in known if each.finished_at is not None} == {0}


@on_sqlite
def test_a_run_that_is_killed_half_way_leaves_a_plan_and_no_lock(
    bridge: Bridge, database: Database, ditio: Ditio, tmp_path: Path
):
    """Q5, Q3: what was repaired is noted, what was being sent is a worker's now, and the next run is none the worse."""
    bridge.settings |= {"SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0", "SCIM_BRIDGE_SERVER__WORKERS": "1"}
    bridge.serves("--without-worker")
    first, second = bridge.numbers(2)
    for number in (first, second):
        assert bridge.state_of(bridge.provisions(number)) == "delivered"
        edit(ditio, number)
    ditio.fails("timeout-before", seconds=30, method="PATCH", path=f"/employees/{second}")
    killed = bridge.starts("reconcile", "--apply")
    eventually(lambda: ditio.calls("PATCH", f"/employees/{second}"), "the second is being repaired")

    killed.ends(signal.SIGKILL)

    (left,) = runs_in(database)
    with database.read("default") as s:
        plan = s.plan(left.plan_id)
        rows = [(item.employee_number, item.position) for item in plan.all() if item.person_id is not None]
        assert {number for number, _ in rows} == {first, second}
        assert plan.outcomes() == {place: None for number, place in rows if number == first}
    assert (left.finished_at, left.is_complete) == (None, True)
    result = run(tmp_path, bridge.settings, "reconcile", "--apply", "--format", "json")
    found = json.loads(result.stdout)
    told = {item["employee_number"] for item in found["items"] if item["kind"] == "field"}
    assert (result.returncode, told, found["applied"]) == (2, {second}, 0)
    assert {row["reason"] for row in found["skipped"]} == {DUE_ALREADY}


@short_on_sqlite
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_what_was_approved_in_the_console_is_repaired_by_a_worker(
    bridge: Bridge, database: Database, ditio: Ditio, tmp_path: Path
):
    """Issue 19: the page stores it; a worker begins the run in a process of its own, again if that is killed."""
    bridge.settings |= {
        "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0",
        "SCIM_BRIDGE_SERVER__WORKERS": "1",
        "SCIM_BRIDGE_CONSOLE__ENABLED": "true",
    }
    bridge.serves("--without-worker")
    first, second, third = bridge.numbers(3)
    for number in (first, second, third):
        assert bridge.state_of(bridge.provisions(number)) == "delivered"
        edit(ditio, number)
    plan = json.loads(run(tmp_path, bridge.settings, "reconcile", "--format", "json").stdout)["plan"]
    with database.read("default") as s:
        rows = {row.position or 0: row.employee_number for row in s.plan(plan).all() if row.kind == "field"}
    chosen = {place for place, number in rows.items() if number in (first, second)}
    selection = Selection(chosen)
    ditio.fails("timeout-before", seconds=30, method="PATCH", path=f"/employees/{second}")

    def work(s: Session) -> int:
        by, seen = author_of("Kari", "a-request"), choice(s, plan, selection, Limits()).seen
        return approve(s, by, plan, selection, Limits(), seen=seen, force=False, paused_by_setting=False, why="agreed")

    assert database.transact("default", work) == len(chosen) >= 2
    worker = bridge.starts("worker")
    eventually(lambda: ditio.calls("PATCH", f"/employees/{second}"), "the second is being repaired")
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    (repairing,) = [pid for pid in pids if plan in command_of(pid)]
    os.kill(repairing, signal.SIGKILL)
    ditio.recovers()
    with database.write("default") as s:  # The minute until the next try is over.
        s.connection.execute(update(schedules).where(schedules.c.task.startswith("asked:")).values(started_at=None))

    def is_over() -> bool:
        with database.read("default") as s:
            return not s.asked.all()

    eventually(is_over, "the repair has ended")
    with database.read("default") as s:
        outcomes = s.plan(plan).outcomes()
    assert set(outcomes) == chosen
    assert {why for place, why in outcomes.items() if rows[place] == first} == {None}
    known = ditio.employee(third)
    assert known is not None
    assert known["lastName"] == "Feil"
    assert worker.ends(signal.SIGTERM) == 0
