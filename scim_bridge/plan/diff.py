"""Which fields differ between the desired and the actual employee; a fingerprint quickly tells when none does."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from scim_bridge.domain.employee import (
    CLEARABLE,
    EMPLOYMENT_FIELDS,
    PROFILE_FIELDS,
    REQUIRED,
    ActualEmployee,
    DesiredEmployee,
    EmployeeNumber,
    Employment,
    Field,
    Owner,
    Value,
    open_employment,
    running_employment,
)
from scim_bridge.domain.person import Acknowledged, Person, SentValue
from scim_bridge.domain.values import canonical, same
from scim_bridge.plan.readback import confirmed, is_stuck, judged


@dataclass(frozen=True, slots=True)
class Change:
    """One field that has to change. `wanted` None clears it."""

    field: Field
    wanted: Value | None
    found: Value | None


@dataclass(frozen=True, slots=True)
class Readback:
    """What a read tells of values that Ditio accepted from the bridge earlier (rule C2)."""

    learned: Mapping[Field, SentValue] = dataclasses.field(default_factory=dict)
    """To be stored: a read showed the value or a form of it, or the value is not sent any more."""

    repeated: Mapping[Field, SentValue] = dataclasses.field(default_factory=dict)
    """To be sent again, and stored once Ditio has accepted it."""

    stuck: tuple[Change, ...] = ()
    """Values that Ditio keeps changing."""


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """What Ditio already shows as desired: it needs no operation, and is to be acknowledged (rule L6)."""

    login: bool | None = None
    employed: bool | None = None
    values: Mapping[Field, Value | None] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there is anything to acknowledge."""
        return self.login is not None or self.employed is not None or bool(self.values)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that decides which fields differ."""

    desired: DesiredEmployee
    found: ActualEmployee
    acknowledged: Acknowledged
    owners: Mapping[Field, Owner]
    today: date
    in_employment: bool
    """Whether an employment is open, so that its fields can be changed."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The fields that differ and that the bridge may change (rules C2, H5), without the employee number."""

    changes: list[Change]
    """To be sent."""

    rounds: Readback


def differences(comparison: Comparison) -> Differences:
    """Compare field by field, and judge how earlier sent values read back."""
    fields = (Field.phone, *PROFILE_FIELDS, *(EMPLOYMENT_FIELDS if comparison.in_employment else ()))
    changes: list[Change] = []
    stuck: list[Change] = []
    learned: dict[Field, SentValue] = {}
    repeated: dict[Field, SentValue] = {}
    for field in fields:
        change, sent = next(_change(comparison, field), None), _sent_value(comparison, field)
        if sent is None:
            changes += [change] if change is not None else []
        elif change is None:
            if _is_shown_as_acknowledged(comparison, field):
                learned[field] = confirmed(sent, comparison.acknowledged.values.get(field))
        else:
            after = judged(field, sent, change.found)
            if after.is_confirmed or is_stuck(after):
                learned[field] = after
                stuck += [change] if is_stuck(after) else []
            else:
                repeated[field] = after
                changes.append(change)
    news = {field: after for field, after in learned.items() if after != comparison.acknowledged.sent_values.get(field)}
    return Differences(changes, Readback(news, repeated, tuple(stuck)))


def _sent_value(c: Comparison, field: Field) -> SentValue | None:
    """Return how the value that is wanted now reads back; None where it was not sent, or another value is new."""
    sent = c.acknowledged.sent_values.get(field)
    is_same_value = same(field, c.desired.values.get(field), c.acknowledged.values.get(field))
    return sent if sent is not None and is_same_value else None


def _is_shown_as_acknowledged(c: Comparison, field: Field) -> bool:
    return field in c.found.values and same(field, c.found.values[field], c.acknowledged.values.get(field))


