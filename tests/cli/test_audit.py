"""`audit export`: who did what to whom; every deed of Entra's and of an operator's, and nothing else."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, Author
from scim_bridge.domain.values import CERTIFICATE_URN
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage import audit as storage
from scim_bridge.storage.audit import AuditTrail
from scim_bridge.storage.database import Database, Session
from tests.cli.conftest import DITIO, Run
from tests.conftest import Clock
from tests.world import World, a_user

EVERY_KEY = {
    "id", "at", "tenant", "actor", "actor_id", "action", "resource_type", "resource_id", "person_id", "attributes",
    "detail", "request_id",
}  # fmt: skip
SOMEBODY = Author(Actor(ActorKind.token, "t"))


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def told(run: Run, *words: str) -> list[tuple[str, str, str]]:
    return [(row["actor"], row["action"], row["resource_type"]) for row in rows(run("audit", "export", *words))]


def test_what_entra_does_is_told_with_who_and_to_whom(run: Run, world: World):
    """Design, section 10; G1: ids and the names of attributes, no name, no value."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, job_title="Formann", department="Vei")
    user_id = world.entra.scim_id(kari.object_id)
    world.deletes(kari)

    result = run("audit", "export")
    created, changed, *_, deleted = rows(result)

    assert {frozenset(row) for row in (created, changed, deleted)} == {frozenset(EVERY_KEY)}
    for row in (created, changed, deleted):
        assert (row["actor"], row["actor_id"], row["tenant"]) == ("token", "t", "default")
        assert (row["resource_type"], row["resource_id"]) == ("User", user_id)
        assert row["at"] == "2026-03-02T08:00:00Z"
        assert row["person_id"]
        assert row["request_id"]
    assert [row["action"] for row in (created, changed, deleted)] == ["created", "changed", "deleted"]
    assert changed["attributes"] == [
        "title",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    ]
    for personal in ("Kari", "Nordmann", "@", "98765432", "Formann", "Vei"):
        assert personal not in result.stdout.replace(created["request_id"], "")


def test_the_log_has_it_too_once_it_is_committed(world: World, caplog: pytest.LogCaptureFixture):
    """Design, section 10; what is rolled back is in neither."""
    caplog.set_level("INFO")
    world.provisions(a_user())
    lines: list[Any] = [record.msg for record in caplog.records if record.name == "scim_bridge.storage.audit"]
    assert [line["event"] for line in lines] == ["audit.created"]
    assert (lines[0]["actor"], lines[0]["actor_id"], lines[0]["resource_type"]) == ("token", "t", "User")

    caplog.clear()
    with pytest.raises(DBAPIError), world.database.write("default") as s:
        rolled_back(s, world.clock)
    assert "audit." not in caplog.text


def rolled_back(s: Session, clock: Clock) -> None:
    s.audit.add(AuditEvent(Action.deleted, "User", "1"), SOMEBODY)
    s.connection.execute(text("SELECT * FROM nowhere"))


def test_reads_and_writes_that_change_nothing_are_not_in_it(run: Run, world: World):
    kari = a_user()
    world.provisions(kari)
    path = f"/Users/{world.entra.scim_id(kari.object_id)}"
    document = world.scim("GET", path).json()
    before = len(rows(run("audit", "export")))

    assert world.scim("PUT", path, document).status_code == 200
    assert world.scim("GET", "/Users").status_code == 200
    assert world.scim("POST", "/Users", {"userName": document["userName"], "schemas": []}).status_code >= 400
    assert world.scim("DELETE", "/Users/nobody").status_code == 404

    assert len(rows(run("audit", "export"))) == before


def test_groups_are_told_like_users_and_belong_to_no_one(run: Run, world: World):
    made = world.scim("POST", "/Groups", {"displayName": "Anlegg", "schemas": []}).json()
    (row,) = rows(run("audit", "export"))
    assert (row["resource_type"], row["resource_id"], row["person_id"]) == ("Group", made["id"], None)


