"""Statements that are compiled once do what they do when the library compiles them each time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis.strategies import datetimes, just
from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError

from scim_bridge.storage.database import Database, is_out_of_reach
from scim_bridge.storage.prepared import Prepared, all_of, insert_if_absent
from scim_bridge.storage.tables import UtcDateTime, json_column

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("at", UtcDateTime),
    Column("said", json_column()),
    Column("count", Integer, server_default="7"),
)
NOON = datetime(2026, 3, 2, 12, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
def things(database: Database) -> Iterator[Database]:
    with database.write() as s:
        THINGS.create(s.connection)
    yield database
    with database.write() as s:
        THINGS.drop(s.connection)


def rows(database: Database) -> list[tuple[object, ...]]:
    with database.read() as s:
        return [tuple(each) for each in s.connection.execute(select(THINGS).order_by(THINGS.c.id))]


def test_values_are_stored_as_their_columns_store_them(things: Database):
    """Times in UTC, JSON as JSON, nothing as NULL; a column that is not named has its default."""
    made = Prepared(insert(THINGS))
    with things.write() as s:
        made.execute(s.connection, {"id": "a", "at": NOON, "said": {"å": ["%", "%(id)s", ":id"]}})
        made.execute(s.connection, [{"id": "b", "at": None, "count": 1}, {"id": "c", "at": NOON, "count": 2}])

    assert rows(things) == [
        ("a", NOON.astimezone(UTC), {"å": ["%", "%(id)s", ":id"]}, 7),
        ("b", None, None, 1),
        ("c", NOON.astimezone(UTC), None, 2),
    ]
    with things.write() as s, pytest.raises(ValueError, match="without a time zone"):
        made.execute(s.connection, {"id": "d", "at": NOON.replace(tzinfo=None)})


def test_a_parameter_may_stand_in_several_places_and_constants_stay(things: Database):
    """An UPDATE names its parameters; what the statement itself says is no parameter."""
    changed = Prepared(
        update(THINGS)
        .where(THINGS.c.id == bindparam("which"), THINGS.c.count == 7)
        .values(count=THINGS.c.count + 10, said=bindparam("new", type_=THINGS.c.said.type), at=bindparam("now"))
    )
    with things.write() as s:
        for each in ("a", "b"):
            assert insert_if_absent(s.connection, THINGS, {"id": each})
        assert not insert_if_absent(s.connection, THINGS, {"id": "a"})
        asked = {"new": ["x"], "which": "a", "now": NOON, "more": "is not asked for"}
        assert changed.execute(s.connection, asked).rowcount == 1
        assert changed.execute(s.connection, asked).rowcount == 0

    assert rows(things) == [("a", NOON.astimezone(UTC), ["x"], 17), ("b", None, None, 7)]
    with things.write() as s:
        assert Prepared(delete(THINGS)).execute(s.connection, {}).rowcount == 2


def test_a_row_without_a_value_is_refused(things: Database):
    """No value is made up, not even in the second row of several: a column that is to be empty says so."""
    made = Prepared(insert(THINGS))
    changed = Prepared(update(THINGS).where(THINGS.c.id == bindparam("which")).values(count=bindparam("new")))
    with things.write() as s:
        made.execute(s.connection, {"id": "a", "count": 1})
        with pytest.raises(KeyError, match="count"):
            made.execute(s.connection, [{"id": "b", "count": 2}, {"id": "c"}])
        with pytest.raises(KeyError, match="new"):
            changed.execute(s.connection, {"which": "a"})

    assert rows(things) == [("a", None, None, 1)]


def test_its_error_is_the_librarys_and_hides_the_values(things: Database):
    made, row = Prepared(insert(THINGS)), {"id": "a", "said": "a secret"}
    with things.write() as s:
        made.execute(s.connection, row)
    with things.read() as s, pytest.raises(IntegrityError) as failed:
        made.execute(s.connection, row)

    assert failed.value.hide_parameters
    assert "a secret" not in str(failed.value)


def test_a_default_of_pythons_is_refused(database: Database):
    """It would never be asked for."""
    table = Table("others", MetaData(), Column("id", Text, primary_key=True), Column("made", Text, default=lambda: "x"))
    with database.write() as s, pytest.raises(ValueError, match="default"):
        Prepared(insert(table)).execute(s.connection, {"id": "a"})


@pytest.mark.parametrize("someone_listens", [False, True])
def test_a_select_returns_what_the_library_returns(things: Database, someone_listens: bool):
    """Times, JSON and NULL as values of Python, by name; alone, and several at once, in their order."""
    found = Prepared(select(THINGS).where(THINGS.c.id == bindparam("which")))
    statements: list[str] = []
    if someone_listens:
        event.listen(things.engine, "before_cursor_execute", lambda *said: statements.append(said[2]))
    with things.write() as s:
        for row in ({"id": "a", "at": NOON, "said": {"å": [1]}}, {"id": "b", "at": None, "said": None}):
            insert_if_absent(s.connection, THINGS, row)
        (a,), (b,), none, (again,) = all_of(s.connection, [(found, {"which": each}) for each in ("a", "b", "c", "a")])

        assert (a.id, a.at, a.said, a.count) == ("a", NOON.astimezone(UTC), {"å": [1]}, 7)
        assert (b.at, b.said, none) == (None, None, [])
        assert found.first(s.connection, {"which": "a"}) == a == again
        assert found.first(s.connection, {"which": "c"}) is None
    assert bool(statements) == someone_listens


def test_one_of_several_selects_that_fails_is_named(things: Database):
    """By the library's error, as if it had been executed alone; the others are not taken for its answer."""
    fine = Prepared(select(THINGS.c.id).where(THINGS.c.id == bindparam("which")))
    wrong = Prepared(select(Table("missing", MetaData(), Column("id", Text)).c.id))
    with things.read() as s, pytest.raises(DBAPIError, match="missing"):
        all_of(s.connection, [(fine, {"which": "a"}), (wrong, {}), (fine, {"which": "b"})])

    assert rows(things) == []


def test_a_connection_that_is_lost_is_not_used_again(postgresql_url: str):
    """The caller is told that the database is out of reach, and the next transaction gets another connection."""
    database, asked = Database(postgresql_url), Prepared(select(text("1 AS one")))
    other = Database(postgresql_url)

    def meets_its_end() -> None:
        with database.read() as s:
            pid = s.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with other.read() as o:
                o.connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            asked.first(s.connection, {})

    try:
        with pytest.raises(DBAPIError) as failed:
            meets_its_end()
        assert is_out_of_reach(failed.value)
        assert failed.value.connection_invalidated
        with database.read() as s:
            assert s.connection.execute(text("SELECT 1")).scalar_one() == 1
    finally:
        database.close()
        other.close()


@given(datetimes(timezones=just(UTC) | just(ZoneInfo("Europe/Oslo"))))
def test_an_instant_is_stored_as_the_library_stores_it(moment: datetime):
    """A database has rows of both: they are compared and sorted as texts."""
    dialect = sqlite.dialect()
    ours, theirs = (each.dialect_impl(dialect).bind_processor(dialect) for each in (UtcDateTime(), DateTime()))

    assume(moment.year > 1 and moment.year < 9999)
    assert ours(moment) == theirs(moment.astimezone(UTC))
    assert ours(None) is None
