"""Leaving: the offboarding steps that are owed, and when the employment is ended (rules L2, L5-L7)."""

from dataclasses import dataclass, field
from datetime import date, timedelta

from scim_bridge.domain.employee import Field, FoundEmployee, Value
from scim_bridge.domain.employment import Employment, last_end, running_employment
from scim_bridge.domain.operations import Disable, EndEmployment, Operation
from scim_bridge.domain.person import Person
from scim_bridge.plan.changes import Seen
from scim_bridge.plan.policy import Policy, Step


@dataclass(frozen=True, slots=True)
class Leaving:
    """What somebody who leaves needs now."""

    operations: tuple[Operation, ...] = ()
    seen: Seen = field(default_factory=Seen)
    last_day: date | None = None
    """The day that has to be over before the employment is ended (rule L5); None where nothing waits for a day."""


def leaving(person: Person, found: FoundEmployee, policy: Policy, today: date) -> Leaving:
    """The offboarding steps that are not acknowledged yet, in their configured order."""
    operations: list[Operation] = []
    login = employed = awaited = None
    values: dict[Field, Value | None] = {}
    for step in policy.offboarding:
        if step is Step.end_employment and person.acknowledged.employed is not False:
            running = running_employment(found.employments or (), today)
            ending = _ending(person, running)
            if found.employments is not None and (running is None or _ends_as_wanted(running, ending)):
                # Found ended, on whatever day: that counts, and that day is acknowledged (rule L6).
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
    return Leaving(tuple(operations), Seen(login, employed, values), awaited)


def owes_ending(person: Person, policy: Policy) -> bool:
    """Whether any offboarding step is not acknowledged yet."""
    return _owes_end(person, policy) or _owes_disabling(person, policy)


def is_still_active(person: Person, policy: Policy, today: date, *, awaits_last_day: bool) -> bool:
    """Whether a linked leaver is still active in Ditio, although he ought not to be (rule L6).

    :param awaits_last_day: Whether his employment is ended later, as it should be (rule L5).
    """
    if person.employee_number is None or person.days.is_doubtful:
        return False
    if not person.is_tombstone and person.days.wants_employment(today):
        return False
    return _owes_disabling(person, policy) or (_owes_end(person, policy) and not awaits_last_day)


def awaited_last_day(person: Person, policy: Policy, today: date) -> date | None:
    """The day that has to be over before the employment of a leaver is ended, as far as is known without Ditio."""
    if not policy.after_last_day or not _owes_end(person, policy):
        return None
    if person.employee_number is None and person.creating is None:
        return None
    if not person.is_tombstone and person.days.wants_employment(today):
        return None
    last_day = person.days.last_day(person.acknowledged.day(Field.start_date))
    return last_day if last_day is not None and last_day >= today else None


def wakes_on(person: Person, policy: Policy, today: date) -> date | None:
    """The day on which a person is due by himself: the day after a leave date, or after a last day (rules L2, L5)."""
    last_day = awaited_last_day(person, policy, today)
    return person.days.wakes_on(today) if last_day is None else last_day + timedelta(days=1)


def _owes_end(person: Person, policy: Policy) -> bool:
    return Step.end_employment in policy.offboarding and person.acknowledged.employed is not False


def _owes_disabling(person: Person, policy: Policy) -> bool:
    return Step.disable in policy.offboarding and person.acknowledged.login is not False


def _ends_as_wanted(running: Employment, ending: EndEmployment | None) -> bool:
    """Whether an employment that runs has its end already, on the wanted day or before it."""
    return running.end is not None and ending is not None and running.end <= ending.last_day


def _ending(person: Person, current: Employment | None) -> EndEmployment | None:
    start = current.start if current is not None else person.acknowledged.day(Field.start_date)
    last_day = person.days.last_day(start)
    return EndEmployment(last_day) if last_day is not None else None
