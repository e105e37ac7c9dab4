"""The history of each person. Rows are added, read and removed by age, never changed (rule D5)."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select

from scim_bridge.domain.person import PersonId
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.prepared import Prepared
from scim_bridge.storage.tables import history

_INSERT_HISTORY = Prepared(insert(history))

_position = itertools.count()
"""Orders what one process writes at one instant; never more than that."""


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
    """How many events of one kind there were in one hour."""

    hour: datetime
    is_said: bool
    """Whether Entra wrote; otherwise Ditio was called."""

    is_done: bool
    """Whether Ditio accepted the call."""

    count: int


class History(Repository):
    """The history of one tenant, within one transaction."""

    def add_for_all(self, person_ids: Sequence[PersonId], entry: Entry) -> None:
        """Append the same entry for several people."""
        if person_ids:
            _INSERT_HISTORY.execute(self._connection, [self._row(person_id, entry) for person_id in person_ids])

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
        """Return how many calls to Ditio and writes of Entra there were by hour, from a moment on."""
        if self._connection.dialect.name == "sqlite":
            # The beginning of the text as it is stored; a function of dates takes far longer.
            hour: ColumnElement[str] = func.replace(func.substr(history.c.at, 1, 13), " ", "T")
        else:
            hour = func.to_char(func.timezone("UTC", history.c.at), 'YYYY-MM-DD"T"HH24')
        is_said, is_done = history.c.what.startswith("user-", autoescape=True), history.c.outcome == "done"
        rows = self._connection.execute(
            select(hour.label("hour"), is_said.label("is_said"), is_done.label("is_done"), func.count().label("number"))
            .where(history.c.tenant == self._tenant, history.c.at >= since)
            # Only calls to Ditio took time.
            .where(or_(is_said, history.c.duration_ms.is_not(None)))
            .group_by(hour, is_said, is_done)
        )
        return [
            Counted(
                hour=datetime.strptime(row.hour, "%Y-%m-%dT%H").replace(tzinfo=UTC),
                is_said=bool(row.is_said),
                is_done=bool(row.is_done),
                count=row.number,
            )
            for row in rows
        ]

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