def _change(c: Comparison, field: Field) -> Iterator[Change]:
    owner = c.owners.get(field, Owner.ditio)
    if owner is Owner.ditio or field in c.desired.defaulted or _belongs_to_ditio_now(c, field):
        return
    known = field in c.found.values
    found = c.found.values[field] if known else c.acknowledged.values.get(field)
    wanted = c.desired.values.get(field)
    if wanted is None:
        if found is not None and _is_cleared(c, field, owner):
            yield Change(field, None, found)
        return
    if owner is Owner.seed:
        if known and found is None:
            yield Change(field, wanted, None)
        return
    if not known and field not in c.acknowledged.values and field is Field.phone:
        return  # A login that is not shown is unknown, not different: the bridge does not change it on a guess (C2).
    if not same(field, wanted, found):
        yield Change(field, wanted, found)


def _belongs_to_ditio_now(c: Comparison, field: Field) -> bool:
    """Return whether Ditio owns the start date now.

    Entra owns it only while the acknowledged start lies ahead, and never after an ending (rule H5).
    """
    if field is not Field.start_date:
        return False
    start = c.acknowledged.day(Field.start_date)
    return start is None or start <= c.today or c.acknowledged.ended_on is not None


def _is_cleared(c: Comparison, field: Field, owner: Owner) -> bool:
    """Return whether `null` is to be sent: a value was acknowledged, the field may be empty, and Entra has no value.

    A value in Entra that can't be used clears nothing. Once Ditio has cleared the field, what is entered there later
    stays. But the value that was to be cleared must not still be there (rule C2).
    """
    if owner is not Owner.entra or field not in CLEARABLE or any(p.field is field for p in c.desired.problems):
        return False
    sent, found = c.acknowledged.sent_values.get(field), c.found.values.get(field)
    is_still_there = (
        sent is not None and not sent.is_confirmed and found is not None and same(field, found, sent.before)
    )
    return c.acknowledged.values.get(field) is not None or is_still_there


# The first day is compared with the employments, and not as a value.
_IN_EMPLOYMENT = tuple(field for field in EMPLOYMENT_FIELDS if field is not Field.start_date)


def is_covered(
    desired: DesiredEmployee, acknowledged: Acknowledged, owners: Mapping[Field, Owner], *, employed: bool
) -> bool:
    """Return whether every desired value has been acknowledged in some form (rule A5).

    Then comparing with what is acknowledged finds every difference. A value that Ditio keeps changing is not
    covered, and neither is a value that another source supplies now (rule C3).
    """
    fields = (Field.phone, *PROFILE_FIELDS, *(_IN_EMPLOYMENT if employed else ()))
    ours = [field for field in fields if owners.get(field) is not Owner.ditio]
    if any(field in acknowledged.sent_values and is_stuck(acknowledged.sent_values[field]) for field in ours):
        return False
    if any(_is_served_anew(field, desired, acknowledged) for field in REQUIRED):
        return False
    return all(
        field in acknowledged.values for field in ours if field in desired.values and field not in desired.defaulted
    )


def newly_agreed(comparison: Comparison) -> dict[Field, Value | None]:
    """Return what a read showed to be as desired, or empty as desired, and is not acknowledged that way yet."""
    desired, found, acknowledged = comparison.desired.values, comparison.found.values, comparison.acknowledged
    known = acknowledged.values
    agreed: dict[Field, Value | None] = {
        field: value
        for field, value in desired.items()
        if found.get(field) is not None and same(field, value, found[field]) and known.get(field) != value
    }
    agreed |= {field: desired[field] for field in REQUIRED if _is_served_anew(field, comparison.desired, acknowledged)}
    for field in CLEARABLE:
        owner = comparison.owners.get(field, Owner.ditio)
        if field in found and found[field] is None and field not in desired and _is_cleared(comparison, field, owner):
            agreed[field] = None
    return agreed


def _is_served_anew(field: Field, desired: DesiredEmployee, acknowledged: Acknowledged) -> bool:
    """Return whether another source supplies the acknowledged value: from now on its changes count (rule C3)."""
    value, known = desired.values.get(field), acknowledged.values.get(field)
    is_same_value = value is not None and known is not None and same(field, value, known)
    return is_same_value and desired.sources.get(field) != acknowledged.sources.get(field)


