"""What is old enough is removed, a little at a time (`RETENTION__DAYS`, `RECONCILE__KEEP_DAYS`)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database, repeated
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.history import AuditTrail, History
from scim_bridge.storage.plans import PlanItems, plans_before
from scim_bridge.storage.runs import Runs

log = get_logger(__name__)

BATCH = 1000
"""Rows removed in one transaction: nobody has to wait long for it."""

MOST_BATCHES = 100
"""In one go, of each kind; the rest comes with the next, so that a worker gets back to its people."""

Forgets = Callable[[Connection, datetime, datetime], int]
"""Removes at most `BATCH` rows that are older than an instant, the second; the first is now. How many."""


def forget_old(database: Database, tenant: str, days: int, plan_days: int = 30) -> int:
    """Remove what is old enough of history, audit trail, the guard's decisions and `reconcile`. How many rows.

    Any number of processes may do it at once.

    :param days: How long everything is kept, one line for each run of `reconcile` included.
    :param plan_days: How long the rows of a run are kept (rule Q5).
    """

    def history(connection: Connection, now: datetime, moment: datetime) -> int:
        return History(connection, tenant, now).forget_before(moment, limit=BATCH)

    def audit(connection: Connection, _: datetime, moment: datetime) -> int:
        return AuditTrail(connection, tenant).forget_before(moment, limit=BATCH)

    def decisions(connection: Connection, now: datetime, moment: datetime) -> int:
        return Guard(connection, tenant, now).forget_before(moment, limit=BATCH)

    def runs(connection: Connection, _: datetime, moment: datetime) -> int:
        return Runs(connection, tenant).forget_before(moment, limit=BATCH)

    removed = _forget_plans(database, tenant, plan_days)
    return removed + sum(_forget(database, tenant, days, what) for what in (history, audit, decisions, runs))


def _forget_plans(database: Database, tenant: str, days: int) -> int:
    """Remove the rows of old plans. They are looked for in a transaction that only reads: there may be many runs."""
    with database.read() as connection:
        moment = database.now(connection) - timedelta(days=days)
        plans = plans_before(connection, tenant, moment, limit=MOST_BATCHES)
    removed = 0
    for plan_id in plans:
        while count := repeated(partial(_forget_rows, database, tenant, plan_id)):
            removed += count
    if removed:
        log.info("retention.removed", tenant=tenant, what="plans", rows=removed)
    return removed


def _forget_rows(database: Database, tenant: str, plan_id: str) -> int:
    with database.write() as connection:
        return PlanItems(connection, tenant, plan_id).forget(limit=BATCH)


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
