"""What is old enough is removed, a little at a time (`RETENTION__DAYS`)."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from scim_bridge.logs import get_logger
from scim_bridge.storage.audit import AuditTrail
from scim_bridge.storage.database import Database, repeated
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.history import History

log = get_logger(__name__)

BATCH = 1000
"""Rows removed in one transaction: nobody has to wait long for it."""

MOST_BATCHES = 100
"""In one go, of each kind; the rest comes with the next, so that a worker gets back to its people."""

Forgets = Callable[[Connection, datetime, datetime], int]
"""Removes at most `BATCH` rows that are older than an instant, the second; the first is now. How many."""


def forget_old(database: Database, tenant: str, days: int) -> int:
    """Remove history, the audit trail and what the guard decided, once they are older than so many days. How many rows.

    Any number of processes may do it at once.
    """

    def history(connection: Connection, now: datetime, moment: datetime) -> int:
        return History(connection, tenant, now).forget_before(moment, limit=BATCH)

    def audit(connection: Connection, _: datetime, moment: datetime) -> int:
        return AuditTrail(connection, tenant).forget_before(moment, limit=BATCH)

    def decisions(connection: Connection, now: datetime, moment: datetime) -> int:
        return Guard(connection, tenant, now).forget_before(moment, limit=BATCH)

    return sum(_forget(database, tenant, days, what) for what in (history, audit, decisions))


def _forget(database: Database, tenant: str, days: int, forgets: Forgets) -> int:
    removed = 0
    for _ in range(MOST_BATCHES):
        count = repeated(lambda: _forget_some(database, days, forgets))
        removed += count
        if count < BATCH:
            break
    if removed:
        log.info("retention.removed", tenant=tenant, what=forgets.__name__, rows=removed)
    return removed


def _forget_some(database: Database, days: int, forgets: Forgets) -> int:
    with database.write() as connection:
        now = database.now(connection)
        return forgets(connection, now, now - timedelta(days=days))
