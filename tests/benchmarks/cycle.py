"""`cycle` and `inline`: deliveries to a Ditio that takes 50 ms for each call (design, section 11)."""

import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from statistics import median

import requests

from scim_bridge.errors import BridgeError
from tests.benchmarks import bridge, people
from tests.benchmarks.figures import Ratio, percentile
from tests.benchmarks.results import Goal, Measured, Result
from tests.benchmarks.servers import RunningServer, running
from tests.benchmarks.slow_ditio import OWN_TIME
from tests.benchmarks.stage import Stage
from tests.processes.running import ROOT, environment

CALL_MILLISECONDS = 50
CONCURRENCY = 8
WANTED_OF_CEILING = 0.9
WANTED_OVERHEAD_MS = 15.0
PATIENCE_SECONDS = 3600.0


def cycle(stage: Stage) -> Result:
    """Everyone of an initial cycle is due: how long one worker needs, beside what the calls alone would."""
    found, count = Result("cycle"), stage.plan.people
    for kind in stage.plan.databases:
        with _ditio(stage, f"cycle-{kind}") as ditio:
            url = stage.own_database(kind, count, "cycle")
            settings = _settings(url, ditio, inline=0)
            with stage.bar(f"Delivering {count:,} people on {kind}", 1) as advance:
                began, cpu = time.perf_counter(), _cpu_of_children()
                _run_worker(settings)
                took, cpu = time.perf_counter() - began, _cpu_of_children() - cpu
                advance(1)
            calls, own = _own_time(ditio)
        ceiling = own / CONCURRENCY
        share = ceiling / took
        per_person = cpu / count * 1000
        found.measured.append(
            Measured(
                f"{CONCURRENCY} calls at once",
                count,
                kind,
                count / took,
                took / count * 1000,
                0.0,
                count,
                per_person,
                cpu / took,
                0.0,
            )
        )
        limit = (
            f"{calls / count:.1f} calls a person, {own / calls * 1000:.0f} ms each, {CONCURRENCY} at once, would take "
            f"{ceiling:.1f} s; it took {took:.1f} s, start and end of the process "
            f"included; it has {per_person:.1f} ms of its own CPU time for each person"
        )
        found.goals.append(
            Goal(
                "initial cycle: the calls' own time ÷ the time taken",
                count,
                kind,
                Ratio(share, share, share),
                WANTED_OF_CEILING,
                True,
                None,
                limit,
            )
        )
    return found


def inline(stage: Stage) -> Result:
    """One request after another, each delivered before it is answered: what is added to Ditio's own time."""
    found = Result("inline")
    for kind in stage.plan.databases:
        with _ditio(stage, f"inline-{kind}") as ditio:
            url = stage.own_database(kind, 1, "inline")
            words = ["scim_bridge", "serve", "--bind", "127.0.0.1:0", "--without-worker"]
            with running(f"inline {kind}", words, stage.folder, _settings(url, ditio, inline=5)) as server:
                over = _overheads(stage, kind, server, ditio)
        middle, high = median(over), percentile(over, 0.95)
        found.measured.append(
            Measured("over Ditio's own time", 1, kind, 1000 / middle, middle, high, len(over), None, None, 0.0)
        )
        limit = f"reads and writes of the delivery's own transactions; {median(over):.1f} ms in the middle"
        found.goals.append(
            Goal(
                "inline delivery: milliseconds over Ditio's own time, p95",
                1,
                kind,
                Ratio(high, min(over), max(over)),
                WANTED_OVERHEAD_MS,
                False,
                None,
                limit,
            )
        )
    return found


def _overheads(stage: Stage, kind: str, server: RunningServer, ditio: RunningServer) -> list[float]:
    """Milliseconds that each of some POSTs took beyond what Ditio had for itself."""
    session, over = requests.Session(), []
    session.headers.update({"Authorization": f"Bearer {bridge.TOKEN}", "Content-Type": bridge.CONTENT_TYPE})
    count = max(10, stage.plan.people // 20)
    with stage.bar(f"Delivering inline on {kind}", count) as advance:
        for number in range(count):
            before = _own_time(ditio)[1]
            began = time.perf_counter()
            answer = session.post(
                f"http://127.0.0.1:{server.port}{bridge.PATH}", data=people.body(stage.new_number()), timeout=30
            )
            took = time.perf_counter() - began
            if answer.status_code != 201 or '"delivered"' not in answer.text:
                raise BridgeError(f"a POST is answered {answer.status_code}: {answer.text[:500]}")
            if number:  # The first one makes connections and gets a token.
                over.append((took - (_own_time(ditio)[1] - before)) * 1000)
            advance(1)
    return over


def _ditio(stage: Stage, name: str) -> AbstractContextManager[RunningServer]:
    return running(f"ditio {name}", ["tests.benchmarks.slow_ditio", str(CALL_MILLISECONDS)], stage.folder)


def _own_time(ditio: RunningServer) -> tuple[int, float]:
    found = requests.get(f"http://127.0.0.1:{ditio.port}{OWN_TIME}", timeout=10).json()
    return int(found["calls"]), float(found["seconds"])


def _settings(url: str, ditio: RunningServer, *, inline: float) -> Mapping[str, str]:
    where = f"http://127.0.0.1:{ditio.port}"
    more = {
        "DITIO__API_URL": f"{where}/core",
        "DITIO__IDENTITY_URL": where,
        "DITIO__CLIENT_ID": "sandbox",
        "DITIO__CLIENT_SECRET": "sandbox-secret",
        "DITIO__MAX_CONCURRENCY": str(CONCURRENCY),
        "DELIVERY__INLINE_SECONDS": str(inline),
        "LOG__LEVEL": "warning",
    }
    return {**bridge.environment(url), **{f"SCIM_BRIDGE_{name}": value for name, value in more.items()}}


def _run_worker(settings: Mapping[str, str]) -> None:
    words = [sys.executable, "-m", "scim_bridge", "worker", "--until-idle"]
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BridgeError(f"the worker ended with {done.returncode}:\n{done.stderr[-3000:]}")


def _cpu_of_children() -> float:
    """CPU seconds of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
