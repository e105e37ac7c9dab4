"""The first page: its figures are those of `outbox status`, its charts those of the history, and it leads on."""

import json
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from scim_bridge.operator.overview import bars, happened
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from tests.cli.conftest import run_with
from tests.conftest import Clock
from tests.console.company import SETTINGS, fill
from tests.console.conftest import SignsIn
from tests.world import World


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock, settings=SETTINGS)


@pytest.mark.parametrize("back", ["", "first_day"])
def test_why_deliveries_were_paused_and_resumed_is_in_the_audit_trail(world: World, signs_in: SignsIn, back: str):
    kari = signs_in()
    kari.post("pause", reason="the payroll run", back=back)
    assert kari.post("resume", back=back).status_code == 400
    kari.post("resume", reason="the payroll is done", back=back)

    with world.database.read("default") as s:
        rows = [row.deed for row in s.audit.page(since=None, until=None) if row.deed.resource_type == "outbox"]
    assert [(each.action, each.detail) for each in rows] == [
        ("paused", "the payroll run"),
        ("resumed", "the payroll is done"),
    ]


@pytest.mark.parametrize("is_paused", [False, True])
def test_the_figures_are_those_of_the_command(
    world: World, signs_in: SignsIn, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_paused: bool
):
    monkeypatch.chdir(tmp_path)
    fill(world)
    kari = signs_in()
    if is_paused:
        kari.post("pause", reason="the payroll run")

    page = kari.get().text
    told = json.loads(
        run_with({"SCIM_BRIDGE_DATABASE__URL": database_url}, "outbox", "status", "--format", "json").stdout
    )

    shown = {
        what: int(count) for what, count in re.findall(r'class="tile is-(\w+)[^"]*" [^>]*><strong>(\d+)</strong>', page)
    }
    assert {name: shown[name] for name in ("due", "held", "parked")} == {
        name: told[name] for name in ("due", "held", "parked")
    }
    assert told["paused"] is is_paused
    with world.database.read("default") as s:
        people = s.connection.exec_driver_sql("SELECT count(*) FROM people").scalar_one()
    assert sum(shown[name] for name in ("delivered", "due", "held", "parked")) == people
    assert shown["parked"] > 0
    assert shown["refused"] == 1


def test_the_charts_are_those_of_the_history(world: World):
    """Whatever the hour: what happened is counted in the hour in which it happened, and once."""
    fill(world)
    world.clock.passes(hours=5)
    world.cycle()
    world.clock.passes(days=2, minutes=59)
    world.employee("1001").work_title = "Sjef"
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH"))
    world.parts.reconciliations["default"].run(Request(apply=True))

    with world.database.read("default") as s:
        counted, now = happened(s), s.now
        rows = s.connection.exec_driver_sql("SELECT what, outcome, duration_ms, at FROM history").all()
    week = bars(counted, now, timedelta(days=1), 7)
    hours = bars(counted, now, timedelta(hours=1), 24)

    said = sum(row.what.startswith("user-") for row in rows)
    calls = Counter(row.outcome == "done" for row in rows if row.duration_ms is not None)
    assert (sum(bar.said for bar in week), sum(bar.sent for bar in week), sum(bar.refused for bar in week)) == (
        said,
        calls[True],
        calls[False],
    )
    assert min(said, calls[False], calls[True]) > 0
    (last,) = [bar for bar in hours if bar.sent or bar.refused]
    assert last.begins <= now < last.begins + timedelta(hours=1)


def test_the_differences_lead_to_the_runs(world: World, signs_in: SignsIn):
    fill(world)
    world.parts.reconciliations["default"].run(Request())

    (link,) = re.findall(r'<a href="([^"]+)">\d+ differences? from Ditio', signs_in().get().text)

    assert signs_in().get(link).status_code == 200
    assert link.endswith("/drift")
