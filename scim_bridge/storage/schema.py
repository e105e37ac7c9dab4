"""Migrations: only `serve` and `db upgrade` run them, one process at a time (rule D7).

The processes of the version before go on meanwhile, and afterwards, until they are replaced. So a migration only adds.
One that takes something away says in its id which older versions can go on: see `oldest_reader`.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from scim_bridge.errors import SchemaOutdated
from scim_bridge.logs import get_logger
from scim_bridge.storage.admin_tables import metadata
from scim_bridge.storage.database import Database, Session, is_contention
from scim_bridge.storage.runs import NAMES, PROCESS_ALIVE_SECONDS, running
from scim_bridge.storage.sqlite_file import RESTORE, WatchedFile, turn_file

if TYPE_CHECKING:
    from alembic.config import Config

log = get_logger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)

LOCK = 5_249_072_011
"""The advisory lock on PostgreSQL. Every version of the bridge must use the same number."""

TABLE_SECONDS = 0.1
"""How long a migration waits for one table on PostgreSQL. New requests wait behind it. It has to give up long before
PostgreSQL looks for a deadlock (after a second), or else a request could be the one that is ended."""

RETRY_SECONDS = 0.4
"""How long the requests that wait may go on before the migration is tried once more."""


def upgrade(database: Database) -> None:
    """Migrate the schema to this version; one that is current, or newer and readable, stays as it is.

    :raises SchemaOutdated: the database is gone; it has a newer schema that this version can't read; or processes run
        that could not go on.
    """
    if (file := database.missing_file()) is not None and file.was_here:
        raise SchemaOutdated(told_missing(file))
    is_first = True
    while not _is_migrated(database):
        if is_first:
            log.info("schema.waits_for_tables")
        is_first = False
        time.sleep(RETRY_SECONDS)


def _is_migrated(database: Database) -> bool:
    """Migrate as far as needed. Return False if the transaction of another process was in the way."""
    head = revisions()[-1]
    try:
        with _alone(database) as s:
            found = _revision_of(s.connection)
            _refuse_unreadable(found)
            if found is None or found < head:
                from alembic import command  # noqa: PLC0415 # Large, and many commands check the schema; few migrate.

                _refuse_to_end_others(s, head)
                command.upgrade(_config(s.connection), "head")
                s.after_commit(partial(log.info, "schema.migrated", before=found, now=head))
    except OperationalError as error:
        if is_contention(error) or getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            return False
        raise
    return True


_LOCK_NOT_AVAILABLE = "55P03"


def in_memory(now: datetime) -> Database:
    """Return an empty database in memory, for the calling thread alone; its clock stands still. The caller closes it.

    Its tables are made without the migrations, which are slow, and not made for two threads at once.
    """
    database = Database("sqlite://", clock=lambda: now)
    with database.write() as s:
        metadata.create_all(s.connection)
    return database


def require_current(database: Database) -> str:
    """Return the revision of the schema, which may be newer. :raises SchemaOutdated: this version can't work on it."""
    if (file := database.missing_file()) is not None:
        # Opening a missing SQLite file would create an empty one.
        raise SchemaOutdated(told_missing(file))
    with database.read() as s:
        found = _revision_of(s.connection)
    _refuse_unreadable(found)
    if found is None or found < revisions()[-1]:
        raise SchemaOutdated("the database has an older schema: run `scim-bridge db upgrade` first")
    return found


def oldest_reader(revision: str) -> str:
    """Return the oldest revision whose code can work on the schema of a revision; empty if any can.

    A revision's id tells it, so that code knows it of a migration that is newer than itself. After `0030`, the code of
    all earlier revisions can go on. `0031_0028` removed what the code before `0028` needs.
    """
    return revision.partition("_")[2]


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


def _refuse_unreadable(found: str | None) -> None:
    """Refuse a schema that this version can't work on, even after a migration. :raises SchemaOutdated: it is one."""
    head = revisions()[-1]
    if found is not None and found not in revisions() and not oldest_reader(found) <= head < found:
        raise SchemaOutdated("the database was migrated by a newer scim-bridge: install that version, or a newer one")


def _refuse_to_end_others(s: Session, head: str) -> None:
    """Refuse a migration while processes run that could not go on after it. :raises SchemaOutdated: there are some."""
    if not (oldest := oldest_reader(head)):
        return
    if others := [f"a {NAMES[each.kind]} on host {each.host}" for each in running(s) if each.revision < oldest]:
        raise SchemaOutdated(
            "older versions can't go on with the schema of this version, and some of their processes still run: "
            f"{', '.join(sorted(others))}. Stop them, then try again. One that was killed counts as running for "
            f"{PROCESS_ALIVE_SECONDS:.0f} seconds"
        )


@contextmanager
def _alone(database: Database) -> Iterator[Session]:
    # On SQLite the write transaction itself excludes all other writers.
    with database.write() as s:
        if not database.is_sqlite:
            # Wait without a limit: another process may take long to migrate.
            s.connection.execute(text("SET LOCAL lock_timeout = 0"))
            s.connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            # But not for a table that is in use, because new requests would wait too.
            s.connection.execute(text(f"SET LOCAL lock_timeout = '{TABLE_SECONDS:g}s'"))
        yield s


def _config(connection: Connection | None = None) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 # See `upgrade`.

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
