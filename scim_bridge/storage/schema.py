"""Migrations: only `serve` and `db upgrade` run them, one process at a time (rule D7)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from scim_bridge.errors import SchemaOutdated
from scim_bridge.storage.database import Database
from scim_bridge.storage.sqlite_file import RESTORE, WatchedFile, turn_file

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)

LOCK = 5_249_072_011
"""The advisory lock on PostgreSQL. Every version of the bridge must use the same number."""


def upgrade(database: Database) -> None:
    """Migrate the schema to this version; a schema that is current stays as it is.

    :raises SchemaOutdated: the database is gone, or was migrated by a newer version.
    """
    if (file := database.missing_file()) is not None and file.was_here:
        raise SchemaOutdated(told_missing(file))
    from alembic import command  # noqa: PLC0415 # Large, and every command checks the schema, but few migrate.

    with _alone(database) as connection:
        _refuse_newer(_revision_of(connection))
        command.upgrade(_config(connection), "head")


def require_current(database: Database) -> None:
    """Check that the schema is this version's. :raises SchemaOutdated: it is not."""
    if (file := database.missing_file()) is not None:
        # Opening a missing SQLite file would create an empty one.
        raise SchemaOutdated(told_missing(file))
    with database.read() as s:
        found = _revision_of(s.connection)
    _refuse_newer(found)
    if found != revisions()[-1]:
        raise SchemaOutdated("the database has an older schema: run `scim-bridge db upgrade` first")


@cache
def revisions() -> list[str]:
    """Return the revisions that this version knows, oldest first."""
    texts = (path.read_text(encoding="utf-8") for path in (MIGRATIONS / "versions").glob("*.py"))
    return sorted(found[1] for text in texts if (found := _REVISION.search(text)) is not None)


def _revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


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
    """Refuse a revision that this version does not know. :raises SchemaOutdated: it is one."""
    if found is not None and found not in revisions():
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


def _config(connection: Connection | None = None) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 # See `upgrade`.

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
