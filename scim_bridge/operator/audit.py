"""The audit trail as an operator reads it: the newest rows of a choice, with names, and all of them as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scim_bridge.domain.audit import AuditRecord
from scim_bridge.domain.person import PersonId
from scim_bridge.scim.reading import name_of
from scim_bridge.storage.audit import AuditChoice
from scim_bridge.storage.database import Database, Session

ROWS = 100
"""How many rows one page has."""


def audited(
    database: Database, tenant: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[AuditRecord]:
    """Yield all rows of a tenant, oldest first, with no more than one page of them in memory."""
    after = ""
    while True:
        with database.read(tenant) as s:
            rows = s.audit.page(after=after, since=since, until=until)
        if not rows:
            return
        yield from rows
        after = rows[-1].id


def exported(row: AuditRecord, tenant: str) -> str:
    """Return a row as a line of JSON, with ids and no name of a person."""
    event, author = row.deed, row.author
    document = {
        "id": row.id,
        "at": row.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "tenant": tenant,
        "actor": author.actor.kind,
        "actor_id": author.actor.id,
        "action": event.action,
        "resource_type": event.resource_type,
        "resource_id": event.resource_id,
        "person_id": event.person_id,
        "attributes": event.attributes,
        "detail": event.detail,
        "request_id": author.request_id,
    }
    return json.dumps(document, ensure_ascii=False)


def export(database: Database, tenant: str, choice: AuditChoice) -> Iterator[str]:
    """Yield the rows of a choice as lines of JSON, oldest first."""
    for row in audited(database, tenant, since=choice.since, until=choice.until):
        if choice.has(row):
            yield f"{exported(row, tenant)}\n"


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A part of the audit trail, newest first."""

    rows: Sequence[AuditRecord]
    next_before: str | None
    """The id of the last row, if more follow."""

    people: Mapping[PersonId, str | None]
    """What the people are called who are known still."""

    credentials: Mapping[str, str]
    """The names of tokens and clients, by id."""


def audit_page(s: Session, choice: AuditChoice, *, before: str | None) -> AuditPage:
    """Return a part of the audit trail. :param before: The last row of the part before."""
    rows = s.audit.latest(choice, before=before, limit=ROWS + 1)
    shown = rows[:ROWS]
    ids = list(dict.fromkeys(each.deed.person_id for each in shown if each.deed.person_id is not None))
    people = {
        each.id: (name_of(each.document) if each.document is not None else each.acknowledged_name) or each.user_name
        for each in s.directory.of(ids)
    }
    credentials = {each.id: each.name for each in s.tokens.list()} | {each.id: each.name for each in s.clients.list()}
    return AuditPage(shown, shown[-1].id if len(rows) > ROWS else None, people, credentials)
