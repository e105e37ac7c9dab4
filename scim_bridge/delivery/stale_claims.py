"""A claim is released when Ditio no longer shows its value with the holder (rule P3)."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from scim_bridge.delivery.attempt import Attempt
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field
from scim_bridge.domain.person import Claim, ClaimKind, Person
from scim_bridge.domain.values import same
from scim_bridge.errors import DeliveryError, PermanentError, TransientError
from scim_bridge.plan.matching import holders_of, is_ours, is_still_ours
from scim_bridge.plan.readback import believed, is_recent
from scim_bridge.plan.steps import leaving, owes_ending
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, PersonRecord
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import NOTHING_DESIRED, acknowledged_claims, wanted_claims


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a value that is waited for, and what Entra wants for him."""

    record: PersonRecord
    desired: DesiredEmployee
    claim: Claim

    @property
    def person(self) -> Person:
        """The person."""
        return self.record.person


def release_claim(
    attempt: Attempt,
    holder: Holder,
    *,
    moved_to: EmployeeNumber | None = None,
    exchanged: bool = False,
    unlink: bool = False,
) -> bool:
    """The acknowledged value is forgotten, the claim released and the waiter due, all at once.

    :raises TransientError: somebody delivers the holder just now, or he has changed since he was read: claims change
        hands when a delivery settles, never between its calls.
    """
    name, person, claim = attempt.tenant.name, holder.person, holder.claim
    with attempt.database.write() as connection:
        now = attempt.database.now(connection)
        people, claims, stored = People(connection, name), Claims(connection, name), Acknowledgements(connection, name)
        record, outbox = people.get(person.id, lock=True), Outbox(connection, name, now)
        is_self = person.id == attempt.person.id
        is_busy = record is not None and not is_self and record.leased_until is not None and record.leased_until > now
        has_moved_on = record is not None and (record.person, record.revision) != (person, holder.record.revision)
        if record is None or is_busy or has_moved_on:
            raise TransientError("the holder of what is waited for is being delivered just now")
        if moved_to is not None:
            claimed_by = claims.holder(Claim(ClaimKind.employee_number, moved_to))
            if claimed_by not in (None, person.id, attempt.person.id if exchanged else None):
                return False
            if exchanged:
                people.part(attempt.person.id)
                held = claims.held_by(attempt.person.id)
                claims.keep_only(attempt.person.id, held - {Claim(ClaimKind.employee_number, moved_to)})
            if not claims.take(person.id, Claim(ClaimKind.employee_number, moved_to)):
                raise TransientError("somebody claimed the number just now under which the holder is found")
            people.link(person.id, moved_to, now=now)
            stored.add(person.id, {Field.employee_number: moved_to}, revision=record.revision, now=now)
        if exchanged:
            given = EmployeeNumber(claim.value)
            people.link(attempt.person.id, given, now=now)
            stored.add(attempt.person.id, {Field.employee_number: given}, revision=attempt.revision, now=now)
            outbox.mark_due(person.id)
        if unlink:
            people.unlink(person.id)
        elif claim.kind is ClaimKind.phone:
            stored.forget(person.id, Field.phone)
        given_up = {claim}
        if moved_to is not None and person.employee_number is not None:
            given_up.add(Claim(ClaimKind.employee_number, person.employee_number))
        kept = frozenset() if unlink else claims.held_by(person.id) - given_up
        for waiter in {attempt.person.id, *claims.keep_only(person.id, kept)}:
            outbox.mark_due(waiter)
        entry = Entry("claim", "given-up", cause=attempt.cause, request_id=attempt.request_id)
        History(connection, name, now).add(person.id, entry)
    return True


@dataclass(frozen=True, slots=True)
class HolderCheck:
    """What came of looking at the holders."""

    has_changed: bool = False
    """Whether something was given up: the waiter was marked due with it."""

    trouble: DeliveryError | None = None
    """Why somebody could not be read; it is tried again, and must stop nothing else."""


def check_holders(attempt: Attempt) -> HolderCheck:
    """Read the holders of what the person waits for, if `outbox retry` asked for it."""
    if not attempt.waits_for_claim:
        return HolderCheck()
    has_changed, trouble = False, None
    for claim in sorted(_asked_for(attempt), key=lambda each: each.kind):
        try:
            has_changed |= _look(attempt, claim)
        except PermanentError:
            pass  # Ditio shows nothing of him to this client: the value stays his.
        except DeliveryError as error:
            trouble = trouble or error
            continue
        with attempt.database.write() as connection:
            Claims(connection, attempt.tenant.name).looked_at(attempt.person.id, claim)
    return HolderCheck(has_changed, trouble)


