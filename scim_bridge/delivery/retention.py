"""What is old enough is removed, a little at a time (`RETENTION__DAYS`)."""

from datetime import timedelta

from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database, repeated
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.history import History

log = get_logger(__name__)

BATCH = 1000
"""Rows removed in one transaction: nobody has to wait long for it."""

MOST_BATCHES = 100
"""In one go; the rest comes with the next, so that a worker gets back to its people."""


def forget_old(database: Database, tenant: str, days: int) -> int:
    """Remove history, and what the guard decided, that is older than so many days. How many rows.

    Any number of processes may do it at once.
    """
    removed = 0
    for _ in range(MOST_BATCHES):
        count = repeated(lambda: _forget_some(database, tenant, days))
        removed += count
        if count < BATCH:
            break
    if removed:
        log.info("retention.history", tenant=tenant, rows=removed)
    return removed


def _forget_some(database: Database, tenant: str, days: int) -> int:
    with database.write() as connection:
        now = database.now(connection)
        until = now - timedelta(days=days)
        decisions = Guard(connection, tenant, now).forget_before(until, limit=BATCH)
        return decisions + History(connection, tenant, now).forget_before(until, limit=BATCH)
