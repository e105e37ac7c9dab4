"""Whether an employee in Ditio is the person that Entra talks about."""

from collections.abc import Iterable

from scim_bridge.domain.canonical import same
from scim_bridge.domain.employee import Field, FoundEmployee, Value, Wish
from scim_bridge.domain.person import Creating, Person


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


def is_ours(wish: Wish, acknowledged: Iterable[tuple[Field, Value | None]], found: FoundEmployee) -> bool:
    """Whether somebody found under another number is our linked person: phone or e-mail (rule P5).

    What Entra wants now counts, and what Ditio acknowledged before.
    """
    known = dict(acknowledged)
    for field in (Field.phone, Field.email):
        shown = found.values.get(field)
        if shown is None:
            continue
        for ours in (wish.values.get(field), known.get(field)):
            if ours is not None and same(field, ours, shown):
                return True
    return False


def is_still_ours(person: Person, wish: Wish, found: FoundEmployee) -> bool:
    """Whether the employee under the linked number is our person still, and not a stranger who got it (rule P5)."""
    known = Wish(values={name: value for name, value in person.acknowledged.values.items() if value is not None})
    return is_same_person(wish, found) or is_same_person(known, found)


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
