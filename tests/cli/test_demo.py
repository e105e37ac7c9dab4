"""`scim-bridge demo`: that it runs by itself, and that its comparison would notice."""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from scim_bridge.cli.demo import command
from scim_bridge.cli.demo.acts import ACTS, Act
from scim_bridge.cli.demo.command import command_name
from scim_bridge.cli.demo.scene import Cast, Scene, inherited, running_bridge
from scim_bridge.cli.demo.stage import Check, Difference, as_entra_knows, by_kind, differences, kind_of, proofs
from scim_bridge.errors import BridgeError
from scim_bridge.sandbox.company import SandboxEmployee, SandboxEmployment
from scim_bridge.sandbox.gateway import Recorded
from tests.conftest import Clock
from tests.world import a_user

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 90.0

in_processes = pytest.mark.xdist_group("processes")


def an_employee() -> SandboxEmployee:
    """The employee that `a_user` has to become."""
    return SandboxEmployee(
        employee_number="1042",
        first_name="Kari",
        last_name="Nordmann",
        phone="+4798765432",
        birth_date=date(1990, 5, 15),
        email="kari.nordmann@contractor.example",
        work_title="Maskinfører",
        employments=[SandboxEmployment(date(2026, 3, 1), department="Anlegg")],
        created_count=1,
    )


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "scim_bridge", "demo", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_who_is_alike_does_not_differ():
    assert differences([a_user()], {"1042": an_employee()}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"last_name": "Hansen"}, ("name", "Kari Nordmann", "Kari Hansen")),
        ({"phone": "+4798765433"}, ("phone", "+4798765432", "+4798765433")),
        ({"email": None}, ("e-mail", "kari.nordmann@contractor.example", None)),
        ({"work_title": "Bas"}, ("title", "Maskinfører", "Bas")),
        ({"disabled": True}, ("login", "open", "closed")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_one_field_that_differs_is_found(changes: dict[str, object], expected: tuple[str, str, str | None]):
    employee = replace(an_employee(), **changes)

    assert differences([a_user()], {"1042": employee}) == [Difference("1042", "Kari Nordmann", *expected)]


@pytest.mark.parametrize(
    ("employments", "expected"),
    [
        ([SandboxEmployment(date(2026, 3, 1), department="Vei")], {("department", "Anlegg", "Vei")}),
        ([SandboxEmployment(date(2026, 3, 2), department="Anlegg")], {("start", "2026-03-01", "2026-03-02")}),
        (
            [SandboxEmployment(date(2026, 3, 1), date(2026, 3, 9), "Anlegg")],
            {("employment", "open", "ended")},
        ),
        ([], {("department", "Anlegg", None), ("start", "2026-03-01", None), ("employment", "open", "ended")}),
    ],
    ids=["department", "start", "ended", "never-employed"],
)
def test_an_employment_that_differs_is_found(
    employments: list[SandboxEmployment], expected: set[tuple[str, str, str | None]]
):
    found = differences([a_user()], {"1042": replace(an_employee(), employments=employments)})

    assert {(each.field, each.entra, each.ditio) for each in found} == expected


def test_a_person_who_is_missing_is_found():
    """A person who was never hired, and a person who has no number to be hired under."""
    found = differences([a_user(), a_user(employee_id=None)], {})

    assert [(each.employee_number, each.field) for each in found] == [("1042", "employee"), ("no number", "employee")]


@pytest.mark.parametrize("gone", [{"account_enabled": False}, {"soft_deleted": True}, {"assigned": False}])
def test_a_leaver_has_an_ended_employment_and_a_closed_login(gone: dict[str, bool]):
    """L2: `active` false closes the login and ends the employment."""
    left = replace(
        an_employee(), disabled=True, employments=[SandboxEmployment(date(2026, 3, 1), date(2026, 3, 9), "Anlegg")]
    )

    assert differences([a_user(**gone)], {"1042": left}) == []
    assert [each.field for each in differences([a_user(**gone)], {"1042": an_employee()})] == ["employment", "login"]


@pytest.mark.parametrize(
    "written", ["+47 987 65 432", "98765432", "004798765432", "+4798765432", "98 76 54 32", " +47 98765432"]
)
def test_a_phone_number_is_compared_however_it_is_written(written: str):
    assert as_entra_knows(a_user(mobile=written))["phone"] == "+4798765432"


@pytest.mark.parametrize("count", [5, 6, 25, 500])
def test_the_parts_are_given_to_different_people(count: int):
    company = Cast(count)
    parts = [company.adopted, company.namesake, company.unnumbered, company.newcomer]
    numbers = [each.employee_id for each in (*company.users, company.newcomer) if each.employee_id]

    assert len({each.object_id for each in parts}) == len(parts)
    assert len(company.users) == count
    assert len({*numbers, company.own_number, company.free_number}) == count + 2
    assert 2 <= len(company.leavers()) <= 10


def a_call(method: str, path: str, status: int = 200) -> Recorded:
    return Recorded(method, path, {}, None, status, None, Clock().now)


EMPLOYEES = "/api/v5/integration/employees"


def test_calls_are_counted_by_what_they_do():
    calls = [
        a_call("GET", f"{EMPLOYEES}/1042", 404),
        a_call("PATCH", f"{EMPLOYEES}/1042/disable"),
        a_call("POST", EMPLOYEES, 201),
        a_call("GET", f"{EMPLOYEES}/search"),
        a_call("PATCH", f"{EMPLOYEES}/1042"),
        a_call("POST", "/connect/token"),
        a_call("GET", f"{EMPLOYEES}/1042", 503),
        a_call("PUT", f"{EMPLOYEES}/1042/something"),
    ]

    assert list(by_kind(calls).items()) == [
        ("create employee", 1),
        ("update profile", 1),
        ("disable", 1),
        ("read", 1),
        ("search", 1),
        ("sign-in", 1),
        ("failed", 1),
        ("something", 1),
    ]
    assert kind_of(a_call("POST", EMPLOYEES, 0)) == "failed"


def proven(calls: list[Recorded], *employees: SandboxEmployee) -> list[bool]:
    known = {each.employee_number: each for each in employees}
    return [check.ok for check in proofs(calls, known, hired=1, people=1, strangers=0)]


def test_what_must_never_happen_is_noticed():
    """No one twice, nothing deleted, no PUT."""
    hired, kari = a_call("POST", EMPLOYEES, 201), an_employee()
    again = replace(kari, employee_number="2042")

    assert proven([hired], kari) == [True, True]
    assert proven([hired, hired], kari) == [False, True]
    assert proven([hired], replace(kari, created_count=2)) == [False, True]
    assert proven([hired], kari, again) == [False, True]
    assert proven([hired, a_call("DELETE", f"{EMPLOYEES}/1042", 405)], kari) == [True, False]
    assert proven([hired, a_call("PUT", f"{EMPLOYEES}/1042", 405)], kari) == [True, False]


def test_the_bridge_gets_no_setting_of_another_one():
    environment = inherited({"PATH": "/bin", "SCIM_BRIDGE_DATABASE__URL": "x", "SCIM_BRIDGE_CONFIG": "y"})

    assert environment["PATH"] == "/bin"
    assert not [name for name in environment if name.startswith("SCIM_BRIDGE_")]


def test_commands_to_try_are_written_so_that_they_run(tmp_path: Path):
    """The demo may run as `.venv/bin/scim-bridge`, which no other terminal finds by its name."""
    python = str(tmp_path / "python")
    assert command_name("/nowhere", python) == f"{python} -m scim_bridge"

    script = tmp_path / "scim-bridge"
    script.touch(mode=0o755)
    assert command_name("/nowhere", python) == str(script)
    assert command_name(str(tmp_path), python) == "scim-bridge"


def test_a_company_that_is_too_small_is_refused():
    result = CliRunner().invoke(command.demo, ["--once", "--people", "4"])

    assert result.exit_code == 2
    assert "the demo needs at least 5 people" in result.stderr


@in_processes
def test_the_demo_runs_by_itself_and_everything_agrees(tmp_path: Path):
    """Design, section 5: `--once` exits 0 only if everything agrees. Settings of the user's own do not matter."""
    (tmp_path / "scim-bridge.toml").write_text('[database]\nurl = "postgresql://nowhere/nothing"\n')

    result = run(
        tmp_path,
        *("--once", "--people", "6"),
        SCIM_BRIDGE_DITIO__API_URL="https://ditio.test",
        TMPDIR=str(tmp_path),
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "\x1b" not in result.stdout
    assert too_wide(result.stdout, tmp_path) == []
    assert len(re.findall(r"^ +\d+ [A-Z][a-z ]+ .* ✓ ", result.stdout, re.MULTILINE)) == len(ACTS)
    assert "7 of 7 people" in result.stdout
    assert "twice: 6 creations for 6 new employees; 10 employees" in result.stdout
    assert re.search(r"- the login is open and should be closed  \(edited in Ditio\)", result.stdout)
    assert re.search(r"~ workTitle is \"Direktør\", wanted \".+\"  \(edited in Ditio\)", result.stdout)
    assert "1 should-be-inactive, 1 field, 3 unmanaged. 2 repaired" in result.stdout
    assert ": 7 of 7 people are in sync." in result.stdout
    assert "no DELETE and no PUT" in result.stdout
    assert result.stdout.endswith("Everything agrees.\n")
    assert [each.name for each in tmp_path.iterdir()] == ["scim-bridge.toml"]


def too_wide(text: str, folder: Path) -> list[str]:
    """The lines that a terminal of 80 columns would break, apart from those with a path of this machine."""
    wide = [line for line in text.splitlines() if len(line.rstrip()) > 80]
    return [line for line in wide if str(folder) not in line and sys.prefix not in line]


@in_processes
def test_the_demo_stays_up_until_it_is_told_to_end(tmp_path: Path):
    """Without `--once` people look around, with the commands that are shown; Ctrl-C ends everything, with 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "scim_bridge", "demo", "--people", "5"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        shown = "".join(itertools.takewhile(lambda line: "-X DELETE" not in line, lines))
        try:
            tried = f"{re.search(r'^ +(. .+/demo.env)$', shown, re.MULTILINE)[1]}\n" + "\n".join(
                re.findall(r"^ +(.*(?:outbox list|people show \d+))$", shown, re.MULTILINE)
            )
            checked = subprocess.run(
                ["sh", "-ec", tried],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            url = re.search(r"Bridge +(http://\S+)", shown)[1]
            assert requests.get(url, timeout=5).status_code == 401
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0

    assert too_wide(shown, tmp_path) == []
    assert checked.returncode == 0, checked.stderr
    assert "no deliveries" in checked.stdout
    assert "is employee 1002" in checked.stdout
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    assert list(tmp_path.iterdir()) == []


@in_processes
def test_what_was_changed_behind_the_bridge_is_found(monkeypatch: pytest.MonkeyPatch):
    """The proof would be worth nothing if it could not fail: the person is listed, and the exit code is 1."""

    def tamper(scene: Scene) -> Iterator[Check]:
        scene.ditio.employee("1001").work_title = "Direktør"
        yield Check(True, "somebody has edited an employee in Ditio")

    monkeypatch.setattr(command, "ACTS", [*ACTS[:2], Act("Tamper", "Somebody edits in Ditio.", tamper)])

    result = CliRunner().invoke(command.demo, ["--once", "--people", "5"])

    assert result.exit_code == 1
    assert re.search(r"^ +1001 .+ title .+ Direktør", result.stdout, re.MULTILINE)
    assert "✗ 2 of 3 people" in result.stdout
    assert "twice: 2 creations" in result.stdout
    assert "Not everything agrees: see Tamper." in result.stdout


@in_processes
def test_a_bridge_that_does_not_come_up_says_why(tmp_path: Path):
    with (
        pytest.raises(BridgeError, match=r"(?s)the bridge ended at once; .*DITIO__API_URL"),
        running_bridge(tmp_path, "not-an-address"),
    ):
        pass
