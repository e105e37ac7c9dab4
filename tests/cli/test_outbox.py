"""`scim-bridge outbox`: who waits, why, and another try."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.runs import ProcessKind
from scim_bridge.storage.tables import people
from tests.cli.conftest import Run, a_process_runs
from tests.world import World, a_user


@pytest.fixture
def waiting(world: World) -> World:
    """Kari is delivered, Ola is held, Siv is parked and Per is due; a worker runs."""
    a_process_runs(world, ProcessKind.worker)
    world.restarts_with(delivery={"on_refused": "park"})
    world.ditio.plant("1044", phone="+4792222222")
    world.entra.directory.add(a_user())
    world.entra.directory.add(_another("Ola.Hansen@contractor.example", "1043", mobile=None))
    world.provisions(_another("siv.dahl@contractor.example", "1044", mobile="+47 911 11 111"))
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    world.provisions(_another("per.lie@contractor.example", "1045", mobile="+47 933 33 333"))
    world.ditio.faults.clear()
    return world


def _another(name: str, number: str, **changes: object):
    return a_user(object_id=f"object-{number}", user_principal_name=name, mail=name, employee_id=number, **changes)


def test_status_has_exactly_these_figures(run: Run, waiting: World):
    """Design, section 5: the JSON of `outbox status`."""
    result = run("outbox", "status", "--format", "json")

    figures = json.loads(result.stdout)
    assert result.exit_code == 0
    assert figures.pop("oldest_seconds") >= 0
    assert figures == {"due": 1, "held": 1, "parked": 1, "paused": False}


def test_no_one_waits_in_an_empty_outbox(run: Run):
    assert json.loads(run("outbox", "status", "--format", "json").stdout) == {
        "due": 0,
        "held": 0,
        "parked": 0,
        "oldest_seconds": None,
        "paused": False,
    }
    assert json.loads(run("outbox", "list", "--format", "json").stdout) == []
    assert "no deliveries" in run("outbox", "list").stdout
    assert run("outbox", "status").stdout.splitlines()[0].split()[:3] == ["Due", "Held", "Parked"]


def test_list_names_each_as_entra_does(run: Run, waiting: World):
    """Design, section 5: the JSON of `outbox list`; the user name as it was sent, the number linked or wanted."""
    rows = json.loads(run("outbox", "list", "--format", "json").stdout)

    by_name = {row["user_name"]: row for row in rows}
    assert set(by_name) == {
        "Ola.Hansen@contractor.example",
        "siv.dahl@contractor.example",
        "per.lie@contractor.example",
    }
    assert all(
        list(row) == ["user_name", "employee_number", "state", "reason", "detail", "since", "attempts"] for row in rows
    )
    ola = by_name["Ola.Hansen@contractor.example"]
    assert (ola["employee_number"], ola["state"], ola["reason"]) == ("1043", "held", "incomplete")
    assert "phone" in ola["detail"]
    assert ola["since"] == "2026-03-02T08:00:00Z"
    siv = by_name["siv.dahl@contractor.example"]
    assert (siv["employee_number"], siv["state"], siv["reason"]) == ("1044", "parked", "refused")
    per = by_name["per.lie@contractor.example"]
    assert (per["employee_number"], per["state"], per["reason"], per["attempts"]) == ("1045", "due", None, 1)


def test_people_read_reason_and_cure_in_80_columns(run: Run, waiting: World):
    """D3: who, since when, what it means and what to do; nothing is cut."""
    told = run("outbox", "list").stdout

    assert max(map(len, told.splitlines())) <= 80
    for person in told.split("\n\n"):
        assert "Meaning: " in person
        assert "Cure: " in person
    assert "Ola.Hansen@contractor.example, employee 1043\n  held, incomplete, since 2026-03-02 08:00 UTC\n" in told
    assert "Cure: correct the value in Entra" in told
    assert "due, since 2026-03-02 08:00 UTC, 1 failed try\n" in told


def test_retry_makes_all_of_them_due(run: Run, waiting: World):
    """D3: a person who is due or parked, or held for data."""
    result = run("outbox", "retry")

    assert (result.exit_code, result.stdout) == (0, "3 made due\n")
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["due"] == 3


@pytest.mark.parametrize("name", ["1044", "SIV.Dahl@contractor.example"])
def test_retry_of_one_person(run: Run, waiting: World, name: str):
    """`N` is an employee number or a user name, whichever way it is spelled."""
    assert run("outbox", "retry", "--person", name).stdout == "1 made due\n"

    figures = json.loads(run("outbox", "status", "--format", "json").stdout)
    assert (figures["due"], figures["parked"]) == (2, 0)


def test_retry_of_an_unknown_person_fails(run: Run, waiting: World):
    result = run("outbox", "retry", "--person", "9999")

    assert result.exit_code == 1
    assert "9999" in result.stderr
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["due"] == 1


@pytest.mark.usefixtures("ends_at_once")
def test_a_leaver_who_is_still_active_is_shown_first(run: Run, waiting: World):
    """L6: an ending that Ditio refused is parked with its words, and shown before a person who has waited longer."""
    waiting.clock.passes(hours=1)
    waiting.restyle(payroll_locked_until=date(2026, 3, 31))
    kari = next(iter(waiting.entra.directory.users.values()))
    waiting.changes(kari, account_enabled=False)

    first, *others = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert (first["employee_number"], first["state"], first["reason"]) == ("1042", "parked", "refused")
    assert first["detail"].startswith("should-be-inactive: ")
    assert "Lønnsperioden er låst til og med 31.03.2026." in first["detail"]
    assert not any("should-be-inactive" in str(other["detail"]) for other in others)
    assert [other["since"] for other in others] == sorted(other["since"] for other in others)

    told = run("outbox", "list").stdout
    assert told.startswith("kari.nordmann@contractor.example, employee 1042\n")
    assert "Detail: should-be-inactive: " in told
    shown = json.loads(run("people", "show", "1042", "--format", "json").stdout)
    assert (shown["state"], shown["reason"], shown["detail"]) == ("parked", "refused", first["detail"])


@pytest.fixture
def down(world: World) -> World:
    """Ditio is out of reach: Kari has met it, Ola was not tried any more. The commands go by the real clock."""
    world.clock.now = datetime.now(UTC)
    a_process_runs(world, ProcessKind.worker)
    world.ditio.faults.plan(Fault("refused-connection", times=None))
    world.provisions(a_user())
    world.provisions(_another("ola.hansen@contractor.example", "1043", mobile="+47 922 22 222"))
    return world


def test_list_says_that_everyone_waits_because_the_breaker_is_open(run: Run, down: World):
    """D2: also of who was due before it opened, and was never tried."""
    with down.database.write() as s:
        s.connection.execute(people.update().values(detail=None))
    rows = json.loads(run("outbox", "list", "--format", "json").stdout)

    assert [row["state"] for row in rows] == ["due", "due"]
    for row in rows:
        assert row["detail"].startswith(f"Ditio is not called since {down.clock.now:%Y-%m-%d %H:%M:%S} UTC")
        assert "no connection could be made" in row["detail"]
    assert "Ditio is not called since" in run("outbox", "list").stdout


def test_where_no_worker_runs_it_is_not_ditio_that_they_wait_for(run: Run, down: World):
    """D7: the breaker is open, and no process is left that could close it."""
    a_process_runs(down, ProcessKind.worker, minutes_ago=30)

    rows = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert len(rows) == 2
    for row in rows:
        assert row["detail"].startswith("no worker since ")
        assert "on host bridge-1" in row["detail"]
        assert "Ditio is not called" not in row["detail"]


def test_retry_closes_the_breaker(run: Run, down: World):
    """D2: until the next fault."""
    down.ditio.faults.clear()
    assert run("outbox", "retry").stdout == "2 made due\n"

    assert json.loads(run("outbox", "status", "--format", "json").stdout)["due"] == 2
    assert "not called" not in run("outbox", "list").stdout
    down.clock.now = datetime.now(UTC) + timedelta(minutes=1)
    down.worker.run_until_idle()
    assert json.loads(run("outbox", "list", "--format", "json").stdout) == []


def test_who_is_due_for_a_day_is_stuck(run: Run, world: World):
    """R3: listed as `stuck-delivery` after 24 h; the state stays due."""
    a_process_runs(world, ProcessKind.worker)
    world.ditio.faults.plan(Fault("status", status=500, path="employees/1042", times=None))
    world.provisions(a_user())
    long_ago = datetime.now(UTC) - timedelta(hours=25)
    with world.database.write() as s:
        s.connection.execute(people.update().values(due_since=long_ago))

    (row,) = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert (row["state"], row["reason"]) == ("due", None)
    assert row["detail"].startswith("stuck-delivery, due for 25 hours: waits for Ditio: ")
    assert "500" in row["detail"]


def test_pause_and_resume(run: Run, world: World):
    """D4: everyone who waits is held until it ends; `status` and `list` say so, and a retry changes nothing of it."""
    world.restarts_with(delivery={"inline_seconds": 0})
    world.provisions(a_user())
    assert run("outbox", "pause").stdout.startswith("deliveries are paused, 1 held")
    assert "paused" in run("outbox", "retry").stdout

    figures = json.loads(run("outbox", "status", "--format", "json").stdout)
    assert figures == {"due": 0, "held": 1, "parked": 0, "oldest_seconds": None, "paused": True}
    (row,) = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert (row["state"], row["reason"]) == ("held", "paused")

    assert run("outbox", "resume").stdout == "deliveries are resumed, 1 made due\n"
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["paused"] is False


def test_resume_fails_while_the_setting_pauses(run: Run, world: World):
    """D4: naming the setting, and where it is set."""
    run("outbox", "pause")
    setting = {"SCIM_BRIDGE_DELIVERY__PAUSED": "true"}
    result = run("outbox", "resume", **setting)

    assert result.exit_code == 1
    assert "DELIVERY__PAUSED" in result.stderr
    assert json.loads(run("outbox", "status", "--format", "json", **setting).stdout)["paused"] is True
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["paused"] is True


def test_while_it_is_paused_the_listings_say_so_before_a_worker_has_looked(run: Run, world: World):
    """D4: who was due when the setting paused deliveries is told as held, by `list` and by `people show`."""
    world.restarts_with(delivery={"inline_seconds": 0})
    world.provisions(a_user())
    setting = {"SCIM_BRIDGE_DELIVERY__PAUSED": "true"}

    (row,) = json.loads(run("outbox", "list", "--format", "json", **setting).stdout)
    assert (row["state"], row["reason"]) == ("held", "paused")
    assert "Cure: `outbox resume`" in run("outbox", "list", **setting).stdout
    shown = json.loads(run("people", "show", "1042", "--format", "json", **setting).stdout)
    assert (shown["state"], shown["reason"]) == ("held", "paused")
    assert json.loads(run("people", "show", "1042", "--format", "json").stdout)["state"] == "due"


@pytest.fixture
def guarded(world: World) -> World:
    """Kari has left within the hour, and so have Ola and Siv, which is more than may."""
    world.restarts_with(delivery={"max_ended_per_hour": 1, "max_ended_fraction": 0.0})
    staff = [a_user(), _another("ola@contractor.example", "1043", mobile="+47 922 22 222")]
    staff.append(_another("siv@contractor.example", "1044", mobile="+47 933 33 333"))
    for user in staff:
        world.provisions(user)
    for user in staff:
        world.changes(user, account_enabled=False)
    return world


def test_list_says_what_the_guard_holds_and_what_to_do(run: Run, guarded: World):
    """L8, L6: reason `guard`; a person who ought not to be active any more is told as `should-be-inactive` too."""
    rows = json.loads(run("outbox", "list", "--format", "json").stdout)

    assert {(row["employee_number"], row["state"], row["reason"]) for row in rows} == {
        ("1043", "held", "guard"),
        ("1044", "held", "guard"),
    }
    assert rows[0]["detail"].startswith("should-be-inactive: ")
    told = run("outbox", "list").stdout
    assert "DELIVERY__MAX_ENDED_PER_HOUR (1," in told
    cure = " ".join(told[told.index("Cure: ") :].split())
    ways = [cure.index(way) for way in ("correct it in Entra", "`outbox release`", "`outbox drop`")]
    assert ways == sorted(ways)


def test_release_and_drop(run: Run, guarded: World):
    """L8: of everyone, or of one person; an unknown person is an error, and nothing to decide is none."""
    assert run("outbox", "release", "--person", "1043", "--yes").stdout.endswith("1 released\n")
    assert run("outbox", "release", "--person", "1043").stdout == "the guard holds nothing for 1043\n"
    result = run("outbox", "drop", "--person", "nobody")
    assert (result.exit_code, "nobody" in result.stderr) == (1, True)
    assert run("outbox", "drop", "--yes").stdout.endswith("1 withdrawn\n")
    assert run("outbox", "release").stdout == "the guard holds nothing\n"

    guarded.clock.now = datetime.now(UTC)
    guarded.worker.run_until_idle()
    assert [number for number in ("1042", "1043", "1044") if guarded.employee(number).disabled] == ["1042", "1043"]
    shown = json.loads(run("people", "show", "1044", "--format", "json").stdout)
    assert (shown["state"], shown["detail"]) == ("delivered", "kept by the operator")
    assert "guard-dropped" in [entry["what"] for entry in shown["history"]]
    assert "An operator withdrew what the guard held" in run("people", "show", "1044").stdout


@pytest.mark.parametrize("decide", ["release", "drop"])
def test_who_is_held_is_named_and_without_a_terminal_nothing_is_decided(run: Run, guarded: World, decide: str):
    """L8: exit 1 and nothing done; `--yes` answers for a script, about the people who are named."""
    result = run("outbox", decide)

    assert result.exit_code == 1
    assert f"scim-bridge outbox {decide} --yes" in result.stderr
    told = " ".join(result.stdout.split())
    for number, name in (("1043", "ola@"), ("1044", "siv@")):
        assert f"- Kari Nordmann, {name}contractor.example, employee {number}: end of employment" in told
    assert "employee 1042" not in told
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["held"] == 2
    assert "ola@" in run("outbox", decide, "--yes").stdout


@pytest.mark.parametrize(("answer", "held", "code"), [("y", 1, 0), ("n", 2, 1)])
def test_on_a_terminal_it_asks(
    database_url: str, guarded: World, tmp_path: Path, answer: str, held: int, code: int, run: Run
):
    """L8: about one person here; only a yes does it."""
    ours, its = os.openpty()
    environment = {**os.environ, "SCIM_BRIDGE_DATABASE__URL": database_url}
    words = [sys.executable, "-m", "scim_bridge", "outbox", "release", "--person", "1043"]
    os.write(ours, f"{answer}\n".encode())
    ended = subprocess.run(words, env=environment, stdin=its, capture_output=True, cwd=tmp_path, check=False)
    os.close(ours)
    os.close(its)

    assert ended.returncode == code, ended.stderr
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["held"] == held


def test_what_is_released_waits_for_the_end_of_a_pause(run: Run, guarded: World):
    """L8, D4."""
    run("outbox", "pause")
    told = run("outbox", "release", "--yes").stdout
    assert told.endswith("2 released; deliveries are paused until `outbox resume`\n")
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["held"] == 2


def a_crew(world: World, count: int) -> None:
    for number in range(1100, 1100 + count):
        user = _another(f"person{number}@contractor.example", str(number), mobile=f"+47 9{number:07}")
        world.entra.directory.add(user)
    world.cycle()


def test_many_who_wait_for_the_same_are_counted_and_a_few_are_named(run: Run, world: World):
    """D3, D4: a pause holds the whole company; reason and cure are said once, and JSON has everyone."""
    run("outbox", "pause")
    a_crew(world, 8)

    told = run("outbox", "list").stdout
    assert told.startswith("8 people: held, paused\n  Detail: deliveries are paused; ")
    assert told.count("Cure: `outbox resume`") == 1
    named = re.findall(r"  - person(\d+)@contractor\.example, employee \1, since 2026-03-02 08:00 UTC\n", told)
    assert len(named) == 5
    assert told.endswith("  - and 3 more: `outbox list --all`\n")
    assert max(map(len, told.splitlines())) <= 80
    everybody = run("outbox", "list", "--all").stdout
    assert everybody.count("Cure: `outbox resume`") == 8
    assert len(json.loads(run("outbox", "list", "--format", "json").stdout)) == 8


@pytest.mark.usefixtures("ends_at_once")
def test_each_says_what_keeps_him_where_that_differs_and_others_are_told_apart(run: Run, world: World):
    """D3, L6: the details of those who are named; leavers who are still active come first, by themselves."""
    a_crew(world, 7)
    everybody = list(world.entra.directory.users.values())
    for user in everybody[1:]:
        world.changes(user, leave_date=f"03/{user.employee_id[-2:]}/2026")
    world.restyle(payroll_locked_until=date(2026, 3, 31))
    world.changes(everybody[0], account_enabled=False)

    first, many = run("outbox", "list").stdout.split("\n\n")
    assert first.startswith("person1100@contractor.example, employee 1100\n  parked, refused, since ")
    assert many.startswith("6 people: held, incomplete\n  Meaning: ")
    assert many.count("    Detail: ") == 5
    assert many.count('"03/0') == 5
    assert "and 1 more" in many


def test_who_has_the_number_of_a_leaver_is_told_what_to_do_or_continues_him(run: Run, world: World):
    """L8, P2: after `drop` no one else would free the number; the same human needs no operator at all."""
    world.restarts_with(delivery={"max_ended_per_hour": 0, "max_ended_fraction": 0.0})
    ola = _another("ola@contractor.example", "1043", mobile="+47 922 22 222")
    siv = _another("siv@contractor.example", "1044", mobile="+47 933 33 333")
    per = _another("per@x.no", "1043", mobile="+47 412 34 567", surname="Hansen")
    again = _another("siv2@x.no", "1044", mobile="+47 933 33 333")
    per.object_id, again.object_id = "per", "siv2"
    for user in (ola, siv, per, again):
        world.provisions(user)
    world.deletes(ola)
    world.deletes(siv)
    world.worker.run_until_idle()

    assert world.state(again) == ("delivered", None)
    assert "took this person over (request " in " ".join(run("people", "show", "1044").stdout.split())
    assert run("outbox", "drop", "--yes").stdout.endswith("1 withdrawn\n")
    world.clock.now = datetime.now(UTC)
    world.worker.run_until_idle()
    (row,) = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert (row["user_name"], row["state"], row["reason"]) == ("per@x.no", "held", "claimed")
    assert "an operator withdrew (`outbox drop`)" in row["detail"]
    assert "or end employee 1043 in Ditio, then `outbox retry`" in row["detail"]

    world.employee("1043").disabled = True
    world.employee("1043").employment.end = world.clock().date()
    run("outbox", "retry", "--person", "per@x.no")
    world.clock.now = datetime.now(UTC) + timedelta(minutes=1)
    world.worker.run_until_idle()
    (row,) = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert (row["user_name"], row["reason"]) == ("per@x.no", "refused")
    assert "adopt --accept 1043 per@x.no" in row["detail"]


def test_refused_and_told_to_entra(run: Run, world: World):
    """R1: a write that was undone left nothing of the person; the list names them, after those who wait."""
    world.ditio.faults.plan(Fault("status", status=409, method="POST", path="/employees", times=None))
    world.provisions(a_user(mobile="+47 987 65 432"))
    world.provisions(_another("ola.hansen@contractor.example", "1043", mobile=None))

    told = run("outbox", "list").stdout

    waits, _, refused = told.partition("\nRefused, and told to Entra")
    assert "ola.hansen@contractor.example, employee 1043" in waits
    assert "kari.nordmann@contractor.example, employee 1042" in refused
    assert "(409, request" in " ".join(refused.split())
    assert max(map(len, told.splitlines())) <= 80
    rows = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert [(row["user_name"], row["state"], row["reason"]) for row in rows] == [
        ("ola.hansen@contractor.example", "held", "incomplete"),
        ("kari.nordmann@contractor.example", "refused", "uniqueness"),
    ]
    assert list(rows[0]) == list(rows[1])
    assert rows[1]["since"] == "2026-03-02T08:00:00Z"
