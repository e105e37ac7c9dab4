"""The audit trail. Rows are added, read and removed by age, never changed (rule D5)."""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, TextClause, and_, delete, insert, or_, select

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, AuditRecord, Author
from scim_bridge.domain.person import PersonId
from scim_bridge.logs import AUDIT, get_logger
from scim_bridge.storage.admin_tables import IS_RARE, audit
from scim_bridge.storage.engine import Repository
from scim_bridge.storage.prepared import Prepared

log = get_logger(AUDIT)


PAGE = 1000
"""Rows that are read in one transaction, so that an export with a slow reader keeps no transaction open."""

MOMENTS = 100
"""How many instants one statement looks up."""

_INSERT_AUDIT = Prepared(insert(audit))

_position = itertools.count()
"""Orders what one process writes at one instant; never more than that."""


@dataclass(frozen=True, slots=True)
class AuditChoice:
    """Which rows of the audit trail are meant; None leaves a question open."""

    since: datetime | None = None
    until: datetime | None = None
    """The first instant left out."""

    action: Action | None = None
    actor: ActorKind | None = None
    people: Collection[PersonId] | None = None

    def has(self, record: AuditRecord) -> bool:
        """Return whether a row within these instants is meant."""
        return (
            (self.action is None or record.deed.action is self.action)
            and (self.actor is None or record.author.actor.kind is self.actor)
            and (self.people is None or record.deed.person_id in self.people)
        )


class AuditTrail(Repository):
    """The audit trail of one tenant, within one transaction."""

    def add(self, event: AuditEvent, author: Author, *, is_one_of_many: bool = False) -> None:
        """Append a row. Once the transaction is committed, it is logged too.

        :param is_one_of_many: One command adds many such rows; `tell_of_many` logs them together.
        """
        row = {
            "tenant": self._tenant,
            "id": f"{_begins(self._now)}{next(_position) % 10**6:06d}-{uuid4().hex[:12]}",
            "at": self._now,
            "actor": author.actor.kind,
            "actor_id": author.actor.id,
            "action": event.action,
            "resource_type": event.resource_type,
            "resource_id": event.resource_id,
            "person_id": event.person_id,
            "attributes": list(event.attributes) or None,
            "detail": event.detail,
            "request_id": author.request_id,
        }
        self._s.later(_INSERT_AUDIT, row)
        if is_one_of_many:
            return
        kept = {"id", "at", "action", *_kept_from_log(author)}
        told = {name: value for name, value in row.items() if value is not None and name not in kept}
        self._s.after_commit(lambda: log.info(f"audit.{event.action}", **told))

    def tell_of_many(self, action: Action, resource_type: str, author: Author, count: int) -> None:
        """Log how many rows a command has appended; each of them is in the table."""
        who = {"actor": author.actor.kind, "actor_id": author.actor.id}
        who = {name: value for name, value in who.items() if name not in _kept_from_log(author)}
        log.info(f"audit.{action}", tenant=self._tenant, **who, resource_type=resource_type, count=count)

    def page(self, *, after: str = "", since: datetime | None, until: datetime | None) -> list[AuditRecord]:
        """Return the next rows after an id, oldest first, at most `PAGE`. :param until: The first instant left out."""
        query = select(audit).where(audit.c.tenant == self._tenant, audit.c.id > after)
        if since is not None:
            query = query.where(audit.c.id >= _begins(since))
        if until is not None:
            query = query.where(audit.c.id < _begins(until))
        return [_audited(row) for row in self._connection.execute(query.order_by(audit.c.id).limit(PAGE))]

    def latest(self, choice: AuditChoice, *, before: str | None, limit: int) -> list[AuditRecord]:
        """Return the rows of a choice, newest first. :param before: Only rows with a smaller id."""
        # For the key itself, a database would go through the rows of all people instead of the index of a person's.
        key = audit.c.id if choice.people is None else audit.c.id.concat("")
        which: list[ColumnElement[bool] | TextClause] = [audit.c.tenant == self._tenant]
        if choice.since is not None:
            which.append(key >= _begins(choice.since))
        if choice.until is not None:
            which.append(key < _begins(choice.until))
        if choice.action is not None:
            which.append(audit.c.action == choice.action)
        if choice.action not in (None, Action.created, Action.changed):
            which.append(IS_RARE)  # In the words of the index, or it is not used.
        if choice.actor is not None:
            which.append(audit.c.actor == choice.actor)
        if choice.people is not None:
            which.append(audit.c.person_id.in_(choice.people))
        if before is not None:
            which.append(key < before)
        query = select(audit).where(*which).order_by(key.desc()).limit(limit)
        return [_audited(row) for row in self._connection.execute(query)]

    def at(self, moments: Collection[datetime]) -> Iterator[AuditRecord]:
        """Yield the rows of some instants: those of the transactions that also wrote history then."""
        ordered = sorted(moments)
        for begin in range(0, len(ordered), MOMENTS):
            # In an id, the instant is followed by a hyphen; a full stop is the next character after it.
            which = [
                and_(audit.c.id > _begins(each), audit.c.id < f"{_begins(each)[:-1]}.")
                for each in ordered[begin : begin + MOMENTS]
            ]
            query = select(audit).where(audit.c.tenant == self._tenant, or_(*which)).order_by(audit.c.id)
            yield from map(_audited, self._connection.execute(query))

    def forget_before(self, moment: datetime, *, limit: int) -> int:
        """Remove older rows, at most `limit` to keep the transaction short. Return how many."""
        old = select(audit.c.id).where(audit.c.tenant == self._tenant, audit.c.id < _begins(moment)).limit(limit)
        return self._connection.execute(
            delete(audit).where(audit.c.tenant == self._tenant, audit.c.id.in_(old))
        ).rowcount


def _kept_from_log(author: Author) -> tuple[str, ...]:
    """Return what stays in the table: from the console an administrator's name, and a reason in their words."""
    return ("actor_id", "detail") if author.actor.kind is ActorKind.console else ()


def tenants_that_acted(connection: Connection) -> list[str]:
    """Return every tenant that has rows, served or not, by name."""
    return sorted(connection.execute(select(audit.c.tenant).distinct()).scalars())


def _begins(moment: datetime) -> str:
    """Return how the ids of an instant begin."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S.%f}-"


def _audited(row: Row[Any]) -> AuditRecord:
    # A newer version may know more of both; after going back, its rows are still to be read.
    action = Action(row.action) if row.action in set(Action) else row.action
    kind = ActorKind(row.actor) if row.actor in set(ActorKind) else row.actor
    event = AuditEvent(
        action=action,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        person_id=PersonId(row.person_id) if row.person_id is not None else None,
        attributes=tuple(row.attributes or ()),
        detail=row.detail,
    )
    return AuditRecord(row.id, row.at, Author(Actor(kind, row.actor_id), row.request_id), event)
