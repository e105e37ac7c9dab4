"""People beside what Ditio showed of them in one run, and who is in sync since an earlier one."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, and_, case, or_, select

from scim_bridge.domain.person import Acknowledged, PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.admin_tables import in_sync, snapshot
from scim_bridge.storage.certificate_queries import CertificateSearches
from scim_bridge.storage.engine import upsert
from scim_bridge.storage.people import PersonRecord, record_of
from scim_bridge.storage.tables import people, resources


@dataclass(frozen=True, slots=True)
class Candidate:
    """One person."""

    record: PersonRecord
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


@dataclass(frozen=True, slots=True)
class SyncState:
    """What the database alone tells of one person."""

    person_id: PersonId
    is_at_work: bool | None
    """Of one who is in sync as he was, whether he is at work; None of everybody who has to be compared."""


@dataclass(frozen=True, slots=True)
class Found:
    """One linked person who was found in sync."""

    person_id: PersonId
    employee_number: str
    revision: int
    state_since: datetime
    digest: str
    is_at_work: bool


class InSync:
    """The people of one tenant who have not moved, within one transaction.

    Neither has what Entra said, as each word of hers and each delivery changes `revision` or `state_since`; nor has
    what Ditio shows, as its fingerprint is the same; nor the mapping and the settings, which `basis` stands for. No day
    of theirs has come, and Ditio has acknowledged their certificates.

    Whether somebody is to be at work is asked of his days themselves, beside the day on which he is to be woken: should
    that one have been missed, nothing but a comparison would find it.
    """

    def __init__(self, connection: Connection, tenant: str, basis: str) -> None:
        self._connection = connection
        self._tenant = tenant
        self._basis = basis

    def scan(
        self, run_id: str, today: date, searches: CertificateSearches, *, after: str, limit: int
    ) -> list[SyncState]:
        """The next people, moved or not, in the order of their ids.

        :param after: The id of the last one that was told.
        """
        is_shown = select(snapshot.c.employee_number).where(
            snapshot.c.tenant == self._tenant,
            snapshot.c.run_id == run_id,
            snapshot.c.employee_number == in_sync.c.employee_number,
            snapshot.c.digest == in_sync.c.digest,
        )
        wants_employment = and_(
            people.c.active,
            or_(people.c.leave_date.is_(None), people.c.leave_is_stale, people.c.leave_date >= today),
        )
        is_his = and_(in_sync.c.tenant == people.c.tenant, in_sync.c.person_id == people.c.id)
        is_unmoved = and_(
            in_sync.c.employee_number == people.c.employee_number,
            in_sync.c.revision == people.c.revision,
            in_sync.c.state_since == people.c.state_since,
            in_sync.c.basis == self._basis,
            people.c.due_since.is_(None),
            or_(people.c.wakes_on.is_(None), people.c.wakes_on > today),
            is_shown.correlate(in_sync).exists(),
            or_(
                and_(in_sync.c.is_at_work, wants_employment, ~searches.may_owe()),
                and_(in_sync.c.is_at_work.is_(False), ~wants_employment),
            ),
        )
        # What is asked of other tables is asked of each person in turn, by their keys: as a part of the join a planner
        # might go through all of a table for each page.
        query = (
            select(people.c.id, case((is_unmoved, in_sync.c.is_at_work)).label("is_at_work"))
            .select_from(people.join(in_sync, is_his, isouter=True))
            .where(people.c.tenant == self._tenant, people.c.id > after)
            .order_by(people.c.id)
            .limit(limit)
        )
        return [SyncState(PersonId(row.id), row.is_at_work) for row in self._connection.execute(query)]

    def note(self, found: Iterable[Found]) -> None:
        """Remember who was found in sync."""
        rows = [
            {
                "tenant": self._tenant,
                "person_id": each.person_id,
                "employee_number": each.employee_number,
                "revision": each.revision,
                "state_since": each.state_since,
                "digest": each.digest,
                "basis": self._basis,
                "is_at_work": each.is_at_work,
            }
            for each in found
        ]
        upsert(self._connection, in_sync, rows)
