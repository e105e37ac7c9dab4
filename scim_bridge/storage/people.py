"""People: the rows that join users and employees, hands-off, and permissions to adopt (rules D6, H1, P1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Literal

from sqlalchemy import Row, Select, Table, and_, bindparam, delete, func, insert, or_, select, update

from scim_bridge.domain.employee import Days, EmployeeNumber, Field, Value
from scim_bridge.domain.outcome import Reason, State, reason_of
from scim_bridge.domain.person import Acknowledged, ClaimKind, Creating, HandsOff, Person, PersonId, RequestedAt
from scim_bridge.domain.values import UserId, user_name_key
from scim_bridge.storage.acknowledged import ACKNOWLEDGED_OF_ONE, Acknowledgements, acknowledged_in
from scim_bridge.storage.admin_tables import in_sync
from scim_bridge.storage.engine import Repository, Transaction, upsert
from scim_bridge.storage.prepared import Prepared
from scim_bridge.storage.tables import adoption_permissions as permissions
from scim_bridge.storage.tables import claim_waiters, claims, from_stored, people, resources, to_stored


class HandsOffs(Repository):
    """The hands-off marks of one tenant, within one transaction: deliveries to these people are stopped."""

    def set(self, person_id: PersonId, hands_off: HandsOff | None) -> None:
        """Stop deliveries to a person, or with None resume them. The caller marks the person due."""
        self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, people.c.id == person_id)
            .values(hands_off=hands_off is not None, hands_off_until=hands_off.until if hands_off else None)
        )

    def end(self, today: date, limit: int = 500) -> list[PersonId]:
        """Resume deliveries to people whose hands-off has ended, at most `limit` at once. The caller marks them due."""
        rows = self._connection.execute(
            select(people.c.id)
            .where(people.c.tenant == self._tenant, people.c.hands_off_until < today)
            .order_by(people.c.hands_off_until, people.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ended = [PersonId(row.id) for row in rows]
        for person_id in ended:
            self.set(person_id, None)
        return ended


DAYS = 30
"""How long a permission lasts: Entra retries within hours, or within weeks if its job was quarantined."""


_CONSUME = Prepared(
    delete(permissions).where(
        permissions.c.tenant == bindparam("tenant"), permissions.c.employee_number == bindparam("number")
    )
)


class Permissions(Repository):
    """The permissions to adopt of one tenant, within one transaction."""

    def grant(self, number: EmployeeNumber, user_name: str) -> datetime:
        """Allow this user to be linked to this employee, once. Return until when. Expired permissions are removed."""
        expires_at = self._now + timedelta(days=DAYS)
        self._connection.execute(
            delete(permissions).where(permissions.c.tenant == self._tenant, permissions.c.expires_at <= self._now)
        )
        key = {"tenant": self._tenant, "employee_number": number, "user_name_key": user_name_key(user_name)}
        upsert(self._s, permissions, [{**key, "granted_at": self._now, "expires_at": expires_at}])
        return expires_at

    def allows(self, number: EmployeeNumber, user_name: str) -> bool:
        """Return whether this user may be linked to this employee."""
        query = select(permissions.c.expires_at).where(
            self._about(number),
            permissions.c.user_name_key == user_name_key(user_name),
            permissions.c.expires_at > self._now,
        )
        return self._connection.execute(query).first() is not None

    def consume(self, number: EmployeeNumber) -> None:
        """Remove all permissions for an employee, because a person is linked to it now."""
        self._s.later(_CONSUME, {"tenant": self._tenant, "number": number})

    def _about(self, number: EmployeeNumber) -> Any:
        return and_(permissions.c.tenant == self._tenant, permissions.c.employee_number == number)


@dataclass(frozen=True, slots=True)
class NewMark:
    """How the delivery of a new person stands."""

    state: State
    reason: Reason | None = None
    detail: str | None = None
    request_id: str | None = None
    lease: str | None = None
    """The lease of the request that brings the person; None if it does not deliver."""

    lease_seconds: float = 0


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person, and the state of their delivery."""

    person: Person
    state: State
    reason: Reason | None
    detail: str | None
    revision: int
    attempts: int
    delivered_at: datetime | None
    state_since: datetime
    due_since: datetime | None
    due_at: datetime | None
    request_id: str | None
    lease: str | None
    leased_until: datetime | None
    external_id: str | None
    scope: dict[str, Any] | None = None
    """The scope of a drift mark (rule Q3), as `Scopes` stores it; None for a person who is due as a whole."""


