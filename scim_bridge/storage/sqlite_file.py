"""The file of SQLite: a check that it was not replaced, and turns of companies that write (rules A9, D7)."""

import fcntl
import os
import sqlite3
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from scim_bridge.logs import get_logger
from scim_bridge.storage.prepared import FILE

log = get_logger(__name__)


RESTORE = (
    "stop every bridge process, restore the backup, and follow the first day (docs/operating.md, Upgrading, and losing "
    "the database). An empty new database would not know which employee is which user"
)
"""The cure where a database is damaged or gone."""


class FileLost(OperationalError):
    """The file is no longer the one that this process opened, so the database is out of reach (rule A3)."""

    def __init__(self, path: Path) -> None:
        self.told = f"{path} was removed or replaced after a bridge process had opened it, so nothing is written to it"
        self.cure = f"put the right file back and restart every bridge process; if it is lost, {RESTORE}"
        self.words = f"{self.told}: {self.cure}"
        super().__init__("", None, sqlite3.OperationalError(self.words))


def damage_in(connection: Connection, *, seconds: float) -> str | None:
    """Return SQLite's words for the first damage in the whole file; None if it is sound.

    :raises TimeoutError: the file is too large to be read in this time.
    """
    driver: Any = connection.connection.dbapi_connection
    end = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise TimeoutError(f"the file was not read to its end in {seconds:g} s") from None
        raise
    finally:
        driver.set_progress_handler(None, 0)
    return None if found == "ok" else " ".join(found.split())


class WatchedFile:
    """The database file of one engine, recognised by device and inode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, int] | None = None
        self._is_lost = False

    @property
    def was_here(self) -> bool:
        """Whether there was a database at this path: the lock file of its writers is still there."""
        return turn_file(self.path).exists()

    @property
    def was_opened(self) -> bool:
        """Whether this process has opened it before."""
        return self._opened is not None

    def make(self) -> None:
        """Create the file for its owner only, whatever the umask, because it holds personal data.

        SQLite gives the files beside it, -wal and -shm, the same mode. A file that exists keeps its mode.
        """
        # If this fails, SQLite fails for the same reason, and reports it.
        with suppress(OSError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def check(self) -> None:
        """Check that the file is still the one that was opened. :raises FileLost: it is not."""
        found = self._identity()
        if self._opened is None:
            self._opened = found
            return
        if found == self._opened:
            self._is_lost = False
            return
        error = FileLost(self.path)
        if not self._is_lost:
            self._is_lost = True
            log.error("database.file_lost", why=error.words)
        raise error

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def watched_file(engine: Engine) -> WatchedFile | None:
    """Make every connection and every writing transaction of an engine check its file. Return the file, if any."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    file = WatchedFile(Path(name).absolute())

    def on_opening(*_: Any) -> None:
        if file.was_opened:
            # Opening would create an empty file in place of the lost one.
            file.check()
        elif file.was_here and not file.path.exists():
            raise FileLost(file.path)  # The next start has to see that it is gone.
        else:
            file.make()

    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get("write", False):
            file.check()

    def on_error(context: ExceptionContext) -> None:
        # SQLite does not say which file it could not use, and calls a full disk an I/O error now and then.
        if isinstance(context.original_exception, sqlite3.Error):
            context.original_exception.file = file.path  # type: ignore[attr-defined]

    def on_connect(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        file.check()
        record.info[FILE] = file.path

    event.listen(engine, "handle_error", on_error)
    event.listen(engine, "do_connect", on_opening, insert=True)
    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin, insert=True)
    return file


_TURN, _NEXT = 0, 1
"""Bytes of the lock file: the process that has locked the first one writes, that of the second one is next."""

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0005, 0.01


def turn_file(database: Path) -> Path:
    """Return the lock file of the processes that write a database."""
    return database.with_name(f"{database.name}-turn")


class WriteTurns:
    """The turns in which one process writes; safe to share between threads.

    :param beside: The file of the database, which other processes write too; None for a database in memory.
    :param seconds: How long a thread waits for its turn.
    """

    def __init__(self, beside: Path | None, seconds: float) -> None:
        self._beside = beside
        self._seconds = seconds
        # A thread waits for the lock that it has put here, so that the end of a turn wakes only the next one.
        self._waiting: OrderedDict[str, deque[threading.Lock]] = OrderedDict()
        self._is_taken = False
        self._guard = threading.Lock()
        self._file: int | None = None

    @contextmanager
    def taken(self, who: str, within: float | None = None) -> Generator[None]:
        """Take the turn for this block.

        :param who: A company. Threads that wait for the same company are served in the order in which they came.
        :param within: How many seconds to wait for it; None for as long as usual.
        :raises PoolTimeout: the turn was not free in time.
        """
        deadline = time.monotonic() + (self._seconds if within is None else within)
        self._await_turn(who, deadline)
        try:
            with self._before_other_processes(deadline):
                yield
        finally:
            self._hand_on()

    def _await_turn(self, who: str, deadline: float) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.setdefault(who, deque()).append(mine)
        if mine.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return
        with self._guard:
            queue = self._waiting.get(who)
            if queue is None or mine not in queue:
                return  # It was handed on at the last moment.
            queue.remove(mine)
            if not queue:
                del self._waiting[who]
        raise PoolTimeout("the other writers of this process did not end in time")

    def _hand_on(self) -> None:
        """Give the turn to the next thread. Its company's other threads come after those of all other companies."""
        with self._guard:
            if not self._waiting:
                self._is_taken = False
                return
            who, queue = self._waiting.popitem(last=False)
            following = queue.popleft()
            if queue:
                self._waiting[who] = queue
            following.release()

    @contextmanager
    def _before_other_processes(self, deadline: float) -> Generator[None]:
        file = self._opened()
        if file is None:
            yield
            return
        _await_byte(file, _NEXT, deadline)
        try:
            # This process is next, so the one that has just written can't be first again.
            _await_byte(file, _TURN, deadline)
        finally:
            with suppress(OSError):
                fcntl.lockf(file, fcntl.LOCK_UN, 1, _NEXT)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.lockf(file, fcntl.LOCK_UN, 1, _TURN)

    def _opened(self) -> int | None:
        # Not before the database exists: this file also tells later that there was one.
        if self._file is None and self._beside is not None and self._beside.exists():
            with suppress(OSError):
                self._file = os.open(turn_file(self._beside), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file


def _await_byte(file: int, byte: int, deadline: float) -> None:
    """Lock a byte of the file, or do without if the file system has no locks.

    The lock is tried again and again, because a process that hangs in its turn must not block this thread forever.

    :raises PoolTimeout: the byte was not free in time.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            return
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                raise PoolTimeout("the other processes that write did not end in time") from None
        except OSError:
            return
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
