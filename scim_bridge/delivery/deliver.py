"""Deliver one person: load, attempt, settle (rules D1, D6, H1-H3, P3)."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum, auto

from scim_bridge import traces
from scim_bridge.certificates.entries import SlotEntries
from scim_bridge.delivery.acknowledge import leave_in_doubt
from scim_bridge.delivery.attempt import Attempt, Facts, facts_of, refusal, with_lines
from scim_bridge.delivery.breaker import Gate, check_client, try_again
from scim_bridge.delivery.certificates import deliver_certificates
from scim_bridge.delivery.claims import claim_wanted, settle_claims, tell_the_rest
from scim_bridge.delivery.create import create_employee, find_created, settle_absence
from scim_bridge.delivery.guard import hands_off_note
from scim_bridge.delivery.intake import Intake
from scim_bridge.delivery.plan_rows import deliver_rows, settle_rows
from scim_bridge.delivery.stale_claims import NOT_CHECKED, check_holders
from scim_bridge.delivery.undo import Undo
from scim_bridge.delivery.update import update_employee
from scim_bridge.domain.outcome import MAX_DETAIL, Outcome, Reason, Settled, TryAgain, delay_seconds, remarks
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import CredentialsRefused, DeliveryError, LeaseLost, NotYet, PermanentError, TransientError
from scim_bridge.logs import get_logger
from scim_bridge.plan.readback import is_recent
from scim_bridge.plan.steps import is_still_active
from scim_bridge.storage.database import Session, is_contention, is_out_of_reach, loggable
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.plans import scope_of
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import Budget, Tenant

log = get_logger(__name__)


def attempt_delivery(attempt: Attempt, undo: Undo | None = None) -> Outcome:
    """Deliver one person as far as Ditio permits, and return how the attempt ended. No delivery error is raised.

    :param undo: Takes back the write that caused this delivery, if Ditio refuses it.
    """
    try:
        _take_steps(attempt, undo)
    except PermanentError as error:  # Ditio refused a read. A refused write is noted where it is sent.
        attempt.notes.append(refusal(error))
    except CredentialsRefused as error:
        return check_client(attempt, error)
    except DeliveryError as error:
        return try_again(attempt, error)
    is_owed = is_still_active(
        attempt.person, attempt.tenant.policy, attempt.today, awaits_last_day=attempt.last_day is not None
    )
    return Settled(tuple(attempt.notes), should_be_inactive=is_owed)


def _take_steps(attempt: Attempt, undo: Undo | None) -> None:
    person = attempt.person
    if person.hands_off is not None and person.hands_off.lasts(attempt.today):
        attempt.notes.append(hands_off_note(person.hands_off))
        return
    _wait_for_doubt(attempt)
    if attempt.facts.scope is not None:
        deliver_rows(attempt, attempt.facts.scope)
        return
    checked = check_holders(attempt) if attempt.waits_for_claim else NOT_CHECKED
    if checked.has_changed:
        return  # This person was marked due: the next attempt uses what is known now.
    if person.employee_number is not None:
        update_employee(attempt)
    elif (created := find_created(attempt)) is not None:
        update_employee(attempt, created)
    elif person.is_tombstone or not person.days.wants_employment(attempt.today):
        settle_absence(attempt)
    elif not attempt.waits_for_claim:
        # A person who is not linked yet waits as a whole for a claim (rule P3).
        found = create_employee(attempt)
        if found is not None:
            update_employee(attempt, found)
    if undo is None or not undo.is_to_come(attempt):
        deliver_certificates(attempt)
    if checked.trouble is not None:
        raise checked.trouble
    attempt.notes += remarks(attempt.person, attempt.desired, last_day=attempt.last_day)


def _wait_for_doubt(attempt: Attempt) -> None:
    """Stop this attempt while Ditio may still apply an earlier write: a read proves nothing until then (rule C5).

    :raises NotYet: it is too early to read or write.
    """
    doubted_at = attempt.person.doubted_at
    if doubted_at is None:
        return
    now, lag = attempt.now(), attempt.tenant.read_lag_seconds
    left = lag - (now - doubted_at).total_seconds()
    if left > 0 and is_recent(doubted_at, now, lag):
        raise NotYet("the answer to an earlier write was lost, so Ditio may still apply it", retry_after_seconds=left)


def entry_of(attempt: Attempt, outcome: Outcome) -> Entry:
    """Return the row of the history for one attempt."""
    request_id = attempt.facts.record.request_id
    if isinstance(outcome, TryAgain):
        return Entry(
            "delivery",
            "try-again",
            cause=attempt.cause,
            status=outcome.error.status,
            request_id=request_id,
            ditio_request_id=outcome.error.request_id,
        )
    return Entry("delivery", outcome.reason or outcome.state, cause=attempt.cause, request_id=request_id)


def log_retry(attempt: Attempt, outcome: TryAgain) -> None:
    """Log an attempt that will be retried."""
    log.warning(
        "delivery.retry",
        person_id=attempt.person.id,
        error=type(outcome.error).__name__,
        status=outcome.error.status,
        retry_in_seconds=round(outcome.retry.after_seconds, 1),
    )


@dataclass(frozen=True, slots=True)
class Waiter:
    """A person who is being delivered, and who has just claimed a number or phone or waits for one."""

    tenant: Tenant
    record: PersonRecord
    """The person's record, locked."""

    def take_over_leaver(self, s: Session, today: date) -> bool:
        """Return whether this person now continues a leaver, or a leaver has given up the number for them.

        That has made a person due, so this attempt ends.
        """
        hands_off = self.record.person.hands_off
        if hands_off is not None and hands_off.lasts(today):
            return False
        intake = Intake(self.tenant, self.record.request_id or "", queues_only=True)
        return intake.waiter_looked_at(s, self.record)


