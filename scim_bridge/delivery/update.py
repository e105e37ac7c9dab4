"""Update a linked employee to what Entra says, step by step (rules C1-C5, L2-L7, P3-P6)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from scim_bridge.delivery.acknowledge import acknowledge, expect, store_renumbering
from scim_bridge.delivery.attempt import REREADS, Attempt, refusal
from scim_bridge.delivery.claims import ensure_claim, wait_where_given_up_just_now
from scim_bridge.delivery.guard import ask_guard
from scim_bridge.domain.employee import EMPLOYMENT_FIELDS, ActualEmployee, EmployeeNumber, Field, Value
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    ChangePhoneNumber,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
    UpdateEmployee,
    UpdateEmployment,
)
from scim_bridge.domain.outcome import Note, Reason, Refusal
from scim_bridge.domain.person import Claim, ClaimKind, Lifecycle, SentValue
from scim_bridge.errors import DeliveryError, NotYet, OperationMissing, PermanentError
from scim_bridge.plan import readback
from scim_bridge.plan.diff import Change
from scim_bridge.plan.matching import IDENTITY, agreeing_fields, holders_of, is_ours, not_theirs
from scim_bridge.plan.readback import Write, believed, is_recent
from scim_bridge.plan.steps import Plan, owes_ending, plan_person

_LIFECYCLE_OF: Mapping[type[Operation], Lifecycle] = {
    Disable: Lifecycle.login,
    Enable: Lifecycle.login,
    EndEmployment: Lifecycle.employment,
    CreateEmployment: Lifecycle.employment,
}


def is_so_already(attempt: Attempt, operation: Operation, number: EmployeeNumber) -> bool:
    """Return whether a refused step is already done; for example, ending an employment may have closed the login.

    Only a read proves it, and only once reads must show our last write (rule C5).
    """
    lifecycle = _LIFECYCLE_OF.get(type(operation))
    if lifecycle is None:
        return False
    changed_at = attempt.person.acknowledged.changed_at.get(lifecycle)
    if changed_at is not None and is_recent(changed_at, attempt.now(), attempt.tenant.read_lag_seconds):
        return False
    found = attempt.get(number)
    if found is None or not attempt.is_theirs(found):
        return False
    plan = plan_person(attempt.person, attempt.desired, found, attempt.tenant.policy, today=attempt.today)
    if any(type(each) is type(operation) for each in plan.lifecycle):
        return False
    acknowledge(attempt, plan.seen.values, login=plan.seen.login, employed=plan.seen.employed)
    return True


def may_send(attempt: Attempt, operation: Operation, number: EmployeeNumber) -> bool:
    """Return whether the claims permit an operation: a new number or phone needs its claim (rule P3).

    A new phone must also be free in Ditio (rule P4).
    """
    match operation:
        case ChangeEmployeeNumber(employee_number=wanted):
            return ensure_claim(attempt, Claim(ClaimKind.employee_number, wanted))
        case ChangePhoneNumber(phone=phone):
            return ensure_claim(attempt, Claim(ClaimKind.phone, phone)) and _phone_is_free(attempt, phone, number)
        case _:
            return True


def _phone_is_free(attempt: Attempt, phone: str, number: EmployeeNumber) -> bool:
    for holder in holders_of(Field.phone, phone, attempt.search(phone)):
        if holder.employee_number != number:
            wait_where_given_up_just_now(attempt, Field.phone, holder, phone)
            why = f"phone {phone} belongs to employee {holder.employee_number} in Ditio"
            if not holder.employee_number:
                why = f"phone {phone} belongs to an employee without a number in Ditio"
            told = Refusal(why, "Correct it on either side", (Field.phone,), is_duplicate=True)
            kept = f"so employee {number} keeps the old one: correct it on either side, then run"
            attempt.notes.append(Note(f"{why}, {kept} `scim-bridge outbox retry`.", Reason.refused, told))
            return False
    return True


LONGEST_SHOWN = 60
"""Characters of a value that a note quotes."""


def believed_now(attempt: Attempt, found: ActualEmployee) -> ActualEmployee:
    """Return the employee as just read, with what Ditio accepted a moment ago in place of older values (rule C5)."""
    known = attempt.person.acknowledged
    if not (known.sent_values or known.changed_at):
        return found
    return believed(found, known, attempt.now(), attempt.tenant.read_lag_seconds)


def before_writing(attempt: Attempt, found: ActualEmployee, plan: Plan) -> dict[Field, Value | None]:
    """Return the values before a plan is sent; without those of the employment if the plan begins a new one."""
    values = {**attempt.person.acknowledged.values, **found.values}
    is_new = any(isinstance(operation, CreateEmployment) for operation in plan.lifecycle)
    return {name: value for name, value in values.items() if not (is_new and name in EMPLOYMENT_FIELDS)}


def read_back(attempt: Attempt, number: EmployeeNumber, before: Mapping[Field, SentValue]) -> None:
    """Read back values that had to be sent again, so the next edit by hand is not mistaken for Ditio's own form.

    Writes are read back only here; the next delivery reads a value that was sent for the first time. A failed read
    changes nothing: the next one shows the same.

    :param before: The sent values as they were known before they were sent again.
    """
    known = attempt.person.acknowledged
    again = {
        name: known.sent_values[name]
        for name in before
        if known.sent_values.get(name, before[name]) is not before[name]
    }
    if not again or not attempt.budget.allows_write():
        return
    try:
        found = attempt.get(number)
    except DeliveryError:
        return
    if found is not None and (learned := readback.read_back(again, known.values, found.values)):
        acknowledge(attempt, learned=learned)


def stuck_note(change: Change) -> Note:
    """Return the note for a field that Ditio keeps changing: an administrator has to decide whose value is right."""
    return Note(
        f"Ditio keeps changing {change.field}: it accepted {_shown(change.wanted)} {readback.MAX_ROUNDS} times and "
        f"shows {_shown(change.found)}. Write it in Entra as Ditio shows it, or leave the field to Ditio "
        f'(MAPPING__FIELDS, owner "ditio"), then run `scim-bridge outbox retry`.',
        Reason.not_converging,
    )


def _shown(value: Value | None) -> str:
    if value is None:
        return "nothing"
    text = str(value)
    return f'"{text[:LONGEST_SHOWN]}…"' if len(text) > LONGEST_SHOWN else f'"{text}"'


def update_employee(attempt: Attempt, found: ActualEmployee | None = None) -> None:
    """Send what differs. What can't be sent is noted, and the rest is still sent.

    :param found: The employee, if just read.
    :raises TransientError, CredentialsRefused: to be tried again; what was done so far is acknowledged.
    """
    is_over = attempt.person.is_tombstone and not owes_ending(attempt.person, attempt.tenant.policy)
    if is_over and attempt.person.renumbering is None:
        return  # The ending is already acknowledged: nothing is sent or read for a deleted user (rule L7).
    found = found or find_linked(attempt)
    if found is None:
        return
    found = believed_now(attempt, found)
    plan = plan_person(attempt.person, attempt.desired, found, attempt.tenant.policy, today=attempt.today)
    attempt.last_day = plan.last_day
    carry_out(attempt, found, plan)


def carry_out(attempt: Attempt, found: ActualEmployee, plan: Plan) -> None:
    """Send the operations of a plan, and store what its comparison learned.

    :raises TransientError, CredentialsRefused: see `update_employee`.
    """
    sent_before = attempt.person.acknowledged.sent_values
    if plan.seen or plan.rounds.learned:
        seen, learned = plan.seen, plan.rounds.learned
        acknowledge(attempt, seen.values, login=seen.login, employed=seen.employed, learned=learned)
    attempt.notes += [stuck_note(change) for change in plan.rounds.stuck]
    write = Write(before=before_writing(attempt, found, plan), earlier=plan.rounds.repeated)
    _send_lifecycle(attempt, plan.lifecycle, write)
    for operation in plan.changes:
        _send(attempt, operation, write)
    if attempt.person.employee_number is not None:
        read_back(attempt, attempt.person.employee_number, {name: sent_before[name] for name in plan.rounds.repeated})


def find_linked(attempt: Attempt) -> ActualEmployee | None:
    """Return this person's employee: under the acknowledged number, or a number that was sent or is desired.

    Return None if there is no employee that may be written to (rule P5); a note then says why.

    :raises TransientError: it is too early to tell, or Ditio contradicts itself.
    """
    person = attempt.person
    if (number := person.employee_number) is None:
        return None
    if person.renumbering is not None:
        found = _find_renumbered(attempt, number, person.renumbering)
        if found is None:
            _note_absence(attempt, number)
        return found
    shown = attempt.look_up(number)
    is_same = shown is not None and attempt.is_theirs(shown)
    if shown is not None and is_same and shown.employee_number == number:
        attempt.last_shown = shown
        return shown
    if (found := _find_under(attempt, attempt.desired.employee_number)) is not None:
        return found
    if shown is None:
        _note_absence(attempt, number)
        return None
    return _spelled_differently(attempt, shown) if is_same else _not_theirs(attempt, number, shown)


def _find_renumbered(attempt: Attempt, old: EmployeeNumber, new: EmployeeNumber) -> ActualEmployee | None:
    """Read both numbers after a renumbering whose answer was lost; only a matching employee is ours (rule P6)."""
    for _ in range(REREADS):  # Reads may lag (rule R4).
        found = _find_under(attempt, new)
        if found is not None:
            return found
        found = attempt.get(old)
        if found is not None and attempt.is_theirs(found):
            # Ditio did not apply it. If it is sent again, it is stored again.
            if attempt.desired.employee_number != new or not attempt.person.days.wants_employment(attempt.today):
                store_renumbering(attempt, None)
            return found
    return None


def _find_under(attempt: Attempt, number: EmployeeNumber | None) -> ActualEmployee | None:
    """Return our employee under another number, and move the link there. The claim is needed: others can't have it."""
    if number is None or number == attempt.person.employee_number:
        return None
    found = attempt.get(number)
    if found is None or not is_ours(attempt.person, attempt.desired, found):
        return None
    if not ensure_claim(attempt, Claim(ClaimKind.employee_number, number)):
        return None
    acknowledge(attempt, {Field.employee_number: number}, link=number, employee=found)
    return found


