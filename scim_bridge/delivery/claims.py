"""Claims to numbers and phones: who has them, who waits, swaps, continuing a previous person (rules P2, P3)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from scim_bridge.certificates.entries import give_up
from scim_bridge.delivery.attempt import Attempt
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, Field
from scim_bridge.domain.outcome import Note, Reason, printable
from scim_bridge.domain.person import Claim, ClaimKind, GuardedChange, Person, PersonId, Verdict
from scim_bridge.domain.values import JsonObject, same
from scim_bridge.errors import TransientError
from scim_bridge.plan.readback import is_recent
from scim_bridge.plan.steps import owes_ending
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.database import Session
from scim_bridge.storage.guard import held_or_dropped
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import user_names
from scim_bridge.tenant import Tenant, acknowledged_claims, wanted_claims

LONGEST_RING = 100
"""How many people a ring has at most; a longer one is not found."""

MOST_NAMED = 4
"""How many people of a ring a note names: its text has to fit into the detail."""

LONGEST_NAME = 60


def swap_note(s: Session, tenant: Tenant, person_id: PersonId, claim: Claim) -> Note | None:
    """Return the note for people who wait in a ring for each other's value; None if this person waits in no ring."""
    ring = ring_of(s.claims, person_id, claim)
    if not ring:
        return None
    names = [called(s, tenant, each) for each in ring[:MOST_NAMED]]
    more = [f"{len(ring) - MOST_NAMED} more"] if len(ring) > MOST_NAMED else []
    who = _listed([*names, *more])
    return Note(f"these swap {_WORDS[claim.kind]}, {who}: change one in Ditio, then `outbox retry`", Reason.claimed)


def tell_the_rest(s: Session, tenant: Tenant, person_id: PersonId) -> None:
    """Mark the other people of a ring due if their detail does not name the ring yet.

    Skip people who are being delivered: two deliveries that mark each other due must not wait for each other.
    """
    claims, outbox = s.claims, s.outbox
    for claim in claims.awaited_by(person_id):
        note = swap_note(s, tenant, person_id, claim)
        if note is None:
            continue
        others = [each for each in ring_of(claims, person_id, claim) if each != person_id]
        for untold in claims.untold(others, printable(note.text)):
            outbox.mark_due(untold)


def ring_of(claims: Claims, person_id: PersonId, claim: Claim) -> Sequence[PersonId]:
    """Return the people who wait in a ring for each other's value of one kind; empty if there is no ring.

    The order is the same for all of them.
    """
    ring = [person_id]
    holder = claims.holder(claim)
    while holder is not None and holder not in ring and len(ring) < LONGEST_RING:
        ring.append(holder)
        holder = next((who for what, who in claims.awaited_by(holder).items() if what.kind is claim.kind), None)
    return sorted(ring) if holder == person_id and len(ring) > 1 else []


def called(s: Session, tenant: Tenant, person_id: PersonId) -> str:
    """Return how notes name a person by id: their user name and their employee."""
    record = s.people.get(person_id)
    return named(s, tenant, record.person) if record is not None else "an unknown user"


def named(s: Session, tenant: Tenant, person: Person) -> str:
    """Return how notes name a person: their user name and their employee."""
    names = user_names(s, [person.user_id]) if person.user_id else {}
    name = names.get(person.user_id, "an unknown user") if person.user_id else "a deleted user"
    short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return f"{short} (employee {person.employee_number})" if person.employee_number else short


_WORDS = {ClaimKind.employee_number: "employee numbers", ClaimKind.phone: "phone numbers"}


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"


WORDS = {ClaimKind.employee_number: "employee number", ClaimKind.phone: "phone"}


def claim_wanted(s: Session, tenant: Tenant, person: Person, desired: DesiredEmployee, today: date) -> list[Note]:
    """Claim the desired values of a person who is to be employed. Return a note for each that another person has."""
    claims = s.claims
    wanted = wanted_claims(desired) if _claims_desired(person, today) else frozenset()
    held, awaited = claims.standing_of(person.id)
    if awaited - (wanted - held):
        claims.wait_only_for(person.id, wanted - held)
    return [
        _waiting_for(s, tenant, person, claim, today)
        for claim in sorted(wanted - held, key=lambda c: c.kind)
        if not claims.take(person.id, claim, waits=claim in awaited)
    ]


def claim_for_newcomer(s: Session, person: Person, desired: DesiredEmployee, today: date) -> bool:
    """Claim the desired values of a new person, if no other person has any of them. Return whether it did.

    Then there is no previous person to look for: no one had the number.
    """
    wanted = wanted_claims(desired) if _claims_desired(person, today) else frozenset()
    if desired.employee_number is None or not wanted:
        return False
    taken = s.claims.take_free(person.id, wanted)
    if taken == wanted:
        return True
    if taken:
        s.claims.give_back(person.id, taken)
    return False


