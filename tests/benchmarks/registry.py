"""Which benchmarks there are. Another one: a file beside `match.py`, and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.benchmarks.change import change
from tests.benchmarks.compared import reconcile
from tests.benchmarks.create import create
from tests.benchmarks.cycle import cycle, inline
from tests.benchmarks.leases import leases
from tests.benchmarks.match import by_id, match
from tests.benchmarks.memory import memory
from tests.benchmarks.pages import pages
from tests.benchmarks.results import Result
from tests.benchmarks.stage import Stage


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark by the name that the command line knows."""

    summary: str
    """One line of `--help`."""

    measure: Callable[[Stage], Result]


BENCHMARKS: Mapping[str, Benchmark] = {
    "match": Benchmark("the match query `userName eq`, beside a bare Flask route and scim2-flask", match),
    "by-id": Benchmark("`GET /Users/{id}`, beside a bare Flask route and scim2-flask", by_id),
    "pages": Benchmark("the pages of the console, in process", pages),
    "create": Benchmark("the durable create, delivery queued, beside scim2-flask in memory", create),
    "patch": Benchmark("the durable `PATCH active`, delivery queued, beside scim2-flask in memory", change),
    "memory": Benchmark("what a web process is resident with, once it is warm and after 100,000 requests", memory),
    "leases": Benchmark("how fast workers take people and give them back, and what a large company costs", leases),
    "inline": Benchmark("what a delivery while the request waits adds to Ditio's own 50 ms a call", inline),
    "cycle": Benchmark("an initial cycle with Ditio at 50 ms a call, beside the ceiling of the concurrency", cycle),
    "reconcile": Benchmark("everybody read and compared, in sync and with 1 % edited: own time and memory", reconcile),
}
"""In the order in which they run: what writes comes after what only reads."""
