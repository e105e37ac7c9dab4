"""Eleven stories of 2 a.m.: each is answered by at most two commands, which name the cause and the cure."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import running
from scim_bridge.storage.runs import ProcessKind
from tests.cli.conftest import DITIO, Run, a_process_runs
from tests.conftest import Clock
from tests.world import World, a_user

ADDRESS = {"SCIM_BRIDGE_SERVER__BASE_URL": "https://bridge.invalid"}


class Operator:
    """Types commands, and reads what they print."""

    def __init__(self, run: Run, environment: dict[str, str]) -> None:
        self._run, self.environment = run, {**ADDRESS, **environment}
        self.commands = 0

    def types(self, line: str) -> str:
        """Return the output on one line, as it is read."""
        self.commands += 1
        assert self.commands <= 2
        result = self._run(*line.split(), **self.environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        if os.environ.get("TWO_AM"):
            print(f"$ scim-bridge {line}\n{result.output}\n")
        return " ".join(result.output.split())


@pytest.fixture
def operator(run: Run, world: World) -> Iterator[Operator]:
    for kind in ProcessKind:
        a_process_runs(world, kind)
    with running(world.ditio.app) as url:
        reached = {"SCIM_BRIDGE_DITIO__API_URL": f"{url}/core", "SCIM_BRIDGE_DITIO__IDENTITY_URL": url}
        yield Operator(run, {**DITIO, **reached})


def company(world: World, count: int) -> list[EntraUser]:
    """Employees 1001, 1002, … are delivered."""
    users = [
        a_user(
            object_id=f"object-{number}",
            user_principal_name=f"person{number}@contractor.example",
            mail=f"person{number}@contractor.example",
            given_name="Person",
            surname=str(number),
            mobile=f"+47900{number:05}",
            employee_id=str(number),
        )
        for number in range(1001, 1001 + count)
    ]
    for user in users:
        world.provisions(user)
    return users


def test_a_new_hire_with_a_bad_phone_is_missing(operator: Operator, world: World):
    world.provisions(a_user(mobile="987"))

    told = operator.types("people show 1042")

    assert "phone" in told
    assert '"987"' in told
    assert "Cure" in told
    assert "Entra" in told


def test_a_new_hire_whose_number_another_has_is_missing(operator: Operator, world: World):
    world.provisions(a_user())
    other = {"object_id": "object-2", "user_principal_name": "per@contractor.example", "mail": None}
    world.provisions(a_user(**other, mobile="+4741234567", display_name="Per Nordmann", given_name="Per"))

    told = operator.types("people show per@contractor.example")

    assert "kari.nordmann@contractor.example" in told
    assert "Cure" in told


def test_thirty_were_deactivated(operator: Operator, world: World, clock: Clock):
    world.restarts_with(delivery={"max_ended_fraction": 0.05})
    users = company(world, 30)
    clock.passes(days=1)
    for user in users:
        user.account_enabled = False
    world.cycle()

    told = operator.types("outbox list")

    assert "guard" in told
    assert "`outbox release`" in told
    assert "`outbox drop`" in told
    assert "1030" in operator.types("activity --kind held --since 2026-03-01")


def test_ditio_is_down(operator: Operator, world: World):
    world.ditio.faults.plan(Fault("status", status=503, path="integration", times=None))
    world.provisions(a_user())

    told = operator.types("doctor")

    assert "503" in told


def test_entra_says_quarantine(operator: Operator, world: World):
    """Its token has expired."""
    with world.database.write("default") as s:
        s.tokens.add("old", "Entra", "an-old-token", expires_at=datetime.now(UTC) - timedelta(days=1))
        s.tokens.revoke("t")

    told = operator.types("doctor")

    assert "expired" in told
    assert "token issue" in told


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_disk_is_full(operator: Operator, monkeypatch: pytest.MonkeyPatch):
    full = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)

    told = operator.types("doctor")

    assert "full" in told
    assert "free some space" in told


def test_an_employee_was_edited_by_hand(operator: Operator, world: World):
    world.provisions(a_user())
    world.employee("1042").work_title = "Something else"

    told = operator.types("people show 1042")

    assert "Something else" in told
    assert "reconcile" in told


def test_a_token_leaked(operator: Operator, world: World):
    assert " t " in operator.types("token list")
    operator.types("token revoke t")

    assert world.scim("GET", "/Users").status_code == 401


def test_the_server_was_killed(operator: Operator, world: World):
    for kind in ProcessKind:
        a_process_runs(world, kind, minutes_ago=30)

    told = operator.types("doctor")

    assert "bridge-1" in told
    assert "scim-bridge serve" in told


def test_numbers_were_swapped(operator: Operator, world: World):
    company(world, 2)
    world.ditio.company.change_number("1001", "x")
    world.ditio.company.change_number("1002", "1001")
    world.ditio.company.change_number("x", "1002")

    told = operator.types("reconcile")

    assert "1001" in told
    assert "1002" in told
    assert "is employee 1002 now" in told
    assert "is employee 1001 now" in told
    assert "correct the number in Ditio" in told


def test_the_database_is_lost(operator: Operator, tmp_path: Path):
    operator.environment["SCIM_BRIDGE_DATABASE__URL"] = f"sqlite:///{tmp_path}/lost.db"

    told = operator.types("doctor")

    assert "there is no database" in told
    assert "backup" in told
