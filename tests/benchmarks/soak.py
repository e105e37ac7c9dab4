"""`python -m tests.benchmarks soak`: hours of Entra's traffic for four companies, and whether anything grows."""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import click
import requests
from rich.console import Console
from sqlalchemy import text

from scim_bridge.errors import BridgeError
from scim_bridge.storage.database import Database
from scim_bridge.storage.engine import COMMANDS
from tests.benchmarks.chart import svg
from tests.benchmarks.cycle import CALL_MILLISECONDS
from tests.benchmarks.databases import KINDS, new_postgresql, postgresql_server
from tests.benchmarks.figures import percentile
from tests.benchmarks.report import load_before, machine, table
from tests.benchmarks.servers import RunningServer, cpu_seconds_of, running
from tests.benchmarks.soaking import (
    COLUMNS,
    Sample,
    Verdict,
    below,
    by_minute,
    handles,
    judged,
    panels,
    resident_mb,
)
from tests.benchmarks.traffic import Company, Control, Seen, Traffic
from tests.processes.running import run

COMPANIES = ("nord", "sor", "ost", "vest")
ENTRAS_RATE = 25.0
"""Requests a second that Microsoft asks an application to sustain for each tenant."""

EVERY_SECONDS = 10.0
APART = 100_000
"""How far the numbers of two companies' people are apart."""


@dataclass
class Soaked:
    """The bridge on one kind of database: its processes, its traffic, and what was seen."""

    kind: str
    url: str
    web: RunningServer
    worker: RunningServer
    traffic: Sequence[Traffic]
    control: Control
    samples: list[Sample] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    _cpu: tuple[float, float] = (0.0, 0.0)
    """CPU seconds of the web processes and of the worker at the last sample."""

    def start(self) -> None:
        """Let the traffic begin."""
        self._cpu = self._used()
        for each in (*self.traffic, self.control):
            each.start()

    def stop(self) -> None:
        """End the traffic."""
        for each in (*self.traffic, self.control):
            each.stop()

    def _used(self) -> tuple[float, float]:
        return cpu_seconds_of(below(self.web.process.pid)), cpu_seconds_of([self.worker.process.pid])

    def sample(self, seconds: float) -> None:
        """Look at everything. :raises BridgeError: a process has ended."""
        for each in (self.web, self.worker):
            if each.process.poll() is not None:
                raise BridgeError(f"{each.what} ended with {each.process.returncode}:\n{each.log.read_text()[-3000:]}")
        web, worker = below(self.web.process.pid), [self.worker.process.pid]
        of_web, of_worker = handles(web), handles(worker)
        seen = [each.look() for each in self.traffic]
        reads, writes = _milliseconds(seen, "reads"), _milliseconds(seen, "writes")
        wrong = sum((each.wrong for each in seen), Counter[str]())
        self.wrong += wrong
        controls = [took * 1000 for took in self.control.look()]
        before, self._cpu = self._cpu, self._used()
        web_cpu, worker_cpu = (
            round((now - then) * 1000 / max(1, len(reads) + len(writes)), 2)
            for now, then in zip(self._cpu, before, strict=True)
        )
        self.samples.append(
            Sample(
                seconds=round(seconds, 1),
                web_mb=round(resident_mb(web), 1),
                worker_mb=round(resident_mb(worker), 1),
                web_handles=len(of_web),
                worker_handles=len(of_worker),
                connections=self._connections([*of_web, *of_worker]),
                requests=len(reads) + len(writes),
                read_p50_ms=_rounded(reads, 0.5),
                read_p95_ms=_rounded(reads, 0.95),
                write_p50_ms=_rounded(writes, 0.5),
                write_p95_ms=_rounded(writes, 0.95),
                control_p50_ms=_rounded(controls, 0.5),
                control_p95_ms=_rounded(controls, 0.95),
                cpu_ms=web_cpu,
                worker_cpu_ms=worker_cpu,
                due=self._due(),
                wrong=sum(wrong.values()),
                load=round(os.getloadavg()[0], 1),
            )
        )

    def _connections(self, opened: Sequence[str]) -> int:
        if self.kind == "sqlite":
            file = self.url.removeprefix("sqlite:///")
            return sum(each == file for each in opened)
        database = Database(self.url, patience=COMMANDS)
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with database.read() as s:
            found = int(s.connection.execute(text(query)).scalar_one())
        database.close()
        return found

    def _due(self) -> int:
        told = requests.get(f"http://127.0.0.1:{self.web.port}/metrics", timeout=30).text
        return sum(int(float(line.split()[-1])) for line in told.splitlines() if line.startswith("scim_bridge_due{"))


