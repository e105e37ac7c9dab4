"""The rows of a plan that are asked for are repaired, and what became of each is told (rules D4, Q2, Q3)."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from scim_bridge.delivery.breaker import PAUSED, is_paused
from scim_bridge.delivery.certificate_applying import CertificateApplying
from scim_bridge.delivery.converge import Convergence
from scim_bridge.delivery.drift_applying import DriftApplying
from scim_bridge.delivery.reconcile_request import DRIFT, IN_SYNC, Progress, Report, Request
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.audit import Action, Author, Deed
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.person import PersonId
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database
from scim_bridge.storage.history import AuditTrail
from scim_bridge.storage.plans import PlanItems
from scim_bridge.storage.runs import Run, Runs

log = get_logger(__name__)

BATCH = 500
"""Rows whose outcomes are in one transaction."""


@dataclass(frozen=True, slots=True)
class PlanRepairing:
    """Repairs one plan, in one run."""

    convergence: Convergence
    run_id: str
    plan: Run
    new_id: Callable[[], str]

    def repair(self, request: Request, person_id: PersonId | None, progress: Progress, *, reviewed: bool) -> Report:
        """Repair what may be repaired.

        :param person_id: The only person that the request is about.
        :param reviewed: Whether an operator has read the plan, so that employees may be created and logins opened.
        """
        done = self._outcomes()
        chosen = [
            item
            for item in self._items()
            if item.may_be_repaired(reviewed=reviewed) and done.get(item.position or 0, "") is not None
        ]
        if self._is_paused():
            self._skip_paused(chosen)
        else:
            if chosen:
                self._note_applied(request.author)
            self._apply(request, person_id, chosen, progress)
        earlier = frozenset(place for place, why in done.items() if why is None)
        return self._report(self._without(earlier), {item.position for item in chosen}, earlier)

    def _apply(self, request: Request, person_id: PersonId | None, chosen: list[Drift], progress: Progress) -> None:
        certificates = [item for item in chosen if item.kind is Kind.certificate]
        others = [item for item in chosen if item.kind is not Kind.certificate]
        applying, in_batches = (
            DriftApplying(self.convergence, self.plan.id, self.new_id),
            CertificateApplying(self.convergence, self.run_id),
        )
        applying.apply(others, lambda count: progress("repairing", count, len(chosen)))
        in_batches.apply(
            self.plan.id, certificates, lambda count: progress("repairing", len(others) + count, len(chosen))
        )
        if request.plan_id is None and request.only in (None, Kind.certificate):
            again = in_batches.assert_again(person_id)
            log.info("reconcile.reasserted", certificates=again)

    def _is_paused(self) -> bool:
        with self._database.read() as connection:
            return is_paused(connection, self._tenant, self._database.now(connection))

    def _skip_paused(self, chosen: list[Drift]) -> None:
        """Nothing can be sent (rule D4), so nothing is begun, and nobody has had anything repaired."""
        for first in range(0, len(chosen), BATCH):
            with self._database.write() as connection:
                skipped = [(item.position or 0, PAUSED) for item in chosen[first : first + BATCH]]
                now = self._database.now(connection)
                PlanItems(connection, self._tenant.name, self.plan.id).settle(skipped, now)

    def _without(self, earlier: frozenset[int]) -> Run:
        """The plan as it is told, without the rows that earlier runs repaired."""
        if not earlier:
            return self.plan
        counts = Counter(item.kind for item in self._items() if item.position not in earlier)
        return replace(self.plan, by_kind={kind.value: counts[kind] for kind in Kind if kind in counts}, new=0)

    def _note_applied(self, author: Author) -> None:
        """Before anything is sent: whatever becomes of this process, nothing was repaired that nobody asked for."""
        with self._database.write() as connection:
            deed = Deed(Action.applied, "plan", self.plan.id)
            AuditTrail(connection, self._tenant.name).add(deed, author, now=self._database.now(connection))

    def _report(self, plan: Run, chosen: set[int | None], earlier: frozenset[int]) -> Report:
        outcomes = {place: why for place, why in self._outcomes().items() if place in chosen}
        applied = sum(why is None for why in outcomes.values())
        is_left = any(item.is_drift and outcomes.get(item.position or 0, "") is not None for item in self._left())
        with self._database.write() as connection:
            Runs(connection, self._tenant.name).note(self.run_id, applied=applied)
        return Report(plan, DRIFT if is_left else IN_SYNC, applied, None, outcomes, earlier)

    def _left(self) -> Iterator[Drift]:
        """The rows that were never repaired, by this run or by an earlier one."""
        done = self._outcomes()
        return (item for item in self._items() if done.get(item.position or 0, "") is not None)

    def _outcomes(self) -> dict[int, str | None]:
        with self._database.read() as connection:
            return PlanItems(connection, self._tenant.name, self.plan.id).outcomes()

    def _items(self) -> Iterator[Drift]:
        with self._database.read() as connection:
            yield from PlanItems(connection, self._tenant.name, self.plan.id).all()

    @property
    def _database(self) -> Database:
        return self.convergence.database

    @property
    def _tenant(self) -> Tenant:
        return self.convergence.tenant
