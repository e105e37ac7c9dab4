"""The history of each person. Rows are added, read and removed by age, never changed (rule D5)."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, delete, func, insert, select

from scim_bridge.domain.person import PersonId
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.prepared import Prepared
from scim_bridge.storage.tables import IS_ACTIVITY, history

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
    """What happened in one span of time."""

    begins: datetime
    said: int
    """Writes of Entra."""

    done: int
    """Calls to Ditio that were accepted."""

    refused: int
    """Calls to Ditio that were not."""


HOUR, DAY = timedelta(hours=1), timedelta(days=1)

IS_SAID = and_(history.c.what >= "user-", history.c.what < "user.")
"""Whether Entra wrote. A full stop is the next character after a hyphen."""


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
        """Return how many calls to Ditio and writes of Entra there were, from the hour of a moment on.

        They are counted by hour in the last 24 hours, and by day or hour before. Spans in which nothing happened are
        left out. Only the index `ix_history_activity` is read.
        """
        of_us, first = history.c.tenant == self._tenant, since.replace(minute=0, second=0, microsecond=0)
        is_done = ~IS_SAID & (history.c.outcome == "done")
        counts = [_sum(IS_SAID), _sum(is_done), func.count()]
        if self._s.dialect == "postgresql":
            hour = func.date_trunc("hour", history.c.at, "UTC", type_=history.c.at.type)
            query = select(hour, *counts).where(of_us, history.c.at >= first, IS_ACTIVITY).group_by(hour)
            return [_counted(row[0], row[1], row[2], row[3]) for row in self._connection.execute(query.order_by(hour))]
        # To group the rows takes twice as long as to read them span by span: whole days before the last one.
        within = select(*counts).where(of_us, IS_ACTIVITY, history.c.at >= bindparam("begin", type_=history.c.at.type))
        within = within.where(history.c.at < bindparam("end", type_=history.c.at.type))
        found, begin, last_day = [], first, self._now.replace(minute=0, second=0, microsecond=0) + HOUR - DAY
        while begin <= self._now:
            end = begin + HOUR if begin >= last_day else min(begin + DAY, last_day)
            row = self._connection.execute(within, {"begin": begin, "end": end}).one()
            found.append(_counted(begin, row[0], row[1], row[2]))
            begin = end
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
