"""What keeps the database from being used, and what to do about it (rules A3, D7)."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from scim_bridge.storage.sqlite_file import RESTORE, FileLost

LEAST_FREE_BYTES = 1024 * 1024
"""With less, the disk counts as full: SQLite needs room for its journal, and a rewritten page."""


class Why(StrEnum):
    """What keeps the database from being used."""

    disk_full = "disk-full"
    read_only = "read-only"
    file_lost = "file-lost"
    damaged = "damaged"
    disk_fails = "disk-fails"
    out_of_reach = "out-of-reach"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the database can't be used, and what to do; without personal data."""

    why: Why
    told: str
    cure: str

    @property
    def words(self) -> str:
        """Return both in one text."""
        return f"{self.told}: {self.cure}"


FREE_SPACE = "free some space on it. What was accepted is kept, and Entra sends the rest again by itself"
WRITABLE = "allow this user to write the file and its folder, and check that the disk is not mounted read-only"

_DISK_FULL = Trouble(Why.disk_full, "the disk of the database is full", FREE_SPACE)
_SQLITE: Mapping[int, Trouble] = {
    8: Trouble(Why.read_only, "the database file or its folder is read-only", WRITABLE),
    10: Trouble(
        Why.disk_fails,
        "the disk of the database fails",
        f"see the log of the machine; if it is lost, move the file to another disk, or {RESTORE}",
    ),
    11: Trouble(Why.damaged, "the database file is damaged", RESTORE),
    13: _DISK_FULL,
    14: Trouble(Why.read_only, "the database file can't be opened", WRITABLE),
    26: Trouble(
        Why.damaged,
        "the file is not a database",
        f"check that DATABASE__URL names the bridge's own file; if it does, it is damaged: {RESTORE}",
    ),
}
"""By SQLite's primary result code (https://www.sqlite.org/rescode.html)."""

STANDBY = Trouble(Why.read_only, "the database is read-only: it is a standby", "set DATABASE__URL to the primary")
_POSTGRESQL: Mapping[str, Trouble] = {
    "25006": STANDBY,
    "53100": _DISK_FULL,
}
"""By SQLSTATE."""


def trouble_of(error: BaseException) -> Trouble:
    """Return what an error of the database means."""
    if isinstance(error, FileLost):
        return Trouble(Why.file_lost, error.told, error.cure)
    orig = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(orig, "sqlite_errorcode", None)
    if code is not None and (file := getattr(orig, "file", None)) is not None and (found := trouble_with(file)):
        return found
    known = _SQLITE.get(code & 0xFF) if code is not None else _POSTGRESQL.get(getattr(orig, "sqlstate", None) or "")
    return known or Trouble(
        Why.out_of_reach,
        f"the database can't be used ({type(error).__name__})",
        "`scim-bridge doctor` says more; check that it runs and can be reached",
    )


def trouble_with(file: Path) -> Trouble | None:
    """Return what keeps an embedded database from being written, as far as its file and its disk show."""
    try:
        free = shutil.disk_usage(file.parent).free
    except OSError:
        return None  # The check of the file itself says that it is gone.
    if free < LEAST_FREE_BYTES:
        return Trouble(Why.disk_full, f"the disk of {file.parent} is full", FREE_SPACE)
    if file.exists() and not all(os.access(path, os.W_OK) for path in (file, file.parent)):
        return Trouble(Why.read_only, f"{file} or its folder is read-only", WRITABLE)
    return None
