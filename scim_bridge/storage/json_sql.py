"""JSON in SQL: the operations that filters use, and indexed keys of users, on SQLite and on PostgreSQL."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    Text,
    TextClause,
    and_,
    cast,
    collate,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles

Columns = Mapping[str, ColumnElement[Any]]
"""Attributes that are stored in columns of other tables, by their URN."""

JsonPath = tuple[str, ...]
"""Names of JSON keys, outermost first. They come from schemas, never from a client."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a JSON array as rows."""

    rows: FromClause
    entry: ColumnElement[Any]
    """The JSON of one entry."""

    position: ColumnElement[Any]
    """Sorts the entries in the order of the array."""


class JsonSql(Protocol):
    """The JSON operations that filters use. Where nothing is at the path, they give NULL or no rows."""

    def text(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[str]:
        """Return the text at a path, compared byte by byte. An empty path means an entry that is text itself."""

    def number(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[float]:
        """Return the number at a path."""

    def node(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[Any]:
        """Return the object or array at a path."""

    def entries(self, source: ColumnElement[Any], path: JsonPath) -> Entries:
        """Return the entries of the array at a path."""

    def contains(self, text: ColumnElement[str], part: str) -> ColumnElement[bool]:
        """Return whether text contains a part; no character has a special meaning."""

    def may_contain(self, source: ColumnElement[Any], path: JsonPath, part: str) -> ColumnElement[bool]:
        """Return False only where no text at a path contains a part. It is cheaper than to ask for each text."""

    def has_member(self, source: ColumnElement[Any], user_id: str) -> ColumnElement[bool]:
        """Return whether the keys of a group list a member. :param user_id: An id that the bridge has made."""


class SqliteJson:
    """JSON stored as text."""

    def text(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[str]:
        return func.json_extract(source, _sqlite_path(path), type_=Text) if path else source

    def number(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[float]:
        return func.json_extract(source, _sqlite_path(path), type_=Float)

    def node(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[Any]:
        return func.json_extract(source, _sqlite_path(path), type_=Text)

    def entries(self, source: ColumnElement[Any], path: JsonPath) -> Entries:
        rows = func.json_each(source, _sqlite_path(path)).table_valued("key", "value")
        return Entries(rows, rows.c.value, rows.c.key)

    def contains(self, text: ColumnElement[str], part: str) -> ColumnElement[bool]:
        return func.instr(text, part) > 0

    def may_contain(self, source: ColumnElement[Any], path: JsonPath, part: str) -> ColumnElement[bool]:
        # The whole is searched as it is stored, and not parsed; LIKE is faster than `instr`. The JSON has letters
        # beyond ASCII as `\u00f8`.
        stored, text = type_coerce(source, Text), json.dumps(part)[1:-1]
        return or_(*(stored.contains(each, autoescape=True) for each in dict.fromkeys((text, part))))

    def has_member(self, source: ColumnElement[Any], user_id: str) -> ColumnElement[bool]:
        members = self.entries(source, ("members",))
        is_listed = exists(select(1).select_from(members.rows).where(self.text(members.entry, ("value",)) == user_id))
        # The text is searched first, which is a hundred times faster for a large group.
        return and_(func.instr(type_coerce(source, Text), user_id) > 0, is_listed)


class PostgresJson:
    """JSONB."""

    def text(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[str]:
        if not path:
            return collate(source.op("#>>", return_type=Text())(literal_column("'{}'")), "C")
        return collate(func.jsonb_extract_path_text(source, *path, type_=Text), "C")

    def number(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[float]:
        return cast(func.jsonb_extract_path_text(source, *path, type_=Text), Float)

    def node(self, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[Any]:
        return func.jsonb_extract_path(source, *path, type_=JSONB)

    def entries(self, source: ColumnElement[Any], path: JsonPath) -> Entries:
        array = func.jsonb_extract_path(source, *path, type_=JSONB)
        rows = func.jsonb_array_elements(array).table_valued("value", with_ordinality="position")
        rows = rows.render_derived()
        return Entries(rows, rows.c.value, rows.c.position)

    def contains(self, text: ColumnElement[str], part: str) -> ColumnElement[bool]:
        return func.strpos(text, part) > 0

    def may_contain(self, source: ColumnElement[Any], path: JsonPath, part: str) -> ColumnElement[bool]:
        if not path:
            return true()  # To make text of the whole takes longer than to take the values out of it.
        return func.strpos(cast(self.node(source, path), Text), json.dumps(part, ensure_ascii=False)[1:-1]) > 0

    def has_member(self, source: ColumnElement[Any], user_id: str) -> ColumnElement[bool]:
        return type_coerce(source, JSONB).contains({"members": [{"value": user_id}]})


def json_sql(dialect: str) -> JsonSql:
    """Return the JSON operations of a database, by SQLAlchemy's name of its dialect."""
    return PostgresJson() if dialect == "postgresql" else SqliteJson()


def _sqlite_path(path: JsonPath) -> str:
    return "$" + "".join(f'."{name}"' for name in path)


ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


KEY_LETTERS = 200
"""How many letters of a key an index has."""


class EmployeeNumberKey(ColumnElement[str]):
    """The beginning of a user's employee number as it is compared: a text of the `keys`, and no column.

    Its index (migration 0019) needs no change of the rows, and a version that does not know it keeps it up too.
    """

    type = Text()
    inherit_cache = True

    @staticmethod
    def of(key: str) -> str:
        """Return that of a folded number. PostgreSQL refuses an index entry beyond 2,704 bytes."""
        return key[:KEY_LETTERS]


class DepartmentKey(ColumnElement[str]):
    """The beginning of a user's department as it is compared: a text of the `keys`, with an index (migration 0023)."""

    type = Text()
    inherit_cache = True


@compiles(EmployeeNumberKey, "sqlite")
def _number_on_sqlite(*_: object, **__: object) -> str:
    return _on_sqlite("employeeNumber")


@compiles(EmployeeNumberKey, "postgresql")
def _number_on_postgresql(*_: object, **__: object) -> str:
    return _on_postgresql("employeeNumber")


@compiles(DepartmentKey, "sqlite")
def _department_on_sqlite(*_: object, **__: object) -> str:
    return _on_sqlite("department")


@compiles(DepartmentKey, "postgresql")
def _department_on_postgresql(*_: object, **__: object) -> str:
    return _on_postgresql("department")


def _on_sqlite(name: str) -> str:
    return f"""substr(json_extract("keys", '$."{ENTERPRISE}"."{name}"'), 1, {KEY_LETTERS})"""


def _on_postgresql(name: str) -> str:
    return f"substr(jsonb_extract_path_text(keys, '{ENTERPRISE}', '{name}'), 1, {KEY_LETTERS}) COLLATE \"C\""


def _is_other(display_name: str, names: Iterable[str], find: str) -> TextClause:
    """Return whether a name is not part of the display name, word for word as its index has it (migration 0028)."""
    return text("(" + " OR ".join(f"{find}({display_name}, coalesce({name}, '')) = 0" for name in names) + ")")


_NAMES = ("givenName", "familyName")

HAS_OTHER_NAME: Mapping[str, TextClause] = {
    "sqlite": _is_other(
        "coalesce(display_name_key, '')",
        [f"""json_extract("keys", '$."name"."{name}"')""" for name in _NAMES],
        "instr",
    ),
    "postgresql": _is_other(
        "coalesce(display_name_key, '')",
        [f"jsonb_extract_path_text(keys, 'name', '{name}') COLLATE \"C\"" for name in _NAMES],
        "strpos",
    ),
}
"""A condition for few users, by dialect: a given or family name is not part of the display name.

All others with a word in a name have it in the display name. Its index needs no change of the rows.
"""
