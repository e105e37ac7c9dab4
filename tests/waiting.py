"""Two transactions of PostgreSQL in each other's way: when the one waits, the other may go on."""

from sqlalchemy import text

from scim_bridge.storage.database import Database

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def until_another_waits(database: Database) -> None:
    """Return once a transaction waits for a lock."""
    for _ in range(100_000):
        with database.read() as s:
            if s.connection.execute(WAITING).scalar_one():
                return
    raise AssertionError("no transaction ever waited for a lock")