def is_theirs(attempt: Attempt, found: ActualEmployee) -> bool:
    """Whether the employee who was just read under the person's number is this person still (rule P5)."""

    def has_phone_of_another() -> bool:
        with attempt.database.read() as connection:
            return belongs_to_another(connection, attempt.tenant.name, attempt.person, found)

    return is_still_ours(attempt.person, attempt.desired, found, has_phone_of_another)


def belongs_to_another(connection: Connection, tenant: str, person: Person, found: ActualEmployee) -> bool:
    """Whether the phone of an employee is that of another person whom we know: renumbered by hand (rule P5)."""
    phone = found.values.get(Field.phone)
    if not isinstance(phone, str):
        return False
    holder_id = Claims(connection, tenant).holder(Claim(ClaimKind.phone, phone))
    holder = People(connection, tenant).get(holder_id) if holder_id is not None else None
    return holder is not None and holder.person.id != person.id and holder.person.acknowledged.phone == phone


def wait_where_given_up_just_now(attempt: Attempt, field: Field, shown_by: ActualEmployee, value: str) -> None:
    """Believe no read that still shows a value with an employee who was given another a moment ago (rules C5, R4).

    :raises TransientError: it is too early to tell.
    """
    with attempt.database.read() as connection:
        record = People(connection, attempt.tenant.name).linked_to(shown_by.employee_number)
        now = attempt.database.now(connection)
    known = record.person.acknowledged if record is not None else None
    taking = known.sent_values.get(field) if known is not None else None
    if known is None or taking is None or same(field, known.values.get(field), value):
        return
    if is_recent(taking.at, now, attempt.tenant.read_lag_seconds):
        raise TransientError(f"employee {shown_by.employee_number} was given another {field} just now")


def _asked_for(attempt: Attempt) -> frozenset[Claim]:
    with attempt.database.read() as connection:
        return Claims(connection, attempt.tenant.name).to_look_at(attempt.person.id)


def _look(attempt: Attempt, claim: Claim) -> bool:
    """Look at who has the value, and at the waiter himself: others may wait for what he has of that kind."""
    with attempt.database.read() as connection:
        holders = list(_holders(attempt, connection, claim))
    return any(_gives_up(attempt, holder) for holder in holders)


def _holders(attempt: Attempt, connection: Connection, claim: Claim) -> Iterator[Holder]:
    """Those who have a value and do not want it: what an active holder wants stays his (rule P3)."""
    claims, people = Claims(connection, attempt.tenant.name), People(connection, attempt.tenant.name)
    holder_id = claims.holder(claim)
    looked_at = [(holder_id, claim)] if holder_id is not None else []
    if claims.waiters_for(attempt.person.id, claim.kind):
        held = claims.held_by(attempt.person.id)
        looked_at += [(attempt.person.id, each) for each in held if each.kind is claim.kind]
    for person_id, held_claim in looked_at:
        record = people.get(person_id)
        if record is None or not _can_be_looked_at(record.person):
            continue
        holder = Holder(record, _wish(attempt, connection, record.person), held_claim)
        if held_claim not in _wanted(attempt, holder):
            yield holder


def _can_be_looked_at(person: Person) -> bool:
    """Whether it is certain where he is: no creation and no renumbering of his is without an answer."""
    return person.employee_number is not None and person.creating is None and person.renumbering is None


def _wish(attempt: Attempt, connection: Connection, person: Person) -> DesiredEmployee:
    document = document_of(connection, attempt.tenant.name, person.user_id) if person.user_id else None
    return attempt.tenant.desired(document, person, attempt.today) if document is not None else NOTHING_DESIRED


def _wanted(attempt: Attempt, holder: Holder) -> frozenset[Claim]:
    """What Entra wants for him; of somebody inactive it does not count."""
    return wanted_claims(holder.desired) if holder.person.days.wants_employment(attempt.today) else frozenset()