def settle_claims(
    s: Session, tenant: Tenant, person: Person, desired: DesiredEmployee, today: date, *, keep_all: bool
) -> None:
    """Keep the claims that are desired or acknowledged, release the others, and mark people due who waited for them.

    Claims change hands when a delivery settles.

    :param keep_all: Entra has sent a newer change meanwhile, with claims of its own: release nothing yet.
    """
    claims = s.claims
    kept = acknowledged_claims(person)
    if _makes_room(claims, tenant, person):
        give_up(s, tenant, person)
        s.unlink(person.id)
        kept = frozenset()
    elif keep_all:
        kept |= claims.held_by(person.id)
    elif _claims_desired(person, today):
        kept |= wanted_claims(desired)
    outbox = s.outbox
    for waiter in claims.keep_only(person.id, kept):
        outbox.mark_due(waiter)
    if not keep_all and not _claims_desired(person, today):
        for waiter in _waiters_to_update(s, tenant, claims, person.id, today):
            outbox.mark_due(waiter)


def forget_person(s: Session, tenant: Tenant, person_id: PersonId) -> None:
    """Remove a person who has no employee in Ditio, with what they wait for.

    Release their claims, and mark people due who waited for them.
    """
    claims, people = s.claims, s.people
    people.set_user(person_id, None, external_id=None)
    claims.wait_only_for(person_id, ())
    for waiter in claims.keep_only(person_id, ()):
        s.outbox.mark_due(waiter)
    s.forget(person_id)


def _claims_desired(person: Person, today: date) -> bool:
    """Return whether the person claims desired values; inactive people claim only what Ditio last acknowledged."""
    return not person.is_tombstone and person.days.wants_employment(today)


def _makes_room(claims: Claims, tenant: Tenant, person: Person) -> bool:
    """Return whether a deleted user, whose ending is delivered, gives up their number for a newcomer (rule P2)."""
    if not person.is_tombstone or person.employee_number is None or owes_ending(person, tenant.policy):
        return False
    return bool(claims.waiters_for(person.id, ClaimKind.employee_number))


def _waiters_to_update(s: Session, tenant: Tenant, claims: Claims, leaver: PersonId, today: date) -> set[PersonId]:
    """Return people who wait for a leaver's claim, and whose detail may be outdated: they may be the same human."""
    found: set[PersonId] = set()
    for claim, waiters in claims.waiters_of(leaver).items():
        found.update(claims.untold(waiters, printable(_held_by(s, tenant, claim, today))))
        found.update(claims.in_hand(waiters))
    return found


def _waiting_for(s: Session, tenant: Tenant, person: Person, claim: Claim, today: date) -> Note:
    """Return the note for a person who waits for a value: who has it, and what to do."""
    note = swap_note(s, tenant, person.id, claim)
    return note or Note(_held_by(s, tenant, claim, today), Reason.claimed)


def _held_by(s: Session, tenant: Tenant, claim: Claim, today: date) -> str:
    holder_id = s.claims.holder(claim)
    record = s.people.get(holder_id) if holder_id is not None else None
    what = f"{WORDS[claim.kind]} {claim.value}"
    if record is None:
        return f"{what} is becoming free just now: `outbox retry` if this person is still held later"
    holder = record.person
    who = named(s, tenant, holder)
    if _claims_desired(holder, today):
        return f"{what} belongs to {who}: correct one of the two in Entra"
    if holder.is_tombstone and claim.kind is ClaimKind.employee_number and owes_ending(holder, tenant.policy):
        ending = held_or_dropped(s, holder.id).get(GuardedChange.ending)
        return f"{what} still belongs to {who}, {_why_not_free(ending, holder)}"
    return f"{what} still belongs to {who}, who has left: change it there in Ditio, then `outbox retry`"


def _why_not_free(ending: Verdict | None, holder: Person) -> str:
    """Return why a deleted user's number is not free while their ending is owed, and what to do (rules L8, P2)."""
    are_one = f"If both are one person, correct phone or e-mail in Entra to that of employee {holder.employee_number}"
    match ending:
        case Verdict.held:
            return (
                "who has left, and whose ending is held by the guard: it becomes free once the ending is delivered "
                f"(`outbox release`). {are_one}"
            )
        case Verdict.dropped:
            return (
                f"who has left, and whose ending an operator withdrew (`outbox drop`). {are_one}; "
                f"if not, correct the number in Entra, or end employee {holder.employee_number} in Ditio, "
                "then `outbox retry`"
            )
    return "who has left: it becomes free once the ending is delivered"


@dataclass(frozen=True, slots=True)
class PreviousPerson:
    """The person who had the employee number before."""

    record: PersonRecord | None = None
    """The person that the user continues; None for a newcomer."""

    has_made_room: bool = False
    """Whether another person gave up number and link for the newcomer: that is never taken back."""


