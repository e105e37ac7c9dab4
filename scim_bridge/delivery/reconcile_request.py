"""What a run of `reconcile` is asked for, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass, field

from scim_bridge.domain.audit import BY_SCHEDULE, Author
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.errors import WrongUsage
from scim_bridge.storage.runs import Run

IN_SYNC, FAILED, DRIFT, STOPPED = 0, 1, 2, 3
"""How a run ends (design, section 5)."""

Progress = Callable[[str, int, int | None], None]
"""Told what is done now, how many are done, and of how many, where that is known."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked for."""

    apply: bool = False
    plan_id: str | None = None
    """A plan that somebody has read: it is repaired as it is, and nothing is read."""

    force: bool = False
    only: Kind | None = None
    person: str | None = None
    """An employee number or a user name."""

    author: Author = BY_SCHEDULE
    """Who asks, for the audit trail."""

    def check(self) -> None:
        """:raises WrongUsage: the options do not go together."""
        if self.plan_id is not None and not self.apply:
            raise WrongUsage("--plan names a plan to repair: write --apply with it")
        if self.force and self.plan_id is None:
            raise WrongUsage("--force is for a plan that you have read: write --plan ID with it")
        if self.plan_id is not None and (self.only is not None or self.person is not None):
            raise WrongUsage("a plan is repaired as it is: leave out --only and --person")


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. Its rows are read from the database as they are needed."""

    run: Run
    """The run that made the plan."""

    exit: int
    applied: int
    stopped: str | None
    """Why a guard stopped it: figure and limit."""

    outcomes: dict[int, str | None] = field(default_factory=dict)
    """What became of the rows that were to be repaired."""

    earlier: frozenset[int] = frozenset()
    """Rows of the plan that an earlier run repaired: they are no news, and the run's figures are without them."""

    def tells(self, item: Drift) -> bool:
        """Whether a row of the plan belongs into this report."""
        return item.position not in self.earlier
