"""`scim-bridge demo`: its comparison would notice what differs. That it runs by itself is in `processes/`."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from scim_bridge.cli.demo import command
from scim_bridge.cli.demo.command import command_name
from scim_bridge.cli.demo.scene import Cast, inherited
from scim_bridge.cli.demo.stage import Difference, as_entra_knows, by_kind, differences, kind_of, proofs
from scim_bridge.sandbox.company import SandboxEmployee, SandboxEmployment
from scim_bridge.sandbox.gateway import Recorded
from tests.conftest import Clock
from tests.world import a_user


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
