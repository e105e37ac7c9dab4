"""A holder gives a value up that Ditio no longer shows of him, and whoever waits for it is due (rule P3)."""

from dataclasses import dataclass

from scim_bridge.delivery.calls import Errand
from scim_bridge.domain.employee import EmployeeNumber, Field, Wish
from scim_bridge.domain.person import Claim, ClaimKind, Person
from scim_bridge.errors import TransientError
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, Record


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a value that is waited for, and what Entra wants for him."""

    record: Record
    wish: Wish
    claim: Claim

    @property
    def person(self) -> Person:
        """The person."""
        return self.record.person


def give_up(
    errand: Errand,
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
    name, person, claim = errand.tenant.name, holder.person, holder.claim
    with errand.database.write() as connection:
        now = errand.database.now(connection)
        people, claims, stored = People(connection, name), Claims(connection, name), Acknowledgements(connection, name)
        record, outbox = people.get(person.id, lock=True), Outbox(connection, name, now)
        is_self = person.id == errand.person.id
        is_busy = record is not None and not is_self and record.leased_until is not None and record.leased_until > now
        has_moved_on = record is not None and (record.person, record.revision) != (person, holder.record.revision)
        if record is None or is_busy or has_moved_on:
            raise TransientError("the holder of what is waited for is being delivered just now")
        if moved_to is not None:
            claimed_by = claims.holder(Claim(ClaimKind.employee_number, moved_to))
            if claimed_by not in (None, person.id, errand.person.id if exchanged else None):
                return False
            if exchanged:
                people.part(errand.person.id)
                held = claims.held_by(errand.person.id)
                claims.keep_only(errand.person.id, held - {Claim(ClaimKind.employee_number, moved_to)})
            if not claims.take(person.id, Claim(ClaimKind.employee_number, moved_to)):
                raise TransientError("somebody claimed the number just now under which the holder is found")
            people.link(person.id, moved_to, now=now)
            stored.add(person.id, {Field.employee_number: moved_to}, revision=record.revision, now=now)
        if exchanged:
            given = EmployeeNumber(claim.value)
            people.link(errand.person.id, given, now=now)
            stored.add(errand.person.id, {Field.employee_number: given}, revision=errand.revision, now=now)
            outbox.mark_due(person.id)
        if unlink:
            people.unlink(person.id)
        elif claim.kind is ClaimKind.phone:
            stored.forget(person.id, Field.phone)
        given_up = {claim}
        if moved_to is not None and person.employee_number is not None:
            given_up.add(Claim(ClaimKind.employee_number, person.employee_number))
        kept = frozenset() if unlink else claims.held_by(person.id) - given_up
        for waiter in {errand.person.id, *claims.keep_only(person.id, kept)}:
            outbox.mark_due(waiter)
        entry = Entry("claim", "given-up", cause=errand.cause, request_id=errand.request_id)
        History(connection, name, now).add(person.id, entry)
    return True
