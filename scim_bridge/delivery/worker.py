"""The worker: delivers whoever is due, one after another; any number of workers may run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scim_bridge.delivery.budget import Budget
from scim_bridge.delivery.calls import LEASE_MARGIN_SECONDS
from scim_bridge.delivery.converge import Convergence
from scim_bridge.logs import get_logger
from scim_bridge.storage.hands_off import PutAside
from scim_bridge.storage.outbox import Leased, Outbox

log = get_logger(__name__)

WAKE_EVERY_SECONDS = 30.0
"""How often a worker looks for people whose day has come (rule L2)."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Takes due people under a lease and delivers them, for all tenants in turn."""

    convergences: Sequence[Convergence]
    new_id: Callable[[], str]

    def run_once(self) -> bool:
        """Deliver one person of each tenant. Whether there was anybody."""
        served = [self._serve(convergence) for convergence in self.convergences]
        return any(served)

    def run_until_idle(self) -> int:
        """Deliver until nothing is due, or all that is due waits in back-off. How many deliveries were made."""
        self.wake()
        delivered = 0
        while self.run_once():
            delivered += 1
        return delivered

    def run(self, stop: Callable[[], bool], pause: Callable[[], None]) -> None:
        """Deliver until `stop` says so; `pause` waits a moment when nobody is due."""
        woke_at = float("-inf")
        while not stop():
            now = self.convergences[0].monotonic()
            if now - woke_at >= WAKE_EVERY_SECONDS:
                self.wake()
                woke_at = now
            if not self.run_once():
                pause()

    def wake(self) -> int:
        """Mark those due whose leave date is over (rule L2), or for how long they were put aside (D6). How many."""
        return sum(self._wake(convergence) for convergence in self.convergences)

    def _serve(self, convergence: Convergence) -> bool:
        leased = self._lease(convergence)
        if leased is None:
            return False
        seconds = convergence.tenant.call_seconds + LEASE_MARGIN_SECONDS
        convergence.deliver(
            leased.person_id,
            leased.lease,
            lease_seconds=seconds,
            budget=Budget(convergence.monotonic),
            cause="worker",
        )
        return True

    def _lease(self, convergence: Convergence) -> Leased | None:
        database, tenant = convergence.database, convergence.tenant
        with database.read() as connection:
            # Looking takes no lock: an idle worker is in nobody's way.
            if not Outbox(connection, tenant.name, database.now(connection)).has_work():
                return None
        with database.write() as connection:
            outbox = Outbox(connection, tenant.name, database.now(connection))
            return outbox.lease_next(self.new_id(), tenant.call_seconds + LEASE_MARGIN_SECONDS)

    def _wake(self, convergence: Convergence) -> int:
        woken = 0
        while batch := self._wake_some(convergence):
            woken += batch
        return woken

    def _wake_some(self, convergence: Convergence) -> int:
        database, tenant = convergence.database, convergence.tenant
        with database.write() as connection:
            now = database.now(connection)
            today, outbox = tenant.today(now), Outbox(connection, tenant.name, now)
            taken_up = PutAside(connection, tenant.name).end(today)
            for person_id in taken_up:
                outbox.mark_due(person_id)
            return len(taken_up) + outbox.wake(today)
