"""The transaction of one request, and the deliveries that follow it (rule A1)."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime

from scim_bridge.delivery.intake import Ticket
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.outcome import Undone
from scim_bridge.errors import UndoUncertain
from scim_bridge.logs import get_logger
from scim_bridge.scim.quirks import Quirk
from scim_bridge.storage.database import Database, Session, loggable
from scim_bridge.storage.entra_calls import Tally
from scim_bridge.storage.resources import StoredResource
from scim_bridge.web.scim.errors import refused_by_ditio

log = get_logger(__name__)

MAX_NAMED = 50
"""How many quirks one line of the log names."""


class RequestTransaction:
    """One transaction at a time; one that is opened inside another belongs to it.

    :param deliver: Tries a delivery; called once the transaction is committed and none is open. If it undoes the
        write, that becomes the request's error (rule R1).
    :param author: The caller, for the audit trail.
    :param tally: Keeps the quirks that this write need not store itself; None if it stores all.
    """

    def __init__(
        self,
        database: Database,
        tenant: str,
        deliver: Callable[[Ticket], Undone | None],
        author: Author,
        tally: Tally | None = None,
    ) -> None:
        self._database = database
        self._tenant = tenant
        self._deliver = deliver
        self._author = author
        self._tally = tally
        self._session: Session | None = None
        self._tickets: list[Ticket] = []
        self._tolerated: set[Quirk] = set()
        self.locked: dict[str, StoredResource] = {}
        """The rows, by id, that no other transaction changes until this one ends."""

        self.has_written = False
        """Whether a transaction that may have written was committed."""

    @contextmanager
    def open(self, *, writes: bool, once: bool = False) -> Generator[Session]:
        """Yield the transaction that is open, or a new one for this block.

        :param once: Whether the block has only one statement, which reads.
        """
        if self._session is not None:
            yield self._session
            return
        self._tickets = []
        database = self._database
        begun = database.write if writes else database.read_once if once else database.read
        with begun(self._tenant) as s:
            self._session = s
            try:
                yield s
                if writes and self._tolerated:
                    self._count(s, frozenset(self._tolerated))
            finally:
                self._session = None
                self._tolerated = set()
                self.locked = {}
        self.has_written = self.has_written or writes
        for ticket in self._tickets:
            self._try_delivery(ticket)

    def collect(self, ticket: Ticket | None) -> None:
        """Deliver a ticket once all is committed."""
        if ticket is not None:
            self._tickets.append(ticket)

    def wrote(
        self, action: Action, stored: StoredResource, ticket: Ticket | None, now: datetime, names: tuple[str, ...] = ()
    ) -> None:
        """Store a write in the audit trail, in this transaction, and deliver its person after it.

        :param names: The attributes that changed.
        """
        person_id = ticket.person_id if ticket is not None else None
        self.note(AuditEvent(action, stored.resource_type, stored.id, person_id, names), now)
        self.collect(ticket)

    def note(self, deed: AuditEvent, now: datetime) -> None:
        """Store an event in the audit trail, in this transaction."""
        assert self._session is not None
        self._session.audit.add(deed, self._author)

    def tolerate(self, found: tuple[Quirk, ...]) -> None:
        """Count the quirks of the next write, within its own transaction: a refused write isn't counted.

        Nearly every write of Entra's has the same ones: the log names those that this process has not stored lately.
        """
        new = found if self._tally is None else self._tally.due(self._tenant, found)
        if new:
            log.info("scim.tolerated", tenant=self._tenant, quirks=[" ".join(each) for each in new[:MAX_NAMED]])
        self._tolerated.update(found)

    def _count(self, s: Session, found: frozenset[Quirk]) -> None:
        """Count the quirks of a write, last of all: their rows stay locked until the commit."""
        tally = self._tally
        due = found if tally is None else tally.due(self._tenant, found)
        s.quirks.count(due)
        if tally is not None:
            s.after_commit(lambda: tally.committed(self._tenant, found, due))

    def _try_delivery(self, ticket: Ticket) -> None:
        """Try a delivery. Any failure other than a refusal leaves the write accepted (rule A2)."""
        undone = None
        try:
            undone = self._deliver(ticket)
        except UndoUncertain:
            raise
        except Exception as exc:
            log.error(
                "scim.delivery_failed",
                tenant=self._tenant,
                person_id=ticket.person_id,
                error=type(exc).__name__,
                exc_info=loggable(exc),
            )
        if undone is not None:
            raise refused_by_ditio(undone)
