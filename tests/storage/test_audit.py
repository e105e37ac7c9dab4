"""The audit trail is append-only: rows are added and grow old, and no one changes one."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

import scim_bridge
from scim_bridge.delivery.worker import forget_old
from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, AuditRecord, Author, changed_names
from scim_bridge.domain.person import PersonId
from scim_bridge.operator.audit import audited, exported
from scim_bridge.storage.audit import AuditChoice
from scim_bridge.storage.database import Database
from tests.conftest import Clock

SOMEBODY = Author(Actor(ActorKind.operator, "1000"), "request-1")
SOURCES = [*(Path(scim_bridge.__file__).parent / "storage").glob("*.py")]
"""All SQL is in these."""


PAUSED = AuditEvent(Action.paused, "outbox")


def add(database: Database, clock: Clock, deed: AuditEvent = PAUSED, tenant: str = "default") -> None:
    with database.write(tenant) as s:
        s.audit.add(deed, SOMEBODY)


def test_a_row_comes_back_as_it_was_written(database: Database, clock: Clock):
    deed = AuditEvent(Action.changed, "User", "u", None, ("title", "name"), "why")
    add(database, clock, deed)
    (row,) = audited(database, "default")
    assert (row.at, row.author, row.deed) == (clock(), SOMEBODY, deed)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor_id = 'x'", "UPDATE audit SET at = at WHERE 1 = 0"])
def test_the_database_refuses_to_change_a_row(database: Database, clock: Clock, statement: str):
    """Design, section 10: append-only, also for a person who gets at the database by the bridge's own account."""
    add(database, clock)
    if "1 = 0" in statement and database.is_sqlite:
        return  # SQLite knows triggers of rows only, and no row is changed.
    with pytest.raises(DBAPIError, match="append-only"), database.write() as s:
        s.connection.execute(text(statement))
    assert [row.author for row in audited(database, "default")] == [SOMEBODY]


COLUMNS = "tenant, id, at, actor, actor_id, action, resource_type"
FORGED = "SELECT tenant, id, at, actor, 'x', action, resource_type FROM audit WHERE true"
BY_ROWID = "SELECT rowid, tenant, 'other', at, actor, 'x', action, resource_type FROM audit"
UPSERT = "ON CONFLICT (tenant, id) DO UPDATE SET actor_id = excluded.actor_id"


@pytest.mark.parametrize(
    ("kinds", "statement"),
    [
        ("sqlite postgresql", f"INSERT INTO audit ({COLUMNS}) {FORGED} {UPSERT}"),
        ("sqlite", f"INSERT OR REPLACE INTO audit ({COLUMNS}) {FORGED}"),
        ("sqlite", f"REPLACE INTO audit ({COLUMNS}) {FORGED}"),
        ("sqlite", f"INSERT OR REPLACE INTO audit (rowid, {COLUMNS}) {BY_ROWID}"),
        ("sqlite", "UPDATE OR REPLACE audit SET actor_id = 'x'"),
        ("postgresql", "TRUNCATE audit"),
        (
            "postgresql",
            f"MERGE INTO audit a USING ({FORGED}) b ON a.id = b.id WHEN MATCHED THEN UPDATE SET actor_id = 'x'",
        ),
    ],
    ids=["upsert", "insert-or-replace", "replace", "replace-by-rowid", "update-or-replace", "truncate", "merge"],
)
def test_the_database_refuses_to_replace_a_row(database: Database, clock: Clock, kinds: str, statement: str):
    """Design, section 10: append-only, whatever the statement that takes a row's place."""
    if ("sqlite" if database.is_sqlite else "postgresql") not in kinds:
        return
    add(database, clock)
    with pytest.raises(DBAPIError, match="append-only"), database.write() as s:
        s.connection.execute(text(statement))
    assert [row.author for row in audited(database, "default")] == [SOMEBODY]


def test_no_statement_of_ours_changes_it_and_only_age_removes():
    """Who names the table: its own two modules, and no one updates it or deletes from it otherwise."""
    naming = {path.name for path in SOURCES if re.search(r"import .*\baudit\b|\baudit\.c\b", path.read_text("utf-8"))}
    assert {"audit.py", "admin_tables.py"} >= naming
    code = (Path(scim_bridge.__file__).parent / "storage" / "audit.py").read_text("utf-8")
    assert re.findall(r"\b(insert|update|delete)\(audit\)", code) == ["insert", "delete"]
    assert code[: code.index("delete(audit)")].rpartition("def ")[2].startswith("forget_before(")


