"""Two transactions of PostgreSQL in each other's way: the one waits, or is repeated."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from scim_bridge.storage.database import Database

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def until_another_waits(database: Database) -> None:
    """Return once a transaction waits for a lock."""
    for _ in range(100_000):
        with database.read() as s:
            if s.connection.execute(WAITING).scalar_one():
                return
    raise AssertionError("no transaction ever waited for a lock")


class InConflict(Exception):
    """What PostgreSQL's driver raises for a transaction that was in conflict with another."""

    sqlstate = "40001"


def conflict() -> DBAPIError:
    """The error after which a transaction is repeated, on either database."""
    return DBAPIError("COMMIT", {}, InConflict())
