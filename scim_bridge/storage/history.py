"""History: every attempt is one row, append-only, ids and no personal data (rule D5)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select

from scim_bridge.domain.person import PersonId
from scim_bridge.storage.tables import history

_position = itertools.count()
"""Orders what one transaction writes at one instant; never more than that."""


_INSERT = insert(history)


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
            self._connection.execute(_INSERT, [self._row(person_id, entry) for person_id in person_ids])

    def add(self, person_id: PersonId, *entries: Entry) -> None:
        """Append rows."""
        if entries:
            self._connection.execute(_INSERT, [self._row(person_id, entry) for entry in entries])

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
