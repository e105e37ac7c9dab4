"""Whether the watch over all that is printed (tests/redaction.py) sees what it is there for."""

import logging
from pathlib import Path

import pytest
from sqlalchemy import text

from scim_bridge import logs
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.redaction import WATCH, forgiven, looked_through
from tests.world import TOKEN, World, a_user

log = logs.get_logger("scim_bridge.somewhere")
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


@sqlite
def test_what_a_story_uses_is_learned(world: World):
    """No one has to list the secrets and the people of a test."""
    world.provisions(a_user())
    assert {TOKEN, "sandbox-secret"} <= WATCH.secrets
    assert any(each.startswith("sandbox-1-") for each in WATCH.secrets), "Ditio's access token"
    assert {"Nordmann", "Kari Nordmann", "Maskinfører", "+47 987 65 432"} <= WATCH.personal


LEAKS = (
    TOKEN,
    "sandbox-secret",
    "Nordmann",
    "Maskinfører",
    "ola@x.example",
    "+4798765432",
    f"scimb_{'x' * 43}",
    "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    "Bearer 0123456789abcdef",
    "client_secret=guessed",
)


@sqlite
def test_a_leak_into_the_log_is_seen(world: World):
    """Ours or a library's, in an event, a value, deep inside one, or a traceback; whatever became of the handlers."""
    world.provisions(a_user())
    root = logging.getLogger()
    root.handlers, handlers = [logging.NullHandler()], root.handlers
    try:
        for leak in LEAKS:
            for say in (
                lambda leak: log.warning("x.happened", about=leak),
                lambda leak: log.warning(f"x.{leak}"),
                lambda leak: log.warning("x.happened", about=[{"deep": [leak]}]),
                lambda leak: logging.getLogger("urllib3").warning("retrying %s", f"https://x.example/?{leak}"),
                _fails,
            ):
                with forgiven() as seen:
                    say(leak)
                assert len(seen) == 1
                assert leak in seen[0]
    finally:
        root.handlers = handlers


def _fails(leak: str) -> None:
    try:
        raise ValueError(leak)
    except ValueError:
        log.exception("x.failed")


@sqlite
def test_a_leak_into_an_answer_is_seen(world: World):
    """An error quotes what was sent, to a person who sent it: here a secret in the wrong place."""
    with forgiven() as seen:
        assert world.scim("GET", f'/Users?filter={TOKEN} eq "x"').status_code == 400
    assert "an error" in seen[0]


def test_a_secret_in_the_database_is_seen(database: Database, database_url: str, clock: Clock):
    """Whichever database it is."""

    def look() -> None:
        if database.is_sqlite:
            return WATCH.look_at_file(Path(database_url.removeprefix("sqlite:///")))
        with database.read() as s:
            WATCH.look_at_rows(s)

    with database.write("default") as s:
        s.tokens.add("t", "x", "a-very-secret-token", expires_at=None)
    look()
    assert WATCH.seen == []
    with database.write() as s:
        s.connection.execute(text("UPDATE tokens SET name = 'a-very-secret-token'"))
    with forgiven() as seen:
        look()
    assert "a-very-secret-token" in seen[0]
    WATCH.secrets.clear()


def test_what_is_printed_is_looked_through():
    """A test that prints a secret fails, whatever else it finds."""
    printed = [("Captured stdout call", f"token: scimbcs_{'y' * 43}")]
    report = pytest.TestReport("x", ("x", 1, "x"), {}, "passed", None, "teardown", sections=printed)
    assert looked_through(report).outcome == "failed"
    assert "scimbcs_" in str(report.longrepr)
    harmless = pytest.TestReport(
        "x", ("x", 1, "x"), {}, "passed", None, "teardown", sections=[("Captured stdout", "y")]
    )
    assert looked_through(harmless).outcome == "passed"


def test_every_test_is_watched(request: pytest.FixtureRequest):
    """Also whichever is added later, in any folder."""
    assert "nothing_leaks" in request.fixturenames
    folders = Path(__file__).parent.rglob("conftest.py")
    assert not [path for path in folders if "def nothing_leaks" in path.read_text("utf-8")]
