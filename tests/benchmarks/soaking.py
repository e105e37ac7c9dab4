"""What a soak samples of the processes, and whether it stayed flat."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from statistics import median

from tests.benchmarks.chart import Panel

_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)

LEAST_GROWTH: Mapping[str, float] = {"cpu_ms": 0.2, "worker_cpu_ms": 0.2}
"""By how much a figure grows at least where it counts as growing; 1 unless it is named here."""

WARM_UP = 0.2
"""The share of the time that is not judged: caches fill, and threads start."""

MOST_GROWTH: Mapping[str, float] = {
    "web_mb": 1.05,
    "worker_mb": 1.05,
    "web_handles": 1.05,
    "worker_handles": 1.05,
    "connections": 1.05,
    "cpu_ms": 1.15,
    "worker_cpu_ms": 1.25,
    "read_p50_ms": 1.25,
    "read_p95_ms": 1.5,
    "write_p50_ms": 1.25,
    "write_p95_ms": 1.5,
}
"""The last third of a flat figure is at most so many times its first third after the warm-up. What a busy machine does
to it is small for memory, handles and CPU time. Times are compared with the control's: see `CONTROLS`."""

CONTROLS: Mapping[str, str] = {
    "read_p50_ms": "control_p50_ms",
    "read_p95_ms": "control_p95_ms",
    "write_p50_ms": "control_p50_ms",
    "write_p95_ms": "control_p95_ms",
}
"""The control of each time: what slows it down slows down every request to this server. It reads and writes nothing."""


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
    control_p50_ms: float
    """Of `/healthz`, which the same processes answer without a database."""

    control_p95_ms: float
    cpu_ms: float
    """CPU time of the processes that answer, for each request: however long it waited for its turn."""

    worker_cpu_ms: float
    """CPU time of the worker, for each request."""

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
    control: float | None = None
    """How many times its first value the control's last one is; None for a figure without a control."""


def judged(samples: Sequence[Sample]) -> list[Verdict]:
    """Return for each figure whether it stayed flat: the medians of the first and the last third after the warm-up.

    A time is flat if it grew no more than it may on a quiet machine, times the growth of its control.
    """
    warm = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(warm) // 3)

    def ends(figure: str) -> tuple[float, float]:
        first, last = (median(getattr(each, figure) for each in part) for part in (warm[:third], warm[-third:]))
        return first, last

    found = []
    for figure, most in MOST_GROWTH.items():
        first, last = ends(figure)
        control = None
        if figure in CONTROLS:
            before, after = ends(CONTROLS[figure])
            control = after / before if before else 1.0
        is_flat = last <= first * most * max(1.0, control or 1.0) or last - first <= LEAST_GROWTH.get(figure, 1.0)
        found.append(Verdict(figure, first, last, is_flat, control))
    return found


def by_minute(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yield one sample for each minute: sums of what was counted, and else the medians of the minute's samples."""
    for _, some in groupby(samples, key=lambda each: int(max(0.0, each.seconds - 1) // 60)):
        minute = list(some)
        figures = {name: median(getattr(each, name) for each in minute) for name in COLUMNS}
        counted = {name: sum(getattr(each, name) for each in minute) for name in ("requests", "wrong")}
        yield Sample(**{**figures, **counted, "seconds": minute[-1].seconds, "due": max(each.due for each in minute)})


def panels(found: Mapping[str, Sequence[Sample]]) -> list[Panel]:
    """Return the charts of a soak. :param found: The samples by database."""

    minutes = {kind: [*by_minute(samples)] for kind, samples in found.items()}

    def lines(**figures: str) -> dict[str, list[tuple[float, float]]]:
        return {
            f"{name.replace('_', ' ')}, {kind}": [(each.seconds / 60, getattr(each, figure)) for each in samples]
            for kind, samples in minutes.items()
            for name, figure in figures.items()
        }

    return [
        Panel("Resident memory", "MB", lines(web="web_mb", worker="worker_mb")),
        Panel("Open handles", "", lines(web="web_handles", worker="worker_handles")),
        Panel("Connections to the database", "", lines(open="connections")),
        Panel("CPU time for each request", "ms", lines(web="cpu_ms", worker="worker_cpu_ms")),
        Panel("A read, and the control beside it: median", "ms", lines(read="read_p50_ms", control="control_p50_ms")),
        Panel("A read, and the control beside it: p95", "ms", lines(read="read_p95_ms", control="control_p95_ms")),
        Panel("A write, Ditio's calls included", "ms", lines(p50="write_p50_ms", p95="write_p95_ms")),
        Panel("Load of the machine, others' programs included", "", lines(load="load")),
    ]


COLUMNS = tuple(each.name for each in fields(Sample))
