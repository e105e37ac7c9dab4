"""The promise, tried: kill any process at any instant, let Ditio fail in every way; when it calms down, all is well.

`CHAOS_SECONDS` makes a longer run of it, `CHAOS_SEED` another one, `CHAOS_PEOPLE` a larger company. `CHAOS_SEEDS=20`
makes twenty runs, from `CHAOS_SEED` on, on each database.
"""

import os
import sys
from pathlib import Path

import pytest

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.storage.database import Database
from tests.processes.chaos import Chaos, chaos
from tests.thorough import either, short_on_sqlite

SECONDS = float(os.environ.get("CHAOS_SECONDS", either(30, 5)))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
SEEDS = range(SEED, SEED + int(os.environ.get("CHAOS_SEEDS", "1")))
PEOPLE = int(os.environ.get("CHAOS_PEOPLE", either(150, 40)))
CLIENTS = 6

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")


@short_on_sqlite
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_nothing_is_lost_and_no_one_is_there_twice(database_url: str, tmp_path: Path, seed: int):
    """A1, R4, D1, D5, P5, C5: for each acknowledged write Ditio equals Entra after a run of `reconcile`.

    Each employee is created once, no one is deleted, and nothing is written to a stranger.
    """
    several = 2 if database_url.startswith("postgresql") else 1
    with chaos(
        tmp_path, database_url, servers=several, workers=several, people=PEOPLE, clients=CLIENTS, seed=seed
    ) as run:
        run.rages(SECONDS)
        run.calms_down()
        unnamed = run.is_reconciled()
        print(run.told())

        assert unnamed == set()
        assert run.wrongly_written() == []
        assert run.waiting() == []
        differences = run.differences()
        for number in {each[:6] for each in differences}:
            print(run.explained(number))
        assert differences == []
        assert {call.method for call in run.ditio.requests} <= {"GET", "POST", "PATCH"}
        assert "@contractor.example" not in run.cluster.logged()
        assert_that_history_is_complete(run, database_url)
        assert len(run.killed) >= max(1, SECONDS / 10), run.killed


def assert_that_history_is_complete(run: Chaos, database_url: str) -> None:
    """D5: each acknowledged write has its row, and so has the delivery that settled it."""
    database = Database(database_url)
    with database.read("default") as s:
        people, history = s.people, s.history
        for life in run.lives:
            record = people.linked_to(EmployeeNumber(life.number))
            if record is None:
                continue  # He left before anybody could deliver him.
            entries = history.of(record.person.id)
            assert len([entry for entry in entries if entry.outcome == "accepted"]) >= life.writes, life
            assert entries[-1].outcome == "delivered", (life, entries[-3:])
    database.close()
