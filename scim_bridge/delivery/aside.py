"""Somebody is put aside by an operator, and taken up again (rule D6)."""

from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.outcome import Note
from scim_bridge.domain.outcome import Reason, state_of
from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.errors import NotFound
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, PutAside, Record


def aside_note(hands_off: HandsOff) -> Note:
    """What is said of somebody whom an operator put aside (rule D6)."""
    until = f"until the end of {hands_off.until}" if hands_off.until else "until somebody clears it"
    return Note(f"put aside {until}: nothing is sent for this person, endings included", Reason.hands_off)


def put_aside(
    connection: Connection, tenant: str, name: str, hands_off: HandsOff, now: datetime
) -> tuple[PersonId, str]:
    """Put a person aside, named by employee number or user name. Who it is, and what is said of it.

    :raises NotFound: there is nobody of that name.
    """
    record = _locked(connection, tenant, name)
    person_id, note, outbox = record.person.id, aside_note(hands_off), Outbox(connection, tenant, now)
    PutAside(connection, tenant).set(person_id, hands_off)
    History(connection, tenant, now).add(person_id, Entry("hands-off", "done", cause="operator"))
    # Whoever delivers him at this moment sees that he has changed, goes round again, and sends nothing more then.
    outbox.mark_due(person_id)
    if record.leased_until is not None and record.leased_until > now:
        return person_id, f"{note.text}; what is being sent at this moment is sent still"
    outbox.settle(person_id, state=state_of(Reason.hands_off), reason=Reason.hands_off, detail=note.text)
    return person_id, note.text


def take_up(connection: Connection, tenant: str, name: str, now: datetime) -> PersonId | None:
    """Make a person due who was put aside. Who it is; None if he was not. :raises NotFound: nobody has that name."""
    record = _locked(connection, tenant, name)
    if record.person.hands_off is None:
        return None
    PutAside(connection, tenant).set(record.person.id, None)
    History(connection, tenant, now).add(record.person.id, Entry("hands-off-cleared", "done", cause="operator"))
    Outbox(connection, tenant, now).mark_due(record.person.id)
    return record.person.id


def _locked(connection: Connection, tenant: str, name: str) -> Record:
    people = People(connection, tenant)
    found = people.find(name)
    record = people.get(found.person.id, lock=True) if found is not None else None
    if record is None:
        raise NotFound(f"nobody has the employee number or user name {name!r}")
    return record
