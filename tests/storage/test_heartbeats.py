"""D7: which processes of the bridge run, as the database knows."""

from sqlalchemy import func, select

from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import PROCESS_ALIVE_SECONDS, Presence, ProcessKind, beat, leave, presences
from tests.conftest import Clock


def beats(database: Database, process: str, *, kind: ProcessKind = ProcessKind.worker, host: str = "a") -> None:
    with database.write() as s:
        beat(s, kind, process, host)


def workers(database: Database) -> Presence:
    with database.read() as s:
        return presences(s)[ProcessKind.worker]


def stored(database: Database) -> int:
    with database.read() as s:
        return s.connection.execute(select(func.count()).select_from(schedules)).scalar_one()


def test_none_has_ever_run(database: Database):
    assert workers(database) == Presence(ProcessKind.worker, 0)
    assert workers(database).absence == "no worker has run yet"


def test_the_last_one_that_ran_is_named(database: Database, clock: Clock):
    """Since its last heartbeat, and on which machine: that of a process that was killed grows old by itself."""
    beats(database, "one")
    clock.passes(seconds=30)
    beats(database, "two", host="b")
    assert (workers(database).alive, workers(database).absence) == (2, None)

    clock.passes(seconds=PROCESS_ALIVE_SECONDS)
    assert workers(database).absence == "no worker since 2026-03-02 08:00 UTC on host b"
    beats(database, "web", kind=ProcessKind.serve, host="c")
    assert workers(database).absence, "a web server is no worker"


def test_an_ordered_end_is_known_at_once(database: Database, clock: Clock):
    beats(database, "one")
    clock.passes(minutes=1)
    with database.write() as s:
        leave(s, ProcessKind.worker, "one")

    assert workers(database).absence == "no worker since 2026-03-02 08:01 UTC on host a"


def test_processes_that_have_ended_are_removed_by_the_next_one(database: Database, clock: Clock):
    """The table stays small, however often a process is restarted; the row of another kind stays."""
    beats(database, "web", kind=ProcessKind.serve)
    for number in range(20):
        beats(database, f"worker-{number}")
        clock.passes(seconds=PROCESS_ALIVE_SECONDS)
    beats(database, "last")

    assert stored(database) == 2


def test_a_clock_that_was_ahead_keeps_no_dead_process_alive(database: Database, clock: Clock):
    """D1: the time is the database's, and that may be set back."""
    clock.passes(hours=5)
    beats(database, "dead")
    beats(database, "alive")
    clock.passes(hours=-5)
    beats(database, "alive")

    assert workers(database).alive == 1
    clock.passes(seconds=PROCESS_ALIVE_SECONDS)
    assert workers(database).absence == "no worker since 2026-03-02 08:00 UTC on host a"
