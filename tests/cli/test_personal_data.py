"""`people export` and `people erase`: all that is stored of one person, and that nothing owed is lost (rule G1)."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from scim_bridge.domain.certificate import Source
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.admin_tables import metadata
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import history
from tests.cli.conftest import DITIO, Run
from tests.delivery.test_certifying import a_certificate, put
from tests.world import World, a_user

pytestmark = pytest.mark.usefixtures("ends_at_once")

TRACES = ("ordmann", "87654", "1990-05-15", "Maskinf", "5d1f3c0e")
"""Parts of the name, phone, birth date, title and object id."""


def leaves(world: World, run: Run) -> None:
    """Kari was hired, got a certificate, is in a plan and in a group, and has left; Entra has the user still."""
    world.provisions(a_user())
    put(world, Source.csv, a_certificate())
    world.worker.run_until_idle()
    world.clock.passes(hours=1)
    world.employee("1042").work_title = "Formann"
    world.parts.reconciliations["default"].run(Request())
    user_id = world.entra.scim_id(a_user().object_id)
    world.scim("POST", "/Groups", {"displayName": "Anlegg", "members": [{"value": user_id}]})
    world.changes(world.entra.directory.users[a_user().object_id], account_enabled=False)
    assert world.employee("1042").disabled


def traces(database: Database) -> set[str]:
    """The tables in which something of Kari is left."""
    with database.read("default") as s:
        return {
            table.name
            for table in metadata.sorted_tables
            for row in s.connection.execute(table.select())
            if any(trace in str(tuple(row)) for trace in TRACES)
        }


def test_everything_is_exported(run: Run, world: World, tmp_path: Path):
    leaves(world, run)
    file = tmp_path / "kari.json"

    assert run("people", "export", "1042", "--output", str(file)).exit_code == 0

    assert oct(file.stat().st_mode & 0o777) == "0o600"
    exported = json.loads(file.read_text("utf-8"))
    assert traces(world.database) <= set(exported)
    assert {"people", "resources", "acknowledged", "claims", "history", "audit", "plan_items"} <= set(exported)
    users = [row["document"] for row in exported["resources"] if row["resource_type"] == "User"]
    assert [user["userName"] for user in users] == ["kari.nordmann@contractor.example"]
    assert json.loads(run("people", "export", "kari").stdout)["people"] == exported["people"]
    assert '"action": "exported"' in run("audit", "export").stdout


@pytest.mark.parametrize("profile_key", ["id", "companyProfileId"])
def test_a_leaver_is_erased(run: Run, world: World, database_url: str, profile_key: str):
    """What stays has neither name nor address; reconcile sends nothing. A link that can be checked stays (P5)."""
    world.restyle(profile_key=profile_key)
    leaves(world, run)
    assert {"resources", "acknowledged", "claims", "plan_items"} <= traces(world.database)

    result = run("people", "erase", "1042", "--yes", **DITIO)

    assert result.exit_code == 0, result.stderr
    assert traces(world.database) == set()
    if world.database.is_sqlite:
        content = Path(database_url.removeprefix("sqlite:///")).read_bytes()
        assert not [trace for trace in TRACES if trace.encode() in content], "nor in pages that are free"
    assert '"action": "erased"' in run("audit", "export").stdout
    with world.database.read("default") as s:
        assert s.connection.execute(history.select()).first() is not None
        record = s.people.find("1042")
    assert (record is not None) == (profile_key == "companyProfileId")
    assert record is None or record.person.acknowledged.login is False
    world.forget()
    found = world.parts.reconciliations["default"].run(Request()).run.by_kind
    assert found == ({} if record is not None else {"unmanaged": 1}), "as any employee without a user"
    assert world.worker.run_until_idle() == 0
    assert world.sent() == []


@pytest.mark.parametrize("profile_key", ["id", "companyProfileId"])
def test_a_later_user_takes_the_employee_over(run: Run, world: World, profile_key: str):
    """H1: phone or e-mail agrees with Ditio, so this is the same employee; none is created."""
    world.restyle(profile_key=profile_key)
    leaves(world, run)
    world.entra.directory.hard_delete(a_user().object_id)
    world.cycle()
    assert run("people", "erase", "1042", "--yes", **DITIO).exit_code == 0
    again = a_user(object_id="another")

    assert world.provisions(again).status == 201

    assert world.state(again)[0] == "delivered"
    employee = world.employee("1042")
    assert (employee.created_count, employee.disabled) == (1, False)


@pytest.mark.parametrize("what", ["active", "ending owed", "held", "hands-off"])
def test_nothing_owed_is_lost(run: Run, world: World, what: str):
    kari = a_user(mobile=None if what == "held" else "+47 987 65 432")
    world.provisions(kari)
    if what == "ending owed":
        world.ditio.faults.plan(Fault("status", status=503, times=None))
        world.changes(kari, account_enabled=False)
    if what == "hands-off":
        world.changes(kari, account_enabled=False)
        assert run("people", "hands-off", "1042").exit_code == 0

    result = run("people", "erase", "1042", "--yes", **DITIO)

    assert result.exit_code == 1
    assert result.stderr
    assert "resources" in traces(world.database)


def test_nothing_is_erased_unasked(run: Run, world: World):
    """Without a terminal the command does not ask, and does nothing."""
    leaves(world, run)

    result = run("people", "erase", "1042", **DITIO)

    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert "resources" in traces(world.database)


def test_a_refused_person_is_exported_and_erased(run: Run, world: World):
    world.ditio.faults.plan(Fault("status", status=409, method="POST", path="/employees", times=None))
    world.provisions(a_user())
    (row,) = json.loads(run("people", "export", "kari").stdout)["refused_writes"]
    assert row["user_name"] == "kari.nordmann@contractor.example"

    assert run("people", "erase", "kari", "--yes", **DITIO).exit_code == 0

    assert traces(world.database) == set()
    with world.database.read() as s:
        assert s.connection.execute(text("SELECT count(*) FROM refused_writes")).scalar_one() == 0
