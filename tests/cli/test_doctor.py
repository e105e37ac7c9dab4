"""`scim-bridge doctor`: each thing that the bridge stands on, sound and broken, and the cure."""

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from scim_bridge.doctor.checks import examine_ditio
from scim_bridge.doctor.database import clock_of, examine_disk
from scim_bridge.doctor.findings import Examination, Finding, Status, examined, fails, ok
from scim_bridge.sandbox.server import running
from scim_bridge.settings import Settings
from scim_bridge.storage.entra_calls import LastRequests
from scim_bridge.storage.runs import ProcessKind, beat, process_id
from scim_bridge.storage.schema import revisions
from tests.cli.conftest import DITIO, Run, a_process_runs, run_with
from tests.later import migrated_to
from tests.world import World, a_user

PUBLIC = {"SCIM_BRIDGE_SERVER__BASE_URL": "https://bridge.invalid"}

ENTRA = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def found(result: Result) -> dict[str, list[dict[str, Any]]]:
    """The findings by what they are about."""
    by_check: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(result.stdout):
        assert list(finding) == ["check", "status", "detail", "cure"]
        assert (finding["cure"] is None) == (finding["status"] == "ok")
        by_check.setdefault(finding["check"], []).append(finding)
    return by_check


def failing(result: Result) -> dict[str, str]:
    """What fails, with detail and cure in one text."""
    return {
        check: " ".join(f"{each['detail']} {each['cure']}" for each in findings if each["status"] == "fails")
        for check, findings in found(result).items()
        if any(each["status"] == "fails" for each in findings)
    }


@pytest.fixture
def examine(run: Run, world: World) -> Iterator[Run]:
    """Run `doctor` where all is well, but for what the test says."""
    with running(world.ditio.app) as url:
        well = {
            **DITIO,
            **PUBLIC,
            "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core",
            "SCIM_BRIDGE_DITIO__IDENTITY_URL": url,
        }
        yield lambda *words, **changed: run("doctor", *words, **{**well, **changed})


def test_deliveries_that_stand_still_are_told(examine: Run, world: World):
    """R2, R3: since when and why, from the breaker that all processes share; `outbox retry` is named."""
    a_process_runs(world, ProcessKind.worker)
    with world.database.write("default") as s:
        breakers = s.breaker
        breakers.locked()
        breakers.open("Searching employees: Ditio answered 403")

    told = failing(examine("--format", "json"))
    assert list(told) == ["deliveries"]
    assert told["deliveries"].startswith("Ditio is not called since 2026-03-02 08:00:00 UTC")
    assert "Ditio answered 403" in told["deliveries"]
    assert "outbox retry" in told["deliveries"]


def test_an_upgrade_that_is_not_finished_is_told(examine: Run, world: World):
    """D7: which processes are still to be replaced; and, to a command of the old version, that the schema is newer."""
    with world.database.write() as s:
        beat(s.at(datetime.now(UTC)), ProcessKind.worker, process_id("0014", "one"), "host-1")
        beat(s.at(datetime.now(UTC)), ProcessKind.serve, process_id(revisions()[-1], "two"), "host-2")
    of_versions = found(examine("--format", "json"))
    assert of_versions["migrations"][0]["status"] == "ok"
    (told,) = of_versions["versions"]
    assert told["status"] == "hint"
    assert "worker on host host-1" in told["detail"]
    assert "host-2" not in told["detail"]

    with migrated_to(world.database, "9999"):
        assert found(examine("--format", "json"))["migrations"][0]["status"] == "hint"


def test_where_no_worker_runs_ditio_is_not_blamed(examine: Run, world: World):
    """D7: since when and where, and how to start one; the breaker, which only a worker can close, is no more than a
    hint."""
    with world.database.write("default") as s:
        s.breaker.locked()
        s.breaker.open("Searching employees: Ditio answered 403")
    a_process_runs(world, ProcessKind.worker, minutes_ago=30)
    a_process_runs(world, ProcessKind.serve)

    result = examine("--format", "json")
    told = failing(result)
    assert list(told) == ["worker"]
    assert " on host bridge-1" in told["worker"]
    assert "scim-bridge worker" in told["worker"]
    assert [each["status"] for each in found(result)["deliveries"]] == ["hint"]
    assert [each["status"] for each in found(result)["web server"]] == ["ok"]

    a_process_runs(world, ProcessKind.serve, minutes_ago=30)
    assert list(failing(examine("--format", "json"))) == ["web server", "worker"]