def as_found(number: EmployeeNumber, acknowledged: Acknowledged) -> ActualEmployee:
    """Return what Ditio acknowledged, as if it had been read just now (rule A5)."""
    employments: tuple[Employment, ...] | None = None
    if acknowledged.employed is True:
        employments = (Employment(acknowledged.day(Field.start_date)),)
    elif acknowledged.employed is False:
        employments = (Employment(None, acknowledged.ended_on or date.min),)
    values: dict[Field, Value | None] = dict(acknowledged.values)
    return ActualEmployee(
        employee_number=number,
        values=values,
        disabled=None if acknowledged.login is None else not acknowledged.login,
        employments=employments,
    )


_FIELDS = (Field.phone, *PROFILE_FIELDS, *_IN_EMPLOYMENT)
_NAMED = [(field, field.value) for field in _FIELDS]
_BY_NAME = {name: field for field, name in _NAMED}
_LOGIN, _EMPLOYMENT, _PROFILE = "login", "employment", "companyProfileId"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an employee shows, in short."""

    shown: str
    """The fields it covers, so that the same ones can be looked up in the desired employee."""

    digest: str


def fingerprint_of(found: ActualEmployee, owners: Mapping[Field, Owner], today: date) -> Fingerprint:
    """Return the fingerprint of what Ditio shows."""
    parts: list[tuple[str, object]] = []
    if found.company_profile_id is not None:
        parts.append((_PROFILE, found.company_profile_id))
    for field, name in _NAMED:
        if field not in found.values:
            continue
        owner = owners.get(field)
        if owner is Owner.entra:
            parts.append((name, canonical(field, found.values[field])))
        elif owner is Owner.seed and canonical(field, found.values[field]) is None:
            parts.append((f"-{name}", None))
    if found.disabled is not None:
        parts.append((_LOGIN, not found.disabled))
    if found.employments is not None:
        parts.append((_EMPLOYMENT, _lifecycle(found, today)))
    return Fingerprint(",".join(name for name, _ in parts), _digest(parts))


def is_as_wanted(
    shown: str, digest: str, person: Person, desired: DesiredEmployee, owners: Mapping[Field, Owner], today: date
) -> bool:
    """Return whether actual, desired and acknowledged are the same, so that there is nothing to plan or store."""
    known = person.acknowledged
    if person.is_tombstone or desired.employee_number != person.employee_number or known.uncertain:
        return False
    start = known.day(Field.start_date)
    if start is not None and start > today:
        return False  # Entra still owns a start that lies ahead (rule H5).
    parts = list(_wanted(shown, person, desired, today))
    if any(value is ... for _, value in parts) or _digest(parts) != digest:
        return False
    return _is_acknowledged(shown, known, desired, owners, person.days.wants_employment(today))


def _wanted(shown: str, person: Person, desired: DesiredEmployee, today: date) -> Iterator[tuple[str, object]]:
    """Yield what the same fields show once all is as desired; an ellipsis where a short form can't say it."""
    is_wanted = person.days.wants_employment(today)
    for name in filter(None, shown.split(",")):
        if name in (_LOGIN, _EMPLOYMENT):
            yield name, is_wanted
        elif name == _PROFILE:
            yield name, ... if person.company_profile_id is None else person.company_profile_id
        elif name.startswith("-"):
            field = Field(name[1:])
            yield name, ... if field in desired.values and field not in desired.defaulted else None
        else:
            field = _BY_NAME[name]
            yield name, ... if field in desired.defaulted else canonical(field, desired.values.get(field))


def _is_acknowledged(
    shown: str, known: Acknowledged, desired: DesiredEmployee, owners: Mapping[Field, Owner], is_wanted: bool
) -> bool:
    names = shown.split(",")
    for field in _FIELDS:
        if field in desired.defaulted or owners.get(field) is not Owner.entra:
            continue
        value, acknowledged = desired.values.get(field), known.values.get(field)
        if value is None:
            if acknowledged is not None:
                return False  # It has to be cleared, whether it is shown or not.
            continue
        if acknowledged != value if field in names else not same(field, value, acknowledged):
            return False
    return known.login is is_wanted and known.employed is is_wanted


def _lifecycle(found: ActualEmployee, today: date) -> bool | str:
    employments = found.employments or ()
    if open_employment(employments) is not None:
        return True
    return False if running_employment(employments, today) is None else "ends"


def _digest(parts: list[tuple[str, object]]) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
