"""Delivery of one person: read what Entra wants and what Ditio has, send the difference, settle (rule D1)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from sqlalchemy import Connection

from scim_bridge.delivery.attempt import attempt
from scim_bridge.delivery.breaker import Gate
from scim_bridge.delivery.budget import Budget
from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.claiming import claim_wanted, settle_claims
from scim_bridge.delivery.expecting import leave_in_doubt
from scim_bridge.delivery.outcome import MAX_DETAIL, Outcome, Settled, TryAgain
from scim_bridge.delivery.retry import delay_seconds
from scim_bridge.delivery.scoped import settle_rows
from scim_bridge.delivery.slots import SlotKeeping
from scim_bridge.delivery.swaps import tell_the_rest
from scim_bridge.delivery.telling import entry_of, log_retry
from scim_bridge.delivery.tenant import EMPTY_WISH, Tenant
from scim_bridge.delivery.undo import Undo
from scim_bridge.delivery.waiter import Waiter
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import LeaseLost, TransientError
from scim_bridge.logs import get_logger
from scim_bridge.storage.breaker import Breakers
from scim_bridge.storage.database import Database, is_contention, is_out_of_reach, loggable, repeated
from scim_bridge.storage.history import History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, Record
from scim_bridge.storage.plans import scope_of
from scim_bridge.storage.resources import document_of

log = get_logger(__name__)


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
        errand: Errand | None = None
        try:
            while after is After.another_is_due:
                errand = self._begin(person_id, lease, leased_until, budget, cause)
                if errand is None:
                    after = After.nothing
                    return
                after = self._go_round(errand, undo)
                leased_until = self.monotonic() + self.tenant.call_seconds
        except LeaseLost:
            repeated(lambda: self._hand_over(person_id, errand))
        except Exception as error:
            if is_out_of_reach(error) and not is_contention(error):
                raise
            # One person whom the bridge fails on must stop nobody else, and must not be lost: they are tried again.
            log.error("delivery.failed", person_id=person_id, error=type(error).__name__, exc_info=loggable(error))
            self._back_off(person_id, lease)
        finally:
            if after is not After.given_back:
                self._release(person_id, lease, errand)

    def _go_round(self, errand: Errand, undo: Undo | None) -> After:
        """One attempt, and what is left to do."""
        outcome = attempt(errand, undo)
        after = repeated(lambda: self._settle(errand, outcome, undo))
        errand.unsettled.clear()
        Gate(self.database, self.tenant.name).learn(errand, outcome)
        return after

    def _begin(self, person_id: PersonId, lease: str, leased_until: float, budget: Budget, cause: str) -> Errand | None:
        """Load what is known, and claim what is wanted."""
        return repeated(lambda: self._load(person_id, lease, leased_until, budget, cause))

    def _load(self, person_id: PersonId, lease: str, leased_until: float, budget: Budget, cause: str) -> Errand | None:
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
            errand = self._errand(connection, record, now, lease, leased_until, budget, cause)
            errand.is_probe = is_probe
            claimed = claim_wanted(connection, self.tenant, errand.person, errand.wish, errand.today)
            if claimed and record.scope is None:
                waiter = Waiter(self.database, self.tenant, self.new_id, record)
                if waiter.is_someone_who_left(connection, errand.today):
                    return None
            if record.scope is not None:
                errand.scope = scope_of(connection, self.tenant.name, record.scope)
            else:
                slots = SlotKeeping(connection, self.tenant, now, self.new_id)
                errand.notes += [*claimed, *slots.keep_stored(record.person, errand.wish.employee_number)]
            if errand.waits_for_claim:
                tell_the_rest(connection, self.tenant, person_id, now)
        return errand

    def _errand(
        self,
        connection: Connection,
        record: Record,
        now: datetime,
        lease: str,
        leased_until: float,
        budget: Budget,
        cause: str,
    ) -> Errand:
        person, today = record.person, self.tenant.today(now)
        document = document_of(connection, self.tenant.name, person.user_id) if person.user_id else None
        return Errand(
            database=self.database,
            tenant=self.tenant,
            person=person,
            wish=self.tenant.wish(document, person, today) if document is not None else EMPTY_WISH,
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

    def _settle(self, errand: Errand, outcome: Outcome, undo: Undo | None) -> After:
        """Note how it ended, and say what is left to do."""
        name = self.tenant.name
        with self.database.write() as connection:
            now = self.database.now(connection)
            told = undo.begin(connection, errand, outcome) if undo is not None else None
            record = People(connection, name).get(errand.person.id, lock=True)
            if record is None or record.lease != errand.lease:
                raise LeaseLost(f"another process now delivers person {errand.person.id}")
            History(connection, name, now).add(errand.person.id, *errand.unwritten, entry_of(errand, outcome))
            moved_on = record.revision != errand.revision
            self._note_doubt(connection, errand, outcome, now)
            if isinstance(outcome, TryAgain):
                if not moved_on:
                    # What may still be applied is waited for: the next read has to tell it (rule C5).
                    lag = self.tenant.read_lag_seconds if errand.unsettled else 0.0
                    Outbox(connection, name, now).try_again(
                        errand.person.id,
                        after_seconds=max(outcome.retry.after_seconds, lag),
                        detail=f"waits for Ditio: {outcome.error}"[:MAX_DETAIL],
                        failed=outcome.retry.is_failure,
                    )
                log_retry(errand, outcome)
                return After.nothing
            if undo and told and not moved_on and undo.take_back(connection, errand, record, told, now):
                moved_on = True  # He is due with what was before.
            else:
                settle_claims(connection, self.tenant, record.person, errand.wish, errand.today, now, keep_all=moved_on)
                if errand.scope is not None:
                    settle_rows(connection, errand, errand.scope, outcome, now, moved_on=moved_on)
                elif not moved_on:
                    Outbox(connection, name, now).settle(
                        errand.person.id,
                        state=outcome.state,
                        reason=outcome.reason,
                        detail=outcome.detail,
                        # The lease of a probe says that it is under way until the breaker has learned of it.
                        gives_back=not errand.is_probe,
                    )
                    if errand.last_day is not None:
                        People(connection, name).wake_on(errand.person.id, errand.last_day + timedelta(days=1))
                    People(connection, name).forget(errand.person.id)
                    if undo is not None and undo.was_to_come and undo.undone is None:
                        self._make_up_for(connection, record, now)
        if undo is not None:
            undo.confirm()
        log.info("delivery.settled", person_id=errand.person.id, state=outcome.state, reason=outcome.reason)
        if moved_on:
            return After.another_is_due if errand.budget.allows_write() else After.nothing
        return After.nothing if errand.is_probe else After.given_back

    def _make_up_for(self, connection: Connection, record: Record, now: datetime) -> None:
        """A write that was about to be taken back stays after all: what was left out because of that is due."""
        if SlotKeeping(connection, self.tenant, now, self.new_id).owes(record.person):
            Outbox(connection, self.tenant.name, now).mark_due(record.person.id)

    def _note_doubt(self, connection: Connection, errand: Errand, outcome: Outcome, now: datetime) -> None:
        """Store that the outcome of a write is not known, or that a later read has told it; and whose employee it is.

        An attempt begins only when an earlier doubt is over (see `attempt`), so what it settles is told by a read.
        """
        person, people = errand.person, People(connection, self.tenant.name)
        if errand.unsettled:
            people.doubt(person.id, now)
        elif person.doubted_at is not None and isinstance(outcome, Settled):
            people.doubt(person.id, None)
        profile_id = errand.answered.company_profile_id if errand.answered is not None else None
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

    def _hand_over(self, person_id: PersonId, errand: Errand | None) -> None:
        """Who finds the lease lost marks the person due again: the other may have read too early (rules D1, C5)."""
        with self.database.write() as connection:
            now = self.database.now(connection)
            if errand is not None and errand.unsettled:
                leave_in_doubt(connection, errand, now)
            Outbox(connection, self.tenant.name, now).mark_due(person_id)
        if errand is not None:
            errand.unsettled.clear()
        log.warning("delivery.lease_lost", person_id=person_id)

    def _release(self, person_id: PersonId, lease: str, errand: Errand | None) -> None:
        """Give the lease back. What was sent, and never settled because the database was lost, is in doubt."""
        with self.database.write() as connection:
            now = self.database.now(connection)
            if errand is not None and errand.unsettled:
                leave_in_doubt(connection, errand, now)
            Outbox(connection, self.tenant.name, now).release(person_id, lease)


def _user_name(document: JsonObject | None) -> str:
    return str(document.get("userName")) if document is not None else "a deleted user"
