"""Delivery while the request waits: after the commit, within its budget (rules A1, A4)."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import BoundedSemaphore

from scim_bridge.delivery.budget import Budget
from scim_bridge.delivery.converge import Convergence
from scim_bridge.delivery.intake import Ticket
from scim_bridge.storage.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Inline:
    """Delivers what a request has just committed; never raises for Ditio's sake (rule A2)."""

    convergence: Convergence
    places: BoundedSemaphore
    """At most half of a server's threads wait for Ditio; a write that finds no place free stays due."""

    monotonic: Callable[[], float]

    def deliver(self, ticket: Ticket, *, began: float) -> None:
        """Try to deliver at once; whatever is left is a worker's.

        :param began: When the request began, on the monotonic clock: the budget is the request's, not the delivery's.
        """
        if ticket.lease is None:
            return
        if not self.places.acquire(blocking=False):
            self._leave_to_worker(ticket, ticket.lease)
            return
        try:
            budget = Budget(self.monotonic, began + self.convergence.tenant.inline_seconds)
            # The lease was taken after the request began, so it lasts at least this long.
            lasts = began + ticket.lease_seconds - self.monotonic()
            self.convergence.deliver(
                ticket.person_id, ticket.lease, lease_seconds=lasts, budget=budget, cause="request"
            )
        finally:
            self.places.release()

    def _leave_to_worker(self, ticket: Ticket, lease: str) -> None:
        database, name = self.convergence.database, self.convergence.tenant.name
        with database.write() as connection:
            Outbox(connection, name, database.now(connection)).release(ticket.person_id, lease)
