"""Repair the rows of a plan, person by person, by the same delivery as everything else (rules Q2, Q3)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from scim_bridge.certificates.sending import PAUSED
from scim_bridge.delivery.breaker import is_paused
from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.drift import OF_ENTRA, REPAIRED_ON_REVIEW, Cause, Drift, Kind
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import PersonId
from scim_bridge.logs import get_logger
from scim_bridge.reconcile.certificates import CertificateApplying
from scim_bridge.reconcile.entra_apply import EntraRepairing
from scim_bridge.reconcile.report import DRIFT, IN_SYNC, Progress, Report, Request, who
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import said_since
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.runs import Run
from scim_bridge.tenant import Budget, Tenant

if TYPE_CHECKING:
    from scim2_models import ScimProvider

log = get_logger(__name__)


ENTRA_MOVED = "Entra sent something for this person since the plan was made: run `reconcile` again"
CREATED = "nothing to do: the employee was created or linked since the plan was made"
DELIVERED = "this person was delivered since the plan was made: run `reconcile` again to see what still differs"
TRIED = "a delivery was tried since the plan was made, but something stops it: `outbox list` says what"


def what_happened(s: Session, plan_id: str, record: PersonRecord, rows: Iterable[Drift]) -> str:
    """Return why rows are skipped whose person was due since the plan was made.

    Entra wrote, a pause ended, an operator retried, or a day came.
    """
    person = record.person
    was_never_there = all(row.kind is Kind.missing and row.acknowledged is None for row in rows)
    if was_never_there and person.employee_number is not None:
        return CREATED
    plan = s.runs.get(plan_id)
    if plan is None or said_since(s, person.id, plan.started_at):
        return ENTRA_MOVED
    return DELIVERED if record.state is State.delivered else TRIED


DUE_ALREADY = "this person already waits for delivery: see `outbox list`"
IN_DELIVERY = "another process now delivers this person: run `reconcile` again"
HANDS_ARE_OFF = "an operator stopped deliveries to this person: `people hands-off NUMBER --clear` resumes them"
GONE = "the bridge no longer knows this person: run `reconcile` again"
NOT_SETTLED = "it did not settle: `outbox list` says why; a worker continues"


@dataclass(frozen=True, slots=True)
class DriftApplying:
    """Repair the rows of one stored plan in this process."""

    tenant: Tenant
    plan_id: str
    only_approved: bool = False
    """Whether rows are left alone whose approval in the console was withdrawn meanwhile."""

    def apply(self, items: Iterable[Drift], progress: Callable[[int], None]) -> None:
        """Repair these rows, and store the outcome of each beside the plan.

        :param items: Grouped by person.
        :param progress: Called with the number of rows done.
        """
        done = 0
        for person_id, rows in _by_person(items):
            self._repair(person_id, rows)
            done += len(rows)
            progress(done)

    def _repair(self, person_id: PersonId, rows: list[Drift]) -> None:
        lease = self.tenant.new_id()
        with self.tenant.write() as s:
            # In the transaction of the mark: what was stopped by then is not begun.
            if self.only_approved and not (rows := s.plan(self.plan_id).still_approved(rows)):
                return
            record = s.people.get(person_id, lock=True)
            refusal = self._mark(s, record, rows, lease)
            if refusal is not None:
                self._skip(s, rows, refusal)
                return
        deliver_person(
            self.tenant,
            person_id,
            lease,
            lease_seconds=self.tenant.lease_seconds,
            budget=Budget(self.tenant.monotonic),
            cause="reconcile",
        )
        self._settle_rows_left(person_id, rows)

    def _mark(self, s: Session, record: PersonRecord | None, rows: list[Drift], lease: str) -> str | None:
        """Make a person due for these rows, with a lease for this process; or return why not."""
        if record is None:
            return GONE
        now = s.now
        if is_paused(s, self.tenant):
            return PAUSED  # A mark would only make the whole person due, and lose the plan (rule D4).
        hands_off = record.person.hands_off
        if hands_off is not None and hands_off.lasts(self.tenant.today(now)):
            return HANDS_ARE_OFF
        if record.state is State.due:
            is_stuck = any(row.kind is Kind.stuck_delivery for row in rows)
            if not is_stuck:
                return DUE_ALREADY
            # The whole person is due already: all that is missing is another attempt, now.
            return None if s.outbox.lease(record.person.id, lease, self.tenant.lease_seconds) else IN_DELIVERY
        if any(row.revision != record.revision for row in rows):
            return what_happened(s, self.plan_id, record, rows)
        return None if s.scopes.mark(record, self.plan_id, rows, lease, self.tenant.lease_seconds) else IN_DELIVERY

    def _settle_rows_left(self, person_id: PersonId, rows: list[Drift]) -> None:
        """Store the outcome of rows that have none yet: of a whole delivery, or of one that did not settle."""
        with self.tenant.write() as s:
            items = s.plan(self.plan_id)
            known = items.outcomes_of(_places(rows))
            left = [row for row in rows if row.position is not None and row.position not in known]
            record = s.people.get(person_id)
            is_whole = any(row.kind is Kind.stuck_delivery for row in rows)
            is_settled = is_whole and (record is None or record.state is State.delivered)
            for row in left:
                # A live delivery leaves alone what was edited in Ditio (rule C4), and the login and employment of a
                # person that `adopt` linked (H5): the next run finds it again.
                is_left = row.cause is Cause.edited_in_ditio or (
                    row.cause is Cause.differed_when_linked and row.kind is not Kind.field
                )
                is_done = is_settled and not is_left
                items.settle([(row.position or 0, None if is_done else NOT_SETTLED)])

    def _skip(self, s: Session, rows: list[Drift], why: str) -> None:
        items = s.plan(self.plan_id)
        items.settle([(place, why) for place in _places(rows)])


def _by_person(items: Iterable[Drift]) -> Iterator[tuple[PersonId, list[Drift]]]:
    for person_id, rows in groupby(items, key=lambda item: item.person_id):
        if person_id is not None:
            yield person_id, list(rows)


def _places(rows: Iterable[Drift]) -> list[int]:
    return [row.position for row in rows if row.position is not None]


BATCH = 500
"""Rows whose outcomes are stored in one transaction."""


@dataclass(frozen=True, slots=True)
class PlanRepairing:
    """Repair one plan, in one run."""

    tenant: Tenant
    run_id: str
    plan: Run
    provider: "Callable[[], ScimProvider] | None" = None

    def repair(self, request: Request, person_id: PersonId | None, progress: Progress, *, reviewed: bool) -> Report:
        """Repair the rows that may be repaired. Return the report.

        :param person_id: The only person that the request is about.
        :param reviewed: Whether an operator has read the plan, so that employees may be created and logins opened.
        """
        done, approved = self._outcomes(), self._approved() if request.approved else None
        chosen = [
            item
            for item in self._items()
            if item.may_be_repaired(reviewed=reviewed)
            and done.get(item.position or 0, "") is not None
            and (approved is None or item.position in approved)
        ]
        if self._is_paused():
            self._skip_paused(chosen)
        else:
            if chosen and not request.approved:
                self._note_applied(request.author)
            self._apply(request, person_id, chosen, progress)
        if approved:
            self._settle_left(sorted(approved))
        earlier = frozenset(place for place, why in done.items() if why is None)
        return self._report(self._without(earlier), {item.position for item in chosen}, earlier)

    def _apply(self, request: Request, person_id: PersonId | None, chosen: list[Drift], progress: Progress) -> None:
        certificates = [item for item in chosen if item.kind is Kind.certificate]
        of_entra = [item for item in chosen if item.kind in OF_ENTRA]
        others = [item for item in chosen if item.kind is not Kind.certificate and item.kind not in OF_ENTRA]
        applying, in_batches = (
            DriftApplying(self.tenant, self.plan.id, only_approved=request.approved),
            CertificateApplying(self.tenant, self.run_id),
        )
        # Who has left is never created or let in again first; then their other rows are of another revision.
        opened = {item.person_id for item in others if item.kind in REPAIRED_ON_REVIEW}
        leaving = [item for item in of_entra if item.kind is Kind.left_without_notice and item.person_id in opened]
        first = {item.position for item in leaving}
        of_entra = [item for item in of_entra if item.position not in first]
        self._apply_entra(request, leaving, lambda count: progress("repairing", count, len(chosen)))
        begun = len(leaving)
        applying.apply(others, lambda count: progress("repairing", begun + count, len(chosen)))
        in_batches.apply(
            self.plan.id,
            self._still_approved(certificates) if request.approved else certificates,
            lambda count: progress("repairing", begun + len(others) + count, len(chosen)),
        )
        done = len(chosen) - len(of_entra)
        self._apply_entra(request, of_entra, lambda count: progress("repairing", done + count, len(chosen)))
        if request.plan_id is None and request.only in (None, Kind.certificate):
            again = in_batches.assert_again(person_id)
            log.info("reconcile.reasserted", certificates=again)

    def _apply_entra(self, request: Request, items: Sequence[Drift], progress: Callable[[int], None]) -> None:
        if items and self.provider is not None:
            repairing = EntraRepairing(
                self.tenant, self.run_id, self.plan.id, self.provider, only_approved=request.approved
            )
            repairing.apply(items, progress)

    def _approved(self) -> frozenset[int]:
        with self.tenant.read() as s:
            return s.plan(self.plan.id).approved()

    def _still_approved(self, items: Iterable[Drift]) -> Iterator[Drift]:
        """Yield the rows whose approval was not withdrawn, person by person: an operator can stop a long repair."""
        for _, some in groupby(items, key=who):
            with self.tenant.read() as s:
                approved = s.plan(self.plan.id).still_approved(list(some))
            yield from approved

    def _settle_left(self, approved: Sequence[int]) -> None:
        """Settle the approved rows that could not be repaired, such as blanked ones, so that none waits for ever."""
        for first in range(0, len(approved), BATCH):
            with self.tenant.write() as s:
                items = s.plan(self.plan.id)
                left = items.is_approved(approved[first : first + BATCH])
                items.settle([(place, NOT_SETTLED) for place in left])

    def _is_paused(self) -> bool:
        with self.tenant.read() as s:
            return is_paused(s, self.tenant)

    def _skip_paused(self, chosen: list[Drift]) -> None:
        """Skip the rows: nothing can be sent (rule D4), so no repair begins and the audit trail has none."""
        for first in range(0, len(chosen), BATCH):
            with self.tenant.write() as s:
                skipped = [(item.position or 0, PAUSED) for item in chosen[first : first + BATCH]]
                s.plan(self.plan.id).settle(skipped)

    def _without(self, earlier: frozenset[int]) -> Run:
        """Return the plan for the report, without the rows that earlier runs repaired."""
        if not earlier:
            return self.plan
        counts = Counter(item.kind for item in self._items() if item.position not in earlier)
        return replace(self.plan, by_kind={kind.value: counts[kind] for kind in Kind if kind in counts}, new=0)

    def _note_applied(self, author: Author) -> None:
        """Store who asked for the repair before anything is sent: the audit trail has it even if this process dies."""
        with self.tenant.write() as s:
            event = AuditEvent(Action.applied, "plan", self.plan.id)
            s.audit.add(event, author)

    def _report(self, plan: Run, chosen: set[int | None], earlier: frozenset[int]) -> Report:
        outcomes = {place: why for place, why in self._outcomes().items() if place in chosen}
        applied = sum(why is None for why in outcomes.values())
        is_left = any(item.is_drift and outcomes.get(item.position or 0, "") is not None for item in self._left())
        with self.tenant.write() as s:
            s.runs.note(self.run_id, applied=applied)
        return Report(plan, DRIFT if is_left else IN_SYNC, applied, None, outcomes, earlier=earlier)

    def _left(self) -> Iterator[Drift]:
        """Return the rows that neither this run nor an earlier one repaired."""
        done = self._outcomes()
        return (item for item in self._items() if done.get(item.position or 0, "") is not None)

    def _outcomes(self) -> dict[int, str | None]:
        with self.tenant.read() as s:
            return s.plan(self.plan.id).outcomes()

    def _items(self) -> Iterator[Drift]:
        with self.tenant.read() as s:
            yield from s.plan(self.plan.id).all()
