"""Who may have which employee number and phone number, told in words (rule P3)."""

from datetime import date, datetime

from sqlalchemy import Connection

from scim_bridge.delivery.ledger import give_up
from scim_bridge.delivery.outcome import Note, printable
from scim_bridge.delivery.swaps import named, swap_note
from scim_bridge.delivery.tenant import Tenant, acknowledged_claims, wanted_claims
from scim_bridge.domain.employee import Wish
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import Claim, ClaimKind, Guarded, Person, PersonId, Verdict
from scim_bridge.plan.steps import owes_ending
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.guard import kept_back
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People

WORDS = {ClaimKind.employee_number: "employee number", ClaimKind.phone: "phone"}


def claim_wanted(connection: Connection, tenant: Tenant, person: Person, wish: Wish, today: date) -> list[Note]:
    """Claim what Entra wants for a person who is to be employed; a note for each value that another has."""
    claims = Claims(connection, tenant.name)
    wanted = wanted_claims(wish) if _claims_wishes(person, today) else frozenset()
    held, awaited = claims.standing_of(person.id)
    if awaited - (wanted - held):
        claims.wait_only_for(person.id, wanted - held)
    return [
        _waiting_for(connection, tenant, person, claim, today)
        for claim in sorted(wanted - held, key=lambda c: c.kind)
        if not claims.take(person.id, claim, waits=claim in awaited)
    ]


def settle_claims(
    connection: Connection,
    tenant: Tenant,
    person: Person,
    wish: Wish,
    today: date,
    now: datetime,
    *,
    keep_all: bool,
) -> None:
    """Claims change hands when a delivery settles: keep what is wanted or acknowledged, wake who waited.

    :param keep_all: Entra has said something newer meanwhile, and claimed for it: give up nothing yet.
    """
    claims = Claims(connection, tenant.name)
    kept = acknowledged_claims(person)
    if _makes_room(claims, tenant, person):
        give_up(connection, tenant, person, now)
        People(connection, tenant.name).unlink(person.id)
        kept = frozenset()
    elif keep_all:
        kept |= claims.held_by(person.id)
    elif _claims_wishes(person, today):
        kept |= wanted_claims(wish)
    outbox = Outbox(connection, tenant.name, now)
    for waiter in claims.keep_only(person.id, kept):
        outbox.mark_due(waiter)
    if not keep_all and not _claims_wishes(person, today):
        for waiter in _told_otherwise(connection, tenant, claims, person.id, today):
            outbox.mark_due(waiter)


def forget_person(connection: Connection, tenant: Tenant, person_id: PersonId, now: datetime) -> None:
    """Remove a person whom Ditio knows nothing of, and give up what he claims and waits for; who waited is woken."""
    claims, people = Claims(connection, tenant.name), People(connection, tenant.name)
    people.set_user(person_id, None, external_id=None, now=now)
    claims.wait_only_for(person_id, ())
    for waiter in claims.keep_only(person_id, ()):
        Outbox(connection, tenant.name, now).mark_due(waiter)
    people.forget(person_id)


def _claims_wishes(person: Person, today: date) -> bool:
    """An inactive person claims only what Ditio was last seen to show, not what Entra still says."""
    return not person.is_tombstone and person.days.wants_employment(today)


def _makes_room(claims: Claims, tenant: Tenant, person: Person) -> bool:
    """A deleted user whose ending is delivered gives way to a newcomer who waits for his number (rule P2)."""
    if not person.is_tombstone or person.employee_number is None or owes_ending(person, tenant.policy):
        return False
    return bool(claims.waiters_for(person.id, ClaimKind.employee_number))


def _told_otherwise(
    connection: Connection, tenant: Tenant, claims: Claims, leaver: PersonId, today: date
) -> set[PersonId]:
    """Who waits for something of a leaver's, and does not know how that stands by now: he may be the same human."""
    found: set[PersonId] = set()
    for claim, waiters in claims.waiters_of(leaver).items():
        found.update(claims.untold(waiters, printable(_held_by(connection, tenant, claim, today))))
        found.update(claims.in_hand(waiters))
    return found


def _waiting_for(connection: Connection, tenant: Tenant, person: Person, claim: Claim, today: date) -> Note:
    """Who has a value, and what to do, for whoever waits for it."""
    note = swap_note(connection, tenant, person.id, claim)
    return note or Note(_held_by(connection, tenant, claim, today), Reason.claimed)


def _held_by(connection: Connection, tenant: Tenant, claim: Claim, today: date) -> str:
    holder_id = Claims(connection, tenant.name).holder(claim)
    record = People(connection, tenant.name).get(holder_id) if holder_id is not None else None
    what = f"{WORDS[claim.kind]} {claim.value}"
    if record is None:
        return f"{what} is just becoming free"
    holder = record.person
    who = named(connection, tenant, holder)
    if _claims_wishes(holder, today):
        return f"{what} belongs to {who}: correct one of the two in Entra"
    if holder.is_tombstone and claim.kind is ClaimKind.employee_number and owes_ending(holder, tenant.policy):
        ending = kept_back(connection, tenant.name, holder.id).get(Guarded.ending)
        return f"{what} still belongs to {who}, {_why_not_free(ending, holder)}"
    return f"{what} still belongs to {who}, who has left: change it there in Ditio, then `outbox retry`"


def _why_not_free(ending: Verdict | None, holder: Person) -> str:
    """Why the number of a deleted user whose ending is owed is not free, and what to do (rules L8, P2)."""
    are_one = "If both are one person, correct phone or e-mail in Entra, so that one of them is what employee"
    match ending:
        case Verdict.held:
            return (
                "who has left, and whose ending is held by the guard: it becomes free once the ending is delivered "
                f"(`outbox release`). {are_one} {holder.employee_number} has"
            )
        case Verdict.dropped:
            return (
                f"who has left, and whose ending an operator withdrew (`outbox drop`). {are_one} "
                f"{holder.employee_number} has; if not, correct the number in Entra, or end employee "
                f"{holder.employee_number} in Ditio, then `outbox retry`"
            )
    return "who has left: it becomes free once the ending is delivered"
