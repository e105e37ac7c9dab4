"""The provisioning job of the simulated Entra: its settings, how it stands, and what it did."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scim_bridge.sandbox import directory
from scim_bridge.sandbox.directory import EntraUser, JsonObject
from scim_bridge.sandbox.scim_calls import Step

JOB_ID = "scim.11111111000040008000000000000001.55555555-0000-4000-8000-000000000005"
MOST_EVENTS = 50_000
FOUR_WEEKS = timedelta(weeks=4)

REASONS = (
    "EncounteredBaseEscrowThreshold",
    "EncounteredTotalEscrowThreshold",
    "EncounteredEscrowProportionThreshold",
    "EncounteredQuarantineException",
    "TooManyDeletes",
    "QuarantinedOnDemand",
    "IngestionInterrupted",
    "Unknown",
)
"""Why a job is in quarantine (`quarantineReason` of Graph's metadata)."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of a scoping filter, for example `department EQUALS Production`."""

    attribute: str
    """The attribute's name in provisioning: `mobile`, not `mobilePhone`."""

    operator: str
    """`EQUALS`, `NOT EQUALS`, `IS NULL`, `IS NOT NULL`, `IN`. The sandbox lets users pass any other."""

    values: tuple[str, ...] = ()

    def holds(self, user: EntraUser) -> bool:
        """Return whether the user meets the condition."""
        value = getattr(user, directory.field_name(self.attribute), None)
        text = "" if value is None else str(value)
        match self.operator:
            case "EQUALS" | "IN":
                return text in self.values
            case "NOT EQUALS":
                return text not in self.values
            case "IS NULL":
                return not text
            case "IS NOT NULL":
                return bool(text)
            case _:
                return True


Scope = list[list[Clause]]
"""Groups, one of which must hold; a group holds when all of its clauses do. Without a group it always holds."""


def passes(scope: Scope, user: EntraUser) -> bool:
    """Return whether a user meets a scoping filter."""
    return not scope or any(all(clause.holds(user) for clause in group) for group in scope)


@dataclass(slots=True)
class AttributeMapping:
    """One line of the mapping."""

    target: str
    source: str | None = None
    """The attribute that it reads; None for an expression."""

    expression: str | None = None
    """`Switch(…)`; None: the source by itself. The sandbox shows it, and sends what `EntraUser` has."""

    flow_type: str = "Always"
    """`Always`, or `ObjectAddOnly`: only at the creation."""

    matching_priority: int = 0
    default_value: str | None = None
    """Sent where the source is empty."""


ACTIVE = 'Switch([IsSoftDeleted], , "False", "True", "True", "False")'


def default_mappings(extension: str, external_id: str, matching: str) -> dict[str, AttributeMapping]:
    """Return the mapping of the simulated Entra by target."""
    lines = [AttributeMapping(target, source) for target, source in directory.sources(extension, external_id).items()]
    lines.append(AttributeMapping("active", expression=ACTIVE))
    lines.append(AttributeMapping("name.formatted", expression='Join(" ", [givenName], [surname])'))
    for line in lines:
        line.matching_priority = 1 if line.target == matching else 0
        if line.source in ("employeeHireDate", "employeeLeaveDateTime"):
            line.expression = f'FormatDateTime([{line.source}], , "yyyy-MM-ddTHH:mm:ssZ", "yyyy-MM-dd")'
            line.source = None
    return {line.target: line for line in lines}


@dataclass(slots=True)
class Quarantine:
    """Why and since when the job is in quarantine."""

    reason: str
    series_began: datetime
    current_began: datetime
    count: int = 1
    code: str | None = None
    message: str = ""

    by_itself: bool = False
    """Whether the next cycle tries again; otherwise a person has to end the quarantine."""


@dataclass(slots=True)
class Execution:
    """One run of the job."""

    id: str
    began: datetime
    ended: datetime | None = None
    state: str = "Succeeded"
    """`Succeeded` or `Failed`."""

    error: str | None = None
    entitled: int = 0
    exported: int = 0
    escrowed: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the provisioning log."""

    at: datetime
    run: str
    object_id: str
    name: str
    user_principal_name: str
    target_id: str
    """The SCIM id; empty before there is one."""

    action: str
    """`create`, `update`, `delete`, `disable`, `stagedDelete`, `other`."""

    status: str
    """`success`, `failure`, `skipped`."""

    code: str | None = None
    reason: str | None = None
    changes: tuple[tuple[str, str], ...] = ()
    """Targets and their new values."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the directory's audit log knows of the job: entering and leaving quarantine, a restart."""

    at: datetime
    activity: str
    reason: str


@dataclass(slots=True)
class Job:
    """One provisioning job; change its settings freely between cycles."""

    id: str = JOB_ID
    template_id: str = "scim"

    state: str = "Active"
    """`Active`, `Paused` or `Disabled`; only an active job runs."""

    interval: str = "PT40M"
    """ISO 8601."""

    sync_all: bool = False
    """Scope "Sync all users and groups": no one needs an assignment. Without a restart, leaving it disables no one."""

    skip_out_of_scope_deletions: bool = False
    """Whether a user who is unassigned, or leaves the scoping filter, stays as they are in the target."""

    delete_threshold: int | None = None
    """More disables and deletions than this in one cycle are staged, and the job goes into quarantine."""

    scope: Scope = field(default_factory=list)
    """The scoping filter; who no longer meets it is disabled."""

    input_filter: Scope = field(default_factory=list)
    """`inputFilterGroups`; who no longer meets it is left as they are."""

    flow_types: set[str] = field(default_factory=lambda: {"Add", "Update", "Delete"})
    enabled: bool = True
    """Whether the mapping of users is enabled."""

    configured: bool = True
    """Whether provisioning was set up to its end."""

    groups_enabled: bool = True
    """Whether groups are provisioned, not only their members."""

    mappings: dict[str, AttributeMapping] = field(default_factory=dict)
    """The mapping by target; what is taken out is no longer sent."""

    quarantine: Quarantine | None = None
    last: Execution | None = None
    last_successful: Execution | None = None
    steady_since: datetime | None = None
    failures_in_a_row: int = 0
    entries: int = 0
    """The most users that were linked at a time: Entra's count does not go down."""

    escrows_pruned: bool = False
    """Whether an initial cycle failed for so many users that Entra dropped some of the errors."""

    deletes_allowed: bool = False
    """Whether the next cycle may pass `delete_threshold`."""

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    audits: list[Audit] = field(default_factory=list)
    _mapped: frozenset[str] = frozenset()

    def maps(self, mappings: dict[str, AttributeMapping]) -> None:
        """Take over the mapping that a new job begins with."""
        self.mappings, self._mapped = mappings, frozenset(mappings)

    def flowing(self, wanted: JsonObject, *, creation: bool) -> JsonObject:
        """Return what the mapping lets through of the values by target; defaults are added.

        A target that never was in the mapping, such as one of `EntraUser.extra`, passes.
        """
        defaults = {line.target: line.default_value for line in self.mappings.values() if line.default_value}
        return {target: value for target, value in (defaults | wanted).items() if self._flows(target, creation)}

    def _flows(self, target: str, creation: bool) -> bool:
        line = self.mappings.get(target)
        if line is None:
            return target not in self._mapped
        return creation or line.flow_type == "Always"

    @property
    def runs(self) -> bool:
        """Return whether a cycle does anything."""
        free = self.quarantine is None or self.quarantine.by_itself
        return self.state == "Active" and self.enabled and self.configured and free

    def gives_up(self, at: datetime) -> None:
        """Disable a job that has been in quarantine for four weeks."""
        if self.quarantine is not None and at - self.quarantine.series_began >= FOUR_WEEKS:
            self.state = "Disabled"

    @property
    def code(self) -> str:
        """Return the status: `NotConfigured`, `NotRun`, `Active`, `Paused` or `Quarantine`."""
        if not self.configured:
            return "NotConfigured"
        if self.quarantine is not None:
            return "Quarantine"
        if self.state != "Active":
            return "Paused"
        return "NotRun" if self.last is None else "Active"

    def pause(self) -> None:
        """Stop provisioning, as the portal does."""
        self.state = "Paused"

    def start(self) -> None:
        self.state = "Active"

    def quarantines(
        self, reason: str, at: datetime, *, code: str | None = None, message: str = "", by_itself: bool = False
    ) -> None:
        """Put the job into quarantine, or keep it there.

        :param reason: One of `REASONS`.
        :param by_itself: Whether the next cycle tries again.
        """
        if self.quarantine is None:
            self.quarantine = Quarantine(reason, at, at, code=code, message=message, by_itself=by_itself)
            self.audits.append(Audit(at, "Quarantine", f"Provisioning has been quarantined: {reason}"))
            return
        self.quarantine.current_began = at
        self.quarantine.count += 1

    def leaves_quarantine(self, at: datetime) -> None:
        if self.quarantine is not None:
            self.quarantine = None
            self.audits.append(Audit(at, "Quarantine", "Provisioning has left quarantine"))

    def allow_deletes(self, at: datetime) -> None:
        """Let the next cycle send the staged deletions, as the portal's "Allow deletes" does."""
        self.deletes_allowed = True
        self.leaves_quarantine(at)

    def began(self, at: datetime) -> Execution:
        """Return a new run."""
        return Execution(str(uuid.uuid4()), at)

    def ended(self, run: Execution, at: datetime, *, error: str | None = None) -> None:
        """Note how a run ended."""
        run.ended, run.error = at, error
        run.state = "Failed" if error else "Succeeded"
        self.last = run
        if error:
            self.failures_in_a_row += 1
            return
        self.failures_in_a_row, self.last_successful = 0, run
        self.steady_since = self.steady_since or at
        if self.quarantine is not None and self.quarantine.by_itself:
            self.leaves_quarantine(at)


STAGED = "staged"
"""The action of a step that is not taken: more are leaving than the deletion threshold allows."""

_IN_THE_LOG = {"restore": "update", "none": "other", STAGED: "stagedDelete"}


def event_of(step: Step, run: str, at: datetime, user: EntraUser, scim_id: str | None) -> Event:
    """Return the row of the provisioning log about a step."""
    skipped = step.action == "none" and step.status in (0, 200)
    reason = None if step.ok else f"Message: The application returned {step.status}. Response: {step.detail}"
    return Event(
        at=at,
        run=run,
        object_id=user.object_id,
        name=user.display_name or user.user_principal_name,
        user_principal_name=user.user_principal_name,
        target_id=scim_id or "",
        action=_IN_THE_LOG.get(step.action, step.action),
        status="skipped" if skipped else "success" if step.ok or step.action == STAGED else "failure",
        code=step.scim_type or (None if step.ok else f"Http{step.status}"),
        reason=reason,
        changes=_changes(step.body or {}),
    )


def _changes(body: JsonObject) -> tuple[tuple[str, str], ...]:
    """Return the targets of a PATCH, and their new values."""
    operations = body.get("Operations")
    changed: dict[str, str] = {}
    for operation in operations if isinstance(operations, list) else []:
        value = operation.get("value")
        changed |= {str(operation["path"]): str(value)} if "path" in operation else dict(value or {})
    return tuple((target, str(value)) for target, value in changed.items())