def test_a_worker_that_has_never_run_is_missed_once_people_wait(examine: Run, world: World):
    """D7: before the first start nothing is wrong."""
    assert failing(examine("--format", "json")) == {}
    world.restarts_with(delivery={"inline_seconds": 0})
    world.provisions(a_user())
    assert list(failing(examine("--format", "json"))) == ["worker"]


def entra_called(world: World, *, minutes_ago: float) -> None:
    """By the real clock, which the commands go by."""
    requests = LastRequests(lambda: 0.0)
    requests.note("default")
    with world.database.write() as s:
        requests.store(s.at(datetime.now(UTC) - timedelta(minutes=minutes_ago)), requests.to_store())


@pytest.mark.parametrize(
    ("minutes_ago", "status", "words"),
    [
        (None, "hint", "no request"),
        (100, "ok", "last request"),
        (200, "hint", "for 3 hours"),
        (2990, "hint", "49 hours"),
    ],
)
def test_how_long_entra_is_silent(examine: Run, world: World, minutes_ago: float | None, status: str, words: str):
    """A job in quarantine sends nothing; it is a hint, because without a change Entra sends nothing either."""
    if minutes_ago is not None:
        entra_called(world, minutes_ago=minutes_ago)

    ((told,),) = [found(examine("--format", "json"))["Entra"]]

    assert told["status"] == status
    assert words in told["detail"]


def test_a_pause_by_the_setting_is_told(examine: Run):
    """D4: the setting pauses as well as the command; it is a hint, and names what to take out."""
    result = examine("--format", "json", SCIM_BRIDGE_DELIVERY__PAUSED="true")

    assert result.exit_code == 0
    (told,) = [each for each in json.loads(result.stdout) if each["check"] == "deliveries"]
    assert told["status"] == "hint"
    assert "DELIVERY__PAUSED" in told["detail"]
    assert "outbox resume" in told["cure"]


def test_all_is_well(examine: Run):
    """Exit 0: a hint is no failure."""
    result = examine("--format", "json")

    assert result.exit_code == 0, result.stdout
    findings = found(result)
    assert {"database", "migrations", "Ditio token", "Ditio read", "clock", "public URL", "tokens"} <= set(findings)
    assert failing(result) == {}


def test_people_read_it_in_80_columns_and_no_secret(examine: Run):
    """A failing line says the cure; nothing that is secret is shown."""
    result = examine(SCIM_BRIDGE_DITIO__CLIENT_SECRET="not-the-right-one")

    assert result.exit_code == 1
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout.count("fails ") == 1
    assert "Cure: Check DITIO__CLIENT_ID, DITIO__CLIENT_SECRET" in result.stdout
    assert "not-the-right-one" not in result.output


def test_nothing_is_changed_and_no_one_is_read(examine: Run, world: World):
    """One token, one search that concerns no one."""
    examine()

    calls = [(call.method, call.path.rpartition("/")[2]) for call in world.ditio.requests if call.path != "/"]
    assert calls == [("POST", "token"), ("GET", "search")]


# -- The database ---------------------------------------------------------


def test_a_database_that_is_not_there(tmp_path: Path):
    """Named with its cure, and none is made by looking."""
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/none.db"}, "doctor", "--format", "json")

    assert result.exit_code == 1
    assert "there is no database at" in failing(result)["database"]
    assert "scim-bridge db upgrade" in failing(result)["database"]
    assert not (tmp_path / "none.db").exists()


def test_an_older_schema(tmp_path: Path):
    """D7: names the command to run."""
    (tmp_path / "old.db").touch()
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/old.db"}, "doctor", "--format", "json")

    assert failing(result)["migrations"] == "the database has an older schema run `scim-bridge db upgrade` first"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://bridge:pa55word@127.0.0.1:1/bridge", "that PostgreSQL runs"),
        ("sqlite:////no/such/folder/x.db", "there is no database at /no/such/folder/x.db"),
        ("sqlite:///{tmp_path}/junk.db", "file is not a database"),
    ],
)
def test_a_database_that_cannot_be_used(tmp_path: Path, url: str, words: str):
    """The reason and the cure, without the password; the rest is examined all the same."""
    (tmp_path / "junk.db").write_bytes(b"this is no database" * 100)
    environment = {"SCIM_BRIDGE_DATABASE__URL": url.format(tmp_path=tmp_path), **PUBLIC}

    result = run_with(environment, "doctor", "--format", "json")

    assert result.exit_code == 1
    assert words in failing(result)["database"]
    assert "pa55word" not in result.output
    assert "public URL" in found(result)


