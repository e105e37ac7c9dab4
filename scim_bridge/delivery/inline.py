"""Inline delivery: after the commit, while the request waits, fairly between companies (rules A1, A4, D2)."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.delivery.intake import Ticket
from scim_bridge.delivery.undo import Undo
from scim_bridge.domain.outcome import Undone
from scim_bridge.errors import UndoUncertain
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import loggable
from scim_bridge.tenant import Budget, Tenant

log = get_logger(__name__)


class InlinePlaces:
    """The places for inline deliveries in one web process; safe to share between threads.

    A company that has a place gets another only if one stays free for companies that have none. It gets at most half of
    them, so a slow Ditio delays only its own company. A worker delivers a write that gets no place.

    :param limits: For each company, the most places that it may have at a time.
    :param count: How many places there are.
    """

    def __init__(self, limits: Mapping[str, int], count: int) -> None:
        share = count if len(limits) == 1 else max(1, count // 2)
        self._limits = {name: min(limit, share) for name, limit in limits.items()}
        self._keeps_free = 0 if len(limits) == 1 else 1
        self._taken = dict.fromkeys(limits, 0)
        self._free = count
        self._lock = threading.Lock()

    def take(self, tenant: str) -> bool:
        """Take a place and return True, if there is one for this company. This never waits."""
        with self._lock:
            taken = self._taken[tenant]
            if taken >= self._limits[tenant] or self._free <= (self._keeps_free if taken else 0):
                return False
            self._taken[tenant] += 1
            self._free -= 1
            return True

    def give_back(self, tenant: str) -> None:
        with self._lock:
            self._taken[tenant] -= 1
            self._free += 1


@dataclass(frozen=True, slots=True)
class Inline:
    """Delivers what a request has just committed. Never raises an error of Ditio (rule A2)."""

    tenant: Tenant
    places: InlinePlaces
    """At most half of a server's threads wait for Ditio. A write that gets no place stays due."""

    def deliver(self, ticket: Ticket, *, began: float) -> Undone | None:
        """Try to deliver at once; a worker delivers the rest.

        Return what to answer the client about a write that Ditio refused and that was taken back (rule R1).

        :param began: When the request began, on the monotonic clock: the budget is the request's, not the delivery's.
        :raises UndoUncertain: it is unknown whether the write was taken back; the client has to ask again.
        """
        if ticket.lease is None:
            return None
        tenant = self.tenant.name
        if not self.places.take(tenant):
            self._leave_to_worker(ticket, ticket.lease)
            return None
        undo = None
        if ticket.undoable is not None:
            undo = Undo(self.tenant, ticket.undoable)
        try:
            self._deliver(ticket, ticket.lease, began, undo)
        finally:
            self.places.give_back(tenant)
        return undo.undone if undo is not None else None

    def _deliver(self, ticket: Ticket, lease: str, began: float, undo: Undo | None) -> None:
        try:
            budget = Budget(self.tenant.monotonic, began + self.tenant.inline_seconds)
            # The lease was taken after the request began, so it lasts at least this long.
            lasts = began + ticket.lease_seconds - self.tenant.monotonic()
            deliver_person(
                self.tenant,
                ticket.person_id,
                lease,
                lease_seconds=lasts,
                budget=budget,
                cause="request",
                first=ticket.facts,
                undo=undo,
            )
        except Exception as exc:
            if undo is not None and undo.is_uncertain:
                raise UndoUncertain("whether the write was taken back is not known") from exc
            if undo is None or undo.undone is None:
                raise
            # The write was taken back, so the client gets that answer. The lease expires, and a worker continues.
            log.error("delivery.failed", person_id=ticket.person_id, error=type(exc).__name__, exc_info=loggable(exc))

    def _leave_to_worker(self, ticket: Ticket, lease: str) -> None:
        with self.tenant.write() as s:
            s.outbox.release(ticket.person_id, lease)
