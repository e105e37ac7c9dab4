"""Who at work has which certificates, and until when: what is about to end, and what is lacking on a day."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, or_, select

from scim_bridge.domain.certificate import CertificateType, HolderKind
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.storage.certificate_listing import counting
from scim_bridge.storage.certificate_tables import certificate_entries as entries
from scim_bridge.storage.tables import acknowledged, people, resources
from scim_bridge.storage.values import from_stored

MOST_TYPES = 50
"""How many types are counted apart, those that most people have: their names are the client's, and without end."""

OTHERS = "(others)"
"""Stands for all other types."""

WINDOWS: Mapping[str, int] = {"30 days": 30, "90 days": 90}
"""What ends within so many days, and in no shorter window; the shortest first."""

EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Expiry:
    """A certificate of somebody that ends, or one that he lacks."""

    employee_number: EmployeeNumber | None
    type: CertificateType
    number: str | None = None
    valid_until: date | None = None
    """The last day; None where there is no certificate."""

    user_name: str | None = None
    """As Entra sent it; None where no SCIM user has the employee number."""


class Expiries:
    """The certificates of one tenant that count, by their last day.

    :param missing_expiry: The last day of a certificate without an end; None where none is known, and nothing ends.
    """

    def __init__(self, connection: Connection, tenant: str, missing_expiry: date | None = None) -> None:
        self._connection = connection
        self._tenant = tenant
        self._end: ColumnElement[Any] = entries.c.valid_until
        if missing_expiry is not None:
            self._end = func.coalesce(entries.c.valid_until, missing_expiry)

    def until(self, last: date, *, today: date) -> Iterator[Expiry]:
        """What has ended or ends by a day, the earliest first, of everybody who is not known to have left."""
        # Another name for the same table: whether somebody is at work is asked of it, too.
        holder = people.alias("holder")
        is_holder = and_(holder.c.tenant == entries.c.tenant, holder.c.id == entries.c.holder)
        is_user = and_(resources.c.tenant == holder.c.tenant, resources.c.id == holder.c.user_id)
        query = (
            self._certificates(today)
            .add_columns(resources.c.document)
            .select_from(entries.outerjoin(holder, is_holder).outerjoin(resources, is_user))
            .where(self._end <= last)
            .order_by(self._end, entries.c.employee_number, entries.c.type)
        )
        for row in self._connection.execute(query):
            yield Expiry(row.employee_number, row.type, row.number, row.end, _user_name(row.document))

    def lacking(self, on: date, required: Sequence[CertificateType]) -> Iterator[Expiry]:
        """Each linked person at work on a day, with each required type of which he has no valid certificate then.

        One that begins later is not there yet.
        """
        types = list(dict.fromkeys(required))
        known = (
            select(people.c.id, entries.c.type, entries.c.number, self._end.label("end"))
            .select_from(people)
            .join(entries, and_(entries.c.tenant == people.c.tenant, entries.c.holder == people.c.id))
            .where(*self._at_work(on), self._of_people, entries.c.type.in_(types), entries.c.issued <= on)
        )
        held: dict[tuple[str, str], Any] = {(row.id, row.type): row for row in self._connection.execute(known)}
        for person in self._connection.execute(self._everybody(on)):
            start = from_stored(person.start)
            if isinstance(start, date) and start > on:
                continue
            user_name = _user_name(person.document)
            for kind in types:
                row = held.get((person.id, kind))
                if row is None:
                    yield Expiry(person.employee_number, kind, user_name=user_name)
                elif row.end is not None and row.end < on:
                    yield Expiry(person.employee_number, kind, row.number, row.end, user_name)

    def unknown(self, required: Sequence[CertificateType]) -> list[CertificateType]:
        """The types of which nobody has a certificate: misspelled, perhaps."""
        query = select(entries.c.type).where(counting(self._tenant), entries.c.type.in_(list(required))).distinct()
        known = set(self._connection.execute(query).scalars())
        return [kind for kind in dict.fromkeys(required) if kind not in known]

    def counted(self, today: date) -> dict[tuple[str, str], int]:
        """How many certificates there are by type and window; types that few have are counted together."""
        last = max(WINDOWS.values())
        window = case(
            (self._end < today, EXPIRED),
            *((self._end <= today + timedelta(days=days), name) for name, days in WINDOWS.items()),
        )
        query = (
            self._certificates(today)
            .with_only_columns(entries.c.type, window.label("window"), func.count().label("certificates"))
            .where(self._end <= today + timedelta(days=last))
            .group_by(entries.c.type, window)
        )
        rows = self._connection.execute(query).all()
        return _bounded([(row.type, row.window, row.certificates) for row in rows])

    def _everybody(self, on: date) -> Select[Any]:
        """Linked people who want employment on a day, each with the start that Ditio was last seen to have."""
        start = and_(
            acknowledged.c.tenant == people.c.tenant,
            acknowledged.c.person_id == people.c.id,
            acknowledged.c.field == Field.start_date,
        )
        is_user = and_(resources.c.tenant == people.c.tenant, resources.c.id == people.c.user_id)
        return (
            select(people.c.id, people.c.employee_number, acknowledged.c.value.label("start"), resources.c.document)
            .select_from(people.outerjoin(acknowledged, start).outerjoin(resources, is_user))
            .where(*self._at_work(on))
            .order_by(people.c.employee_number)
        )

    @property
    def _of_people(self) -> ColumnElement[bool]:
        return and_(entries.c.wins, entries.c.holder_kind == HolderKind.person)

    def _certificates(self, today: date) -> Select[Any]:
        """The certificates that count of linked people at work, and of numbers that nobody is linked to."""
        at_work = select(literal(1)).where(people.c.id == entries.c.holder, *self._at_work(today)).exists()
        return select(entries.c.employee_number, entries.c.type, entries.c.number, self._end.label("end")).where(
            counting(self._tenant), or_(entries.c.holder_kind == HolderKind.number, at_work)
        )

    def _at_work(self, on: date) -> tuple[ColumnElement[bool], ...]:
        """As `Days.wants_employment` says, of people whom Ditio has."""
        stays = or_(people.c.leave_date.is_(None), people.c.leave_is_stale, people.c.leave_date >= on)
        return people.c.tenant == self._tenant, people.c.employee_number.is_not(None), people.c.active, stays


def _user_name(document: str | None) -> str | None:
    """Of a SCIM user as it is stored."""
    return str(json.loads(document)["userName"]) if document is not None else None


def _bounded(rows: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    totals: dict[str, int] = {}
    for kind, _, count in rows:
        totals[kind] = totals.get(kind, 0) + count
    named = set(sorted(totals, key=lambda kind: (-totals[kind], kind))[:MOST_TYPES])
    counted: dict[tuple[str, str], int] = {}
    for kind, window, count in rows:
        key = (kind if kind in named else OTHERS, window)
        counted[key] = counted.get(key, 0) + count
    return counted
