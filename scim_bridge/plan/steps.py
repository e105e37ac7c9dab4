"""From differences to ordered operations: fields, login, employment, and what a leaver owes (rules C1-C5, L1-L7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum

from scim_bridge.domain.employee import (
    EMPLOYMENT_FIELDS,
    PROFILE_FIELDS,
    ActualEmployee,
    DesiredEmployee,
    Employment,
    Field,
    Owner,
    Value,
    last_end,
    open_employment,
    return_start,
    running_employment,
)
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
from scim_bridge.domain.person import Lifecycle, Person
from scim_bridge.plan.diff import AlreadyDone, Change, Comparison, Readback, differences, newly_agreed
from scim_bridge.plan.readback import without_sent_values

__all__ = ["AlreadyDone", "Plan", "Policy", "Step", "owes_ending", "plan_person"]


class Step(StrEnum):
    """A step of `DELIVERY__OFFBOARDING` or `DELIVERY__REHIRING`."""

    end_employment = "end-employment"
    disable = "disable"
    enable = "enable"
    create_employment = "create-employment"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about steps and owners."""

    owners: Mapping[Field, Owner]
    offboarding: Sequence[Step] = (Step.end_employment, Step.disable)
    rehiring: Sequence[Step] = (Step.enable, Step.create_employment)
    after_last_day: bool = True
    """Whether an employment is ended only when its last day is over (rule L5); else at once."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a leaver needs now."""

    operations: tuple[Operation, ...] = ()
    seen: AlreadyDone = field(default_factory=AlreadyDone)
    last_day: date | None = None
    """The day that has to be over before the employment ends (rule L5); None where nothing waits for a day."""


def leaving(person: Person, found: ActualEmployee, policy: Policy, today: date) -> Leaving:
    """Return the offboarding steps that are not acknowledged yet, in their configured order."""
    operations: list[Operation] = []
    login = employed = awaited = None
    values: dict[Field, Value | None] = {}
    for step in policy.offboarding:
        if step is Step.end_employment and person.acknowledged.employed is not False:
            running = running_employment(found.employments or (), today)
            ending = _ending(person, running)
            if found.employments is not None and (running is None or _ends_as_wanted(running, ending)):
                # It has ended already, on any day: that is enough, and that day is acknowledged (rule L6).
                employed = False
                if ended_on := last_end(found.employments):
                    values[Field.end_date] = ended_on
            elif ending is not None and policy.after_last_day and ending.last_day >= today:
                awaited = ending.last_day
            elif ending is not None:
                operations.append(ending)
        if step is Step.disable and person.acknowledged.login is not False:
            if found.disabled is True:
                login = False
            else:
                operations.append(Disable())
    return Leaving(tuple(operations), AlreadyDone(login, employed, values), awaited)


def owes_ending(person: Person, policy: Policy) -> bool:
    """Return whether any offboarding step is not acknowledged yet."""
    return _owes_end(person, policy) or _owes_disabling(person, policy)


def is_still_active(person: Person, policy: Policy, today: date, *, awaits_last_day: bool) -> bool:
    """Return whether a linked leaver is still active in Ditio although they should not be (rule L6).

    :param awaits_last_day: Whether their employment ends later, as it should (rule L5).
    """
    if person.employee_number is None or person.days.is_doubtful:
        return False
    if not person.is_tombstone and person.days.wants_employment(today):
        return False
    return _owes_disabling(person, policy) or (_owes_end(person, policy) and not awaits_last_day)


def awaited_last_day(person: Person, policy: Policy, today: date) -> date | None:
    """Return the day that has to be over before a leaver's employment ends, as far as is known without Ditio."""
    if not policy.after_last_day or not _owes_end(person, policy):
        return None
    if person.employee_number is None and person.creating is None:
        return None
    if not person.is_tombstone and person.days.wants_employment(today):
        return None
    last_day = person.days.last_day(person.acknowledged.day(Field.start_date))
    return last_day if last_day is not None and last_day >= today else None


