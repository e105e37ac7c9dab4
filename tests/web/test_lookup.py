"""The short way of simple reads, behind the whole application: what every answer has, and how it fails."""

import pytest
from sqlalchemy import event

from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import BRIDGE, TOKEN, World

LOOKUP = f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22"
LIST = f"{BRIDGE}/scim/v2/Users?filter=userName%20sw%20%22x%22"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    world = World(database, clock)
    world.http.get(LIST, headers=HEADERS)  # The use of the token is noted.
    return world


def test_a_lookup_is_one_statement(world: World):
    """Design, section 11: it finds the token and the user, and on PostgreSQL it tells the time too."""
    statements: list[str] = []
    begun: list[object] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *said: statements.append(said[2]))
    event.listen(world.database.engine, "begin", begun.append)

    assert world.http.get(LOOKUP, headers=HEADERS).status_code == 200
    assert (len(begun), len(statements)) == (1, 1), statements


@pytest.mark.parametrize("sent", ["", "an-id-of-the-proxy", "a b"])
def test_both_ways_have_the_same_headers(world: World, sent: str):
    short, long = (world.http.get(url, headers={**HEADERS, "X-Request-Id": sent}).headers for url in (LOOKUP, LIST))

    assert short.keys() == long.keys()
    for name in short.keys() - {"X-Request-Id", "Date"}:
        assert short[name] == long[name]
    assert (short["X-Request-Id"] == sent) is (long["X-Request-Id"] == sent) is (sent == "an-id-of-the-proxy")


def test_a_revoked_token_is_refused_at_once(world: World):
    """A3: the lookup reads the token itself, each time."""
    assert world.http.get(LOOKUP, headers=HEADERS).status_code == 200
    with world.database.write("default") as s:
        s.tokens.revoke(s.tokens.list()[0].id)

    assert world.http.get(LOOKUP, headers=HEADERS).status_code == 401


def test_a_lookup_notes_that_the_token_is_used(world: World):
    """As exactly as any other request does."""
    world.clock.passes(minutes=6)
    world.http.get(LOOKUP, headers=HEADERS)

    with world.database.read("default") as s:
        assert s.tokens.list()[0].last_used_at == world.clock()


def test_a_database_out_of_reach_is_asked_once(world: World):
    """A3: 503, and the client does not wait for two attempts."""
    asked: list[str] = []

    def fails(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)
        raise world.database.engine.dialect.loaded_dbapi.OperationalError("gone")

    event.listen(world.database.engine, "before_cursor_execute", fails)
    answer = world.http.get(LOOKUP, headers=HEADERS)

    assert (answer.status_code, len(asked)) == (503, 1)
    assert answer.headers["Retry-After"]


def test_addresses_in_answers_are_uris(database: Database, clock: Clock):
    """RFC 9110 §10.2.2: a host in other letters than a header has is written in those that it has."""
    world = World(database, clock, settings={"server": {"base_url": "https://bjørn.example:8443/ø"}})

    created = world.scim(
        "POST", "/Users", {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "a@b"}
    )
    read = world.scim("GET", f"/Users/{created.json()['id']}")

    uri = f"https://xn--bjrn-hra.example:8443/%C3%B8/scim/v2/Users/{created.json()['id']}"
    assert (created.status_code, created.headers["Location"], created.headers["Content-Location"]) == (201, uri, uri)
    assert (read.headers["Content-Location"], read.json()["meta"]["location"]) == (uri, uri)
