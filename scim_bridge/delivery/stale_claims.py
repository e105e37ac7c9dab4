"""Stale claims: release a claim when Ditio no longer shows its value with the holder (rule P3)."""

from collections.abc import Iterator
from dataclasses import dataclass

from scim_bridge.delivery.attempt import Attempt
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field
from scim_bridge.domain.person import Claim, ClaimKind, Person
from scim_bridge.domain.values import same
from scim_bridge.errors import DeliveryError, PermanentError, TransientError
from scim_bridge.plan.matching import holders_of, is_ours
from scim_bridge.plan.readback import believed, is_recent
from scim_bridge.plan.steps import leaving, owes_ending
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import NOTHING_DESIRED, acknowledged_claims, wanted_claims


@dataclass(frozen=True, slots=True)
class Holder:
    """The person who has a claim that another waits for, and the desired employee of that person."""

    record: PersonRecord
    desired: DesiredEmployee
    claim: Claim

    @property
    def person(self) -> Person:
        return self.record.person


def release_claim(
    attempt: Attempt,
    holder: Holder,
    *,
    moved_to: EmployeeNumber | None = None,
    exchanged: bool = False,
    unlink: bool = False,
) -> bool:
    """Forget the acknowledged value, release the claim and mark the waiter due, in one transaction.

    Return False if another person has the number that the holder moved to.

    :param moved_to: The number under which the holder was found: the holder's link moves there.
    :param exchanged: Whether holder and waiter exchanged numbers by hand: the waiter's link moves too.
    :param unlink: Whether the holder gives up the link and all claims.
    :raises TransientError: another process delivers the holder now, or the holder has changed since the read. Claims
        change hands when a delivery settles, never between its calls.
    """
    person, claim = holder.person, holder.claim
    with attempt.tenant.write() as s:
        now = s.now
        people, claims, stored = s.people, s.claims, s.acknowledged
        record, outbox = people.get(person.id, lock=True), s.outbox
        is_self = person.id == attempt.person.id
        is_busy = record is not None and not is_self and record.leased_until is not None and record.leased_until > now
        has_moved_on = record is not None and (record.person, record.revision) != (person, holder.record.revision)
        if record is None or is_busy or has_moved_on:
            raise TransientError("the person who has the number or phone is being delivered just now")
        if moved_to is not None:
            claimed_by = claims.holder(Claim(ClaimKind.employee_number, moved_to))
            if claimed_by not in (None, person.id, attempt.person.id if exchanged else None):
                return False
            if exchanged:
                people.part(attempt.person.id)
                held = claims.held_by(attempt.person.id)
                claims.keep_only(attempt.person.id, held - {Claim(ClaimKind.employee_number, moved_to)})
            if not claims.take(person.id, Claim(ClaimKind.employee_number, moved_to)):
                raise TransientError("another person has just claimed the number under which Ditio shows the holder")
            s.link(person.id, moved_to)
            stored.add(person.id, {Field.employee_number: moved_to}, revision=record.revision)
        if exchanged:
            given = EmployeeNumber(claim.value)
            s.link(attempt.person.id, given)
            stored.add(attempt.person.id, {Field.employee_number: given}, revision=attempt.facts.record.revision)
            outbox.mark_due(person.id)
        if unlink:
            s.unlink(person.id)
        elif claim.kind is ClaimKind.phone:
            stored.forget(person.id, Field.phone)
        given_up = {claim}
        if moved_to is not None and person.employee_number is not None:
            given_up.add(Claim(ClaimKind.employee_number, person.employee_number))
        kept = frozenset() if unlink else claims.held_by(person.id) - given_up
        for waiter in {attempt.person.id, *claims.keep_only(person.id, kept)}:
            outbox.mark_due(waiter)
        entry = Entry("claim", "given-up", cause=attempt.cause, request_id=attempt.facts.record.request_id)
        s.history.add(person.id, entry)
    return True


@dataclass(frozen=True, slots=True)
class HolderCheck:
    """The result of reading the holders."""

    has_changed: bool = False
    """Whether a claim was released, and the waiter marked due with it."""

    trouble: DeliveryError | None = None
    """Why a holder could not be read. It is tried again, and must not stop anything else."""


NOT_CHECKED = HolderCheck()


def check_holders(attempt: Attempt) -> HolderCheck:
    """Read the holders of the claims that this person waits for, if `outbox retry` asked for it."""
    has_changed, trouble = False, None
    for claim in sorted(_asked_for(attempt), key=lambda each: each.kind):
        try:
            has_changed |= _check(attempt, claim)
        except PermanentError:
            pass  # Ditio does not show the holder to this API client: the holder keeps the claim.
        except DeliveryError as error:
            trouble = trouble or error
            continue
        with attempt.tenant.write() as s:
            s.claims.looked_at(attempt.person.id, claim)
    return HolderCheck(has_changed, trouble)


def _asked_for(attempt: Attempt) -> frozenset[Claim]:
    with attempt.tenant.read() as s:
        return s.claims.to_look_at(attempt.person.id)


def _check(attempt: Attempt, claim: Claim) -> bool:
    """Read the holder, and also the waiter: others may wait for the waiter's own claim of that kind."""
    with attempt.tenant.read() as s:
        holders = list(_holders(attempt, s, claim))
    return any(_is_released(attempt, holder) for holder in holders)


