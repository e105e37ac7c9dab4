"""Which employees of Ditio may be a certain user on the first day (design, section 9; rules H1, P4). Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Wish
from scim_bridge.domain.pairing import By, Proposal
from scim_bridge.plan.matching import agrees, is_same_person

STRANGER = "phone, e-mail, and birth date with last name differ"
SIMILAR = "the numbers differ only in case or in leading zeros"
SIMILAR_TOO = "another employee's number differs only in case or in leading zeros"
ANOTHER_NUMBER = "Entra sends another employee number"
SEVERAL = "several employees have this e-mail address or phone"
LINKED = "another user is linked to this employee"
CONTENDED = "another user asks for this employee too"
TAKEN = "it was decided that this employee is another user"


@dataclass(frozen=True, slots=True)
class Around:
    """What Ditio shows that may have to do with a user."""

    same_number: FoundEmployee | None = None
    similar_numbers: Sequence[str] = ()
    """Numbers that differ from the wanted one only in case or in leading zeros."""

    look_alikes: Sequence[FoundEmployee] = ()
    """Employees with the same e-mail address or phone, in the order of their numbers."""

    linked: frozenset[str] = frozenset()
    """Those of all these numbers that a person is linked to."""


def is_doubtful(wish: Wish, around: Around) -> bool:
    """Whether the number alone does not say that they are one person, so that an operator's word is asked for."""
    found = around.same_number
    return found is not None and (bool(around.similar_numbers) or not is_same_person(wish, found))


def proposals(wish: Wish, around: Around, *, sends_number: bool, is_permitted: bool = False) -> list[Proposal]:
    """The employees whom a user who is linked to none may be: one that is exact, or several, or none.

    :param sends_number: Whether Entra sends an employee number, be it one that can't be used.
    :param is_permitted: Whether an operator said that the employee with the same number is this user (rule H1).
    """
    if around.same_number is not None or around.similar_numbers:
        return list(_by_number(wish, around, is_permitted))
    found = list(_by_look(wish, around.look_alikes))
    if sends_number:
        return [Proposal(number, by, ANOTHER_NUMBER, contends=False) for number, by in found]
    why = SEVERAL if len(found) > 1 else None
    return [Proposal(number, by, why or _linked(number, around)) for number, by in found]


def _by_number(wish: Wish, around: Around, is_permitted: bool) -> Iterator[Proposal]:
    found = around.same_number
    if found is not None and is_permitted:
        # Whom an operator has named is nobody else.
        yield Proposal(found.employee_number, By.decision, _linked(found.employee_number, around))
        return
    if found is not None:
        why = SIMILAR_TOO if around.similar_numbers else None
        why = why if is_same_person(wish, found) else STRANGER
        yield Proposal(found.employee_number, By.number, _linked(found.employee_number, around) or why)
    for similar in around.similar_numbers:
        yield Proposal(EmployeeNumber(similar), By.number, SIMILAR)


def _by_look(wish: Wish, look_alikes: Sequence[FoundEmployee]) -> Iterator[tuple[EmployeeNumber, By]]:
    """E-mail before phone."""
    for field, by in ((Field.email, By.email), (Field.phone, By.phone)):
        for found in look_alikes:
            is_told = field is Field.phone and agrees(wish, found, Field.email)
            if agrees(wish, found, field) and not is_told:
                yield found.employee_number, by


def _linked(number: EmployeeNumber, around: Around) -> str | None:
    return LINKED if number in around.linked else None
