"""What has to change in a linked employee: the comparison of wish, Ditio and what was acknowledged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from scim_bridge.domain.canonical import same
from scim_bridge.domain.employee import (
    CLEARABLE,
    EMPLOYMENT_FIELDS,
    PROFILE_FIELDS,
    EmployeeNumber,
    Field,
    FoundEmployee,
    Value,
    Wish,
)
from scim_bridge.domain.employment import Employment
from scim_bridge.domain.ownership import Owner
from scim_bridge.domain.person import Acknowledged
from scim_bridge.plan.changes import Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that decides which fields differ."""

    wish: Wish
    found: FoundEmployee
    acknowledged: Acknowledged
    owners: Mapping[Field, Owner]
    today: date
    in_employment: bool
    """Whether an employment is open, so that its fields can be changed."""


def field_changes(comparison: Comparison) -> list[Change]:
    """The fields that differ and are ours to change (rules C2, H5), the employee number left out."""
    fields = (Field.phone, *PROFILE_FIELDS, *(EMPLOYMENT_FIELDS if comparison.in_employment else ()))
    return [change for field in fields for change in _change(comparison, field)]


def _change(c: Comparison, field: Field) -> Iterator[Change]:
    owner = c.owners.get(field, Owner.ditio)
    if owner is Owner.ditio or field in c.wish.defaulted or _belongs_to_ditio_now(c, field):
        return
    known = field in c.found.values
    found = c.found.values[field] if known else c.acknowledged.values.get(field)
    wanted = c.wish.values.get(field)
    if wanted is None:
        if _is_cleared(c, field, owner) and found is not None:
            yield Change(field, None, found)
        return
    if owner is Owner.seed:
        if known and found is None:
            yield Change(field, wanted, None)
        return
    if not known and field not in c.acknowledged.values and field is Field.phone:
        return  # A login that is not shown is unknown, not different, and is not changed on a guess (rule C2).
    if not same(field, wanted, found):
        yield Change(field, wanted, found)


def _belongs_to_ditio_now(c: Comparison, field: Field) -> bool:
    """A start date is Entra's only while the acknowledged one lies ahead, and never after an ending (rule H5)."""
    if field is not Field.start_date:
        return False
    start = c.acknowledged.day(Field.start_date)
    return start is None or start <= c.today or c.acknowledged.ended_on is not None


def _is_cleared(c: Comparison, field: Field, owner: Owner) -> bool:
    """`null` is sent only where a value was acknowledged, the field may be empty, and Entra's is gone, not unusable."""
    return (
        owner is Owner.entra
        and field in CLEARABLE
        and c.acknowledged.values.get(field) is not None
        and not any(problem.field is field for problem in c.wish.problems)
    )


def is_covered(wish: Wish, acknowledged: Acknowledged, owners: Mapping[Field, Owner], *, employed: bool) -> bool:
    """Whether every wish has been acknowledged in some form, so that comparing with that tells all (rule A5)."""
    fields = (Field.phone, *PROFILE_FIELDS, *((Field.department, Field.payroll) if employed else ()))
    return all(
        field in acknowledged.values
        for field in fields
        if field in wish.values and field not in wish.defaulted and owners.get(field) is not Owner.ditio
    )


def newly_agreed(comparison: Comparison) -> dict[Field, Value | None]:
    """What was read to equal the wish, or to be empty as wished, and is not acknowledged that way yet."""
    wish, found, known = comparison.wish.values, comparison.found.values, comparison.acknowledged.values
    agreed: dict[Field, Value | None] = {
        field: value
        for field, value in wish.items()
        if found.get(field) is not None and same(field, value, found[field]) and known.get(field) != value
    }
    for field in CLEARABLE:
        owner = comparison.owners.get(field, Owner.ditio)
        if field in found and found[field] is None and field not in wish and _is_cleared(comparison, field, owner):
            agreed[field] = None
    return agreed


def as_found(number: EmployeeNumber, acknowledged: Acknowledged) -> FoundEmployee:
    """What Ditio acknowledged, as if it had been read just now (rule A5)."""
    employments: tuple[Employment, ...] | None = None
    if acknowledged.employed is True:
        employments = (Employment(acknowledged.day(Field.start_date)),)
    elif acknowledged.employed is False:
        employments = (Employment(None, acknowledged.ended_on or date.min),)
    values: dict[Field, Value | None] = dict(acknowledged.values)
    return FoundEmployee(
        employee_number=number,
        values=values,
        disabled=None if acknowledged.login is None else not acknowledged.login,
        employments=employments,
    )
