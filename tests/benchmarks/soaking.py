"""What a soak samples of the processes, and whether it stayed flat."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

from tests.benchmarks.chart import Panel

_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)

WARM_UP = 0.2
"""The share of the time that is not judged: caches fill, and threads start."""

MOST_GROWTH: Mapping[str, float] = {
    "web_mb": 1.05,
    "worker_mb": 1.05,
    "web_handles": 1.05,
    "worker_handles": 1.05,
    "connections": 1.05,
    "read_p50_ms": 1.25,
    "read_p95_ms": 1.5,
    "write_p50_ms": 1.25,
    "write_p95_ms": 1.5,
}
"""The last third of a flat figure is at most so many times its first third after the warm-up. Times on a machine that
does other work are uneven; memory and handles are not."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen in one interval."""

    seconds: float
    """Since the traffic began."""

    web_mb: float
    """Resident memory of the processes that answer, together."""

    worker_mb: float
    web_handles: int
    worker_handles: int
    connections: int
    """Open connections to PostgreSQL, or open handles of SQLite's file."""

    requests: int
    read_p50_ms: float
    read_p95_ms: float
    write_p50_ms: float
    write_p95_ms: float
    due: int
    wrong: int
    """Answers that were not as they should be."""

    load: float
    """How many programs wanted the processors in the last minute, others' included: what makes times uneven."""


def resident_mb(pids: Iterable[int]) -> float:
    """Return the memory that these processes are resident with, in megabytes."""
    found = (_RESIDENT.search(Path(f"/proc/{pid}/status").read_text(encoding="utf-8")) for pid in pids)
    return sum(int(each[1]) for each in found if each is not None) / 1024


def handles(pids: Iterable[int]) -> list[str]:
    """Return what the open handles of these processes lead to."""
    found: list[str] = []
    for pid in pids:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.append(str(each.readlink()))
            except FileNotFoundError:
                continue
    return found


def below(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure at the beginning and at the end."""

    figure: str
    first: float
    last: float
    is_flat: bool


def judged(samples: Sequence[Sample]) -> list[Verdict]:
    """Return for each figure whether it stayed flat: the medians of the first and the last third after the warm-up."""
    warm = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(warm) // 3)
    found = []
    for figure, most in MOST_GROWTH.items():
        first, last = (median(getattr(each, figure) for each in part) for part in (warm[:third], warm[-third:]))
        found.append(Verdict(figure, first, last, last <= first * most or last - first <= 1))
    return found


def panels(found: Mapping[str, Sequence[Sample]]) -> list[Panel]:
    """Return the charts of a soak. :param found: The samples by database."""

    def lines(**figures: str) -> dict[str, list[tuple[float, float]]]:
        return {
            f"{name.replace('_', ' ')}, {kind}": [(each.seconds / 60, getattr(each, figure)) for each in samples]
            for kind, samples in found.items()
            for name, figure in figures.items()
        }

    return [
        Panel("Resident memory", "MB", lines(web="web_mb", worker="worker_mb")),
        Panel("Open handles", "", lines(web="web_handles", worker="worker_handles")),
        Panel("Connections to the database", "", lines(open="connections")),
        Panel("Time of a read", "ms", lines(p50="read_p50_ms", p95="read_p95_ms")),
        Panel("Time of a write, Ditio's calls included", "ms", lines(p50="write_p50_ms", p95="write_p95_ms")),
        Panel("Load of the machine, others' programs included", "", lines(load="load")),
    ]


COLUMNS = tuple(each.name for each in fields(Sample))
