"""`scim-bridge worker`: how it goes on and when it stops."""

import os

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from scim_bridge.cli.heartbeat import Heartbeat
from scim_bridge.cli.worker import Stop, through_trouble
from scim_bridge.errors import SchemaOutdated
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import BEAT_SECONDS, ProcessKind
from scim_bridge.web.server import DeliveryWorker
from tests.cli.conftest import DITIO, Run
from tests.conftest import Clock
from tests.later import migrated_to


def test_until_idle_ends_when_nothing_is_due(run: Run):
    """D3: `worker --until-idle` ends when nothing is due."""
    result = run("worker", "--until-idle", **DITIO)

    assert (result.exit_code, result.stdout) == (0, "0 deliveries made\n")


def test_trouble_with_the_database_passes():
    """It is logged and tried again; a person who is due must not wait for an operator."""
    troubles = [OperationalError("", {}, Exception("gone")), ProgrammingError("", {}, Exception("odd"))]
    paused: list[float] = []

    def work() -> None:
        if troubles:
            raise troubles.pop()

    through_trouble(work, lambda: False, paused.append)

    assert troubles == []
    assert len(paused) == 2


def test_whatever_goes_wrong_passes():
    """D1: a machine without memory for a moment must not end the deliveries until a person restarts them."""
    troubles: list[Exception] = [OSError("out of memory"), RuntimeError("can't start new thread"), KeyError("odd")]

    def work() -> None:
        if troubles:
            raise troubles.pop()

    through_trouble(work, lambda: False, lambda _: None)

    assert troubles == []


def test_an_older_schema_is_the_operator_s():
    """D7: the command to run is named, and the command ends."""

    def work() -> None:
        raise SchemaOutdated("run `scim-bridge db upgrade` first")

    with pytest.raises(SchemaOutdated):
        through_trouble(work, lambda: False, lambda _: None)


def test_a_process_notices_that_its_version_can_no_longer_work(database: Database, clock: Clock):
    """D7: one that was cut off while a later version migrated does not go on with it; one that can go on does."""
    heartbeat = Heartbeat(database, ProcessKind.worker, clock.monotonic)
    heartbeat.look()
    clock.passes(seconds=BEAT_SECONDS)
    with migrated_to(database, "9999"):
        heartbeat.look()
    clock.passes(seconds=BEAT_SECONDS)

    with migrated_to(database, "9999_9999"), pytest.raises(SchemaOutdated, match="newer"):
        heartbeat.look()


def test_a_server_without_memory_for_its_worker_goes_on():
    """A `serve` that can't start a process for a moment tries again, and answers Entra meanwhile."""
    seconds = [0.0]
    delivery = DeliveryWorker(["/nowhere/at/all"], lambda: seconds[0])
    delivery.keep_running()
    seconds[0] += 10
    delivery.keep_running()
    delivery.ask_to_stop()
    delivery.wait(0.0)


def test_a_worker_that_is_to_stop_begins_nothing():
    through_trouble(lambda: 1 / 0, lambda: True)


def test_it_stops_when_its_parent_is_gone():
    """A server that was killed leaves no one behind."""
    assert not Stop()()
    assert not Stop(parent=os.getppid())()
    assert Stop(parent=os.getppid() + 1)()
    assert Stop(asked=True)()
