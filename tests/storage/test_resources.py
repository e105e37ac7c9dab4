"""Users looked up by a value: one step in an index, whatever the number of users."""

import json
from datetime import datetime

import pytest
from sqlalchemy import event, text

from scim_bridge.storage.database import Database
from scim_bridge.storage.json_sql import ENTERPRISE
from scim_bridge.storage.resources import LOOKUPS, StoredResource

USERS = 500


def _stored(number: int, moment: datetime) -> StoredResource:
    said = {"userName": f"user-{number}", "externalId": f"e-{number}"}
    more = {"emails": [{"value": f"{number}@x.no", "type": "work"}], ENTERPRISE: {"employeeNumber": f"{number}"}}
    return StoredResource(f"id-{number}", "User", {**said, **more}, 1, moment, moment, {**said, **more})


VALUES = dict(zip(LOOKUPS, ("id-7", "user-7", "e-7", "7@x.no", "7"), strict=True))
INDEXES = dict(
    zip(
        LOOKUPS,
        (
            ("sqlite_autoindex_resources_1", "pk_resources", "ix_resources_type"),
            ("uq_resources_user_name",),
            ("ix_resources_external_id_key",),
            ("ix_resources_work_email_key",),
            ("ix_resources_employee_number",),
        ),
        strict=True,
    )
)


@pytest.fixture
def many(database: Database) -> Database:
    with database.write("default") as s:
        for number in range(USERS):
            s.resources.add(_stored(number, s.now))
    with database.write("other") as s:
        s.resources.add(_stored(7, s.now))
        s.connection.execute(text("ANALYZE"))
    return database


@pytest.mark.parametrize("attribute", LOOKUPS)
def test_a_user_is_found_by_a_value(many: Database, attribute: str):
    with many.read("default") as s:
        assert [each.id for each in s.resources.found_by(attribute, VALUES[attribute])] == ["id-7"]
        assert s.resources.found_by(attribute, "x") == []
    with many.read("a third") as s:
        assert s.resources.found_by(attribute, VALUES[attribute]) == []


@pytest.mark.parametrize("attribute", LOOKUPS)
def test_a_user_is_found_in_an_index(many: Database, attribute: str):
    """Design, section 11: a lookup costs the same with 100,000 users."""
    sent: list[tuple[str, object]] = []
    event.listen(many.engine, "before_cursor_execute", lambda *said: sent.append((said[2], said[3])))
    with many.read("default") as s:
        s.resources.found_by(attribute, VALUES[attribute])
        statement, parameters = sent[-1]
        explain = "EXPLAIN QUERY PLAN " if many.is_sqlite else "EXPLAIN "
        plan = json.dumps(
            [list(map(str, row)) for row in s.connection.exec_driver_sql(explain + statement, parameters)]
        )

    assert any(name in plan for name in INDEXES[attribute]), plan
    assert "SCAN resources" not in plan
    assert "Seq Scan on resources" not in plan


def test_numbers_that_begin_alike_are_told_apart(database: Database):
    """The index has only the beginning of a number."""
    with database.write("default") as s:
        for end in ("a", "b"):
            long = {"userName": end, ENTERPRISE: {"employeeNumber": "1" * 4000 + end}}
            s.resources.add(StoredResource(end, "User", long, 1, s.now, s.now, long))

        assert [each.id for each in s.resources.found_by("employeeNumber", "1" * 4000 + "b")] == ["b"]
