"""`reconcile` as real processes: several schedulers on one database, and a run that is killed."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from scim_bridge.reconcile.apply import DUE_ALREADY
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import Run
from tests.processes.conftest import Bridge, Ditio
from tests.processes.running import eventually, run

pytestmark = [
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc"),
]

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
