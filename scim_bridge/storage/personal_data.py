"""All personal data of one person: to be exported, and to be erased (rule G1)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, or_, select, text, update

from scim_bridge.domain.employee import Field
from scim_bridge.domain.person import Claim, ClaimKind, PersonId
from scim_bridge.storage.admin_tables import (
    adoption_pairs,
    entra_assignments,
    entra_findings,
    entra_people,
    metadata,
    notices,
    snapshot,
)
from scim_bridge.storage.database import Session
from scim_bridge.storage.json_sql import json_sql
from scim_bridge.storage.notices import WAITING
from scim_bridge.storage.people import NOT_DUE, PersonRecord
from scim_bridge.storage.plans import blank_person
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.storage.tables import certificate_entries, certificate_ledger, people, refused_writes, resources

USER, GROUP = "User", "Group"

Rows = Mapping[str, Sequence[Mapping[str, object]]]
"""Rows by the name of their table."""


def rows_about(s: Session, record: PersonRecord) -> Rows:
    """Return every row about a person, except search keys.

    A snapshot of Ditio lasts no longer than its run, or a day if the console shows its pairs.
    """
    person_id, user_id = record.person.id, record.person.user_id
    which: dict[Table, ColumnElement[bool]] = {
        table: table.c.person_id == person_id for table in metadata.sorted_tables if "person_id" in table.c
    }
    which[people] = people.c.id == person_id
    if user_id is not None:
        lists = json_sql(s.dialect).has_member(resources.c["keys"], user_id)
        which[resources] = or_(resources.c.id == user_id, and_(resources.c.resource_type == GROUP, lists))
        which[refused_writes] = refused_writes.c.user_id == user_id
    which[notices] = and_(notices.c.kind == WAITING, notices.c.key == person_id)
    for table in (certificate_entries, certificate_ledger):
        which[table] = table.c.holder == person_id
    if record.external_id is not None:
        for table in (entra_people, entra_assignments):
            which[table] = table.c.object_id == record.external_id.lower()
    which[entra_findings] = entra_findings.c.subject == person_id
    return _rows(s, which)


def rows_about_refused(s: Session, refused: RefusedWrite) -> Rows:
    """Return the row about a person whose creation was refused."""
    return _rows(s, {refused_writes: refused_writes.c.subject == refused.subject})


def _rows(s: Session, which: Mapping[Table, ColumnElement[bool]]) -> Rows:
    found = {
        table.name: [
            _readable(dict(row))
            for row in s.connection.execute(select(table).where(table.c.tenant == s.tenant, condition)).mappings()
        ]
        for table, condition in which.items()
    }
    return {name: rows for name, rows in sorted(found.items()) if rows}


def _readable(row: Mapping[str, Any]) -> dict[str, object]:
    kept = {name: value for name, value in row.items() if name not in ("tenant", "keys") and not name.endswith("_key")}
    if isinstance(kept.get("document"), str):
        document = json.loads(kept["document"])
        # Of a group, the other members are other people's data.
        kept["document"] = document if row["resource_type"] == USER else {"displayName": document.get("displayName")}
    return kept


def erase_person(s: Session, record: PersonRecord) -> frozenset[PersonId]:
    """Remove a person's data. Their employee number, link and days stay if Ditio's id of the profile is known.

    Without it nothing would be left that shows whether the employee is still this person (rule P5), so the person goes
    too. A later user with the number is linked only if Ditio's values agree (rule H1).

    :returns: People who waited for a claim that is free now: mark them due.
    """
    _overwrite(s)
    person = record.person
    person_id, user_id, number = person.id, person.user_id, person.employee_number
    stays = number is not None and person.company_profile_id is not None
    if user_id is not None:
        s.resources.delete(USER, user_id)
        s.resources.without_member(user_id)
        s.refused_writes.clear(user_id)
    s.acknowledged.forget(person_id, *(name for name in Field if name is not Field.employee_number))
    s.certificate_deliveries.forget(person_id)
    s.entra.erase(record.external_id, person_id)
    blank_person(s, person_id)
    s.connection.execute(
        delete(adoption_pairs).where(adoption_pairs.c.tenant == s.tenant, adoption_pairs.c.person_id == person_id)
    )
    # What a run of `adopt` keeps for the console.
    s.connection.execute(
        delete(snapshot).where(snapshot.c.tenant == s.tenant, snapshot.c.employee_number == (number or ""))
    )
    s.notices.remove([(WAITING, person_id)])
    s.claims.wait_only_for(person_id, ())
    freed = s.claims.keep_only(person_id, [Claim(ClaimKind.employee_number, number)] if number and stays else [])
    if not stays:
        s.unlink(person_id)
    emptied = ("external_id", "linked_as", "detail", "deleted_user_name", "user_id", "request_id", "wakes_on", "scope")
    s.connection.execute(
        update(people)
        .where(people.c.tenant == s.tenant, people.c.id == person_id)
        .values(**dict.fromkeys(emptied), **NOT_DUE, deleted_at=s.now, state_since=s.now)
    )
    s.forget(person_id)  # Only a person without a link.
    return freed


def erase_refused(s: Session, refused: RefusedWrite) -> None:
    """Remove what is remembered of a person whose creation was refused."""
    _overwrite(s)
    s.connection.execute(
        delete(refused_writes).where(refused_writes.c.tenant == s.tenant, refused_writes.c.subject == refused.subject)
    )


def _overwrite(s: Session) -> None:
    """Make SQLite overwrite what this connection deletes from now on; PostgreSQL has VACUUM for it."""
    if s.dialect == "sqlite":
        s.connection.execute(text("PRAGMA secure_delete = ON"))
