"""Notices of real workers: one that is killed while it sends, and a receiver that takes its time."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from sqlalchemy import update

from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.database import Database
from scim_bridge.storage.notices import TASK
from tests.notify.receivers import Receiver, receiving
from tests.processes.conftest import Bridge, Ditio
from tests.processes.running import eventually, run
from tests.thorough import short_on_sqlite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")

TURN_SECONDS = 90.0
"""A worker looks every quarter of a minute."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def troubled(bridge: Bridge, ditio: Ditio, receiver: Receiver, tmp_path: Path) -> Bridge:
    """A bridge without a worker, whose last comparison has found something."""
    bridge.settings |= {
        "SCIM_BRIDGE_NOTIFY__WEBHOOK_URL": receiver.url,
        "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0",
        "SCIM_BRIDGE_SERVER__WORKERS": "1",
    }
    bridge.serves("--without-worker")
    (number,) = bridge.numbers(1)
    assert bridge.state_of(bridge.provisions(number)) == "delivered"
    body = {"employeeNumber": number, "firstName": "Kari", "lastName": "Feil", "phone": f"+479876{number}"}
    requests.post(f"{ditio.url}/_sandbox/employees", json=body, timeout=5).raise_for_status()
    assert run(tmp_path, bridge.settings, "reconcile").returncode == 2
    return bridge


def the_turn_is_over(bridge: Bridge) -> None:
    """The half minute after which a killed worker's turn is another's has passed."""
    with closing(Database(bridge.settings["SCIM_BRIDGE_DATABASE__URL"])) as database, database.write("default") as s:
        turn = update(schedules).where(schedules.c.task == TASK, schedules.c.alive_until > s.now)
        assert s.connection.execute(turn.values(alive_until=s.now)).rowcount == 1


@short_on_sqlite
def test_a_worker_that_is_killed_between_sending_and_storing(troubled: Bridge, receiver: Receiver):
    """At least once: the next worker sends it again, with the same id, and then no more."""
    receiver.holds.clear()
    killed = troubled.starts("worker")
    assert receiver.arrived.acquire(timeout=TURN_SECONDS)
    killed.ends(signal.SIGKILL)
    receiver.holds.set()
    the_turn_is_over(troubled)
    after = troubled.starts("worker")
    assert receiver.arrived.acquire(timeout=TURN_SECONDS)
    after.says("(notify.sent)")
    assert after.ends(signal.SIGTERM) == 0
    assert [each["id"] for each in receiver.got] == [receiver.got[0]["id"]] * 2
    assert receiver.kinds() == ["drift", "drift"]


@short_on_sqlite
def test_a_slow_receiver_delays_no_delivery(troubled: Bridge, receiver: Receiver):
    """People are delivered while a notice is on its way, for as long as the receiver has not answered."""
    receiver.holds.clear()
    worker = troubled.starts("worker")
    assert receiver.arrived.acquire(timeout=TURN_SECONDS)
    troubled.ditio.fails("status", status=503, times=1, path="employees")
    created = troubled.provisions(troubled.numbers(1)[0])
    assert created.json()["id"]
    eventually(lambda: troubled.state_of(created) == "delivered", "delivered by the worker")
    receiver.holds.set()
    end = worker.says(r"(notify\.(?:sent|failed))")
    logged = worker.output.read_text()
    assert 0 < logged.index("delivery.settled") < logged.index(end)
