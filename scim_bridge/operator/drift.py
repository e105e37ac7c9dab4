"""Runs of `reconcile`, the schedule of the next ones, and a stored plan as an operator reads it: person by person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.person import PersonId
from scim_bridge.operator.commands import of_tenant
from scim_bridge.reconcile.report import IN_SYNC, Report, find_plan, who
from scim_bridge.scim.reading import name_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.runs import RECONCILE, Run

ROWS = 200
"""How many rows of a plan one page has."""


def apply_command(plan: str, tenant: str, *, force: bool = False) -> str:
    """Return the command that repairs a plan. :param force: Although a guard stopped it."""
    return f"scim-bridge reconcile --apply --plan {plan}{' --force' if force else ''}{of_tenant(tenant)}"


def report_of(s: Session, plan: str) -> Report:
    """Return a stored plan, and what became of its rows. :param plan: Its id, or enough of its beginning.

    :raises NotFound: there is no such plan, or it has no rows to show.
    """
    run = find_plan(s, plan)
    outcomes = s.plan(run.id).outcomes()
    applied = sum(skipped is None for skipped in outcomes.values())
    # Where rows have outcomes, an operator repaired the plan although a guard had stopped it.
    return Report(run, IN_SYNC, applied, None if outcomes else run.stopped, outcomes)


@dataclass(frozen=True, slots=True)
class Differing:
    """What differs about one person, or about an employee who is no user."""

    person_id: PersonId | None
    user_name: str | None
    name: str | None
    employee_number: str | None
    rows: Sequence[Drift]


@dataclass(frozen=True, slots=True)
class PlanPage:
    """A part of a plan."""

    people: Sequence[Differing]
    next_skip: int | None
    """How many rows stand before the next part; None for the last part."""

    outcomes: Mapping[int, str | None]
    """By position, why a row of this part was skipped; None: it was repaired."""

    approved: frozenset[int]
    """The positions of rows of this part that are approved, and wait for their repair."""

    left: int
    """How many rows of the whole plan can still be repaired."""

    repaired: int
    skipped: int
    """How many rows of the whole plan were repaired, and skipped."""


def plan_page(s: Session, plan_id: str, kind: Kind | None, *, skip: int) -> PlanPage:
    """Return a part of a plan, by person. :param kind: Only rows of this kind. :param skip: Rows that come before."""
    plan = s.plan(plan_id)
    rows = plan.page(kind, skip=skip, limit=ROWS + 1)
    shown = rows[:ROWS]
    places = [row.position for row in shown if row.position is not None]
    repaired, skipped = plan.count_outcomes()
    return PlanPage(
        people=by_person(s, shown),
        next_skip=skip + ROWS if len(rows) > ROWS else None,
        outcomes=plan.outcomes_of(places),
        approved=plan.is_approved(places),
        left=plan.count_left(),
        repaired=repaired,
        skipped=skipped,
    )


def by_person(s: Session, rows: Sequence[Drift]) -> list[Differing]:
    """Return rows by person, with names. :param rows: Grouped by person."""
    names = _names(s, rows)
    return [_differing(list(some), names) for _, some in groupby(rows, key=who)]


def _names(s: Session, rows: Sequence[Drift]) -> Mapping[PersonId, str | None]:
    ids = dict.fromkeys(row.person_id for row in rows if row.person_id is not None)
    return {
        each.id: name_of(each.document) if each.document is not None else each.acknowledged_name
        for each in s.directory.of(list(ids))
    }


def _differing(rows: Sequence[Drift], names: Mapping[PersonId, str | None]) -> Differing:
    first = rows[0]
    # A person who was forgotten since has no page.
    person_id = first.person_id if first.person_id in names else None
    name = names[person_id] if person_id is not None else None
    return Differing(person_id, first.user_name, name, first.employee_number, rows)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When all people are compared without a command."""

    every: timedelta | None
    """From start to start; None: never."""

    begun_at: datetime | None
    is_running: bool

    @property
    def next_at(self) -> datetime | None:
        """When the next run is due; None if that is now, or never."""
        return None if self.every is None or self.begun_at is None else self.begun_at + self.every


def schedule(s: Session, every_seconds: float) -> Schedule:
    """Return the schedule. :param every_seconds: The setting `RECONCILE__EVERY`."""
    begun_at, is_running = s.schedules.begun(RECONCILE)
    return Schedule(timedelta(seconds=every_seconds) if every_seconds else None, begun_at, is_running)


MOST_RUNS = 50


def runs(s: Session) -> Sequence[Run]:
    """Return the last runs, the newest first."""
    return s.runs.latest(MOST_RUNS)