def _gives_up(attempt: Attempt, holder: Holder) -> bool:
    """Whether the holder gave the value up. :raises DeliveryError: that can't be told now."""
    person, number = holder.person, holder.person.employee_number
    if number is None or holder.claim not in acknowledged_claims(person):
        return False
    found = attempt.get(number)
    if found is None or not is_ours(person, holder.desired, found):
        _wait_for_lag(attempt, person)
        elsewhere = _elsewhere(attempt, person, number)
        if len(elsewhere) == 1:
            if elsewhere[0].employee_number != attempt.person.employee_number:
                return _is_moved(attempt, holder, elsewhere[0])
            return found is not None and _is_exchanged(attempt, holder, found)
        if elsewhere:
            return False  # Several could be he: an administrator has to say.
    if found is None:
        return _is_absent(attempt, holder)
    if holder.claim.kind is ClaimKind.phone:
        return not _shows_phone(attempt, holder, found) and release_claim(attempt, holder)
    if person.is_tombstone and leaving(person, found, attempt.tenant.policy, attempt.today).seen:
        _have_it_settled(attempt, person)
    return False


def _have_it_settled(attempt: Attempt, leaver: Person) -> None:
    """He was ended by hand: his own delivery acknowledges that, and makes room for the waiter (rules L6, P2)."""
    with attempt.database.write() as connection:
        Outbox(connection, attempt.tenant.name, attempt.database.now(connection)).mark_due(leaver.id)


def _wait_for_lag(attempt: Attempt, person: Person) -> None:
    """Conclude nothing from a read that may be older than the link (rule R4). :raises TransientError: it may be."""
    if person.linked_at is not None and is_recent(person.linked_at, attempt.now(), attempt.tenant.read_lag_seconds):
        raise TransientError(f"employee {person.employee_number} was linked just now, and may not be shown yet")


def _elsewhere(attempt: Attempt, person: Person, number: EmployeeNumber) -> list[ActualEmployee]:
    """Employees under other numbers, nobody's or the waiter's, with the phone or e-mail acknowledged for him."""
    found: dict[EmployeeNumber, ActualEmployee] = {}
    for name in (Field.phone, Field.email):
        value = person.acknowledged.values.get(name)
        if isinstance(value, str):
            found |= {each.employee_number: each for each in holders_of(name, value, attempt.search(value))}
    with attempt.database.read() as connection:
        people = People(connection, attempt.tenant.name)
        linked = {other: people.linked_to(other) for other in found}
    allowed = (None, attempt.person.id)
    return [
        each
        for other, each in found.items()
        if other != number and ((record := linked[other]) and record.person.id) in allowed
    ]


def _is_moved(attempt: Attempt, holder: Holder, found: ActualEmployee) -> bool:
    """He was renumbered by hand: the link moves, and with it he gives the old number up (rule P5)."""
    is_lost = holder.claim.kind is ClaimKind.employee_number or not _shows_phone(attempt, holder, found)
    return is_lost and release_claim(attempt, holder, moved_to=found.employee_number)


def _is_exchanged(attempt: Attempt, holder: Holder, found: ActualEmployee) -> bool:
    """The two were exchanged by hand: each is under the other's number now, and both links move at once."""
    mine, waiter = attempt.person.employee_number, attempt.person
    is_number = holder.claim.kind is ClaimKind.employee_number
    if mine is None or not is_number or not is_ours(waiter, attempt.desired, found):
        return False
    return release_claim(attempt, holder, moved_to=mine, exchanged=True)


def _is_absent(attempt: Attempt, holder: Holder) -> bool:
    """He is nowhere in Ditio. One for whom nothing is owed any more gives up; anybody else is for `gone` to tell."""
    person = holder.person
    if person.days.wants_employment(attempt.today) and not person.is_tombstone:
        return False
    if owes_ending(person, attempt.tenant.policy):
        return False
    return release_claim(attempt, holder, unlink=holder.claim.kind is ClaimKind.employee_number)


def _shows_phone(attempt: Attempt, holder: Holder, found: ActualEmployee) -> bool:
    """Whether Ditio shows the value still, in whatever form; what is not shown at all is unknown (rules C2, C5)."""
    known = holder.person.acknowledged
    shown = believed(found, known, attempt.now(), attempt.tenant.read_lag_seconds).values.get(Field.phone)
    taking = known.sent_values.get(Field.phone)
    forms = (holder.claim.value, taking.form if taking else None)
    return shown is None or any(form is not None and same(Field.phone, form, shown) for form in forms)
