"""Migrations: only `serve` and `db upgrade` run them, one process at a time (rule D7)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from scim_bridge.errors import SchemaOutdated
from scim_bridge.storage.database import Database
from scim_bridge.storage.sqlite_file import RESTORE, WatchedFile, turn_file

LOCK = 5_249_072_011
"""The advisory lock on PostgreSQL. Every version of the bridge must use the same number."""


def upgrade(database: Database) -> None:
    """Migrate the schema to this version; a schema that is current stays as it is.

    :raises SchemaOutdated: the database is gone, or was migrated by a newer version.
    """
    if (file := database.missing_file()) is not None and file.was_here:
        raise SchemaOutdated(told_missing(file))
    with _alone(database) as connection:
        _refuse_newer(MigrationContext.configure(connection).get_current_revision())
        command.upgrade(_config(connection), "head")


def require_current(database: Database) -> None:
    """Check that the schema is this version's. :raises SchemaOutdated: it is not."""
    if (file := database.missing_file()) is not None:
        # Opening a missing SQLite file would create an empty one.
        raise SchemaOutdated(told_missing(file))
    with database.read() as s:
        found = MigrationContext.configure(s.connection).get_current_revision()
    _refuse_newer(found)
    if found != ScriptDirectory.from_config(_config()).get_current_head():
        raise SchemaOutdated("the database has an older schema: run `scim-bridge db upgrade` first")


def told_missing(file: WatchedFile) -> str:
    """Return why there is no database, and what to do: the part after ": " is the cure."""
    if file.was_here:
        return (
            f"the database at {file.path} is gone: {RESTORE}. Without a backup, remove {turn_file(file.path)} to begin "
            "with an empty one"
        )
    return (
        f"there is no database at {file.path}: check the folder and --config. If it was lost, {RESTORE}. Only for a "
        "new installation, `scim-bridge db upgrade` creates one"
    )


def _refuse_newer(found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaOutdated("the database was migrated by a newer scim-bridge: install that version, or a newer one")


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
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
