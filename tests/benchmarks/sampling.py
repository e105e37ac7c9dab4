"""Where a request spends its time: the stack of the running code, looked at a thousand times a second.

Sampled, because a tracing profiler makes code of many small calls look dearer than it is. Waiting counts as well.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from statistics import median
from types import FrameType

from tests.benchmarks.results import Step

EVERY_SECONDS = 0.001

Frame = tuple[str, str]
"""File and qualified name of a function."""

Stack = tuple[Frame, ...]
"""Outermost first."""

REST = "everything else of Flask and the request"

_DRIVER_CALLS = {"do_execute", "do_execute_no_params", "do_executemany", "do_commit", "do_rollback", "do_begin"}
_LIBRARIES = {
    "pydantic": "scim2-models, pydantic",
    "scim2_models": "scim2-models, pydantic",
    "scim2_server": "scim2-server",
    "sqlalchemy": "SQLAlchemy",
    "psycopg": "database driver",
    "psycopg_binary": "database driver",
    "flask": "Flask, Werkzeug",
    "werkzeug": "Flask, Werkzeug",
    "scim_bridge": "scim_bridge",
    "structlog": "structlog",
    "phonenumbers": "phonenumbers",
}
STANDARD = "standard library"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request, told by the functions that are running in it.

    :param functions: Ends of files with qualified names, as `("auth/bearer.py", "Bearer.authenticate")`.
    """

    name: str
    functions: tuple[Frame, ...]

    def covers(self, stack: Stack) -> bool:
        """Whether one of the functions is running."""
        return any(file.endswith(end) and name == called for file, called in stack for end, name in self.functions)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of a request: medians, and stacks."""

    milliseconds: float
    cpu_ms: float
    stacks: list[Stack]


def timed_and_sampled(request: Callable[[], None], *, seconds: float, within: Frame) -> Looked:
    """Repeat a request in this thread, first to time it and then to look where it is.

    :param within: Samples outside of this function do not count: they are the client's.
    """
    _repeat(request, seconds / 6)
    took = _repeat(request, seconds / 3)
    with _sampled() as stacks:
        _repeat(request, seconds)
    inside = Part("", (within,))
    return Looked(
        median(wall for wall, _ in took) * 1000,
        median(cpu for _, cpu in took) * 1000,
        [stack for stack in stacks if inside.covers(stack)],
    )


def shares(
    milliseconds: float, parts: Sequence[Part], stacks: Sequence[Stack]
) -> tuple[tuple[Step, ...], tuple[tuple[str, float], ...]]:
    """Shares of the samples, by part and by whose code ran.

    :param milliseconds: What a whole request takes.
    :param parts: A sample belongs to the first that covers it.
    """
    found: dict[str, Counter[str]] = {part.name: Counter() for part in (*parts, Part(REST, ()))}
    for stack in stacks:
        name = next((part.name for part in parts if part.covers(stack)), REST)
        found[name][owner_of(stack)] += 1
    everything = sum(found.values(), Counter())
    total = max(1, everything.total())
    steps = tuple(
        Step(
            name,
            owners.total() / total,
            milliseconds * owners.total() / total,
            ", ".join(f"{owner} {count / owners.total():.0%}" for owner, count in owners.most_common(2)),
        )
        for name, owners in found.items()
        if owners
    )
    return steps, tuple((owner, count / total) for owner, count in everything.most_common())


def owner_of(stack: Stack) -> str:
    """Whose code is running. The standard library's is its caller's, but for the driver of SQLite, which is in C."""
    for file, function in reversed(stack):
        if function.rpartition(".")[2] in _DRIVER_CALLS and file.endswith("engine/default.py"):
            return "database driver"
        parts = PurePath(file).parts
        owner = next((_LIBRARIES[part] for part in reversed(parts) if part in _LIBRARIES), None)
        if owner is not None:
            return owner
        if file.endswith(("json/encoder.py", "json/decoder.py", "json/__init__.py")):
            return "json"
    return STANDARD


def _repeat(request: Callable[[], None], seconds: float) -> list[tuple[float, float]]:
    """How long each took, and how much of it the processor worked, in seconds."""
    took: list[tuple[float, float]] = []
    deadline = time.perf_counter() + seconds
    while not took or time.perf_counter() < deadline:
        began, cpu = time.perf_counter(), time.thread_time()
        request()
        took.append((time.perf_counter() - began, time.thread_time() - cpu))
    return took


@contextmanager
def _sampled() -> Iterator[list[Stack]]:
    """Collect stacks of this, the main, thread."""
    stacks: list[Stack] = []

    def look(_: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
        stacks.append(tuple(reversed(stack)))

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, EVERY_SECONDS, EVERY_SECONDS)
    try:
        yield stacks
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
