"""A short cut through a whole company: whoever is shown exactly as wanted is in sync, without a closer look.

Equal fingerprints prove that nothing differs. Different ones prove nothing: then a person is planned field by field.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from scim_bridge.domain.canonical import canonical, same
from scim_bridge.domain.employee import PROFILE_FIELDS, Field, FoundEmployee, Wish
from scim_bridge.domain.employment import open_employment, running_employment
from scim_bridge.domain.ownership import Owner
from scim_bridge.domain.person import Acknowledged, Person

_FIELDS = (Field.phone, *PROFILE_FIELDS, Field.department, Field.payroll)
_LOGIN, _EMPLOYMENT, _PROFILE = "login", "employment", "companyProfileId"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an employee shows, in short."""

    shown: str
    """Which fields it is about, so that the same ones can be asked of what is wanted."""

    digest: str


def fingerprint_of(found: FoundEmployee, owners: Mapping[Field, Owner], today: date) -> Fingerprint:
    """The fingerprint of what Ditio shows."""
    parts: list[tuple[str, object]] = []
    if found.company_profile_id is not None:
        parts.append((_PROFILE, found.company_profile_id))
    for field in _FIELDS:
        if field not in found.values:
            continue
        if owners.get(field) is Owner.entra:
            parts.append((field.value, canonical(field, found.values[field])))
        elif owners.get(field) is Owner.seed and canonical(field, found.values[field]) is None:
            parts.append((f"-{field.value}", None))
    if found.disabled is not None:
        parts.append((_LOGIN, not found.disabled))
    if found.employments is not None:
        parts.append((_EMPLOYMENT, _standing(found, today)))
    return Fingerprint(",".join(name for name, _ in parts), _digest(parts))


def is_as_wanted(
    shown: str, digest: str, person: Person, wish: Wish, owners: Mapping[Field, Owner], today: date
) -> bool:
    """Whether what is shown, wanted and acknowledged is all the same, so that there is nothing to plan or note."""
    known = person.acknowledged
    if person.is_tombstone or wish.employee_number != person.employee_number or known.uncertain:
        return False
    start = known.day(Field.start_date)
    if start is not None and start > today:
        return False  # A start that lies ahead is Entra's still (rule H5).
    parts = list(_wanted(shown, person, wish, today))
    if any(value is ... for _, value in parts) or _digest(parts) != digest:
        return False
    return _is_acknowledged(shown, known, wish, owners, person.days.wants_employment(today))


def _wanted(shown: str, person: Person, wish: Wish, today: date) -> Iterator[tuple[str, object]]:
    """What the same fields show once everything is as wanted; an ellipsis where that can't be said in short."""
    is_wanted = person.days.wants_employment(today)
    for name in filter(None, shown.split(",")):
        if name in (_LOGIN, _EMPLOYMENT):
            yield name, is_wanted
        elif name == _PROFILE:
            yield name, ... if person.company_profile_id is None else person.company_profile_id
        elif name.startswith("-"):
            field = Field(name[1:])
            yield name, ... if field in wish.values and field not in wish.defaulted else None
        else:
            field = Field(name)
            yield name, ... if field in wish.defaulted else canonical(field, wish.values.get(field))


def _is_acknowledged(
    shown: str, known: Acknowledged, wish: Wish, owners: Mapping[Field, Owner], is_wanted: bool
) -> bool:
    names = shown.split(",")
    for field in _FIELDS:
        if field in wish.defaulted or owners.get(field) is not Owner.entra:
            continue
        value, acknowledged = wish.values.get(field), known.values.get(field)
        if value is None:
            if acknowledged is not None:
                return False  # It is to be cleared, whether it is shown or not.
            continue
        if acknowledged != value if field in names else not same(field, value, acknowledged):
            return False
    return known.login is is_wanted and known.employed is is_wanted


def _standing(found: FoundEmployee, today: date) -> bool | str:
    employments = found.employments or ()
    if open_employment(employments) is not None:
        return True
    return False if running_employment(employments, today) is None else "ends"


def _digest(parts: list[tuple[str, object]]) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