def test_each_operation_of_a_bulk_request_is_a_row(run: Run, world: World):
    """All of one request; the one that fails is none."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(number), "data": {"userName": name, "active": False}}
        for number, name in enumerate(("a@x.example", "b@x.example", "a@x.example"))
    ]
    answer = world.scim("POST", "/Bulk", {"Operations": operations})
    assert [each["status"] for each in answer.json()["Operations"]] == ["201", "201", "409"]

    found = rows(run("audit", "export"))
    assert [row["action"] for row in found] == ["created", "created"]
    assert {row["request_id"] for row in found} == {answer.headers["X-Request-Id"]}


def test_a_write_that_was_refused_and_undone_is_told_as_both(run: Run, world: World):
    """R1: what was written, and that it was taken back, by the bridge itself, for the same request."""
    world.ditio.faults.plan(Fault(kind="status", status=409, method="POST", path="/employees", times=1))
    world.provisions(a_user())

    created, undone = rows(run("audit", "export"))[:2]
    assert (created["action"], undone["action"]) == ("created", "undone")
    assert (undone["actor"], undone["actor_id"]) == ("bridge", "undo")
    for name in ("resource_id", "person_id", "request_id"):
        assert created[name] == undone[name]


def test_what_an_operator_does_is_told(run: Run, world: World):
    """Each command that changes something, once; his user's number stands for him."""
    world.provisions(a_user())
    before = len(told(run))
    run("token", "issue", "--name", "x")
    listed = json.loads(run("token", "list", "--format", "json").stdout)
    token_id = next(each["id"] for each in listed if each["name"] == "x")
    client_id = json.loads(run("client", "issue", "--name", "x").stdout)["client_id"]
    for words in (
        ("token", "revoke", token_id),
        ("token", "revoke", token_id),
        ("client", "rotate", client_id),
        ("client", "revoke", client_id),
        ("client", "revoke", client_id),
        ("outbox", "retry"),
        ("outbox", "retry", "--person", "1042"),
        ("outbox", "pause"),
        ("outbox", "pause"),
        ("outbox", "resume"),
        ("outbox", "resume"),
        ("people", "hands-off", "1042"),
        ("people", "hands-off", "1042", "--clear"),
        ("people", "hands-off", "1042", "--clear"),
        ("adopt", "--accept", "7", "ola@x.example"),
    ):
        assert run(*words, **DITIO).exit_code == 0, words

    found = rows(run("audit", "export"))[before:]
    assert [(row["action"], row["resource_type"]) for row in found] == [
        ("issued", "token"),
        ("issued", "client"),
        ("revoked", "token"),
        ("rotated", "client"),
        ("revoked", "client"),
        ("retried", "outbox"),
        ("retried", "outbox"),
        ("paused", "outbox"),
        ("resumed", "outbox"),
        ("put_aside", "person"),
        ("taken_up", "person"),
        ("accepted", "employee"),
    ]
    assert {(row["actor"], row["actor_id"]) for row in found} == {("operator", str(os.getuid()))}
    assert [row["resource_id"] for row in found[:5]] == [token_id, client_id, token_id, client_id, client_id]
    assert found[5]["person_id"] is None
    assert found[6]["person_id"] == found[9]["person_id"] == found[9]["resource_id"]
    assert found[11]["resource_id"] == "7"
    assert "ola" not in json.dumps(found)


def test_a_command_that_failed_is_not_told(run: Run, world: World):
    assert run("token", "revoke", "nobodys").exit_code == 1
    assert run("client", "rotate", "nobodys").exit_code == 1
    assert run("people", "hands-off", "9").exit_code == 1
    assert told(run) == []


def test_an_operators_deed_is_in_the_log_whatever_the_level(run: Run, world: World):
    """On standard error: standard output is the command's."""
    result = run("token", "issue", "--name", "x", SCIM_BRIDGE_LOG__LEVEL="error", SCIM_BRIDGE_LOG__FORMAT="json")
    (line,) = [json.loads(each) for each in result.stderr.splitlines() if each.startswith("{")]
    assert (line["event"], line["actor"], line["resource_type"]) == ("audit.issued", "operator", "token")
    assert result.stdout.count("\n") == 1


