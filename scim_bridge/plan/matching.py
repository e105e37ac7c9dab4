"""Whether an employee in Ditio is the person that Entra means; when one may be adopted; pairs of the first day."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from scim_bridge.domain.drift import By, Proposal
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field, Value
from scim_bridge.domain.person import Creating, Person
from scim_bridge.domain.values import same
from scim_bridge.plan.steps import Policy, plan_person

IDENTITY = (Field.phone, Field.email, Field.birth_date, Field.last_name)
"""What tells who an employee is, beside the profile (rules H1, P5)."""


def agrees(desired: DesiredEmployee, found: ActualEmployee, field: Field) -> bool:
    """Whether both sides have a value for this field, and the same one (rule C2)."""
    wanted, shown = desired.values.get(field), found.values.get(field)
    return wanted is not None and shown is not None and same(field, wanted, shown)


def is_same_person(desired: DesiredEmployee, found: ActualEmployee) -> bool:
    """Whether phone, or e-mail, or birth date and last name agree (rule H1, `verify`)."""
    return (
        agrees(desired, found, Field.phone)
        or agrees(desired, found, Field.email)
        or (agrees(desired, found, Field.birth_date) and agrees(desired, found, Field.last_name))
    )


def is_ours(person: Person, desired: DesiredEmployee, found: ActualEmployee) -> bool:
    """Whether an employee found under another number is our linked person: the profile, else phone or e-mail (P5).

    What Entra wants now counts, and what Ditio acknowledged before.
    """
    same_profile = _is_same_profile(person, found)
    if same_profile is not None:
        return same_profile
    return _is_known(person, desired, found, Field.phone) or _is_known(person, desired, found, Field.email)


def is_still_ours(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, has_phone_of_another: Callable[[], bool]
) -> bool:
    """Whether the employee under the linked number is our person still, and not a stranger who got it (rule P5).

    The same `companyProfileId` as when linked where Ditio shows one; else phone, e-mail, or birth date and last name,
    as acknowledged or as wanted.

    :param has_phone_of_another: Asked where nothing else tells them from somebody with the same birth date and name:
        whether the employee has the phone of another person whom we know.
    """
    same_profile = _is_same_profile(person, found)
    if same_profile is not None:
        return same_profile
    phone, email, born, last_name = (_is_known(person, desired, found, name, linked=True) for name in IDENTITY)
    return phone or email or (born and last_name and not has_phone_of_another())


def known_by(desired: DesiredEmployee, found: ActualEmployee) -> dict[Field, Value]:
    """What tells who an employee is who is linked although nothing agrees: an operator said so (rule H1)."""
    if is_same_person(desired, found):
        return {}
    shown = {name: found.values.get(name) for name in IDENTITY}
    return {name: value for name, value in shown.items() if value is not None}


def is_what_we_created(creating: Creating, found: ActualEmployee) -> bool:
    """Whether an employee is the one that an earlier POST of ours made (rule P6)."""
    phone, email = found.values.get(Field.phone), found.values.get(Field.email)
    if phone is not None and same(Field.phone, creating.phone, phone):
        return True
    return creating.email is not None and email is not None and same(Field.email, creating.email, email)


def holders_of(field: Field, value: Value, candidates: Iterable[ActualEmployee]) -> list[ActualEmployee]:
    """Those among the answers of a free-text search who really have this value (rule P4)."""
    return [found for found in candidates if _shows(found, field, value)]


def _shows(found: ActualEmployee, field: Field, value: Value) -> bool:
    shown = found.values.get(field)
    return shown is not None and same(field, value, shown)


def _is_same_profile(person: Person, found: ActualEmployee) -> bool | None:
    """Whether the profile is the one that was linked; None where one of the two is not known."""
    if person.company_profile_id is None or found.company_profile_id is None:
        return None
    return person.company_profile_id == found.company_profile_id


def _is_known(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, field: Field, *, linked: bool = False
) -> bool:
    """Whether a field shows what Entra wants, what Ditio acknowledged, or Ditio's own form of that (rule C2).

    Until a read has confirmed what was sent, what Ditio showed before it or instead of it counts too.

    :param linked: Whether what was shown when they were linked counts, where nothing was acknowledged since.
    """
    known = person.acknowledged
    taking = known.sent_values.get(field)
    ours = [desired.values.get(field), known.values.get(field)]
    if taking is not None:
        ours += [taking.form] if taking.is_confirmed else [taking.form, taking.before, taking.shown]
    if linked and field not in known.values:
        ours.append(person.linked_as.get(field))
    return any(value is not None and _shows(found, field, value) for value in ours)


class Adopt(StrEnum):
    """`DELIVERY__ADOPT`."""

    verify = "verify"
    always = "always"
    never = "never"


def may_adopt(desired: DesiredEmployee, found: ActualEmployee, policy: Adopt) -> bool:
    """Whether the employee who already has this number is to be taken for the SCIM user."""
    return policy is Adopt.always or (policy is Adopt.verify and is_same_person(desired, found))


def agreeing_fields(desired: DesiredEmployee, found: ActualEmployee) -> dict[Field, Value | None]:
    """What linking acknowledges: the fields in which both sides agree, and no others (rule H5)."""
    return {field: value for field, value in desired.values.items() if agrees(desired, found, field)}


def agreeing_on_the_first_day(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, policy: Policy, today: date
) -> dict[Field, Value | None]:
    """The same for a person whom `adopt` links: the last day of an employment that has ended is seen too (rule L6)."""
    seen = plan_person(person, desired, found, policy, today=today).seen
    return {**agreeing_fields(desired, found), **seen.values}


def why_not(desired: DesiredEmployee, found: ActualEmployee, user_name: str) -> str:
    """The refusal's text: both sides. For the administrator who reads Entra's log."""
    return (
        f"employee {found.employee_number} exists in Ditio already ({_side(found.values)}), and is not known to be "
        f"{user_name} ({_side(desired.values)}): phone, e-mail, or birth date and last name must agree"
    )


def not_theirs(person: Person, desired: DesiredEmployee, found: ActualEmployee, user_name: str) -> str:
    """Why nothing is written to the employee under a person's own number: both sides, and the cure (rule P5)."""
    number, known = person.employee_number, {**person.acknowledged.values, **desired.values}
    why = (
        f"employee {number} in Ditio is another person now ({_side(found.values)}), not {user_name} ({_side(known)}): "
        "nothing is written"
    )
    if person.is_tombstone:
        return f"{why}. Find in Ditio under which number the deleted user is now, and end that employment there"
    command = shlex.join(["scim-bridge", "adopt", "--accept", found.employee_number, user_name])
    return (
        f"{why}. Correct the number in Ditio or in Entra, then `scim-bridge outbox retry`; if they are the same "
        f"person, run `{command}`"
    )