def record_of(row: Row[Any], acknowledged: Acknowledged) -> PersonRecord:
    """Return a row of `people` as values."""
    return PersonRecord(
        person=Person(
            id=PersonId(row.id),
            user_id=UserId(row.user_id) if row.user_id else None,
            days=Days(
                active=row.active,
                active_since=row.active_since,
                inactive_since=row.inactive_since,
                leave=row.leave_date,
                leave_is_stale=row.leave_is_stale,
            ),
            employee_number=EmployeeNumber(row.employee_number) if row.employee_number else None,
            linked_at=row.linked_at,
            company_profile_id=row.company_profile_id,
            linked_as={
                Field(name): value
                for name, stored in (row.linked_as or {}).items()
                if (value := from_stored(stored)) is not None
            },
            doubted_at=row.doubted_at,
            creating=_creating(row.creating),
            renumbering=EmployeeNumber(row.renumbering) if row.renumbering else None,
            acknowledged=acknowledged,
            provisioned_on=row.provisioned_on,
            hands_off=HandsOff(row.hands_off_until) if row.hands_off else None,
            occasions=RequestedAt(
                ending=row.ending_said_at,
                is_announced=row.ending_is_announced,
                creation=row.creation_said_at,
                phone=row.phone_said_at,
                employee_number=row.employee_number_said_at,
            ),
        ),
        state=State(row.state),
        reason=reason_of(row.reason),
        detail=row.detail,
        revision=row.revision,
        attempts=row.attempts,
        delivered_at=row.delivered_at,
        state_since=row.state_since,
        due_since=row.due_since,
        due_at=row.due_at,
        request_id=row.request_id,
        lease=row.lease,
        leased_until=row.leased_until,
        external_id=row.external_id,
        scope=row.scope,
    )


def _creating(stored: Any) -> Creating | None:
    if not stored:
        return None
    at = datetime.fromisoformat(stored["at"]) if stored.get("at") else None
    return Creating(EmployeeNumber(stored["employeeNumber"]), stored["phone"], stored.get("email"), at)


NOT_DUE: dict[str, object] = {"due_since": None, "due_at": None, "attempts": 0, "fails_alone": False}
"""The columns of the due mark, for a person whose delivery has ended."""


def days_columns(days: Days) -> dict[str, object]:
    return {
        "active": days.active,
        "active_since": days.active_since,
        "inactive_since": days.inactive_since,
        "leave_date": days.leave,
        "leave_is_stale": days.leave_is_stale,
    }


def occasion_columns(occasions: RequestedAt) -> dict[str, object]:
    """Return when changes were requested, as columns."""
    return {
        "ending_said_at": occasions.ending,
        "ending_is_announced": occasions.is_announced,
        "creation_said_at": occasions.creation,
        "phone_said_at": occasions.phone,
        "employee_number_said_at": occasions.employee_number,
    }


# Built once, because every write and every delivery executes them.
_by_id = select(people).where(people.c.tenant == bindparam("tenant"), people.c.id == bindparam("person_id"))
_BY_ID, _LOCKED = Prepared(_by_id), Prepared(_by_id.with_for_update())
_of_user = select(people).where(people.c.tenant == bindparam("tenant"), people.c.user_id == bindparam("user"))
_OF_USER, LOCKED_PERSON_OF_USER = Prepared(_of_user), Prepared(_of_user.with_for_update())
_INSERT = Prepared(insert(people))


@cache
def _changing(names: tuple[str, ...]) -> Prepared:
    """Return the statement that changes some columns of a person, each by a parameter `new_…`."""
    one = update(people).where(people.c.tenant == bindparam("of_tenant"), people.c.id == bindparam("person_id"))
    return Prepared(one.values({name: bindparam(f"new_{name}", type_=people.c[name].type) for name in names}))


def change_person(s: Transaction, person_id: PersonId, values: Mapping[str, object]) -> None:
    """Change some columns of a person."""
    changed = {f"new_{name}": value for name, value in values.items()}
    s.later(_changing(tuple(values)), {"of_tenant": s.tenant, "person_id": person_id, **changed})


