"""The request for a run of `reconcile`, its report, and a plan in words."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from scim_bridge.domain.audit import BY_SCHEDULE, Author
from scim_bridge.domain.drift import LOGIN, OF_ENTRA, Drift, Kind
from scim_bridge.domain.employee import Field, Value
from scim_bridge.errors import NotFound, WrongUsage
from scim_bridge.plan.entra_side import SHOWN
from scim_bridge.storage.database import Session
from scim_bridge.storage.runs import Run

IN_SYNC, FAILED, DRIFT, STOPPED = 0, 1, 2, 3
"""The exit codes of a run."""

Progress = Callable[[str, int, int | None], None]
"""Called with what is done now, how many are done, and of how many; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked to do."""

    apply: bool = False
    plan_id: str | None = None
    """A plan that an operator has read. It is repaired as it is, and the roster is not read."""

    force: bool = False
    approved: bool = False
    """Whether only the rows of the plan are repaired that an administrator approved in the console. What a guard says
    was decided, and told to the audit trail, with the approval."""

    only: Kind | None = None
    person: str | None = None
    """An employee number or a user name."""

    author: Author = BY_SCHEDULE
    """Who asks, for the audit trail."""

    with_entra: bool = False
    """Whether Entra is read too, and the SCIM users are compared with it."""

    def check(self) -> None:
        """Check that the options go together.

        :raises WrongUsage: they do not.
        """
        if self.plan_id is not None and not self.apply:
            raise WrongUsage("`--plan` names a plan to repair: add `--apply`")
        if self.force and self.plan_id is None:
            raise WrongUsage("`--force` is for a plan that you have read: add `--plan ID`")
        if self.approved and self.plan_id is None:
            raise WrongUsage("`--approved` is for a plan that was approved in the console: add `--plan ID`")
        if self.plan_id is not None and (self.only is not None or self.person is not None):
            raise WrongUsage("`--plan` repairs a plan as it is: leave out `--only` and `--person`")
        if self.only in OF_ENTRA and not self.with_entra:
            raise WrongUsage(f"`--only {self.only}` compares with Entra: add `--with-entra`")


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
    """By position, why a row that was to be repaired was skipped; None: it was repaired."""

    notes: tuple[str, ...] = ()
    """What of Entra's side was left out, and why; and how much does not count yet."""

    earlier: frozenset[int] = frozenset()
    """Positions of rows that an earlier run repaired: the report and its figures leave them out."""

    def tells(self, item: Drift) -> bool:
        """Return whether a row of the plan belongs in this report."""
        return item.position not in self.earlier


MOST_UNMANAGED = 20
"""How many employees that no user claims are listed; there may be thousands."""

MARKS: Mapping[Kind, str] = {
    Kind.should_be_inactive: "-",
    Kind.should_be_active: "+",
    Kind.missing: "+",
    Kind.field: "~",
    Kind.certificate: "~",
    Kind.left_without_notice: "-",
    Kind.cleared_in_entra: "~",
}
"""The mark before a row; a row that is only listed has a dot."""