def test_behind_sudo_it_is_the_person_who_called_it(run: Run, world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    run("outbox", "pause", SUDO_UID="1007")
    run("outbox", "resume", SUDO_UID="; rm")
    assert [row["actor_id"] for row in rows(run("audit", "export"))] == ["1007", "0"]


def fill(database: Database, clock: Clock, count: int) -> None:
    with database.write("default") as s:
        for number in range(count):
            s.audit.add(AuditEvent(Action.created, "User", str(number)), SOMEBODY)


def test_it_is_told_by_days_the_last_one_included(run: Run, database: Database, clock: Clock):
    """`--since` and `--until`: whole days, UTC."""
    for _ in range(4):
        fill(database, clock, 1)
        clock.now += timedelta(hours=16)  # 2 March 08:00, 3 March 00:00 and 16:00, 4 March 08:00
    assert len(told(run, "--since", "2026-03-03")) == 3
    assert len(told(run, "--until", "2026-03-03")) == 3
    assert len(told(run, "--since", "2026-03-03", "--until", "2026-03-03")) == 2
    assert told(run, "--since", "2027-01-01") == []
    wrong = run("audit", "export", "--since", "2026-03-03", "--until", "2026-03-02")
    assert wrong.exit_code == 2
    assert "before the first" in wrong.stderr


@pytest.mark.parametrize(
    "words",
    [("audit", "export", "--since"), ("people", "hands-off", "1042", "--until"), ("certificates", "expiring", "--on")],
)
def test_a_day_that_is_written_otherwise_is_told_how(run: Run, words: tuple[str, ...]):
    """People here write 31.12.2026."""
    result = run(*words, "31.12.2026")

    assert result.exit_code == 2
    assert "'31.12.2026'" in result.stderr
    assert "write it as yyyy-MM-dd" in result.stderr


def test_a_million_rows_are_not_in_memory_at_once(
    run: Run, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """They are read by pages, in order, none left out and none told twice."""
    fill(database, clock, 10)
    sizes: list[int] = []
    whole = AuditTrail.page

    def page(trail: AuditTrail, **which: Any) -> Any:
        sizes.append(len(found := whole(trail, **which)))
        return found

    monkeypatch.setattr(storage, "PAGE", 3)
    monkeypatch.setattr(AuditTrail, "page", page)
    assert [row["resource_id"] for row in rows(run("audit", "export"))] == [str(number) for number in range(10)]
    assert max(sizes) == 3


def test_what_is_said_of_certificates_is_told(run: Run, world: World, tmp_path: Path):
    """By `/Certificates` and by a file: which entry, whose, and which parts; what changes nothing is not told."""
    crane = {
        "schemas": [CERTIFICATE_URN],
        "employeeNumber": "1042",
        "certificateType": "Kranførerbevis",
        "issuedDateTime": "2026-01-15T00:00:00Z",
        "validUntilDateTime": "2031-01-15T00:00:00Z",
    }
    created = world.scim("POST", "/Certificates", crane).json()["id"]
    changed = {**crane, "notes": "a secret note", "externalId": "x"}
    for _ in range(2):
        assert world.scim("PUT", f"/Certificates/{created}", changed).status_code == 200
    assert world.scim("DELETE", f"/Certificates/{created}").status_code == 204
    file = tmp_path / "certificates.csv"
    for end in ("2031-01-15", "2031-01-15", "2032-01-15"):
        file.write_text(
            "employeeNumber,certificateType,issuedDateTime,validUntilDateTime\n" + f"7,Byggekort,2026-01-15,{end}\n"
        )
        assert run("certificates", "import", str(file), **DITIO).exit_code == 0
        assert run("certificates", "import", str(file), "--apply", **DITIO).exit_code == 0

    found = rows(run("audit", "export"))
    assert [(row["actor"], row["action"], row["attributes"]) for row in found] == [
        ("token", "created", []),
        ("token", "changed", ["externalId", "notes"]),
        ("token", "deleted", []),
        ("operator", "created", []),
        ("operator", "changed", ["validUntilDateTime"]),
    ]
    assert {row["resource_type"] for row in found} == {"Certificate"}
    assert {row["resource_id"] for row in found[:3]} == {created}
    assert "secret note" not in json.dumps(found)


def test_the_log_tells_of_many_certificates_in_one_line(run: Run, world: World, tmp_path: Path):
    """A file of thousands does not bury what the command says; each of them is in the audit trail."""
    file = tmp_path / "certificates.csv"
    lines = [f"{number},Byggekort,2026-01-15,2031-01-15" for number in range(40)]
    file.write_text("\n".join(["employeeNumber,certificateType,issuedDateTime,validUntilDateTime", *lines]))

    result = run("certificates", "import", str(file), "--apply", **DITIO, SCIM_BRIDGE_LOG__FORMAT="json")

    (line,) = [json.loads(each) for each in result.stderr.splitlines() if each.startswith("{")]
    assert (line["event"], line["resource_type"], line["count"]) == ("audit.created", "Certificate", 40)
    assert len(rows(run("audit", "export"))) == 40
