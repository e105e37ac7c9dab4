"""The breaker at work: who may be delivered, and what each delivery shows about Ditio (rules R2, R3, D2)."""

from dataclasses import dataclass

from scim_bridge.delivery.attempt import Attempt
from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.outcome import Fault, Note, Outcome, Reason, Retry, Settled, TryAgain, decide, printable
from scim_bridge.errors import BudgetSpent, CredentialsRefused, DeliveryError, RateLimited, TransientError
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Session
from scim_bridge.storage.outbox import Leased
from scim_bridge.tenant import Tenant

log = get_logger(__name__)


def is_paused(s: Session, tenant: Tenant) -> bool:
    """Return whether the setting or the command pauses all deliveries (rule D4)."""
    return tenant.is_paused or s.breaker.get().is_paused


@dataclass(frozen=True, slots=True)
class Gate:
    """The breaker of one tenant, as one process uses it. All processes share its row in the database."""

    tenant: Tenant

    def lease_next(self, lease: str, seconds: float) -> Leased | None:
        """Lease the next person to deliver. While the breaker is open: one person at a time, and seldom."""
        with self.tenant.read() as s:
            # This look takes no lock, so an idle worker blocks no other.
            now = s.now
            breaker = s.breaker.get()
            is_paused = self.tenant.is_paused or breaker.is_paused
            is_time = breaker.wants_probe(now) or breaker.lets_through(now)
            if not (
                s.pauses.finds_anybody_due() if is_paused else is_time and s.outbox.has_work(is_probe=breaker.is_open)
            ):
                return None
        if is_paused:
            self.tenant.transact(self._hold_due)
            return None
        if breaker.is_open:
            return self.tenant.transact(lambda s: self._lease_probe(s, lease, seconds))
        return self.tenant.transact(lambda s: s.outbox.lease_next(lease, seconds))

    def _hold_due(self, s: Session) -> None:
        """Hold people who became due while deliveries are paused, or before the setting paused them (rule D4)."""
        if self.tenant.is_paused or s.breaker.locked().is_paused:
            s.pauses.hold_due()

    def _lease_probe(self, s: Session, lease: str, seconds: float) -> Leased | None:
        now, breakers = s.now, s.breaker
        breaker = breakers.locked()
        if not breaker.wants_probe(now) or breakers.is_probed():
            return None
        leased = s.outbox.lease_next(lease, seconds, is_probe=True)
        if leased is not None:
            breakers.begin_probe(leased.person_id, lease, breaker.probes + 1)
        return leased

    def report(self, attempt: Attempt, outcome: Outcome) -> None:
        """Record in the shared breaker what a delivery shows about Ditio."""
        if isinstance(outcome, TryAgain) and (outcome.retry.fault or outcome.retry.quiet_seconds):
            if outcome.retry.fault is not Fault.of_person or not self._fails_alone(attempt):
                self._failed(attempt, outcome.retry, outcome.error)
            elif attempt.facts.is_probe:
                self._probe_ditio(attempt)
        elif isinstance(outcome, Settled) and attempt.has_called:
            if not attempt.is_at_peace:
                self._went_well(attempt)
        elif attempt.facts.is_probe:
            # This probe called nothing, or it is too early to tell: it still has to show whether Ditio works.
            self._probe_ditio(attempt)

    def _fails_alone(self, attempt: Attempt) -> bool:
        with self.tenant.read() as s:
            return s.breaker.fails_alone(attempt.person.id)

    def _probe_ditio(self, attempt: Attempt) -> None:
        try:
            attempt.check()
        except DeliveryError as error:
            self._failed(attempt, Retry(0.0, Fault.of_all), error)
        else:
            self._went_well(attempt)

    def _failed(self, attempt: Attempt, retry: Retry, error: DeliveryError) -> None:
        why = printable(str(error))
        has_opened = self.tenant.transact(lambda s: self._note_failure(s, attempt, retry, why))
        if retry.quiet_seconds:
            log.warning("ditio.quiet", tenant=self.tenant.name, seconds=round(retry.quiet_seconds, 1))
        elif has_opened:
            log.error("breaker.opened", tenant=self.tenant.name, cause=why)

    def _note_failure(self, s: Session, attempt: Attempt, retry: Retry, why: str) -> bool:
        """Store a failure in the breaker. Return whether that opens it."""
        breakers, person_id = s.breaker, attempt.person.id
        breaker = breakers.locked()
        if retry.quiet_seconds:
            breakers.keep_quiet(retry.quiet_seconds)
        elif breaker.is_open:
            if breaker.probe_lease == attempt.lease:
                breakers.stay_open(why)
        elif retry.fault is Fault.of_all:
            breakers.open(why, breaker.suspects)
            return True
        elif breaker.opens(person_id):
            breakers.open(why, breaker.with_suspect(person_id))
            return True
        else:
            breakers.suspect(breaker.with_suspect(person_id))
        return False

    def _went_well(self, attempt: Attempt) -> None:
        """Let the breaker learn of it. Its callers have seen that it has something to learn."""
        closed = self.tenant.transact(lambda s: self._note_success(s, attempt))
        if closed is not None:
            _log_closed(self.tenant.name, closed)

    def _note_success(self, s: Session, attempt: Attempt) -> Breaker | None:
        """Store a success in the breaker. Return the breaker as it was if that closes it, else None."""
        breakers = s.breaker
        breaker = breakers.locked()
        if breaker.is_open and breaker.probe_lease != attempt.lease:
            return None  # This delivery began before the breaker opened, and proves nothing.
        if breaker.is_open:
            breakers.close()
        breakers.go_well(attempt.person.id)
        return breaker if breaker.is_open else None

    def report_many(self, error: DeliveryError) -> None:
        """Record in the shared breaker what a failed request about many people shows about Ditio."""
        if isinstance(error, CredentialsRefused):
            try:
                self.tenant.ditio.check(renews=error.status != 401)
            except DeliveryError as cause:
                error = cause
            else:
                return  # Ditio accepts the API client for other calls (rule R2).
        failure, retry = error, decide(error, 0, self.tenant.random())
        why = printable(str(failure))
        if self.tenant.transact(lambda s: self._failed_for_many(s, failure, retry, why)):
            log.error("breaker.opened", tenant=self.tenant.name, cause=why)

    def _failed_for_many(self, s: Session, error: DeliveryError, retry: Retry, why: str) -> bool:
        """Store in the breaker that such a request failed. Return whether that opens it."""
        breakers = s.breaker
        breaker = breakers.locked()
        if isinstance(error, RateLimited):
            breakers.keep_quiet(retry.quiet_seconds)
        elif retry.fault is Fault.of_all and not breaker.is_open:
            breakers.open(why)
            return True
        return False