def _note_absence(attempt: Attempt, number: EmployeeNumber) -> None:
    _wait_for_lag(attempt, f"employee {number} was created or changed just now, and Ditio may not show it yet")
    where = "deleted, renumbered, or out of this API client's reach"
    if elsewhere := confirm_absence(attempt, number):
        where = f"Ditio has the person as employee {' and '.join(elsewhere)} now: correct the number in Entra or there"
    text = f"employee {number} was delivered earlier and is no longer found in Ditio: {where}"
    attempt.notes.append(Note(f"{text}. No new employee was created instead.", Reason.gone))


def confirm_absence(attempt: Attempt, number: EmployeeNumber) -> list[EmployeeNumber]:
    """Confirm by a second witness that a linked employee is absent: a search that works and shows no such number (P5).

    Return the other numbers under which the search shows this person.

    :raises NotYet: the search shows what the read did not.
    :raises DeliveryError: the search does not work, so the 404 proves nothing.
    """
    person = attempt.person
    found = attempt.search(person.acknowledged.phone or attempt.desired.text(Field.phone) or number)
    elsewhere = [each.employee_number for each in found if is_ours(person, attempt.desired, each)]
    if number in elsewhere or person.renumbering in elsewhere:
        raise NotYet(f"Ditio contradicts itself: a read shows no employee {number}, but a search finds the person")
    return elsewhere


