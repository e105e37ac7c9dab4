"""The facts of a person for a comparison; what agrees on both sides is acknowledged."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from scim_bridge import installed_version
from scim_bridge.delivery.acknowledge import settle_guarded
from scim_bridge.delivery.claims import settle_claims
from scim_bridge.delivery.guard import KEPT
from scim_bridge.domain.employee import DesiredEmployee, EmployeeNumber, Field, Value
from scim_bridge.domain.outcome import SHOULD_BE_INACTIVE, Reason, State, printable
from scim_bridge.domain.person import ClaimKind, GuardedChange, Lifecycle, Person, Verdict
from scim_bridge.plan.absence import RosterMatches
from scim_bridge.plan.drift import DriftFacts
from scim_bridge.plan.limits import settled_occasions
from scim_bridge.plan.steps import AlreadyDone
from scim_bridge.storage.candidates import Candidate
from scim_bridge.storage.database import Session
from scim_bridge.storage.guard import Guard, held_or_dropped
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.snapshot import Snapshot
from scim_bridge.tenant import NOTHING_DESIRED, Tenant, wanted_claims

BETWEEN_NOTES = "; "
"""Separates two notes in `deliveryDetail`."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What Ditio has as desired, and the bridge has not stored as acknowledged yet (rule Q1)."""

    record: PersonRecord
    values: Mapping[Field, Value | None]
    sources: Mapping[Field, str]
    login: bool | None
    employed: bool | None
    settled: tuple[tuple[GuardedChange, datetime], ...] = ()
    """The guarded changes that this completes, and when Entra requested them."""


def find_agreement(record: PersonRecord, desired: DesiredEmployee, seen: AlreadyDone) -> Agreement | None:
    """Return what is as desired but not acknowledged yet; None if there is nothing, or the person is due."""
    known = record.person.acknowledged
    # What differed when it was linked and agrees now is acknowledged again: the next difference is an edit.
    login = seen.login if seen.login is not known.login or known.linked.get(Lifecycle.login) else None
    is_new = seen.employed is not known.employed or known.linked.get(Lifecycle.employment)
    employed = seen.employed if is_new else None
    values = {
        name: value for name, value in seen.values.items() if name not in known.values or known.values[name] != value
    }
    if record.state is State.due or (login is None and employed is None and not values):
        return None
    settled = settled_occasions(record.person, desired, values)
    return Agreement(record, values, desired.sources, login, employed, settled)


def acknowledge_agreement(s: Session, tenant: Tenant, agreement: Agreement, read_at: datetime) -> None:
    """Acknowledge an agreement, unless the person is due, leased, uncertain, or changed since Ditio was read."""
    record = agreement.record
    person_id = record.person.id
    present = s.people.get(person_id, lock=True)
    if (
        present is None
        or present.revision != record.revision
        or present.state is State.due
        or present.lease
        or present.person.doubted_at
    ):
        return
    acknowledged = s.acknowledged
    if any(at > read_at for at, _ in acknowledged.moments_of(person_id).values()):
        return
    sent_values = {name: record.person.acknowledged.sent_values.get(name) for name in agreement.values}
    acknowledged.add(
        person_id,
        agreement.values,
        sources=agreement.sources,
        sent_values=sent_values,
        login=agreement.login,
        employed=agreement.employed,
        revision=record.revision,
    )
    after = present.person.acknowledged.after(
        agreement.values,
        sources=agreement.sources,
        sent_values=sent_values,
        login=agreement.login,
        employed=agreement.employed,
        changed_at=None,
    )
    person = replace(present.person, acknowledged=after)
    _settle_the_guard(s, tenant, agreement, replace(present, person=person))
    if person.is_tombstone:
        # The ending of a deleted user is delivered: another user who waits for the number gets it (rule P2).
        settle_claims(s, tenant, person, NOTHING_DESIRED, tenant.today(read_at), keep_all=False)
        s.forget(person_id)