class People(Repository):
    """The people of one tenant, within one transaction."""

    def add(
        self, person: Person, *, external_id: str | None, wakes_on: date | None, mark: NewMark | None = None
    ) -> PersonRecord:
        """Store a new person, and return the record.

        :param mark: How their delivery stands; None for a person who is not due.
        """
        mark = mark or NewMark(State.delivered)
        due_since = self._now if mark.state is State.due else None
        row: dict[str, Any] = {
            "state": mark.state,
            "reason": mark.reason,
            "detail": mark.detail,
            "revision": 1 if mark.state is State.delivered else 2,
            "state_since": self._now,
            "due_since": due_since,
            "due_at": due_since,
            "request_id": mark.request_id,
            "lease": mark.lease,
            "leased_until": self._now + timedelta(seconds=mark.lease_seconds) if mark.lease is not None else None,
            "external_id": external_id,
        }
        self._s.later(
            _INSERT,
            {
                **row,
                "tenant": self._tenant,
                "id": person.id,
                "user_id": person.user_id,
                "provisioned_on": person.provisioned_on,
                "created_at": self._now,
                "wakes_on": wakes_on,
                **days_columns(person.days),
                **occasion_columns(person.occasions),
            },
        )
        return PersonRecord(person=person, attempts=0, delivered_at=None, **row)

    def get(self, person_id: PersonId, *, lock: bool = False) -> PersonRecord | None:
        """Return a person by id."""
        records, values = self._s.answers(self.asking(person_id, lock=lock))
        return record_of(records[0], acknowledged_in(values)) if records else None

    def asking(self, person_id: PersonId, *, lock: bool = False) -> tuple[tuple[Prepared, Mapping[str, object]], ...]:
        """What `get` executes, with its parameters: for the person, and for what is acknowledged."""
        which = {"tenant": self._tenant, "person_id": person_id}
        return (_LOCKED if lock else _BY_ID, which), (ACKNOWLEDGED_OF_ONE, which)

    def of_user(self, user_id: UserId, *, lock: bool = False) -> PersonRecord | None:
        """Return the person of a SCIM user; None also if another user took the person over (rule P2)."""
        which = {"tenant": self._tenant, "user": user_id}
        return self._record((LOCKED_PERSON_OF_USER if lock else _OF_USER).first(self._connection, which))

    def of_user_name(self, name: str) -> PersonRecord | None:
        """Return the person of the user with this name, in any case (rule A8)."""
        named = resources.c.user_name_key == user_name_key(name)
        return self._one(people.c.user_id.in_(self._users(named)), lock=False)

    def linked_to(self, number: EmployeeNumber) -> PersonRecord | None:
        """Return the person who is linked to an employee."""
        return self._one(people.c.employee_number == number, lock=False)

    def find(self, name: str) -> PersonRecord | None:
        """Return a person as an operator names them: by id, or else by employee number or user name.

        The number of a person who is not linked yet is the one that they claim, or wait for.
        """
        name = name.strip()
        named = or_(resources.c.user_name_key == user_name_key(name), resources.c.id == name)
        return (
            self.get(PersonId(name))  # The log and the console name a person by id: no other text may come before.
            or self.linked_to(EmployeeNumber(name))
            or self._one(people.c.id.in_(self._wanting(claims, name)), lock=False)
            or self._one(people.c.user_id.in_(self._users(named)), lock=False)
            or self._one(people.c.id.in_(self._wanting(claim_waiters, name)), lock=False)
        )

    def set_user(
        self, person_id: PersonId, user_id: UserId | None, *, external_id: str | None, called: object = None
    ) -> None:
        """Give a person a user, or with None remove it: then the person is a tombstone.

        :param called: The user name of the removed user.
        """
        changes: dict[str, object] = {
            "user_id": user_id,
            "deleted_at": None if user_id else self._now,
            "deleted_user_name": None if user_id or called is None else str(called),
        }
        if user_id is not None:
            changes["external_id"] = external_id
        self._update(person_id, changes)

    def set_days(
        self,
        person_id: PersonId,
        days: Days,
        occasions: RequestedAt,
        *,
        wakes_on: date | None,
        external_id: str | Literal[False] | None = False,
    ) -> None:
        """Store the days that intake decided, and when their changes were requested (rules L1, L8).

        :param external_id: The `externalId` that Entra sends now; False keeps the one that is stored.
        """
        columns = {**days_columns(days), **occasion_columns(occasions), "wakes_on": wakes_on}
        known = {} if external_id is False else {"external_id": external_id}
        self._update(person_id, {**columns, **known})

    def wake_on(self, person_id: PersonId, day: date) -> None:
        """Store the day on which a person becomes due."""
        self._update(person_id, {"wakes_on": day})

    def set_creating(self, person_id: PersonId, creating: Creating | None) -> None:
        """Store what is about to be POSTed, or with None remove it (rule P6)."""
        stored = creating and {
            "employeeNumber": creating.employee_number,
            "phone": creating.phone,
            "email": creating.email,
            "at": creating.at.isoformat() if creating.at else None,
        }
        self._update(person_id, {"creating": stored})

    def set_renumbering(self, person_id: PersonId, number: EmployeeNumber | None) -> None:
        """Store the number that the employee is about to get, or with None remove it (rule P6)."""
        self._update(person_id, {"renumbering": number})

    def set_link(
        self,
        person_id: PersonId,
        number: EmployeeNumber,
        *,
        profile_id: str | None = None,
        linked_as: Mapping[Field, Value] | None = None,
    ) -> None:
        """Store the link to an employee: a part of `Session.link`."""
        unknown = {"creating": None, "renumbering": None, "creation_said_at": None}
        known: dict[str, object] = {} if profile_id is None else {"company_profile_id": profile_id}
        if linked_as is not None:
            known["linked_as"] = {name.value: to_stored(value) for name, value in linked_as.items()}
        self._update(person_id, {"employee_number": number, "linked_at": self._now, **known, **unknown})
        Permissions(self._s).consume(number)

    def recognise(self, person_id: PersonId, profile_id: str) -> None:
        """Store the `companyProfileId` of a linked employee, which Ditio shows for the first time (rule P5)."""
        self._update(person_id, {"company_profile_id": profile_id})

    def doubt(self, person_id: PersonId, at: datetime | None) -> None:
        """Store since when the outcome of a write is unknown, or None once it is known (rule C5)."""
        self._update(person_id, {"doubted_at": at})

    def part(self, person_id: PersonId) -> None:
        """Remove the link for a moment, so that another person may get it. The caller sets a new one at once."""
        self._update(person_id, {"employee_number": None})

    def remove_link(self, person_id: PersonId) -> None:
        """Remove the link to an employee, and what they have acknowledged: a part of `Session.unlink`."""
        known = {"company_profile_id": None, "linked_as": None}
        self._update(person_id, {"employee_number": None, "linked_at": None, **known})
        Acknowledgements(self._s).forget(person_id)

    def remove(self, person_id: PersonId) -> bool:
        """Remove a person without a user, employee or creation. Return whether it was: a part of `Session.forget`."""
        removed = self._connection.execute(
            delete(people).where(
                people.c.tenant == self._tenant,
                people.c.id == person_id,
                people.c.user_id.is_(None),
                people.c.employee_number.is_(None),
                people.c.creating.is_(None),
            )
        )
        if removed.rowcount:
            self._connection.execute(
                delete(in_sync).where(in_sync.c.tenant == self._tenant, in_sync.c.person_id == person_id)
            )
        return bool(removed.rowcount)

    def forget_names_before(self, moment: datetime, *, limit: int) -> int:
        """Remove the user names of users that were deleted earlier, at most `limit`. Return how many."""
        gone = and_(people.c.tenant == self._tenant, people.c.user_id.is_(None))
        old = select(people.c.id).where(gone, people.c.deleted_at < moment, people.c.deleted_user_name.is_not(None))
        return self._connection.execute(
            update(people).where(gone, people.c.id.in_(old.limit(limit))).values(deleted_user_name=None)
        ).rowcount

    def count(self, *, linked: bool | None = None) -> int:
        """Return how many people there are; with `linked` only those with an employee, or only those without."""
        query = select(func.count()).select_from(people).where(people.c.tenant == self._tenant)
        if linked is not None:
            query = query.where(people.c.employee_number.is_not(None) if linked else people.c.employee_number.is_(None))
        return self._connection.execute(query).scalar_one()

    def _one(self, condition: Any, lock: bool) -> PersonRecord | None:
        query: Select[Any] = select(people).where(and_(people.c.tenant == self._tenant, condition))
        return self._record(self._connection.execute(query.with_for_update() if lock else query).first())

    def _record(self, row: Row[Any] | None) -> PersonRecord | None:
        if row is None:
            return None
        acknowledged = Acknowledgements(self._s).of(PersonId(row.id))
        return record_of(row, acknowledged)

    def _users(self, condition: Any) -> Select[Any]:
        is_user = and_(resources.c.tenant == self._tenant, resources.c.resource_type == "User")
        return select(resources.c.id).where(is_user, condition)

    def _wanting(self, table: Table, number: str) -> Select[Any]:
        """Select the people who claim an employee number, or wait for it."""
        wanted = and_(table.c.kind == ClaimKind.employee_number, table.c.value == number)
        return select(table.c.person_id).where(table.c.tenant == self._tenant, wanted)

    def _update(self, person_id: PersonId, values: Mapping[str, object]) -> None:
        change_person(self._s, person_id, values)
