"""Migrations: only `serve` and `db upgrade` run them, one process at a time (rule D7)."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from scim_bridge.storage.database import Database
from scim_bridge.storage.version import MIGRATIONS, refuse_newer, revision_of

LOCK = 5_249_072_011
"""The advisory lock on PostgreSQL. Every version of the bridge must use the same number."""


def upgrade(database: Database) -> None:
    """Migrate the schema to this version; a schema that is current stays as it is."""
    with _alone(database) as connection:
        refuse_newer(revision_of(connection))
        command.upgrade(_config(connection), "head")


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    # On SQLite the write transaction itself excludes all other writers.
    with database.write() as s:
        if not database.is_sqlite:
            # Wait without a limit: another process may take long to migrate.
            s.connection.execute(text("SET LOCAL lock_timeout = 0"))
            s.connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        yield s.connection


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