def _wait_for_lag(attempt: Attempt, why: str) -> None:
    """Conclude nothing from a read that may be older than the link, or than a change of an identifying field (C5, R4).

    :raises NotYet: the read may be older.
    """
    person = attempt.person
    sent_values = [person.acknowledged.sent_values.get(name) for name in IDENTITY]
    moments = [person.linked_at, *(sent.at for sent in sent_values if sent is not None)]
    now, lag = attempt.now(), attempt.tenant.read_lag_seconds
    if any(moment is not None and is_recent(moment, now, lag) for moment in moments):
        raise NotYet(why)


def _not_theirs(attempt: Attempt, number: EmployeeNumber, shown: ActualEmployee) -> ActualEmployee | None:
    """Write nothing to another person who has the number now, unless an operator permitted the link (rule P5)."""
    _wait_for_lag(attempt, f"employee {number} was linked or changed just now, and Ditio may still show the old values")
    if attempt.is_permitted(number):
        agreed = agreeing_fields(attempt.desired, shown)
        acknowledge(attempt, agreed, link=number, employee=shown)
        return shown
    attempt.notes.append(
        Note(not_theirs(attempt.person, attempt.desired, shown, attempt.facts.user_name), Reason.stranger)
    )
    return None


def _spelled_differently(attempt: Attempt, shown: ActualEmployee) -> ActualEmployee:
    """Note that Ditio spells this employee's number differently, so Entra has to spell it the same (rule P4)."""
    why = (
        f"Ditio spells employee number {attempt.person.employee_number} as {shown.employee_number}: write "
        f"exactly {shown.employee_number} in Entra"
    )
    attempt.notes.append(Note(why, Reason.refused))
    return shown


