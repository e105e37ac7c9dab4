"""Intake: turns a SCIM write into a person who is due, in the transaction that saves the user (rules A1, A5, L8)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from scim_bridge.certificates.entries import SlotEntries
from scim_bridge.delivery.attempt import Facts, facts_of, with_lines
from scim_bridge.delivery.claims import (
    PreviousPerson,
    claim_for_newcomer,
    claim_wanted,
    continue_previous,
    external_id_of,
    find_or_make_room,
    settle_claims,
)
from scim_bridge.delivery.undo import Undoable
from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.employee import Days, DesiredEmployee, Field, first_days, next_days
from scim_bridge.domain.outcome import (
    NOT_THERE,
    DeliveryView,
    IncompleteRefused,
    Note,
    Reason,
    Settled,
    State,
    remarks,
)
from scim_bridge.domain.person import GuardedChange, Person, PersonId, RequestedAt, Verdict
from scim_bridge.domain.values import JsonObject, UserId
from scim_bridge.plan.diff import as_found, is_covered
from scim_bridge.plan.limits import Moment, first_occasions, next_occasions
from scim_bridge.plan.steps import awaited_last_day, plan_person, wakes_on
from scim_bridge.scim.reading import active_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.guard import held_or_dropped
from scim_bridge.storage.history import Entry
from scim_bridge.storage.outbox import PAUSED
from scim_bridge.storage.people import NewMark, PersonRecord
from scim_bridge.storage.resources import StoredResource, document_of
from scim_bridge.tenant import LEASE_MARGIN_SECONDS, NOTHING_DESIRED, Tenant


def occasions_after(
    s: Session, tenant: Tenant, person: Person, days: Days, desired: DesiredEmployee, earlier: JsonObject | None
) -> RequestedAt:
    """Return when Entra requested each guarded change, after another write for a known person.

    :param person: The person before the write; `days` and `desired` are those after it.
    :param earlier: The document before the write; None if this person had none.
    """
    moment = Moment(s.now, tenant.today(s.now), tenant.rules.zone)

    def before() -> DesiredEmployee | None:
        return None if earlier is None else tenant.desired(earlier, person, moment.today)

    after = next_occasions(person, days, desired, moment, before)
    is_requested_anew = person.days.active and not days.active
    return _requested_anew(s, tenant, person, after) if is_requested_anew else after


def occasions_of_deleted(s: Session, tenant: Tenant, person: Person, days: Days) -> RequestedAt:
    """Return when Entra requested each guarded change of a deleted user: only the ending is owed (rule L7)."""
    moment = Moment(s.now, tenant.today(s.now), tenant.rules.zone)
    after = next_occasions(person, days, NOTHING_DESIRED, moment, lambda: None)
    return _requested_anew(s, tenant, person, after)


def _requested_anew(s: Session, tenant: Tenant, person: Person, after: RequestedAt) -> RequestedAt:
    """Request a withdrawn ending anew: it meets the guard again once Entra changes `active`, or deletes the user."""
    said = after.ending
    if said is None or said != person.occasions.ending:
        return after
    if held_or_dropped(s, person.id).get(GuardedChange.ending) is not Verdict.dropped:
        return after
    return replace(after, ending=max(s.now, said + timedelta(microseconds=1)))


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
    facts: Facts | None = None
    """What is known of the person, if nothing is in the way of the delivery."""

    view: DeliveryView | None = None
    """The state of the delivery after the transaction, if it is known; without the time at which it began."""

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


@dataclass(frozen=True, slots=True)
class Intake:
    """Turns the writes of one request into people who are due. It is cheap: make one for each request."""

    tenant: Tenant
    request_id: str
    queues_only: bool = False
    """Whether a worker delivers in any case: the request takes no lease, so nothing waits for its end (rule A4)."""

    def user_created(self, s: Session, user_id: UserId, document: JsonObject) -> Ticket:
        """Take in a new user. :raises IncompleteRefused: required values are missing or unusable (rule H3)."""
        today = self.tenant.today(s.now)
        desired = self.tenant.desired(document, None, today)
        external_id = external_id_of(document)
        days = first_days(
            active=active_of(document),
            leave=desired.day(Field.end_date),
            start=None if Field.start_date in desired.defaulted else desired.day(Field.start_date),
            today=today,
        )
        person = Person(
            id=PersonId(self.tenant.new_id()),
            user_id=user_id,
            days=days,
            provisioned_on=today,
            occasions=first_occasions(days, desired, Moment(s.now, today, self.tenant.rules.zone)),
        )
        former, notes = PreviousPerson(), list[Note]()
        has_claims = claim_for_newcomer(s, person, desired, today)
        if not has_claims:
            former = find_or_make_room(s, self.tenant, desired, external_id)
            if (known := former.record) is not None:
                s.people.set_user(known.person.id, user_id, external_id=external_id)
                record = replace(known, person=replace(known.person, user_id=user_id))
                return replace(self._take_change(s, record, document, None, "user-created"), undoable=None)
        self._refuse_incomplete(person, desired, today)
        mark = self._mark_of_new(s, s.breaker.lately())
        record = s.people.add(
            person, external_id=external_id, wakes_on=wakes_on(person, self.tenant.policy, today), mark=mark
        )
        if not has_claims:
            notes = claim_wanted(s, self.tenant, person, desired, today)
        notes += self._certificates(s).keep(person, document, desired.employee_number)
        self._remember(s, person.id, "user-created")
        may_undo = person.days.wants_employment(today) and not former.has_made_room and mark.state is State.due
        undoable = Undoable(user_id) if may_undo else None
        ticket = Ticket(person.id, mark.lease, mark.lease_seconds, undoable=undoable, view=DeliveryView.of(record))
        return ticket if notes else self._with_facts(s, ticket, document, record)

    def user_changed(
        self, s: Session, user_id: UserId, document: JsonObject, before: JsonObject, what: str = "user-changed"
    ) -> Ticket | None:
        """Take in a change of a user. :raises IncompleteRefused: required values are missing or unusable (rule H3).

        :param what: Who changed it, as the history calls it.
        """
        record, s = s.person_of(user_id)
        s.breaker.lately()  # Needed below in most cases; read first, it tells the time too.
        if record is None:
            # Another user took over this user's person (rule P2). A user who is still inactive needs nothing.
            return self.user_created(s, user_id, document) if active_of(document) else None
        return self._take_change(s, record, document, before, what)

    def user_repeated(self, s: Session, user_id: UserId) -> Ticket | None:
        """Make a held or parked person due again, after a write that changed nothing (rule A5)."""
        record, s = s.person_of(user_id)
        if record is None or record.reason is None:
            return None
        return self._due(s, record.person.id, "user-repeated")

    def waiter_looked_at(self, s: Session, record: PersonRecord) -> bool:
        """Let a waiter take over the leaver that they continue, if the leaver has what they wait for (rule P2).

        Return whether that happened, or the leaver gave up the number: that makes a person due, and ends this attempt.

        :param record: The waiter, locked and not linked yet.
        """
        user_id = record.person.user_id
        document = document_of(s, user_id) if user_id is not None else None
        if document is None:
            return False
        today = self.tenant.today(s.now)
        desired = self.tenant.desired(document, record.person, today)
        former, may_undo = continue_previous(s, self.tenant, record, document, desired)
        if former is record:
            return not may_undo
        self._take_change(s, former, document, None, "user-continued")
        return True

    def user_deleted(self, s: Session, user_id: UserId, before: JsonObject) -> Ticket | None:
        """Take in the deletion of a user, which is an ending (rule L7).

        :param before: The document that was deleted.
        """
        record, s = s.person_of(user_id)
        people = s.people
        if record is None:
            return None  # The person belongs to another user now: this DELETE ends no employment (rule P2).
        today = self.tenant.today(s.now)
        days = self._days_after(record.person, active=False, leave=record.person.days.leave, today=today)
        occasions = occasions_of_deleted(s, self.tenant, record.person, days)
        people.set_days(record.person.id, days, occasions, wakes_on=None)
        people.set_user(record.person.id, None, external_id=None, called=before.get("userName"))
        return self._due(s, record.person.id, "user-deleted")

    def certificate_said(self, s: Session, person_id: PersonId, what: str) -> Ticket | None:
        """Take in a changed certificate. It is delivered with its person, if they work and have an employee (K2)."""
        record = s.people.get(person_id, lock=True)
        s = s.of(s.tenant)  # The lock may have taken its time: ask for the time again.
        today = self.tenant.today(s.now)
        if record is None or record.person.employee_number is None or not record.person.days.wants_employment(today):
            return None
        return self._due(s, person_id, what)

    def _take_change(
        self, s: Session, record: PersonRecord, document: JsonObject, earlier: JsonObject | None, what: str
    ) -> Ticket:
        """Take in a write for a known person.

        :param earlier: The document before the write; None if this person had none.
        """
        known, today = record, self.tenant.today(s.now)
        desired = self.tenant.desired(document, known.person, today)
        record, may_undo = continue_previous(s, self.tenant, known, document, desired)
        if record is not known:
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
        people = s.people
        occasions = occasions_after(s, self.tenant, record.person, days, desired, earlier)
        people.set_days(
            person.id,
            days,
            occasions,
            wakes_on=wakes_on(person, self.tenant.policy, today),
            external_id=external_id_of(document),
        )
        notes = claim_wanted(s, self.tenant, person, desired, today)
        certificates = self._certificates(s)
        notes += certificates.keep(person, document, desired.employee_number)
        if days.wants_employment(today) and not before.wants_employment(today):
            certificates.assert_again(person)
        if is_settled(self.tenant, record, person, desired, notes, today) and not certificates.owes(person):
            return self._settle(s, person, desired, today, what, record.state)
        # An ending is never undone (rule L6), nor is a write for a person who has left.
        may_undo = may_undo and days.wants_employment(today)
        undoable = Undoable(person.user_id, known) if may_undo and person.user_id is not None else None
        ticket = self._due(s, person.id, what, undoable)
        if ticket.view is not None:
            ticket = replace(ticket, view=replace(ticket.view, delivered_at=record.delivered_at))
        return ticket if notes else self._with_facts(s, ticket, document)

    def _with_facts(
        self, s: Session, ticket: Ticket, document: JsonObject, record: PersonRecord | None = None
    ) -> Ticket:
        """Return the ticket with what its delivery needs to know, which saves it a transaction.

        :param record: The person as they are stored now; None if that has to be read.
        """
        if ticket.lease is None:
            return ticket
        record = record or s.people.get(ticket.person_id)
        if record is None:
            return ticket
        return replace(ticket, facts=with_lines(s, facts_of(s, self.tenant, record, document)))

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
        self, s: Session, person: Person, desired: DesiredEmployee, today: date, what: str, was: State
    ) -> Ticket:
        last_day = awaited_last_day(person, self.tenant.policy, today)
        outranked = self._certificates(s).outranked(person)
        settled = Settled((*remarks(person, desired, last_day=last_day), *outranked))
        settle_claims(s, self.tenant, person, desired, today, keep_all=False)
        s.outbox.settle(person.id, state=settled.state, reason=settled.reason, detail=settled.detail)
        self._remember(s, person.id, what)
        if settled.state is not was:
            # No delivery follows, and the history has to end with the current state (rule D5).
            entry = Entry("delivery", settled.reason or settled.state, cause="request", request_id=self.request_id)
            s.history.add(person.id, entry)
        return Ticket(person.id, None)

    def _mark_of_new(self, s: Session, breaker: Breaker) -> NewMark:
        """Return how the delivery of a new person stands: due, or held during a pause."""
        if self.tenant.is_paused or breaker.is_paused:
            return NewMark(State.held, Reason.paused, PAUSED)
        lease, seconds = self._own_lease(s, breaker)
        return NewMark(
            State.due, detail=breaker.told(s.now), request_id=self.request_id, lease=lease, lease_seconds=seconds
        )

    def _own_lease(self, s: Session, breaker: Breaker) -> tuple[str | None, float]:
        """Return the name of a lease for this request, and its seconds. None if the request does not deliver."""
        # While Ditio must not be called, no request waits for it (rule D2).
        is_inline = self.tenant.inline_seconds > 0 and not self.queues_only and breaker.lets_through(s.now)
        return self.tenant.new_id() if is_inline else None, self.tenant.inline_seconds + LEASE_MARGIN_SECONDS

    def _due(self, s: Session, person_id: PersonId, what: str, undoable: Undoable | None = None) -> Ticket:
        breaker = s.breaker.lately()
        if self.tenant.is_paused or breaker.is_paused:
            s.pauses.hold(person_id)
            self._remember(s, person_id, what)
            return Ticket(person_id, None, view=DeliveryView(State.held, PAUSED))
        lease, seconds = self._own_lease(s, breaker)
        detail = breaker.told(s.now)
        granted = s.outbox.mark_due(
            person_id, request_id=self.request_id, lease=lease, lease_seconds=seconds, detail=detail
        )
        self._remember(s, person_id, what)
        view = DeliveryView(State.due, detail)
        return Ticket(person_id, lease if granted else None, seconds, view=view, undoable=undoable)

    def _remember(self, s: Session, person_id: PersonId, what: str) -> None:
        entry = Entry(what, "accepted", cause="request", request_id=self.request_id)
        s.history.add(person_id, entry)

    def _refuse_incomplete(self, person: Person, desired: DesiredEmployee, today: date) -> None:
        is_new = person.employee_number is None and person.creating is None
        if self.tenant.refuse_incomplete and is_new and person.days.wants_employment(today) and desired.missing():
            raise IncompleteRefused(desired.missing())

    def _certificates(self, s: Session) -> SlotEntries:
        return SlotEntries(s, self.tenant)