def wakes_on(person: Person, policy: Policy, today: date) -> date | None:
    """Return the day that makes a person due: the day after a leave date or a last day (rules L2, L5)."""
    last_day = awaited_last_day(person, policy, today)
    return person.days.wakes_on(today) if last_day is None else last_day + timedelta(days=1)


def _owes_end(person: Person, policy: Policy) -> bool:
    return Step.end_employment in policy.offboarding and person.acknowledged.employed is not False


def _owes_disabling(person: Person, policy: Policy) -> bool:
    return Step.disable in policy.offboarding and person.acknowledged.login is not False


def _ends_as_wanted(running: Employment, ending: EndEmployment | None) -> bool:
    """Return whether a running employment already ends on the wanted day or before it."""
    return running.end is not None and ending is not None and running.end <= ending.last_day


def _ending(person: Person, current: Employment | None) -> EndEmployment | None:
    start = current.start if current is not None else person.acknowledged.day(Field.start_date)
    last_day = person.days.last_day(start)
    return EndEmployment(last_day) if last_day is not None else None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one linked person needs. The endings come first, and each is tried (rule L6)."""

    lifecycle: tuple[Operation, ...] = ()
    """Offboarding or rehiring steps."""

    changes: tuple[Operation, ...] = ()
    """Number, phone, employment, profile, in this order (rule C1)."""

    seen: AlreadyDone = field(default_factory=AlreadyDone)
    rounds: Readback = field(default_factory=Readback)
    last_day: date | None = None
    """The day that has to be over before the employment ends (rule L5); None where nothing waits for a day."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All operations, in the order of sending."""
        return self.lifecycle + self.changes


def plan_person(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, policy: Policy, *, today: date
) -> Plan:
    """Return what makes this employee equal to the desired one, each difference by the operation made for it."""
    if not person.is_tombstone and person.days.wants_employment(today):
        return _plan_employed(person, desired, found, policy, today)
    leaves = Leaving() if person.days.is_doubtful else leaving(person, found, policy, today)
    if person.is_tombstone:
        # For a deleted user only the offboarding is owed (rule L7).
        return Plan(leaves.operations, (), leaves.seen, last_day=leaves.last_day)
    comparison = Comparison(desired, found, person.acknowledged, policy.owners, today, in_employment=False)
    found_out = differences(comparison)
    changes = _operations(person, desired, found_out.changes, renumber=False)
    seen = _with_agreed(leaves.seen, comparison)
    return Plan(leaves.operations, changes, seen, found_out.rounds, leaves.last_day)


def _plan_employed(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, policy: Policy, today: date
) -> Plan:
    lifecycle, seen = _rehiring(person, desired, found, policy, today)
    is_new = any(isinstance(operation, CreateEmployment) for operation in lifecycle)
    if is_new:
        # A new employment has no field of the old one: department follows as update-employment (rule L4).
        shown = {**found.values, Field.department: None}
        shown.pop(Field.start_date, None)
        found = replace(found, values=shown)
    elif Field.department in seen.values:
        found = replace(found, values={Field.department: None, **found.values})
    in_employment = is_new or _is_employed(person, found, today)
    is_another = is_new or Field.department in seen.values
    acknowledged = without_sent_values(person.acknowledged, *EMPLOYMENT_FIELDS) if is_another else person.acknowledged
    comparison = Comparison(desired, found, acknowledged, policy.owners, today, in_employment=in_employment)
    found_out = differences(comparison)
    changes = [c for c in found_out.changes if not (is_new and c.field in _SENT_WITH_EMPLOYMENT)]
    renumber = policy.owners.get(Field.employee_number) is Owner.entra
    operations = _operations(person, desired, changes, renumber=renumber)
    return Plan(lifecycle, operations, _with_agreed(seen, comparison), found_out.rounds)


