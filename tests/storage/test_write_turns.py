"""Companies take turns to write to SQLite: who writes all the time is not before everyone else."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from scim_bridge.storage.database import Database
from scim_bridge.storage.sqlite_file import WriteTurns
from tests.processes.running import ROOT, environment

BUSY = 6
"""So many threads of one company write without a pause."""

MOST_BEFORE = 2
"""One write that has begun, and one of another process that comes next."""

WRITES = """
import sys
from tests.storage.test_write_turns import busy
with busy(sys.argv[1]):
    print("busy", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Database]:
    """A database that counts how often it was written to."""
    database = Database(f"sqlite:///{tmp_path / 'counted.db'}")
    with database.write() as s:
        s.connection.execute(text("CREATE TABLE writes (number INTEGER)"))
        s.connection.execute(text("INSERT INTO writes VALUES (0)"))
    yield database
    database.close()


@contextmanager
def busy(url: str, database: Database | None = None) -> Iterator[None]:
    """A company that writes without a pause."""
    over, database = threading.Event(), database or Database(url)

    def write() -> None:
        while not over.is_set():
            with database.write("busy") as s:
                s.connection.execute(text("UPDATE writes SET number = number + 1"))

    threads = [threading.Thread(target=write) for _ in range(BUSY)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def waits(database: Database) -> int:
    """How many writes of others come before one of another company."""
    with database.read() as s:
        before = s.connection.execute(text("SELECT number FROM writes")).scalar_one()
    with database.write("other") as s:
        return int(s.connection.execute(text("SELECT number FROM writes")).scalar_one()) - int(before)


def test_a_company_waits_for_one_write_of_another(counted: Database) -> None:
    """A9: in one process, however many writes of the other wait."""
    with busy("", counted):
        waited = sorted(waits(counted) for _ in range(40))
    # What is written between the look at the number and the wait is no turn: a thread may stand still just there, so
    # the longest waits say nothing. Without turns the median is above `BUSY`.
    assert waited[20] <= MOST_BEFORE
    assert waited[30] <= BUSY


def test_so_it_does_beside_another_process(counted: Database) -> None:
    """A9: SQLite alone would let it wait as long as the other process writes."""
    command = [sys.executable, "-c", WRITES, counted.engine.url.render_as_string()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment(), text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "busy\n"
        waited = sorted(waits(counted) for _ in range(40))
        other.communicate("")
    assert waited[20] <= 2 * MOST_BEFORE
    assert waited[30] <= BUSY


def test_a_turn_that_is_not_free_in_time_is_a_database_out_of_reach(tmp_path: Path) -> None:
    """A3: 503, and a person who comes afterwards has his turn."""
    (tmp_path / "some.db").touch()
    turns = WriteTurns(tmp_path / "some.db", 0.01)
    with turns.taken("one"), pytest.raises(PoolTimeout), turns.taken("other"):
        pass
    with turns.taken("other"):
        pass


def test_without_the_file_there_are_turns_all_the_same(tmp_path: Path) -> None:
    """The order among processes is gone without where the folder takes no file."""
    turns, done = WriteTurns(tmp_path / "missing" / "some.db", 1.0), []
    with turns.taken("one"):
        done.append(1)
    assert done == [1]


def test_a_write_that_fails_gives_its_turn_back(counted: Database) -> None:
    for _ in range(2):
        with suppress(ZeroDivisionError), counted.write("one"):
            raise ZeroDivisionError
    with counted.write("other") as s:
        assert s.connection.execute(text("SELECT number FROM writes")).scalar_one() == 0


HOLDS = """
import sys
from pathlib import Path
from scim_bridge.storage.sqlite_file import WriteTurns
with WriteTurns(Path(sys.argv[1]), 5.0).taken("one"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_stands_still_with_its_turn_holds_no_other_for_ever(tmp_path: Path) -> None:
    """A3: the database is out of reach then, and the write is refused with 503 in time."""
    path = tmp_path / "some.db"
    path.touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        turns = WriteTurns(path, 0.05)
        with pytest.raises(PoolTimeout), turns.taken("other"):
            pass
        other.communicate("")
    with turns.taken("other"):
        pass
