"""What the database knows of a person who is compared: everything that causes are decided by (rule Q1)."""

from datetime import date

from sqlalchemy import Connection

from scim_bridge.delivery.tenant import Tenant, wanted_claims
from scim_bridge.domain.employee import EmployeeNumber, Field, Wish
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import ClaimKind, Person
from scim_bridge.plan.absence import Around
from scim_bridge.plan.drift import Facts
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.candidates import Candidate
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.guard import kept_back
from scim_bridge.storage.people import People, Record
from scim_bridge.storage.snapshot import Snapshot

_CLAIMED = {ClaimKind.phone: Field.phone, ClaimKind.employee_number: Field.employee_number}


def facts_of(connection: Connection, tenant: Tenant, candidate: Candidate, wish: Wish, today: date) -> Facts:
    """What is known of a person's delivery."""
    record = candidate.record
    moments = Acknowledgements(connection, tenant.name).moments_of(record.person.id)
    claims = Claims(connection, tenant.name)
    others = [
        _CLAIMED[claim.kind] for claim in wanted_claims(wish) if claims.holder(claim) not in (None, record.person.id)
    ]
    user_name = candidate.document.get("userName") if candidate.document is not None else None
    return Facts(
        state=record.state,
        reason=_reason(record, today),
        revision=record.revision,
        user_name=user_name if isinstance(user_name, str) else None,
        modified_at=candidate.modified_at,
        delivered_at=record.delivered_at if record.state is State.delivered else None,
        acknowledged_at={name: at for name, (at, _) in moments.items()},
        acknowledged_in={name: revision for name, (_, revision) in moments.items()},
        claimed_by_others=frozenset(others),
        kept_back=kept_back(connection, tenant.name, record.person.id),
    )


def _reason(record: Record, today: date) -> str | None:
    hands_off = record.person.hands_off
    if hands_off is not None and hands_off.lasts(today):
        return Reason.hands_off.value
    return record.reason.value if record.reason is not None else None


def around(connection: Connection, tenant: Tenant, snapshot: Snapshot, person: Person, wish: Wish) -> Around:
    """What Ditio shows that may have to do with somebody who is not found under his number."""
    creating, known = person.creating, person.acknowledged
    number = person.employee_number or wish.employee_number or (creating.employee_number if creating else None)
    email = known.values.get(Field.email)
    alike = {
        found.employee_number: found
        for phone, address in (
            (wish.text(Field.phone), wish.text(Field.email)),
            (known.phone, email if isinstance(email, str) else None),
            (creating.phone if creating else None, creating.email if creating else None),
        )
        for found in snapshot.unlinked_with(phone, address, but=number)
    }
    same = None
    if number is not None and person.employee_number is None:
        holder = People(connection, tenant.name).linked_to(EmployeeNumber(number))
        same = snapshot.of([number]).get(number) if holder is None else None
    similar = snapshot.similar_number(number) if number is not None and person.employee_number is None else None
    return Around(same, similar, tuple(alike.values()))
