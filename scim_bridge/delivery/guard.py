"""The hourly guard and hands-off: changes that are not sent until an operator decides (rules D6, L8)."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

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
from scim_bridge.domain.person import HOUR, GuardedChange, HandsOff, PersonId, Verdict
from scim_bridge.errors import NotFound
from scim_bridge.plan.limits import SMALL, HourlyLimits, busiest_hour
from scim_bridge.storage.database import Session
from scim_bridge.storage.guard import Guard, GuardDecision
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord


def hands_off_note(hands_off: HandsOff) -> Note:
    """Return the note for a person whose deliveries an operator stopped (rule D6)."""
    until = f"the end of {hands_off.until}" if hands_off.until else "`people hands-off NUMBER --clear`"
    why = f"an operator stopped deliveries to this person until {until}"
    return Note(f"{why}: nothing is sent, the end of employment included", Reason.hands_off)


def set_hands_off(s: Session, name: str, hands_off: HandsOff) -> tuple[PersonId, str]:
    """Stop deliveries to a person. Return the person's id, and the note about it.

    :param name: An employee number or a user name.
    :raises NotFound: no user has that name.
    """
    record = person_named(s, name, lock=True)
    person_id, note, outbox = record.person.id, hands_off_note(hands_off), s.outbox
    s.hands_offs.set(person_id, hands_off)
    s.history.add(person_id, Entry("hands-off", "done", cause="operator"))
    # A process that delivers the person now sees the change, makes another attempt, and then sends nothing more.
    outbox.mark_due(person_id)
    if record.leased_until is not None and record.leased_until > s.now:
        return person_id, f"{note.text}; only the call that is under way now still ends"
    outbox.settle(person_id, state=state_of(Reason.hands_off), reason=Reason.hands_off, detail=note.text)
    return person_id, note.text


def clear_hands_off(s: Session, name: str) -> PersonId | None:
    """Resume deliveries to a person, who is due at once. Return the person's id; None if they were not stopped.

    :param name: An employee number or a user name.
    :raises NotFound: no user has that name.
    """
    record = person_named(s, name, lock=True)
    if record.person.hands_off is None:
        return None
    s.hands_offs.set(record.person.id, None)
    s.history.add(record.person.id, Entry("hands-off-cleared", "done", cause="operator"))
    s.outbox.mark_due(record.person.id)
    return record.person.id


def person_named(s: Session, name: str, *, lock: bool = False) -> PersonRecord:
    """Return a person as an operator names them; see `People.find`. :raises NotFound: there is none."""
    record = s.people.find(name)
    if lock and record is not None:
        record = s.people.get(record.person.id, lock=True)
    if record is None:
        raise NotFound(f"no user has the employee number or user name {name!r}: check the spelling")
    return record


KEPT = "kept by the operator"
"""The note for a person with a change that is not sent because an operator withdrew it."""


def guarded_by(operation: Operation) -> GuardedChange | None:
    """Return the kind of guarded change that an operation counts as; None if the guard does not count it."""
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


def ask_guard(attempt: Attempt, operation: Operation) -> bool:
    """Return whether an operation that is about to be sent passes the guard; note it if not.

    Ask last before sending: what passes is counted. Rows of a plan meet only the guards of `reconcile` (rule Q4).
    """
    kind = guarded_by(operation)
    if kind is None or attempt.facts.scope is not None or not attempt.tenant.limits.guards(kind):
        return True
    if kind is GuardedChange.ending and attempt.person.occasions.is_announced:
        return True
    if (verdict := attempt.verdicts.get(kind)) is None:
        # An operation that is switched off sends nothing to count. An earlier decision stays.
        counts = not attempt.tenant.ditio.is_off(name_of(operation))
        decided = _decide(attempt, kind, counts=counts)
        if decided is None:
            return True
        verdict = attempt.verdicts[kind] = decided.verdict
        if kind is GuardedChange.ending and verdict is not Verdict.counted:
            attempt.last_day = None  # This ending is not sent on a day, so there is no day to wait for.
        if verdict is Verdict.held:
            attempt.notes.append(Note(decided.why or "", Reason.guard))
        elif verdict is Verdict.dropped:
            attempt.notes.append(Note(KEPT))
    return verdict is Verdict.counted


def uncount_undone(s: Session, attempt: Attempt) -> None:
    """Stop counting what Ditio refused, once the write is taken back: Entra's next try requests it anew."""
    for kind, verdict in attempt.verdicts.items():
        said_at = attempt.person.occasions.of(kind)
        if verdict is Verdict.counted and said_at is not None and not _is_accepted(attempt, kind):
            s.guard.uncount(kind, attempt.person.id, said_at)


def _is_accepted(attempt: Attempt, kind: GuardedChange) -> bool:
    """Return whether Ditio accepted what was counted. An ending is never undone."""
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


def _decide(attempt: Attempt, kind: GuardedChange, *, counts: bool) -> GuardDecision | None:
    """Return the decision about a change: the earlier one, or a new one that counts or holds it.

    :param counts: Whether to decide about a change that never met the guard; if not, return None for it.
    """
    person_id = attempt.person.id

    def decide(s: Session) -> tuple[GuardDecision | None, datetime]:
        guard = s.guard
        said_at = attempt.person.occasions.of(kind) or s.now
        guard.note_occasion(kind, person_id, said_at)
        guard.serialise()
        decided = guard.decided(kind, person_id, said_at)
        if decided is None and counts:
            decided = _first_decision(guard, attempt.tenant.limits, kind, said_at)
            guard.decide(kind, person_id, said_at, decided)
        return decided, said_at

    decided, said_at = attempt.write(decide)
    attempt.person = replace(attempt.person, occasions=attempt.person.occasions.with_time(kind, said_at))
    return decided


def _first_decision(guard: Guard, limits: HourlyLimits, kind: GuardedChange, said_at: datetime) -> GuardDecision:
    """Decide about a change that meets the guard for the first time. In a quiet hour, few people need be counted."""
    around = guard.how_many_around(kind, said_at) + 1
    if around <= limits.least(kind, guard.at_work(said_at - HOUR, most=SMALL)):
        return GuardDecision(Verdict.counted)
    at_work = guard.at_work(said_at - HOUR)
    limit = limits.of(kind, at_work)
    count = around if around <= limit else busiest_hour(guard.moments_around(kind, said_at), said_at)
    if count <= limit:
        return GuardDecision(Verdict.counted)
    return GuardDecision(Verdict.held, limits.why_held(kind, count, at_work))


def release(s: Session, whose: Collection[PersonId] | None) -> int:
    """Release held changes, of all people or of some. Return how many people.

    Released changes count in the hour in which they were requested.
    """
    released = s.guard.release(whose)
    return _mark_all_due(s, released, "guard-released")


def drop(s: Session, whose: Collection[PersonId] | None) -> int:
    """Withdraw held changes: each is not sent until Entra changes it. Return how many people."""
    dropped = s.guard.drop(whose)
    return _mark_all_due(s, dropped, "guard-dropped")


def _mark_all_due(s: Session, whose: list[PersonId], what: str) -> int:
    """Mark people due again, as only their delivery can tell what else waits for them. Return how many."""
    outbox, history = s.outbox, s.history
    for person_id in whose:
        history.add(person_id, Entry(what, "done", cause="operator"))
        outbox.mark_due(person_id)
    return len(whose)
