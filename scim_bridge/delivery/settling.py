"""Whether a write asks for nothing that Ditio has not taken already (rule A5)."""

from collections.abc import Sequence
from datetime import date

from scim_bridge.delivery.outcome import Note
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.employee import Wish
from scim_bridge.domain.outcome import NOT_THERE
from scim_bridge.domain.person import Person
from scim_bridge.plan.diff import as_found, is_covered
from scim_bridge.plan.steps import plan_person
from scim_bridge.storage.people import Record


def is_settled(tenant: Tenant, record: Record, person: Person, wish: Wish, notes: Sequence[Note], today: date) -> bool:
    """Whether what Entra wants now equals what Ditio last acknowledged, so that nobody need ask (rule A5)."""
    if person.doubted_at is not None:
        return False  # What Ditio has is known only once it was read again (rule C5).
    if record.due_since is not None or record.lease is not None or notes or record.reason in NOT_THERE:
        return False
    if person.employee_number is None or person.acknowledged.login is None:
        return False
    if person.hands_off is not None and person.hands_off.lasts(today):
        return False
    policy = tenant.policy
    if not is_covered(wish, person.acknowledged, policy.owners, employed=person.days.wants_employment(today)):
        return False
    shown = as_found(person.employee_number, person.acknowledged)
    return not plan_person(person, wish, shown, policy, today=today).operations
