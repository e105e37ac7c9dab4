"""The operator decides on what the guard on the live stream holds (rule L8)."""

from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.domain.person import PersonId
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox


def release(connection: Connection, tenant: str, person_id: PersonId | None, now: datetime) -> int:
    """Have it sent, of everybody or of one person; it counts in the hour in which it was said. How many people."""
    released = Guard(connection, tenant, now).release(person_id)
    return _go_round(connection, tenant, released, "guard-released", now)


def drop(connection: Connection, tenant: str, person_id: PersonId | None, now: datetime) -> int:
    """Withdraw it: it is not sent until Entra changes it. How many people."""
    dropped = Guard(connection, tenant, now).drop(person_id)
    return _go_round(connection, tenant, dropped, "guard-dropped", now)


def _go_round(connection: Connection, tenant: str, whose: list[PersonId], what: str, now: datetime) -> int:
    """All of them are delivered again: what else waits for them, only their delivery can tell."""
    outbox, history = Outbox(connection, tenant, now), History(connection, tenant, now)
    for person_id in whose:
        history.add(person_id, Entry(what, "done", cause="operator"))
        outbox.mark_due(person_id)
    return len(whose)
