"""Somebody is created again: whose person he is (rule P2)."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection

from scim_bridge.delivery.claiming import forget_person
from scim_bridge.delivery.ledger import give_up
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.employee import Field, Wish
from scim_bridge.domain.person import Claim, ClaimKind
from scim_bridge.domain.values import JsonObject, same
from scim_bridge.plan.steps import owes_ending
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, Record


@dataclass(frozen=True, slots=True)
class Former:
    """Who had the employee number before."""

    record: Record | None = None
    """Whom the user continues; None for a newcomer."""

    has_made_room: bool = False
    """Whether somebody else gave number and link up for the newcomer: that is never taken back."""


def person_to_take_over(
    connection: Connection, tenant: Tenant, wish: Wish, external_id: str | None, now: datetime
) -> Former:
    """The former person whom a newly created user continues, if there is one.

    A deleted stranger with the same number, whose ending is delivered, gives number and link up here.
    """
    number = wish.employee_number
    if number is None:
        return Former()
    people, claims = People(connection, tenant.name), Claims(connection, tenant.name)
    holder_id = claims.holder(Claim(ClaimKind.employee_number, number))
    holder = people.get(holder_id) if holder_id is not None else None
    if holder_id is None or holder is None or holder.person.days.active:
        return Former()
    # Only somebody who has left is locked: two at work who want each other's number would wait for each other.
    holder = people.get(holder_id, lock=True)
    if holder is None or holder.person.days.active:
        return Former()
    if _agrees(holder, wish, external_id):
        return Former(holder)
    if holder.person.is_tombstone and not owes_ending(holder.person, tenant.policy):
        give_up(connection, tenant, holder.person, now)
        people.unlink(holder.person.id)
        for waiter in claims.keep_only(holder.person.id, ()):
            Outbox(connection, tenant.name, now).mark_due(waiter)
        return Former(has_made_room=True)
    return Former()


def continued(
    connection: Connection, tenant: Tenant, record: Record, document: JsonObject, now: datetime, today: date
) -> tuple[Record, bool]:
    """The former person whom somebody turns out to continue, now that the number is said, or that one has left.

    And whether the write may still be undone: nothing that somebody else gave up for it is given back.
    """
    person = record.person
    if person.user_id is None or person.employee_number is not None or person.creating is not None:
        return record, True
    wish, external_id = tenant.wish(document, person, today), external_id_of(document)
    former = person_to_take_over(connection, tenant, wish, external_id, now)
    if former.record is None or former.record.person.id == person.id:
        return record, not former.has_made_room
    forget_person(connection, tenant, person.id, now)
    known = former.record.person
    People(connection, tenant.name).set_user(known.id, person.user_id, external_id=external_id, now=now)
    return replace(former.record, person=replace(known, user_id=person.user_id)), False


def external_id_of(document: JsonObject) -> str | None:
    """The `externalId` that Entra says, if any."""
    value = document.get("externalId")
    return value if isinstance(value, str) and value else None


def _agrees(holder: Record, wish: Wish, external_id: str | None) -> bool:
    if external_id is not None and external_id == holder.external_id:
        return True
    known, creating = holder.person.acknowledged.values, holder.person.creating
    phones = (known.get(Field.phone), creating.phone if creating else None)
    emails = (known.get(Field.email), creating.email if creating else None)
    return _any_same(Field.phone, wish, phones) or _any_same(Field.email, wish, emails)


def _any_same(field: Field, wish: Wish, known: tuple[object, ...]) -> bool:
    wanted = wish.text(field)
    return wanted is not None and any(isinstance(value, str) and same(field, wanted, value) for value in known)
