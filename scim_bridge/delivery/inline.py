"""Delivery while the request waits: after the commit, in its budget, fairly between companies (rules A1, A4, D2)."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scim_bridge.delivery.deliver import Convergence
from scim_bridge.delivery.intake import Ticket
from scim_bridge.delivery.undo import Undo, Undone, UndoUncertain
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import loggable
from scim_bridge.storage.outbox import Outbox
from scim_bridge.tenant import Budget

log = get_logger(__name__)


class InlineSlots:
    """The places of one web process; safe to share between threads.

    A company that has one gets another only if one stays free for whoever has none, and half of them at most: what its
    Ditio keeps waiting is its own. A write that finds no place is a worker's.

    :param limits: For each company, the most that it may have at a time.
    :param count: How many there are.
    """

    def __init__(self, limits: Mapping[str, int], count: int) -> None:
        share = count if len(limits) == 1 else max(1, count // 2)
        self._limits = {name: min(limit, share) for name, limit in limits.items()}
        self._keeps_free = 0 if len(limits) == 1 else 1
        self._taken = dict.fromkeys(limits, 0)
        self._free = count
        self._lock = threading.Lock()

    def take(self, tenant: str) -> bool:
        """Take a place, if there is one for this company. Never waits."""
        with self._lock:
            taken = self._taken[tenant]
            if taken >= self._limits[tenant] or self._free <= (self._keeps_free if taken else 0):
                return False
            self._taken[tenant] += 1
            self._free -= 1
            return True

    def give_back(self, tenant: str) -> None:
        """The place is free again."""
        with self._lock:
            self._taken[tenant] -= 1
            self._free += 1


@dataclass(frozen=True, slots=True)
class Inline:
    """Delivers what a request has just committed; never raises for Ditio's sake (rule A2)."""

    convergence: Convergence
    places: InlineSlots
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
