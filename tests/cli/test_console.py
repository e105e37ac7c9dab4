"""`scim-bridge console`: links that sign in, and the end of all sessions."""

from collections.abc import Iterator

import pytest

from scim_bridge.domain.audit import Role
from scim_bridge.storage.console import access_of
from scim_bridge.storage.database import Database
from tests.cli.conftest import Run
from tests.conftest import Clock
from tests.console.conftest import Visitor
from tests.world import BRIDGE, World

ON = {"SCIM_BRIDGE_CONSOLE__ENABLED": "true", "SCIM_BRIDGE_SERVER__BASE_URL": BRIDGE}


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """By the real clock, which the commands go by."""
    database, clock = Database(database_url), Clock()
    clock.now = database.now()
    yield World(database, clock)
    database.close()


def test_a_link_signs_in_as_what_it_says(run: Run, world: World):
    world.restarts_with(console={"enabled": True})
    made = run("console", "login-link", "--role", "operator", "--name", "Kari", **ON)

    assert made.exit_code == 0
    (url,) = made.stdout.splitlines()
    assert url.startswith(f"{BRIDGE}/console/-/link?key=")
    visitor = Visitor(world.app.test_client())
    assert visitor.post("/console/-/link", "", key=url.partition("key=")[2]).status_code == 303
    assert "Pause deliveries" in visitor.get().text
    assert "Kari" in visitor.get().text


def test_a_link_of_few_words_is_for_a_viewer(run: Run, world: World):
    world.restarts_with(console={"enabled": True})
    url = run("console", "login-link", **ON).stdout.strip()

    visitor = Visitor(world.app.test_client())
    visitor.post("/console/-/link", "", key=url.partition("key=")[2])

    assert "Pause deliveries" not in visitor.get().text


def test_while_the_console_is_off_there_is_no_link(run: Run):
    refused = run("console", "login-link")

    assert refused.exit_code == 1
    assert "CONSOLE__ENABLED" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("name", ["   ", "a\x1bb"])
def test_a_name_that_shows_nothing_is_refused(run: Run, name: str):
    assert run("console", "login-link", "--name", name, **ON).exit_code == 2


def test_all_sessions_end(run: Run, world: World):
    with world.database.write("default") as s:
        for name in ("one", "two"):
            s.console_sessions.begin(name, Role.viewer, name)
        s.console_sessions.add_link("unused", Role.operator, "three")

    assert run("console", "sign-out-all").stdout == "2 ended\n"

    with world.database.read("default") as s:
        assert access_of(s, ["default"], "one") == {}
        assert s.connection.exec_driver_sql("SELECT count(*) FROM console_sessions").scalar_one() == 0
        assert "signed-out" in [each.deed.action for each in s.audit.page(since=None, until=None)]