def _with_agreed(seen: AlreadyDone, comparison: Comparison) -> AlreadyDone:
    return AlreadyDone(seen.login, seen.employed, {**newly_agreed(comparison), **seen.values})


_SENT_WITH_EMPLOYMENT = (Field.start_date, Field.payroll)


def _is_employed(person: Person, found: ActualEmployee, today: date) -> bool:
    if found.employments is None:
        return person.acknowledged.employed is not False
    return running_employment(found.employments, today) is not None


def _rehiring(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, policy: Policy, today: date
) -> tuple[tuple[Operation, ...], AlreadyDone]:
    operations: list[Operation] = []
    login = employed = None
    values: dict[Field, Value | None] = {}
    for step in policy.rehiring:
        if step is Step.enable and person.acknowledged.login is not True:
            if found.disabled is False:
                login = True
            elif found.disabled is True or _may_be_shut(person, Lifecycle.login):
                operations.append(Enable())
        if step is Step.create_employment and person.acknowledged.employed is not True:
            current = _present_employment(person, found, today)
            if current is not None:
                employed = True
                if _may_be_shut(person, Lifecycle.employment):
                    # The bridge only found this new employment: it has no value of the old one (rule L4).
                    values[Field.start_date] = current.start
                    values[Field.department] = found.values.get(Field.department)
            elif found.employments is not None or _may_be_shut(person, Lifecycle.employment):
                operations.append(_new_employment(person, desired, found, policy, today))
    return tuple(operations), AlreadyDone(login, employed, values)


def _present_employment(person: Person, found: ActualEmployee, today: date) -> Employment | None:
    """Return the employment that makes another one unnecessary.

    A person who returns needs an open one; a fixed term belongs to Ditio.
    """
    if _may_be_shut(person, Lifecycle.employment):
        return open_employment(found.employments or ())
    running = running_employment(found.employments or (), today)
    # An employment that ends before it begins belongs to a person who left before their start.
    return running if running is not None and (running.end is None or running.is_active(today)) else None


def _may_be_shut(person: Person, lifecycle: Lifecycle) -> bool:
    """Return whether it was acknowledged as closed or ended, or may be, after a change of unknown outcome."""
    acknowledged = person.acknowledged
    known = acknowledged.login if lifecycle is Lifecycle.login else acknowledged.employed
    return known is False or lifecycle in acknowledged.uncertain


def _new_employment(
    person: Person, desired: DesiredEmployee, found: ActualEmployee, policy: Policy, today: date
) -> CreateEmployment:
    ends = [end for end in (last_end(found.employments or ()), person.acknowledged.ended_on) if end]
    start = return_start(
        start=None if Field.start_date in desired.defaulted else desired.day(Field.start_date),
        active_since=person.days.active_since,
        ended_on=max(ends, default=None),
        today=today,
    )
    payroll = desired.values.get(Field.payroll)
    is_ours = policy.owners.get(Field.payroll) is not Owner.ditio
    return CreateEmployment(start, payroll if is_ours and isinstance(payroll, int) else None)


def _operations(
    person: Person, desired: DesiredEmployee, changes: Sequence[Change], *, renumber: bool
) -> tuple[Operation, ...]:
    wanted = {change.field: change.wanted for change in changes}
    operations: list[Operation] = []
    number = desired.employee_number
    if renumber and number is not None and person.employee_number is not None and number != person.employee_number:
        operations.append(ChangeEmployeeNumber(number))
    phone = wanted.get(Field.phone)
    if isinstance(phone, str):
        operations.append(ChangePhoneNumber(phone))
    if employment := _only(wanted, EMPLOYMENT_FIELDS):
        operations.append(UpdateEmployment(employment))
    if profile := _only(wanted, PROFILE_FIELDS):
        operations.append(UpdateEmployee(profile))
    return tuple(operations)


def _only(wanted: Mapping[Field, Value | None], fields: Sequence[Field]) -> dict[Field, Value | None]:
    return {name: wanted[name] for name in fields if name in wanted}
