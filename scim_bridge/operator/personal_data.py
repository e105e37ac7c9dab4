"""The personal data of one person: exported, or erased once nothing is owed to them any more (rule G1)."""

from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BridgeError, NotFound
from scim_bridge.plan.steps import owes_ending
from scim_bridge.storage.database import Session
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.personal_data import erase_person, rows_about, rows_about_refused
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.tenant import Tenant


class StillOwed(BridgeError):
    """A person can't be erased, because something would be lost."""


def export(s: Session, one: PersonRecord | RefusedWrite) -> JsonObject:
    """Return everything that the bridge stores about a person, by table."""
    rows = rows_about_refused(s, one) if isinstance(one, RefusedWrite) else rows_about(s, one)
    return {"tenant": s.tenant, "exported_at": s.now, **rows}


def erase(s: Session, tenant: Tenant, person_id: PersonId) -> None:
    """Erase a person; see `erase_person`.

    :raises StillOwed: Entra's user is active, or something about the person is still to be delivered.
    """
    found = s.people.get(person_id)
    if found is not None and found.person.user_id is not None:
        s.resources.lock("User", found.person.user_id)  # All transactions lock in this order.
    record = s.people.get(person_id, lock=True)
    if record is None:
        raise NotFound("this person is no longer in the bridge")
    if (why := _why_not(s, tenant, record)) is not None:
        raise StillOwed(why)
    for waiter in erase_person(s, record):
        s.outbox.mark_due(waiter)


def _why_not(s: Session, tenant: Tenant, record: PersonRecord) -> str | None:
    """Return why a person can't be erased now, and what to do; None if they can."""
    person = record.person
    if not person.is_tombstone and person.days.wants_employment(tenant.today(s.now)):
        return "Entra's user is active: remove the user from the app in Entra first, so that the employment ends"
    is_at_rest = record.state is State.delivered and record.due_since is None and record.lease is None
    if not is_at_rest or person.hands_off is not None:
        why = f", {record.reason}" if record.reason else ""
        return (
            f"something is still to be delivered (the person is {record.state}{why}): see `people show`, then try again"
        )
    is_open = person.creating is not None or person.renumbering is not None or person.doubted_at is not None
    if is_open or (person.employee_number is not None and owes_ending(person, tenant.policy)):
        return "the end of the employment has not been delivered yet: see `people show`, then try again"
    return None
