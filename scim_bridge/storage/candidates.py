"""People together with what Ditio showed of them in one run, and the people in sync since an earlier run."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, and_, case, or_, select

from scim_bridge.domain.person import Acknowledged, PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.admin_tables import in_sync, snapshot
from scim_bridge.storage.engine import Repository, Transaction, upsert
from scim_bridge.storage.people import PersonRecord, record_of
from scim_bridge.storage.tables import people, resources


@dataclass(frozen=True, slots=True)
class Candidate:
    """One person, their user, and the fingerprint of their employee."""

    record: PersonRecord
    document: JsonObject | None
    """The SCIM user as Entra sent it; None once the user is deleted."""

    modified_at: datetime | None
    shown: str | None
    """The fields that the fingerprint of the linked employee covers; None if the roster does not show the employee."""

    digest: str | None
    """The fingerprint."""


def candidates(
    s: Transaction, run_id: str, person_ids: Sequence[PersonId], *, in_short: bool = False
) -> list[Candidate]:
    """Return these people, in the order of their ids.

    :param in_short: Leave out how their sent values read back: enough for those who turn out to be in sync.
    """
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
        .where(people.c.tenant == s.tenant, people.c.id.in_(person_ids))
        .order_by(people.c.id)
    )
    rows = s.connection.execute(query).all()
    acknowledgements, found = Acknowledgements(s), [PersonId(row.id) for row in rows]
    known = acknowledgements.in_short(found) if in_short else acknowledgements.of_many(found)
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


def unlinked(s: Transaction, *, after: str, limit: int) -> list[Candidate]:
    """Return the next users without a linked employee, for `adopt`, in the order of their people's ids.

    :param after: The id of the last person that was returned before.
    """
    query = (
        select(people, resources.c.document, resources.c.last_modified_at)
        .join(resources, and_(resources.c.tenant == people.c.tenant, resources.c.id == people.c.user_id))
        .where(people.c.tenant == s.tenant, people.c.id > after, people.c.employee_number.is_(None))
        .order_by(people.c.id)
        .limit(limit)
    )
    return [
        Candidate(record_of(row, Acknowledged()), json.loads(row.document), row.last_modified_at, None, None)
        for row in s.connection.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class SyncState:
    """What the database alone shows about one person."""

    person_id: PersonId
    is_at_work: bool | None
    """Whether the person is at work, if they are still in sync; None if they have to be compared."""


@dataclass(frozen=True, slots=True)
class Found:
    """One linked person who was found in sync."""

    person_id: PersonId
    employee_number: str
    revision: int
    state_since: datetime
    digest: str
    is_at_work: bool


class InSync(Repository):
    """The people of one tenant who are in sync, within one transaction.

    For such a person nothing has changed since the last comparison. Every write from Entra and every delivery changes
    `revision` or `state_since`. The fingerprint shows that Ditio shows the same; `basis` stands for mapping and
    settings. None of the person's days has come, and Ditio has acknowledged their certificates.

    Whether a person should be at work is derived from their days, and not only from the day on which they become due.
    If that day was missed, only a comparison would find it.
    """

    def __init__(self, s: Transaction, basis: str) -> None:
        super().__init__(s)
        self._basis = basis

    def scan(
        self, run_id: str, today: date, may_owe: ColumnElement[bool], *, after: str, limit: int
    ) -> list[SyncState]:
        """Return the next people, in sync or not, in the order of their ids.

        :param may_owe: Whether a person may have a certificate that Ditio has not acknowledged.
        :param after: The id of the last person that was returned before.
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
        is_same_person = and_(in_sync.c.tenant == people.c.tenant, in_sync.c.person_id == people.c.id)
        is_in_sync = and_(
            in_sync.c.employee_number == people.c.employee_number,
            in_sync.c.revision == people.c.revision,
            in_sync.c.state_since == people.c.state_since,
            in_sync.c.basis == self._basis,
            people.c.due_since.is_(None),
            or_(people.c.wakes_on.is_(None), people.c.wakes_on > today),
            is_shown.correlate(in_sync).exists(),
            or_(
                and_(in_sync.c.is_at_work, wants_employment, ~may_owe),
                and_(in_sync.c.is_at_work.is_(False), ~wants_employment),
            ),
        )
        # Other tables are looked up by key for each person. As part of the join, a planner might read all of a table
        # for each page.
        query = (
            select(people.c.id, case((is_in_sync, in_sync.c.is_at_work)).label("is_at_work"))
            .select_from(people.join(in_sync, is_same_person, isouter=True))
            .where(people.c.tenant == self._tenant, people.c.id > after)
            .order_by(people.c.id)
            .limit(limit)
        )
        return [SyncState(PersonId(row.id), row.is_at_work) for row in self._connection.execute(query)]

    def note(self, found: Iterable[Found]) -> None:
        """Store the people who were found in sync."""
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
        upsert(self._s, in_sync, rows)
