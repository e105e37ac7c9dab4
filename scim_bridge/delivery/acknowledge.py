"""What Ditio accepted is stored at once, and before a call what a lost answer could not tell (rules C4, C5, D1, P6)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.attempt import CERTIFICATES, Errand
from scim_bridge.delivery.guard import settle_guarded
from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Value
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
    OperationName,
)
from scim_bridge.domain.person import Creating, Person, Standing, Taking
from scim_bridge.plan.limits import settled_occasions
from scim_bridge.plan.matching import known_by
from scim_bridge.plan.readback import Write, takings_of
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.ledger import CertificateDeliveries
from scim_bridge.storage.people import People


def acknowledge(
    errand: Errand,
    values: Mapping[Field, Value | None] | None = None,
    *,
    login: bool | None = None,
    employed: bool | None = None,
    link: EmployeeNumber | None = None,
    employee: FoundEmployee | None = None,
    write: Write | None = None,
    learned: Mapping[Field, Taking] | None = None,
) -> None:
    """Keep what Ditio took, or was seen to have, and with `link` whose employee it is. Committed at once.

    :param employee: With `link`, the employee as it was shown, if it was: what tells who it is (rule P5).
    :param write: What is known of the write that Ditio took; None for what was only read.
    :param learned: What a read tells of values that Ditio took earlier (rule C2).
    """
    known, learned = errand.person.acknowledged, learned or {}
    values = values or {}
    sources = {name: errand.wish.sources[name] for name in values if name in errand.wish.sources}
    settled = settled_occasions(errand.person, errand.wish, values)

    profile_id = employee.company_profile_id if employee is not None else None
    linked_as = known_by(errand.wish, employee) if employee is not None else None

    def keep(connection: Connection, now: datetime) -> Person:
        takings = {**takings_of(known, values, write, now), **learned}
        if link is not None:
            people = People(connection, errand.tenant.name)
            people.link(errand.person.id, link, profile_id=profile_id, linked_as=linked_as, now=now)
        stored = Acknowledgements(connection, errand.tenant.name)
        stored.add(
            errand.person.id,
            values,
            sources=sources,
            takings=takings,
            login=login,
            employed=employed,
            is_written=write is not None,
            revision=errand.revision,
            now=now,
        )
        stored.learn(errand.person.id, learned)
        after = known.after(
            values,
            sources=sources,
            takings=takings,
            login=login,
            employed=employed,
            changed_at=now if write is not None else None,
        )
        person = replace(errand.person, acknowledged=after)
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
        guard = Guard(connection, errand.tenant.name, now)
        settle_guarded(guard, person, errand.tenant.policy, settled, login=login, employed=employed)
        return person

    errand.person = errand.write(keep)


_STANDING: Mapping[str, Standing] = {
    OperationName.disable: Standing.login,
    OperationName.enable: Standing.login,
    OperationName.end_employment: Standing.employment,
    OperationName.create_employment: Standing.employment,
}


def expect(errand: Errand, operation: Operation) -> None:
    """Store what can't be told from what is shown, should the answer be lost."""
    match operation:
        case ChangeEmployeeNumber(employee_number=number):
            store_renumbering(errand, number)
        case Disable() | Enable():
            _doubt(errand, Standing.login)
        case EndEmployment() | CreateEmployment():
            _doubt(errand, Standing.employment)
        case _:
            pass


def begin_creating(errand: Errand, creating: Creating) -> None:
    """Store what is about to be POSTed, before it is, and when (rule P6)."""

    def begin(connection: Connection, now: datetime) -> Creating:
        begun = replace(creating, at=now)
        People(connection, errand.tenant.name).set_creating(errand.person.id, begun)
        return begun

    errand.person = replace(errand.person, creating=errand.write(begin))


def store_creating(errand: Errand, creating: Creating | None) -> None:
    """Store an earlier POST again, whose answer is not known still; None forgets it."""
    errand.write(lambda connection, _: People(connection, errand.tenant.name).set_creating(errand.person.id, creating))
    errand.person = replace(errand.person, creating=creating)


def store_renumbering(errand: Errand, number: EmployeeNumber | None) -> None:
    """Store the number that is about to be given, before it is (rule P6); None forgets it."""
    errand.write(lambda connection, _: People(connection, errand.tenant.name).set_renumbering(errand.person.id, number))
    errand.person = replace(errand.person, renumbering=number)


def leave_in_doubt(connection: Connection, errand: Errand, now: datetime) -> None:
    """Store that nothing is known of what this delivery sent: its lease is lost, or the database was (rules C5, D1).

    The person of a creation stays: where the row is gone meanwhile it is put back, as a deleted user's, so that the
    employee whom the creation may have made is found, linked and offboarded (rule P6).
    """
    person, people = errand.person, People(connection, errand.tenant.name)
    record = people.get(person.id, lock=True)
    if record is None and errand.posted is None:
        return
    if record is None:
        days = replace(person.days, active=False, inactive_since=person.days.inactive_since or errand.today)
        people.add(replace(person, user_id=None, days=days), external_id=None, wakes_on=None, now=now)
        people.set_user(person.id, None, external_id=None, now=now)
    if errand.posted is not None and (record is None or record.person.employee_number is None):
        people.set_creating(person.id, replace(errand.posted, at=now))
    is_linked_alike = record is not None and record.person.employee_number == person.employee_number
    if OperationName.change_employee_number in errand.unsettled and is_linked_alike:
        people.set_renumbering(person.id, person.renumbering)
    people.doubt(person.id, now)
    stored = Acknowledgements(connection, errand.tenant.name)
    for standing in {_STANDING[what] for what in errand.unsettled if what in _STANDING}:
        stored.doubt(person.id, standing, revision=errand.revision, now=now)
    if CERTIFICATES in errand.unsettled:
        CertificateDeliveries(connection, errand.tenant.name).mark_stale(person.id)


def _doubt(errand: Errand, standing: Standing) -> None:
    """Note that login or employment is about to be changed. If the answer is lost, what Entra wants then is
    compared with what Ditio shows, not with what was acknowledged before (rules C4, R4).
    """

    def doubt(connection: Connection, now: datetime) -> None:
        stored = Acknowledgements(connection, errand.tenant.name)
        stored.doubt(errand.person.id, standing, revision=errand.revision, now=now)

    errand.write(doubt)
    errand.person = replace(errand.person, acknowledged=errand.person.acknowledged.doubting(standing))
