"""Differences with their causes, as rows of a plan; a plan restricted to some rows (rules Q1-Q3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from scim_bridge.domain.drift import LOGIN, Cause, Drift, Kind
from scim_bridge.domain.employee import EMPLOYMENT_FIELDS, ActualEmployee, DesiredEmployee, Field, Value
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    ChangePhoneNumber,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
    UpdateEmployee,
    UpdateEmployment,
)
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import GuardedChange, Lifecycle, Person, Verdict
from scim_bridge.domain.values import same
from scim_bridge.plan.diff import Change, Readback
from scim_bridge.plan.steps import AlreadyDone, Plan, Policy, plan_person

HANDS_OFF = Reason.hands_off.value

_ONE_VALUE_WAITS = (Reason.paused, Reason.claimed, Reason.incomplete)
"""A linked person held for one of these waits only with a value that another person has; the rest is repaired."""

NOT_CONVERGING = "Ditio keeps changing it: see `outbox list`"


@dataclass(frozen=True, slots=True)
class DriftFacts:
    """What is known of one person's delivery, beside the person. It decides on causes, and on what is only listed."""

    state: State
    reason: str | None
    revision: int
    user_name: str | None
    modified_at: datetime | None
    """When the user was last changed; None where there is no user."""

    delivered_at: datetime | None = None
    acknowledged_at: Mapping[str, datetime] = field(default_factory=dict)
    """When each field, or login or employment, was acknowledged."""

    acknowledged_in: Mapping[str, int] = field(default_factory=dict)
    """The person's revision at that time."""

    claimed_by_others: frozenset[Field] = frozenset()
    """Which of phone and employee number another person has."""

    held_or_dropped: Mapping[GuardedChange, Verdict] = field(default_factory=dict)
    """What the hourly guard holds, or the operator withdrew (rule L8)."""


@dataclass(frozen=True, slots=True)
class PersonDrift:
    """What one linked person needs, apart from what is already being delivered."""

    items: tuple[Drift, ...]
    plan: Plan
    """The operations that repair all of it."""


def drift_of(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, policy: Policy, facts: DriftFacts, *, today: date
) -> PersonDrift:
    """Compare one person with their employee, edits in Ditio included."""
    plan = plan_person(as_shown(person, found), desired, found, policy, today=today)
    items = [
        replace(
            item,
            cause=Cause.differed_when_linked if _differed_when_linked(item, person, facts) else item.cause,
            employee_number=person.employee_number,
            user_name=facts.user_name,
            person_id=person.id,
            revision=facts.revision,
            listed=item.listed or _why_only_listed(item, facts),
        )
        for item in _items(plan, person, found, facts)
    ]
    return PersonDrift(tuple(items), plan)


def as_shown(person: Person, found: ActualEmployee) -> Person:
    """Return the person without what was acknowledged of login and employment, where Ditio shows it.

    Delivery changes both only when Entra's value changes (rule C4); here every difference counts.
    """
    known = person.acknowledged
    shown = {Lifecycle.login} if found.disabled is not None else set()
    shown |= {Lifecycle.employment} if found.employments is not None else set()
    return replace(
        person,
        acknowledged=replace(
            known,
            login=None if Lifecycle.login in shown else known.login,
            employed=None if Lifecycle.employment in shown else known.employed,
            uncertain=known.uncertain - shown,
        ),
    )


def _items(plan: Plan, person: Person, found: ActualEmployee, facts: DriftFacts) -> Iterator[Drift]:
    for operation in plan.lifecycle:
        yield _lifecycle_row(operation, person, found)
    is_new = any(isinstance(operation, CreateEmployment) for operation in plan.lifecycle)
    for operation in plan.changes:
        for name, wanted in fields_of(operation).items():
            if not (is_new and name in EMPLOYMENT_FIELDS):
                yield _field(Change(name, wanted, _found(name, person, found)), person, facts)
    for change in plan.rounds.stuck:
        yield replace(_field(change, person, facts), listed=NOT_CONVERGING)


def _lifecycle_row(operation: Operation, person: Person, found: ActualEmployee) -> Drift:
    known = person.acknowledged
    match operation:
        case Disable() | Enable():
            wanted = isinstance(operation, Disable)
            shown, acknowledged = found.disabled, None if known.login is None else not known.login
            is_edited = acknowledged is not None and shown is not None and shown != acknowledged
            kind = Kind.should_be_inactive if wanted else Kind.should_be_active
            return Drift(kind, _edited(is_edited), None, None, LOGIN, wanted, shown, acknowledged)
        case EndEmployment(last_day=day):
            is_edited = known.employed is False and found.employments is not None
            ended_on = known.ended_on if known.employed is False else None
            return Drift(Kind.should_be_inactive, _edited(is_edited), None, None, Field.end_date, day, None, ended_on)
        case CreateEmployment(start=day):
            is_edited = known.employed is True and found.employments is not None
            began = known.day(Field.start_date) if known.employed else None
            kind = Kind.should_be_active
            return Drift(kind, _edited(is_edited), None, None, Field.start_date, day, None, began)
    raise AssertionError(f"{operation} is no step of leaving or returning")


_STEPS = {
    LOGIN: Lifecycle.login,
    Field.end_date.value: Lifecycle.employment,
    Field.start_date.value: Lifecycle.employment,
}


def _differed_when_linked(item: Drift, person: Person, facts: DriftFacts) -> bool:
    """Return whether a difference is as old as the link that `adopt` made (rule H5), as far as is known."""
    known = person.acknowledged
    if item.kind is not Kind.field:
        return known.linked.get(_STEPS[item.field or ""], False)
    # Fields that differed were not acknowledged. Once Entra changes the user, a delivery is to blame.
    is_unchanged = any(facts.acknowledged_in.get(each.value) == facts.revision for each in known.linked)
    return item.cause is Cause.never_delivered and item.acknowledged is None and is_unchanged


