"""`scim-bridge activity`: who was hired, changed or ended, why, and who asked for it."""

import csv
import json
from io import StringIO
from typing import Any

import pytest

from scim_bridge.delivery.guard import clear_hands_off, set_hands_off
from scim_bridge.domain.person import HandsOff
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.gateway import Fault
from tests.cli.conftest import Run
from tests.cli.test_people_find import OLA, PER, SIV, another
from tests.world import World, a_user

KARI = "kari.nordmann@contractor.example"


def happened(run: Run, world: World, *words: str) -> list[tuple[Any, ...]]:
    """Kind, user name and who asked."""
    return [(row["kind"], row["user_name"], row["by"]) for row in rows(run, world, *words)]


def rows(run: Run, world: World, *words: str) -> list[dict[str, Any]]:
    # The commands have the machine's clock; the story is in the past or the future.
    result = run("activity", "--since", "2026-01-01", "--format", "json", *words)
    assert result.exit_code == 0, result.stderr
    listed: list[dict[str, Any]] = json.loads(result.stdout)
    return listed


def test_a_life(run: Run, world: World):
    """Hired, changed, ended now and when the last day is over, returned: each with the cause."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(hours=1)
    world.changes(kari, job_title="Formann")
    world.clock.passes(hours=1)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=1)
    world.worker.run_until_idle()
    world.clock.passes(days=1)
    world.changes(kari, account_enabled=True)

    told = rows(run, world)

    assert list(told[0]) == ["at", "kind", "user_name", "employee_number", "name", "by", "detail"]
    assert {(row["user_name"], row["employee_number"], row["name"]) for row in told} == {
        (KARI, "1042", "Kari Nordmann")
    }
    assert [(row["at"][:13], row["kind"], row["by"]) for row in told] == [
        ("2026-03-02T08", "hired", "entra"),
        ("2026-03-02T09", "changed", "entra"),
        ("2026-03-02T10", "ended", "entra"),
        ("2026-03-03T10", "ended", "entra"),
        ("2026-03-04T10", "returned", "entra"),
    ]
    details = [row["detail"] for row in told]
    assert "Entra created the user" in details[0]
    assert "title" in details[1]
    assert "active" in details[2]
    assert "disable the login" in details[2]
    assert "a day" in details[3]
    assert "end the employment" in details[3]
    assert "enable the login" in details[4]


def test_who_was_ended_tonight(run: Run, world: World):
    """One command: also a deleted user, by name; also one whose cause came before the time that is asked about."""
    world.provisions(a_user())
    ola = another(OLA, "Ola", "Hansen", "1043", "+47 911 11 111")
    world.provisions(ola)
    world.clock.passes(hours=12)
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    world.changes(ola, account_enabled=False)
    evening = world.clock.now.date()
    world.deletes(a_user())
    world.clock.passes(days=1)
    world.ditio.faults.clear()
    world.worker.run_until_idle()

    since = ("--since", world.clock.now.date().isoformat())
    ended = rows(run, world, *since, "--kind", "ended")

    assert evening < world.clock.now.date()
    assert {(row["user_name"], row["name"], row["by"]) for row in ended} == {
        (KARI, "Kari Nordmann", "entra"),
        (OLA, "Ola Hansen", "entra"),
    }
    causes = {row["user_name"]: row["detail"] for row in ended}
    assert "Entra deleted the user" in causes[KARI]
    assert "Entra changed the user: active" in causes[OLA]
    told = run("activity", *since, "--kind", "ended").stdout
    assert "Ola Hansen" in told


def test_what_went_wrong(run: Run, world: World):
    """Held, parked by Ditio's refusal, undone, and refused before the person was in the bridge at all."""
    world.provisions(another(PER, "Per", "Lie", "1044", None))
    world.ditio.faults.plan(Fault("status", status=409, method="POST", path="/employees", times=None))
    siv = another(SIV, "Siv", "Dahl", "1045", "+47 922 22 222")
    world.provisions(siv)
    world.ditio.faults.clear()
    assert happened(run, world) == [("held", PER, "entra"), ("refused", SIV, "entra")]
    held, refused = rows(run, world)
    assert held["detail"].startswith("Entra created the user. incomplete: ")
    assert "409" in refused["detail"]

    world.clock.passes(hours=1)
    assert world.cycle().status in (200, 201)
    assert happened(run, world)[-1] == ("hired", SIV, "entra")
    world.clock.passes(hours=1)
    world.ditio.faults.plan(Fault("status", status=422, method="PATCH", path="/employees/1045", times=1))
    world.changes(siv, job_title="Formann")
    assert happened(run, world, "--kind", "refused") == [("refused", SIV, "entra")]
    world.clock.passes(hours=1)
    world.cycle()
    assert happened(run, world, "--kind", "refused") == [("refused", SIV, "entra")], "it is told after it succeeded too"
    assert "was undone" in rows(run, world, "--kind", "refused")[0]["detail"]
    assert happened(run, world)[-1] == ("changed", SIV, "entra")


def test_what_reconcile_repaired(run: Run, world: World):
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(days=1)
    world.employee("1042").work_title = "Formann"
    reconciliation = world.parts.reconciliations["default"]
    reconciliation.run(Request(apply=True))

    assert happened(run, world)[1:] == [("repaired", KARI, "reconcile")]
    assert happened(run, world, "--kind", "repaired", "--kind", "ended") == [("repaired", KARI, "reconcile")]


def test_what_an_operator_asked_for(run: Run, world: World):
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(hours=1)
    with world.database.write("default") as s:
        set_hands_off(s, "1042", HandsOff(None))
    world.clock.passes(hours=1)
    world.changes(kari, job_title="Formann")
    world.clock.passes(hours=1)
    with world.database.write("default") as s:
        clear_hands_off(s, "1042")
    world.worker.run_until_idle()

    assert happened(run, world)[1:] == [("held", KARI, "entra"), ("changed", KARI, "operator")]


def test_csv_is_for_a_spreadsheet(run: Run, world: World):
    world.provisions(a_user(display_name="=1+1"))

    result = run("activity", "--since", "2026-01-01", "--format", "csv")

    (row,) = csv.DictReader(StringIO(result.stdout))
    assert list(row) == ["at", "kind", "user_name", "employee_number", "name", "by", "detail"]
    assert (row["at"], row["kind"], row["name"]) == ("2026-03-02T08:00:00Z", "hired", "'=1+1")


def test_nothing_happened(run: Run, world: World):
    result = run("activity", "--since", "2h")

    assert result.exit_code == 0
    assert "nothing" in result.stdout
    assert json.loads(run("activity", "--format", "json").stdout) == []


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--since", "2y"), ("--kind", "fired")])
def test_wrong_words_are_wrong_usage(run: Run, world: World, words: tuple[str, str]):
    assert run("activity", *words).exit_code == 2
