"""Differences that a run of `reconcile` stores, and pairs that `adopt` finds."""

from dataclasses import dataclass
from enum import StrEnum

from scim_bridge.domain.employee import EmployeeNumber, Field, Value
from scim_bridge.domain.person import PersonId

LOGIN = "disabled"
"""The field name of a difference in the login; its values say whether the login is disabled."""


class Kind(StrEnum):
    """What differs, in the order of the report: a leaver who is still active comes first."""

    should_be_inactive = "should-be-inactive"
    left_without_notice = "left-without-notice"
    should_be_active = "should-be-active"
    missing = "missing"
    field = "field"
    certificate = "certificate"
    stuck_delivery = "stuck-delivery"
    renumbered = "renumbered"
    duplicate_identity = "duplicate-identity"
    unmanaged = "unmanaged"
    cleared_in_entra = "cleared-in-entra"
    differs_from_entra = "differs-from-entra"
    not_sent = "not-sent"
    returned = "returned"


ORDER = {kind: place for place, kind in enumerate(Kind)}

OF_ENTRA = frozenset(
    {Kind.left_without_notice, Kind.cleared_in_entra, Kind.differs_from_entra, Kind.not_sent, Kind.returned}
)
"""The kinds that compare the SCIM users with Entra, and not with Ditio; found with `--with-entra`."""

REPAIRED = frozenset(
    {Kind.field, Kind.certificate, Kind.should_be_inactive, Kind.stuck_delivery, Kind.cleared_in_entra}
)
"""The kinds that `--apply` repairs (rule Q2)."""

REPAIRED_ON_REVIEW = frozenset({Kind.missing, Kind.should_be_active})
"""The kinds that `--apply` repairs only from a reviewed plan, or if `--only` names them.

An employee may have been removed, or a login closed by hand, for a reason."""

REPAIRED_FROM_PLAN = frozenset({Kind.left_without_notice})
"""The kinds that `--apply` repairs only from a reviewed plan, whatever `--only` names."""

LOUD = frozenset({Kind.should_be_inactive, Kind.stuck_delivery, Kind.left_without_notice})
"""The kinds that count as drift (exit 2) even where they are only listed."""


class Cause(StrEnum):
    """Why it differs, as far as desired, actual and acknowledged values tell (rule Q1)."""

    edited_in_ditio = "edited-in-ditio"
    differed_when_linked = "differed-when-linked"
    never_delivered = "never-delivered"
    mapping_changed = "mapping-changed"
    created_outside = "created-outside"
    duplicate_identity = "duplicate-identity"
    renumbered = "renumbered"
    unassigned = "unassigned"
    disabled_in_entra = "disabled-in-entra"
    deleted_in_entra = "deleted-in-entra"
    out_of_scope = "out-of-scope"
    job_not_running = "job-not-running"
    entra_guard = "entra-guard"
    entra_sends_no_nulls = "entra-sends-no-nulls"
    lost_change = "lost-change"
    mapping_differs = "mapping-differs"
    nested_group = "nested-group"
    filter = "filter"
    no_matching_value = "no-matching-value"
    in_escrow = "in-escrow"
    never_seen = "never-seen"


LOUD_CAUSES = frozenset({Cause.in_escrow, Cause.never_seen})
"""Causes with which a user who was never sent counts as drift: nothing in Entra explains it."""

FOR_REVIEW = frozenset({Cause.job_not_running, Cause.entra_guard})
"""Causes with which nothing is repaired but from a reviewed plan: Entra may still send it."""


_FIELDS = frozenset(each.value for each in Field)


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference: a row of a plan."""

    kind: Kind
    cause: Cause
    employee_number: str | None = None
    """The linked number, else the wanted one, else the one that Ditio shows."""

    user_name: str | None = None
    """As Entra sent it; None where there is no user."""

    field: str | None = None
    """Ditio's name of the field, or the certificate type; None where the whole employee is meant."""

    wanted: Value | None = None
    found: Value | None = None
    acknowledged: Value | None = None
    person_id: PersonId | None = None
    revision: int | None = None
    """The revision of the person that was compared: a later one means that Entra changed the user since."""

    listed: str | None = None
    """Why it is only listed, in words; None for what may be repaired."""

    position: int | None = None
    """Its position in the stored plan."""

    @property
    def is_drift(self) -> bool:
        """Return whether it counts for the exit code. What is only listed does not, except the loud kinds (Q2)."""
        if self.kind is Kind.not_sent:
            return self.cause in LOUD_CAUSES
        return self.listed is None or self.kind in LOUD

    def may_be_repaired(self, *, reviewed: bool) -> bool:
        """Return whether `--apply` repairs it. :param reviewed: An operator read the plan, or named the kind."""
        if self.listed is not None or (self.person_id is None and self.kind is not Kind.certificate):
            return False  # Only a certificate may belong to an employee who is no user (rule K2).
        if self.kind is Kind.cleared_in_entra:
            # A certificate is never withdrawn, and nothing that may still come is cleared, without review.
            return reviewed or (self.cause not in FOR_REVIEW and self.field in _FIELDS)
        return self.kind in REPAIRED or (reviewed and self.kind in REPAIRED_ON_REVIEW | REPAIRED_FROM_PLAN)


class By(StrEnum):
    """What a user and an employee have in common."""

    number = "number"
    email = "email"
    phone = "phone"
    decision = "decision"
    """An operator decided it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An employee who may be a certain user."""

    employee_number: EmployeeNumber
    by: By
    why: str | None = None
    """Why an operator has to decide; None for an exact pair."""

    contends: bool = True
    """Whether the user asks for this employee, so that no other user may be linked to them without a decision.

    A user with an employee number of their own who only shares a phone or an e-mail address does not.
    """


@dataclass(frozen=True, slots=True)
class Pair:
    """A proposal together with its user."""

    person_id: PersonId
    user_name: str
    revision: int
    """The revision of the person that was compared: a later one means that Entra changed the user since."""

    proposal: Proposal

    @property
    def employee_number(self) -> EmployeeNumber:
        """Return the employee's number, as Ditio shows it."""
        return self.proposal.employee_number


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the file of decisions."""

    line: int
    employee_number: EmployeeNumber
    user_name: str
    is_link: bool
    """Whether user and employee are one person (`link`) or not (`skip`)."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A line of the file that can't be followed: what is wrong, and what to do."""

    line: int
    text: str

    def __str__(self) -> str:
        """Return the line as the operator reads it."""
        return f"line {self.line}: {self.text}"
