"""`reconcile`: everyone is read and compared, with two certificates each (design, section 11).

Three runs: the first, which looks at everyone; another, which looks at those who have moved since, here no one; and
one after a person edited every hundredth title in Ditio.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from scim_bridge.errors import BridgeError
from tests.benchmarks import bridge
from tests.benchmarks.delivered import delivered_pattern_in
from tests.benchmarks.figures import Ratio
from tests.benchmarks.resident import resident
from tests.benchmarks.results import Goal, Measured, Result
from tests.benchmarks.servers import running
from tests.benchmarks.stage import Stage
from tests.processes.running import ROOT, environment

WANTED_SECONDS_FOR_100_000 = 30.0
WANTED_MEGABYTES = 250.0
FLAT = 1.2
EDITED_EVERY = 100
FIRST, IN_SYNC = "first time", "in sync"


@dataclass(frozen=True, slots=True)
class Run:
    """One `reconcile` as a process of its own."""

    seconds: float
    cpu_seconds: float
    """The process's own time: without Ditio's, and without PostgreSQL's."""

    megabytes: float
    """The most memory that it was resident with."""


def reconcile(stage: Stage) -> Result:
    """Each company three times: for the first time, as it was then, and with one title in a hundred edited there."""
    found = Result("reconcile")
    pattern, employee = delivered_pattern_in(stage.folder)
    file = stage.folder / "employee.json"
    file.write_text(employee, encoding="utf-8")
    runs: dict[tuple[str, int, str], Run] = {}
    for kind in stage.plan.databases:
        for people in stage.plan.users:
            url = stage.filled(kind, people, "reconcile", pattern)
            for what, every in ((FIRST, 0), (IN_SYNC, 0), ("1 % edited", EDITED_EVERY)):
                words = ["tests.benchmarks.listing", str(file), str(people), str(every)]
                with (
                    running(f"ditio {kind} {people} {what}", words, stage.folder) as ditio,
                    stage.bar(f"Reconciling {people:,} people on {kind}, {what}", 1) as advance,
                ):
                    run = _run(_settings(url, ditio.port), expected=people // every if every else 0)
                    advance(1)
                runs[kind, people, what] = run
                found.measured.append(_measured(what, kind, people, run))
                found.goals.extend(_goals(what, kind, people, run))
            cost = _cost_of_size(runs, kind, people, min(stage.plan.users))
            found.goals.extend([cost] if cost is not None else [])
    return found


def _run(settings: Mapping[str, str], *, expected: int) -> Run:
    words = [sys.executable, "-m", "scim_bridge", "reconcile", "--format", "json"]
    began = time.perf_counter()
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment(**settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with resident(process.pid) as most:
        told, errors = process.stdout.read(), process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    took, process.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 2):
        raise BridgeError(f"reconcile ended with {process.returncode}:\n{errors[-3000:]}")
    report = json.loads(told)
    if len(report["items"]) != expected:
        raise BridgeError(f"reconcile found {len(report['items'])} differences instead of {expected}")
    return Run(took, used.ru_utime + used.ru_stime, most[0])


def _settings(url: str, port: int) -> Mapping[str, str]:
    where = f"http://127.0.0.1:{port}"
    more = {"DITIO__API_URL": f"{where}/core", "DITIO__IDENTITY_URL": where, "RECONCILE__MAX_CHANGES": "1000000"}
    return {**bridge.environment(url), **{f"SCIM_BRIDGE_{name}": value for name, value in more.items()}}


def _measured(what: str, kind: str, people: int, run: Run) -> Measured:
    each = run.seconds / people * 1000
    cpu = run.cpu_seconds / people * 1000
    return Measured(
        what, people, kind, people / run.seconds, each, 0.0, people, cpu, run.cpu_seconds / run.seconds, 0.0
    )


def _goals(what: str, kind: str, people: int, run: Run) -> list[Goal]:
    wanted = WANTED_SECONDS_FOR_100_000 * max(1.0, people / 100_000)
    limit = f"{run.cpu_seconds / people * 1000:.2f} ms of own CPU time a person, {run.seconds:.1f} s in all"
    own, memory = run.cpu_seconds, run.megabytes
    return [
        Goal(f"reconcile, {what}: seconds of own time", people, kind, Ratio(own, own, own), wanted, False, None, limit),
        Goal(
            f"reconcile, {what}: megabytes resident at most",
            people,
            kind,
            Ratio(memory, memory, memory),
            WANTED_MEGABYTES,
            False,
            None,
            "the list is parsed as it comes, and 500 people are in memory at a time",
        ),
    ]


def _cost_of_size(runs: Mapping[tuple[str, int, str], Run], kind: str, people: int, smallest: int) -> Goal | None:
    if people == smallest:
        return None
    small, large = (runs[kind, number, IN_SYNC].cpu_seconds / number for number in (smallest, people))
    ratio = large / small
    what = f"reconcile: cost of a person among {people:,} ÷ among {smallest:,}"
    return Goal(what, people, kind, Ratio(ratio, ratio, ratio), FLAT, False, None, "start of the process included")