def _milliseconds(seen: Sequence[Seen], kind: str) -> list[float]:
    return [took * 1000 for each in seen for took in getattr(each, kind)]


def _rounded(values: Sequence[float], share: float) -> float:
    return round(percentile(values, share), 2) if values else 0.0


@contextmanager
def soaked(kind: str, folder: Path, *, per_second: float, people: int, postgresql: str | None) -> Iterator[Soaked]:
    """Start a bridge, a worker and a simulated Ditio, with four companies whose people are delivered."""
    url = new_postgresql(postgresql, "soak") if postgresql is not None else f"sqlite:///{folder / 'soak.db'}"
    with ExitStack() as stack:
        ditio = stack.enter_context(
            running(f"ditio {kind}", ["tests.benchmarks.slow_ditio", str(CALL_MILLISECONDS)], folder)
        )
        settings = _settings(url, f"http://127.0.0.1:{ditio.port}")
        _prints(folder, settings, "db", "upgrade")
        tokens = {
            name: _prints(folder, settings, "token", "issue", "--name", "Entra", "--tenant", name).strip()
            for name in COMPANIES
        }
        serving = ["scim_bridge", "serve", "--bind", "127.0.0.1:0", "--without-worker"]
        web = stack.enter_context(running(f"web {kind}", serving, folder, settings))
        worker = stack.enter_context(running(f"worker {kind}", ["scim_bridge", "worker"], folder, settings))
        companies = [Company(name, tokens[name], 1 + number * APART) for number, name in enumerate(COMPANIES)]
        traffic = [Traffic(each, web.port, per_second) for each in companies]
        filling = [Thread(target=each.fill, args=(people,)) for each in traffic]
        for thread in filling:
            thread.start()
        for thread in filling:
            thread.join()
        yield Soaked(kind, url, web, worker, traffic, Control(web.port))


def _settings(url: str, ditio: str) -> Mapping[str, str]:
    common = {
        "DATABASE__URL": url,
        "DITIO__API_URL": f"{ditio}/core",
        "DITIO__IDENTITY_URL": ditio,
        "DELIVERY__MAX_ENDED_PER_HOUR": "1000000",  # Logins are switched off and on all the time.
        "LOG__LEVEL": "warning",
    }
    own = {
        f"TENANTS__{name.upper()}__DITIO__{setting}": value
        for name in COMPANIES
        for setting, value in (("CLIENT_ID", "sandbox"), ("CLIENT_SECRET", "sandbox-secret"))
    }
    return {f"SCIM_BRIDGE_{name}": value for name, value in {**common, **own}.items()}


