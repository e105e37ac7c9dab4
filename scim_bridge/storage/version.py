"""Whether the database has the schema of this version (rule D7), told without loading the library that migrates."""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from scim_bridge.errors import SchemaOutdated
from scim_bridge.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


def require_current(database: Database) -> None:
    """Check that the schema is this version's. :raises SchemaOutdated: it is not."""
    if (path := database.missing_file()) is not None:
        # Opening a missing SQLite file would create an empty one.
        raise SchemaOutdated(
            f"there is no database at {path}: check the folder and --config; `scim-bridge db upgrade` creates a new one"
        )
    with database.read() as s:
        found = revision_of(s.connection)
    refuse_newer(found)
    if found != revisions()[-1]:
        raise SchemaOutdated("the database has an older schema: run `scim-bridge db upgrade` first")


@cache
def revisions() -> list[str]:
    """Return the revisions that this version knows, oldest first."""
    texts = (path.read_text(encoding="utf-8") for path in (MIGRATIONS / "versions").glob("*.py"))
    return sorted(found[1] for text in texts if (found := _REVISION.search(text)) is not None)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def refuse_newer(found: str | None) -> None:
    """Refuse a revision that this version does not know. :raises SchemaOutdated: it is one."""
    if found is not None and found not in revisions():
        raise SchemaOutdated("the database was migrated by a newer scim-bridge: install that version, or a newer one")
