"""The snapshot: the employees that Ditio showed in one run. It is in the database, so memory does not grow with it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, delete, func, or_, select, text
from sqlalchemy.sql.elements import ColumnElement

from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber, Employment, Field
from scim_bridge.domain.values import canonical
from scim_bridge.storage.admin_tables import adoption_runs, in_sync, plan_items, reconcile_runs, snapshot
from scim_bridge.storage.engine import Repository, Transaction, upsert
from scim_bridge.storage.prepared import inserting
from scim_bridge.storage.tables import from_stored, people, to_stored

_ENCODER = json.JSONEncoder(ensure_ascii=False)


def stored(found: ActualEmployee) -> str:
    """Return an employee as JSON, without the number."""
    employments = found.employments
    parts = {
        "values": {field.value: to_stored(value) for field, value in found.values.items()},
        "disabled": found.disabled,
        "profile": found.company_profile_id,
        "employments": None if employments is None else [[_text(each.start), _text(each.end)] for each in employments],
    }
    return _ENCODER.encode(parts)


def found_in(number: str, text: str, company: str | None = None) -> ActualEmployee:
    """Return the employee of a number and its stored JSON."""
    parts = json.loads(text)
    employments = parts["employments"]
    return ActualEmployee(
        employee_number=EmployeeNumber(number),
        values={Field(name): from_stored(value) for name, value in parts["values"].items()},
        disabled=parts["disabled"],
        company_profile_id=parts.get("profile"),
        company=company,
        employments=None
        if employments is None
        else tuple(Employment(_day(start), _day(end)) for start, end in employments),
    )


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


MOST_ALIKE = 10
"""How many employees with the same phone or e-mail address are returned: hundreds may share the switchboard's."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One employee as Ditio showed them."""

    found: ActualEmployee
    shown: str
    """The fields that the fingerprint covers."""

    digest: str
    """The fingerprint."""


