"""`leases`: how fast workers take people and give them back, and what a large company costs (rules D1, D7)."""

import subprocess
import sys
from statistics import median

from scim_bridge.errors import BridgeError
from scim_bridge.storage.tables import people
from tests.benchmarks.figures import alternating, ratio
from tests.benchmarks.results import Goal, Measured, Result
from tests.benchmarks.stage import Stage
from tests.processes.running import ROOT, environment

WORKERS = (1, 4)
FLAT = 1.2
"""How much more one lease may cost with the largest company than with the smallest."""


def leases(stage: Stage) -> Result:
    """Measure leases per second with one process and with several, and one process on each size of company."""
    plan, found = stage.plan, Result("leases")
    smallest, largest = min(plan.users), max(plan.users)
    runs = [(kind, users, workers) for kind in plan.databases for users in plan.users for workers in WORKERS]
    rates: dict[tuple[str, int, int], list[float]] = {run: [] for run in runs}
    counts: dict[tuple[str, int, int], int] = dict.fromkeys(runs, 0)
    urls = {
        (kind, users): stage.own_database(kind, users, "leases", only=people)
        for kind in plan.databases
        for users in plan.users
    }
    with stage.bar("Measuring leases", plan.rounds * len(runs)) as advance:
        for turns in alternating(len(runs), plan.rounds):
            for kind, users, workers in (runs[turn] for turn in turns):
                most = users // (2 * len(WORKERS) * plan.rounds)
                rate, count = _rate(urls[kind, users], workers, plan.seconds, most=most)
                rates[kind, users, workers].append(rate)
                counts[kind, users, workers] += count
                advance(1)
    found.measured.extend(_measured(*run, median(rates[run]), counts[run]) for run in runs)
    for kind in plan.databases:
        if smallest != largest:
            cost = ratio(rates[kind, smallest, 1], rates[kind, largest, 1])
            what = f"a lease: cost with {largest:,} ÷ with {smallest:,} people due"
            limit = (
                f"an index of those who are due; several processes make {_scale(rates, kind, largest)} of one's leases"
            )
            found.goals.append(Goal(what, largest, kind, cost, FLAT, False, None, limit))
    return found


def _rate(url: str, workers: int, seconds: float, *, most: int) -> tuple[float, int]:
    """Leases a second of so many processes at once, and how many there were."""
    command = [sys.executable, "-m", "tests.benchmarks.leasing", url, str(seconds), str(max(1, most // workers))]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    told = [process.communicate(timeout=seconds + 60)[0].split() for process in started]
    if any(process.returncode for process in started) or not all(told):
        raise BridgeError("a process that leases ended with an error, so nothing was measured; it is told above")
    counts, took = [int(words[0]) for words in told], [float(words[1]) for words in told]
    return sum(count / spent for count, spent in zip(counts, took, strict=True)), sum(counts)


def _measured(kind: str, users: int, workers: int, rate: float, count: int) -> Measured:
    milliseconds = workers * 1000 / rate
    what = "1 process" if workers == 1 else f"{workers} processes"
    return Measured(what, users, kind, rate, milliseconds, milliseconds, count, None, None, 0.0)


def _scale(rates: dict[tuple[str, int, int], list[float]], kind: str, users: int) -> str:
    return f"{ratio(rates[kind, users, max(WORKERS)], rates[kind, users, 1]).median:.1f} times"