def test_it_is_kept_as_long_as_the_settings_say(database: Database, clock: Clock):
    """`RETENTION__DAYS`: of each company what is older goes, and the rest stays."""
    add(database, clock)
    add(database, clock, tenant="other")
    clock.passes(days=365)
    add(database, clock, AuditEvent(Action.resumed, "outbox"))
    assert forget_old(database, "default", 365) == 0
    clock.passes(seconds=1)

    assert forget_old(database, "default", 365) == 1
    assert [row.deed.action for row in audited(database, "default")] == [Action.resumed]
    assert len(list(audited(database, "other"))) == 1


def test_the_order_is_that_of_the_deeds(database: Database, clock: Clock):
    """Also of those of one instant."""
    for action in (Action.created, Action.changed, Action.deleted):
        add(database, clock, AuditEvent(action, "User"))
    clock.passes(seconds=1)
    add(database, clock, AuditEvent(Action.undone, "User"))
    assert [row.deed.action for row in audited(database, "default")] == ["created", "changed", "deleted", "undone"]


VALUES = st.sampled_from([None, "", "a", "b", ["a"], [{"value": "a"}]])
EXTENSION = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DOCUMENTS = st.dictionaries(
    st.sampled_from(["title", "userName", "emails", "meta", EXTENSION]),
    st.one_of(VALUES, st.dictionaries(st.sampled_from(["department", "employeeNumber"]), VALUES)),
)


@given(DOCUMENTS, DOCUMENTS)
def test_what_changed_is_named_and_no_value_is(before: dict[str, object], after: dict[str, object]):
    """G1: names come from the schema, values from people."""
    names = changed_names(before, after)
    plain = {"title", "userName", "emails"}
    assert set(names) - plain <= {f"{EXTENSION}:department", f"{EXTENSION}:employeeNumber"}
    assert set(names) & plain == {name for name in plain if before.get(name) != after.get(name)}
    assert changed_names(after, before) == names
    assert changed_names(before, before) == ()


def test_what_a_newer_version_has_done_is_shown_as_it_is_stored(database: Database, clock: Clock):
    """Going back: the trail has a deed and an actor that this version does not know, and can be read all the same."""
    add(database, clock)
    newer = "SELECT tenant, id || '-', at, 'robot', actor_id, 'merged', resource_type FROM audit"
    with database.write() as s:
        s.connection.execute(text(f"INSERT INTO audit ({COLUMNS}) {newer}"))

    known, unknown = audited(database, "default")

    assert (known.deed.action, known.author.actor.kind) == (Action.paused, ActorKind.operator)
    assert (unknown.deed.action, unknown.author.actor.kind) == ("merged", "robot")
    assert json.loads(exported(unknown, "default"))["action"] == "merged"
    with database.read("default") as s:
        assert len(s.audit.latest(AuditChoice(), before=None, limit=10)) == 2
        assert s.audit.latest(AuditChoice(actor=ActorKind.operator), before=None, limit=10) == [known]


def test_one_persons_rows_are_found_in_an_index(database: Database, clock: Clock):
    """However long the trail is."""
    for number in range(50):
        add(database, clock, AuditEvent(Action.changed, "User", None, PersonId(f"p{number % 10}")))
        clock.passes(seconds=1)
    choice = AuditChoice(people={PersonId("p3"), PersonId("p7")}, since=clock() - timedelta(seconds=40))

    found, plan = latest(database, choice, limit=3)
    more, plan_of_more = latest(database, choice, before=found[-1].id)

    assert [each.deed.person_id for each in found] == ["p7", "p3", "p7"]
    assert [each.deed.person_id for each in more] == ["p3", "p7", "p3", "p7", "p3"]
    assert "ix_audit_person" in plan
    assert "ix_audit_person" in plan_of_more


def latest(
    database: Database, choice: AuditChoice, before: str | None = None, limit: int = 20
) -> tuple[list[AuditRecord], str]:
    """Rows of a choice, and how the database finds them."""
    sent: list[tuple[str, Any]] = []
    with database.write("default") as s:
        s.connection.exec_driver_sql("ANALYZE audit")
    with database.read("default") as s:
        event.listen(s.connection, "before_cursor_execute", lambda *told: sent.append((told[2], told[3])))
        found = s.audit.latest(choice, before=before, limit=limit)
        asked, values = sent[0]
        if not database.is_sqlite:
            s.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        return found, str(s.connection.exec_driver_sql(f"{explain} {asked}", values).all())


@pytest.mark.parametrize("action", Action)
def test_a_rare_deed_is_found_in_an_index(database: Database, clock: Clock, action: Action):
    """However long the trail is; those of Entra's writes are many, and found soon on the way through all rows."""
    for _ in range(30):
        add(database, clock, AuditEvent(Action.changed, "User"))
        clock.passes(seconds=1)
    add(database, clock, AuditEvent(action, "User"))

    found, plan = latest(database, AuditChoice(action=action))

    assert {each.deed.action for each in found} == {action}
    assert ("ix_audit_rare" in plan) is (action not in (Action.created, Action.changed))
