"""What was read of Entra through Microsoft Graph: the job, users without their values, assignments, findings."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, exists, func, or_, select, update

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.entra import GONE, Assignment, EntraReading, JobReading, Stored
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject, UserId
from scim_bridge.storage.admin_tables import entra_assignments as assignments
from scim_bridge.storage.admin_tables import entra_findings as findings
from scim_bridge.storage.admin_tables import entra_jobs
from scim_bridge.storage.admin_tables import entra_marks as marks
from scim_bridge.storage.admin_tables import entra_people as users
from scim_bridge.storage.engine import Repository, upsert
from scim_bridge.storage.tables import people, resources


class EntraJobs(Repository):
    """The provisioning job of one tenant, within one transaction."""

    def put(self, reading: JobReading) -> JobReading:
        """Store what a read of the job found, in place of the one before. Return it."""
        upsert(self._s, entra_jobs, [{"tenant": self._tenant, **asdict(reading)}])
        return reading

    def last(self) -> JobReading | None:
        """Return what the last read found; None before there was one."""
        row = self._connection.execute(select(entra_jobs).where(entra_jobs.c.tenant == self._tenant)).first()
        if row is None:
            return None
        return JobReading(row.at, row.state, row.quarantined_since, row.escrowed, row.detail)


@dataclass(frozen=True, slots=True)
class Sides:
    """One person on both sides: the SCIM user, and Entra's user as stored."""

    person_id: PersonId
    user_id: UserId
    revision: int
    employee_number: EmployeeNumber | None
    external_id: str | None
    document: JsonObject
    stored: Stored | None
    """None for a user that Entra has never shown."""

    is_assigned: bool
    """Directly, or as a direct member of an assigned group."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between Entra and the SCIM users, as the last read found it."""

    subject: str
    """A person's id, or the object id of a user who was never sent."""

    kind: str
    field: str
    """Ditio's name of the field, or the attribute of a certificate slot; empty where the whole user is meant."""

    cause: str
    detail: str | None = None
    """What Entra shows, in a word without a value."""

    first_seen: datetime | None = None
    looks: int = 0


