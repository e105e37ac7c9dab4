"""The command line of the benchmarks."""

import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from scim_bridge.errors import BridgeError
from tests.benchmarks.bars import chart
from tests.benchmarks.bridge import THREADS
from tests.benchmarks.databases import KINDS
from tests.benchmarks.people import LARGEST
from tests.benchmarks.registry import BENCHMARKS
from tests.benchmarks.report import load_before, machine, print_json, print_tables
from tests.benchmarks.stage import Plan, Stage

USERS = (1_000, 100_000)
QUICK_USERS = (1_000,)
LISTED = "\n".join(f"  {name:<9} {benchmark.summary}" for name, benchmark in BENCHMARKS.items())


def _users(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as exc:
        raise click.BadParameter("write whole numbers with commas between them, as 1000,100000") from exc
    if not all(1 <= number <= LARGEST // 2 for number in numbers):
        raise click.BadParameter(f"write numbers from 1 to {LARGEST // 2:,}")
    return numbers


HELP = f"""Measure the budgets of the design: ratios within one run, and what limits them.

Without NAME all are measured. Every candidate is served by the same gunicorn, one
process of {THREADS} threads; they take turns, and each figure is the median of its rounds. A goal that is missed is
reported and is no error: the exit code is 0.

\b
Benchmarks:
{LISTED}

How long traffic of Entra's rate runs without anything growing: `python -m tests.benchmarks soak --help`.

\b
Examples:
  python -m tests.benchmarks
  python -m tests.benchmarks --quick
  python -m tests.benchmarks match --users 1000,100000 --database postgresql
  python -m tests.benchmarks cycle --people 10000 --database postgresql
  python -m tests.benchmarks create --connections 1 --requests 500 --format json > create.json
"""


@click.command(help=HELP)
@click.argument("names", metavar="[NAME]…", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--users", metavar="N,…", callback=_users, help="How many users are stored.  [default: 1000,100000]")
@click.option("--database", type=click.Choice([*KINDS, "both"]), default="both", show_default=True)
@click.option("--seconds", type=click.FloatRange(0.05), help="How long each round of a candidate is.  [default: 1.5]")
@click.option("--requests", type=click.IntRange(1), help="How many requests a round has, instead of --seconds.")
@click.option("--rounds", type=click.IntRange(1), help="How many rounds each candidate has.  [default: 7]")
@click.option("--connections", type=click.IntRange(1, 64), default=4, show_default=True, help="How many at once.")
@click.option(
    "--people",
    type=click.IntRange(10, LARGEST // 2),
    help="How many are delivered where Ditio is called.  [default: 1000]",
)
@click.option("--quick", is_flag=True, help="1,000 users and short rounds: to see that all works.")
@click.option("--format", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--chart", "chart_file", type=click.Path(path_type=Path, dir_okay=False), help="Also draw an SVG.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where a temporary folder is made for the databases: on the disk whose durable commits are to be measured, "
    "with 2 GB to spare.  [default: the system's]",
)
def main(
    names: Sequence[str],
    users: tuple[int, ...] | None,
    database: str,
    seconds: float | None,
    requests: int | None,
    rounds: int | None,
    connections: int,
    people: int | None,
    quick: bool,
    format: str,
    chart_file: Path | None,
    folder: Path | None,
) -> None:
    """Measure; see the help above."""
    if seconds is not None and requests is not None:
        raise click.UsageError("--seconds and --requests both say how long a round is: give one of them")
    if find_spec("scim2_flask") is None:
        raise click.ClickException("scim2-flask, which is compared with, is not installed: pip install -e '.[test]'")
    plan = Plan(
        users=users or (QUICK_USERS if quick else USERS),
        databases=KINDS if database == "both" else (database,),
        rounds=rounds or (3 if quick else 7),
        seconds=seconds or (0.5 if quick else 1.5),
        requests=requests,
        connections=connections,
        profile_seconds=1.0 if quick else 4.0,
        people=people or (60 if quick else 1_000),
    )
    # Whoever ends this ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    before = load_before()
    chosen = [each for name, each in BENCHMARKS.items() if not names or name in names]
    with TemporaryDirectory(prefix="benchmarks-", dir=folder) as temporary:
        try:
            with Stage(plan, Path(temporary)) as stage:
                results = [benchmark.measure(stage) for benchmark in chosen]
        except BridgeError as exc:
            raise click.ClickException(str(exc)) from exc
    (print_json if format == "json" else print_tables)(results, machine(before))
    if chart_file is not None:
        chart_file.write_text(chart(results, machine(before)), encoding="utf-8")