def _holders(attempt: Attempt, s: Session, claim: Claim) -> Iterator[Holder]:
    """Yield the holders who do not need their claim: an active holder keeps what Entra wants (rule P3)."""
    claims, people = s.claims, s.people
    holder_id = claims.holder(claim)
    looked_at = [(holder_id, claim)] if holder_id is not None else []
    if claims.waiters_for(attempt.person.id, claim.kind):
        held = claims.held_by(attempt.person.id)
        looked_at += [(attempt.person.id, each) for each in held if each.kind is claim.kind]
    for person_id, held_claim in looked_at:
        record = people.get(person_id)
        if record is None or not _has_certain_number(record.person):
            continue
        holder = Holder(record, _desired(attempt, s, record.person), held_claim)
        if held_claim not in _wanted(attempt, holder):
            yield holder


def _has_certain_number(person: Person) -> bool:
    """Return whether the person's number in Ditio is certain: no creation or renumbering is without an answer."""
    return person.employee_number is not None and person.creating is None and person.renumbering is None


def _desired(attempt: Attempt, s: Session, person: Person) -> DesiredEmployee:
    document = document_of(s, person.user_id) if person.user_id else None
    return attempt.tenant.desired(document, person, attempt.today) if document is not None else NOTHING_DESIRED


def _wanted(attempt: Attempt, holder: Holder) -> frozenset[Claim]:
    """Return the claims that Entra wants for the holder; none if the holder is inactive."""
    return wanted_claims(holder.desired) if holder.person.days.wants_employment(attempt.today) else frozenset()


def _is_released(attempt: Attempt, holder: Holder) -> bool:
    """Return whether the holder's claim was released. :raises DeliveryError: that can't be told now."""
    person, number = holder.person, holder.person.employee_number
    if number is None or holder.claim not in acknowledged_claims(person):
        return False
    found = attempt.get(number)
    if found is None or not is_ours(person, holder.desired, found):
        _wait_after_link(attempt, person)
        elsewhere = _elsewhere(attempt, person, number)
        if len(elsewhere) == 1:
            if elsewhere[0].employee_number != attempt.person.employee_number:
                return _is_moved(attempt, holder, elsewhere[0])
            return found is not None and _is_exchanged(attempt, holder, found)
        if elsewhere:
            return False  # Several employees could be this person: an administrator has to decide.
    if found is None:
        return _is_absent(attempt, holder)
    if holder.claim.kind is ClaimKind.phone:
        return not _shows_phone(attempt, holder, found) and release_claim(attempt, holder)
    if person.is_tombstone and leaving(person, found, attempt.tenant.policy, attempt.today).seen:
        _mark_leaver_due(attempt, person)
    return False


def _mark_leaver_due(attempt: Attempt, leaver: Person) -> None:
    """Mark a leaver due who was ended by hand: their delivery acknowledges that and gives up the number (L6, P2)."""
    with attempt.tenant.write() as s:
        s.outbox.mark_due(leaver.id)


def _wait_after_link(attempt: Attempt, person: Person) -> None:
    """Conclude nothing from a read that may be older than the link (rule R4). :raises TransientError: it may be."""
    if person.linked_at is not None and is_recent(person.linked_at, attempt.now(), attempt.tenant.read_lag_seconds):
        raise TransientError(f"employee {person.employee_number} was linked just now, and Ditio may not show it yet")


def _elsewhere(attempt: Attempt, person: Person, number: EmployeeNumber) -> list[ActualEmployee]:
    """Return employees under other numbers with the phone or e-mail acknowledged for the person.

    Leave out those that are linked to a third person.
    """
    found: dict[EmployeeNumber, ActualEmployee] = {}
    for name in (Field.phone, Field.email):
        value = person.acknowledged.values.get(name)
        if isinstance(value, str):
            found |= {each.employee_number: each for each in holders_of(name, value, attempt.search(value))}
    with attempt.tenant.read() as s:
        linked = {other: s.people.linked_to(other) for other in found}
    allowed = (None, attempt.person.id)
    return [
        each
        for other, each in found.items()
        if other and other != number and ((record := linked[other]) and record.person.id) in allowed
    ]


def _is_moved(attempt: Attempt, holder: Holder, found: ActualEmployee) -> bool:
    """Return whether a holder who was renumbered by hand released the claim: the link moves to the new number (P5)."""
    is_lost = holder.claim.kind is ClaimKind.employee_number or not _shows_phone(attempt, holder, found)
    return is_lost and release_claim(attempt, holder, moved_to=found.employee_number)


def _is_exchanged(attempt: Attempt, holder: Holder, found: ActualEmployee) -> bool:
    """Return whether both links moved: holder and waiter were exchanged by hand, each has the other's number now."""
    mine, waiter = attempt.person.employee_number, attempt.person
    is_number = holder.claim.kind is ClaimKind.employee_number
    if mine is None or not is_number or not is_ours(waiter, attempt.desired, found):
        return False
    return release_claim(attempt, holder, moved_to=mine, exchanged=True)


def _is_absent(attempt: Attempt, holder: Holder) -> bool:
    """Return whether a holder who is nowhere in Ditio released the claim: only if they owe no employment or ending.

    The deliveries of other holders report `gone`.
    """
    person = holder.person
    if person.days.wants_employment(attempt.today) and not person.is_tombstone:
        return False
    if owes_ending(person, attempt.tenant.policy):
        return False
    return release_claim(attempt, holder, unlink=holder.claim.kind is ClaimKind.employee_number)


def _shows_phone(attempt: Attempt, holder: Holder, found: ActualEmployee) -> bool:
    """Return whether Ditio still shows the phone, in any form; no phone at all proves nothing (rules C2, C5)."""
    known = holder.person.acknowledged
    shown = believed(found, known, attempt.now(), attempt.tenant.read_lag_seconds).values.get(Field.phone)
    sent = known.sent_values.get(Field.phone)
    forms = (holder.claim.value, sent.form if sent else None)
    return shown is None or any(form is not None and same(Field.phone, form, shown) for form in forms)