def _prints(folder: Path, settings: Mapping[str, str], *words: str) -> str:
    done = run(folder, dict(settings), *words)
    if done.returncode:
        raise BridgeError(f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def soak_for(seconds: float, all_of_them: Sequence[Soaked]) -> None:
    """Let the traffic run, and take samples."""
    for each in all_of_them:
        each.start()
    began = time.monotonic()
    try:
        while (passed := time.monotonic() - began) < seconds:
            time.sleep(min(EVERY_SECONDS, max(0.1, seconds - passed)))
            for each in all_of_them:
                each.sample(time.monotonic() - began)
    finally:
        for each in all_of_them:
            each.stop()


@click.command("soak")
@click.option(
    "--minutes", type=click.FloatRange(0.05), default=3.0, show_default=True, help="How long the traffic runs."
)
@click.option("--database", type=click.Choice([*KINDS, "both"]), default="both", show_default=True)
@click.option(
    "--per-second",
    type=click.FloatRange(0.1, 100.0),
    default=ENTRAS_RATE,
    show_default=True,
    help="How many requests each company sends in a second.",
)
@click.option("--people", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Of each company.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write all samples there, as JSON.")
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Draw what an earlier run wrote to --output, too: of the other database, say.",
)
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Write a chart there, as SVG.")
def main(
    minutes: float,
    database: str,
    per_second: float,
    people: int,
    output: Path | None,
    beside: Sequence[Path],
    chart: Path | None,
) -> None:
    """Send Entra's traffic of four companies to a real `serve` and `worker`, and see whether anything grows.

    Ditio is simulated, with 50 ms for each call. Both databases are soaked at the same time, each by a bridge of its
    own. A figure that grows is reported, and is no error. On a busy machine look at the CPU time of a request, and
    compare its times with those of the control, which is a request that needs no database.

    \b
    Examples:
      python -m tests.benchmarks soak
      python -m tests.benchmarks soak --minutes 30 --per-second 5 --output soak.json --chart soak.svg
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    kinds = KINDS if database == "both" else (database,)
    circumstances = machine(load_before())
    with TemporaryDirectory(prefix="soak-") as temporary, ExitStack() as stack:
        postgresql = stack.enter_context(postgresql_server()) if "postgresql" in kinds else None
        found = []
        for kind in kinds:
            folder = Path(temporary) / kind
            folder.mkdir()
            server = postgresql if kind == "postgresql" else None
            found.append(
                stack.enter_context(soaked(kind, folder, per_second=per_second, people=people, postgresql=server))
            )
        soak_for(minutes * 60, found)
    title = f"{minutes:g} minutes, {len(COMPANIES)} companies, {per_second:g} requests a second each"
    if output is not None:
        output.write_text(json.dumps(_as_json(title, circumstances, found), indent=1), encoding="utf-8")
    if chart is not None:
        drawn = {kind: samples for each in beside for kind, samples in _earlier(each).items()}
        drawn |= {each.kind: each.samples for each in found}
        chart.write_text(svg(title, panels(drawn), "minutes"), encoding="utf-8")
    _print(title, circumstances, found)


def _as_json(title: str, circumstances: str, found: Sequence[Soaked]) -> dict[str, object]:
    of_each = {
        each.kind: {
            "wrong": dict(each.wrong),
            "verdicts": [asdict(verdict) for verdict in judged(each.samples)],
            "samples": [asdict(sample) for sample in each.samples],
        }
        for each in found
    }
    return {"soak": title, "machine": circumstances, "databases": of_each}


def _earlier(output: Path) -> dict[str, list[Sample]]:
    told = json.loads(output.read_text(encoding="utf-8"))["databases"]
    return {kind: [Sample(**each) for each in of_kind["samples"]] for kind, of_kind in told.items()}


def _print(title: str, circumstances: str, found: Sequence[Soaked]) -> None:
    console = Console(highlight=False)
    console.width = max(160, console.width)
    console.print(f"{title}. {circumstances}")
    for each in found:
        console.print(f"\n{each.kind}, minute by minute", style="bold cyan")
        rows = [[f"{getattr(minute, name):.4g}" for name in COLUMNS] for minute in by_minute(each.samples)]
        console.print(table(COLUMNS, rows))
        requests_sent = sum(sample.requests for sample in each.samples)
        console.print(f"{requests_sent:,} requests; answers that were wrong: {dict(each.wrong) or 'none'}")
        columns = ("what", "first third", "last third", "its control", "")
        console.print(table(columns, map(_verdict, judged(each.samples))))


def _verdict(found: Verdict) -> list[str]:
    control = "" if found.control is None else f"× {found.control:.2f}"
    return [found.figure, f"{found.first:.4g}", f"{found.last:.4g}", control, "flat" if found.is_flat else "grows"]