def test_a_damaged_file_is_named_with_its_cure(tmp_path: Path, sqlite_template: Path):
    """D7: pages that no other check reads, as a failing disk leaves them."""
    file = tmp_path / "damaged.db"
    shutil.copy(sqlite_template, file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE filler AS SELECT randomblob(40000) AS content")
    with file.open("r+b") as opened:
        opened.seek(-30_000, os.SEEK_END)
        opened.write(b"\xff" * 8_000)

    told = failing(run_with({"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{file}"}, "doctor", "--format", "json"))

    assert "damaged" in told["database"]
    assert "restore the backup" in told["database"]


def test_the_disk_of_the_embedded_database(tmp_path: Path):
    """D7: SQLite wants a local disk."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/export {tmp_path} nfs4 rw 0 0\n")

    (remote,) = examine_disk(tmp_path / "scim_bridge.db", mounts)
    (local,) = examine_disk(Path("/scim_bridge.db"), mounts)

    assert (remote.status, local.status) == (Status.fails, Status.ok)
    assert "is on nfs4" in remote.detail
    (unknown,) = examine_disk(tmp_path / "scim_bridge.db", tmp_path / "none")
    assert unknown.status is Status.ok


def test_clocks_that_are_apart():
    """Tokens, leases and last days hang on them."""
    assert clock_of("Ditio", timedelta(seconds=-2)).status is Status.ok
    behind, ahead = clock_of("Ditio", timedelta(minutes=5)), clock_of("Ditio", timedelta(minutes=-5))

    assert (behind.status, ahead.status) == (Status.fails, Status.fails)
    assert behind.detail == "this machine's clock is 300 s behind that of Ditio"
    assert ahead.detail == "this machine's clock is 300 s ahead of that of Ditio"


# -- Tokens ---------------------------------------------------------------


def test_no_token_was_issued(run: Run):
    """No one could sign in."""
    assert "scim-bridge token issue" in failing(run("doctor", "--format", "json"))["tokens"]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (["0.0000000001"], "have expired"),
        (["20"], "expires within 30 days"),
        (["0.0000000001", "20"], "within 30 days"),
    ],
)
def test_tokens_that_end(run: Run, days: list[str], words: str):
    """Expired, or the last one that is valid expires soon: a person has to act."""
    for each in days:
        run("token", "issue", "--name", "Entra", "--expires-in-days", each)

    assert words in failing(run("doctor", "--format", "json"))["tokens"]


@pytest.mark.parametrize("other", [["--expires-in-days", "365"], []])
def test_a_token_that_is_being_replaced(run: Run, other: list[str]):
    """Another lives longer: a hint, lest the old one is still in use."""
    run("token", "issue", "--name", "old", "--expires-in-days", "20")
    run("token", "issue", "--name", "new", *other)

    (finding,) = found(run("doctor", "--format", "json"))["tokens"]
    assert finding["status"] == "hint"
    assert "'old'" in finding["detail"]


def test_a_revoked_token_is_none(run: Run):
    run("token", "issue", "--name", "Entra")
    (row,) = json.loads(run("token", "list", "--format", "json").stdout)
    run("token", "revoke", row["id"])

    assert "no token" in failing(run("doctor", "--format", "json"))["tokens"]


def test_clients_alone_are_enough(run: Run):
    """Entra signs in in four ways: who uses another needs no token."""
    run("client", "issue", "--name", "Entra")
    findings = found(run("doctor", "--format", "json"))
    assert "tokens" not in findings
    assert findings["clients"][0]["status"] == "ok"


def test_entra_itself_is_enough(run: Run):
    """Its own JWT needs neither token nor client."""
    findings = found(run("doctor", "--format", "json", SCIM_BRIDGE_AUTH__ENTRA_TENANT_ID=ENTRA))
    assert not {"tokens", "clients"} & set(findings)


@pytest.mark.parametrize(("days", "words"), [("0.0000000001", "have expired"), ("20", "expires within 30 days")])
def test_clients_that_end(run: Run, days: str, words: str):
    """A secret that silently expires is the most common support case of all; with a token beside it, it is a hint."""
    run("client", "issue", "--name", "Entra", "--expires-in-days", days)
    (finding,) = found(run("doctor", "--format", "json"))["clients"]
    assert finding["status"] == "fails"
    assert words in finding["detail"]
    assert "client rotate" in finding["cure"]

    run("token", "issue", "--name", "Entra")
    assert found(run("doctor", "--format", "json"))["clients"][0]["status"] == "hint"


# -- Ditio ----------------------------------------------------------------


def test_ditio_is_not_set(run: Run):
    """Each missing setting, by both names."""
    told = failing(run("doctor", "--format", "json"))["Ditio settings"]

    assert told.count("is not set") == 4
    assert "SCIM_BRIDGE_DITIO__CLIENT_SECRET" in told


def test_ditio_is_out_of_reach(examine: Run):
    """In time, and with what to look at."""
    nowhere = {f"SCIM_BRIDGE_DITIO__{name}": "http://127.0.0.1:1" for name in ("API_URL", "IDENTITY_URL")}
    began = time.monotonic()
    result = examine("--format", "json", **nowhere)

    assert time.monotonic() - began < 30
    assert list(failing(result)) == ["Ditio token"]
    assert "no connection could be made" in failing(result)["Ditio token"]
    assert "firewall" in failing(result)["Ditio token"]


def test_the_five_causes_of_a_401(examine: Run, world: World):
    """R2: a token is given out, and Ditio refuses it: the operator reads the five causes."""
    world.ditio.client_disabled = True
    result = examine("--format", "json")

    assert list(failing(result)) == ["Ditio read"]
    told = failing(result)["Ditio read"]
    for words in ("not deleted", "not disabled", "ValidUntil", "scopes", "emulation user"):
        assert words in told


def test_a_403(examine: Run, world: World):
    """R2: the same causes."""
    world.ditio.forbidden = True

    assert "emulation user" in failing(examine("--format", "json"))["Ditio read"]


def test_an_address_without_its_path(examine: Run):
    """A base may carry a path, which is easily lost."""
    result = examine("--format", "json")
    url = next(each["detail"] for each in found(result)["Ditio read"]).removesuffix("/core answers")

    result = examine("--format", "json", SCIM_BRIDGE_DITIO__API_URL=url)

    assert "DITIO__API_URL seems wrong" in failing(result)["Ditio read"]


def test_identity_of_one_environment_with_the_api_of_the_other():
    """Production and test are strangers to each other; said before anything is called."""
    settings = Settings(
        ditio={
            "api_url": "https://core-api.ditio.app/core",
            "identity_url": "https://identity.ditio.dev",
            "client_id": "bridge",
            "client_secret": "secret",
        }
    )

    finding = next(examine_ditio(settings))

    assert finding.status is Status.fails
    assert "Ditio's test environment" in finding.detail


# -- The bridge's own side ------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "is not set"),
        ("http://scim.example.com", "is not https"),
        ("https://127.0.0.1:8080", "is this machine itself"),
        ("https://localhost", "is this machine itself"),
        ("https://[::1]", "is this machine itself"),
    ],
)
def test_a_public_url_that_entra_cannot_use(run: Run, url: str | None, words: str):
    """https, and not loopback."""
    environment = {"SCIM_BRIDGE_SERVER__BASE_URL": url} if url else {}

    assert words in failing(run("doctor", "--format", "json", **environment))["public URL"]


def test_a_jwt_of_any_application_is_a_hint(run: Run):
    """`AUTH__ENTRA_CALLER_IDS`, design section 5: empty = any application, with a warning."""
    entra = {**DITIO, "SCIM_BRIDGE_AUTH__ENTRA_TENANT_ID": ENTRA}
    told = found(run("doctor", "--format", "json", **entra))["settings"]
    assert [each["status"] for each in told if "ENTRA_CALLER_IDS" in each["detail"]] == ["hint"]

    pinned = {**entra, "SCIM_BRIDGE_AUTH__ENTRA_CALLER_IDS": '["an-application"]'}
    told = found(run("doctor", "--format", "json", **pinned))["settings"]
    assert not [each for each in told if "ENTRA_CALLER_IDS" in each["detail"]]


def test_a_private_address_and_one_out_of_reach_are_hints(run: Run):
    """Entra may well reach what this machine does not."""
    for url in ("https://10.1.2.3", "https://bridge", "https://bridge.invalid"):
        (finding,) = found(run("doctor", "--format", "json", SCIM_BRIDGE_SERVER__BASE_URL=url))["public URL"]
        assert finding["status"] == "hint"
        assert url in finding["detail"]


def test_settings_that_cannot_be_read(run: Run):
    """A slash at the end above all: all of them, and nothing else is looked at."""
    result = run("doctor", "--format", "json", SCIM_BRIDGE_SERVER__BASE_URL="https://scim.example.com/")

    assert result.exit_code == 1
    assert list(found(result)) == ["settings"]
    assert "without the slash at the end" in failing(result)["settings"]


def test_a_mapping_that_cannot_be_used(run: Run):
    result = run("doctor", "--format", "json", SCIM_BRIDGE_MAPPING__FIELDS='{"mail": {}}')

    assert "MAPPING__FIELDS" in failing(result)["settings"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DELIVERY__ADOPT", "always"),
        ("DELIVERY__OFFBOARDING", '["disable"]'),
        ("DITIO__OPERATIONS__DISABLE", "off"),
        ("SERVER__BIND", "0.0.0.0:8080"),
        ("SERVER__BIND", "[::]:8080"),
        ("DITIO__API_URL", "http://127.0.0.1:8090/core"),
    ],
)
def test_settings_that_may_not_be_meant_so(run: Run, name: str, value: str):
    """Named, with the cure; no failure by themselves."""
    findings = found(run("doctor", "--format", "json", **{f"SCIM_BRIDGE_{name}": value}))["settings"]

    assert [name in each["detail"] for each in findings] == [True]
    assert findings[0]["status"] == "hint"


def test_a_secret_in_a_file_that_everyone_can_read(run: Run, tmp_path: Path):
    file = tmp_path / "bridge.toml"
    file.write_text('[ditio]\nclient_secret = "s3cret"\n')
    file.chmod(0o644)
    readable = found(run("--config", str(file), "doctor", "--format", "json"))["settings"]
    file.chmod(0o600)
    private = found(run("--config", str(file), "doctor", "--format", "json"))["settings"]

    assert f"chmod 600 {file}" in readable[0]["cure"]
    assert "s3cret" not in str(readable)
    assert private[0]["status"] == "ok"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602])
@pytest.mark.parametrize(
    "name", ["DITIO__CLIENT_SECRET", "SERVER__METRICS_TOKEN", "TENANTS__NORD__DITIO__CLIENT_SECRET"]
)
def test_a_file_of_a_secret_that_others_can_read(run: Run, tmp_path: Path, name: str, mode: int):
    """Also one that a variable with _FILE names, and one of a company; a hint, with the cure."""
    file = tmp_path / "secret"
    file.write_text("a-long-random-secret")
    file.chmod(mode)
    told = found(run("doctor", "--format", "json", **{f"SCIM_BRIDGE_{name}_FILE": str(file)}))["settings"]

    (finding,) = [each for each in told if str(file) in each["detail"]]
    assert (finding["status"], f"chmod 600 {file}" in finding["cure"]) == ("hint", True)
    assert "a-long-random-secret" not in str(told)

    file.chmod(0o600)
    told = found(run("doctor", "--format", "json", **{f"SCIM_BRIDGE_{name}_FILE": str(file)}))["settings"]
    assert not [each for each in told if str(file) in each["detail"]]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_others_can_read(run: Run, database_url: str):
    """Personal data of everyone is in it; a hint, with the cure."""
    file = Path(database_url.removeprefix("sqlite:///"))
    file.chmod(0o640)
    told = found(run("doctor", "--format", "json"))["database"]
    (cure,) = [each["cure"] for each in told if each["status"] == "hint"]
    assert f"chmod 600 {file}" in cure

    file.chmod(0o600)
    assert {each["status"] for each in found(run("doctor", "--format", "json"))["database"]} == {"ok"}


# -- Time -----------------------------------------------------------------


def test_what_does_not_answer_keeps_no_one_waiting():
    """It ends in time; what was found until then is told, and that the rest did not come."""
    never = threading.Event()

    def stuck() -> Iterator[Finding]:
        yield ok("one", "well")
        never.wait()

    def quick() -> Iterator[Finding]:
        yield ok("three", "well")

    late = fails("two", "late", "wait")

    findings = examined([Examination(stuck, late), Examination(quick, late)], seconds=0.1)
    never.set()

    assert [finding.check for finding in findings] == ["one", "two", "three"]


def test_a_bug_in_a_check_is_not_taken_for_health():
    def broken() -> Iterator[Finding]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        examined([Examination(broken, fails("x", "late", "wait"))], seconds=5)


def test_the_machines_clock_is_the_databases(examine: Run):
    """PostgreSQL has one of its own, SQLite the machine's; Ditio tells its in the answer."""
    clocks = found(examine("--format", "json"))["clock"]

    assert all(each["status"] == "ok" for each in clocks)
    assert any("Ditio" in each["detail"] for each in clocks)
