"""Link a user and an employee that existed before the bridge: they become one person (rules P1-P3, H5)."""

from dataclasses import replace
from datetime import date, datetime

from scim_bridge.certificates.entries import give_to, held, outranked
from scim_bridge.certificates.reading import slots_of
from scim_bridge.delivery.certificates import held_up
from scim_bridge.delivery.claims import claim_wanted, settle_claims
from scim_bridge.domain.certificate import Holder, outstanding
from scim_bridge.domain.drift import Pair
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field, Value
from scim_bridge.domain.operations import CreateEmployment, Disable, Enable, EndEmployment
from scim_bridge.domain.outcome import Note, Settled, remarks
from scim_bridge.domain.person import Claim, ClaimKind, Lifecycle, Person
from scim_bridge.domain.values import JsonObject
from scim_bridge.plan.matching import LINKED, agreeing_on_the_first_day, known_by
from scim_bridge.plan.steps import awaited_last_day, plan_person
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import Tenant

MOVED = "this user changed while `adopt` ran: run it again"
IN_DELIVERY = "another process now delivers this person: run `adopt` again"
CREATING = "Ditio may have created this employee already: run `adopt` again once the person's own delivery has ended"
CLAIMED = "another user has the claim to this employee number: see `outbox list`"


def link(s: Session, tenant: Tenant, pair: Pair, found: ActualEmployee | None) -> str | None:
    """Link a pair, unless something changed meanwhile. Return why it could not be linked; None once it is.

    Nothing is sent, now or later: the person is settled, and what differs is left to `reconcile` (rule H5).
    """
    record = s.people.get(pair.person_id, lock=True)
    if (why := _why_not(record, pair, s.now)) is not None:
        return why
    if record is None or record.person.user_id is None or found is None:
        return MOVED
    document = document_of(s, record.person.user_id)
    if document is None:
        return MOVED
    if (why := _claim(s, tenant, record.person, found.employee_number)) is not None:
        return why
    today = tenant.today(s.now)
    linked = replace(record.person, employee_number=found.employee_number, linked_at=s.now)
    desired = tenant.desired(document, linked, today)
    profile_id, linked_as = found.company_profile_id, known_by(desired, found)
    s.link(record.person.id, found.employee_number, profile_id=profile_id, linked_as=linked_as)
    # In the same transaction: later, a worker would deliver the person because of them, and send all that differs.
    give_to(s, record.person.id, found.employee_number)
    linked = _acknowledge(s, tenant, linked, desired, found, record.revision)
    certificates = _about_certificates(s, tenant, linked, document, today)
    _settle(s, tenant, record, linked, desired, today, certificates)
    return None


def _why_not(record: PersonRecord | None, pair: Pair, now: datetime) -> str | None:
    if record is None or record.revision != pair.revision or record.person.employee_number is not None:
        return MOVED
    if record.person.creating is not None:
        return CREATING
    is_leased = record.leased_until is not None and record.leased_until > now
    return IN_DELIVERY if is_leased else None


def _claim(s: Session, tenant: Tenant, person: Person, number: EmployeeNumber) -> str | None:
    claims, claim = s.claims, Claim(ClaimKind.employee_number, number)
    if claims.holder(claim) not in (None, person.id):
        return CLAIMED
    if not claims.take(person.id, claim):
        return CLAIMED
    # The claim was free, or this person's already: no other person can be linked meanwhile.
    return None if s.people.linked_to(number) is None else LINKED


def _acknowledge(
    s: Session, tenant: Tenant, person: Person, desired: DesiredEmployee, found: ActualEmployee, revision: int
) -> Person:
    """Acknowledge the fields that agree, and login and employment as Entra wants them; the rest is drift (H5).

    For a person in doubt Entra's next write decides: what it wants is not known yet (rule L3).
    """
    today = tenant.today(s.now)
    agreed = agreeing_on_the_first_day(person, desired, found, tenant.policy, today)
    sources = {name: desired.sources[name] for name in agreed if name in desired.sources}
    is_wanted = None if person.days.is_doubtful else person.days.wants_employment(today)
    steps = plan_person(person, desired, found, tenant.policy, today=today).lifecycle
    linked = {
        Lifecycle.login: any(isinstance(step, Disable | Enable) for step in steps),
        Lifecycle.employment: any(isinstance(step, EndEmployment | CreateEmployment) for step in steps),
    }
    s.acknowledged.add(
        person.id, agreed, sources=sources, login=is_wanted, employed=is_wanted, linked=linked, revision=revision
    )
    _claim_phone(s, tenant, person, agreed)
    acknowledged = person.acknowledged.after(
        agreed, sources=sources, sent_values={}, login=is_wanted, employed=is_wanted, changed_at=None
    )
    return replace(person, acknowledged=acknowledged)


def _claim_phone(s: Session, tenant: Tenant, person: Person, agreed: dict[Field, Value | None]) -> None:
    """Claim the phone that Ditio shows, for a leaver too, if no one else has it or waits for it (rules P3, L7)."""
    phone = agreed.get(Field.phone)
    if isinstance(phone, str):
        s.claims.take_if_unwanted(person.id, Claim(ClaimKind.phone, phone))


def _about_certificates(s: Session, tenant: Tenant, person: Person, document: JsonObject, today: date) -> list[Note]:
    """Return the notes that a delivery would make about certificates that can't be sent (rule K1)."""
    number = person.employee_number
    if number is None or not person.days.wants_employment(today):
        return []
    lines = s.ledger.lines(Holder.of_person(person.id))
    readings = slots_of(document, tenant.slots, tenant.certificate_terms(today))
    return [*held(readings), *outranked(lines), *held_up(outstanding(lines, number, tenant.certificates))]


def _settle(
    s: Session,
    tenant: Tenant,
    record: PersonRecord,
    person: Person,
    desired: DesiredEmployee,
    today: date,
    certificates: list[Note],
) -> None:
    notes = [*claim_wanted(s, tenant, person, desired, today), *certificates]
    settle_claims(s, tenant, person, desired, today, keep_all=False)
    s.history.add(person.id, Entry("adopted", "done", cause="operator"))
    outbox = s.outbox
    if record.lease is not None:
        # The lease has expired. It is removed, so that the process that had it finds it lost (rule D1).
        outbox.release(person.id, record.lease)
    if person.hands_off is not None and person.hands_off.lasts(today):
        return  # Deliveries to this person stay stopped (rule D6).
    last_day = awaited_last_day(person, tenant.policy, today)
    settled = Settled((*notes, *remarks(person, desired, last_day=last_day)))
    outbox.settle(person.id, state=settled.state, reason=settled.reason, detail=settled.detail)
