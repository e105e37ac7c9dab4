"""The version after this one: today's bridge with one more migration, for tests of upgrades.

Its migration does what migrations may do while processes of the version before go on (CONTRIBUTING.md).
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from scim_bridge.storage import schema
from scim_bridge.storage.database import Database

ROOT = Path(__file__).parents[1]

LATER = "9001"
"""Its revision."""

NEEDS_LATER = f"{LATER}_{LATER}"
"""Its revision if no earlier version can go on."""

_MIGRATION = '''"""A later version's."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.create_table(
        "later_things",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_later_things"),
    )
    for table in ("people", "resources", "history", "schedules", "tokens"):
        op.add_column(table, sa.Column("later_text", sa.Text()))
        op.add_column(table, sa.Column("later_count", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_index("ix_people_later_text", "people", ["tenant", "later_text"])
'''


def package(folder: Path, revision: str = LATER) -> Path:
    """Write the later version into a folder, with what is compiled of this one; its place for PYTHONPATH."""
    shutil.copytree(ROOT / "scim_bridge", folder / "scim_bridge")
    _add_migration(folder / "scim_bridge" / "storage" / "migrations", revision)
    return folder


def _add_migration(migrations: Path, revision: str) -> None:
    text = _MIGRATION.format(revision=revision, before=schema.revisions()[-1])
    (migrations / "versions" / f"{revision}_later.py").write_text(text, encoding="utf-8")


@contextmanager
def migrated_to(database: Database, revision: str) -> Iterator[None]:
    """As if a version with this revision had migrated the database; afterwards it is today's again."""
    _set_revision(database, revision)
    try:
        yield
    finally:
        _set_revision(database, schema.revisions()[-1])


def _set_revision(database: Database, revision: str) -> None:
    with database.write() as s:
        s.connection.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": revision})


@pytest.fixture
def become_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Make this process one of the later version, with a revision of the test's choice."""

    def become(revision: str = LATER) -> None:
        migrations = tmp_path / "later" / "migrations"
        shutil.copytree(schema.MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
        _add_migration(migrations, revision)
        monkeypatch.setattr(schema, "MIGRATIONS", migrations)
        schema.revisions.cache_clear()

    yield become
    monkeypatch.undo()
    schema.revisions.cache_clear()
