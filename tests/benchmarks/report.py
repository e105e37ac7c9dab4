"""The tables at the end, and the same as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.benchmarks.results import Breakdown, Goal, Measured, Result

NARROWEST = 120
"""Narrower tables break their sentences into ribbons; a file or a pipe has no width of its own."""


BUSY_MACHINE = " Other programs were using this machine: ratios are noisy, and absolute figures mean nothing."

SMALLEST = 0.01
"""Smaller shares are not told."""


def print_json(results: Sequence[Result], circumstances: str) -> None:
    """Everything, for machines."""
    print(json.dumps({"machine": circumstances, "results": [_as_json(each) for each in results]}, indent=2))


def print_tables(results: Sequence[Result], circumstances: str, console: Console | None = None) -> None:
    """Everything, for people."""
    console = console or Console(highlight=False)
    console.width = max(NARROWEST, console.width)
    console.print(circumstances)
    for result in results:
        console.print(_title(result.benchmark))
        console.print(table(MEASURED, [measured_cells(each) for each in result.measured]))
        if result.goals:
            console.print(table(GOALS, [goal_cells(each) for each in result.goals]))
            for limit in limits(result.goals):
                console.print(limit)
        for breakdown in result.breakdowns:
            console.print()
            console.print(heading(result.benchmark, breakdown))
            console.print(table(STEPS, step_cells(breakdown)))
        for note in result.notes:
            console.print(note)


MEASURED = ("what", "users", "database", "requests/s", "p50 ms", "p95 ms", "CPU ms", "server busy", "client busy")
GOALS = ("ratio", "users", "database", "found", "rounds", "by CPU", "goal", "")
STEPS = ("part", "ms", "share", "mostly")


def measured_cells(found: Measured) -> list[str]:
    """A line of the first table."""
    return [
        found.candidate,
        _users(found.users),
        found.database or "–",
        f"{found.per_second:,.0f}",
        f"{found.p50_ms:.2f}",
        f"{found.p95_ms:.2f}",
        "?" if found.server_cpu_ms is None else f"{found.server_cpu_ms:.2f}",
        "?" if found.server_busy is None else f"{found.server_busy:.0%}",
        f"{found.client_busy:.0%}",
    ]


def goal_cells(goal: Goal) -> list[str]:
    """A line of the table of goals."""
    return [
        goal.what,
        _users(goal.users),
        goal.database or "–",
        f"{goal.found.median:.2f}",
        f"{goal.found.lowest:.2f}–{goal.found.highest:.2f}",
        "?" if goal.by_cpu is None else f"{goal.by_cpu:.2f}",
        f"{'≥' if goal.at_least else '≤'} {goal.wanted:g}",
        "met" if goal.is_met else "missed",
    ]


def limits(goals: Sequence[Goal]) -> list[str]:
    """What sets the figures, each sentence once."""
    sentences = dict.fromkeys((goal.database, goal.users, goal.limit) for goal in goals)
    return [f"{database}, {_users(users)} users: {limit}." for database, users, limit in sentences]


def heading(name: str, breakdown: Breakdown) -> str:
    """What stands above a breakdown."""
    code = ", ".join(f"{owner} {share:.0%}" for owner, share in breakdown.code if share >= SMALLEST)
    return (
        f"One {name} in process, {breakdown.database} with {breakdown.users:,} users: {breakdown.milliseconds:.2f} ms "
        f"({breakdown.cpu_ms:.2f} of CPU), {breakdown.statements} statements in {breakdown.transactions} transactions. "
        f"Whose code ran in {breakdown.samples:,} samples: {code}."
    )


def step_cells(breakdown: Breakdown) -> list[list[str]]:
    """The lines of a breakdown, in the order of a request."""
    return [[step.name, f"{step.milliseconds:.2f}", f"{step.share:.0%}", step.mostly] for step in breakdown.steps]


def table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose figures are on the right and whose verdicts are coloured."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    words = {"what", "database", "ratio", "part", "mostly", ""}
    for heading in headings:
        made.add_column(heading, justify="left" if heading in words else "right", no_wrap=heading in {"rounds", ""})
    for row in rows:
        made.add_row(*(Text(cell, {"met": "green", "missed": "red"}.get(cell, "")) for cell in row))
    return made


def load_before() -> float:
    """How many programs wanted the processor in the last minute, before anything is started here."""
    return os.getloadavg()[0]


def machine(load: float) -> str:
    """What the figures were measured on.

    :param load: The load average before the start.
    """
    cpus = os.cpu_count() or 1
    told = (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cpus} CPUs, "
        f"load average {load:.1f} before the start."
    )
    return told + BUSY_MACHINE if load > cpus / 2 else told


def _as_json(result: Result) -> dict[str, Any]:
    found = asdict(result)
    for goal, shown in zip(result.goals, found["goals"], strict=True):
        shown["met"] = goal.is_met
    return found


def _users(users: int | None) -> str:
    return "–" if users is None else f"{users:,}"


def _title(name: str) -> Text:
    return Text(f"\n{name}", "bold cyan")
