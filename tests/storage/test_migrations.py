"""Each migration: processes of the version before go on, while it runs and after it (D7, CONTRIBUTING.md)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, inspect, text

from scim_bridge.storage import schema
from scim_bridge.storage.database import Database

# SQLite's reflection leaves out an index of expressions.
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")

HARMLESS_TRIGGERS = {
    "audit_is_never_replaced": "no version replaces a row of the audit trail",
    "audit_is_never_truncated": "no version empties the audit trail as a whole",
}
"""Triggers may refuse what an older version writes; these refuse nothing that any version does."""

TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
}


@dataclass
class Table:
    """What the statements of a version rely on."""

    columns: dict[str, dict[str, Any]]
    rules: set[str] = field(default_factory=set)
    """What a row has to keep: keys, unique indexes, checks."""


def tables_of(connection: Connection) -> dict[str, Table]:
    found = inspect(connection)
    tables = {}
    for name in set(found.get_table_names()) - {"alembic_version"}:
        columns = {
            column["name"]: {
                "type": str(column["type"].compile(connection.dialect)),
                "may be NULL": column["nullable"],
                "has a default": column["default"] is not None,
            }
            for column in found.get_columns(name)
        }
        unique = [each["column_names"] for each in found.get_indexes(name) if each["unique"]]
        unique += [each["column_names"] for each in found.get_unique_constraints(name)]
        rules = {f"unique {sorted(filter(None, each))}" for each in unique}
        rules |= {f"key {found.get_pk_constraint(name)['constrained_columns']}"}
        rules |= {f"check {each['sqltext']}" for each in found.get_check_constraints(name)}
        rules |= {f"reference {each['constrained_columns']}" for each in found.get_foreign_keys(name)}
        tables[name] = Table(columns, rules)
    return tables


def triggers_of(connection: Connection) -> set[str]:
    return set(connection.execute(text(TRIGGERS[connection.dialect.name])).scalars()) - HARMLESS_TRIGGERS.keys()


@dataclass
class Seen:
    """A schema at one revision."""

    tables: dict[str, Table]
    triggers: set[str]

    @classmethod
    def of(cls, connection: Connection) -> "Seen":
        return cls(tables_of(connection), triggers_of(connection))

    def breaks(self, before: "Seen") -> Iterator[str]:
        """What statements of the version before can no longer do, or what a row of theirs may lack."""
        yield from (f"{name} is gone" for name in before.tables.keys() - self.tables.keys())
        yield from (f"trigger {name}" for name in self.triggers - before.triggers)
        for name in before.tables.keys() & self.tables.keys():
            old, new = before.tables[name], self.tables[name]
            yield from (f"{name}.{column} is gone" for column in old.columns.keys() - new.columns.keys())
            yield from (f"{name}: {rule}" for rule in new.rules - old.rules)
            for column, now in new.columns.items():
                if column not in old.columns:
                    if not now["may be NULL"] and not now["has a default"]:
                        yield f"{name}.{column} is NOT NULL, without a default"
                    continue
                was = old.columns[column]
                # What was NOT NULL may become NULL only once no version reads it as a value.
                yield from (f"{name}.{column}: {what}" for what in was if was[what] != now[what])


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.close()


def test_no_migration_takes_away_what_an_older_version_uses_unless_it_says_so(empty: Database):
    """If this fails: only add, or name the oldest revision whose code can go on in the id, such as `0031_0028`."""
    seen: Seen | None = None
    previous = ""
    for revision in schema.revisions():
        with empty.write() as s:
            command.upgrade(schema._config(s.connection), revision)
            now = Seen.of(s.connection)
        found = [*now.breaks(seen)] if seen is not None else []
        if found:
            assert schema.oldest_reader(revision) > schema.oldest_reader(previous), f"{revision}: {found}"
        seen, previous = now, revision


def test_every_id_names_a_revision_that_is_there_and_never_an_earlier_one_again():
    """Code that can't go on after 0031 can't after 0032 either, and knows only the last id."""
    numbers = [revision.partition("_")[0] for revision in schema.revisions()]
    marks = [schema.oldest_reader(revision) for revision in schema.revisions()]

    assert all(len(number) == 4 and number.isdigit() for number in numbers)
    assert len({*numbers}) == len(numbers)
    assert all(earlier <= later for earlier, later in pairwise(marks))
    for number, mark in zip(numbers, marks, strict=True):
        assert mark == "" or (mark in numbers and mark <= number)


ADDS: dict[str, Callable[[Operations], object]] = {
    "a column": lambda op: op.add_column("things", sa.Column("other", sa.Text())),
    "a column with a default": lambda op: op.add_column(
        "things", sa.Column("other", sa.Integer(), nullable=False, server_default=sa.text("0"))
    ),
    "a table": lambda op: op.create_table("others", sa.Column("id", sa.Text(), primary_key=True)),
    "an index": lambda op: op.create_index("ix_things_name", "things", ["name"]),
}
TAKES: dict[str, Callable[[Operations], object]] = {
    "a table": lambda op: op.drop_table("things"),
    "its name": lambda op: op.rename_table("things", "others"),
    "a column": lambda op: op.drop_column("things", "name"),
    "a column's name": lambda op: op.execute("ALTER TABLE things RENAME COLUMN name TO title"),
    "NULL": lambda op: _altered(op, "name", nullable=False),
    "NOT NULL": lambda op: _altered(op, "count", nullable=True),
    "a default": lambda op: _altered(op, "count", server_default=None),
    "a type": lambda op: _altered(op, "name", type_=sa.String(20)),
    "rows without the new column": lambda op: _with_a_must(op),
    "equal rows": lambda op: op.create_index("uq_things_name", "things", ["name"], unique=True),
    "some values": lambda op: _checked(op),
}


def _altered(op: Operations, column: str, **change: Any) -> None:
    with op.batch_alter_table("things") as batch:
        batch.alter_column(column, **change)


def _with_a_must(op: Operations) -> None:
    with op.batch_alter_table(
        "things", recreate="auto" if op.get_bind().dialect.name != "sqlite" else "always"
    ) as batch:
        batch.add_column(sa.Column("other", sa.Text(), nullable=False))


def _checked(op: Operations) -> None:
    with op.batch_alter_table("things") as batch:
        batch.create_check_constraint("ck_things_count", sa.text("count > 0"))


@pytest.fixture
def op(empty: Database) -> Iterator[Operations]:
    with empty.write() as s:
        op = Operations(MigrationContext.configure(s.connection))
        op.create_table(
            "things",
            sa.Column("id", sa.Text(), primary_key=True),
            sa.Column("name", sa.Text()),
            sa.Column("count", sa.Integer(), nullable=False, server_default=sa.text("1")),
        )
        yield op


@pytest.mark.parametrize("what", ADDS)
def test_what_is_added_breaks_nothing(op: Operations, what: str):
    before = Seen.of(op.get_bind())
    ADDS[what](op)

    assert [*Seen.of(op.get_bind()).breaks(before)] == []


@pytest.mark.parametrize("what", TAKES)
def test_what_is_taken_away_is_noticed(op: Operations, what: str):
    before = Seen.of(op.get_bind())
    TAKES[what](op)

    assert [*Seen.of(op.get_bind()).breaks(before)] != []


def test_a_trigger_is_noticed(op: Operations):
    """It may refuse what an older version writes: it needs a look, and its place in the list above."""
    before = Seen.of(op.get_bind())
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE TRIGGER refuses BEFORE INSERT ON things BEGIN SELECT RAISE(ABORT, 'no'); END")
    else:
        op.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        op.execute("CREATE TRIGGER refuses BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION refuse()")

    assert [*Seen.of(op.get_bind()).breaks(before)] == ["trigger refuses"]
