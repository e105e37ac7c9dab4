"""The history of each person and the audit trail: rows are added, read and removed by age, never changed (rule D5)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, insert, select

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, AuditRecord, Author
from scim_bridge.domain.person import PersonId
from scim_bridge.logs import AUDIT, get_logger
from scim_bridge.storage.admin_tables import audit
from scim_bridge.storage.database import Database, after_commit
from scim_bridge.storage.tables import history

log = get_logger(AUDIT)


PAGE = 1000
"""Rows that are read in one transaction: an export keeps none open while its reader is slow."""

_INSERT_AUDIT = insert(audit)

_position = itertools.count()
"""Orders what one process writes at one instant; never more than that."""


class AuditTrail:
    """The audit trail of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def add(self, deed: AuditEvent, author: Author, *, now: datetime, is_one_of_many: bool = False) -> None:
        """Append a row; once the transaction is committed, the log has it too.

        :param is_one_of_many: One command has many such rows: the log is told of all together (`tell_of_many`).
        """
        row = {
            "tenant": self._tenant,
            "id": f"{_begins(now)}{next(_position) % 10**6:06d}-{uuid4().hex[:12]}",
            "at": now,
            "actor": author.actor.kind,
            "actor_id": author.actor.id,
            "action": deed.action,
            "resource_type": deed.resource_type,
            "resource_id": deed.resource_id,
            "person_id": deed.person_id,
            "attributes": list(deed.attributes) or None,
            "detail": deed.detail,
            "request_id": author.request_id,
        }
        self._connection.execute(_INSERT_AUDIT, row)
        if is_one_of_many:
            return
        told = {name: value for name, value in row.items() if value is not None and name not in ("id", "at", "action")}
        after_commit(self._connection, lambda: log.info(f"audit.{deed.action}", **told))

    def tell_of_many(self, action: Action, resource_type: str, author: Author, count: int) -> None:
        """Tell the log how many rows a command has appended; each of them is in the table."""
        who = {"actor": author.actor.kind, "actor_id": author.actor.id}
        log.info(f"audit.{action}", tenant=self._tenant, **who, resource_type=resource_type, count=count)

    def page(self, *, after: str = "", since: datetime | None, until: datetime | None) -> list[AuditRecord]:
        """The next rows after an id, oldest first, at most `PAGE`. :param until: the first instant that is left out."""
        query = select(audit).where(audit.c.tenant == self._tenant, audit.c.id > after)
        if since is not None:
            query = query.where(audit.c.id >= _begins(since))
        if until is not None:
            query = query.where(audit.c.id < _begins(until))
        return [_audited(row) for row in self._connection.execute(query.order_by(audit.c.id).limit(PAGE))]

    def forget_before(self, moment: datetime, *, limit: int) -> int:
        """Remove rows that are older, at most `limit` of them: a short transaction is in nobody's way. How many."""
        old = select(audit.c.id).where(audit.c.tenant == self._tenant, audit.c.id < _begins(moment)).limit(limit)
        return self._connection.execute(
            delete(audit).where(audit.c.tenant == self._tenant, audit.c.id.in_(old))
        ).rowcount


def audited(
    database: Database, tenant: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[AuditRecord]:
    """All rows of a tenant, oldest first, however many: no more than a page of them is in memory."""
    after = ""
    while True:
        with database.read() as connection:
            rows = AuditTrail(connection, tenant).page(after=after, since=since, until=until)
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def tenants_that_acted(connection: Connection) -> list[str]:
    """Every tenant that has rows, whether it is served or not, by name."""
    return sorted(connection.execute(select(audit.c.tenant).distinct()).scalars())


def _begins(moment: datetime) -> str:
    """How the ids of an instant begin."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S.%f}-"


def _audited(row: Row[Any]) -> AuditRecord:
    deed = AuditEvent(
        action=Action(row.action),
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        person_id=PersonId(row.person_id) if row.person_id is not None else None,
        attributes=tuple(row.attributes or ()),
        detail=row.detail,
    )
    return AuditRecord(row.id, row.at, Author(Actor(ActorKind(row.actor), row.actor_id), row.request_id), deed)


"""Orders what one transaction writes at one instant; never more than that."""


_INSERT_HISTORY = insert(history)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a person."""

    what: str
    """`user-created`, `delivery`, or the operation asked of Ditio (`end-employment`)."""

    outcome: str
    """`accepted`, `done`, `delivered`, `refused`, `transient`, …"""

    cause: str | None = None
    """What set it off: `request`, `worker`, `retry`."""

    status: int | None = None
    request_id: str | None = None
    """The id of Entra's request, which joins it to our logs."""

    ditio_request_id: str | None = None
    seconds: float | None = None
    at: datetime | None = None


class History:
    """The history of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str, now: datetime) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now

    def add_for_all(self, person_ids: Sequence[PersonId], entry: Entry) -> None:
        """Append the same row for several people."""
        if person_ids:
            self._connection.execute(_INSERT_HISTORY, [self._row(person_id, entry) for person_id in person_ids])

    def add(self, person_id: PersonId, *entries: Entry) -> None:
        """Append rows."""
        if entries:
            self._connection.execute(_INSERT_HISTORY, [self._row(person_id, entry) for entry in entries])

    def _row(self, person_id: PersonId, entry: Entry) -> dict[str, object]:
        return {
            "tenant": self._tenant,
            "id": f"{next(_position):012d}-{uuid4().hex}",
            "person_id": person_id,
            "at": entry.at or self._now,
            "what": entry.what,
            "cause": entry.cause,
            "outcome": entry.outcome,
            "status": entry.status,
            "request_id": entry.request_id,
            "ditio_request_id": entry.ditio_request_id,
            "duration_ms": None if entry.seconds is None else round(entry.seconds * 1000),
        }

    def forget_before(self, moment: datetime, *, limit: int) -> int:
        """Remove rows that are older, at most `limit` of them: a short transaction is in nobody's way. How many."""
        old = select(history.c.id).where(history.c.tenant == self._tenant, history.c.at < moment).limit(limit)
        return self._connection.execute(
            delete(history).where(history.c.tenant == self._tenant, history.c.id.in_(old))
        ).rowcount

    def of(self, person_id: PersonId) -> list[Entry]:
        """What happened to a person, oldest first."""
        rows = self._connection.execute(
            select(history)
            .where(history.c.tenant == self._tenant, history.c.person_id == person_id)
            .order_by(history.c.at, history.c.id)
        )
        return [
            Entry(
                what=row.what,
                outcome=row.outcome,
                cause=row.cause,
                status=row.status,
                request_id=row.request_id,
                ditio_request_id=row.ditio_request_id,
                seconds=None if row.duration_ms is None else row.duration_ms / 1000,
                at=row.at,
            )
            for row in rows
        ]


def said_since(connection: Connection, tenant: str, person_id: PersonId, moment: datetime) -> bool:
    """Whether Entra has written anything of a person since a moment, or at it."""
    query = select(history.c.id).where(
        history.c.tenant == tenant,
        history.c.person_id == person_id,
        history.c.at >= moment,
        history.c.what.startswith("user-", autoescape=True),
    )
    return connection.execute(query.limit(1)).first() is not None
