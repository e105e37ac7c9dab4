"""Statements that are compiled once do what they do when the library compiles them each time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from scim_bridge.storage.database import Database
from scim_bridge.storage.engine import insert_if_absent
from scim_bridge.storage.prepared import Prepared
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
