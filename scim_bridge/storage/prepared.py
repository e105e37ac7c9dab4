"""Statements that are compiled once: those that every write executes, without SQLAlchemy's work for each execution."""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Insert, Select, Table, Update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import CompoundSelect
from sqlalchemy.sql.dml import Delete

Row = Mapping[str, object]

FILE = "file"
"""The entry of `Connection.info` that names the file of an embedded database. Its errors get it: see `failed`."""


class Answer(Protocol):
    """The driver's cursor after a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchall(self) -> list[Any]:
        """Return what it returns, as texts and numbers."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    takes: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    """The parameters in their order, each with what turns its value into one that the driver takes."""

    is_positional: bool

    constants: Mapping[str, Any]
    """What the statement itself says; never a value that a row has to give."""

    made: Callable[..., Any] | None
    """Makes a row with names of what the statement returns; None if it returns nothing."""

    readers: tuple[tuple[int, Callable[[Any], Any]], ...]
    """Turns a column into a value of Python, for columns whose type asks for that."""

    def parameters(self, row: Row) -> Any:
        given = {**self.constants, **row} if self.constants else row
        if self.is_positional:
            return tuple([given[name] if make is None else make(given[name]) for name, make in self.takes])
        return {name: given[name] if make is None else make(given[name]) for name, make in self.takes}

    def read(self, values: Sequence[Any]) -> Any:
        assert self.made is not None
        found = list(values)
        for index, reader in self.readers:
            found[index] = reader(found[index])
        return self.made(*found)


class Prepared:
    """A statement. `first` and `all` return what it finds or returns, as rows with names and values of Python.

    :param statement: It takes each value by a parameter of that name, or an INSERT by the name of the column.
    """

    def __init__(self, statement: Insert | Update | Delete | Select[Any] | CompoundSelect[Any]) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, tuple[str, ...]], _Compiled] = {}

    def execute(self, connection: Connection, rows: Row | Sequence[Row]) -> Answer:
        """Execute it with the parameters of one row, or of several with the same names.

        :raises DBAPIError: as `Connection.execute` does.
        :raises KeyError: a row has no value for a parameter.
        """
        if isinstance(rows, Mapping):
            compiled = self._for(connection.dialect, tuple(rows))
            return executed(connection, compiled.text, compiled.parameters(rows))
        compiled = self._for(connection.dialect, tuple(rows[0]))
        return executed(connection, compiled.text, [compiled.parameters(each) for each in rows], several=True)

    def first(self, connection: Connection, row: Row) -> Any:
        """Return the first row that it finds, or None. :raises DBAPIError: as `Connection.execute` does."""
        found = self.all(connection, row)
        return found[0] if found else None

    def all(self, connection: Connection, row: Row) -> list[Any]:
        """Return the rows that it finds. :raises DBAPIError: as `Connection.execute` does."""
        return self.read(connection, row, self.execute(connection, row))

    def read(self, connection: Connection, row: Row, answer: Answer) -> list[Any]:
        """Return what it has found. :param row: Its parameters."""
        compiled = self._for(connection.dialect, tuple(row))
        return [compiled.read(each) for each in answer.fetchall()]

    def _for(self, dialect: Dialect, names: tuple[str, ...]) -> _Compiled:
        found = self._compiled.get((dialect.name, names))
        if found is None:
            found = self._compiled[dialect.name, names] = _compiled(self._statement, dialect, names)
        return found


def all_of(
    connection: Connection, asked: Sequence[tuple[Prepared, Row]], first: Callable[[], object] | None = None
) -> list[list[Any]]:
    """Return the rows that each of several statements finds. PostgreSQL gets all of them at once, and in this order.

    :param first: Executes other statements before them; None if there are none.
    """
    is_one = first is None and len(asked) == 1
    is_alone = is_one or connection.dialect.name != "postgresql" or connection.dispatch.before_cursor_execute
    with nullcontext() if is_alone else at_once(connection):
        if first is not None:
            first()
        answers = [statement.execute(connection, row) for statement, row in asked]
    return [statement.read(connection, row, answer) for (statement, row), answer in zip(asked, answers, strict=True)]


@contextmanager
def at_once(connection: Connection) -> Iterator[None]:
    """Send the statements of this block to PostgreSQL without waiting for each answer.

    :raises DBAPIError: one of them failed, as if it had been executed alone.
    """
    driver = connection.connection.driver_connection
    assert driver is not None
    try:
        with driver.pipeline():
            yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise failed(connection, error) from error


def executed(connection: Connection, text: str, parameters: Any = (), *, several: bool = False) -> Answer:
    """Execute a text of SQL with parameters as the driver takes them. :raises DBAPIError: as the library does."""
    if connection.dispatch.before_cursor_execute:
        # SQLAlchemy tells who listens to each statement.
        return cast(Answer, connection.exec_driver_sql(text, parameters))
    driver: Any = connection.connection.driver_connection
    try:
        cursor = driver.cursor()
        (cursor.executemany if several else cursor.execute)(text, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        raise failed(connection, error, text) from error
    except BaseException as end:
        if not isinstance(end, Exception):
            # The process ends in the middle of a statement: nothing may be sent after it.
            connection.invalidate(end)
        raise
    return cast(Answer, cursor)


def failed(connection: Connection, error: Exception, text: str | None = None) -> DBAPIError:
    """Return what SQLAlchemy raises for an error of the driver. A connection that is lost is not used again."""
    dialect = connection.dialect
    if (file := connection.info.get(FILE)) is not None:
        error.file = file  # type: ignore[attr-defined]
    is_lost = dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]
    if is_lost:
        connection.invalidate(error)
    made: Any = DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    )
    assert isinstance(made, DBAPIError)
    return made


def _compiled(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> _Compiled:
    made: Any = statement.compile(dialect=dialect, column_keys=list(names))
    if getattr(made, "insert_prefetch", ()) or getattr(made, "update_prefetch", ()):
        raise ValueError("a column has a default of Python's, which a statement that is compiled once does not know")
    required = {name for bind, name in made.bind_names.items() if bind.required}
    said = made.construct_params(_check=False)
    processors = {}
    for bind, name in made.bind_names.items():
        process = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if process is not None:
            processors[name] = process
    names_in_order = made.positiontup if made.positional else made.bind_names.values()
    is_read = isinstance(statement, Select | CompoundSelect)
    columns = tuple(statement.selected_columns if is_read else statement.exported_columns)
    readers = (
        (index, column.type.dialect_impl(dialect).result_processor(dialect, None))
        for index, column in enumerate(columns)
    )
    return _Compiled(
        text=str(made),
        takes=tuple((name, processors.get(name)) for name in names_in_order),
        is_positional=bool(made.positional),
        constants={name: value for name, value in said.items() if name not in required},
        made=namedtuple("Found", [column.name for column in columns]) if columns else None,
        readers=tuple((index, reader) for index, reader in readers if reader is not None),
    )


def insert_if_absent(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Insert a row unless one with its key exists. Return whether it was inserted.

    It never causes a unique violation, which would end a PostgreSQL transaction.
    """
    return bool(_insert_if_absent(connection.dialect.name, table).execute(connection, row).fetchall())


@cache
def _insert_if_absent(dialect: str, table: Table) -> Prepared:
    return Prepared(inserting(dialect, table).on_conflict_do_nothing().returning(*table.primary_key))


def inserting(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that can do without conflicts."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
