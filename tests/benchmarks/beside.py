"""The bridge beside a bare Flask route and scim2-flask in memory: one kind of request, one series."""

from collections.abc import Callable
from dataclasses import dataclass

from scim_bridge.errors import BridgeError
from tests.benchmarks.load import Connection, Source
from tests.benchmarks.results import Breakdown, Goal, Measured
from tests.benchmarks.series import Candidate, run_series
from tests.benchmarks.stage import Stage

BRIDGE = "bridge"
BARE = "bare Flask route"
IN_MEMORY = "scim2-flask in memory"

BUSY = 0.85
"""From here on the web process counts as never waiting."""

CLIENT_BUSY = 0.7
"""From here on the client may be what limits: its figures are not to be believed."""


@dataclass(frozen=True)
class Beside:
    """A series that was measured."""

    name: str
    bare: Candidate
    in_memory: dict[int, Candidate]
    bridges: dict[tuple[str, int], Candidate]

    def measured(self) -> list[Measured]:
        """All candidates."""
        return [each.measured() for each in (self.bare, *self.in_memory.values(), *self.bridges.values())]

    def goals(self, what: str, wanted: float, limits: dict[tuple[str, int], str], *, to_bare: bool) -> list[Goal]:
        """The bridge as a multiple of the bare route, or of scim2-flask with as many users."""
        found = []
        for (kind, users), candidate in self.bridges.items():
            other = self.bare if to_bare else self.in_memory[users]
            ratio, by_cpu = candidate.compared_to(other), candidate.cpu_compared_to(other)
            found.append(Goal(what, users, kind, ratio, wanted, True, by_cpu, limits[kind, users]))
        return found

    def flatness(self, wanted: float, limits: dict[tuple[str, int], str]) -> list[Goal]:
        """The cost of a request with the most users, as a multiple of that with the fewest."""
        sizes = sorted({users for _, users in self.bridges})
        if len(sizes) < 2:
            return []
        few, many = sizes[0], sizes[-1]
        what = f"{self.name}: cost with {many:,} ÷ with {few:,} users"
        found = []
        for kind in dict.fromkeys(kind for kind, _ in self.bridges):
            cheap, dear = self.bridges[kind, few], self.bridges[kind, many]
            ratio, by_cpu = cheap.compared_to(dear), cheap.cpu_compared_to(dear)
            found.append(Goal(what, many, kind, ratio, wanted, False, by_cpu, limits[kind, many]))
        return found


def measure_beside(
    stage: Stage,
    name: str,
    *,
    source: Callable[[str | None, int], Source],
    status: int,
    sample: bytes | None = None,
    others_status: int | None = None,
) -> Beside:
    """Start whatever is missing, and measure all in one series.

    :param source: Makes the requests for a bridge on this kind of database with so many users; None for scim2-flask.
    :param sample: A request to the bridge, whose answer's bytes are the bare route's; by default one of the source's.
    :param status: What each answer has to be.
    :param others_status: What each of scim2-flask's has to be, if it is another.
    """
    stage.prepare()
    servers = {(kind, users): stage.bridge(kind, users) for users in stage.plan.users for kind in stage.plan.databases}
    connection = Connection(next(iter(servers.values())).port)
    answer = connection.exchange(sample or source(stage.plan.databases[0], stage.plan.users[0])())
    connection.close()
    if answer.status != status:
        raise BridgeError(f"{name}: the bridge answers {answer.status}: {answer.body[:500].decode()}")
    most = max(stage.plan.users)
    bare = Candidate(BARE, None, None, stage.bare_route(name, answer), source(None, most), status)
    in_memory = {
        users: Candidate(IN_MEMORY, users, None, stage.scim2_flask(users), source(None, users), others_status or status)
        for users in stage.plan.users
    }
    bridges = {
        (kind, users): Candidate(BRIDGE, users, kind, server, source(kind, users), status)
        for (kind, users), server in servers.items()
    }
    run_series(stage, name, [bare, *in_memory.values(), *bridges.values()])
    return Beside(name, bare, in_memory, bridges)


def limits_of(series: Beside, found: dict[tuple[str, int], Breakdown]) -> dict[tuple[str, int], str]:
    """What sets each figure of the bridge, in a sentence."""
    sentences = {}
    for (kind, users), candidate in series.bridges.items():
        breakdown = next(each for each in found.values() if each.database == kind)
        sentences[kind, users] = limit(candidate.measured(), breakdown, series.bare.measured())
    return sentences


def limit(ours: Measured, breakdown: Breakdown, bare: Measured) -> str:
    """What sets a figure: the processor or waiting, and the parts that cost most."""
    dearest = sorted(breakdown.steps, key=lambda step: -step.share)[:3]
    listed = ", ".join(f"{step.name} {step.share:.0%}" for step in dearest)
    if ours.client_busy >= CLIENT_BUSY:
        return f"the client was busy {ours.client_busy:.0%}: give it more room before you believe this"
    if ours.server_busy is None or ours.server_cpu_ms is None or bare.server_cpu_ms is None:
        return f"{breakdown.milliseconds:.2f} ms in process, of it {listed}"
    cpu = f"{ours.server_cpu_ms:.2f} ms of CPU a request (bare route {bare.server_cpu_ms:.2f})"
    if ours.server_busy >= BUSY:
        return f"Python: the web process is busy {ours.server_busy:.0%} of the time, {cpu}. In process: {listed}"
    return (
        f"waiting, for the disk, the database or a processor: the web process is busy only {ours.server_busy:.0%} "
        f"of the time, {cpu}. In process: {listed}"
    )
