"""Servers as processes of their own: started, waited for, and ended by their handles."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scim_bridge.errors import BridgeError
from tests.processes.running import environment

PATIENCE_SECONDS = 300.0
"""How long a server may take to come up; 100,000 people in memory are a minute's work."""

ENDING_SECONDS = 20.0

_LISTENING = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)\.")


@dataclass
class RunningServer:
    """A server, perhaps still on its way up."""

    what: str
    log: Path
    process: "subprocess.Popen[bytes]"
    _port: int | None = None

    @property
    def port(self) -> int:
        """Where it listens; waits until it does. :raises BridgeError: it ended, or takes too long."""
        if self._port is None:
            self._port = self._wait()
        return self._port

    def cpu_seconds(self) -> float | None:
        """CPU time that its web processes have used so far; None where the system does not tell."""
        try:
            below = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            return cpu_seconds_of(map(int, below)) if below else None
        except (OSError, ValueError):
            return None

    def _wait(self) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = _LISTENING.search(self.log.read_text())
            if found is not None:
                return int(found.group(1))
            if self.process.poll() is not None:
                raise BridgeError(f"{self.what} ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)
        raise BridgeError(f"{self.what} did not come up within {PATIENCE_SECONDS:.0f} seconds")


@contextmanager
def running(
    what: str, words: Sequence[str], folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Start `python -m WORDS…`, and end it with the context."""
    log = folder / f"{what.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=folder,
            env=environment(**(settings or {})),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield RunningServer(what, log, process)
    finally:
        process.terminate()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds_of(pids: Iterable[int]) -> float:
    """CPU time that some processes have used so far."""
    return sum(map(_ticks, pids)) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    """User and system time of a process, in clock ticks (proc(5), *stat*)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])