def _edited(is_edited: bool) -> Cause:
    return Cause.edited_in_ditio if is_edited else Cause.never_delivered


def _field(change: Change, person: Person, facts: DriftFacts) -> Drift:
    name, known = change.field, person.acknowledged
    acknowledged = person.employee_number if name is Field.employee_number else known.values.get(name)
    cause = Cause.edited_in_ditio
    sent = known.sent_values.get(name)
    is_form = sent is not None and sent.form is not None and same(name, sent.form, change.found)
    if acknowledged is None and name not in known.values:
        cause = Cause.never_delivered
    elif is_form or same(name, change.found, acknowledged):
        cause = Cause.never_delivered if _document_changed(name, facts) else Cause.mapping_changed
    return Drift(Kind.field, cause, None, None, name.value, change.wanted, change.found, acknowledged)


def _document_changed(name: Field, facts: DriftFacts) -> bool:
    """Return whether Entra changed the user since the field was acknowledged, or since all of it was delivered."""
    at = facts.acknowledged_at.get(name.value)
    known = [moment for moment in (at, facts.delivered_at) if moment is not None]
    if facts.modified_at is None or not known or facts.modified_at > max(known):
        return True
    return facts.state is not State.delivered and facts.revision > facts.acknowledged_in.get(name.value, 0)


def _why_only_listed(item: Drift, facts: DriftFacts) -> str | None:
    """Return why a row is only listed (rule Q2).

    Reasons are: the row itself is held, dropped or parked, or deliveries to the whole person are stopped.
    """
    if facts.reason == HANDS_OFF:
        return "deliveries to this person are stopped: `people hands-off NUMBER --clear`"
    if any(item.field == name.value for name in facts.claimed_by_others):
        return "another person has this value: see `outbox list`"
    if (why := why_kept_back(_guarded(item), facts)) is not None:
        return why
    is_waiting = facts.state in (State.held, State.parked) and item.cause is Cause.never_delivered
    if is_waiting and facts.reason not in _ONE_VALUE_WAITS:
        return f"{facts.state}, {facts.reason}: see `outbox list`"
    return None


def why_kept_back(kind: GuardedChange | None, facts: DriftFacts) -> str | None:
    """Return why a difference of this kind is not repaired, where the guard holds it or the operator withdrew it."""
    match facts.held_or_dropped.get(kind) if kind is not None else None:
        case Verdict.held:
            return "held, guard: correct it in Entra, or `outbox release` sends it, or `outbox drop` withdraws it"
        case Verdict.dropped:
            return "kept by the operator (`outbox drop`), until Entra changes it"
    return None


def _guarded(item: Drift) -> GuardedChange | None:
    """Return the kind of change as which the guard counts a difference; None if it does not."""
    if item.kind is Kind.should_be_inactive:
        return GuardedChange.ending
    by_field = {Field.phone.value: GuardedChange.phone, Field.employee_number.value: GuardedChange.employee_number}
    return by_field.get(item.field or "") if item.kind is Kind.field else None


def _found(name: Field, person: Person, found: ActualEmployee) -> Value | None:
    if name is Field.employee_number:
        return found.employee_number
    return found.values[name] if name in found.values else person.acknowledged.values.get(name)


def fields_of(operation: Operation) -> Mapping[Field, Value | None]:
    """Return the fields that an operation changes, and their new values; nothing for a lifecycle step."""
    match operation:
        case ChangeEmployeeNumber(employee_number=number):
            return {Field.employee_number: number}
        case ChangePhoneNumber(phone=phone):
            return {Field.phone: phone}
        case UpdateEmployee(fields=fields) | UpdateEmployment(fields=fields):
            return fields
    return {}


def only_rows(plan: Plan, items: tuple[Drift, ...]) -> Plan:
    """Return the plan with only the operations that repair these differences.

    A new employment includes its department: it has nothing of the employment before (rule L4).
    """
    kinds = {(item.kind, item.field) for item in items}
    lifecycle = tuple(operation for operation in plan.lifecycle if _key(operation) in kinds)
    fields = {name for kind, name in kinds if kind is Kind.field and name is not None}
    if any(isinstance(operation, CreateEmployment) for operation in lifecycle):
        fields |= {name.value for name in EMPLOYMENT_FIELDS}
    changes = tuple(kept for operation in plan.changes if (kept := _only(operation, fields)) is not None)
    repeated = {name: sent for name, sent in plan.rounds.repeated.items() if name.value in fields}
    return Plan(lifecycle, changes, AlreadyDone(), Readback(repeated=repeated))


def _key(operation: Operation) -> tuple[Kind, str | None]:
    match operation:
        case Disable():
            return Kind.should_be_inactive, LOGIN
        case EndEmployment():
            return Kind.should_be_inactive, Field.end_date.value
        case Enable():
            return Kind.should_be_active, LOGIN
        case CreateEmployment():
            return Kind.should_be_active, Field.start_date.value
    raise AssertionError(f"{operation} is no step of leaving or returning")


def _only(operation: Operation, fields: set[str]) -> Operation | None:
    kept = {name: value for name, value in fields_of(operation).items() if name.value in fields}
    if not kept:
        return None
    match operation:
        case UpdateEmployee():
            return UpdateEmployee(kept)
        case UpdateEmployment():
            return UpdateEmployment(kept)
    return operation
