"""`scim-bridge entra` and the checks of `doctor` that read Entra: against a simulated Graph on a socket."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.access import ROLES
from scim_bridge.sandbox.graph.service import CLIENT_ID, CLIENT_SECRET, SERVICE_PRINCIPAL, TENANT_ID, SandboxGraph
from scim_bridge.sandbox.job import Execution
from scim_bridge.sandbox.server import running
from scim_bridge.storage.database import Database
from tests.cli.conftest import DITIO, Run
from tests.conftest import Clock
from tests.world import World, a_user

MISSING = "5d1f3c0e-0000-4000-8000-00000000dead"


def now() -> datetime:
    return datetime.now(UTC)


class Reader:
    """Commands that read a simulated Graph."""

    def __init__(self, run: Run, graph: SandboxGraph, url: str) -> None:
        self.graph = graph
        self.url = url
        self._run = run
        self.settings = {
            **DITIO,
            "SCIM_BRIDGE_ENTRA__TENANT_ID": TENANT_ID,
            "SCIM_BRIDGE_ENTRA__CLIENT_ID": CLIENT_ID,
            "SCIM_BRIDGE_ENTRA__CLIENT_SECRET": CLIENT_SECRET,
            "SCIM_BRIDGE_ENTRA__SERVICE_PRINCIPAL_ID": SERVICE_PRINCIPAL.object_id,
            "SCIM_BRIDGE_ENTRA__GRAPH_URL": url,
            "SCIM_BRIDGE_ENTRA__LOGIN_URL": url,
            "SCIM_BRIDGE_ENTRA__REQUESTS_PER_SECOND": "1000",
        }

    def __call__(self, *words: str, **changed: str) -> Any:
        return self._run(*words, **{**self.settings, **changed})

    def json(self, *words: str, exit: int = 0, **changed: str) -> Any:
        result = self(*words, "--format", "json", **changed)
        assert result.exit_code == exit, result.output + result.stderr
        return json.loads(result.stdout)

    def ran(self, **changes: Any) -> None:
        """A cycle has just ended."""
        self.graph.entra.job.ended(Execution("r", now(), **changes), now())


@pytest.fixture
def entra() -> SandboxEntra:
    return SandboxEntra(requests.Session(), "https://bridge.test/scim/v2", None, random=random.Random(1))


@pytest.fixture
def reader(run: Run, entra: SandboxEntra, database: Database) -> Iterator[Reader]:
    graph = SandboxGraph(entra, now=now)
    with running(graph.app) as url:
        yield Reader(run, graph, url)


# -- entra status ------------------------------------------------------------


def test_a_job_that_runs_is_exit_0(reader: Reader):
    reader.ran()

    status = reader.json("entra", "status")

    assert status["state"] == "healthy"
    assert status["interval_seconds"] == 2400
    assert status["quarantine"] is None
    assert status["next_cycle_at"] > status["last_cycle"]["ended_at"]
    assert reader("entra", "status").stdout.startswith("healthy: ")


def test_a_quarantine_is_exit_2_and_says_when_the_job_is_switched_off(reader: Reader):
    reader.ran()
    reader.graph.entra.job.quarantines("TooManyDeletes", now())

    status = reader.json("entra", "status", exit=2)
    text = reader("entra", "status")

    assert status["state"] == "quarantine"
    off = datetime.fromisoformat(status["quarantine"]["off_at"])
    assert timedelta(days=27) < off - now() < timedelta(days=28)
    assert text.exit_code == 2
    assert "TooManyDeletes" in text.stdout
    assert f"{off:%Y-%m-%d}" in text.stdout


@pytest.mark.parametrize(("changes", "state"), [({"escrowed": 3}, "escrows"), ({}, "paused")])
def test_what_is_wrong_in_entra_is_exit_2(reader: Reader, changes: dict[str, Any], state: str):
    reader.ran(**changes)
    if state == "paused":
        reader.graph.entra.job.pause()

    assert reader.json("entra", "status", exit=2)["state"] == state


def test_without_settings_nothing_is_called(run: Run, database: Database):
    result = run("entra", "status", **DITIO)

    assert result.exit_code == 1
    assert "[entra]" in result.stderr


def test_a_fault_in_the_settings_is_named(reader: Reader):
    result = reader("entra", "status", SCIM_BRIDGE_ENTRA__SERVICE_PRINCIPAL_ID="")

    assert result.exit_code == 1
    assert "ENTRA__SERVICE_PRINCIPAL_ID" in result.stderr
    assert reader.graph.requests == []


def test_graph_out_of_reach_is_exit_1(reader: Reader):
    result = reader("entra", "status", SCIM_BRIDGE_ENTRA__GRAPH_URL="http://127.0.0.1:1")

    assert result.exit_code == 1
    assert "no connection" in result.stderr


def test_a_missing_permission_is_exit_1_and_named(reader: Reader):
    reader.graph.client.permissions.discard("Synchronization.Read.All")

    result = reader("entra", "status")

    assert result.exit_code == 1
    assert "Synchronization.Read.All" in result.stderr


# -- entra log ---------------------------------------------------------------


@pytest.fixture
def provisioned(run: Run, database: Database, clock: Clock) -> Iterator[tuple[Reader, World]]:
    """A bridge that a simulated Entra provisions into, by this machine's clock."""
    clock.now = now()
    world = World(database, clock)
    graph = SandboxGraph(world.entra, now=now)
    with running(graph.app) as url:
        yield Reader(run, graph, url), world


