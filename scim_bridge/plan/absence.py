"""A person whose employee the roster does not show, or whose delivery is stuck (rules P4, P5, Q2). Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, Field
from scim_bridge.domain.outcome import STUCK_AFTER, Reason, State
from scim_bridge.domain.person import GuardedChange, Person
from scim_bridge.plan.drift import HANDS_OFF, DriftFacts, why_kept_back
from scim_bridge.plan.matching import agrees, is_ours
from scim_bridge.plan.steps import Policy, owes_ending


@dataclass(frozen=True, slots=True)
class RosterMatches:
    """What the roster shows that may concern a person who is not found under their number."""

    same_number: ActualEmployee | None = None
    """An employee with the wanted number; no person is linked to them."""

    similar_number: str | None = None
    """A number that differs from the wanted one only in case or in leading zeros."""

    look_alikes: Sequence[ActualEmployee] = ()
    """Employees with the same phone or e-mail address under another number."""


def absent(
    person: Person,
    desired: DesiredEmployee,
    facts: DriftFacts,
    around: RosterMatches,
    policy: Policy,
    *,
    due_since: datetime | None,
    now: datetime,
    today: date,
) -> list[Drift]:
    """Return the differences of a person who has no employee, or whose employee is not shown.

    :param due_since: Since when the person is due; None if they are not.
    """
    is_wanted = not person.is_tombstone and person.days.wants_employment(today)
    if person.employee_number is not None:
        found = list(_gone(person, desired, facts, around, policy, is_wanted))
    elif is_wanted or facts.state is State.parked or person.creating is not None:
        found = list(_never_there(person, desired, facts, around, is_wanted))
    else:
        found = []
    waits_long = stuck(person, facts, due_since=due_since, now=now, number=_number(person, desired))
    return [*found, *waits_long] if not _is_told(found, waits_long) else found


def stranger(person: Person, desired: DesiredEmployee, facts: DriftFacts, around: RosterMatches) -> Drift:
    """Return the row of a person whose number another person has in Ditio now (rule P5): only listed."""
    other = next((each for each in around.look_alikes if is_ours(person, desired, each)), None)
    where = f"this person is employee {other.employee_number} now" if other is not None else "this person is not found"
    why = f"another person has this number in Ditio, and {where}: correct the number in Ditio or in Entra"
    return _renumbered(person, facts, other, why)


def _renumbered(person: Person, facts: DriftFacts, other: ActualEmployee | None, why: str) -> Drift:
    """Return a row that is only listed. :param other: The employee who the person is now, if one is found."""
    number = person.employee_number
    return _row(
        Kind.renumbered,
        Cause.renumbered,
        person,
        facts,
        number,
        field=Field.employee_number,
        wanted=number,
        found=other.employee_number if other is not None else None,
        acknowledged=number,
        listed=why,
    )


def stuck(
    person: Person, facts: DriftFacts, *, due_since: datetime | None, now: datetime, number: str | None
) -> list[Drift]:
    """Return a delivery that is due for a day, or one that is parked although there is no employee (rules Q2, R3)."""
    hands_off = "deliveries to this person are stopped (`people hands-off`)" if facts.reason == HANDS_OFF else None
    if facts.state is State.due and due_since is not None and now - due_since >= STUCK_AFTER:
        return [_row(Kind.stuck_delivery, Cause.never_delivered, person, facts, number, listed=hands_off)]
    if facts.state is State.parked and person.employee_number is None:
        why = f"parked, {facts.reason}: `outbox list` says why, `outbox retry` tries again"
        return [_row(Kind.stuck_delivery, Cause.never_delivered, person, facts, number, listed=hands_off or why)]
    return []


def _gone(
    person: Person, desired: DesiredEmployee, facts: DriftFacts, around: RosterMatches, policy: Policy, is_wanted: bool
) -> Iterator[Drift]:
    """Return the rows of a person who was delivered earlier, and is no longer found."""
    number = person.employee_number
    for other in around.look_alikes:
        if is_ours(person, desired, other):
            why = "someone changed this employee's number in Ditio: correct the number in Ditio or in Entra"
            yield _renumbered(person, facts, other, why)
            return
    hands_off = "deliveries to this person are stopped (`people hands-off`)" if facts.reason == HANDS_OFF else None
    if is_wanted:
        yield _row(
            Kind.missing,
            Cause.edited_in_ditio,
            person,
            facts,
            number,
            field=Field.employee_number,
            wanted=desired.employee_number or number,
            acknowledged=number,
            listed=hands_off,
        )
    elif owes_ending(person, policy) and facts.reason == Reason.gone:
        why = "this person's employment still has to end, and the employee is not found: look under another number"
        yield _row(Kind.stuck_delivery, Cause.edited_in_ditio, person, facts, number, listed=hands_off or why)


def _never_there(
    person: Person, desired: DesiredEmployee, facts: DriftFacts, around: RosterMatches, is_wanted: bool
) -> Iterator[Drift]:
    number = _number(person, desired)
    if around.same_number is not None:
        why = "no person is linked to this employee yet: `outbox list` says why the user is not"
        yield _row(Kind.unmanaged, Cause.created_outside, person, facts, number, listed=why)
        return
    other = around.similar_number or next((str(each.employee_number) for each in around.look_alikes), None)
    if other is not None:
        field = Field.employee_number
        if around.similar_number is None:
            alike = around.look_alikes[0]
            field = Field.phone if agrees(desired, alike, Field.phone) else Field.email
        yield duplicate(person, facts, number, field.value, other)
        return
    if not is_wanted or facts.state is State.parked:
        return  # `stuck` reports it, if anything has to be reported.
    listed = None
    if facts.state is State.held and facts.reason != "paused":
        listed = f"held, {facts.reason}: see `outbox list`"
    listed = why_kept_back(GuardedChange.creation, facts) or listed
    yield _row(
        Kind.missing,
        Cause.never_delivered,
        person,
        facts,
        number,
        field=Field.employee_number,
        wanted=number,
        listed=listed,
    )


def duplicate(person: Person, facts: DriftFacts, number: str | None, field: str, other: str) -> Drift:
    """Return the row of two employees who may be one person. They are never joined automatically (rule P4)."""
    is_number = field == Field.employee_number
    why = (
        "two people, or one whose number is spelled in two ways: if they are one, correct it in Entra or in Ditio"
        if is_number
        else f"one person twice, or two people with the same {field}: correct it in Ditio"
    )
    return _row(
        Kind.duplicate_identity,
        Cause.duplicate_identity,
        person,
        facts,
        number,
        field=field,
        wanted=number,
        found=other,
        listed=why,
    )


def _is_told(found: Sequence[Drift], waits_long: Sequence[Drift]) -> bool:
    """Return whether a stuck delivery adds nothing to the rows that were found."""
    return not waits_long or any(item.kind is Kind.stuck_delivery for item in found)


def _number(person: Person, desired: DesiredEmployee) -> str | None:
    creating = person.creating.employee_number if person.creating else None
    return person.employee_number or desired.employee_number or creating


def _row(
    kind: Kind,
    cause: Cause,
    person: Person,
    facts: DriftFacts,
    number: str | None,
    *,
    field: str | None = None,
    wanted: str | None = None,
    found: str | None = None,
    acknowledged: str | None = None,
    listed: str | None = None,
) -> Drift:
    return Drift(
        kind,
        cause,
        number,
        facts.user_name,
        field,
        wanted,
        found,
        acknowledged,
        person_id=person.id,
        revision=facts.revision,
        listed=listed,
    )