def try_again(attempt: Attempt, error: DeliveryError) -> TryAgain:
    """Return the outcome of a failure that may pass: when to retry."""
    return TryAgain(error, decide(error, attempt.facts.record.attempts, attempt.jitter), tuple(attempt.notes))


def check_client(attempt: Attempt, error: CredentialsRefused) -> Outcome:
    """Find out whether Ditio refuses the API client as a whole, or only for this person (rule R2).

    :param error: A second 401, a 403, or another answer that no single person can cause.
    """
    try:
        attempt.check(renews=error.status != 401)
    except (BudgetSpent, RateLimited) as unknown:
        return try_again(attempt, unknown)
    except CredentialsRefused as cause:
        return try_again(attempt, cause)
    except DeliveryError as cause:
        is_unknown = isinstance(cause, TransientError) and cause.cut_short
        return try_again(attempt, cause if is_unknown else error)
    said = str(error).partition(". ")[0]
    attempt.notes.append(
        Note(
            f"{said}. Ditio accepts the bridge's API client for other calls, so this employee is out of its reach: "
            "in Ditio, let its emulation user read and change this employee, then run `scim-bridge outbox retry`.",
            Reason.out_of_reach,
        )
    )
    return Settled(tuple(attempt.notes))


def _log_closed(tenant: str, breaker: Breaker) -> None:
    opened_at = breaker.opened_at
    log.warning("breaker.closed", tenant=tenant, opened_at=opened_at.isoformat() if opened_at else None)
