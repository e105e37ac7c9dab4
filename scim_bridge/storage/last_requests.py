"""When Entra's last request about each company was accepted: the only sign that Entra still calls (rule D7)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update

from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.engine import Transaction, insert_if_absent

STORED_EVERY_SECONDS = 300.0
"""How often one process stores it for one company at most; the stored time is late by no more than this and a beat."""

_TASK = "entra"
"""Its row in `schedules`, one for each company. `started_at` is the time of the request."""


class LastRequests:
    """The last accepted request of each company in this process's memory; safe to share between threads.

    A request only notes the time here. The process's heartbeat stores it: so no request waits for that, and a read
    stays a read.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._noted: dict[str, float] = {}
        self._stored: dict[str, tuple[float, float]] = {}

    def note(self, tenant: str) -> None:
        """Note that a request of a company is accepted now."""
        self._noted[tenant] = self._monotonic()

    def to_store(self, *, at_end: bool = False) -> Mapping[str, float]:
        """Return the times to store, by company, on the monotonic clock.

        :param at_end: Whether this process ends, so that the latest times are stored however recent the last store is.
        """
        now = self._monotonic()
        found: dict[str, float] = {}
        for tenant, noted in list(self._noted.items()):
            known, stored_at = self._stored.get(tenant, (None, float("-inf")))
            if noted != known and (at_end or now - stored_at >= STORED_EVERY_SECONDS):
                found[tenant] = noted
        return found

    def store(self, s: Transaction, times: Mapping[str, float]) -> None:
        """Store these times, in a transaction of no company. An earlier one never replaces a later one."""
        for tenant, noted in sorted(times.items()):  # In one order: two processes then never wait for each other.
            moment = s.now - timedelta(seconds=max(0.0, self._monotonic() - noted))
            insert_if_absent(s.connection, schedules, {"tenant": tenant, "task": _TASK, "started_at": moment})
            # A clock that was ahead stored a time too late.
            is_older = or_(schedules.c.started_at < moment, schedules.c.started_at > s.now)
            is_its = and_(schedules.c.tenant == tenant, schedules.c.task == _TASK)
            s.connection.execute(update(schedules).where(is_its, is_older).values(started_at=moment))

    def mark_stored(self, times: Mapping[str, float]) -> None:
        """Remember that these times are stored: call it after the commit."""
        now = self._monotonic()
        self._stored |= {tenant: (noted, now) for tenant, noted in times.items()}


def last_request(s: Transaction) -> datetime | None:
    """Return when the last request of a company was accepted; None if none is known."""
    query = select(schedules.c.started_at).where(schedules.c.tenant == s.tenant, schedules.c.task == _TASK)
    return s.connection.execute(query).scalar_one_or_none()
