"""What a write costs, and its answer: made from what was stored, and the same as that to a read (rules A1, A6)."""

from typing import Any

import pytest
from sqlalchemy import event

from scim_bridge.cli.heartbeat import Heartbeat
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import BEAT_SECONDS, ProcessKind
from tests.conftest import Clock
from tests.world import World

USERS = "/Users"
USER: dict[str, Any] = {
    "schemas": [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ],
    "userName": "kari@contractor.example",
    "externalId": "5d1f",
    "active": True,
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "emails": [{"type": "work", "value": "kari@contractor.example", "primary": True}],
    "phoneNumbers": [{"type": "mobile", "value": "+4798765432"}],
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "1042"},
}
DISABLES = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "replace", "path": "active", "value": False}],
}


@pytest.fixture
def queued(database: Database, clock: Clock) -> World:
    """A world whose requests only queue."""
    return World(database, clock, settings={"delivery": {"inline_seconds": 0}})


class Asked:
    """The statements of a database, without SQLite's BEGIN, which PostgreSQL's driver says unseen."""

    def __init__(self, database: Database) -> None:
        self.statements: list[str] = []
        event.listen(database.engine, "before_cursor_execute", self._note)

    def taken(self) -> list[str]:
        """Return those since the last call."""
        taken, self.statements = self.statements, []
        return taken

    def _note(self, _: object, __: object, text: str, *___: object) -> None:
        if not text.startswith("BEGIN"):
            self.statements.append(text)


MOST_OF_A_CREATION, MOST_OF_A_CHANGE = 8, 15
"""Statements of a queued creation and change, with the one that signs in."""


def test_a_queued_write_asks_little(queued: World):
    """The first creation is another: the token's use is noted."""
    queued.scim("POST", USERS, {**USER, "userName": "other", "externalId": "1", "phoneNumbers": []})
    asked = Asked(queued.database)
    enterprise = {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "7"}}
    created = queued.scim("POST", USERS, USER | enterprise)
    creation = asked.taken()
    changed = queued.scim("PATCH", f"{USERS}/{created.json()['id']}", DISABLES)
    change = asked.taken()

    assert (created.status_code, changed.status_code) == (201, 200)
    assert len(creation) <= MOST_OF_A_CREATION, creation
    assert len(change) <= MOST_OF_A_CHANGE, change


@pytest.mark.parametrize("paused", [False, True])
def test_a_write_is_answered_as_a_read(queued: World, paused: bool):
    """The state of the delivery included: due, or held during a pause."""
    if paused:
        with queued.parts.tenants["default"].write() as s:
            s.pauses.pause()
    created = queued.scim("POST", USERS, USER)
    place = f"{USERS}/{created.json()['id']}"
    read = queued.scim("GET", place)
    changed = queued.scim("PATCH", place, DISABLES)

    assert created.json() == read.json()
    assert created.headers["Location"] == read.headers["Content-Location"] == read.json()["meta"]["location"]
    assert created.headers["ETag"] == read.headers["ETag"]
    state = read.json()["urn:ietf:params:scim:schemas:extension:ditio:2.0:User"]["deliveryState"]
    assert state == ("held" if paused else "due")
    assert changed.json() == queued.scim("GET", place).json()
    assert changed.json() != read.json()


def test_parts_of_a_new_user_are_answered_as_a_read_of_them(queued: World):
    created = queued.scim("POST", f"{USERS}?attributes=userName,name.givenName", USER)

    read = queued.scim("GET", f"{USERS}/{created.json()['id']}?attributes=userName,name.givenName")
    assert created.json() == read.json()
    assert "emails" not in created.json()


def test_what_every_write_departs_in_is_stored_once_in_a_while(queued: World):
    """The first write stores it, so that it shows at once; those that follow leave it to the heartbeat (rule A7)."""
    database, parts = queued.database, queued.parts

    def counts() -> list[int]:
        with database.read("default") as s:
            return [each.count for each in s.quirks.list()]

    for number in range(3):
        several = {"userName": f"u{number}", "externalId": str(number), "phoneNumbers": [], "shoeSize": 44}
        assert queued.scim("POST", USERS, {**USER, **several}).status_code == 201
        assert counts() == [1]
    refused = queued.scim("POST", USERS, {**USER, "userName": "u0", "shoeSize": 44})
    Heartbeat(database, ProcessKind.serve, queued.clock.monotonic, tally=parts.tally).look()

    assert refused.status_code == 409
    assert counts() == [3]
    queued.clock.passes(seconds=BEAT_SECONDS)
    assert queued.scim("POST", USERS, {**USER, "userName": "u9", "shoeSize": 44}).status_code == 201
    assert counts() == [4]
