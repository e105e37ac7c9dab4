"""A series: all candidates take turns, round by round, so that what disturbs the machine hits all alike."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.figures import Ratio, alternating, ratio
from tests.benchmarks.load import Burst, Source, burst
from tests.benchmarks.results import Measured
from tests.benchmarks.servers import RunningServer
from tests.benchmarks.stage import Stage

WARM_UP_SECONDS = 0.5
"""What each candidate does before anything counts: pools fill, caches warm, an index is built."""


@dataclass
class Candidate:
    """One server with one kind of request."""

    name: str
    users: int | None
    database: str | None
    server: RunningServer
    source: Source
    status: int
    rounds: list[Burst] = field(default_factory=list)

    def compared_to(self, other: "Candidate") -> Ratio:
        """Requests a second, as a multiple of the other's."""
        return ratio([each.per_second for each in self.rounds], [each.per_second for each in other.rounds])

    def cpu_compared_to(self, other: "Candidate") -> float | None:
        """The other's CPU time for a request as a multiple of this one's: more is better, as with requests a second."""
        ours, others = self.measured().server_cpu_ms, other.measured().server_cpu_ms
        return others / ours if ours and others else None

    def measured(self) -> Measured:
        """The medians of its rounds."""
        busy = [_busy(each) for each in self.rounds]
        cpu = [each.server_cpu_seconds / each.requests * 1000 for each in self.rounds if each.server_cpu_seconds]
        known = [each for each in busy if each is not None]
        return Measured(
            candidate=self.name,
            users=self.users,
            database=self.database,
            per_second=median(each.per_second for each in self.rounds),
            p50_ms=median(each.p50_ms for each in self.rounds),
            p95_ms=median(each.p95_ms for each in self.rounds),
            requests=sum(each.requests for each in self.rounds),
            server_cpu_ms=median(cpu) if cpu else None,
            server_busy=median(known) if known else None,
            client_busy=median(each.client_cpu_seconds / each.seconds for each in self.rounds),
        )


def run_series(stage: Stage, name: str, candidates: Sequence[Candidate]) -> None:
    """Measure all candidates, interleaved; each keeps its rounds."""
    plan = stage.plan
    with stage.bar(f"Measuring {name}", len(candidates) * (plan.rounds + 1)) as advance:
        for candidate in candidates:
            _burst(stage, candidate, WARM_UP_SECONDS, None)
            advance(1)
        for order in alternating(len(candidates), plan.rounds):
            for place in order:
                found = _burst(stage, candidates[place], plan.seconds, plan.requests)
                candidates[place].rounds.append(found)
                advance(1)


def _burst(stage: Stage, candidate: Candidate, seconds: float, requests: int | None) -> Burst:
    return burst(
        candidate.server.port,
        candidate.source,
        candidate.status,
        connections=stage.plan.connections,
        seconds=seconds,
        requests=requests,
        server_cpu=candidate.server.cpu_seconds,
    )


def _busy(found: Burst) -> float | None:
    return None if found.server_cpu_seconds is None else found.server_cpu_seconds / found.seconds