class After(Enum):
    """What is left to do after an attempt."""

    nothing = auto()
    another_is_due = auto()
    """The person changed meanwhile, and there is time for another attempt."""

    given_back = auto()
    """Nothing. The lease was given back in the same transaction, which saves a commit."""


def deliver_person(
    tenant: Tenant,
    person_id: PersonId,
    lease: str,
    *,
    lease_seconds: float,
    budget: Budget,
    cause: str,
    first: Facts | None = None,
    undo: Undo | None = None,
) -> None:
    """Deliver a person under our lease until nothing newer is due, then give the lease back.

    :param lease_seconds: For how long the lease was taken.
    :param first: What is known of the person if the transaction that took the lease has loaded it.
    :param undo: Takes back the write that caused this delivery, if Ditio refuses it. Ask it afterwards whether it
        did (rule R1).
    """
    leased_until, after = tenant.monotonic() + lease_seconds, After.another_is_due
    attempt: Attempt | None = None
    try:
        while after is After.another_is_due:
            facts, first = first or tenant.transact(lambda s: _load(s, tenant, person_id, lease)), None
            if facts is None:
                after = After.nothing
                return
            attempt = Attempt(tenant, facts, lease, leased_until, budget, cause, jitter=tenant.random())
            after = _attempt_once(tenant, attempt, undo)
            leased_until = tenant.monotonic() + tenant.call_seconds
    except LeaseLost:
        tenant.transact(lambda s: _hand_over(s, person_id, attempt))
        if attempt is not None:
            attempt.unanswered.clear()
        log.warning("delivery.lease_lost", person_id=person_id)
    except Exception as error:
        if is_out_of_reach(error) and not is_contention(error):
            raise
        # If the bridge fails on one person, it still delivers the others, and retries this one later.
        log.error("delivery.failed", person_id=person_id, error=type(error).__name__, exc_info=loggable(error))
        _back_off(tenant, person_id, lease)
    finally:
        if after is not After.given_back:
            _release(tenant, person_id, lease, attempt)


def _attempt_once(tenant: Tenant, attempt: Attempt, undo: Undo | None) -> After:
    """Make one attempt, and return what is left to do."""
    record = attempt.facts.record
    # A run of reconcile delivers for reasons of its own: not within the trace of Entra's last request.
    continues = record.request_id if attempt.cause in ("request", "worker") else None
    about = {"scim_bridge__tenant": tenant.name, "scim_bridge__cause": attempt.cause}
    with traces.span("deliver", continues=continues, scim_bridge__person_id=attempt.person.id, **about) as span:
        return _attempt_within(span, tenant, attempt, undo)


def _attempt_within(span: traces.Span, tenant: Tenant, attempt: Attempt, undo: Undo | None) -> After:
    outcome = attempt_delivery(attempt, undo)
    if isinstance(outcome, TryAgain):
        span.note(scim_bridge__outcome="try-again")
        span.fail(type(outcome.error).__name__)
    else:
        span.note(scim_bridge__outcome=outcome.state, scim_bridge__reason=outcome.reason)
    after = tenant.transact(lambda s: _settle(s, tenant, attempt, outcome, undo))
    attempt.mark_stored()
    attempt.unanswered.clear()
    if isinstance(outcome, TryAgain):
        log_retry(attempt, outcome)
    else:
        if undo is not None:
            undo.confirm()
        log.info("delivery.settled", person_id=attempt.person.id, state=outcome.state, reason=outcome.reason)
    Gate(tenant).report(attempt, outcome)
    return after


def _load(s: Session, tenant: Tenant, person_id: PersonId, lease: str) -> Facts | None:
    """Load what is known, and claim the desired number and phone. Return None if there is nothing to deliver now."""
    record = s.people.get(person_id, lock=True)
    if record is None or record.lease != lease:
        return None
    breaker = s.breaker.get()
    is_probe = breaker.is_open and breaker.probe_lease == lease
    if tenant.is_paused or breaker.is_paused:
        return None  # The gate holds people who are due (rule D4).
    if not is_probe and not breaker.lets_through(s.now):
        return None  # The breaker opened after the lease was taken.
    person = record.person
    facts = facts_of(s, tenant, record, document_of(s, person.user_id) if person.user_id else None)
    facts = replace(facts, is_probe=is_probe)
    notes = claim_wanted(s, tenant, person, facts.desired, facts.today)
    if record.scope is not None:
        facts = replace(facts, scope=scope_of(s, record.scope))
        notes = []
    elif notes and Waiter(tenant, record).take_over_leaver(s, facts.today):
        return None
    else:
        notes += SlotEntries(s, tenant).keep_stored(person, facts.desired.employee_number)
    if any(note.reason is Reason.claimed for note in notes):
        tell_the_rest(s, tenant, person_id)
    return with_lines(s, replace(facts, notes=tuple(notes)))


