"""What was looked at, how it is, and what to do; within a time, however long something does not answer."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Status(StrEnum):
    """How something is."""

    ok = "ok"
    hint = "hint"
    """Works, and may be meant so; worth a look."""

    fails = "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination. `detail` and `cure` hold no secret and no personal data."""

    check: str
    status: Status
    detail: str
    cure: str | None = None


def ok(check: str, detail: str) -> Finding:
    """It is as it should be."""
    return Finding(check, Status.ok, detail)


def hint(check: str, detail: str, cure: str) -> Finding:
    """It may be meant so."""
    return Finding(check, Status.hint, detail, cure)


def fails(check: str, detail: str, cure: str) -> Finding:
    """Somebody has to act."""
    return Finding(check, Status.fails, detail, cure)


def parted(check: str, message: str, cure: str, *, at: str) -> Finding:
    """A failure whose message has its cure after the first `at`; one that has none gets `cure`."""
    detail, _, told = message.partition(at)
    return fails(check, detail, told or cure)


def is_open_to_others(file: Path) -> bool:
    """Whether other users may read or change a file. Of a file that is not ours, the group is our way to read it."""
    try:
        found = file.stat()
    except OSError:
        return False
    closed_to = stat.S_IRWXO | (stat.S_IRWXG if found.st_uid == os.geteuid() else 0)
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & closed_to)


@dataclass(frozen=True, slots=True)
class Examination:
    """Checks that follow one another, each of which may keep the next from being made.

    :param late: What it means if they don't come to an end.
    """

    checks: Callable[[], Iterator[Finding]]
    late: Finding


def examined(examinations: list[Examination], *, seconds: float) -> list[Finding]:
    """Carry out all of them at the same time; whoever does not end in time is told as late.

    Some waits, such as that for a name server, know no time-out: they are left behind in a thread of their own.
    """
    running = [_Running(each) for each in examinations]
    deadline = time.monotonic() + seconds
    for each in running:
        each.thread.join(max(0.0, deadline - time.monotonic()))
    return [finding for each in running for finding in each.told()]


class _Running:
    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._found: list[Finding] = []
        self._failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def told(self) -> list[Finding]:
        """What was found; an error that nobody expected is raised here, in the command's own thread."""
        if self._failed:
            raise self._failed[0]
        return [*self._found, *([self._examination.late] if self.thread.is_alive() else [])]

    def _run(self) -> None:
        try:
            for finding in self._examination.checks():
                self._found.append(finding)
        except BaseException as error:  # Raised again by `told`.
            self._failed.append(error)
