"""Whether an employee in Ditio is the person in Entra; when one may be adopted; pairs of the first day."""

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
"""The fields that tell who an employee is, beside the profile id (rules H1, P5)."""


def agrees(desired: DesiredEmployee, found: ActualEmployee, field: Field) -> bool:
    """Return whether both sides have a value for this field, and the same one (rule C2)."""
    wanted, shown = desired.values.get(field), found.values.get(field)
    return wanted is not None and shown is not None and same(field, wanted, shown)


def is_same_person(desired: DesiredEmployee, found: ActualEmployee) -> bool:
    """Return whether phone, or e-mail, or birth date and last name agree (rule H1, `verify`)."""
    return (
        agrees(desired, found, Field.phone)
        or agrees(desired, found, Field.email)
        or (agrees(desired, found, Field.birth_date) and agrees(desired, found, Field.last_name))
    )


def is_ours(person: Person, desired: DesiredEmployee, found: ActualEmployee) -> bool:
    """Return whether an employee under another number is our linked person: same profile, else phone or e-mail (P5).

    Both what Entra wants now and what Ditio acknowledged before count.
    """
    same_profile = _is_same_profile(person, found)
    if same_profile is not None:
        return same_profile
    return _is_known(person, desired, found, Field.phone) or _is_known(person, desired, found, Field.email)


def is_still_ours(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, has_phone_of_another: Callable[[], bool]
) -> bool:
    """Return whether the employee under the linked number is still our person, and not a stranger (rule P5).

    Where Ditio shows a `companyProfileId`, it must be the linked one. Else phone, e-mail, or birth date and last name
    must be as acknowledged or as wanted.

    :param has_phone_of_another: Returns whether the employee has the phone of another person in the bridge. Called
        only where birth date and last name alone agree: two people may share these.
    """
    same_profile = _is_same_profile(person, found)
    if same_profile is not None:
        return same_profile
    phone, email, born, last_name = (_is_known(person, desired, found, name, linked=True) for name in IDENTITY)
    return phone or email or (born and last_name and not has_phone_of_another())


def known_by(desired: DesiredEmployee, found: ActualEmployee) -> dict[Field, Value]:
    """Return what identifies an employee that an operator linked although nothing agrees (rule H1)."""
    if is_same_person(desired, found):
        return {}
    shown = {name: found.values.get(name) for name in IDENTITY}
    return {name: value for name, value in shown.items() if value is not None}


def is_what_we_created(creating: Creating, found: ActualEmployee) -> bool:
    """Return whether an employee is the one that an earlier POST of ours made (rule P6)."""
    phone, email = found.values.get(Field.phone), found.values.get(Field.email)
    if phone is not None and same(Field.phone, creating.phone, phone):
        return True
    return creating.email is not None and email is not None and same(Field.email, creating.email, email)


def holders_of(field: Field, value: Value, candidates: Iterable[ActualEmployee]) -> list[ActualEmployee]:
    """Return the results of a free-text search that really have this value (rule P4)."""
    return [found for found in candidates if _shows(found, field, value)]


def _shows(found: ActualEmployee, field: Field, value: Value) -> bool:
    shown = found.values.get(field)
    return shown is not None and same(field, value, shown)


def _is_same_profile(person: Person, found: ActualEmployee) -> bool | None:
    """Return whether the profile is the linked one; None where one of the two is not known."""
    if person.company_profile_id is None or found.company_profile_id is None:
        return None
    return person.company_profile_id == found.company_profile_id


def _is_known(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, field: Field, *, linked: bool = False
) -> bool:
    """Return whether a field shows what Entra wants, what Ditio acknowledged, or Ditio's own form of that (rule C2).

    Until a read has confirmed a sent value, what Ditio showed before it or instead of it counts too.

    :param linked: Whether the value at the time of linking counts, where nothing was acknowledged since.
    """
    known = person.acknowledged
    sent = known.sent_values.get(field)
    ours = [desired.values.get(field), known.values.get(field)]
    if sent is not None:
        ours += [sent.form] if sent.is_confirmed else [sent.form, sent.before, sent.shown]
    if linked and field not in known.values:
        ours.append(person.linked_as.get(field))
    return any(value is not None and _shows(found, field, value) for value in ours)


class Adopt(StrEnum):
    """`DELIVERY__ADOPT`."""

    verify = "verify"
    always = "always"
    never = "never"


