"""Delivery while the request waits: after the commit, within its budget (rules A1, A4)."""

from collections.abc import Callable
from dataclasses import dataclass

from scim_bridge.delivery.budget import Budget
from scim_bridge.delivery.converge import Convergence
from scim_bridge.delivery.places import Places
from scim_bridge.delivery.ticket import Ticket
from scim_bridge.delivery.undo import Undo, UndoUncertain
from scim_bridge.delivery.undone import Undone
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import loggable
from scim_bridge.storage.outbox import Outbox

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Inline:
    """Delivers what a request has just committed; never raises for Ditio's sake (rule A2)."""

    convergence: Convergence
    places: Places
    """At most half of a server's threads wait for Ditio; a write that finds no place free stays due."""

    monotonic: Callable[[], float]

    def deliver(self, ticket: Ticket, *, began: float) -> Undone | None:
        """Try to deliver at once; whatever is left is a worker's.

        Returns what the client is to be told of a write that Ditio refused, and that was taken back (rule R1).

        :param began: When the request began, on the monotonic clock: the budget is the request's, not the delivery's.
        :raises UndoUncertain: nobody knows whether it was taken back; the client has to ask again.
        """
        if ticket.lease is None:
            return None
        tenant = self.convergence.tenant.name
        if not self.places.take(tenant):
            self._leave_to_worker(ticket, ticket.lease)
            return None
        convergence, undo = self.convergence, None
        if ticket.undoable is not None:
            undo = Undo(convergence.tenant, ticket.undoable, convergence.new_id)
        try:
            self._converge(ticket, ticket.lease, began, undo)
        finally:
            self.places.give_back(tenant)
        return undo.undone if undo is not None else None

    def _converge(self, ticket: Ticket, lease: str, began: float, undo: Undo | None) -> None:
        try:
            budget = Budget(self.monotonic, began + self.convergence.tenant.inline_seconds)
            # The lease was taken after the request began, so it lasts at least this long.
            lasts = began + ticket.lease_seconds - self.monotonic()
            self.convergence.deliver(
                ticket.person_id, lease, lease_seconds=lasts, budget=budget, cause="request", undo=undo
            )
        except Exception as exc:
            if undo is not None and undo.is_uncertain:
                raise UndoUncertain("whether the write was taken back is not known") from exc
            if undo is None or undo.undone is None:
                raise
            # It was taken back, and that is what counts; the lease runs out, and a worker goes on.
            log.error("delivery.failed", person_id=ticket.person_id, error=type(exc).__name__, exc_info=loggable(exc))

    def _leave_to_worker(self, ticket: Ticket, lease: str) -> None:
        database, name = self.convergence.database, self.convergence.tenant.name
        with database.write() as connection:
            Outbox(connection, name, database.now(connection)).release(ticket.person_id, lease)
