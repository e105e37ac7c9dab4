"""People who wait for each other's value: none can go on until one is changed in Ditio by hand (rule P3)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.outcome import Note, printable
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import Claim, ClaimKind, Person, PersonId
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, user_names

LONGEST_RING = 100
"""How far it is looked for a ring."""

MOST_NAMED = 4
"""How many of a ring are named: its text has to fit into the detail."""

LONGEST_NAME = 60


def swap_note(connection: Connection, tenant: Tenant, person_id: PersonId, claim: Claim) -> Note | None:
    """What those are told who wait in a ring for each other's value; None for somebody who waits in none."""
    ring = ring_of(Claims(connection, tenant.name), person_id, claim)
    if not ring:
        return None
    names = [called(connection, tenant, each) for each in ring[:MOST_NAMED]]
    more = [f"{len(ring) - MOST_NAMED} more"] if len(ring) > MOST_NAMED else []
    who = _listed([*names, *more])
    return Note(f"these swap {_WORDS[claim.kind]}, {who}: change one in Ditio, then `outbox retry`", Reason.claimed)


def tell_the_rest(connection: Connection, tenant: Tenant, person_id: PersonId, now: datetime) -> None:
    """Whoever of a ring was told something else goes round again, to be told that it is one.

    Only those who have settled and whom nobody has in hand: two who tell each other must not wait for each other.
    """
    claims, outbox = Claims(connection, tenant.name), Outbox(connection, tenant.name, now)
    for claim in claims.awaited_by(person_id):
        note = swap_note(connection, tenant, person_id, claim)
        if note is None:
            continue
        others = [each for each in ring_of(claims, person_id, claim) if each != person_id]
        for untold in claims.untold(others, printable(note.text)):
            outbox.mark_due(untold)


def ring_of(claims: Claims, person_id: PersonId, claim: Claim) -> Sequence[PersonId]:
    """Those who wait in a ring for each other's value of one kind, in one order for all; empty where it is none."""
    ring = [person_id]
    holder = claims.holder(claim)
    while holder is not None and holder not in ring and len(ring) < LONGEST_RING:
        ring.append(holder)
        holder = next((who for what, who in claims.awaited_by(holder).items() if what.kind is claim.kind), None)
    return sorted(ring) if holder == person_id and len(ring) > 1 else []


def called(connection: Connection, tenant: Tenant, person_id: PersonId) -> str:
    """How somebody is named to others: his user name, and his employee."""
    record = People(connection, tenant.name).get(person_id)
    return named(connection, tenant, record.person) if record is not None else "somebody"


def named(connection: Connection, tenant: Tenant, person: Person) -> str:
    """The same, of somebody who is known."""
    names = user_names(connection, tenant.name, [person.user_id]) if person.user_id else {}
    name = names.get(person.user_id, "somebody") if person.user_id else "a deleted user"
    short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return f"{short} (employee {person.employee_number})" if person.employee_number else short


_WORDS = {ClaimKind.employee_number: "employee numbers", ClaimKind.phone: "phone numbers"}


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"
