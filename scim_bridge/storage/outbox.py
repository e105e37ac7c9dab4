"""The outbox: the people who are due, their leases, and how deliveries ended (rules D1, D3). No payload is queued."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Float, Row, and_, bindparam, case, func, or_, select, true, update

from scim_bridge.domain.outcome import CAP_SECONDS, SHOULD_BE_INACTIVE, Reason, State, reason_of
from scim_bridge.domain.person import Acknowledged, PersonId
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.breaker import Breakers
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.people import NOT_DUE, PersonRecord, change_person, record_of
from scim_bridge.storage.prepared import Prepared
from scim_bridge.storage.tables import breakers, people, resources


@dataclass(frozen=True, slots=True)
class Leased:
    """A person who is to be delivered now, by the process that holds this lease, and by no other."""

    tenant: str
    person_id: PersonId
    lease: str


@dataclass(frozen=True, slots=True)
class Status:
    """What `outbox status` prints."""

    due: int
    held: int
    parked: int
    oldest_seconds: float | None
    """For how long the oldest due person has been due, whatever the time of the next try; None if no one is due."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why people wait."""

    state: State
    reason: Reason | None


def _leased(lease: Any, until: Any, now: Any) -> dict[str, Any]:
    """Return the columns of a new lease. The holder of a lease that ran out may have sent a write (rule C5)."""
    ran_out = case((people.c.leased_until > now, now), else_=people.c.leased_until)
    return {
        "lease": lease,
        "leased_until": until,
        "doubted_at": case((people.c.leased_until.is_not(None), ran_out), else_=people.c.doubted_at),
    }


def _due(now: Any) -> dict[str, Any]:
    return {
        "state": State.due,
        "reason": None,
        "detail": None,
        "state_since": case((people.c.state == State.due, people.c.state_since), else_=now),
        "due_since": func.coalesce(case((people.c.state == State.due, people.c.due_since)), now),
        "due_at": now,
        "attempts": 0,
        "revision": people.c.revision + 1,
        "scope": None,  # A live change removes the scope of a drift mark (rule Q3).
    }


# Built once: each write executes them.
_now, _until = bindparam("now", type_=people.c.due_at.type), bindparam("until", type_=people.c.due_at.type)
_person = update(people).where(people.c.tenant == bindparam("of_tenant"), people.c.id == bindparam("person_id"))
_lease: BindParameter[str] = bindparam("lease_id")
_due_again = _person.values({**_due(_now), "detail": bindparam("detail_of")})
_MARK_DUE, _MARK_DUE_FOR_REQUEST = Prepared(_due_again), Prepared(_due_again.values(request_id=bindparam("request")))
_free = people.c.leased_until.is_(None) | (people.c.leased_until <= _now)
_LEASE = Prepared(_person.where(people.c.state == State.due, _free).values(_leased(_lease, _until, _now)))
_ours = _person.where(people.c.lease == _lease)
_RENEW = Prepared(_ours.values(leased_until=_until).returning(_now.label("now_is")))
# PostgreSQL's time when it got the statement, so before it waits for the row.
_asked_at, _span = func.statement_timestamp(), func.make_interval(0, 0, 0, 0, 0, 0, bindparam("seconds", type_=Float))
_RENEW_AND_ASK = Prepared(_ours.values(leased_until=_asked_at + _span).returning(_asked_at.label("now_is")))


