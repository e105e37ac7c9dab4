"""Read-only reports: figures for monitoring, certificates that expire soon, and an excerpt to try out elsewhere."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, case, func, insert, literal, or_, select

from scim_bridge.domain.certificate import CertificateType, HolderKind
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.entra import JobReading
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import Claim, ClaimKind, PersonId
from scim_bridge.domain.values import JsonObject, UserId, user_name_key
from scim_bridge.storage.admin_tables import client_secrets, tokens
from scim_bridge.storage.database import Session
from scim_bridge.storage.directory import folded
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.json_sql import KEY_LETTERS, DepartmentKey
from scim_bridge.storage.last_requests import last_request
from scim_bridge.storage.ledger import counting
from scim_bridge.storage.outbox import Status
from scim_bridge.storage.runs import Run
from scim_bridge.storage.tables import (
    acknowledged,
    claim_waiters,
    claims,
    from_stored,
    history,
    metadata,
    people,
    resources,
)
from scim_bridge.storage.tables import adoption_permissions as permissions
from scim_bridge.storage.tables import certificate_entries as entries
from scim_bridge.storage.tables import certificate_ledger as ledger

MOST_TYPES = 50
"""How many types are counted separately, the most frequent ones: clients name the types, so there may be any number."""

OTHERS = "(others)"
"""The name for all other types."""

WINDOWS: Mapping[str, int] = {"30 days": 30, "90 days": 90}
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
        query = select(entries.c.type).where(counting(self._tenant), entries.c.type.in_(list(required))).distinct()
        known = set(self._connection.execute(query).scalars())
        return [kind for kind in dict.fromkeys(required) if kind not in known]

    def types(self, most: int) -> list[CertificateType]:
        """Return the types of certificates, by name, at most so many."""
        query = select(entries.c.type).where(counting(self._tenant)).distinct().order_by(entries.c.type).limit(most)
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


Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Rows about one user, by the name of their table."""

    rows: Mapping[str, Rows]
    user_id: UserId | None
    """The user; None if no user is stored under that id or name."""

    def put_into(self, connection: Connection) -> None:
        """Copy the rows into an empty database."""
        for name, rows in self.rows.items():
            if rows:
                connection.execute(insert(metadata.tables[name]), list(rows))


def excerpt_of(s: Transaction, *, user_id: str | None, user_name: str, wanted: Sequence[Claim]) -> Excerpt:
    """Return the rows of the user with this id or name, and of people who have claimed, or wait for, their claims.

    :param wanted: The claims of the user.
    """
    user = _user(s, user_id, user_name)
    concerned = _concerned(s, user, wanted)
    found = _rows(s, "people", people.c.id.in_(concerned))
    users = {row["user_id"] for row in found if row["user_id"]} | ({user} if user else set())
    rows = {
        "people": [_at_rest(row, user) for row in found],
        "resources": _rows(s, "resources", resources.c.id.in_(users)),
        permissions.name: _rows(s, permissions.name, permissions.c.user_name_key == user_name_key(user_name)),
    }
    numbers = [claim.value for claim in wanted if claim.kind is ClaimKind.employee_number]
    for name in (ledger.name, entries.name):
        holder = metadata.tables[name].c.holder
        rows[name] = _rows(s, name, or_(holder.in_(concerned), holder.in_(numbers)))
    for table in metadata.tables.values():
        if "person_id" in table.c and table is not history:
            rows[table.name] = _rows(s, table.name, table.c.person_id.in_(concerned))
    return Excerpt(rows, user)


def _at_rest(row: Mapping[str, Any], user: UserId | None) -> Mapping[str, Any]:
    """Return a person's row without a lease. Only the person of the user stays due."""
    still = {**row, "lease": None, "leased_until": None}
    if row["user_id"] == user:
        return {**still, "due_at": row["due_since"]}
    is_due = row["state"] == State.due
    return {**still, "due_at": None, "wakes_on": None, **({"state": State.delivered} if is_due else {})}


def _user(s: Transaction, user_id: str | None, user_name: str) -> UserId | None:
    is_user = and_(resources.c.tenant == s.tenant, resources.c.resource_type == "User")
    for condition in (resources.c.id == user_id, resources.c.user_name_key == user_name_key(user_name)):
        found = s.connection.execute(select(resources.c.id).where(is_user, condition)).scalar_one_or_none()
        if found is not None:
            return UserId(found)
    return None


def _concerned(s: Transaction, user: UserId | None, wanted: Sequence[Claim]) -> set[str]:
    numbers = [claim.value for claim in wanted]
    own = or_(people.c.user_id == user, people.c.employee_number.in_(numbers))
    concerned = set(s.connection.execute(select(people.c.id).where(people.c.tenant == s.tenant, own)).scalars())
    for table in (claims, claim_waiters):
        has = or_(*(and_(table.c.kind == claim.kind, table.c.value == claim.value) for claim in wanted))
        if wanted:
            query = select(table.c.person_id).where(table.c.tenant == s.tenant, has)
            concerned |= set(s.connection.execute(query).scalars())
    return concerned


