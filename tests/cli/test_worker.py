"""`scim-bridge worker`: how it goes on and when it stops."""

import os

from sqlalchemy.exc import OperationalError, ProgrammingError

from scim_bridge.cli.worker import Stop, through_trouble
from tests.cli.conftest import DITIO, Run


def test_until_idle_ends_when_nothing_is_due(run: Run):
    """D3: `worker --until-idle` ends when nothing is due."""
    result = run("worker", "--until-idle", **DITIO)

    assert (result.exit_code, result.stdout) == (0, "0 deliveries made\n")


def test_trouble_with_the_database_passes():
    """It is logged and tried again; whoever is due must not wait for an operator."""
    troubles = [OperationalError("", {}, Exception("gone")), ProgrammingError("", {}, Exception("odd"))]
    paused: list[float] = []

    def work() -> None:
        if troubles:
            raise troubles.pop()

    through_trouble(work, lambda: False, paused.append)

    assert troubles == []
    assert len(paused) == 2


def test_a_worker_that_is_to_stop_begins_nothing():
    through_trouble(lambda: 1 / 0, lambda: True)


def test_it_stops_when_its_parent_is_gone():
    """A server that was killed leaves nobody behind."""
    assert not Stop()()
    assert not Stop(parent=os.getppid())()
    assert Stop(parent=os.getppid() + 1)()
    assert Stop(asked=True)()
