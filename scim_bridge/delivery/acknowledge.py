"""Acknowledgements: keep what Ditio accepted, and store before a call what a lost answer hides (C4, C5, D1, P6)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from scim_bridge.delivery.attempt import CERTIFICATES, Attempt
from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber, Field, Value
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
    OperationName,
)
from scim_bridge.domain.person import Creating, GuardedChange, Lifecycle, Person, SentValue
from scim_bridge.plan.limits import settled_occasions
from scim_bridge.plan.matching import known_by
from scim_bridge.plan.readback import Write, sent_values_of
from scim_bridge.plan.steps import Policy, owes_ending
from scim_bridge.storage.database import Session
from scim_bridge.storage.guard import Guard


def acknowledge(
    attempt: Attempt,
    values: Mapping[Field, Value | None] | None = None,
    *,
    login: bool | None = None,
    employed: bool | None = None,
    link: EmployeeNumber | None = None,
    employee: ActualEmployee | None = None,
    write: Write | None = None,
    learned: Mapping[Field, SentValue] | None = None,
) -> None:
    """Keep what Ditio accepted or showed, and with `link` whose employee it is. It is stored before the next call.

    :param link: The employee number to link the person to.
    :param employee: With `link`, the employee as Ditio showed it, if it did: it identifies the person (rule P5).
    :param write: What is known of the accepted write; None for what was only read.
    :param learned: What a read shows of values that Ditio accepted earlier (rule C2).
    """
    known, learned = attempt.person.acknowledged, learned or {}
    values = values or {}
    sources = {name: attempt.desired.sources[name] for name in values if name in attempt.desired.sources}
    settled = settled_occasions(attempt.person, attempt.desired, values)
    profile_id = employee.company_profile_id if employee is not None else None
    linked_as = known_by(attempt.desired, employee) if employee is not None else None
    now, revision = attempt.now(), attempt.facts.record.revision
    sent_values = {**sent_values_of(known, values, write, now), **learned}
    after = known.after(
        values,
        sources=sources,
        sent_values=sent_values,
        login=login,
        employed=employed,
        changed_at=now if write is not None else None,
    )
    person = replace(attempt.person, acknowledged=after)
    if link is not None:
        person = replace(
            person,
            employee_number=link,
            linked_at=now,
            company_profile_id=profile_id or person.company_profile_id,
            linked_as=person.linked_as if linked_as is None else linked_as,
            creating=None,
            renumbering=None,
        )

    def store(s: Session) -> None:
        s = s.at(now)
        if link is not None:
            s.link(person.id, link, profile_id=profile_id, linked_as=linked_as)
        s.acknowledged.add(
            person.id,
            values,
            sources=sources,
            sent_values=sent_values,
            login=login,
            employed=employed,
            is_written=write is not None,
            revision=revision,
        )
        s.acknowledged.learn(person.id, learned)
        settle_guarded(s.guard, person, attempt.tenant.policy, settled, login=login, employed=employed)

    attempt.keep(store, person)


_LIFECYCLE_OF: Mapping[str, Lifecycle] = {
    OperationName.disable: Lifecycle.login,
    OperationName.enable: Lifecycle.login,
    OperationName.end_employment: Lifecycle.employment,
    OperationName.create_employment: Lifecycle.employment,
}


def expect(attempt: Attempt, operation: Operation) -> None:
    """Store before an operation what no later read could show if its answer is lost."""
    match operation:
        case ChangeEmployeeNumber(employee_number=number):
            store_renumbering(attempt, number)
        case Disable() | Enable():
            _doubt(attempt, Lifecycle.login)
        case EndEmployment() | CreateEmployment():
            _doubt(attempt, Lifecycle.employment)
        case _:
            pass


def begin_creating(attempt: Attempt, creating: Creating) -> Callable[[Session], None]:
    """Return what stores, just before the POST, what is about to be POSTed, and when (rule P6)."""

    def begin(s: Session) -> None:
        begun = replace(creating, at=s.now)
        s.people.set_creating(attempt.person.id, begun)
        attempt.person = replace(attempt.person, creating=begun)

    return begin


def store_creating(attempt: Attempt, creating: Creating | None) -> None:
    """Store an earlier POST again, whose answer is still not known; None forgets it."""
    attempt.write(lambda s: s.people.set_creating(attempt.person.id, creating))
    attempt.person = attempt.stored = replace(attempt.person, creating=creating)


def store_renumbering(attempt: Attempt, number: EmployeeNumber | None) -> None:
    """Store the new number before the renumbering is sent (rule P6); None forgets it."""
    attempt.write(lambda s: s.people.set_renumbering(attempt.person.id, number))
    attempt.person = attempt.stored = replace(attempt.person, renumbering=number)


def leave_in_doubt(s: Session, attempt: Attempt) -> None:
    """Store that the outcome of this delivery's writes is unknown: its lease or the database was lost (rules C5, D1).

    Keep the person of a creation. If the row was removed meanwhile, put it back as a deleted user's. So the employee
    that the creation may have made is found, linked and offboarded (rule P6).
    """
    person, people = attempt.stored, s.people
    record = people.get(person.id, lock=True)
    if record is None and attempt.posted is None:
        return
    if record is None:
        days = replace(person.days, active=False, inactive_since=person.days.inactive_since or attempt.today)
        people.add(replace(person, user_id=None, days=days), external_id=None, wakes_on=None)
        people.set_user(person.id, None, external_id=None)
    if attempt.posted is not None and (record is None or record.person.employee_number is None):
        people.set_creating(person.id, replace(attempt.posted, at=s.now))
    is_linked_alike = record is not None and record.person.employee_number == person.employee_number
    if OperationName.change_employee_number in attempt.unanswered and is_linked_alike:
        people.set_renumbering(person.id, person.renumbering)
    people.doubt(person.id, s.now)
    for lifecycle in {_LIFECYCLE_OF[what] for what in attempt.unanswered if what in _LIFECYCLE_OF}:
        s.acknowledged.doubt(person.id, lifecycle, revision=attempt.facts.record.revision)
    if CERTIFICATES in attempt.unanswered:
        s.certificate_deliveries.mark_stale(person.id)


def _doubt(attempt: Attempt, lifecycle: Lifecycle) -> None:
    """Note that login or employment is about to change.

    If the answer is lost, the next comparison uses what Ditio shows, not what was acknowledged before (rules C4, R4).
    """

    def doubt(s: Session) -> None:
        s.acknowledged.doubt(attempt.person.id, lifecycle, revision=attempt.facts.record.revision)

    attempt.write(doubt)
    attempt.person = attempt.stored = replace(
        attempt.person, acknowledged=attempt.person.acknowledged.uncertain_about(lifecycle)
    )


def settle_guarded(
    guard: Guard,
    person: Person,
    policy: Policy,
    settled: Iterable[tuple[GuardedChange, datetime]],
    *,
    login: bool | None,
    employed: bool | None,
) -> None:
    """Forget the guard's decisions about changes that Ditio has by now: they are not held or withdrawn any more.

    :param person: The person, with what is acknowledged by now.
    :param settled: The changes that are settled, and when they were requested.
    :param login: The login that was just acknowledged; likewise `employed`.
    """
    for kind, said_at in settled:
        guard.settle_occasion(kind, person.id, said_at)
    if False in (login, employed) and not owes_ending(person, policy):
        guard.forgive(GuardedChange.ending, person.id)