def find_or_make_room(
    s: Session,
    tenant: Tenant,
    desired: DesiredEmployee,
    external_id: str | None,
    newcomer: PersonId | None = None,
) -> PreviousPerson:
    """Return the previous person that a newly created user continues, if there is one.

    A different person with the same number, who is deleted and whose ending is delivered, gives up number and link
    here.

    :param newcomer: Who asks, if they are stored already: then no one may have the number but they.
    """
    number = desired.employee_number
    if number is None:
        return PreviousPerson()
    people, claims = s.people, s.claims
    claim = Claim(ClaimKind.employee_number, number)
    if newcomer is not None and claim in claims.standing_of(newcomer)[0]:
        return PreviousPerson()
    holder_id = claims.holder(claim)
    holder = people.get(holder_id) if holder_id is not None else None
    if holder_id is None or holder is None or holder.person.days.active:
        return PreviousPerson()
    # Lock only people who have left: two people at work who want each other's number would wait for each other.
    holder = people.get(holder_id, lock=True)
    if holder is None or holder.person.days.active:
        return PreviousPerson()
    if _agrees(holder, desired, external_id):
        return PreviousPerson(holder)
    if holder.person.is_tombstone and not owes_ending(holder.person, tenant.policy):
        give_up(s, tenant, holder.person)
        s.unlink(holder.person.id)
        for waiter in claims.keep_only(holder.person.id, ()):
            s.outbox.mark_due(waiter)
        return PreviousPerson(has_made_room=True)
    return PreviousPerson()


def continue_previous(
    s: Session, tenant: Tenant, record: PersonRecord, document: JsonObject, desired: DesiredEmployee
) -> tuple[PersonRecord, bool]:
    """Return the previous person that this person continues, now that the number is known or the other has left.

    Without one, return this person. Return also whether the write may still be undone: what another person gave up
    for it is never given back.
    """
    person = record.person
    if person.user_id is None or person.employee_number is not None or person.creating is not None:
        return record, True
    external_id = external_id_of(document)
    former = find_or_make_room(s, tenant, desired, external_id, person.id)
    if former.record is None or former.record.person.id == person.id:
        return record, not former.has_made_room
    forget_person(s, tenant, person.id)
    known = former.record.person
    s.people.set_user(known.id, person.user_id, external_id=external_id)
    return replace(former.record, person=replace(known, user_id=person.user_id)), False


def external_id_of(document: JsonObject) -> str | None:
    """Return the `externalId` of a document, if it has one."""
    value = document.get("externalId")
    return value if isinstance(value, str) and value else None


def _agrees(holder: PersonRecord, desired: DesiredEmployee, external_id: str | None) -> bool:
    if external_id is not None and external_id == holder.external_id:
        return True
    known, creating = holder.person.acknowledged.values, holder.person.creating
    phones = (known.get(Field.phone), creating.phone if creating else None)
    emails = (known.get(Field.email), creating.email if creating else None)
    return _any_same(Field.phone, desired, phones) or _any_same(Field.email, desired, emails)


def _any_same(field: Field, desired: DesiredEmployee, known: tuple[object, ...]) -> bool:
    wanted = desired.text(field)
    return wanted is not None and any(isinstance(value, str) and same(field, wanted, value) for value in known)


def ensure_claim(attempt: Attempt, claim: Claim) -> bool:
    """Return whether the person has this claim.

    A leaver takes it only now, and only if no other person wants it (rule L7). The same is true of a person whose
    renumbering was sent, and took effect after Entra had named a third number (rule P6).
    """
    is_to_work = attempt.person.days.wants_employment(attempt.today)
    may_take = not is_to_work or claim.value == attempt.person.renumbering

    def take(s: Session) -> bool:
        claims = s.claims
        if claims.holder(claim) == attempt.person.id:
            return True
        return may_take and claims.take_if_unwanted(attempt.person.id, claim)

    if attempt.write(take):
        return True
    if is_to_work:
        return False  # The note that names the holder was written when the claim was requested.
    text = f"another person has {claim.kind} {claim.value}, or waits for it: a leaver keeps the old one"
    attempt.notes.append(Note(text))
    return False


def wait_where_given_up_just_now(attempt: Attempt, field: Field, shown_by: ActualEmployee, value: str) -> None:
    """Reject a read that still shows a value with an employee whose value was changed a moment ago (rules C5, R4).

    :raises TransientError: it is too early to tell.
    """
    with attempt.tenant.read() as s:
        record = s.people.linked_to(shown_by.employee_number)
        now = s.now
    known = record.person.acknowledged if record is not None else None
    sent = known.sent_values.get(field) if known is not None else None
    if known is None or sent is None or same(field, known.values.get(field), value):
        return
    if is_recent(sent.at, now, attempt.tenant.read_lag_seconds):
        raise TransientError(f"the {field} of employee {shown_by.employee_number} was changed just now")