def _settle(s: Session, tenant: Tenant, attempt: Attempt, outcome: Outcome, undo: Undo | None) -> After:
    """Store how the attempt ended, and return what is left to do."""
    told = undo.begin(s, attempt, outcome) if undo is not None else None
    attempt.store(s, entry_of(attempt, outcome))
    record, has_lines = s.settling(attempt.person.id)
    if record is None:
        raise AssertionError("a person whose lease is ours is there")
    moved_on = record.revision != attempt.facts.record.revision
    _note_doubt(s, attempt, outcome)
    if isinstance(outcome, TryAgain):
        if not moved_on:
            # Wait out the lag of a write in doubt: the next read has to show its outcome (rule C5).
            lag = tenant.read_lag_seconds if attempt.in_doubt else 0.0
            s.outbox.try_again(
                attempt.person.id,
                after_seconds=max(outcome.retry.after_seconds, lag),
                detail=f"waits for Ditio: {outcome.error}"[:MAX_DETAIL],
                failed=outcome.retry.is_failure,
            )
        return After.nothing
    attempt.is_at_peace = s.breaker.lately().is_at_peace
    if undo and told and not moved_on and undo.take_back(s, attempt, record, told):
        moved_on = True  # The person is due again, with the values from before the write.
    else:
        settle_claims(s, tenant, record.person, attempt.desired, attempt.today, keep_all=moved_on)
        if attempt.facts.scope is not None:
            settle_rows(s, attempt, attempt.facts.scope, outcome, moved_on=moved_on)
        elif not moved_on:
            s.outbox.settle(
                attempt.person.id,
                state=outcome.state,
                reason=outcome.reason,
                detail=outcome.detail,
                # A probe keeps its lease until the breaker knows its result.
                gives_back=not attempt.facts.is_probe,
            )
            if attempt.last_day is not None:
                s.people.wake_on(attempt.person.id, attempt.last_day + timedelta(days=1))
            if record.person.is_tombstone:
                s.forget(attempt.person.id)
            if has_lines and record.person.linked_at != attempt.facts.record.person.linked_at:
                # Certificates came under the number while this attempt linked the person: it did not see them.
                s.outbox.mark_due(record.person.id)
            if undo is not None and undo.was_to_come and undo.undone is None:
                _mark_due_for_omitted(tenant, s, record)
    if moved_on:
        return After.another_is_due if attempt.budget.allows_write() else After.nothing
    return After.nothing if attempt.facts.is_probe else After.given_back


def _mark_due_for_omitted(tenant: Tenant, s: Session, record: PersonRecord) -> None:
    """Mark the person due for what was left out, because a write that was to be taken back stays after all."""
    if SlotEntries(s, tenant).owes(record.person):
        s.outbox.mark_due(record.person.id)


def _note_doubt(s: Session, attempt: Attempt, outcome: Outcome) -> None:
    """Store that the outcome of a write is unknown, or that a later read has shown it. Store the profile id too.

    An attempt begins only when an earlier doubt is over. So a settled attempt ends the doubt.
    """
    person, people = attempt.person, s.people
    if attempt.in_doubt:
        people.doubt(person.id, s.now)
    elif person.doubted_at is not None and isinstance(outcome, Settled):
        people.doubt(person.id, None)
    profile_id = attempt.last_shown.company_profile_id if attempt.last_shown is not None else None
    if profile_id is not None and person.company_profile_id is None and person.employee_number is not None:
        people.recognise(person.id, profile_id)


def _back_off(tenant: Tenant, person_id: PersonId, lease: str) -> None:
    with tenant.write() as s:
        record = s.people.get(person_id, lock=True)
        if record is not None and record.lease == lease:
            failure = TransientError("the bridge failed on this person: see `delivery.failed` in its log")
            delay = delay_seconds(failure, record.attempts, tenant.random())
            s.outbox.try_again(person_id, after_seconds=delay, detail=str(failure), failed=True)


def _hand_over(s: Session, person_id: PersonId, attempt: Attempt | None) -> None:
    """Mark the person due again after the lease was lost: the other process may have read too early (D1, C5)."""
    if attempt is not None and attempt.unanswered:
        leave_in_doubt(s, attempt)
    s.outbox.mark_due(person_id)


def _release(tenant: Tenant, person_id: PersonId, lease: str, attempt: Attempt | None) -> None:
    """Give the lease back. Writes that were sent but not settled, as the database was lost, are in doubt."""
    with tenant.write() as s:
        if attempt is not None and attempt.unanswered:
            leave_in_doubt(s, attempt)
        s.outbox.release(person_id, lease)
