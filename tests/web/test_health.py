"""Health and readiness (rule D7)."""

from typing import Any

import pytest
from sqlalchemy import event, text

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import ProcessKind, beat
from tests.conftest import Clock
from tests.world import BRIDGE, World, a_user


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


def test_healthz_asks_no_one(world: World):
    world.database.close()
    answer = world.http.get(f"{BRIDGE}/healthz", headers={"Authorization": ""})

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_is_200_though_ditio_is_down(world: World):
    """D7: 200 while writes can be accepted; figures for loopback."""
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.provisions(a_user())
    client = world.app.test_client()

    answer = client.get("/readyz", environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["outbox"]["default"]["due"] == 1
    assert answer.json["breaker"]["default"]["open"]
    assert "no connection could be made" in answer.json["breaker"]["default"]["why"]

    stranger = client.get("/readyz", environ_base={"REMOTE_ADDR": "203.0.113.7"})
    assert stranger.json == {"status": "ready"}


def test_readyz_says_that_no_worker_runs(world: World):
    """D7: writes are accepted all the same; since when, on which machine, and how to start one, for insiders alone."""
    client = world.app.test_client()

    def told() -> dict[str, Any]:
        answer = client.get("/readyz", environ_base={"REMOTE_ADDR": "127.0.0.1"})
        assert answer.status_code == 200
        assert answer.json is not None
        return dict(answer.json["processes"]["worker"])

    assert told()["alive"] == 0
    with world.database.write() as s:
        beat(s, ProcessKind.worker, "one", "bridge-1")
    assert told() == {"alive": 1, "last_seen_at": "2026-03-02T08:00:00Z", "host": "bridge-1", "detail": None}
    world.clock.passes(hours=1)
    assert told()["alive"] == 0
    assert told()["detail"].startswith("no worker since 2026-03-02 08:00 UTC on host bridge-1: ")
    assert "bridge-1" not in client.get("/readyz", environ_base={"REMOTE_ADDR": "203.0.113.7"}).text


def test_a_stranger_makes_no_one_count(world: World):
    """What only insiders are told is not looked up for strangers, who may ask all day, under a writer's lock."""
    asked: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))

    def counts(address: str) -> bool:
        asked.clear()
        answer = world.app.test_client().get("/readyz", environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == 200
        return any("FROM people" in statement for statement in asked)

    assert counts("127.0.0.1")
    assert not counts("203.0.113.7")


def test_readyz_names_an_older_schema(world: World):
    """D7: the command to run is named, to loopback alone."""
    with world.database.write() as s:
        s.connection.execute(text("ALTER TABLE alembic_version RENAME TO put_away"))
    try:
        client = world.app.test_client()
        answer = client.get("/readyz", environ_base={"REMOTE_ADDR": "127.0.0.1"})
        stranger = client.get("/readyz", environ_base={"REMOTE_ADDR": "203.0.113.7"})
    finally:
        with world.database.write() as s:
            s.connection.execute(text("ALTER TABLE put_away RENAME TO alembic_version"))

    assert answer.status_code == 503
    assert "scim-bridge db upgrade" in answer.get_data(as_text=True)
    assert stranger.json == {"status": "not ready"}


def test_a_standby_is_not_ready(postgresql_url: str, clock: Clock):
    """D7, A3: a PostgreSQL that only reads takes no writes: 503, and a good credential is still good."""
    writable = Database(postgresql_url, clock=clock)
    world = World(writable, clock)
    separator = "&" if "?" in postgresql_url else "?"
    standby = Database(f"{postgresql_url}{separator}options=-c%20default_transaction_read_only%3Don", clock=clock)
    world.database = standby
    world.restarts_with()
    client = world.app.test_client()
    headers = {"Authorization": world.http.headers["Authorization"]}
    try:
        assert client.get("/readyz").status_code == 503
        assert client.get("/scim/v2/Users?filter=userName%20eq%20%22x%22", headers=headers).status_code == 200
        created = client.post("/scim/v2/Users", headers=headers, json={"userName": "kari", "schemas": []})
        assert created.status_code == 503
        assert created.headers["Retry-After"]
    finally:
        standby.close()
        with writable.write() as s:
            s.connection.execute(text("TRUNCATE tokens"))
        writable.close()


def test_every_answer_carries_its_request_id(world: World):
    own = world.http.get(f"{BRIDGE}/healthz", headers={"X-Request-Id": "proxy-7f3a1b2c"})
    hostile = world.http.get(f"{BRIDGE}/healthz", headers={"X-Request-Id": "a b<script>"})

    assert own.headers["X-Request-Id"] == "proxy-7f3a1b2c"
    assert len(hostile.headers["X-Request-Id"]) == 32
