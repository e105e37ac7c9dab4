"""A command in another transaction's way: the one that the database ends is repeated, and the operator never knows."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Table, text

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Session
from scim_bridge.storage.tables import breakers, people
from tests.cli.conftest import Run
from tests.waiting import until_another_waits
from tests.world import World, a_user

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
"""SQLite has one writer at a time, so no one there can be in another's way like this."""


@pytest.mark.parametrize("command", ["pause", "retry"])
def test_a_command_that_the_database_ends_for_a_deadlock_is_repeated(world: World, run: Run, command: str):
    """D4, D1: both lock the breaker, then people, and others the other way round. `resume` waits for no person."""
    world.ditio.faults.plan(Fault("refused-connection", times=None))
    world.provisions(a_user())  # Is due, and the breaker is open.

    with ThreadPoolExecutor(1) as pool:
        with world.database.write() as s:
            s.connection.execute(text("SET LOCAL deadlock_timeout = '60s'"))  # The command's own is over first.
            _lock(s, people)
            answer = pool.submit(run, "outbox", command)
            until_another_waits(world.database)
            _lock(s, breakers)
        result = answer.result(timeout=60)

    assert result.exit_code == 0, result.stderr


def _lock(s: Session, table: Table) -> None:
    s.connection.execute(table.select().with_for_update())
