"""The hourly guard and hands-off: changes that are kept from Ditio until an operator decides (rules D6, L8)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.attempt import Attempt
from scim_bridge.domain.employee import Field
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    ChangePhoneNumber,
    CreateEmployee,
    Disable,
    EndEmployment,
    Operation,
    name_of,
)
from scim_bridge.domain.outcome import Note, Reason, state_of
from scim_bridge.domain.person import HOUR, GuardedChange, HandsOff, Person, PersonId, Verdict
from scim_bridge.errors import NotFound
from scim_bridge.plan.limits import SMALL, HourlyLimits, busiest_hour
from scim_bridge.plan.steps import Policy, owes_ending
from scim_bridge.storage.guard import Guard, GuardDecision
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, PersonRecord, PutAside


def aside_note(hands_off: HandsOff) -> Note:
    """What is said of somebody whom an operator put aside (rule D6)."""
    until = f"until the end of {hands_off.until}" if hands_off.until else "until somebody clears it"
    return Note(f"put aside {until}: nothing is sent for this person, endings included", Reason.hands_off)


def set_hands_off(
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


def clear_hands_off(connection: Connection, tenant: str, name: str, now: datetime) -> PersonId | None:
    """Make a person due who was put aside. Who it is; None if he was not. :raises NotFound: nobody has that name."""
    record = _locked(connection, tenant, name)
    if record.person.hands_off is None:
        return None
    PutAside(connection, tenant).set(record.person.id, None)
    History(connection, tenant, now).add(record.person.id, Entry("hands-off-cleared", "done", cause="operator"))
    Outbox(connection, tenant, now).mark_due(record.person.id)
    return record.person.id


def _locked(connection: Connection, tenant: str, name: str) -> PersonRecord:
    people = People(connection, tenant)
    found = people.find(name)
    record = people.get(found.person.id, lock=True) if found is not None else None
    if record is None:
        raise NotFound(f"nobody has the employee number or user name {name!r}")
    return record


KEPT = "kept by the operator"
"""What is said of somebody for whom something is not sent because the operator withdrew it."""


def guarded_by(operation: Operation) -> GuardedChange | None:
    """As what an operation is counted, if it is."""
    match operation:
        case EndEmployment() | Disable():
            return GuardedChange.ending
        case ChangePhoneNumber():
            return GuardedChange.phone
        case ChangeEmployeeNumber():
            return GuardedChange.employee_number
        case CreateEmployee():
            return GuardedChange.creation
        case _:
            return None


def passes_guard(attempt: Attempt, operation: Operation) -> bool:
    """Whether an operation that is about to be sent passes the guard; what does not is noted.

    Ask it last: what passes counts. The rows of a plan answer to the guards of `reconcile` alone (rule Q4).
    """
    kind = guarded_by(operation)
    if kind is None or attempt.scope is not None or not attempt.tenant.limits.guards(kind):
        return True
    if kind is GuardedChange.ending and attempt.person.occasions.is_announced:
        return True
    if (verdict := attempt.verdicts.get(kind)) is None:
        # Where the operation is switched off, nothing is sent that could count; what was decided before stays so.
        counts = not attempt.tenant.ditio.is_off(name_of(operation))
        decided = _decide(attempt, kind, counts=counts)
        if decided is None:
            return True
        verdict = attempt.verdicts[kind] = decided.verdict
        if kind is GuardedChange.ending and verdict is not Verdict.counted:
            attempt.last_day = None  # No employment ends by itself then, and there is no day to wait for.
        if verdict is Verdict.held:
            attempt.notes.append(Note(decided.why or "", Reason.guard))
        elif verdict is Verdict.dropped:
            attempt.notes.append(Note(KEPT))
    return verdict is Verdict.counted


def uncount_undone(connection: Connection, attempt: Attempt, now: datetime) -> None:
    """What Ditio refused is no part of an hour once the write is taken back: Entra's next try says it anew."""
    guard = Guard(connection, attempt.tenant.name, now)
    for kind, verdict in attempt.verdicts.items():
        said_at = attempt.person.occasions.of(kind)
        if verdict is Verdict.counted and said_at is not None and not _came_about(attempt, kind):
            guard.uncount(kind, attempt.person.id, said_at)


def _came_about(attempt: Attempt, kind: GuardedChange) -> bool:
    """Whether Ditio took what was counted. An ending is never undone."""
    person, desired = attempt.person, attempt.desired
    match kind:
        case GuardedChange.creation:
            return person.employee_number is not None or person.creating is not None
        case GuardedChange.phone:
            return person.acknowledged.phone == desired.text(Field.phone)
        case GuardedChange.employee_number:
            return person.employee_number == desired.employee_number
        case GuardedChange.ending:
            return True


def settle_guarded(
    guard: Guard,
    person: Person,
    policy: Policy,
    settled: Iterable[tuple[GuardedChange, datetime]],
    *,
    login: bool | None,
    employed: bool | None,
) -> None:
    """What Ditio has by now is neither held nor withdrawn nor waited for any more.

    :param person: With what is acknowledged by now.
    :param settled: Which changes have come to their end, and when they were said.
    :param login: What was just acknowledged of it, as of `employed`.
    """
    for kind, said_at in settled:
        guard.settle_occasion(kind, person.id, said_at)
    if False in (login, employed) and not owes_ending(person, policy):
        guard.forgive(GuardedChange.ending, person.id)


def _decide(attempt: Attempt, kind: GuardedChange, *, counts: bool) -> GuardDecision | None:
    """What becomes of a change: as before, if it met the guard before; else it is counted, or held.

    :param counts: Whether it is judged if it never met the guard; if not, nothing becomes of it.
    """
    person_id = attempt.person.id

    def decide(connection: Connection, now: datetime) -> tuple[GuardDecision | None, datetime]:
        guard = Guard(connection, attempt.tenant.name, now)
        said_at = attempt.person.occasions.of(kind) or now
        guard.note_occasion(kind, person_id, said_at)
        guard.serialise()
        decided = guard.decided(kind, person_id, said_at)
        if decided is None and counts:
            decided = _judged(guard, attempt.tenant.limits, kind, said_at)
            guard.decide(kind, person_id, said_at, decided)
        return decided, said_at

    decided, said_at = attempt.write(decide)
    attempt.person = replace(attempt.person, occasions=attempt.person.occasions.with_time(kind, said_at))
    return decided


def _judged(guard: Guard, limits: HourlyLimits, kind: GuardedChange, said_at: datetime) -> GuardDecision:
    """One that meets the guard for the first time. Most hours are so quiet that few people need be counted."""
    around = guard.how_many_around(kind, said_at) + 1
    if around <= limits.least(kind, guard.at_work(said_at - HOUR, most=SMALL)):
        return GuardDecision(Verdict.counted)
    at_work = guard.at_work(said_at - HOUR)
    limit = limits.of(kind, at_work)
    count = around if around <= limit else busiest_hour(guard.moments_around(kind, said_at), said_at)
    if count <= limit:
        return GuardDecision(Verdict.counted)
    return GuardDecision(Verdict.held, limits.why_held(kind, count, at_work))


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
