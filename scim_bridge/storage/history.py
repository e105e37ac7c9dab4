"""The history of each person, and the audit trail. Rows are added, read and removed by age, never changed (rule D5)."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, case, delete, func, insert, or_, select

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, AuditRecord, Author
from scim_bridge.domain.person import PersonId
from scim_bridge.logs import AUDIT, get_logger
from scim_bridge.storage.admin_tables import audit
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.tables import IS_ACTIVITY, history

log = get_logger(AUDIT)


PAGE = 1000
"""Rows that are read in one transaction, so that an export with a slow reader keeps no transaction open."""

MOMENTS = 100
"""How many instants one statement looks up."""

_INSERT_AUDIT = insert(audit)

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
        which = [audit.c.tenant == self._tenant]
        if choice.since is not None:
            which.append(audit.c.id >= _begins(choice.since))
        if choice.until is not None:
            which.append(audit.c.id < _begins(choice.until))
        if choice.action is not None:
            which.append(audit.c.action == choice.action)
        if choice.actor is not None:
            which.append(audit.c.actor == choice.actor)
        if choice.people is not None:
            which.append(audit.c.person_id.in_(choice.people))
        if before is not None:
            which.append(audit.c.id < before)
        query = select(audit).where(*which).order_by(audit.c.id.desc()).limit(limit)
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
    event = AuditEvent(
        action=Action(row.action),
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        person_id=PersonId(row.person_id) if row.person_id is not None else None,
        attributes=tuple(row.attributes or ()),
        detail=row.detail,
    )
    return AuditRecord(row.id, row.at, Author(Actor(ActorKind(row.actor), row.actor_id), row.request_id), event)


_INSERT_HISTORY = insert(history)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in a person's history."""

    what: str
    """`user-created`, `delivery`, or the operation asked of Ditio (`end-employment`)."""

    outcome: str
    """`accepted`, `done`, `delivered`, `refused`, `transient`, …"""

    cause: str | None = None
    """What caused it: `request`, `worker`, `retry`."""

    status: int | None = None
    request_id: str | None = None
    """The id of Entra's request, by which the logs can be searched."""

    ditio_request_id: str | None = None
    seconds: float | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What happened in one hour."""

    hour: datetime
    said: int
    """Writes of Entra."""

    done: int
    """Calls to Ditio that were accepted."""

    refused: int
    """Calls to Ditio that were not."""


HOUR = timedelta(hours=1)

IS_SAID = and_(history.c.what >= "user-", history.c.what < "user.")
"""Whether Entra wrote. A full stop is the next character after a hyphen."""


class History(Repository):
    """The history of one tenant, within one transaction."""

    def add_for_all(self, person_ids: Sequence[PersonId], entry: Entry) -> None:
        """Append the same entry for several people."""
        if person_ids:
            self._connection.execute(_INSERT_HISTORY, [self._row(person_id, entry) for person_id in person_ids])

    def add(self, person_id: PersonId, *entries: Entry) -> None:
        """Append entries for one person."""
        if entries:
            rows = [self._row(person_id, entry) for entry in entries]
            self._s.later(_INSERT_HISTORY, rows[0] if len(rows) == 1 else rows)

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
        """Remove older rows, at most `limit` to keep the transaction short. Return how many."""
        old = select(history.c.id).where(history.c.tenant == self._tenant, history.c.at < moment).limit(limit)
        return self._connection.execute(
            delete(history).where(history.c.tenant == self._tenant, history.c.id.in_(old))
        ).rowcount

    def of(self, person_id: PersonId) -> list[Entry]:
        """Return the history of a person, oldest first."""
        rows = self._connection.execute(
            select(history)
            .where(history.c.tenant == self._tenant, history.c.person_id == person_id)
            .order_by(history.c.at, history.c.id)
        )
        return [_entry(row) for row in rows]

    def since(self, moment: datetime) -> Iterator[tuple[PersonId, Entry]]:
        """Yield what happened at a moment or since, of all people, oldest first."""
        query = select(history).where(history.c.tenant == self._tenant, history.c.at >= moment)
        for row in self._connection.execute(query.order_by(history.c.at, history.c.id)):
            yield PersonId(row.person_id), _entry(row)

    def counted(self, since: datetime) -> list[Counted]:
        """Return how many calls to Ditio and writes of Entra there were by hour, from the hour of a moment on.

        Hours in which nothing happened are left out. Only the index `ix_history_activity` is read.
        """
        of_us, first = history.c.tenant == self._tenant, since.replace(minute=0, second=0, microsecond=0)
        is_done = ~IS_SAID & (history.c.outcome == "done")
        counts = [_sum(IS_SAID), _sum(is_done), func.count()]
        if self._connection.dialect.name == "postgresql":
            hour = func.date_trunc("hour", history.c.at, "UTC", type_=history.c.at.type)
            query = select(hour, *counts).where(of_us, history.c.at >= first, IS_ACTIVITY).group_by(hour)
            return [_counted(*row) for row in self._connection.execute(query.order_by(hour))]
        # To group the rows takes twice as long as to read them hour by hour.
        within = select(*counts).where(of_us, IS_ACTIVITY, history.c.at >= bindparam("begin", type_=history.c.at.type))
        within = within.where(history.c.at < bindparam("end", type_=history.c.at.type))
        found = []
        for number in range(int((self._now - first) / HOUR) + 1):
            begin = first + number * HOUR
            row = self._connection.execute(within, {"begin": begin, "end": begin + HOUR}).one()
            found.append(_counted(begin, *row))
        return [each for each in found if each.said or each.done or each.refused]

    def last_before(self, person_id: PersonId, moment: datetime, what: Collection[str]) -> Entry | None:
        """Return the last of some events in a person's history, before a moment."""
        query = (
            select(history)
            .where(history.c.tenant == self._tenant, history.c.person_id == person_id)
            .where(history.c.at < moment, history.c.what.in_(sorted(what)))
            .order_by(history.c.at.desc(), history.c.id.desc())
        )
        row = self._connection.execute(query.limit(1)).first()
        return None if row is None else _entry(row)


def _sum(which: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((which, 1), else_=0)), 0)


def _counted(hour: datetime, said: int, done: int, all_of_them: int) -> Counted:
    return Counted(hour, int(said), int(done), all_of_them - int(said) - int(done))


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        what=row.what,
        outcome=row.outcome,
        cause=row.cause,
        status=row.status,
        request_id=row.request_id,
        ditio_request_id=row.ditio_request_id,
        seconds=None if row.duration_ms is None else row.duration_ms / 1000,
        at=row.at,
    )


def said_since(s: Transaction, person_id: PersonId, moment: datetime) -> bool:
    """Return whether Entra has written a person's user at a moment or since."""
    query = select(history.c.id).where(
        history.c.tenant == s.tenant,
        history.c.person_id == person_id,
        history.c.at >= moment,
        history.c.what.startswith("user-", autoescape=True),
    )
    return s.connection.execute(query.limit(1)).first() is not None
