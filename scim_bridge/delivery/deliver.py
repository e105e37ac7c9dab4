"""Deliver one person: load, attempt, settle (rules D1, D6, H1-H3, P3)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, auto

from sqlalchemy import Connection

from scim_bridge.certificates.entries import SlotEntries
from scim_bridge.delivery.acknowledge import leave_in_doubt
from scim_bridge.delivery.attempt import Attempt, refusal
from scim_bridge.delivery.breaker import Gate, check_client, try_again
from scim_bridge.delivery.certificates import deliver_certificates
from scim_bridge.delivery.claims import claim_wanted, settle_claims, tell_the_rest
from scim_bridge.delivery.create import create_employee, find_created, settle_absence
from scim_bridge.delivery.guard import aside_note
from scim_bridge.delivery.intake import Intake
from scim_bridge.delivery.plan_rows import bring_about_rows, settle_rows
from scim_bridge.delivery.stale_claims import check_holders
from scim_bridge.delivery.undo import Undo
from scim_bridge.delivery.update import update_employee
from scim_bridge.domain.outcome import MAX_DETAIL, Outcome, Settled, TryAgain, delay_seconds, remarks
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import CredentialsRefused, DeliveryError, LeaseLost, NotYet, PermanentError, TransientError
from scim_bridge.logs import get_logger
from scim_bridge.plan.readback import is_recent
from scim_bridge.plan.steps import is_still_active
from scim_bridge.storage.breaker import Breakers
from scim_bridge.storage.database import Database, is_contention, is_out_of_reach, loggable, repeated
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, PersonRecord
from scim_bridge.storage.plans import scope_of
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import NOTHING_DESIRED, Budget, Tenant

log = get_logger(__name__)


def bring_about(attempt: Attempt, undo: Undo | None = None) -> Outcome:
    """Bring one person about as far as Ditio lets us; how it ended. Nothing of it is raised.

    :param undo: Takes the causing write back where Ditio refuses it.
    """
    try:
        _take_steps(attempt, undo)
    except PermanentError as error:  # A read that Ditio refuses; a refused write is noted where it is sent.
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
        attempt.notes.append(aside_note(person.hands_off))
        return
    _wait_for_doubt(attempt)
    if attempt.scope is not None:
        bring_about_rows(attempt, attempt.scope)
        return
    checked = check_holders(attempt)
    if checked.has_changed:
        return  # He was marked due, and goes round again with what is known now.
    if person.employee_number is not None:
        update_employee(attempt)
    elif (created := find_created(attempt)) is not None:
        update_employee(attempt, created)
    elif person.is_tombstone or not person.days.wants_employment(attempt.today):
        settle_absence(attempt)
    elif not attempt.waits_for_claim:
        # Somebody not yet linked waits as a whole for a claim (rule P3).
        found = create_employee(attempt)
        if found is not None:
            update_employee(attempt, found)
    if undo is None or not undo.is_to_come(attempt):
        deliver_certificates(attempt)
    if checked.trouble is not None:
        raise checked.trouble
    attempt.notes += remarks(attempt.person, attempt.desired, last_day=attempt.last_day)


def _wait_for_doubt(attempt: Attempt) -> None:
    """Neither read nor write while an earlier write may still be applied: no read would prove anything (rule C5).

    :raises NotYet: it is too early.
    """
    doubted_at = attempt.person.doubted_at
    if doubted_at is None:
        return
    now, lag = attempt.now(), attempt.tenant.read_lag_seconds
    left = lag - (now - doubted_at).total_seconds()
    if left > 0 and is_recent(doubted_at, now, lag):
        raise NotYet("an earlier write may still be applied: its answer was lost", retry_after_seconds=left)


def entry_of(attempt: Attempt, outcome: Outcome) -> Entry:
    """The row of the history."""
    if isinstance(outcome, TryAgain):
        return Entry(
            "delivery",
            "try-again",
            cause=attempt.cause,
            status=outcome.error.status,
            request_id=attempt.request_id,
            ditio_request_id=outcome.error.request_id,
        )
    return Entry("delivery", outcome.reason or outcome.state, cause=attempt.cause, request_id=attempt.request_id)


def log_retry(attempt: Attempt, outcome: TryAgain) -> None:
    """The line of an attempt that is made again."""
    log.warning(
        "delivery.retry",
        person_id=attempt.person.id,
        error=type(outcome.error).__name__,
        status=outcome.error.status,
        retry_in_seconds=round(outcome.retry.after_seconds, 1),
    )


@dataclass(frozen=True, slots=True)
class Waiter:
    """A person who is being delivered, and waits for a number or phone."""

    database: Database
    tenant: Tenant
    new_id: Callable[[], str]
    record: PersonRecord
    """Locked."""

    def is_someone_who_left(self, connection: Connection, today: date) -> bool:
        """Whether he continues the leaver now, or the leaver has made room for him: then somebody is due for it."""
        hands_off = self.record.person.hands_off
        if hands_off is not None and hands_off.lasts(today):
            return False
        intake = Intake(self.database, self.tenant, self.record.request_id or "", self.new_id, queues_only=True)
        return intake.waiter_looked_at(connection, self.record)


class After(Enum):
    """What is left to do when an attempt has come to its end."""

    nothing = auto()
    another_is_due = auto()
    """The person changed meanwhile, and there is time to go round again."""

    given_back = auto()
    """Nothing, and the lease was given back with it: a commit less."""


@dataclass(frozen=True, slots=True)
class Convergence:
    """Delivers people of one tenant, in whatever process it runs."""

    database: Database
    tenant: Tenant
    monotonic: Callable[[], float]
    random: Callable[[], float]
    """0.0-1.0, for the jitter of the back-off."""

    new_id: Callable[[], str]

    def deliver(
        self,
        person_id: PersonId,
        lease: str,
        *,
        lease_seconds: float,
        budget: Budget,
        cause: str,
        undo: Undo | None = None,
    ) -> None:
        """Deliver a person whose lease is ours, until nothing newer is due, and give the lease back.

        :param lease_seconds: How long the lease was taken for.
        :param undo: Takes the causing write back where Ditio refuses it; it says afterwards whether it did (rule R1).
        """
        leased_until, after = self.monotonic() + lease_seconds, After.another_is_due
        attempt: Attempt | None = None
        try:
            while after is After.another_is_due:
                attempt = self._begin(person_id, lease, leased_until, budget, cause)
                if attempt is None:
                    after = After.nothing
                    return
                after = self._go_round(attempt, undo)
                leased_until = self.monotonic() + self.tenant.call_seconds
        except LeaseLost:
            repeated(lambda: self._hand_over(person_id, attempt))
        except Exception as error:
            if is_out_of_reach(error) and not is_contention(error):
                raise
            # One person whom the bridge fails on must stop nobody else, and must not be lost: they are tried again.
            log.error("delivery.failed", person_id=person_id, error=type(error).__name__, exc_info=loggable(error))
            self._back_off(person_id, lease)
        finally:
            if after is not After.given_back:
                self._release(person_id, lease, attempt)

    def _go_round(self, attempt: Attempt, undo: Undo | None) -> After:
        """One attempt, and what is left to do."""
        outcome = bring_about(attempt, undo)
        after = repeated(lambda: self._settle(attempt, outcome, undo))
        attempt.unsettled.clear()
        Gate(self.database, self.tenant.name).report(attempt, outcome)
        return after

    def _begin(
        self, person_id: PersonId, lease: str, leased_until: float, budget: Budget, cause: str
    ) -> Attempt | None:
        """Load what is known, and claim what is wanted."""
        return repeated(lambda: self._load(person_id, lease, leased_until, budget, cause))

    def _load(self, person_id: PersonId, lease: str, leased_until: float, budget: Budget, cause: str) -> Attempt | None:
        with self.database.write() as connection:
            record = People(connection, self.tenant.name).get(person_id, lock=True)
            if record is None or record.lease != lease:
                return None
            now = self.database.now(connection)
            breaker = Breakers(connection, self.tenant.name, now).get()
            is_probe = breaker.is_open and breaker.probe_lease == lease
            if self.tenant.is_paused or breaker.is_paused:
                return None  # Whoever is due is held by the gate (rule D4).
            if not is_probe and not breaker.lets_through(now):
                return None  # It opened after the lease was taken.
            attempt = self._errand(connection, record, now, lease, leased_until, budget, cause)
            attempt.is_probe = is_probe
            claimed = claim_wanted(connection, self.tenant, attempt.person, attempt.desired, attempt.today)
            if claimed and record.scope is None:
                waiter = Waiter(self.database, self.tenant, self.new_id, record)
                if waiter.is_someone_who_left(connection, attempt.today):
                    return None
            if record.scope is not None:
                attempt.scope = scope_of(connection, self.tenant.name, record.scope)
            else:
                slots = SlotEntries(connection, self.tenant, now, self.new_id)
                attempt.notes += [*claimed, *slots.keep_stored(record.person, attempt.desired.employee_number)]
            if attempt.waits_for_claim:
                tell_the_rest(connection, self.tenant, person_id, now)
        return attempt

    def _errand(
        self,
        connection: Connection,
        record: PersonRecord,
        now: datetime,
        lease: str,
        leased_until: float,
        budget: Budget,
        cause: str,
    ) -> Attempt:
        person, today = record.person, self.tenant.today(now)
        document = document_of(connection, self.tenant.name, person.user_id) if person.user_id else None
        return Attempt(
            database=self.database,
            tenant=self.tenant,
            person=person,
            desired=self.tenant.desired(document, person, today) if document is not None else NOTHING_DESIRED,
            revision=record.revision,
            today=today,
            lease=lease,
            budget=budget,
            cause=cause,
            request_id=record.request_id,
            user_name=_user_name(document),
            leased_until=leased_until,
            attempts=record.attempts,
            jitter=self.random(),
        )

    def _settle(self, attempt: Attempt, outcome: Outcome, undo: Undo | None) -> After:
        """Note how it ended, and say what is left to do."""
        name = self.tenant.name
        with self.database.write() as connection:
            now = self.database.now(connection)
            told = undo.begin(connection, attempt, outcome) if undo is not None else None
            record = People(connection, name).get(attempt.person.id, lock=True)
            if record is None or record.lease != attempt.lease:
                raise LeaseLost(f"another process now delivers person {attempt.person.id}")
            History(connection, name, now).add(attempt.person.id, *attempt.unwritten, entry_of(attempt, outcome))
            moved_on = record.revision != attempt.revision
            self._note_doubt(connection, attempt, outcome, now)
            if isinstance(outcome, TryAgain):
                if not moved_on:
                    # What may still be applied is waited for: the next read has to tell it (rule C5).
                    lag = self.tenant.read_lag_seconds if attempt.unsettled else 0.0
                    Outbox(connection, name, now).try_again(
                        attempt.person.id,
                        after_seconds=max(outcome.retry.after_seconds, lag),
                        detail=f"waits for Ditio: {outcome.error}"[:MAX_DETAIL],
                        failed=outcome.retry.is_failure,
                    )
                log_retry(attempt, outcome)
                return After.nothing
            attempt.is_at_peace = Breakers(connection, name, now).get().is_at_peace
            if undo and told and not moved_on and undo.take_back(connection, attempt, record, told, now):
                moved_on = True  # He is due with what was before.
            else:
                settle_claims(
                    connection, self.tenant, record.person, attempt.desired, attempt.today, now, keep_all=moved_on
                )
                if attempt.scope is not None:
                    settle_rows(connection, attempt, attempt.scope, outcome, now, moved_on=moved_on)
                elif not moved_on:
                    Outbox(connection, name, now).settle(
                        attempt.person.id,
                        state=outcome.state,
                        reason=outcome.reason,
                        detail=outcome.detail,
                        # The lease of a probe says that it is under way until the breaker has learned of it.
                        gives_back=not attempt.is_probe,
                    )
                    if attempt.last_day is not None:
                        People(connection, name).wake_on(attempt.person.id, attempt.last_day + timedelta(days=1))
                    People(connection, name).forget(attempt.person.id)
                    if undo is not None and undo.was_to_come and undo.undone is None:
                        self._make_up_for(connection, record, now)
        if undo is not None:
            undo.confirm()
        log.info("delivery.settled", person_id=attempt.person.id, state=outcome.state, reason=outcome.reason)
        if moved_on:
            return After.another_is_due if attempt.budget.allows_write() else After.nothing
        return After.nothing if attempt.is_probe else After.given_back

    def _make_up_for(self, connection: Connection, record: PersonRecord, now: datetime) -> None:
        """A write that was about to be taken back stays after all: what was left out because of that is due."""
        if SlotEntries(connection, self.tenant, now, self.new_id).owes(record.person):
            Outbox(connection, self.tenant.name, now).mark_due(record.person.id)

    def _note_doubt(self, connection: Connection, attempt: Attempt, outcome: Outcome, now: datetime) -> None:
        """Store that the outcome of a write is not known, or that a later read has told it; and whose employee it is.

        An attempt begins only when an earlier doubt is over (see `bring_about`), so what it settles is told by a read.
        """
        person, people = attempt.person, People(connection, self.tenant.name)
        if attempt.unsettled:
            people.doubt(person.id, now)
        elif person.doubted_at is not None and isinstance(outcome, Settled):
            people.doubt(person.id, None)
        profile_id = attempt.answered.company_profile_id if attempt.answered is not None else None
        if profile_id is not None and person.company_profile_id is None and person.employee_number is not None:
            people.recognise(person.id, profile_id)

    def _back_off(self, person_id: PersonId, lease: str) -> None:
        with self.database.write() as connection:
            name = self.tenant.name
            record = People(connection, name).get(person_id, lock=True)
            if record is not None and record.lease == lease:
                failure = TransientError("the bridge itself failed on this person: its log says where")
                delay = delay_seconds(failure, record.attempts, self.random())
                Outbox(connection, name, self.database.now(connection)).try_again(
                    person_id, after_seconds=delay, detail=str(failure), failed=True
                )

    def _hand_over(self, person_id: PersonId, attempt: Attempt | None) -> None:
        """Who finds the lease lost marks the person due again: the other may have read too early (rules D1, C5)."""
        with self.database.write() as connection:
            now = self.database.now(connection)
            if attempt is not None and attempt.unsettled:
                leave_in_doubt(connection, attempt, now)
            Outbox(connection, self.tenant.name, now).mark_due(person_id)
        if attempt is not None:
            attempt.unsettled.clear()
        log.warning("delivery.lease_lost", person_id=person_id)

    def _release(self, person_id: PersonId, lease: str, attempt: Attempt | None) -> None:
        """Give the lease back. What was sent, and never settled because the database was lost, is in doubt."""
        with self.database.write() as connection:
            now = self.database.now(connection)
            if attempt is not None and attempt.unsettled:
                leave_in_doubt(connection, attempt, now)
            Outbox(connection, self.tenant.name, now).release(person_id, lease)


def _user_name(document: JsonObject | None) -> str:
    return str(document.get("userName")) if document is not None else "a deleted user"
