"""A3: a PostgreSQL that answers nothing is out of reach, soon; nothing that it keeps from others is kept for long."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, make_url, text, update
from sqlalchemy.exc import DBAPIError

from scim_bridge.storage.database import Database, Session, is_out_of_reach
from scim_bridge.storage.engine import COMMANDS, DELIVERIES, REQUESTS, Patience
from scim_bridge.storage.tables import people
from tests.conftest import Clock
from tests.storage.relay import Relay, relayed
from tests.world import BRIDGE, World, a_user

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

HASTY = Patience(statement=0.4, lock=0.3, idle=0.6)
"""The same limits as a server's, in less time."""

SOON = 6.0
"""Seconds: a silent connection's second and a half, and three for the connection that is tried after it."""


@pytest.fixture
def relay(database_url: str) -> Iterator[tuple[Relay, str]]:
    with relayed(database_url) as both:
        yield both


@pytest.fixture
def through(relay: tuple[Relay, str], clock: Clock) -> Iterator[Database]:
    database = Database(relay[1], clock=clock, patience=HASTY)
    yield database
    database.close()


@pytest.fixture
def direct(database_url: str, clock: Clock) -> Iterator[Database]:
    database = Database(database_url, clock=clock)
    yield database
    database.close()


def test_a_request_is_answered_503_though_every_packet_is_swallowed(relay: tuple[Relay, str], through: Database):
    """A3: out of reach within the request's budget, with the moment to try again."""
    world = World(through, Clock())
    world.provisions(kari := a_user())
    path = f"/Users/{world.entra.scim_id(kari.object_id)}"
    relay[0].falls_silent()

    for method, body in (("GET", None), ("PUT", {"userName": "kari", "schemas": []})):
        began = time.monotonic()
        answer = world.scim(method, path, body)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert time.monotonic() - began < SOON

    began = time.monotonic()
    assert world.http.get(f"{BRIDGE}/readyz").status_code == 503
    assert time.monotonic() - began < SOON


def test_silence_in_the_middle_of_a_transaction(relay: tuple[Relay, str], through: Database):
    """A3: no statement waits for ever, and the lost connection goes back to no pool."""
    began = time.monotonic()

    def work() -> None:
        with through.write() as s:
            s.connection.execute(text("SELECT 1"))
            relay[0].falls_silent()
            s.connection.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError) as lost:
        work()

    assert is_out_of_reach(lost.value)
    assert lost.value.connection_invalidated
    assert time.monotonic() - began < SOON


def test_a_lost_machine_s_transaction_is_ended_by_the_server(
    relay: tuple[Relay, str], through: Database, direct: Database
):
    """A3: what it had locked is free again, for an ending above all."""
    World(direct, Clock()).provisions(a_user())
    lost = through.engine.connect()
    lost.begin()
    _lock(lost)
    relay[0].falls_silent()

    # Waits for the lock, for less time than a request may.
    with direct.write() as s:
        _lock(s.connection)
    lost.invalidate()
    lost.close()


def test_a_transaction_that_stood_still_is_out_of_reach_and_no_error_of_the_client(through: Database):
    """A3: 25P03."""

    def work() -> None:
        with through.write() as s:
            s.connection.execute(text("SELECT 1"))
            time.sleep(2 * HASTY.idle)  # The server's own clock.
            s.connection.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError) as ended:
        work()

    assert is_out_of_reach(ended.value)


def test_a_lock_that_another_person_keeps_is_503(through: Database, direct: Database):
    """A3: 55P03 is no error of the request."""
    world = World(through, Clock())
    world.provisions(kari := a_user())
    with direct.write() as s:
        _lock(s.connection)
        answer = world.scim("DELETE", f"/Users/{world.entra.scim_id(kari.object_id)}")

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text


def test_a_statement_that_takes_too_long_is_out_of_reach(through: Database):
    """A3: 57014."""
    with pytest.raises(DBAPIError) as ended, through.read() as s:
        s.connection.execute(text("SELECT pg_sleep(30)"))

    assert is_out_of_reach(ended.value)
    with through.read() as s:
        assert s.connection.execute(text("SELECT 1")).scalar_one() == 1


@pytest.mark.parametrize("patience", [REQUESTS, DELIVERIES, COMMANDS])
def test_every_connection_has_its_limits(relay: tuple[Relay, str], patience: Patience):
    """A3: connecting, statements, locks, transactions that stand still, and TCP's own signs of life on both sides."""
    database = Database(relay[1], patience=patience)
    with database.read() as s:
        shown = {
            name: _seconds(s, name)
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
        parameters = s.connection.connection.driver_connection.info.get_parameters()
    database.close()

    assert list(shown.values()) == [patience.statement, patience.lock, patience.idle]
    assert {"connect_timeout", "keepalives_idle", "keepalives_count", "tcp_user_timeout"} <= set(parameters)


def test_the_operator_s_own_words_count(database_url: str):
    """What DATABASE__URL says of a time-out is not replaced."""
    url = make_url(database_url).update_query_dict({"connect_timeout": "17"})
    database = Database(url.render_as_string(hide_password=False))
    with database.read() as s:
        parameters = s.connection.connection.driver_connection.info.get_parameters()
    database.close()

    assert parameters["connect_timeout"] == "17"


def _lock(connection: Connection) -> None:
    connection.execute(update(people).values(attempts=people.c.attempts))


def _seconds(s: Session, name: str) -> float:
    query = text("SELECT setting::float / 1000 FROM pg_settings WHERE name = :name")
    seconds: float = s.connection.execute(query, {"name": name}).scalar_one()
    return seconds
