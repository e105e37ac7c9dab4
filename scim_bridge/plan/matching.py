"""Whether an employee in Ditio is the person that Entra talks about."""

from collections.abc import Callable, Iterable

from scim_bridge.domain.canonical import same
from scim_bridge.domain.employee import Field, FoundEmployee, Value, Wish
from scim_bridge.domain.person import Creating, Person

IDENTITY = (Field.phone, Field.email, Field.birth_date, Field.last_name)
"""What tells who an employee is, beside the profile (rules H1, P5)."""


def agrees(wish: Wish, found: FoundEmployee, field: Field) -> bool:
    """Whether both sides have a value for this field, and the same one (rule C2)."""
    wanted, shown = wish.values.get(field), found.values.get(field)
    return wanted is not None and shown is not None and same(field, wanted, shown)


def is_same_person(wish: Wish, found: FoundEmployee) -> bool:
    """Whether phone, or e-mail, or birth date and last name agree (rule H1, `verify`)."""
    return (
        agrees(wish, found, Field.phone)
        or agrees(wish, found, Field.email)
        or (agrees(wish, found, Field.birth_date) and agrees(wish, found, Field.last_name))
    )


def is_ours(person: Person, wish: Wish, found: FoundEmployee) -> bool:
    """Whether an employee found under another number is our linked person: the profile, else phone or e-mail (P5).

    What Entra wants now counts, and what Ditio acknowledged before.
    """
    same_profile = _is_same_profile(person, found)
    if same_profile is not None:
        return same_profile
    return _is_known(person, wish, found, Field.phone) or _is_known(person, wish, found, Field.email)


def is_still_ours(person: Person, wish: Wish, found: FoundEmployee, has_phone_of_another: Callable[[], bool]) -> bool:
    """Whether the employee under the linked number is our person still, and not a stranger who got it (rule P5).

    The same `companyProfileId` as when linked where Ditio shows one; else phone, e-mail, or birth date and last name,
    as acknowledged or as wanted.

    :param has_phone_of_another: Asked where nothing else tells them from somebody with the same birth date and name:
        whether the employee has the phone of another person whom we know.
    """
    same_profile = _is_same_profile(person, found)
    if same_profile is not None:
        return same_profile
    phone, email, born, last_name = (_is_known(person, wish, found, name, linked=True) for name in IDENTITY)
    return phone or email or (born and last_name and not has_phone_of_another())


def known_by(wish: Wish, found: FoundEmployee) -> dict[Field, Value]:
    """What tells who an employee is who is linked although nothing agrees: an operator said so (rule H1)."""
    if is_same_person(wish, found):
        return {}
    shown = {name: found.values.get(name) for name in IDENTITY}
    return {name: value for name, value in shown.items() if value is not None}


def is_what_we_created(creating: Creating, found: FoundEmployee) -> bool:
    """Whether an employee is the one that an earlier POST of ours made (rule P6)."""
    phone, email = found.values.get(Field.phone), found.values.get(Field.email)
    if phone is not None and same(Field.phone, creating.phone, phone):
        return True
    return creating.email is not None and email is not None and same(Field.email, creating.email, email)


def holders_of(field: Field, value: Value, candidates: Iterable[FoundEmployee]) -> list[FoundEmployee]:
    """Those among the answers of a free-text search who really have this value (rule P4)."""
    return [found for found in candidates if _shows(found, field, value)]


def _shows(found: FoundEmployee, field: Field, value: Value) -> bool:
    shown = found.values.get(field)
    return shown is not None and same(field, value, shown)


def _is_same_profile(person: Person, found: FoundEmployee) -> bool | None:
    """Whether the profile is the one that was linked; None where one of the two is not known."""
    if person.company_profile_id is None or found.company_profile_id is None:
        return None
    return person.company_profile_id == found.company_profile_id


def _is_known(person: Person, wish: Wish, found: FoundEmployee, field: Field, *, linked: bool = False) -> bool:
    """Whether a field shows what Entra wants, what Ditio acknowledged, or Ditio's own form of that (rule C2).

    Until a read has confirmed what was sent, what Ditio showed before it or instead of it counts too.

    :param linked: Whether what was shown when they were linked counts, where nothing was acknowledged since.
    """
    known = person.acknowledged
    taking = known.takings.get(field)
    ours = [wish.values.get(field), known.values.get(field)]
    if taking is not None:
        ours += [taking.form] if taking.is_confirmed else [taking.form, taking.before, taking.shown]
    if linked and field not in known.values:
        ours.append(person.linked_as.get(field))
    return any(value is not None and _shows(found, field, value) for value in ours)