def may_adopt(desired: DesiredEmployee, found: ActualEmployee, policy: Adopt) -> bool:
    """Return whether the employee who already has this number may be linked to the user."""
    return policy is Adopt.always or (policy is Adopt.verify and is_same_person(desired, found))


def agreeing_fields(desired: DesiredEmployee, found: ActualEmployee) -> dict[Field, Value | None]:
    """Return what linking acknowledges: the fields in which both sides agree, and no others (rule H5)."""
    return {field: value for field, value in desired.values.items() if agrees(desired, found, field)}


def agreeing_on_the_first_day(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, policy: Policy, today: date
) -> dict[Field, Value | None]:
    """Return the same for a person that `adopt` links, with the last day of an ended employment (rule L6)."""
    seen = plan_person(person, desired, found, policy, today=today).seen
    return {**agreeing_fields(desired, found), **seen.values}


def why_not(desired: DesiredEmployee, found: ActualEmployee, user_name: str) -> str:
    """Return why an employee is not linked, with both sides, for the administrator who reads Entra's log."""
    return (
        f"employee {found.employee_number} exists in Ditio already ({_side(found.values)}), and is not known to be "
        f"{user_name} ({_side(desired.values)}): phone, e-mail, or birth date and last name must agree"
    )


def not_theirs(person: Person, desired: DesiredEmployee, found: ActualEmployee, user_name: str) -> str:
    """Return why nothing is sent to the employee under a person's own number: both sides, what to do (rule P5)."""
    number, known = person.employee_number, {**person.acknowledged.values, **desired.values}
    why = (
        f"employee {number} in Ditio is another person now ({_side(found.values)}), not {user_name} ({_side(known)}): "
        "nothing is sent"
    )
    if person.is_tombstone:
        return f"{why}. Find the deleted user in Ditio under another number, and end that employment there"
    command = shlex.join(["scim-bridge", "adopt", "--accept", found.employee_number, user_name])
    return (
        f"{why}. Correct the number in Ditio or in Entra, then `scim-bridge outbox retry`; if they are the same "
        f"person, run `{command}`"
    )


def how_to_adopt(found: ActualEmployee, user_name: str, *, then: str) -> str:
    """Return what to do about such a refusal, with a command that can be pasted.

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
TAKEN = "an operator decided that this employee is another user"


@dataclass(frozen=True, slots=True)
class PossibleEmployees:
    """What Ditio shows that may concern a user."""

    same_number: ActualEmployee | None = None
    similar_numbers: Sequence[str] = ()
    """Numbers that differ from the wanted one only in case or in leading zeros."""

    look_alikes: Sequence[ActualEmployee] = ()
    """Employees with the same e-mail address or phone, in the order of their numbers."""

    linked: frozenset[str] = frozenset()
    """Those of all these numbers to which a person is linked."""


def is_doubtful(desired: DesiredEmployee, around: PossibleEmployees) -> bool:
    """Return whether the number alone does not prove one person, so that an operator has to decide."""
    found = around.same_number
    return found is not None and (bool(around.similar_numbers) or not is_same_person(desired, found))


def proposals(
    desired: DesiredEmployee, around: PossibleEmployees, *, sends_number: bool, is_permitted: bool = False
) -> list[Proposal]:
    """Return the employees who may be an unlinked user: an exact one, or several, or none.

    :param sends_number: Whether Entra sends an employee number, even one that can't be used.
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
        # The operator named this employee: no other one is considered.
        yield Proposal(found.employee_number, By.decision, _linked(found.employee_number, around))
        return
    if found is not None:
        why = SIMILAR_TOO if around.similar_numbers else None
        why = why if is_same_person(desired, found) else STRANGER
        yield Proposal(found.employee_number, By.number, _linked(found.employee_number, around) or why)
    for similar in around.similar_numbers:
        yield Proposal(EmployeeNumber(similar), By.number, SIMILAR)


def _by_look(desired: DesiredEmployee, look_alikes: Sequence[ActualEmployee]) -> Iterator[tuple[EmployeeNumber, By]]:
    """Yield employees with the same e-mail address first, then those with the same phone."""
    for field, by in ((Field.email, By.email), (Field.phone, By.phone)):
        for found in look_alikes:
            is_told = field is Field.phone and agrees(desired, found, Field.email)
            if agrees(desired, found, field) and not is_told:
                yield found.employee_number, by


def _linked(number: EmployeeNumber, around: PossibleEmployees) -> str | None:
    return LINKED if number in around.linked else None