def how_to_adopt(found: ActualEmployee, user_name: str, *, then: str) -> str:
    """The cure of such a refusal, in a command that can be pasted.

    :param then: What becomes of the permission that the command records.
    """
    command = shlex.join(["scim-bridge", "adopt", "--accept", found.employee_number, user_name])
    other = f"give {user_name} another employee number in Entra"
    return f"If they are the same person, run `{command}`: {then}; if not, {other}"


def _side(values: object) -> str:
    shown = dict(values) if isinstance(values, dict) else {}
    name = " ".join(str(shown[f]) for f in (Field.first_name, Field.last_name) if shown.get(f))
    parts = [name, *(str(shown[f]) for f in (Field.phone, Field.email) if shown.get(f))]
    return ", ".join(part for part in parts if part) or "no name or phone shown"


STRANGER = "phone, e-mail, and birth date with last name differ"
SIMILAR = "the numbers differ only in case or in leading zeros"
SIMILAR_TOO = "another employee's number differs only in case or in leading zeros"
ANOTHER_NUMBER = "Entra sends another employee number"
SEVERAL = "several employees have this e-mail address or phone"
LINKED = "another user is linked to this employee"
CONTENDED = "another user asks for this employee too"
TAKEN = "it was decided that this employee is another user"


@dataclass(frozen=True, slots=True)
class PossibleEmployees:
    """What Ditio shows that may have to do with a user."""

    same_number: ActualEmployee | None = None
    similar_numbers: Sequence[str] = ()
    """Numbers that differ from the wanted one only in case or in leading zeros."""

    look_alikes: Sequence[ActualEmployee] = ()
    """Employees with the same e-mail address or phone, in the order of their numbers."""

    linked: frozenset[str] = frozenset()
    """Those of all these numbers that a person is linked to."""


def is_doubtful(desired: DesiredEmployee, around: PossibleEmployees) -> bool:
    """Whether the number alone does not say that they are one person, so that an operator's word is asked for."""
    found = around.same_number
    return found is not None and (bool(around.similar_numbers) or not is_same_person(desired, found))


def proposals(
    desired: DesiredEmployee, around: PossibleEmployees, *, sends_number: bool, is_permitted: bool = False
) -> list[Proposal]:
    """The employees whom a user who is linked to none may be: one that is exact, or several, or none.

    :param sends_number: Whether Entra sends an employee number, be it one that can't be used.
    :param is_permitted: Whether an operator said that the employee with the same number is this user (rule H1).
    """
    if around.same_number is not None or around.similar_numbers:
        return list(_by_number(desired, around, is_permitted))
    found = list(_by_look(desired, around.look_alikes))
    if sends_number:
        return [Proposal(number, by, ANOTHER_NUMBER, contends=False) for number, by in found]
    why = SEVERAL if len(found) > 1 else None
    return [Proposal(number, by, why or _linked(number, around)) for number, by in found]


def _by_number(desired: DesiredEmployee, around: PossibleEmployees, is_permitted: bool) -> Iterator[Proposal]:
    found = around.same_number
    if found is not None and is_permitted:
        # Whom an operator has named is nobody else.
        yield Proposal(found.employee_number, By.decision, _linked(found.employee_number, around))
        return
    if found is not None:
        why = SIMILAR_TOO if around.similar_numbers else None
        why = why if is_same_person(desired, found) else STRANGER
        yield Proposal(found.employee_number, By.number, _linked(found.employee_number, around) or why)
    for similar in around.similar_numbers:
        yield Proposal(EmployeeNumber(similar), By.number, SIMILAR)


def _by_look(desired: DesiredEmployee, look_alikes: Sequence[ActualEmployee]) -> Iterator[tuple[EmployeeNumber, By]]:
    """E-mail before phone."""
    for field, by in ((Field.email, By.email), (Field.phone, By.phone)):
        for found in look_alikes:
            is_told = field is Field.phone and agrees(desired, found, Field.email)
            if agrees(desired, found, field) and not is_told:
                yield found.employee_number, by


def _linked(number: EmployeeNumber, around: PossibleEmployees) -> str | None:
    return LINKED if number in around.linked else None