def _settle_the_guard(s: Session, tenant: Tenant, agreement: Agreement, record: PersonRecord) -> None:
    """Stop holding or dropping what Ditio has by now, and update the person's state."""
    person, guard = record.person, s.guard
    before = _notes_by_change(guard, person, held_or_dropped(s, person.id))
    login, employed = agreement.login, agreement.employed
    settle_guarded(guard, person, tenant.policy, agreement.settled, login=login, employed=employed)
    left = held_or_dropped(s, person.id)
    if before.keys() == left.keys() or record.reason in (Reason.paused, Reason.hands_off):
        return
    outbox, notes = s.outbox, _notes(record)
    if not set(notes) <= set(before.values()):
        outbox.mark_due(person.id)  # Only the person's own delivery can write the other notes again.
        return
    is_held = Verdict.held in left.values()
    detail = BETWEEN_NOTES.join(note for note in notes if note in [before[kind] for kind in left])
    if is_held and GuardedChange.ending in left:
        detail = f"{SHOULD_BE_INACTIVE}: {detail}"
    state, reason = (State.held, Reason.guard) if is_held else (State.delivered, None)
    outbox.settle(person.id, state=state, reason=reason, detail=detail or None)
    s.history.add(person.id, Entry("delivery", reason or state, cause="reconcile"))


def _notes_by_change(guard: Guard, person: Person, kept: Mapping[GuardedChange, Verdict]) -> dict[GuardedChange, str]:
    """Return the note about each change that is held or dropped."""
    notes: dict[GuardedChange, str] = {}
    for kind, verdict in kept.items():
        requested_at = person.occasions.of(kind)
        decided = guard.decided(kind, person.id, requested_at) if requested_at is not None else None
        why = (decided.why if decided is not None else None) or ""
        notes[kind] = printable(why) if verdict is Verdict.held else KEPT
    return notes


def _notes(record: PersonRecord) -> list[str]:
    """Return the notes in the detail of a person."""
    detail = record.detail or ""
    return detail.removeprefix(f"{SHOULD_BE_INACTIVE}: ").split(BETWEEN_NOTES)


def basis_of(tenant: Tenant) -> str:
    """Return a digest that changes whenever the same user and the same employee may compare differently."""
    # Another release of the library may find a phone number valid, or invalid, that it judged differently before.
    parts = (
        installed_version(),
        installed_version("phonenumbers"),
        tenant.rules,
        tenant.policy,
        tenant.slots,
        tenant.certificates,
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


_CLAIMED = {ClaimKind.phone: Field.phone, ClaimKind.employee_number: Field.employee_number}


def drift_facts_of(
    s: Session, tenant: Tenant, candidate: Candidate, desired: DesiredEmployee, today: date
) -> DriftFacts:
    """Return what the database knows of the delivery of a person."""
    record = candidate.record
    moments = s.acknowledged.moments_of(record.person.id)
    others = [
        _CLAIMED[claim.kind]
        for claim in wanted_claims(desired)
        if s.claims.holder(claim) not in (None, record.person.id)
    ]
    user_name = candidate.document.get("userName") if candidate.document is not None else None
    return DriftFacts(
        state=record.state,
        reason=_reason(record, today),
        revision=record.revision,
        user_name=user_name if isinstance(user_name, str) else None,
        modified_at=candidate.modified_at,
        delivered_at=record.delivered_at if record.state is State.delivered else None,
        acknowledged_at={name: at for name, (at, _) in moments.items()},
        acknowledged_in={name: revision for name, (_, revision) in moments.items()},
        claimed_by_others=frozenset(others),
        held_or_dropped=held_or_dropped(s, record.person.id),
    )


def _reason(record: PersonRecord, today: date) -> str | None:
    hands_off = record.person.hands_off
    if hands_off is not None and hands_off.lasts(today):
        return Reason.hands_off.value
    return record.reason.value if record.reason is not None else None


def around(
    s: Session,
    tenant: Tenant,
    snapshot: Snapshot,
    person: Person,
    desired: DesiredEmployee,
    *,
    linked_too: bool = False,
) -> RosterMatches:
    """Return employees that may belong to a person whose number Ditio does not show.

    :param linked_too: Also those that another person is linked to, as after two numbers were exchanged.
    """
    creating, known = person.creating, person.acknowledged
    number = person.employee_number or desired.employee_number or (creating.employee_number if creating else None)
    email = known.values.get(Field.email)
    alike = {
        found.employee_number: found
        for phone, address in (
            (desired.text(Field.phone), desired.text(Field.email)),
            (known.phone, email if isinstance(email, str) else None),
            (creating.phone if creating else None, creating.email if creating else None),
        )
        for found in (snapshot.look_alikes if linked_too else snapshot.unlinked_with)(phone, address, but=number)
    }
    same = None
    if number is not None and person.employee_number is None:
        holder = s.people.linked_to(EmployeeNumber(number))
        same = snapshot.of([number]).get(number) if holder is None else None
    similar = snapshot.similar_number(number) if number is not None and person.employee_number is None else None
    return RosterMatches(same, similar, tuple(alike.values()))