def test_the_log_shows_entras_words_beside_our_answer(provisioned: tuple[Reader, World]):
    reader, world = provisioned
    kari = a_user()
    world.ditio.faults.plan(Fault("status", status=409, path="employees", method="POST"))
    assert world.provisions(kari).status in (400, 409)

    (entry,) = reader.json("entra", "log", "1042")

    assert entry["action"] == "create"
    assert entry["status"] == "failure"
    assert entry["answer_status"] in (400, 409)
    assert entry["answer"]
    assert "The application returned" in entry["reason"]


def test_a_write_that_was_accepted_shows_so(provisioned: tuple[Reader, World]):
    reader, world = provisioned
    world.provisions(a_user())

    (entry,) = reader.json("entra", "log", "kari.nordmann@contractor.example")

    assert (entry["action"], entry["status"]) == ("create", "success")
    assert entry["answer_status"] is None
    assert entry["answer"].startswith("accepted")
    assert "create" in reader("entra", "log", "1042").stdout


@pytest.mark.parametrize("form", ["object", "list"])
def test_a_user_who_was_never_sent_is_found_by_object_id(provisioned: tuple[Reader, World], form: str):
    """Why nothing comes: Entra skips a user, and the bridge has never heard of them."""
    reader, world = provisioned
    reader.graph.style = reader.graph.style.__class__(log_form=form)
    kari = a_user(account_enabled=False)
    world.provisions(kari)

    (entry,) = reader.json("entra", "log", kari.object_id)

    assert entry["status"] == "skipped"
    assert entry["error_code"] == "NotEffectivelyEntitled"


def test_the_log_of_another_user_is_not_shown(provisioned: tuple[Reader, World]):
    reader, world = provisioned
    world.provisions(a_user())

    assert reader.json("entra", "log", MISSING) == []


def test_a_person_whom_nothing_names_is_not_asked_for(provisioned: tuple[Reader, World]):
    reader, _ = provisioned
    reader.graph.requests.clear()

    result = reader("entra", "log", "9999")

    assert result.exit_code == 1
    assert "9999" in result.stderr
    assert reader.graph.requests == []


def test_without_the_permission_or_licence_the_log_says_which(provisioned: tuple[Reader, World]):
    reader, world = provisioned
    world.provisions(a_user())
    reader.graph.logs.premium = False
    assert "P1" in reader("entra", "log", "1042").stderr
    reader.graph.logs.premium = True
    reader.graph.client.permissions.discard("ProvisioningLog.Read.All")

    result = reader("entra", "log", "1042")

    assert result.exit_code == 1
    assert "ProvisioningLog.Read.All" in result.stderr


# -- entra schema ------------------------------------------------------------


