"""The scheduler: one run at a time, by one of all processes; a dead leader is replaced within 30 s."""

from dataclasses import dataclass, field

from scim_bridge.cli.worker import look_at
from scim_bridge.reconcile.run import Scheduler
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import Run
from tests.conftest import Clock


@dataclass
class Runs:
    """Processes that run until the test ends them."""

    exits: list[int | None] = field(default_factory=list)

    def start(self) -> "OneRun":
        self.exits.append(None)
        return OneRun(self, len(self.exits) - 1)


@dataclass
class OneRun:
    runs: Runs
    number: int

    def poll(self) -> int | None:
        return self.runs.exits[self.number]

    def terminate(self) -> None:
        self.runs.exits[self.number] = -15


def a_scheduler(database: Database, runs: Runs, name: str) -> Scheduler:
    return Scheduler(database, "default", 600, runs.start, lambda: name)


def test_a_run_begins_every_so_often_from_start_to_start(database: Database, clock: Clock):
    """Design, section 5: RECONCILE__EVERY."""
    runs = Runs()
    scheduler = a_scheduler(database, runs, "a")
    scheduler.look()
    clock.passes(seconds=100)
    runs.exits[0] = 0
    scheduler.look()

    clock.passes(seconds=499)
    scheduler.look()
    assert len(runs.exits) == 1
    clock.passes(seconds=1)
    scheduler.look()
    assert len(runs.exits) == 2


def test_one_of_several_processes_does_it(database: Database, clock: Clock):
    """Design, section 9: one leader across machines."""
    runs = Runs()
    schedulers = [a_scheduler(database, runs, name) for name in "abc"]
    for _ in range(10):
        for scheduler in schedulers:
            scheduler.look()
        clock.passes(seconds=5)
    assert len(runs.exits) == 1


def test_a_long_run_is_not_overtaken(database: Database, clock: Clock):
    """It is looked after: no one begins another beside it, even when the next one's time has come."""
    runs = Runs()
    one, other = a_scheduler(database, runs, "a"), a_scheduler(database, runs, "b")
    for _ in range(200):
        one.look()
        other.look()
        clock.passes(seconds=5)
    assert len(runs.exits) == 1


def test_a_dead_leader_is_replaced_within_30_seconds(database: Database, clock: Clock):
    """Design, section 5: whatever he was at is begun anew."""
    runs = Runs()
    a_scheduler(database, runs, "dead").look()
    other = a_scheduler(database, runs, "b")
    waited = 0.0
    while len(runs.exits) == 1:
        clock.passes(seconds=other.pause_seconds)
        waited += other.pause_seconds
        other.look()

    assert waited <= 30


def test_a_process_that_stops_in_good_order_makes_room_at_once(database: Database, clock: Clock):
    runs = Runs()
    one, other = a_scheduler(database, runs, "a"), a_scheduler(database, runs, "b")
    one.look()
    one.stop()
    assert runs.exits == [-15]

    other.look()
    assert len(runs.exits) == 2


def test_a_run_that_can_not_begin_is_tried_again_and_seen(database: Database, clock: Clock):
    """Design, section 9: one `OSError` ends no scheduler; `/readyz`, metrics and `reconcile runs` show a failed run."""
    runs, ids = Runs(), iter(str(number) for number in range(1000))
    broken = [True]

    def start() -> OneRun:
        if broken[0]:
            raise OSError("cannot allocate memory")
        return runs.start()

    scheduler = Scheduler(database, "default", 600, start, lambda: next(ids))
    for _ in range(60):
        look_at([scheduler])
        clock.passes(seconds=5)
    assert [(run.exit, run.is_whole) for run in stored(database)] == [(1, True)]

    broken[0] = False
    for _ in range(6):
        look_at([scheduler])
        clock.passes(seconds=5)
    assert runs.exits == [None]


def test_a_run_that_dies_without_a_word_is_seen(database: Database, clock: Clock):
    """Killed, or ended before it had read its settings: nothing else would tell."""
    runs, ids = Runs(), iter(str(number) for number in range(1000))
    scheduler = Scheduler(database, "default", 600, runs.start, lambda: next(ids))
    scheduler.look()
    runs.exits[0] = -9
    scheduler.look()
    assert [run.exit for run in stored(database)] == [1]

    clock.passes(seconds=600)
    scheduler.look()
    runs.exits[1] = 2
    scheduler.look()
    assert [run.exit for run in stored(database)] == [1]


def stored(database: Database) -> list[Run]:
    with database.read("default") as s:
        return s.runs.list()