def _send_lifecycle(attempt: Attempt, operations: tuple[Operation, ...], write: Write) -> None:
    """Send the lifecycle steps. Each offboarding step is tried even if another one failed (rule L6)."""
    trouble: DeliveryError | None = None
    for operation in operations:
        try:
            _send(attempt, operation, write)
        except DeliveryError as error:
            if not isinstance(operation, EndEmployment | Disable):
                raise
            trouble = trouble or error
    if trouble is not None:
        raise trouble


def _send(attempt: Attempt, operation: Operation, write: Write) -> None:
    number = attempt.person.employee_number
    if number is None:
        raise AssertionError("only linked people are updated")
    if not may_send(attempt, operation, number) or not ask_guard(attempt, operation):
        return
    expect(attempt, operation)
    try:
        after = attempt.send(operation, number)
    except (PermanentError, OperationMissing) as error:
        if not is_so_already(attempt, operation, number):
            _note_refusal(attempt, operation, number, error)
    else:
        _acknowledge(attempt, operation, replace(write, after=after))
        attempt.mark_answered()


def _note_refusal(
    attempt: Attempt, operation: Operation, number: EmployeeNumber, error: PermanentError | OperationMissing
) -> None:
    if isinstance(error, OperationMissing):
        # A 404 means a missing operation only while the employee can be read (rule R1).
        if error.status is not None and attempt.get(number) is None:
            raise NotYet(f"Ditio does not show employee {number} just now", status=error.status) from error
        attempt.notes.append(Note(str(error), Reason.no_operation))
    else:
        attempt.notes.append(refusal(error, operation))
    if isinstance(operation, ChangeEmployeeNumber):
        store_renumbering(attempt, None)


def _acknowledge(attempt: Attempt, operation: Operation, write: Write) -> None:
    match operation:
        case ChangeEmployeeNumber(employee_number=number):
            acknowledge(attempt, {Field.employee_number: number}, link=number)
        case ChangePhoneNumber(phone=phone):
            acknowledge(attempt, {Field.phone: phone}, write=write)
        case UpdateEmployment(fields=fields) | UpdateEmployee(fields=fields):
            acknowledge(attempt, fields, write=write)
        case EndEmployment(last_day=last_day):
            acknowledge(attempt, {Field.end_date: last_day}, employed=False, write=write)
        case CreateEmployment(start=start, payroll=payroll):
            # A new employment has no values of the one before, and does not repeat a write to it.
            acknowledge(attempt, _new_employment(start, payroll), employed=True, write=replace(write, earlier={}))
        case Disable():
            acknowledge(attempt, login=False, write=write)
        case Enable():
            acknowledge(attempt, login=True, write=write)


def _new_employment(start: date, payroll: int | None) -> Mapping[Field, Value | None]:
    values: dict[Field, Value | None] = {Field.start_date: start, Field.department: None}
    if payroll is not None:
        values[Field.payroll] = payroll
    return values
