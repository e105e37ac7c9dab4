"""Differences that a run of `reconcile` stores, and pairs that `adopt` finds."""

from dataclasses import dataclass
from enum import StrEnum

from scim_bridge.domain.employee import EmployeeNumber, Value
from scim_bridge.domain.person import PersonId

LOGIN = "disabled"
"""The name that a difference of the login has; its values are whether it is disabled."""


class Kind(StrEnum):
    """What differs, in the order in which it is told: a leaver who is still active first."""

    should_be_inactive = "should-be-inactive"
    should_be_active = "should-be-active"
    missing = "missing"
    field = "field"
    certificate = "certificate"
    stuck_delivery = "stuck-delivery"
    renumbered = "renumbered"
    duplicate_identity = "duplicate-identity"
    unmanaged = "unmanaged"


ORDER = {kind: place for place, kind in enumerate(Kind)}

REPAIRED = frozenset({Kind.field, Kind.certificate, Kind.should_be_inactive, Kind.stuck_delivery})
"""What `--apply` repairs (rule Q2)."""

REPAIRED_ON_REVIEW = frozenset({Kind.missing, Kind.should_be_active})
"""What it repairs only from a reviewed plan, or if it was asked for by `--only`.

An employee who is missing may have been removed for a reason, and a login may have been closed by hand for one."""

LOUD = frozenset({Kind.should_be_inactive, Kind.stuck_delivery})
"""What is drift (exit 2) even where it is only listed."""


class Cause(StrEnum):
    """Why it differs, as far as what is wanted, found and acknowledged can tell (rule Q1)."""

    edited_in_ditio = "edited-in-ditio"
    never_delivered = "never-delivered"
    mapping_changed = "mapping-changed"
    created_outside = "created-outside"
    duplicate_identity = "duplicate-identity"
    renumbered = "renumbered"


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
    """By Ditio's name, or the type of a certificate; None where the whole employee is meant."""

    wanted: Value | None = None
    found: Value | None = None
    acknowledged: Value | None = None
    person_id: PersonId | None = None
    revision: int | None = None
    """The person's revision that was looked at: a later one means that Entra moved."""

    listed: str | None = None
    """Why it is only listed, in words; None for what may be repaired."""

    position: int | None = None
    """Its place in the stored plan."""

    @property
    def is_drift(self) -> bool:
        """Whether it counts for the exit code: not what is only listed, but for the loud kinds (rule Q2)."""
        return self.listed is None or self.kind in LOUD

    def may_be_repaired(self, *, reviewed: bool) -> bool:
        """Whether `--apply` takes it. :param reviewed: A plan that somebody has read, or a kind asked for by name."""
        if self.listed is not None or (self.person_id is None and self.kind is not Kind.certificate):
            return False  # Only a certificate may be of an employee whom nobody is (rule K2).
        return self.kind in REPAIRED or (reviewed and self.kind in REPAIRED_ON_REVIEW)


class By(StrEnum):
    """What a user and an employee have in common."""

    number = "number"
    email = "email"
    phone = "phone"
    decision = "decision"
    """An operator said so."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An employee who may be a certain user."""

    employee_number: EmployeeNumber
    by: By
    why: str | None = None
    """Why a person has to decide; None for an exact pair."""

    contends: bool = True
    """Whether the user asks for this employee, so that nobody else may be linked to him unasked.

    Somebody with a number of his own who only shares a phone or an e-mail address does not.
    """


@dataclass(frozen=True, slots=True)
class Pair:
    """The same, with the user named."""

    person_id: PersonId
    user_name: str
    revision: int
    """The person's revision that was looked at: a later one means that Entra has said something since."""

    proposal: Proposal

    @property
    def employee_number(self) -> EmployeeNumber:
        """The employee's number, as Ditio shows it."""
        return self.proposal.employee_number


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the file of decisions."""

    line: int
    employee_number: EmployeeNumber
    user_name: str
    is_link: bool
    """Whether they are one person (`link`), or are not (`skip`)."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A line that can't be followed: what is wrong, and the cure."""

    line: int
    text: str

    def __str__(self) -> str:
        """As the operator reads it."""
        return f"line {self.line}: {self.text}"