class EntraDirectory(Repository):
    """Entra's users and assignments of one tenant, and what differs, within one transaction."""

    # Users and assignments.

    def put(self, read_id: str, rows: Iterable[tuple[str, Stored]]) -> None:
        """Store users, each in place of what was stored of them before."""
        upsert(
            self._s,
            users,
            [
                {
                    "tenant": self._tenant,
                    "object_id": object_id,
                    "enabled": stored.enabled,
                    "passes_filter": stored.passes_filter,
                    "removed": stored.removed,
                    "removed_on": stored.removed_on,
                    "hashes": json.dumps(stored.hashes, separators=(",", ":"), sort_keys=True),
                    "read_id": read_id,
                }
                for object_id, stored in rows
            ],
        )

    def of(self, object_ids: Sequence[str]) -> dict[str, Stored]:
        """Return users by object id; those that were never shown are left out."""
        query = select(users).where(users.c.tenant == self._tenant, users.c.object_id.in_(list(object_ids)))
        return {row.object_id: _stored(row) for row in self._connection.execute(query)}

    def remove_unseen(self, read_id: str) -> None:
        """Note that the users that a full read did not show are gone."""
        unseen = and_(users.c.tenant == self._tenant, users.c.read_id != read_id, users.c.removed.is_(None))
        self._connection.execute(update(users).where(unseen).values(removed=GONE, removed_on=None))

    def remove(self, object_ids: Collection[str]) -> None:
        """Note that users are gone that were asked for and not found."""
        gone = and_(users.c.tenant == self._tenant, users.c.object_id.in_(list(object_ids)), users.c.removed.is_(None))
        self._connection.execute(update(users).where(gone).values(removed=GONE, removed_on=None))

    def forget_unread(self, read_id: str) -> None:
        """Remove the users that a read of single ones did not ask for; those that were removed in Entra stay."""
        old = and_(users.c.tenant == self._tenant, users.c.read_id != read_id, users.c.removed.is_(None))
        self._connection.execute(delete(users).where(old))

    def concerned(self, read_id: str, limit: int) -> list[str]:
        """Return the object ids of the people, and of the users that a read found assigned, once each."""
        theirs = select(func.lower(people.c.external_id)).where(
            people.c.tenant == self._tenant, people.c.external_id.is_not(None), people.c.user_id.is_not(None)
        )
        assigned = select(assignments.c.object_id).where(
            assignments.c.tenant == self._tenant, assignments.c.read_id == read_id
        )
        return list(self._connection.execute(theirs.union(assigned).limit(limit)).scalars())

    def unseen(self, read_id: str, limit: int) -> list[str]:
        """Return the object ids of people's users that a full read did not show, and an earlier one did."""
        theirs = select(func.lower(people.c.external_id)).where(
            people.c.tenant == self._tenant, people.c.external_id.is_not(None), people.c.user_id.is_not(None)
        )
        query = select(users.c.object_id).where(
            users.c.tenant == self._tenant,
            users.c.read_id != read_id,
            users.c.removed.is_(None),
            users.c.object_id.in_(theirs),
        )
        return list(self._connection.execute(query.limit(limit)).scalars())

    def deleted_on(self, days: Iterable[tuple[str, date | None]]) -> None:
        """Note when users were deleted that are in the recycle bin."""
        for object_id, day in days:
            self._connection.execute(
                update(users)
                .where(users.c.tenant == self._tenant, users.c.object_id == object_id, users.c.removed.is_not(None))
                .values(removed_on=day)
            )

    def assign(self, read_id: str, rows: Iterable[Assignment]) -> None:
        """Store assignments."""
        upsert(
            self._s,
            assignments,
            [{"tenant": self._tenant, "read_id": read_id, **asdict(row)} for row in rows],
        )

    def forget_unassigned(self, read_id: str) -> None:
        """Remove the assignments that a complete read did not show."""
        old = and_(assignments.c.tenant == self._tenant, assignments.c.read_id != read_id)
        self._connection.execute(delete(assignments).where(old))

    def forget_before(self, read_id: str) -> None:
        """Remove the findings that a read did not show, and removed users that no person has."""
        old = and_(findings.c.tenant == self._tenant, findings.c.read_id != read_id)
        self._connection.execute(delete(findings).where(old))
        known = select(func.lower(people.c.external_id)).where(
            people.c.tenant == self._tenant, people.c.external_id.is_not(None)
        )
        self._connection.execute(
            delete(users).where(
                users.c.tenant == self._tenant, users.c.removed.is_not(None), users.c.object_id.not_in(known)
            )
        )

    def has_removed(self) -> bool:
        """Return whether a user of a person was removed, and the day is not known."""
        theirs = select(func.lower(people.c.external_id)).where(
            people.c.tenant == self._tenant, people.c.external_id.is_not(None)
        )
        query = select(users.c.object_id).where(
            users.c.tenant == self._tenant,
            users.c.removed.is_not(None),
            users.c.removed_on.is_(None),
            users.c.object_id.in_(theirs),
        )
        return self._connection.execute(query.limit(1)).first() is not None

    def is_again(self, object_id: str, hashes: Mapping[str, str | None], *, all_users: bool) -> bool:
        """Return whether another user who may be provisioned has one of these values.

        :param hashes: By attribute; an empty one is like no other.
        :param all_users: Whether a user needs no assignment.
        """
        same = [
            users.c.hashes.contains(f'"{name}":"{found}"', autoescape=True) for name, found in hashes.items() if found
        ]
        if not same:
            return False
        others = and_(
            users.c.tenant == self._tenant,
            users.c.removed.is_(None),
            users.c.enabled.is_not(False),
            users.c.object_id != object_id,
        )
        if not all_users:
            others = and_(others, self._assigned(None))
        return (
            self._connection.execute(select(users.c.object_id).where(others, or_(*same)).limit(1)).first() is not None
        )

    def forget_figures(self, before: datetime) -> None:
        """Remove the figures that the next read is measured by: an operator confirms that fewer are right.

        :param before: When the run began that they confirm. What was read and believed since stays the measure.
        """
        mine = and_(marks.c.tenant == self._tenant, marks.c.read_at <= before)
        self._connection.execute(update(marks).where(mine).values(users=0, assigned=0))

    def present(self, attributes: Iterable[str]) -> frozenset[str]:
        """Return the attributes in which at least one user has a value."""
        mine = and_(users.c.tenant == self._tenant, users.c.removed.is_(None))
        return frozenset(
            name
            for name in attributes
            if self._connection.execute(
                select(users.c.object_id).where(mine, users.c.hashes.contains(f'"{name}":"', autoescape=True)).limit(1)
            ).first()
            is not None
        )

    def count_users(self, read_id: str | None) -> int:
        """Return how many users there are who were not removed. :param read_id: Only those that this read showed."""
        query = select(users.c.object_id).where(users.c.tenant == self._tenant, users.c.removed.is_(None))
        return self._count(query if read_id is None else query.where(users.c.read_id == read_id))

    def count_assigned(self, read_id: str) -> int:
        """Return how many users a read found assigned."""
        mine = and_(assignments.c.tenant == self._tenant, assignments.c.read_id == read_id)
        return self._count(select(assignments.c.object_id).where(mine, assignments.c.is_nested.is_(False)).distinct())

    def assignments_of(self, object_id: str) -> list[Assignment]:
        """Return why a user is assigned."""
        query = select(assignments).where(assignments.c.tenant == self._tenant, assignments.c.object_id == object_id)
        rows = self._connection.execute(query.order_by(assignments.c.via))
        return [Assignment(row.object_id, row.via, row.name, row.is_nested) for row in rows]

    def _count(self, query: Select[Any]) -> int:
        return self._connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()

    # The mark.

    def mark(self, reading: EntraReading) -> None:
        """Store the figures of a complete read, in place of those of the one before."""
        row = asdict(reading)
        names = ("read_id", "read_at", "full_at", "basis", "delta_link", "users", "assigned")
        doubts = json.dumps(reading.doubts)
        figures = {name: row[name] for name in names}
        upsert(self._s, marks, [{"tenant": self._tenant, **figures, "doubts": doubts}])

    def forget_mark(self) -> None:
        """Remove the way on from the last complete read; its figures stay, as a measure for the next."""
        self._connection.execute(update(marks).where(marks.c.tenant == self._tenant).values(delta_link=None))

    def forget_all(self) -> None:
        """Remove all that was read: it is of another directory."""
        for table in (users, assignments, marks, findings):
            self._connection.execute(delete(table).where(table.c.tenant == self._tenant))

    def marked(self) -> EntraReading | None:
        """Return the last complete read; None before there was one."""
        row = self._connection.execute(select(marks).where(marks.c.tenant == self._tenant)).first()
        if row is None:
            return None
        doubts = tuple(json.loads(row.doubts or "[]"))
        return EntraReading(
            *(row.read_id, row.read_at, row.full_at, row.basis, row.delta_link, row.users, row.assigned), doubts=doubts
        )

    # Both sides.

    def sides(self, *, after: str, limit: int) -> list[Sides]:
        """Return the next people who have a SCIM user, in the order of their ids."""
        query = self._sides().where(people.c.id > after).order_by(people.c.id).limit(limit)
        return [_sides(row) for row in self._connection.execute(query)]

    def sides_of(self, person_ids: Sequence[str]) -> dict[str, Sides]:
        """Return some people by id; those without a SCIM user are left out."""
        query = self._sides().where(people.c.id.in_(list(person_ids)))
        return {row.id: _sides(row) for row in self._connection.execute(query)}

    def _sides(self) -> Select[Any]:
        is_theirs = and_(users.c.tenant == people.c.tenant, users.c.object_id == func.lower(people.c.external_id))
        is_user = and_(resources.c.tenant == people.c.tenant, resources.c.id == people.c.user_id)
        is_assigned = exists().where(
            assignments.c.tenant == people.c.tenant,
            assignments.c.object_id == func.lower(people.c.external_id),
            assignments.c.is_nested.is_(False),
        )
        return (
            select(
                people.c.id,
                people.c.user_id,
                people.c.revision,
                people.c.employee_number,
                people.c.external_id,
                resources.c.document,
                users.c.object_id,
                users.c.enabled,
                users.c.passes_filter,
                users.c.removed,
                users.c.removed_on,
                users.c.hashes,
                is_assigned.label("is_assigned"),
            )
            .select_from(people.join(resources, is_user).outerjoin(users, is_theirs))
            .where(people.c.tenant == self._tenant, resources.c.resource_type == "User")
        )

    def unsent(self, *, all_users: bool, after: str, limit: int) -> list[tuple[str, Stored, bool]]:
        """Return the next enabled users without a SCIM user: object id, user, and whether only nested groups have them.

        :param all_users: Whether a user needs no assignment.
        """
        sent = select(func.lower(people.c.external_id)).where(
            people.c.tenant == self._tenant, people.c.external_id.is_not(None), people.c.user_id.is_not(None)
        )
        query = select(users).where(
            users.c.tenant == self._tenant,
            users.c.removed.is_(None),
            users.c.enabled.is_(True),
            users.c.object_id > after,
            users.c.object_id.not_in(sent),
        )
        if not all_users:
            query = query.where(self._assigned(None))
        rows = self._connection.execute(
            query.add_columns(self._assigned(False).label("directly")).order_by(users.c.object_id).limit(limit)
        )
        return [(row.object_id, _stored(row), not (all_users or row.directly)) for row in rows]

    def _assigned(self, is_nested: bool | None) -> ColumnElement[bool]:
        """Return a condition: whether a user is assigned. :param is_nested: None for either way."""
        mine = and_(assignments.c.tenant == users.c.tenant, assignments.c.object_id == users.c.object_id)
        return exists().where(mine, *([] if is_nested is None else [assignments.c.is_nested.is_(is_nested)]))

    def some_active(self, limit: int) -> list[str]:
        """Return the `externalId` of a few people who are active."""
        query = select(people.c.external_id).where(
            people.c.tenant == self._tenant,
            people.c.active,
            people.c.user_id.is_not(None),
            people.c.external_id.is_not(None),
        )
        return list(self._connection.execute(query.order_by(people.c.id).limit(limit)).scalars())

    # What differs.

    def found(self, read_id: str, rows: Sequence[Finding]) -> None:
        """Store what a complete read found. A finding that an earlier read had too keeps its first moment."""
        if not rows:
            return
        known = {
            (row.subject, row.kind, row.field): row
            for row in self._connection.execute(
                select(findings).where(
                    findings.c.tenant == self._tenant, findings.c.subject.in_({each.subject for each in rows})
                )
            )
        }
        stored = []
        for each in rows:
            before = known.get((each.subject, each.kind, each.field))
            # Another cause is another finding: it has to be seen twice, too.
            is_same = before is not None and before.cause == each.cause
            looks = before.looks if before is not None and is_same else 0
            stored.append(
                {
                    "tenant": self._tenant,
                    "subject": each.subject,
                    "kind": each.kind,
                    "field": each.field,
                    "cause": each.cause,
                    "detail": each.detail,
                    "first_seen": before.first_seen if before is not None and is_same else self._now,
                    "looks": looks + (before is None or not is_same or before.read_id != read_id),
                    "read_id": read_id,
                }
            )
        upsert(self._s, findings, stored)

    def findings(self, *, after: str, limit: int) -> list[Finding]:
        """Return the next findings, whole people at a time, in the order of their subjects."""
        subjects = (
            select(findings.c.subject)
            .where(findings.c.tenant == self._tenant, findings.c.subject > after)
            .distinct()
            .order_by(findings.c.subject)
            .limit(limit)
        )
        return self._findings(findings.c.subject.in_(subjects.scalar_subquery()))

    def _findings(self, which: ColumnElement[bool]) -> list[Finding]:
        query = select(findings).where(findings.c.tenant == self._tenant, which)
        rows = self._connection.execute(query.order_by(findings.c.subject, findings.c.kind, findings.c.field))
        return [
            Finding(row.subject, row.kind, row.field, row.cause, row.detail, row.first_seen, row.looks) for row in rows
        ]

    def forget_findings(self, subject: str | None = None) -> None:
        """Remove findings. :param subject: Only those of one person; all where they are not believed."""
        mine = findings.c.tenant == self._tenant
        which = mine if subject is None else and_(mine, findings.c.subject == subject)
        self._connection.execute(delete(findings).where(which))

    def erase(self, object_id: str | None, person_id: PersonId) -> None:
        """Remove what is stored of one person (rule G1)."""
        wanted = (object_id or "").lower()
        for table in (users, assignments):
            self._connection.execute(delete(table).where(table.c.tenant == self._tenant, table.c.object_id == wanted))
        mine = or_(findings.c.subject == person_id, findings.c.subject == wanted)
        self._connection.execute(delete(findings).where(findings.c.tenant == self._tenant, mine))


def _stored(row: Row[Any]) -> Stored:
    return Stored(row.enabled, json.loads(row.hashes), row.removed, row.removed_on, row.passes_filter)


def _sides(row: Row[Any]) -> Sides:
    return Sides(
        person_id=PersonId(row.id),
        user_id=UserId(row.user_id),
        revision=row.revision,
        employee_number=EmployeeNumber(row.employee_number) if row.employee_number else None,
        external_id=row.external_id,
        document=json.loads(row.document),
        stored=_stored(row) if row.object_id is not None else None,
        is_assigned=bool(row.is_assigned),
    )
