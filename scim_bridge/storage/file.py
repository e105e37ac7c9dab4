"""The file of an embedded database: a write into a file that was removed or replaced would be lost (rule D7)."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from scim_bridge.logs import get_logger

log = get_logger(__name__)


class FileLost(OperationalError):
    """The file is not the one any more that this process opened; the database is out of reach (rule A3)."""

    def __init__(self, path: Path) -> None:
        self.words = (
            f"{path} was removed or replaced after the bridge had opened it, so nothing is written to it. "
            "Stop every bridge process, put the right file back, and start them again"
        )
        super().__init__("", None, sqlite3.OperationalError(self.words))


class WatchedFile:
    """The file of one engine, recognised by device and inode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, int] | None = None
        self._is_lost = False

    @property
    def was_opened(self) -> bool:
        """Whether this process has had it open."""
        return self._opened is not None

    def make(self) -> None:
        """Make the file for its owner alone, whatever the umask: people are in it.

        SQLite gives the files beside it, -wal and -shm, the same mode. A file that exists keeps its mode.
        """
        # Whatever keeps us from it keeps SQLite from it too, which says so in its own words.
        with suppress(OSError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def check(self) -> None:
        """Refuse another file than the one that was opened. :raises FileLost: it is not there any more."""
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
    """Make every connection and every writing transaction of an engine see that its file is the one it opened."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    file = WatchedFile(Path(name).absolute())

    def on_opening(*_: Any) -> None:
        if file.was_opened:
            # Opening would make an empty file in the place of the lost one.
            file.check()
        else:
            file.make()

    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get("write", False):
            file.check()

    event.listen(engine, "do_connect", on_opening, insert=True)
    event.listen(engine, "connect", lambda *_: file.check())
    event.listen(engine, "begin", on_begin, insert=True)
    return file