def test_the_schema_is_made_offline(run: Run):
    result = run("entra", "schema", SCIM_BRIDGE_CERTIFICATES__SLOTS='[{"type":"Byggekort","packed":"byggekort"}]')

    assert result.exit_code == 0
    targets = {
        each["targetAttributeName"]
        for each in json.loads(result.stdout)["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    }
    assert {"userName", "externalId", "active"} <= targets
    assert "byggekort" in result.stderr
    assert not any(each.endswith("byggekort") for each in targets)


def test_a_source_is_named_for_what_only_the_operator_knows(run: Run):
    result = run("entra", "schema", "--source", "birthDate=extensionAttribute1")

    rows = json.loads(result.stdout)["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    (birth,) = [each for each in rows if each["targetAttributeName"].endswith(":birthDate")]
    assert birth["source"]["name"] == "extensionAttribute1"
    assert "birthDate" not in result.stderr


@pytest.mark.parametrize("text", ["birthDate", "=x", "birthDate=", "birthDate=a b", 'x=y"z'])
def test_a_source_that_is_no_pair_is_wrong_usage(run: Run, text: str):
    assert run("entra", "schema", "--source", text).exit_code == 2


def test_the_configured_mapping_is_checked(reader: Reader):
    assert [each for each in reader.json("entra", "schema", "--check") if each["level"] == "fault"] == []

    del reader.graph.entra.job.mappings["active"]
    found = reader.json("entra", "schema", "--check", exit=2)

    assert [each["rule"] for each in found if each["level"] == "fault"] == ["active"]
    assert "`active`" in reader("entra", "schema", "--check").stdout


def test_the_check_needs_the_permission(reader: Reader):
    reader.graph.client.permissions.discard("Synchronization.Read.All")

    result = reader("entra", "schema", "--check")

    assert result.exit_code == 1
    assert "Synchronization.Read.All" in result.stderr


# -- doctor ------------------------------------------------------------------


def of_entra(reader: Reader, **changed: str) -> dict[str, list[dict[str, Any]]]:
    """The findings of `doctor` about Entra, by check."""
    result = reader("doctor", "--format", "json", **changed)
    by_check: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(result.stdout):
        if each["check"].startswith("Entra"):
            by_check.setdefault(each["check"], []).append(each)
    return by_check


def test_doctor_finds_all_well(reader: Reader):
    reader.ran()

    found = of_entra(reader)

    assert set(found) == {"Entra token", "Entra permissions", "Entra application", "Entra job"}
    assert {each["status"] for findings in found.values() for each in findings} == {"ok"}


def test_doctor_says_nothing_of_entra_where_it_is_not_read(run: Run, database: Database):
    result = run("doctor", "--format", "json", **DITIO)

    assert not any(each["check"].startswith("Entra") for each in json.loads(result.stdout))


PERMISSIONS = {
    "User.Read.All": "fails",
    "GroupMember.Read.All": "fails",
    "Synchronization.Read.All": "fails",
    "User-LifeCycleInfo.Read.All": "hint",
    "Member.Read.Hidden": "hint",
    "ProvisioningLog.Read.All": "hint",
}


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_doctor_names_permission_role_and_where_to_consent(reader: Reader, permission: str):

    reader.ran()
    reader.graph.client.permissions.discard(permission)

    found = of_entra(reader)["Entra permissions"]

    (missing,) = [each for each in found if each["status"] != "ok"]
    assert missing["status"] == PERMISSIONS[permission]
    assert permission in missing["detail"]
    assert ROLES[permission] in missing["cure"]
    assert f"{reader.url}/{TENANT_ID}/adminconsent?client_id={CLIENT_ID}" in missing["cure"]


def test_doctor_names_the_permission_that_shows_the_others(reader: Reader):
    reader.graph.client.permissions.discard("Application.Read.All")

    found = of_entra(reader)

    assert [each["status"] for each in found["Entra permissions"]] == ["fails"]
    assert "Application.Read.All" in found["Entra permissions"][0]["detail"]
    assert found["Entra application"][0]["status"] == "fails"


def test_doctor_tells_an_application_id_from_an_object_id(reader: Reader):
    found = of_entra(reader, SCIM_BRIDGE_ENTRA__SERVICE_PRINCIPAL_ID=SERVICE_PRINCIPAL.app_id)

    (application,) = found["Entra application"]
    assert application["status"] == "fails"
    assert SERVICE_PRINCIPAL.object_id in application["detail"]


def test_doctor_names_a_wrong_secret_and_goes_no_further(reader: Reader):
    found = of_entra(reader, SCIM_BRIDGE_ENTRA__CLIENT_SECRET="wrong-secret-of-a-test")

    assert set(found) == {"Entra token"}
    assert found["Entra token"][0]["status"] == "fails"
    assert "ENTRA__CLIENT_SECRET" in found["Entra token"][0]["cure"]


def test_doctor_finds_nothing_wrong_before_provisioning_is_started(reader: Reader):
    """README: `doctor` comes before *Start provisioning*; only one who stopped it has to be told of it as a failure."""
    reader.graph.entra.job.state = "Disabled"

    (found,) = of_entra(reader)["Entra job"]

    assert (found["status"], "Start provisioning" in found["cure"]) == ("hint", True)


@pytest.mark.parametrize(("state", "status"), [("Paused", "fails"), ("Active", "ok")])
def test_doctor_looks_at_the_job(reader: Reader, state: str, status: str):
    reader.ran()
    reader.graph.entra.job.state = state

    assert [each["status"] for each in of_entra(reader)["Entra job"]] == [status]


def test_doctor_compares_where_entra_provisions_to(reader: Reader):
    reader.ran()
    reader.graph.entra.job.skip_out_of_scope_deletions = True

    found = of_entra(reader, SCIM_BRIDGE_SERVER__BASE_URL="https://other.example")["Entra job"]

    assert [each["status"] for each in found] == ["ok", "hint", "hint"]
    assert "https://other.example" in found[1]["detail"]
    assert "SkipOutOfScopeDeletions" in found[2]["detail"]


def test_settings_check_names_what_is_missing(reader: Reader):
    result = reader("settings", "check", SCIM_BRIDGE_ENTRA__CLIENT_ID="")

    assert result.exit_code == 1
    assert "ENTRA__CLIENT_ID" in result.stderr
    assert CLIENT_SECRET not in result.output


@pytest.mark.parametrize("is_theirs", [True, False])
def test_doctor_asks_for_a_few_people(provisioned: tuple[Reader, World], is_theirs: bool):
    """Another tenant, or another `externalId`, is noticed before anything is compared."""
    reader, world = provisioned
    world.provisions(a_user())
    if not is_theirs:
        world.entra.directory.users.clear()

    (people,) = of_entra(reader)["Entra people"]

    assert people["status"] == ("ok" if is_theirs else "fails")
    assert is_theirs or "externalId" in people["cure"]


def test_doctor_makes_no_database(reader: Reader, tmp_path: Path):
    """It only looks, also where it would ask Entra for people: no empty database takes the place of a lost one."""
    assert "Entra people" not in of_entra(reader, SCIM_BRIDGE_DATABASE__URL=f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.glob("none.db*")) == []
