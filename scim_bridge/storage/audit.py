"""The audit trail: one row for each deed, in its transaction; added, read and removed by age, never changed."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, insert, select

from scim_bridge.domain.audit import Action, Actor, ActorKind, Audited, Author, Deed
from scim_bridge.domain.person import PersonId
from scim_bridge.logs import get_logger
from scim_bridge.storage.audit_tables import audit
from scim_bridge.storage.database import Database, after_commit

log = get_logger(__name__)

PAGE = 1000
"""Rows that are read in one transaction: an export keeps none open while its reader is slow."""

_INSERT = insert(audit)

_position = itertools.count()
"""Orders what one process writes at one instant; never more than that."""


class AuditTrail:
    """The audit trail of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def add(self, deed: Deed, author: Author, *, now: datetime, is_one_of_many: bool = False) -> None:
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
        self._connection.execute(_INSERT, row)
        if is_one_of_many:
            return
        told = {name: value for name, value in row.items() if value is not None and name not in ("id", "at", "action")}
        after_commit(self._connection, lambda: log.info(f"audit.{deed.action}", **told))

    def tell_of_many(self, action: Action, resource_type: str, author: Author, count: int) -> None:
        """Tell the log how many rows a command has appended; each of them is in the table."""
        who = {"actor": author.actor.kind, "actor_id": author.actor.id}
        log.info(f"audit.{action}", tenant=self._tenant, **who, resource_type=resource_type, count=count)

    def page(self, *, after: str = "", since: datetime | None, until: datetime | None) -> list[Audited]:
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
) -> Iterator[Audited]:
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


def _audited(row: Row[Any]) -> Audited:
    deed = Deed(
        action=Action(row.action),
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        person_id=PersonId(row.person_id) if row.person_id is not None else None,
        attributes=tuple(row.attributes or ()),
        detail=row.detail,
    )
    return Audited(row.id, row.at, Author(Actor(ActorKind(row.actor), row.actor_id), row.request_id), deed)
