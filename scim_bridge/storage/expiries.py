"""Certificates that expire soon, and people who lack one; only reads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, TextClause, and_, case, func, literal, or_, select

from scim_bridge.domain.certificate import CertificateType, HolderKind
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.directory import folded
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.json_sql import KEY_LETTERS, DepartmentKey
from scim_bridge.storage.ledger import counting
from scim_bridge.storage.tables import (
    IS_WINNING,
    acknowledged,
    from_stored,
    people,
    resources,
)
from scim_bridge.storage.tables import certificate_entries as entries

MOST_TYPES = 50
"""How many types are counted separately, the most frequent ones: clients name the types, so there may be any number."""

OTHERS = "(others)"
"""The name for all other types."""

SOON = "30 days"

WINDOWS: Mapping[str, int] = {SOON: 30, "90 days": 90}
"""Windows in days, the shortest first. A certificate is counted in the shortest window in which it expires."""

EXPIRED = "expired"

AT_ONCE = 500
"""People who are asked at a time for what they lack."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """A certificate that expires, or one that a person lacks."""

    employee_number: EmployeeNumber | None
    type: CertificateType
    number: str | None = None
    valid_until: date | None = None
    """The last day; None if there is no certificate."""

    person_id: PersonId | None = None
    user: JsonObject | None = None
    """The SCIM user as it is stored; None if none has the employee number."""

    @property
    def user_name(self) -> str | None:
        """As Entra sent it; None if no SCIM user has the employee number."""
        return str(self.user["userName"]) if self.user is not None else None


class Expiries(Repository):
    """The winning certificates of one tenant, by their last day.

    :param missing_expiry: The last day of certificates without an expiry date; None if these never expire.
    """

    def __init__(self, s: Transaction, missing_expiry: date | None = None) -> None:
        super().__init__(s)
        self._end: ColumnElement[Any] = entries.c.valid_until
        if missing_expiry is not None:
            self._end = func.coalesce(entries.c.valid_until, missing_expiry)

    def until(
        self, last: date, *, today: date, type: CertificateType | None = None, department: str | None = None
    ) -> Iterator[Expiry]:
        """Yield certificates that expire by a day, the earliest first, except those of people known to have left.

        :param type: Only certificates of this type.
        :param department: Only those of users in this department, in any case.
        """
        # An alias, because the condition about people at work reads the same table.
        holder = people.alias("holder")
        is_holder = and_(holder.c.tenant == entries.c.tenant, holder.c.id == entries.c.holder)
        is_user = and_(resources.c.tenant == holder.c.tenant, resources.c.id == holder.c.user_id)
        query = (
            self._certificates(today)
            .add_columns(holder.c.id.label("person_id"), resources.c.document)
            .select_from(entries.outerjoin(holder, is_holder).outerjoin(resources, is_user))
            .where(self._end <= last)
            .order_by(self._end, entries.c.employee_number, entries.c.type)
        )
        if type is not None:
            query = query.where(entries.c.type == type)
        if department is not None:
            query = query.where(DepartmentKey() == folded(department)[:KEY_LETTERS])
        for row in self._connection.execute(query):
            yield Expiry(row.employee_number, row.type, row.number, row.end, row.person_id, _document(row.document))

    def lacking(self, on: date, required: Sequence[CertificateType]) -> Iterator[Expiry]:
        """Yield each linked person at work on a day with each required type that they have no valid certificate of.

        A certificate that is issued later is not valid yet.
        """
        types, after = list(dict.fromkeys(required)), ""
        while types:
            # A page of the console asks for the first ones only, so no more are read than are taken.
            query = self._people_at_work(on).where(people.c.employee_number > after)
            query = query.where(or_(*(~self._is_held(kind, on) for kind in types)))
            rows = self._connection.execute(query.limit(AT_ONCE)).all()
            held = self._held([row.id for row in rows], types, on)
            for person in rows:
                start = from_stored(person.start)
                if not isinstance(start, date) or start <= on:
                    yield from _lacking(person, types, held, on)
            if len(rows) < AT_ONCE:
                return
            after = rows[-1].employee_number

    def _is_held(self, kind: CertificateType, on: date) -> ColumnElement[bool]:
        """Return the condition that a person has a certificate of a type that is valid on a day."""
        is_valid = or_(self._end.is_(None), self._end >= on)
        return select(literal(1)).where(self._of_person(on, [kind]), entries.c.holder == people.c.id, is_valid).exists()

    def _held(self, ids: Sequence[str], types: Sequence[CertificateType], on: date) -> Mapping[tuple[str, str], Any]:
        """Return the certificates of some people, those that have ended too."""
        query = select(entries.c.holder, entries.c.type, entries.c.number, self._end.label("end"))
        rows = self._connection.execute(query.where(self._of_person(on, types), entries.c.holder.in_(ids)))
        return {(row.holder, row.type): row for row in rows}

    def unknown(self, required: Sequence[CertificateType]) -> list[CertificateType]:
        """Return the types that no certificate has: they may be misspelled."""
        return [kind for kind in dict.fromkeys(required) if not self._is_type(kind)]

    def _is_type(self, kind: CertificateType) -> bool:
        query = select(literal(1)).select_from(entries).where(*self._winning(), entries.c.type == kind).limit(1)
        return self._connection.execute(query).first() is not None

    def _winning(self) -> tuple[ColumnElement[bool], TextClause]:
        return entries.c.tenant == self._tenant, IS_WINNING

    def types(self, most: int) -> list[CertificateType]:
        """Return the types of certificates, by name, at most so many. Each costs one look-up."""
        first = select(func.min(entries.c.type).label("type")).where(*self._winning())
        found = first.cte("found", recursive=True)
        following = first.where(entries.c.type > found.c.type).correlate(found).scalar_subquery()
        found = found.union_all(select(following).where(found.c.type.is_not(None)))
        query = select(found.c.type).where(found.c.type.is_not(None)).limit(most)
        return list(self._connection.execute(query).scalars())

    def counted(self, today: date) -> dict[tuple[str, str], int]:
        """Return how many certificates there are by type and window; rare types are counted together."""
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

    def _people_at_work(self, on: date) -> Select[Any]:
        """Select linked people at work on a day, each with the start day that Ditio acknowledged last."""
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

    def _of_person(self, on: date, types: Sequence[CertificateType]) -> ColumnElement[bool]:
        """Return the condition for certificates of people, of some types, that were issued by a day."""
        is_persons = and_(counting(self._tenant), entries.c.holder_kind == HolderKind.person)
        return and_(is_persons, entries.c.type.in_(types), entries.c.issued <= on)

    def _certificates(self, today: date) -> Select[Any]:
        """Select the winning certificates of linked people at work, and of numbers without a linked person."""
        at_work = select(literal(1)).where(people.c.id == entries.c.holder, *self._at_work(today)).exists()
        return select(entries.c.employee_number, entries.c.type, entries.c.number, self._end.label("end")).where(
            counting(self._tenant), or_(entries.c.holder_kind == HolderKind.number, at_work)
        )

    def _at_work(self, on: date) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions for linked people at work on a day, the same as `Days.wants_employment`."""
        stays = or_(people.c.leave_date.is_(None), people.c.leave_is_stale, people.c.leave_date >= on)
        return people.c.tenant == self._tenant, people.c.employee_number.is_not(None), people.c.active, stays


def _lacking(
    person: Any, types: Sequence[CertificateType], held: Mapping[tuple[str, str], Any], on: date
) -> Iterator[Expiry]:
    for kind in types:
        row = held.get((person.id, kind))
        if row is None:
            yield Expiry(person.employee_number, kind, person_id=person.id, user=_document(person.document))
        elif row.end is not None and row.end < on:
            yield Expiry(person.employee_number, kind, row.number, row.end, person.id, _document(person.document))


def _document(text: str | None) -> JsonObject | None:
    return json.loads(text) if text is not None else None


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
