"""Whether an existing employee may be adopted for a SCIM user (rule H1)."""

import shlex
from datetime import date
from enum import StrEnum

from scim_bridge.domain.employee import Field, FoundEmployee, Value, Wish
from scim_bridge.domain.person import Person
from scim_bridge.plan.matching import agrees, is_same_person
from scim_bridge.plan.policy import Policy
from scim_bridge.plan.steps import plan_person


class Adopt(StrEnum):
    """`DELIVERY__ADOPT`."""

    verify = "verify"
    always = "always"
    never = "never"


def may_adopt(wish: Wish, found: FoundEmployee, policy: Adopt) -> bool:
    """Whether the employee who already has this number is to be taken for the SCIM user."""
    return policy is Adopt.always or (policy is Adopt.verify and is_same_person(wish, found))


def agreeing_fields(wish: Wish, found: FoundEmployee) -> dict[Field, Value | None]:
    """What linking acknowledges: the fields in which both sides agree, and no others (rule H5)."""
    return {field: value for field, value in wish.values.items() if agrees(wish, found, field)}


def agreeing_on_the_first_day(
    person: Person, wish: Wish, found: FoundEmployee, policy: Policy, today: date
) -> dict[Field, Value | None]:
    """The same for a person whom `adopt` links: the last day of an employment that has ended is seen too (rule L6)."""
    seen = plan_person(person, wish, found, policy, today=today).seen
    return {**agreeing_fields(wish, found), **seen.values}


def why_not(wish: Wish, found: FoundEmployee, user_name: str) -> str:
    """The refusal's text: both sides. For the administrator who reads Entra's log."""
    return (
        f"employee {found.employee_number} exists in Ditio already ({_side(found.values)}), and is not known to be "
        f"{user_name} ({_side(wish.values)}): phone, e-mail, or birth date and last name must agree"
    )


def not_theirs(person: Person, wish: Wish, found: FoundEmployee, user_name: str) -> str:
    """Why nothing is written to the employee under a person's own number: both sides, and the cure (rule P5)."""
    number, known = person.employee_number, {**person.acknowledged.values, **wish.values}
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


def how_to_adopt(found: FoundEmployee, user_name: str, *, then: str) -> str:
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