class Outbox(Repository):
    """The due marks of one tenant, within one transaction. `now` is the database's clock."""

    def mark_due(
        self,
        person_id: PersonId,
        *,
        request_id: str | None = None,
        lease: str | None = None,
        lease_seconds: float = 0,
        detail: str | None = None,
    ) -> bool:
        """Mark a person due. Return whether the requested lease was granted.

        A lease that another process holds stays: that process sees the new revision and delivers again.
        """
        values = {**self._row(person_id), "detail_of": detail, "request": request_id}
        self._s.later(_MARK_DUE if request_id is None else _MARK_DUE_FOR_REQUEST, values)
        return lease is not None and self.lease(person_id, lease, lease_seconds)

    def mark_all_due(self, which: ColumnElement[bool], **values: object) -> int:
        """Mark many people due, in one statement. Return how many."""
        marked = self._connection.execute(
            update(people).where(people.c.tenant == self._tenant, which).values({**_due(self._now), **values})
        )
        return marked.rowcount

    def lease(self, person_id: PersonId, lease: str, seconds: float) -> bool:
        """Take the lease on a person who is due. Return False if another process has it."""
        return _LEASE.execute(self._connection, self._row(person_id, lease, seconds)).rowcount == 1

    def lease_next(self, lease: str, seconds: float, *, is_probe: bool = False) -> Leased | None:
        """Lease the person who has waited longest among those whose time has come; None if there is none.

        :param is_probe: Ignore each person's back-off, because the breaker has its own (rule D2). People who fail
            alone come last (rule R3).
        """
        candidate = (
            select(people.c.id)
            .where(self._has_come(is_probe=is_probe))
            .order_by(*([people.c.fails_alone] if is_probe else []), people.c.due_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, people.c.id == candidate.scalar_subquery())
            .values(**_leased(lease, self._now + timedelta(seconds=seconds), self._now))
            .returning(people.c.id)
        ).first()
        return Leased(self._tenant, PersonId(row.id), lease) if row is not None else None

    def renewing(self, person_id: PersonId, lease: str, seconds: float) -> tuple[Prepared, dict[str, object]]:
        """Return the statement that extends a lease beyond the next call, and its parameters: see `Session.renew`."""
        # A lease that ran out is still ours until another process takes it, which writes another name.
        if self._s.told_now is not None:
            return _RENEW, self._row(person_id, lease, seconds)
        ours = {"of_tenant": self._tenant, "person_id": person_id, "lease_id": lease, "seconds": seconds}
        return _RENEW_AND_ASK, ours

    def release(self, person_id: PersonId, lease: str) -> None:
        """Give a lease back, delivered or not."""
        self._connection.execute(
            update(people).where(self._is(person_id), people.c.lease == lease).values(lease=None, leased_until=None)
        )

    def settle(
        self,
        person_id: PersonId,
        *,
        state: State,
        reason: Reason | None,
        detail: str | None,
        gives_back: bool = False,
    ) -> None:
        """Store how a delivery ended, and give the lease back if asked. The caller holds it, and knows the revision."""
        ended = {"state": state, "reason": reason, "detail": detail, "state_since": self._now, **NOT_DUE}
        delivered = {"delivered_at": self._now} if state is State.delivered else {}
        given_back = {"lease": None, "leased_until": None} if gives_back else {}
        change_person(self._s, person_id, {**ended, **delivered, **given_back})

    def try_again(self, person_id: PersonId, *, after_seconds: float, detail: str, failed: bool) -> None:
        """Leave a person due, to be retried later.

        :param failed: Whether this counts as a failed attempt; running out of a request's time does not.
        """
        self._connection.execute(
            update(people)
            .where(self._is(person_id), people.c.state == State.due)
            .values(
                due_at=self._now + timedelta(seconds=after_seconds),
                attempts=people.c.attempts + (1 if failed else 0),
                detail=detail,
            )
        )

    def wake(self, today: date, limit: int = 500) -> int:
        """Mark the people due whose day has come (rule L2), at most `limit` at once. Return how many."""
        rows = self._connection.execute(
            select(people.c.id)
            .where(people.c.tenant == self._tenant, people.c.wakes_on.is_not(None), people.c.wakes_on <= today)
            .order_by(people.c.wakes_on)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        woken = [row.id for row in rows]
        return self.mark_all_due(people.c.id.in_(woken), wakes_on=None) if woken else 0

    def retry(self, person_id: PersonId | None = None) -> int:
        """Mark people due now who are due, parked, or held for a claim, an operation or data. Return how many.

        For a person who waits for a claim, the holder is checked in Ditio first (rule P3).
        """
        retried = or_(
            people.c.state.in_([State.due, State.parked]),
            and_(people.c.state == State.held, people.c.reason.in_(list(RETRIED))),
        )
        which = retried if person_id is None else and_(retried, people.c.id == person_id)
        chosen = select(people.c.id).where(people.c.tenant == self._tenant, which)
        Acknowledgements(self._s).forgive(chosen)
        Claims(self._s).ask_for_a_look(chosen)
        return self.mark_all_due(which)

    def has_work(self, *, is_probe: bool = False) -> bool:
        """Return whether any person is due now and not leased; see `lease_next`."""
        query = select(people.c.id).where(self._has_come(is_probe=is_probe)).limit(1)
        return self._connection.execute(query).first() is not None

    def status(self) -> Status:
        """Return the figures for `outbox status`."""
        rows = self._connection.execute(
            select(people.c.state, func.count(), func.min(people.c.due_since))
            .where(people.c.tenant == self._tenant, people.c.state != State.delivered)
            .group_by(people.c.state)
        ).all()
        counts = {State(state): count for state, count, _ in rows}
        oldest = next((since for state, _, since in rows if state == State.due), None)
        return Status(
            due=counts.get(State.due, 0),
            held=counts.get(State.held, 0),
            parked=counts.get(State.parked, 0),
            oldest_seconds=round(max(0.0, (self._now - oldest).total_seconds()), 3) if oldest else None,
        )

    def delivered(self) -> int:
        """Return how many people wait for nothing."""
        query = select(func.count()).where(people.c.tenant == self._tenant, people.c.state == State.delivered)
        return self._connection.execute(query).scalar_one()

    def causes(self) -> dict[Cause, int]:
        """Return for which causes people wait, and how many for each; most first."""
        count = func.count()
        rows = self._connection.execute(
            select(people.c.state, people.c.reason, count)
            .where(people.c.tenant == self._tenant, people.c.state != State.delivered)
            .group_by(people.c.state, people.c.reason)
            .order_by(count.desc(), people.c.state, people.c.reason)
        )
        return {Cause(State(state), reason_of(reason)): number for state, reason, number in rows}

    def waiting(self, cause: Cause | None = None, most: int | None = None) -> list[Row[Any]]:
        """Return all people who are due, held or parked, with their users as Entra sent them.

        Leavers who are still active in Ditio come first (rule L6), then those who have waited longest.

        :param cause: Only those who wait for this cause.
        :param most: How many at most; None for all.
        """
        is_still_active = func.coalesce(people.c.detail, "").startswith(SHOULD_BE_INACTIVE)
        which = [people.c.state != State.delivered]
        if cause is not None:
            which = [people.c.state == cause.state, people.c.reason.is_not_distinct_from(cause.reason)]
        order = (case((is_still_active, 0), else_=1), people.c.state_since, people.c.id)
        if most is not None:  # Chosen before their documents are read: the whole company may wait.
            first = select(people.c.id).where(people.c.tenant == self._tenant, *which).order_by(*order).limit(most)
            which = [people.c.id.in_(self._connection.execute(first).scalars().all())]
        query = (
            select(people, resources.c.document)
            .join(
                resources,
                and_(resources.c.tenant == people.c.tenant, resources.c.id == people.c.user_id),
                isouter=True,
            )
            .where(people.c.tenant == self._tenant, *which)
            .order_by(*order)
        )
        return list(self._connection.execute(query))

    def _row(self, person_id: PersonId, lease: str = "", seconds: float = 0) -> dict[str, object]:
        until = self._now + timedelta(seconds=seconds)
        return {"of_tenant": self._tenant, "person_id": person_id, "lease_id": lease, "until": until, "now": self._now}

    def _has_come(self, *, is_probe: bool) -> Any:
        return and_(
            people.c.tenant == self._tenant,
            people.c.state == State.due,
            true() if is_probe else people.c.due_at <= self._now,
            or_(people.c.leased_until.is_(None), people.c.leased_until <= self._now),
        )

    def _is(self, person_id: PersonId) -> Any:
        return and_(people.c.tenant == self._tenant, people.c.id == person_id)


RETRIED = (Reason.claimed, Reason.no_operation, Reason.incomplete)
"""The reasons for which people are held that `outbox retry` makes due (rule D3)."""


class RestLeases(Repository):
    """Leases on one tenant's people who are not due, within one transaction. `now` is the database's clock.

    A person who becomes due during such a lease stays due. A worker delivers them once the lease is given back.
    """

    def take(self, person_ids: Sequence[PersonId], lease: str, seconds: float, today: date) -> list[PersonRecord]:
        """Lease the people who are not due, not leased, and not hands-off.

        They are returned without their acknowledged fields.
        """
        taken = self._connection.execute(
            update(people)
            .where(self._are(person_ids), self._at_rest(today))
            .values(lease=lease, leased_until=self._now + timedelta(seconds=seconds))
            .returning(people)
        )
        return [record_of(row, Acknowledged()) for row in taken]

    def at_rest(self, person_ids: Sequence[PersonId], today: date) -> list[PersonRecord]:
        """Return the people that `take` would lease now."""
        rows = self._connection.execute(select(people).where(self._are(person_ids), self._at_rest(today)))
        return [record_of(row, Acknowledged()) for row in rows]

    def give_back(self, person_ids: Sequence[PersonId], lease: str) -> frozenset[PersonId]:
        """Give back the leases that are still ours. Return their people."""
        ours = self._connection.execute(
            update(people)
            .where(self._are(person_ids), people.c.lease == lease)
            .values(lease=None, leased_until=None)
            .returning(people.c.id)
        )
        return frozenset(PersonId(row.id) for row in ours)

    def park(self, person_id: PersonId, lease: str, detail: str) -> None:
        """Park a person because Ditio refused something, unless they are held, or due by now."""
        self._connection.execute(
            update(people)
            .where(self._are([person_id]), people.c.lease == lease, people.c.state == State.delivered)
            .values(state=State.parked, reason=Reason.refused, detail=detail, state_since=self._now)
        )

    def _at_rest(self, today: date) -> ColumnElement[bool]:
        is_free = or_(people.c.leased_until.is_(None), people.c.leased_until <= self._now)
        is_not_hands_off = or_(people.c.hands_off.is_(False), people.c.hands_off_until < today)
        return and_(people.c.state != State.due, is_free, is_not_hands_off)

    def _are(self, person_ids: Sequence[PersonId]) -> ColumnElement[bool]:
        return and_(people.c.tenant == self._tenant, people.c.id.in_(person_ids))


def bring_back(s: Transaction, lease_seconds: float) -> int:
    """Move times of due people that are too far ahead back within their caps. Return how many people are due now.

    It uses the index of due people, and keeps the query for the next person simple.

    :param lease_seconds: The longest time for which a lease is taken.
    """
    is_due = (people.c.tenant == s.tenant) & (people.c.state == State.due)
    shorten_leases(s, lease_seconds, is_due)
    latest = s.now + timedelta(seconds=CAP_SECONDS)
    return s.connection.execute(update(people).where(is_due, people.c.due_at > latest).values(due_at=s.now)).rowcount


def shorten_leases(s: Transaction, seconds: float, which: ColumnElement[bool] | None = None) -> int:
    """Shorten leases that last longer than one that is taken now. Return how many were shortened.

    A lease is not ended: its holder may be alive, and renews it before the next call.

    :param which: Only the leases of these people.
    """
    longest = s.now + timedelta(seconds=seconds)
    condition = [people.c.tenant == s.tenant, people.c.leased_until > longest, *([] if which is None else [which])]
    return s.connection.execute(update(people).where(*condition).values(leased_until=longest)).rowcount


PAUSED = "deliveries are paused; they continue once an operator resumes them"
"""The detail of each person who would be delivered during a pause."""


BATCH = 2000
"""People who are made due in one transaction, so that other writers get their turn in between."""


class Pauses(Repository):
    """The pause of one tenant, within one transaction. `now` is the database's clock.

    It is stored in the breaker's row, which every delivery reads first, so it takes effect at once in all processes.
    """

    def pause(self) -> int:
        """Pause, and hold the people who are due. Return how many. Running deliveries stop before their next write."""
        if Breakers(self._s).locked().paused_at is None:
            self._set(self._now)
        return self.hold_due()

    def resume(self) -> int:
        """End the pause, and make the first people due who were held for it. Return how many; see `take_up_all`."""
        Breakers(self._s).locked()
        self._set(None)
        return self.take_up()

    def finds_anybody_due(self) -> bool:
        """Return whether any person is due, including those in back-off."""
        query = select(people.c.id).where(people.c.tenant == self._tenant, people.c.state == State.due).limit(1)
        return self._connection.execute(query).first() is not None

    def hold_due(self) -> int:
        """Hold the people who are due. Return how many."""
        return self._hold(people.c.state == State.due)

    def hold(self, person_id: PersonId) -> None:
        """Hold a person after a change from Entra."""
        self._hold(people.c.id == person_id)

    def take_up(self) -> int:
        """Make people due who were held for a pause, at most `BATCH`. Return how many."""
        query = select(people.c.id).where(self._is_held()).order_by(people.c.state_since, people.c.id).limit(BATCH)
        held = self._connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
        return Outbox(self._s).mark_all_due(people.c.id.in_(held)) if held else 0

    def _hold(self, which: ColumnElement[bool]) -> int:
        held = self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, which)
            .values(
                state=State.held,
                reason=Reason.paused,
                detail=PAUSED,
                state_since=case((people.c.reason == Reason.paused, people.c.state_since), else_=self._now),
                # Only a person who was delivered when the pause began may be settled unread by a later write (rule A5).
                due_since=case(
                    (people.c.state == State.delivered, None),
                    (people.c.reason == Reason.paused, people.c.due_since),
                    else_=func.coalesce(people.c.due_since, self._now),
                ),
                due_at=None,
                attempts=0,
                # A process that delivers the person at this moment sees the new revision, and stops.
                revision=people.c.revision + 1,
            )
        )
        return held.rowcount

    def _is_held(self) -> ColumnElement[bool]:
        of_us = people.c.tenant == self._tenant
        return of_us & (people.c.state == State.held) & (people.c.reason == Reason.paused)

    def _set(self, paused_at: datetime | None) -> None:
        self._connection.execute(update(breakers).where(breakers.c.tenant == self._tenant).values(paused_at=paused_at))
