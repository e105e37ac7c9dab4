"""Statements that are compiled once: those that every write executes, without SQLAlchemy's work for each execution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Insert, Update
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.dml import Delete

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    names: tuple[str, ...]
    """The parameters in their order."""

    is_positional: bool
    processors: Mapping[str, Callable[[Any], Any]]
    """Turns a value into what the driver takes, for parameters whose type asks for that."""

    constants: Mapping[str, Any]
    """What the statement itself says; never a value that a row has to give."""

    def parameters(self, row: Row) -> Any:
        processors, constants = self.processors, self.constants
        values = [
            processors[name](value) if name in processors else value
            for name in self.names
            for value in (row[name] if name in row else constants[name],)
        ]
        return tuple(values) if self.is_positional else dict(zip(self.names, values, strict=True))


class Prepared:
    """A statement that changes rows. What it returns, if anything, comes as the driver gives it: texts and numbers.

    :param statement: It takes each value by a parameter of that name, or an INSERT by the name of the column.
    """

    def __init__(self, statement: Insert | Update | Delete) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, tuple[str, ...]], _Compiled] = {}

    def execute(self, connection: Connection, rows: Row | Sequence[Row]) -> CursorResult[Any]:
        """Execute it with the parameters of one row, or of several with the same names.

        :raises DBAPIError: as `Connection.execute` does.
        :raises KeyError: a row has no value for a parameter.
        """
        several = None if isinstance(rows, Mapping) else rows
        first = rows if isinstance(rows, Mapping) else rows[0]
        compiled = self._for(connection.dialect, tuple(first))
        if several is None:
            return connection.exec_driver_sql(compiled.text, compiled.parameters(first))
        return connection.exec_driver_sql(compiled.text, [compiled.parameters(each) for each in several])

    def _for(self, dialect: Dialect, names: tuple[str, ...]) -> _Compiled:
        found = self._compiled.get((dialect.name, names))
        if found is None:
            found = self._compiled[dialect.name, names] = _compiled(self._statement, dialect, names)
        return found


def _compiled(statement: Insert | Update | Delete, dialect: Dialect, names: tuple[str, ...]) -> _Compiled:
    made: Any = statement.compile(dialect=dialect, column_keys=list(names))
    if made.insert_prefetch or made.update_prefetch:
        raise ValueError("a column has a default of Python's, which a statement that is compiled once does not know")
    required = {name for bind, name in made.bind_names.items() if bind.required}
    said = made.construct_params(_check=False)
    processors = {}
    for bind, name in made.bind_names.items():
        process = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if process is not None:
            processors[name] = process
    return _Compiled(
        text=str(made),
        names=tuple(made.positiontup) if made.positional else tuple(made.bind_names.values()),
        is_positional=bool(made.positional),
        processors=processors,
        constants={name: value for name, value in said.items() if name not in required},
    )
