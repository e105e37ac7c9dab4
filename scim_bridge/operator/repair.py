"""Approve the repair of a plan, whole or in part, and see how far a worker is with it; ask for a comparison."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import chain, groupby

from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.employee import Field
from scim_bridge.errors import BridgeError
from scim_bridge.operator.drift import MOST_RUNS, Differing, by_person
from scim_bridge.operator.waiting import is_paused, told_apart
from scim_bridge.plan.entra_side import SHOWN
from scim_bridge.plan.limits import CompanySize, Limits, limit_exceeded
from scim_bridge.reconcile.report import confirm_shown, find_plan, who
from scim_bridge.storage.asked import COMPARE, REPAIR, AskedRun
from scim_bridge.storage.database import Session
from scim_bridge.storage.runs import ProcessKind, Run, presences


class Effect(StrEnum):
    """What the repair of a row does, the gravest first."""

    ends = "ends"
    opens = "opens"
    creates = "creates"
    changes = "changes"
    certificates = "certificates"
    tries = "tries"


EFFECTS: Mapping[Kind, Effect] = {
    Kind.should_be_inactive: Effect.ends,
    Kind.left_without_notice: Effect.ends,
    Kind.should_be_active: Effect.opens,
    Kind.missing: Effect.creates,
    Kind.field: Effect.changes,
    Kind.cleared_in_entra: Effect.changes,
    Kind.certificate: Effect.certificates,
    Kind.stuck_delivery: Effect.tries,
}
"""The effect of each kind that can be repaired, unless it is about a certain field."""


def effect_of(row: Drift) -> Effect:
    """Return what the repair of a row does; the gravest that it may do."""
    if row.kind is Kind.cleared_in_entra and row.field == Field.end_date:
        return Effect.opens  # Who has left by that date is at work again without it (rule L4).
    if row.kind is Kind.cleared_in_entra and row.field not in set(Field):
        return Effect.certificates
    return EFFECTS[row.kind]


AT_ONCE = 500
"""How many rows are looked for in one statement."""

PAUSED = "Deliveries are paused, so nothing can be repaired: resume them first."
GOES_ON = "A repair of this company goes on already: wait until it has ended, or stop it."
NOTHING = "Nothing of this can be repaired any more: go back to the plan."
CHANGED = "What can be repaired is not what you saw, because some of it was repaired since: go back to the plan."
GUARDED = "A guard stops this repair: read the plan, and confirm that it is right."

WHY_NOT = (PAUSED, GOES_ON, NOTHING, CHANGED, GUARDED)
"""Why a repair was not approved."""


class NotApproved(BridgeError):
    """A repair can't be approved; nothing was stored. Its words are one of `WHY_NOT`."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a plan an administrator wants repaired."""

    people: Collection[int] | None = None
    """The position of any row of each person; None for all people."""

    kind: Kind | None = None
    """Only rows of this kind; None for all."""

    def of(self, rows: Sequence[Drift]) -> Iterable[Drift]:
        """Return which rows of one person are wanted."""
        if self.people is not None and not any(row.position in self.people for row in rows):
            return ()
        return (row for row in rows if self.kind in (None, row.kind))


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a plan would be repaired."""

    plan: Run
    rows: Sequence[Drift]
    """Grouped by person; without those that were repaired, or approved already."""

    stopped: str | None
    """Why a guard stops it: figure and limit. What was repaired or tried of the plan before counts too."""

    confirms: bool
    """Whether there is nothing to repair, and only what Ditio or Entra showed can be confirmed."""

    others: int
    """How many rows of other plans were repaired within a day: the guard measures each plan alone."""

    @property
    def seen(self) -> str:
        """A text that tells these rows from any others."""
        return told_apart(str(row.position) for row in self.rows)

    def people_by_effect(self) -> Mapping[Effect, Sequence[Sequence[Drift]]]:
        """Return the rows of each person, by effect; the gravest effect first."""
        found: dict[Effect, list[list[Drift]]] = {effect: [] for effect in Effect}
        for _, some in groupby(self.rows, key=who):
            rows = list(some)
            for effect in dict.fromkeys(map(effect_of, rows)):
                found[effect].append([row for row in rows if effect_of(row) is effect])
        return {effect: people for effect, people in found.items() if people}


def choice(s: Session, plan: str, selection: Selection, limits: Limits) -> Choice:
    """Return what of a plan can be repaired, of what is wanted.

    :raises NotFound: there is no such plan, or it has no rows.
    """
    run = find_plan(s, plan)
    items = s.plan(run.id)
    outcomes, approved = items.outcomes(), items.approved()
    chosen: list[Drift] = []
    for _, some in groupby(items.all() if selection.people is None else items.of_people(selection.people), key=who):
        chosen += [row for row in selection.of(list(some)) if _is_left(row, outcomes, approved)]
    # A worker may go on with what did not settle, such as after Ditio was down. Each row counts once.
    known = {row.position for row in chosen}
    tried = [place for place, why in outcomes.items() if why is not None and place not in known]
    earlier = chain.from_iterable(items.of(tried[at : at + AT_ONCE]) for at in range(0, len(tried), AT_ONCE))
    stopped = _stopped(run, chain(items.repaired(), earlier, chosen), limits)
    confirms = not chosen and selection == Selection() and may_be_confirmed(s, run)
    return Choice(run, chosen, stopped, confirms, _repaired_of_others(s, run))


def _repaired_of_others(s: Session, plan: Run) -> int:
    since = s.now - timedelta(days=1)
    recent = (run for run in s.runs.latest(MOST_RUNS) if run.started_at > since)
    return sum(run.applied for run in recent if run.plan_id != plan.id)


def may_be_confirmed(s: Session, run: Run) -> bool:
    """Return whether a run was stopped by how little Ditio or Entra showed, and no later one tells more."""
    is_about_ditio = not run.is_believed and run.shown is not None
    last = s.runs.last(compared=True)
    is_last = last is not None and last.id == run.id
    return is_last and run.stopped is not None and (is_about_ditio or SHOWN in run.stopped)


def _is_left(row: Drift, outcomes: Mapping[int, str | None], approved: Collection[int]) -> bool:
    place = row.position or 0
    can_be = row.may_be_repaired(reviewed=True) and place not in approved
    return can_be and outcomes.get(place, "") is not None


def _stopped(run: Run, rows: Iterable[Drift], limits: Limits) -> str | None:
    company = CompanySize(run.shown or 0, run.linked, run.at_work)
    return run.stopped or limit_exceeded(rows, company, limits, reviewed=True)


def named(s: Session, people: Sequence[Sequence[Drift]]) -> list[Differing]:
    """Return people with their names, for a page. :param people: The rows of each."""
    return by_person(s, list(chain.from_iterable(people)))


def approve(
    s: Session,
    author: Author,
    plan: str,
    selection: Selection,
    limits: Limits,
    *,
    seen: str,
    force: bool,
    paused_by_setting: bool,
    why: str,
) -> int:
    """Store that rows of a plan are to be repaired; a worker begins within seconds. Return how many rows.

    Without any, what Ditio or Entra showed may be confirmed: later runs are measured by it.

    :param seen: `Choice.seen` of the rows that the administrator saw: no other row is approved by mistake.
    :param force: Whether they confirmed it although a guard stops it.
    :raises NotApproved: it can't be; nothing was stored.
    :raises NotFound: there is no such plan, or it has no rows.
    """
    if is_paused(s, by_setting=paused_by_setting):
        raise NotApproved(PAUSED)
    # Of two who approve at once, the second one sees what the first one approved.
    s.asked.serialise()
    found = choice(s, plan, selection, limits)
    run = found.plan
    if repair_of(s) is not None:
        raise NotApproved(GOES_ON)
    if not found.rows and not found.confirms:
        raise NotApproved(NOTHING)
    if found.seen != seen:
        raise NotApproved(CHANGED)
    if found.stopped is not None:
        if not force:
            raise NotApproved(GUARDED)
        confirm_shown(s, run)  # As by `--force`.
    if found.rows:
        s.asked.ask(f"{REPAIR}{run.id}", author.actor.id or "")
        s.plan(run.id).approve([row.position or 0 for row in found.rows])
    # Before anything is sent: the audit trail has it even if no worker ever comes.
    s.audit.add(AuditEvent(Action.applied, "plan", run.id, detail=why), author)
    return len(found.rows)


def stop_repair(s: Session, author: Author, plan: str, *, why: str) -> int:
    """Withdraw the approval of all rows that the repair has not come to yet. Return how many rows.

    :raises NotFound: there is no such plan, or it has no rows.
    """
    run = find_plan(s, plan)
    withdrawn = s.plan(run.id).withdraw()
    s.asked.withdraw(f"{REPAIR}{run.id}")
    if withdrawn:
        s.audit.add(AuditEvent(Action.dropped, "plan", run.id, detail=why), author)
    return withdrawn


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the repair of a plan is."""

    asked: AskedRun | None
    """The repair; None: none was approved, or it has ended."""

    done: int
    """Approved rows that have an outcome."""

    left: int
    """Approved rows without one."""

    has_worker: bool
    """Whether any worker runs, to do it."""


def progress_of(s: Session, plan_id: str) -> Progress:
    """Return how far the repair of a plan is; only reads. :param plan_id: Its whole id."""
    done, left = s.plan(plan_id).progress()
    return Progress(s.asked.get(f"{REPAIR}{plan_id}"), done, left, has_worker(s))


def repair_of(s: Session) -> AskedRun | None:
    """Return the approved repair of a company that has not ended, if there is one."""
    return next((each for each in s.asked.all() if each.plan_id is not None), None)


def has_worker(s: Session) -> bool:
    """Return whether any worker runs, to do what was asked for."""
    return presences(s)[ProcessKind.worker].alive > 0


def ask_to_compare(s: Session, author: Author) -> None:
    """Ask for a run that compares all people now; a worker begins it within seconds. It changes nothing."""
    s.asked.ask(COMPARE, author.actor.id or "")


def comparison(s: Session) -> AskedRun | None:
    """Return the run that was asked for and has not ended, if there is one."""
    return s.asked.get(COMPARE)
