"""Commands as real processes: started, watched with a deadline, and ended by their ids."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.redaction import WATCH

Found = TypeVar("Found")

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
"""Only a machine that is hopelessly busy needs as long."""


def eventually(look: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"still not after {seconds} seconds: {what}")
        time.sleep(0.05)


def environment(**settings: str) -> dict[str, str]:
    """The environment of a process: this one's without settings, and the bridge importable."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_BRIDGE_")}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **settings}


def run(folder: Path, settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        _command(words),
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


class Running:
    """A command that runs until it is told to end."""

    def __init__(self, folder: Path, settings: dict[str, str], *words: str) -> None:
        self.output = folder / f"{words[0]}-{time.monotonic_ns()}.log"
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                _command(words), cwd=folder, env=environment(**settings), stdout=output, stderr=output
            )
        self._children: set[int] = set()

    def says(self, pattern: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait for a line; its first group."""

        def look() -> str | None:
            found = re.search(pattern, self.output.read_text())
            if found is None and self._process.poll() is not None:
                raise AssertionError(f"ended with {self._process.returncode}:\n{self.output.read_text()}")
            return found.group(1) if found else None

        return eventually(look, f"{pattern}:\n{self.output.read_text()}", seconds)

    def children(self) -> set[int]:
        """The processes below this one."""
        pid = self._process.pid
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        found = {int(child) for child in text.split()}
        self._children |= found
        return found

    def gets(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def ends(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.gets(number)
        return self._process.wait(PATIENCE_SECONDS)

    def is_killed(self) -> set[int]:
        """Kill it, and no one below it; who was below it."""
        children = self.children()
        self.ends(signal.SIGKILL)
        return children

    def clear(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self._process.poll() is None:
            self.children()
            self._process.kill()
            self._process.wait()
        for child in self._children:
            if is_alive(child):
                os.kill(child, signal.SIGKILL)
        WATCH.look(self.output.read_text(), "the log of a process")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_of(pid: int) -> list[str]:
    """The words of a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "scim_bridge", *words]
