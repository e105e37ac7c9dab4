"""Who waits for delivery and why: due, held and parked people, and those whose last write was refused."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any, cast

from sqlalchemy import Row

from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.outcome import STUCK_AFTER, Reason, State
from scim_bridge.domain.person import GuardedChange, PersonId
from scim_bridge.scim.mapping import Rules, desired_from_user
from scim_bridge.scim.reading import name_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.outbox import PAUSED, Cause, Status
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.refusals import REFUSED, RefusedWrite
from scim_bridge.storage.resources import document_of
from scim_bridge.storage.runs import START, ProcessKind, presences


@dataclass(frozen=True, slots=True)
class Waiting:
    """A person who waits, or whose last write was refused."""

    user_name: str | None
    employee_number: str | None
    state: str
    """The delivery state, or `refused`."""

    reason: str | None
    detail: str | None
    since: datetime | None
    attempts: int
    name: str | None = None
    person_id: PersonId | None = None
    """None for a refused write that would have created the user."""


def is_paused(s: Session, *, by_setting: bool) -> bool:
    """Return whether deliveries are paused, by `outbox pause` or by the setting."""
    return by_setting or s.breaker.get().is_paused


def status_of(s: Session, *, paused: bool) -> Status:
    """Return how many people wait. During a pause, people who are due and not yet held wait for the same."""
    found = s.outbox.status()
    return replace(found, due=0, held=found.held + found.due, oldest_seconds=None) if paused else found


def waiting(
    s: Session, rules: Rules, *, paused: bool, cause: Cause | None = None, most: int | None = None
) -> list[Waiting]:
    """Return people who are due, held or parked, longest wait first; leavers who are still active before all others.

    :param cause: Only those who wait for this cause.
    :param most: How many at most; None for all.
    """
    now, breaker = s.now, s.breaker.get()
    absence = presences(s)[ProcessKind.worker].absence
    today = now.astimezone(rules.zone).date()
    found = (
        replace(_waiting(each, rules, today), detail=_detail(each, breaker, now, absence))
        for each in s.outbox.waiting(cause, most)
    )
    return [_held_by_pause(each) if paused and each.state == State.due else each for each in found]


def why_waiting(s: Session, record: PersonRecord) -> str | None:
    """Return why one person waits, as `waiting` tells it."""
    return _detail(record, s.breaker.get(), s.now, presences(s)[ProcessKind.worker].absence)


def refused(s: Session) -> list[Waiting]:
    """Return people whose last write was answered 400 or 409, oldest first."""
    return [_refused(each) for each in s.refused_writes.all()]


def _held_by_pause(one: Waiting) -> Waiting:
    """Return a due person during a pause, before a worker has held them (rule D4)."""
    return replace(one, state=State.held, reason=Reason.paused, detail=PAUSED)


def _refused(write: RefusedWrite) -> Waiting:
    return Waiting(
        user_name=write.user_name,
        employee_number=write.employee_number,
        state=REFUSED,
        reason=write.scim_type,
        detail=write.detail,
        since=write.at,
        attempts=0,
        name=write.name,
    )


def _detail(found: Row[Any] | PersonRecord, breaker: Breaker, now: datetime, absence: str | None) -> str | None:
    """Return why a person waits; for a due person also why all wait, and for how long (rule R3).

    :param absence: Since when no worker runs; then Ditio is not what they wait for.
    """
    if found.state != State.due:
        return cast("str | None", found.detail)
    detail = breaker.told_to(found.detail, now)
    if absence is not None:
        detail = f"{absence}: {START[ProcessKind.worker]}"
    if found.due_since is None or now - found.due_since < STUCK_AFTER:
        return detail
    hours = int((now - found.due_since).total_seconds() // 3600)
    return f"stuck-delivery, due for {hours} hours: {detail or 'no worker has tried yet; check that one runs'}"


def _waiting(found: Row[Any], rules: Rules, today: date) -> Waiting:
    document = json.loads(found.document) if found.document else None
    wanted = desired_from_user(document, rules, today=today).employee_number if document else None
    return Waiting(
        user_name=document["userName"] if document else None,
        employee_number=found.employee_number or wanted,
        state=found.state,
        reason=found.reason,
        detail=found.detail,
        since=found.state_since,
        attempts=found.attempts,
        name=name_of(document) if document else None,
        person_id=PersonId(found.id),
    )


CHANGES = {
    GuardedChange.ending: "end of employment",
    GuardedChange.creation: "creation of the employee",
    GuardedChange.phone: "new phone",
    GuardedChange.employee_number: "new employee number",
}


@dataclass(frozen=True, slots=True)
class Guarded:
    """A person with changes that the guard holds."""

    person_id: PersonId
    user_name: str | None
    employee_number: str | None
    name: str | None
    changes: tuple[GuardedChange, ...]
    seen: str
    """Tells these changes from any that are held later."""


def told_apart(names: Iterable[str]) -> str:
    """Return a short text that other names do not have: with it, a form decides only what was seen."""
    return sha256("\n".join(names).encode()).hexdigest()[:16]


def is_as_seen(s: Session, seen: Mapping[PersonId, str]) -> bool:
    """Return whether the guard holds of some people what an administrator saw, or nothing any more.

    That stays so until the transaction ends. :param seen: `Guarded.seen` of each.
    """
    for person_id in sorted(seen):
        s.people.get(person_id, lock=True)
    return all(each.seen == seen[each.person_id] for each in guarded(s, list(seen)))


def guarded(s: Session, chosen: Sequence[PersonId] | None = None) -> list[Guarded]:
    """Return the people with changes that the guard holds, by employee number. :param chosen: Only these people."""
    return list(_guarded(s, None if chosen is None else set(chosen)))


def _guarded(s: Session, chosen: set[PersonId] | None) -> Iterator[Guarded]:
    for person_id, kinds in s.guard.held().items():
        if chosen is not None and person_id not in chosen:
            continue
        record = s.people.get(person_id)
        document = document_of(s, record.person.user_id) if record is not None and record.person.user_id else None
        yield Guarded(
            person_id=person_id,
            user_name=str(document["userName"]) if document else None,
            employee_number=record.person.employee_number if record is not None else None,
            name=name_of(document) if document else None,
            changes=tuple(kind for kind in GuardedChange if kind in kinds),
            seen=told_apart(sorted(f"{kind} {said_at.isoformat()}" for kind, said_at in kinds.items())),
        )
