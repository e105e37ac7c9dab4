"""What a benchmark hands back: plain values, which become tables or JSON."""

from dataclasses import dataclass, field

from tests.benchmarks.figures import Ratio


@dataclass(frozen=True, slots=True)
class Measured:
    """One candidate in one series: medians of its rounds."""

    candidate: str
    users: int | None
    """How many were stored when the series began; None where none are stored."""

    database: str | None
    per_second: float
    p50_ms: float
    p95_ms: float
    requests: int
    server_cpu_ms: float | None
    """CPU time of the web process for each request; None where the system does not tell."""

    server_busy: float | None
    """The share of the time in which the web process kept its one core busy, 0.0–1.0."""

    client_busy: float
    """Likewise for the client: near 1.0 it would be the client that was measured."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A budget of the design, section 11, and what was found."""

    what: str
    """Ratio of what to what."""

    users: int | None
    database: str | None
    found: Ratio
    wanted: float
    at_least: bool
    """Whether more is better; otherwise `wanted` is the most."""

    by_cpu: float | None
    """The same ratio by CPU time of the web process, which other programs hardly disturb; it leaves out waiting, and
    what PostgreSQL does. None where the system does not tell."""

    limit: str
    """What sets the figure: a sentence."""

    @property
    def is_met(self) -> bool:
        """Whether the median keeps the budget."""
        return self.found.median >= self.wanted if self.at_least else self.found.median <= self.wanted


@dataclass(frozen=True, slots=True)
class Step:
    """A part of one request."""

    name: str
    share: float
    milliseconds: float
    mostly: str
    """Whose code ran, the two most frequent."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the time of one request goes, in process: without sockets, gunicorn and other requests."""

    users: int
    database: str
    milliseconds: float
    """One whole request, measured without the sampling."""

    cpu_ms: float
    """How much of it the processor worked here; the rest is waiting."""

    statements: int
    """SQL statements of one request."""

    transactions: int
    samples: int
    steps: tuple[Step, ...]
    code: tuple[tuple[str, float], ...]
    """Shares by whose code ran, largest first."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one benchmark found."""

    benchmark: str
    measured: list[Measured] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    breakdowns: list[Breakdown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
