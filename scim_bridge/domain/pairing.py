"""Who is whom on the first day: users and employees who seem to be one person, and what an operator decided of them."""

from dataclasses import dataclass
from enum import StrEnum

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId


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