class Snapshot(Repository):
    """The employees of one run of one tenant, within one transaction."""

    def __init__(self, s: Transaction, run_id: str) -> None:
        super().__init__(s)
        self._run_id = run_id

    def add(self, rows: Iterable[Seen]) -> None:
        """Store employees; an employee that exists is replaced."""
        upsert(self._s, snapshot, [self._row(row) for row in rows])

    def add_new(self, rows: Sequence[Seen]) -> bool:
        """Store the employees that do not exist yet. Return whether none of them existed."""
        if not rows:
            return True
        statement = inserting(self._s.dialect, snapshot).on_conflict_do_nothing()
        found = [self._row(row) for row in rows]
        result = self._connection.execute(statement, found, execution_options={"preserve_rowcount": True})
        return result.rowcount == len(rows)

    def is_complete(self) -> None:
        """Have PostgreSQL analyse the filled tables: for minutes, it would plan as if they were small."""
        if self._s.dialect == "postgresql":
            self._connection.execute(text(f"ANALYZE {snapshot.name}, {in_sync.name}"))

    def count(self) -> int:
        """Return how many employees were shown."""
        query = select(func.count()).select_from(snapshot).where(self._mine())
        return self._connection.execute(query).scalar_one()

    def of(self, numbers: Iterable[str]) -> dict[str, ActualEmployee]:
        """Return employees by number."""
        query = select(snapshot.c.employee_number, snapshot.c.found, snapshot.c.company).where(
            self._mine(), snapshot.c.employee_number.in_(list(numbers))
        )
        return {row.employee_number: found_in(*row) for row in self._connection.execute(query)}

    def similar_number(self, number: str) -> str | None:
        """Return an employee number that differs from this one only in case or in leading zeros (rule P4)."""
        query = select(snapshot.c.employee_number).where(
            self._mine(), snapshot.c.number_key == number_key(number), snapshot.c.employee_number != number
        )
        return self._connection.execute(query.limit(1)).scalar_one_or_none()

    def similar_numbers(self, numbers: Iterable[str]) -> dict[str, list[str]]:
        """Return all similar numbers for several numbers; a number without a similar one is left out."""
        wanted: dict[str, list[str]] = {}
        for number in numbers:
            wanted.setdefault(number_key(number), []).append(number)
        query = select(snapshot.c.employee_number, snapshot.c.number_key).where(
            self._mine(), snapshot.c.number_key.in_(list(wanted))
        )
        similar: dict[str, list[str]] = {}
        for row in self._connection.execute(query.order_by(snapshot.c.employee_number)):
            for number in wanted[row.number_key]:
                if number != row.employee_number:
                    similar.setdefault(number, []).append(row.employee_number)
        return similar

    def linked_among(self, numbers: Iterable[str]) -> frozenset[str]:
        """Return the numbers of those employees that have a linked person."""
        query = select(people.c.employee_number).where(
            people.c.tenant == self._tenant, people.c.employee_number.in_(list(numbers))
        )
        return frozenset(row.employee_number for row in self._connection.execute(query))

    def unlinked_with(self, phone: str | None, email: str | None, *, but: str | None) -> list[ActualEmployee]:
        """Return unlinked employees with this phone or e-mail address. :param but: Leave out this number."""
        return self._with(phone, email, snapshot.c.employee_number != (but or ""), ~self._is_linked())

    def look_alikes(self, phone: str | None, email: str | None, *, but: str | None = None) -> list[ActualEmployee]:
        """Return employees with this phone or e-mail address, linked or not. :param but: Leave out this number."""
        return self._with(phone, email, snapshot.c.employee_number != (but or ""))

    def _with(self, phone: str | None, email: str | None, *which: ColumnElement[bool]) -> list[ActualEmployee]:
        keys = [
            column == key
            for column, key in (
                (snapshot.c.phone_key, canonical(Field.phone, phone)),
                (snapshot.c.email_key, canonical(Field.email, email)),
            )
            if key is not None
        ]
        if not keys:
            return []
        query = (
            select(snapshot.c.employee_number, snapshot.c.found)
            .where(self._mine(), or_(*keys), *which)
            .order_by(snapshot.c.employee_number)
            .limit(MOST_ALIKE)
        )
        return [found_in(row.employee_number, row.found) for row in self._connection.execute(query)]

    def shared(self, field: Field, after: str, limit: int) -> list[str]:
        """Return the next keys of phone, e-mail or number (without case and leading zeros) that several employees have.

        :param after: The last key that was returned before.
        """
        key = _KEYS[field]
        query = (
            select(key)
            .where(self._mine(), key > after)
            .group_by(key)
            .having(func.count() > 1)
            .order_by(key)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def doubles(self, field: Field, keys: Sequence[str]) -> list[tuple[str, str]]:
        """Return pairs of a linked and an unlinked employee with the same key, for these keys."""
        key = _KEYS[field]
        query = (
            select(key.label("key"), snapshot.c.employee_number, self._is_linked().label("is_linked"))
            .where(self._mine(), key.in_(keys))
            .order_by(key, snapshot.c.employee_number)
        )
        linked: dict[str, list[str]] = {}
        others: dict[str, list[str]] = {}
        for row in self._connection.execute(query):
            (linked if row.is_linked else others).setdefault(row.key, []).append(row.employee_number)
        return [(one, other) for key, ones in linked.items() for one in ones for other in others.get(key, ())]

    def unmanaged(self, plan_id: str, after: str, limit: int) -> list[str]:
        """Return the next numbers of unlinked employees that no row of the plan names.

        :param after: The last number that was returned before.
        """
        named = select(plan_items.c.position).where(
            plan_items.c.tenant == self._tenant,
            plan_items.c.plan_id == plan_id,
            plan_items.c.kind.in_(["unmanaged", "missing", "stuck-delivery"]),
            plan_items.c.employee_number == snapshot.c.employee_number,
        )
        query = (
            select(snapshot.c.employee_number)
            .where(self._mine(), snapshot.c.employee_number > after, ~self._is_linked(), ~named.exists())
            .order_by(snapshot.c.employee_number)
            .limit(limit)
        )
        return [row.employee_number for row in self._connection.execute(query)]

    def drop(self) -> None:
        """Remove this run's employees."""
        self._connection.execute(delete(snapshot).where(self._mine()))

    def drop_abandoned(self, before: datetime) -> None:
        """Remove what was left behind by runs that have ended, or that began before this moment and crashed."""
        alive = select(reconcile_runs.c.id).where(
            reconcile_runs.c.tenant == self._tenant,
            reconcile_runs.c.finished_at.is_(None),
            reconcile_runs.c.started_at >= before,
        )
        adopting = select(adoption_runs.c.id).where(
            adoption_runs.c.tenant == self._tenant, adoption_runs.c.started_at >= before
        )
        is_dead = and_(snapshot.c.run_id.not_in(alive), snapshot.c.run_id.not_in(adopting))
        self._connection.execute(delete(snapshot).where(snapshot.c.tenant == self._tenant, is_dead))

    def _mine(self) -> ColumnElement[bool]:
        return and_(snapshot.c.tenant == self._tenant, snapshot.c.run_id == self._run_id)

    def _is_linked(self) -> ColumnElement[bool]:
        return (
            select(people.c.id)
            .where(people.c.tenant == self._tenant, people.c.employee_number == snapshot.c.employee_number)
            .exists()
        )

    def _row(self, seen: Seen) -> dict[str, object]:
        found = seen.found
        return {
            "tenant": self._tenant,
            "run_id": self._run_id,
            "employee_number": found.employee_number,
            "number_key": number_key(found.employee_number),
            "phone_key": canonical(Field.phone, found.values.get(Field.phone)),
            "email_key": canonical(Field.email, found.values.get(Field.email)),
            "company": found.company,
            "shown": seen.shown,
            "digest": seen.digest,
            "found": stored(found),
        }


_KEYS = {
    Field.phone: snapshot.c.phone_key,
    Field.email: snapshot.c.email_key,
    Field.employee_number: snapshot.c.number_key,
}


def number_key(number: str) -> str:
    """Return an employee number without case and leading zeros, for comparison."""
    return number.strip().casefold().lstrip("0") or "0"