CAUSES = {
    "edited-in-ditio": "edited in Ditio",
    "differed-when-linked": "differed when linked",
    "never-delivered": "never delivered",
    "mapping-changed": "the mapping changed",
    "created-outside": "created outside",
    "duplicate-identity": "may be one person twice",
    "renumbered": "renumbered in Ditio",
    "unassigned": "unassigned in Entra",
    "disabled-in-entra": "disabled in Entra",
    "deleted-in-entra": "deleted in Entra",
    "out-of-scope": "left out by the scoping filter",
    "job-not-running": "provisioning does not run",
    "entra-guard": "held by Entra's limit of deletions",
    "entra-sends-no-nulls": "Entra sends no cleared value",
    "lost-change": "Entra did not send the change",
    "mapping-differs": "many people differ: the mapping changed",
    "nested-group": "only in a group inside an assigned group",
    "filter": "left out by the scoping filter",
    "no-matching-value": "nothing to match by",
    "in-escrow": "refused, and tried again by Entra",
    "never-seen": "Entra sent nothing",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its mark; a heading has none."""

    text: str
    mark: str | None = None


def lines(items: Iterable[Drift], outcomes: Mapping[int, str | None] | None = None) -> Iterator[Line]:
    """Yield the rows of a plan as lines, in their order.

    :param outcomes: By position, why a row was skipped; None: it was repaired.
    """
    outcomes = outcomes or {}
    unmanaged = 0
    for _, group in groupby(items, key=who):
        rows = list(group)
        if all(row.kind is Kind.unmanaged and row.person_id is None for row in rows):
            unmanaged += len(rows)
            if unmanaged > MOST_UNMANAGED:
                continue
        yield Line(heading(rows[0]))
        for row in rows:
            yield Line(f"{what(row)}  ({_why(row, outcomes)})", mark_of(row))
    if unmanaged > MOST_UNMANAGED:
        more = unmanaged - MOST_UNMANAGED
        yield Line(f"… and {more} more employees that no SCIM user claims (`--format csv` lists all)")


def mark_of(row: Drift) -> str:
    return "·" if row.listed is not None else MARKS.get(row.kind, "!")


def what(row: Drift) -> str:
    """Return one difference in words."""
    match row.kind:
        case Kind.should_be_inactive if row.field == LOGIN:
            return "the login is open and should be closed"
        case Kind.should_be_inactive:
            return f"the employment runs and should end on {shown(row.wanted)}"
        case Kind.should_be_active if row.field == LOGIN:
            return "the login is closed and should be open"
        case Kind.should_be_active:
            return f"no employment runs; a new one should start on {shown(row.wanted)}"
        case Kind.missing if row.acknowledged is not None:
            return "the employee was delivered earlier and is no longer in Ditio"
        case Kind.missing:
            return "the employee is not in Ditio yet"
        case Kind.stuck_delivery:
            return "the delivery is stuck"
        case Kind.renumbered if row.found is None:
            return f"another employee has the number {shown(row.wanted)} in Ditio"
        case Kind.renumbered:
            return f"the employee has the number {shown(row.found)} now"
        case Kind.duplicate_identity if row.field == Field.employee_number:
            return f"employee {shown(row.found)} has a number that differs only in case or leading zeros"
        case Kind.duplicate_identity:
            return f"employee {shown(row.found)} has the same {row.field}"
        case Kind.certificate if row.wanted is None:
            return f"certificate {row.field} is withdrawn, but Ditio has {shown(row.acknowledged)}"
        case Kind.certificate:
            return f"certificate {row.field}: wanted {shown(row.wanted)}, Ditio last accepted {shown(row.acknowledged)}"
        case Kind.unmanaged:
            return "no person is linked to this employee"
        case Kind.left_without_notice:
            return f"Entra shows this user as {row.wanted or 'gone'}, and never said so: the user is active here"
        case Kind.cleared_in_entra:
            return f"{row.field} is {shown(row.found)} here, and was cleared in Entra"
        case Kind.differs_from_entra:
            return f"{row.field} is {shown(row.found)} here, and {_in_entra(row)} in Entra"
        case Kind.not_sent:
            return "Entra should provision this user, and never sent them"
        case Kind.returned:
            return "Entra has this user assigned and enabled, and the user is inactive here"
    return f"{row.field} is {shown(row.found)}, wanted {shown(row.wanted)}"


def _in_entra(row: Drift) -> str:
    return shown(row.wanted) if row.wanted is not None else "another value"


def summary(people: int, in_sync: int, by_kind: Mapping[str, int], new: int) -> str:
    """Return the figures in one sentence."""
    noun = "person" if people == 1 else "people"
    if not by_kind:
        # People who are not in sync differ in a kind that `--only` left out.
        return f"{in_sync} of {people} {noun} in sync; nothing {'' if in_sync == people else 'of this kind '}differs."
    kinds = ", ".join(f"{count} {kind}" for kind, count in by_kind.items())
    return f"{in_sync} of {people} {noun} in sync; {kinds}; {new} new since the last run."


def repaired_earlier(count: int, *, is_all: bool) -> str:
    """Return the sentence that replaces the rows of a plan that earlier runs have repaired."""
    rows = f"{count} row" if count == 1 else f"{count} rows"
    if is_all:
        return f"All that this plan shows was repaired by earlier runs: {rows}."
    verb = "was repaired by an earlier run, and is" if count == 1 else "were repaired by an earlier run, and are"
    return f"{rows} of this plan {verb} left out."


def shown(value: Value | None) -> str:
    """Return a value as text, at most 80 characters of it; "nothing" for None."""
    if value is None:
        return "nothing"
    text = str(value)
    text = text if len(text) <= 80 else f"{text[:80]}…"
    return f'"{text}"' if isinstance(value, str) else text


def who(row: Drift) -> str:
    """Return a key of the person or employee that a row is about: rows of one person follow each other."""
    return row.person_id or f"employee {row.employee_number}"


def heading(row: Drift) -> str:
    """Return the heading of the rows of one person or employee."""
    if row.user_name is not None:
        return f"{row.user_name}, employee {row.employee_number}" if row.employee_number else row.user_name
    who = "a deleted user, " if row.person_id is not None else ""
    return f"{who}employee {row.employee_number}"


def _why(row: Drift, outcomes: Mapping[int, str | None]) -> str:
    cause = CAUSES.get(row.cause.value, row.cause.value)
    if row.position is not None and row.position in outcomes:
        skipped = outcomes[row.position]
        return f"{cause}; repaired" if skipped is None else f"{cause}; skipped: {skipped}"
    return f"{cause}; only listed: {row.listed}" if row.listed else cause


LEAST_PREFIX = 4
"""How many characters of a plan's id must be given at least."""

MOST_CANDIDATES = 10
"""How many plans are named where the shortened id fits several."""


def confirm_shown(s: Session, plan: Run) -> None:
    """Store that an operator confirms what Ditio and Entra showed in a run: later runs are measured by it."""
    s.runs.note(plan.id, is_believed=plan.shown is not None)
    if SHOWN in (plan.stopped or ""):
        s.entra.forget_figures(plan.started_at)


def find_plan(s: Session, name: str) -> Run:
    """Return the run that made a plan. :param name: The plan's id, or enough of its beginning to be unique.

    :raises NotFound: there is no such plan, several begin like this, or it has no rows to show.
    """
    run = s.runs.get(name)
    if run is None and len(name) >= LEAST_PREFIX:
        found = s.runs.plans_that_begin(name, limit=MOST_CANDIDATES + 1)
        if len(found) > 1:
            told = [f"  {each.id}  of {each.started_at:%Y-%m-%d %H:%M} UTC" for each in found[:MOST_CANDIDATES]]
            more = ["  …"] if len(found) > MOST_CANDIDATES else []
            raise NotFound("\n".join([f"several plans begin with {name!r}: write more of the id", *told, *more]))
        run = found[0] if found else None
    if run is None or run.plan_id != run.id:
        short = f"; write at least {LEAST_PREFIX} characters" if len(name) < LEAST_PREFIX else ""
        raise NotFound(f"there is no plan {name!r}: `scim-bridge reconcile runs` shows the ids{short}")
    if not run.is_complete:
        raise NotFound(f"plan {run.id!r} was never finished because its run failed: make another with `reconcile`")
    if run.by_kind and not s.plan(run.id).has_rows():
        raise NotFound(
            f"the rows of plan {run.id!r} were removed after RECONCILE__KEEP_DAYS: make another with `reconcile`"
        )
    return run
