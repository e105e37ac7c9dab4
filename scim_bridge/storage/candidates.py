"""Everybody whom the bridge knows, beside what Ditio showed of him: the rows that `reconcile` goes through."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, select

from scim_bridge.domain.person import Acknowledged, PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.person_rows import Record, record_of
from scim_bridge.storage.reconcile_tables import snapshot
from scim_bridge.storage.tables import people, resources


@dataclass(frozen=True, slots=True)
class Candidate:
    """One person."""

    record: Record
    document: JsonObject | None
    """What Entra said; None once the user is deleted."""

    modified_at: datetime | None
    shown: str | None
    """The fields and the fingerprint of the linked employee; None where the roster does not show him."""

    digest: str | None


def candidates(connection: Connection, tenant: str, run_id: str, person_ids: Sequence[PersonId]) -> list[Candidate]:
    """These people, in the order of their ids."""
    query = (
        select(people, resources.c.document, resources.c.last_modified_at, snapshot.c.shown, snapshot.c.digest)
        .join(resources, and_(resources.c.tenant == people.c.tenant, resources.c.id == people.c.user_id), isouter=True)
        .join(
            snapshot,
            and_(
                snapshot.c.tenant == people.c.tenant,
                snapshot.c.run_id == run_id,
                snapshot.c.employee_number == people.c.employee_number,
            ),
            isouter=True,
        )
        .where(people.c.tenant == tenant, people.c.id.in_(person_ids))
        .order_by(people.c.id)
    )
    rows = connection.execute(query).all()
    known = Acknowledgements(connection, tenant).of_many(PersonId(row.id) for row in rows)
    return [
        Candidate(
            record=record_of(row, known[PersonId(row.id)]),
            document=json.loads(row.document) if row.document else None,
            modified_at=row.last_modified_at,
            shown=row.shown,
            digest=row.digest,
        )
        for row in rows
    ]


def unlinked(connection: Connection, tenant: str, *, after: str, limit: int) -> list[Candidate]:
    """The next users whom no employee is linked to, in the order of their people's ids: rows that `adopt` goes through.

    :param after: The id of the last person that was told.
    """
    query = (
        select(people, resources.c.document, resources.c.last_modified_at)
        .join(resources, and_(resources.c.tenant == people.c.tenant, resources.c.id == people.c.user_id))
        .where(people.c.tenant == tenant, people.c.id > after, people.c.employee_number.is_(None))
        .order_by(people.c.id)
        .limit(limit)
    )
    return [
        Candidate(record_of(row, Acknowledged()), json.loads(row.document), row.last_modified_at, None, None)
        for row in connection.execute(query)
    ]
