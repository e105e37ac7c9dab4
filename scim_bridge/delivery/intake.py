"""Intake: turns a SCIM write into a person who is due, in the transaction that saves the user (rules A1, A5, L8)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from scim_bridge.certificates.entries import SlotEntries
from scim_bridge.delivery.claims import (
    claim_wanted,
    continue_previous,
    external_id_of,
    find_or_make_room,
    settle_claims,
)
from scim_bridge.delivery.undo import Undoable
from scim_bridge.domain.employee import Days, DesiredEmployee, Field, Problem, first_days, next_days
from scim_bridge.domain.outcome import NOT_THERE, Note, Settled, State, remarks
from scim_bridge.domain.person import GuardedChange, Person, PersonId, RequestedAt, Verdict
from scim_bridge.domain.values import JsonObject, UserId
from scim_bridge.errors import BridgeError
from scim_bridge.plan.diff import as_found, is_covered
from scim_bridge.plan.limits import Moment, first_occasions, next_occasions
from scim_bridge.plan.steps import awaited_last_day, plan_person, wakes_on
from scim_bridge.scim.reading import active_of
from scim_bridge.storage.breaker import Breakers, Pauses
from scim_bridge.storage.database import Database
from scim_bridge.storage.guard import held_or_dropped
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, PersonRecord
from scim_bridge.storage.resources import StoredResource, document_of
from scim_bridge.tenant import LEASE_MARGIN_SECONDS, NOTHING_DESIRED, Tenant


def occasions_after(
    connection: Connection,
    tenant: Tenant,
    person: Person,
    days: Days,
    desired: DesiredEmployee,
    earlier: JsonObject | None,
    now: datetime,
) -> RequestedAt:
    """Return when Entra requested each guarded change, after another write for a known person.

    :param person: The person before the write; `days` and `desired` are those after it.
    :param earlier: The document before the write; None if this person had none.
    """
    moment = Moment(now, tenant.today(now), tenant.rules.zone)

    def before() -> DesiredEmployee | None:
        return None if earlier is None else tenant.desired(earlier, person, moment.today)

    after = next_occasions(person, days, desired, moment, before)
    is_requested_anew = person.days.active and not days.active
    return _requested_anew(connection, tenant, person, after, now) if is_requested_anew else after


def occasions_of_deleted(
    connection: Connection, tenant: Tenant, person: Person, days: Days, now: datetime
) -> RequestedAt:
    """Return when Entra requested each guarded change of a deleted user: only the ending is owed (rule L7)."""
    moment = Moment(now, tenant.today(now), tenant.rules.zone)
    after = next_occasions(person, days, NOTHING_DESIRED, moment, lambda: None)
    return _requested_anew(connection, tenant, person, after, now)


def _requested_anew(
    connection: Connection, tenant: Tenant, person: Person, after: RequestedAt, now: datetime
) -> RequestedAt:
    """Request a withdrawn ending anew: it meets the guard again once Entra changes `active`, or deletes the user."""
    said = after.ending
    if said is None or said != person.occasions.ending:
        return after
    if held_or_dropped(connection, tenant.name, person.id).get(GuardedChange.ending) is not Verdict.dropped:
        return after
    return replace(after, ending=max(now, said + timedelta(microseconds=1)))


def is_settled(
    tenant: Tenant, record: PersonRecord, person: Person, desired: DesiredEmployee, notes: Sequence[Note], today: date
) -> bool:
    """Return whether Ditio has already acknowledged what Entra wants now, so no delivery is needed (rule A5)."""
    if person.doubted_at is not None:
        return False  # Only another read shows what Ditio has (rule C5).
    if record.due_since is not None or record.lease is not None or notes or record.reason in NOT_THERE:
        return False
    if person.employee_number is None or person.acknowledged.login is None:
        return False
    if person.hands_off is not None and person.hands_off.lasts(today):
        return False
    policy = tenant.policy
    if not is_covered(desired, person.acknowledged, policy.owners, employed=person.days.wants_employment(today)):
        return False
    shown = as_found(person.employee_number, person.acknowledged)
    return not plan_person(person, desired, shown, policy, today=today).operations


@dataclass(frozen=True, slots=True)
class Ticket:
    """The person to deliver once the transaction is committed."""

    person_id: PersonId
    lease: str | None
    """The lease that this request has on the person; None if there is nothing to deliver while it waits."""

    lease_seconds: float = 0.0
    undoable: Undoable | None = None
    """What to take back if Ditio refuses it while the request waits; None if it is never taken back (rule R1)."""

    def over(self, before: StoredResource, version: int) -> "Ticket":
        """Return this ticket for a write that replaced a document.

        :param before: The document before the write.
        :param version: The document's version after the write.
        """
        if self.undoable is None:
            return self
        return replace(self, undoable=replace(self.undoable, document=before, version=version))


class IncompleteRefused(BridgeError):
    """`DELIVERY__ON_INCOMPLETE` is `refuse`, and required values are missing or unusable (rule H3)."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Intake:
    """Turns the writes of one request into people who are due. It is cheap: make one for each request."""

    database: Database
    tenant: Tenant
    request_id: str
    new_id: Callable[[], str]
    queues_only: bool = False
    """Whether a worker delivers in any case: the request takes no lease, so nothing waits for its end (rule A4)."""

    def user_created(self, connection: Connection, user_id: UserId, document: JsonObject) -> Ticket:
        """Take in a new user. :raises IncompleteRefused: required values are missing or unusable (rule H3)."""
        now, today = self._moment(connection)
        desired = self.tenant.desired(document, None, today)
        people = People(connection, self.tenant.name)
        external_id = external_id_of(document)
        former = find_or_make_room(connection, self.tenant, desired, external_id, now)
        if (known := former.record) is not None:
            people.set_user(known.person.id, user_id, external_id=external_id, now=now)
            record = replace(known, person=replace(known.person, user_id=user_id))
            return replace(self._take_change(connection, record, document, None, now, "user-created"), undoable=None)
        days = first_days(
            active=active_of(document),
            leave=desired.day(Field.end_date),
            start=None if Field.start_date in desired.defaulted else desired.day(Field.start_date),
            today=today,
        )
        person = Person(
            id=PersonId(self.new_id()),
            user_id=user_id,
            days=days,
            provisioned_on=today,
            occasions=first_occasions(days, desired, Moment(now, today, self.tenant.rules.zone)),
        )
        self._refuse_incomplete(person, desired, today)
        waking = wakes_on(person, self.tenant.policy, today)
        people.add(person, external_id=external_id, wakes_on=waking, now=now)
        claim_wanted(connection, self.tenant, person, desired, today)
        self._certificates(connection, now).keep(person, document, desired.employee_number)
        may_undo = person.days.wants_employment(today) and not former.has_made_room
        return self._due(connection, person.id, now, "user-created", Undoable(user_id) if may_undo else None)

    def user_changed(
        self, connection: Connection, user_id: UserId, document: JsonObject, before: JsonObject
    ) -> Ticket | None:
        """Take in a change of a user. :raises IncompleteRefused: required values are missing or unusable (rule H3)."""
        record = People(connection, self.tenant.name).of_user(user_id, lock=True)
        if record is None:
            # Another user took over this user's person (rule P2). A user who is still inactive needs nothing.
            return self.user_created(connection, user_id, document) if active_of(document) else None
        now, _ = self._moment(connection)
        return self._take_change(connection, record, document, before, now, "user-changed")

    def user_repeated(self, connection: Connection, user_id: UserId) -> Ticket | None:
        """Make a held or parked person due again, after a write that changed nothing (rule A5)."""
        record = People(connection, self.tenant.name).of_user(user_id, lock=True)
        if record is None or record.reason is None:
            return None
        now, _ = self._moment(connection)
        return self._due(connection, record.person.id, now, "user-repeated")

    def waiter_looked_at(self, connection: Connection, record: PersonRecord) -> bool:
        """Let a waiter take over the leaver that they continue, if the leaver has what they wait for (rule P2).

        Return whether that happened, or the leaver gave up the number: that makes a person due, and ends this attempt.

        :param record: The waiter, locked and not linked yet.
        """
        user_id = record.person.user_id
        document = document_of(connection, self.tenant.name, user_id) if user_id is not None else None
        if document is None:
            return False
        now, today = self._moment(connection)
        former, may_undo = continue_previous(connection, self.tenant, record, document, now, today)
        if former is record:
            return not may_undo
        self._take_change(connection, former, document, None, now, "user-continued")
        return True

    def user_deleted(self, connection: Connection, user_id: UserId, before: JsonObject) -> Ticket | None:
        """Take in the deletion of a user, which is an ending (rule L7).

        :param before: The document that was deleted.
        """
        people = People(connection, self.tenant.name)
        record = people.of_user(user_id, lock=True)
        if record is None:
            return None  # The person belongs to another user now: this DELETE ends no employment (rule P2).
        now, today = self._moment(connection)
        days = self._days_after(record.person, active=False, leave=record.person.days.leave, today=today)
        occasions = occasions_of_deleted(connection, self.tenant, record.person, days, now)
        people.set_days(record.person.id, days, occasions, wakes_on=None)
        people.set_user(record.person.id, None, external_id=None, now=now)
        return self._due(connection, record.person.id, now, "user-deleted")

    def certificate_said(self, connection: Connection, person_id: PersonId, what: str) -> Ticket | None:
        """Take in a changed certificate. It is delivered with its person, if they work and have an employee (K2)."""
        record = People(connection, self.tenant.name).get(person_id, lock=True)
        now, today = self._moment(connection)
        if record is None or record.person.employee_number is None or not record.person.days.wants_employment(today):
            return None
        return self._due(connection, person_id, now, what)

    def _take_change(
        self,
        connection: Connection,
        record: PersonRecord,
        document: JsonObject,
        earlier: JsonObject | None,
        now: datetime,
        what: str,
    ) -> Ticket:
        """Take in a write for a known person.

        :param earlier: The document before the write; None if this person had none.
        """
        known, today = record, self.tenant.today(now)
        record, may_undo = continue_previous(connection, self.tenant, known, document, now, today)
        desired = self.tenant.desired(document, record.person, today)
        before = record.person.days
        # An unreadable leave date does not clear the earlier one: the last valid leave date stays.
        is_unreadable = any(problem.field is Field.end_date for problem in desired.problems)
        days = self._days_after(
            record.person,
            active=active_of(document, otherwise=before.active),
            leave=before.leave if is_unreadable else desired.day(Field.end_date),
            start=None if Field.start_date in desired.defaulted else desired.day(Field.start_date),
            today=today,
        )
        person = replace(record.person, days=days)
        self._refuse_incomplete(person, desired, today)
        people = People(connection, self.tenant.name)
        occasions = occasions_after(connection, self.tenant, record.person, days, desired, earlier, now)
        people.set_days(person.id, days, occasions, wakes_on=wakes_on(person, self.tenant.policy, today))
        people.set_external_id(person.id, external_id_of(document))
        notes = claim_wanted(connection, self.tenant, person, desired, today)
        certificates = self._certificates(connection, now)
        notes += certificates.keep(person, document, desired.employee_number)
        if days.wants_employment(today) and not before.wants_employment(today):
            certificates.assert_again(person)
        if is_settled(self.tenant, record, person, desired, notes, today) and not certificates.owes(person):
            return self._settle(connection, person, desired, now, today, what, record.state)
        # An ending is never undone (rule L6), nor is a write for a person who has left.
        may_undo = may_undo and days.wants_employment(today)
        undoable = Undoable(person.user_id, known) if may_undo and person.user_id is not None else None
        return self._due(connection, person.id, now, what, undoable)

    def _days_after(
        self, person: Person, *, active: bool, leave: date | None, start: date | None = None, today: date
    ) -> Days:
        acknowledged = person.acknowledged
        return next_days(
            person.days,
            active=active,
            leave=leave,
            today=today,
            start=start,
            open_start=acknowledged.day(Field.start_date) if acknowledged.employed else None,
            ended_on=acknowledged.ended_on,
        )

    def _settle(
        self,
        connection: Connection,
        person: Person,
        desired: DesiredEmployee,
        now: datetime,
        today: date,
        what: str,
        was: State,
    ) -> Ticket:
        last_day = awaited_last_day(person, self.tenant.policy, today)
        outranked = self._certificates(connection, now).outranked(person)
        settled = Settled((*remarks(person, desired, last_day=last_day), *outranked))
        settle_claims(connection, self.tenant, person, desired, today, now, keep_all=False)
        Outbox(connection, self.tenant.name, now).settle(
            person.id, state=settled.state, reason=settled.reason, detail=settled.detail
        )
        self._remember(connection, person.id, now, what)
        if settled.state is not was:
            # No delivery follows, and the history has to end with the current state (rule D5).
            entry = Entry("delivery", settled.reason or settled.state, cause="request", request_id=self.request_id)
            History(connection, self.tenant.name, now).add(person.id, entry)
        return Ticket(person.id, None)

    def _due(
        self, connection: Connection, person_id: PersonId, now: datetime, what: str, undoable: Undoable | None = None
    ) -> Ticket:
        breaker = Breakers(connection, self.tenant.name, now).get()
        if self.tenant.is_paused or breaker.is_paused:
            Pauses(connection, self.tenant.name, now).hold(person_id)
            self._remember(connection, person_id, now, what)
            return Ticket(person_id, None)
        # While Ditio must not be called, no request waits for it (rule D2).
        is_inline = self.tenant.inline_seconds > 0 and not self.queues_only and breaker.lets_through(now)
        lease = self.new_id() if is_inline else None
        seconds = self.tenant.inline_seconds + LEASE_MARGIN_SECONDS
        granted = Outbox(connection, self.tenant.name, now).mark_due(
            person_id, request_id=self.request_id, lease=lease, lease_seconds=seconds, detail=breaker.told(now)
        )
        self._remember(connection, person_id, now, what)
        return Ticket(person_id, lease if granted else None, seconds, undoable)

    def _remember(self, connection: Connection, person_id: PersonId, now: datetime, what: str) -> None:
        entry = Entry(what, "accepted", cause="request", request_id=self.request_id)
        History(connection, self.tenant.name, now).add(person_id, entry)

    def _refuse_incomplete(self, person: Person, desired: DesiredEmployee, today: date) -> None:
        is_new = person.employee_number is None and person.creating is None
        if self.tenant.refuse_incomplete and is_new and person.days.wants_employment(today) and desired.missing():
            raise IncompleteRefused(desired.missing())

    def _certificates(self, connection: Connection, now: datetime) -> SlotEntries:
        return SlotEntries(connection, self.tenant, now, self.new_id)

    def _moment(self, connection: Connection) -> tuple[datetime, date]:
        now = self.database.now(connection)
        return now, self.tenant.today(now)