def _rows(s: Transaction, name: str, condition: ColumnElement[bool]) -> Rows:
    table = metadata.tables[name]
    found = s.connection.execute(select(table).where(table.c.tenant == s.tenant, condition)).mappings()
    return [dict(row) for row in found]


RECENT_SECONDS = 300
"""The time for which calls to Ditio are reported."""

MOST_CALLS = 5000
"""How many calls are reported at most, the newest ones."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How Ditio recently answered one kind of call."""

    count: int
    failed: int
    seconds: Sequence[float]
    """How long each call took, the shortest first."""

    def quantile(self, fraction: float) -> float:
        """Return the time within which this fraction of the calls was answered, in seconds."""
        return self.seconds[min(len(self.seconds) - 1, int(fraction * len(self.seconds)))]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one tenant at one moment."""

    status: Status
    held: Mapping[str, int] = field(default_factory=dict)
    """The number of people by reason, without reasons that no person has."""

    parked: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    """The number of people whose last write was answered 400 or 409."""

    silent_seconds: float | None = None
    """How many seconds ago the last request from Entra was accepted; None if none is known."""

    calls: Mapping[str, Calls] = field(default_factory=dict)
    """By Ditio's operation. Reads are not stored, so they are missing here."""

    is_open: bool = False
    """Whether the breaker is open: Ditio is only called for one person now and then."""

    is_paused: bool = False
    """Whether `outbox pause` stops deliveries. The setting that does so belongs to each process and is not included."""

    certificates: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Certificates of people at work that have expired or expire soon, by type and window, for a limited number of
    types."""

    token_seconds: float | None = None
    """Seconds until the last valid token expires; None if one never expires, or there is none."""

    client_seconds: float | None = None
    """The same for the secrets of clients."""

    reconciled: Run | None = None
    """The last run of `reconcile` about all people without an error; None before there was one."""

    reconciled_seconds: float | None = None
    """How many seconds ago that run began."""

    reconcile_exit: int | None = None
    """The exit code of the last run, with or without an error."""

    unsent_notices: int = 0
    """The number of notices that a receiver did not accept yet."""
    entra: JobReading | None = None
    """What the last read of Entra's provisioning job found; None before there was one."""


def figures_of(s: Session) -> Figures:
    """Return the figures of one tenant; only reads."""
    by_reason: dict[State, dict[str, int]] = {State.held: {}, State.parked: {}}
    query = (
        select(people.c.state, people.c.reason, func.count())
        .where(people.c.tenant == s.tenant, people.c.state.in_(list(by_reason)))
        .group_by(people.c.state, people.c.reason)
    )
    for state, reason, count in s.connection.execute(query):
        by_reason[State(state)][str(reason)] = count
    breaker, runs = s.breaker.get(), s.runs
    compared, last = runs.last(compared=True), runs.last()
    requested_at = last_request(s)
    return Figures(
        status=s.outbox.status(),
        held=by_reason[State.held],
        parked=by_reason[State.parked],
        refused=s.refused_writes.count(),
        silent_seconds=(s.now - requested_at).total_seconds() if requested_at is not None else None,
        calls=_calls(s),
        is_open=breaker.is_open,
        is_paused=breaker.is_paused,
        # The day in UTC: figures on a dashboard may be hours late.
        certificates=Expiries(s).counted(s.now.date()),
        token_seconds=_seconds_left(s, tokens),
        client_seconds=_seconds_left(s, client_secrets),
        reconciled=compared,
        reconciled_seconds=(s.now - compared.started_at).total_seconds() if compared is not None else None,
        reconcile_exit=last.exit if last is not None else None,
        unsent_notices=sum(each.count for each in s.notices.unsent()),
        entra=s.entra_jobs.last(),
    )


def _calls(s: Transaction) -> dict[str, Calls]:
    since = s.now - timedelta(seconds=RECENT_SECONDS)
    rows = s.connection.execute(
        select(history.c.what, history.c.outcome, history.c.duration_ms)
        .where(history.c.tenant == s.tenant, history.c.at >= since, history.c.duration_ms.is_not(None))
        .order_by(history.c.at.desc())
        .limit(MOST_CALLS)
    ).all()
    failed = Counter(row.what for row in rows if row.outcome != "done")
    seconds: dict[str, list[float]] = {}
    for row in rows:
        seconds.setdefault(row.what, []).append(row.duration_ms / 1000)
    return {what: Calls(len(took), failed[what], sorted(took)) for what, took in seconds.items()}


def _seconds_left(s: Transaction, kept: Table) -> float | None:
    """Return seconds until the last valid secret of a table expires; None if one never does, or there is none."""
    valid = s.connection.execute(
        select(kept.c.expires_at).where(
            kept.c.tenant == s.tenant,
            kept.c.revoked_at.is_(None),
            or_(kept.c.expires_at.is_(None), kept.c.expires_at > s.now),
        )
    ).scalars()
    ends = list(valid)
    return None if not ends or None in ends else (max(ends) - s.now).total_seconds()
