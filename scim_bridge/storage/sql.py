"""Statements that SQLite and PostgreSQL spell alike but SQLAlchemy keeps in their dialects."""

from collections.abc import Mapping, Sequence
from functools import cache

from sqlalchemy import Connection, Executable, Table, text
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, or update those with the same primary keys; all rows name the same columns."""
    if not rows:
        return
    connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), [dict(row) for row in rows])


def insert_if_absent(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Insert a row unless one with its key is there. Whether it was inserted.

    A unique violation that is caught ends a PostgreSQL transaction; this one never happens.
    """
    return connection.execute(_insert_if_absent(connection.dialect.name, table), dict(row)).first() is not None


@cache
def _upsert(dialect: str, table: Table, names: tuple[str, ...]) -> Executable:
    """Built once for each table and its columns."""
    statement = _insert(dialect, table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


@cache
def _insert_if_absent(dialect: str, table: Table) -> Executable:
    return _insert(dialect, table).on_conflict_do_nothing().returning(*table.primary_key)


def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert those rows whose keys are not there. How many these are."""
    if not rows:
        return 0
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing()
    result = connection.execute(statement, [dict(row) for row in rows], execution_options={"preserve_rowcount": True})
    return result.rowcount


def analyze(connection: Connection, *tables: Table) -> None:
    """Have PostgreSQL look at tables that have just been filled: it would plan as if they were small for minutes."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ANALYZE {', '.join(table.name for table in tables)}"))
