"""Databases with many people, row for row as if each had been POSTed.

A POST costs milliseconds, and 100,000 of them minutes. So one person is POSTed to a bridge with an empty
database; all rows that came of it, in every table, are the pattern; and the others' rows are the pattern with another
number and other ids. That this is what a POST leaves is not believed but compared, in every run, column by column.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

from flask import Flask
from sqlalchemy import Table, insert, select, text

from scim_bridge.errors import BridgeError
from scim_bridge.storage.database import Database
from scim_bridge.storage.schema import upgrade
from scim_bridge.storage.tables import metadata
from tests.benchmarks.bridge import add_token, app_for, post_user
from tests.benchmarks.people import digits

PATTERN_NUMBER = 8_765_432
"""Whose rows are the pattern: a number that no one else has, and whose digits occur nowhere by accident."""

COMPARED = (45_678, 7_654_321)
"""Who is POSTed as well, and compared with his prepared rows."""

CHUNK = 2000
"""How many people one transaction holds."""

_ID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b|(?<=\d-\d{6}-)[0-9a-f]{12}\b"
)
"""A random UUID (version 4), with hyphens or without; or the random end of an id of the audit trail."""

_PASSING = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\b\d{12}-(?=\*id )|\b\d{8}T\d{6}\.\d{6}-\d{6}-(?=\*id )"
)
"""What is of the moment: instants, and the places of entries of the history and of the audit trail."""

Row = dict[str, Any]
Rows = list[tuple[Table, Row]]


@dataclass(frozen=True)
class Pattern:
    """The rows of one person, ready to become those of others."""

    rows: Rows
    ids: tuple[str, ...]
    """The random ids in them: each person has ids of his own."""

    @cached_property
    def _own(self) -> list[list[tuple[str, list[str]]]]:
        """For each row, the columns that have something of the person's own, and what: a million rows are made."""
        own = (digits(PATTERN_NUMBER), *self.ids)
        return [
            [(name, found) for name, value in row.items() if (found := [each for each in own if each in _flat(value)])]
            for _, row in self.rows
        ]

    def only(self, table: Table) -> "Pattern":
        """The same person's rows in one table."""
        return Pattern([row for row in self.rows if row[0] is table], self.ids)

    def rows_of(self, number: int) -> Rows:
        """The rows of another person."""
        new = {digits(PATTERN_NUMBER): digits(number), **{found: _like(found, str(uuid4())) for found in self.ids}}
        return [
            (table, row | {name: _exchanged(row[name], [(old, new[old]) for old in found]) for name, found in columns})
            for (table, row), columns in zip(self.rows, self._own, strict=True)
        ]


def pattern_in(
    folder: Path,
    application: Callable[[Database], Flask] = app_for,
    post: Callable[[Flask, int], None] = post_user,
) -> Pattern:
    """POST the pattern person and some others, and make sure that these are as if made from him.

    :param application: The bridge that they are POSTed to; by default one that only queues.
    :param post: POSTs one person, and what belongs to him.
    :raises BridgeError: a row would differ from what a POST stores.
    """
    # Another pattern may be made in the same folder.
    database = Database(f"sqlite:///{Path(mkdtemp(dir=folder)) / 'pattern.db'}")
    try:
        upgrade(database)
        add_token(database)
        app = application(database)
        for number in (PATTERN_NUMBER, *COMPARED):
            post(app, number)
        pattern = _pattern(_rows_about(database, PATTERN_NUMBER))
        for number in COMPARED:
            _refuse_unlike(anonymous(pattern.rows_of(number)), anonymous(_rows_about(database, number)))
    finally:
        database.close()
    return pattern


def fill(database: Database, users: int, pattern: Pattern, advance: Callable[[int], None]) -> None:
    """Bring an empty database to this version's schema, with so many people and the benchmarks' token.

    :param advance: Told how many more people are stored.
    """
    upgrade(database)
    add_token(database)
    for first in range(1, users + 1, CHUNK):
        numbers = range(first, min(first + CHUNK, users + 1))
        by_table: dict[str, list[Row]] = {}
        for table, row in (each for number in numbers for each in pattern.rows_of(number)):
            by_table.setdefault(table.name, []).append(row)
        with database.write() as s:
            for name, rows in by_table.items():
                s.connection.execute(insert(metadata.tables[name]), rows)
        advance(len(numbers))
    if not database.is_sqlite:
        # Autovacuum would do it within a minute, in the middle of the measuring.
        with database.engine.connect().execution_options(single=True) as connection:
            connection.execute(text("VACUUM ANALYZE"))


def anonymous(rows: Rows) -> list[str]:
    """Rows without what differs between two creations of the same person: instants, and which ids were drawn.

    An id becomes the place of its first appearance, so that it still tells what belongs together.
    """
    exchanges = [(found, f"*id {place}*") for place, found in enumerate(_pattern(rows).ids)]
    return [f"{table.name} " + _PASSING.sub("", _flat(_with(_without_spans(row), exchanges))) for table, row in rows]


def _refuse_unlike(made: list[str], posted: list[str]) -> None:
    if made == posted and made:
        return
    unlike = [f"{ours}\n  instead of\n{true}" for ours, true in zip(made, posted, strict=False) if ours != true]
    raise BridgeError(
        "the prepared rows are not what a POST stores, so nothing was measured; "
        f"{len(made)} rows instead of {len(posted)}:\n" + "\n".join(unlike)
    )


def _rows_about(database: Database, number: int) -> Rows:
    """All rows about a person, whatever table they are in: those with his number, and those that they point to."""
    with database.read() as s:
        found = [
            (table, dict(row))
            for table in metadata.sorted_tables
            for row in s.connection.execute(select(table)).mappings()
        ]
    flat = [_flat(row) for _, row in found]
    mine = {digits(number), *(each for text in flat if digits(number) in text for each in _ids_in(text))}
    return [row for row, text in zip(found, flat, strict=True) if any(each in text for each in mine)]


def _pattern(rows: Rows) -> Pattern:
    ids = dict.fromkeys(found for _, row in rows for found in _ids_in(_flat(row)))
    return Pattern(rows, tuple(ids))


def _ids_in(flat: str) -> Iterator[str]:
    # The `externalId` of the benchmarks' people looks like one, but is made of their numbers.
    return (match.group() for match in _ID.finditer(flat) if not match.group().startswith("5d1f3c0e"))


def _with(row: Row, exchanges: Sequence[tuple[str, str]]) -> Row:
    return {name: _exchanged(value, exchanges) for name, value in row.items()}


def _exchanged(value: Any, exchanges: Sequence[tuple[str, str]]) -> Any:
    """A value of a column with texts exchanged wherever they are nested."""
    if isinstance(value, str):
        for old, new in exchanges:
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {name: _exchanged(each, exchanges) for name, each in value.items()}
    if isinstance(value, list):
        return [_exchanged(each, exchanges) for each in value]
    return value


def _flat(row: object) -> str:
    return json.dumps(row, default=_told, ensure_ascii=False, sort_keys=True)


def _without_spans(row: Row) -> Row:
    """A row without how long Ditio took."""
    return {name: value for name, value in row.items() if name != "duration_ms"}


def _told(value: object) -> str:
    return "*instant*" if isinstance(value, datetime) else str(value)


def _like(found: str, new: str) -> str:
    return new if "-" in found else new.replace("-", "")[-len(found) :]
