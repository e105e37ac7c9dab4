"""Bring a linked employee into line with what Entra says, step by step (rules C1-C5, L2-L7, P3-P6)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import Connection

from scim_bridge.delivery.acknowledge import acknowledge, expect, store_renumbering
from scim_bridge.delivery.attempt import REREADS, Attempt, refusal
from scim_bridge.delivery.guard import passes_guard
from scim_bridge.delivery.stale_claims import is_theirs, wait_where_given_up_just_now
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
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.people import Permissions

_STANDING: Mapping[type[Operation], Lifecycle] = {
    Disable: Lifecycle.login,
    Enable: Lifecycle.login,
    EndEmployment: Lifecycle.employment,
    CreateEmployment: Lifecycle.employment,
}


def is_so_already(attempt: Attempt, operation: Operation, number: EmployeeNumber) -> bool:
    """Whether a refused step has been taken already: ending an employment may have closed the login, for one.

    Only what Ditio shows proves it, and not while a read may still show the time before our last write (rule C5).
    """
    lifecycle = _STANDING.get(type(operation))
    if lifecycle is None:
        return False
    changed_at = attempt.person.acknowledged.changed_at.get(lifecycle)
    if changed_at is not None and is_recent(changed_at, attempt.now(), attempt.tenant.read_lag_seconds):
        return False
    found = attempt.get(number)
    if found is None or not is_theirs(attempt, found):
        return False
    plan = plan_person(attempt.person, attempt.desired, found, attempt.tenant.policy, today=attempt.today)
    if any(type(each) is type(operation) for each in plan.lifecycle):
        return False
    acknowledge(attempt, plan.seen.values, login=plan.seen.login, employed=plan.seen.employed)
    return True


def may_send(attempt: Attempt, operation: Operation, number: EmployeeNumber) -> bool:
    """A new number or phone needs its claim, and a phone nobody else in Ditio may have it (rules P3, P4)."""
    match operation:
        case ChangeEmployeeNumber(employee_number=wanted):
            return has_claim(attempt, Claim(ClaimKind.employee_number, wanted))
        case ChangePhoneNumber(phone=phone):
            return has_claim(attempt, Claim(ClaimKind.phone, phone)) and _phone_is_free(attempt, phone, number)
        case _:
            return True


def has_claim(attempt: Attempt, claim: Claim) -> bool:
    """Return whether the person has this claim.

    A leaver takes it only now, and only if no other person wants it (rule L7); so does a person whose renumbering
    was sent, and took effect after Entra had named a third number (rule P6).
    """
    is_to_work = attempt.person.days.wants_employment(attempt.today)
    may_take = not is_to_work or claim.value == attempt.person.renumbering

    def take(connection: Connection, _: datetime) -> bool:
        claims = Claims(connection, attempt.tenant.name)
        if claims.holder(claim) == attempt.person.id:
            return True
        return may_take and claims.take_if_unwanted(attempt.person.id, claim)

    if attempt.write(take):
        return True
    if is_to_work:
        return False  # The note that names the holder was written when the claim was asked for.
    text = f"{claim.kind} {claim.value} is another's, or wanted by another: a leaver keeps the old one"
    attempt.notes.append(Note(text))
    return False


def is_permitted(attempt: Attempt, number: EmployeeNumber) -> bool:
    """Whether an operator said that this employee is this user (`adopt --accept`); linking uses that up."""
    with attempt.database.read() as connection:
        now = attempt.database.now(connection)
        return Permissions(connection, attempt.tenant.name).allows(number, attempt.user_name, now=now)


def _phone_is_free(attempt: Attempt, phone: str, number: EmployeeNumber) -> bool:
    for holder in holders_of(Field.phone, phone, attempt.search(phone)):
        if holder.employee_number != number:
            wait_where_given_up_just_now(attempt, Field.phone, holder, phone)
            why = f"phone {phone} belongs to employee {holder.employee_number} in Ditio"
            told = Refusal(why, "Correct it on either side", (Field.phone,), is_duplicate=True)
            kept = f"so employee {number} keeps the old one: correct it on either side, then run"
            attempt.notes.append(Note(f"{why}, {kept} `scim-bridge outbox retry`.", Reason.refused, told))
            return False
    return True


LONGEST_SHOWN = 60
"""Characters of a value that a note quotes."""


def believed_now(attempt: Attempt, found: ActualEmployee) -> ActualEmployee:
    """What was just read; what Ditio took a moment ago stands in for it (rule C5)."""
    known = attempt.person.acknowledged
    if not (known.sent_values or known.changed_at):
        return found
    return believed(found, known, attempt.now(), attempt.tenant.read_lag_seconds)


def before_writing(attempt: Attempt, found: ActualEmployee, plan: Plan) -> dict[Field, Value | None]:
    """What was there before what is about to be sent; a new employment has nothing of the one before."""
    values = {**attempt.person.acknowledged.values, **found.values}
    is_new = any(isinstance(operation, CreateEmployment) for operation in plan.lifecycle)
    return {name: value for name, value in values.items() if not (is_new and name in EMPLOYMENT_FIELDS)}


def read_back(attempt: Attempt, number: EmployeeNumber, before: Mapping[Field, SentValue]) -> None:
    """Look at values that had to be sent again, so that the next edit by hand is not taken for Ditio's form.

    Only here a write is read back: a value that is sent for the first time is looked at by the next delivery. A read
    that fails changes nothing: the next one tells the same.

    :param before: How these values were taken before they were sent again.
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
    """A field that Ditio changes each time, for the administrator who has to decide whose value counts."""
    return Note(
        f"Ditio keeps changing {change.field}: it took {_shown(change.wanted)} {readback.MAX_ROUNDS} times and shows "
        f"{_shown(change.found)}. Write it in Entra as Ditio shows it, or leave the field to Ditio (MAPPING__FIELDS, "
        f'owner "ditio"), then run `scim-bridge outbox retry`.',
        Reason.not_converging,
    )


def _shown(value: Value | None) -> str:
    if value is None:
        return "nothing"
    text = str(value)
    return f'"{text[:LONGEST_SHOWN]}…"' if len(text) > LONGEST_SHOWN else f'"{text}"'


def update_employee(attempt: Attempt, found: ActualEmployee | None = None) -> None:
    """Send what differs. What can't be sent is noted, and the rest flows on.

    :param found: What was just read, if it was.
    :raises TransientError, CredentialsRefused: to be tried again; what was done so far is acknowledged.
    """
    is_over = attempt.person.is_tombstone and not owes_ending(attempt.person, attempt.tenant.policy)
    if is_over and attempt.person.renumbering is None:
        return  # The ending is acknowledged already: a DELETE sends nothing, and reads nothing (rule L7).
    found = found or find_linked(attempt)
    if found is None:
        return
    found = believed_now(attempt, found)
    plan = plan_person(attempt.person, attempt.desired, found, attempt.tenant.policy, today=attempt.today)
    attempt.last_day = plan.last_day
    carry_out(attempt, found, plan)


def carry_out(attempt: Attempt, found: ActualEmployee, plan: Plan) -> None:
    """Send the operations of a plan, and keep what it learned.

    :raises TransientError, CredentialsRefused: see `update_employee`.
    """
    taken = attempt.person.acknowledged.sent_values
    if plan.seen or plan.rounds.learned:
        seen, learned = plan.seen, plan.rounds.learned
        acknowledge(attempt, seen.values, login=seen.login, employed=seen.employed, learned=learned)
    attempt.notes += [stuck_note(change) for change in plan.rounds.stuck]
    write = Write(before=before_writing(attempt, found, plan), earlier=plan.rounds.repeated)
    _send_standing(attempt, plan.lifecycle, write)
    for operation in plan.changes:
        _send(attempt, operation, write)
    if attempt.person.employee_number is not None:
        read_back(attempt, attempt.person.employee_number, {name: taken[name] for name in plan.rounds.repeated})


def find_linked(attempt: Attempt) -> ActualEmployee | None:
    """The employee who is this person, under the acknowledged number or under one that was, or is to be, given.

    None where there is none to whom anything may be written (rule P5); a note says why.

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
    is_same = shown is not None and is_theirs(attempt, shown)
    if shown is not None and is_same and shown.employee_number == number:
        attempt.answered = shown
        return shown
    if (found := _find_under(attempt, attempt.desired.employee_number)) is not None:
        return found
    if shown is None:
        _note_absence(attempt, number)
        return None
    return _spelled_otherwise(attempt, shown) if is_same else _stranger(attempt, number, shown)


def _find_renumbered(attempt: Attempt, old: EmployeeNumber, new: EmployeeNumber) -> ActualEmployee | None:
    """After a renumbering whose answer was lost both numbers are read, and only who matches is ours (rule P6)."""
    for _ in range(REREADS):  # Reads may lag (rule R4).
        found = _find_under(attempt, new)
        if found is not None:
            return found
        found = attempt.get(old)
        if found is not None and is_theirs(attempt, found):
            # It was not applied. Where it is sent again it is stored again.
            if attempt.desired.employee_number != new or not attempt.person.days.wants_employment(attempt.today):
                store_renumbering(attempt, None)
            return found
    return None


def _find_under(attempt: Attempt, number: EmployeeNumber | None) -> ActualEmployee | None:
    """Our employee under another number, to which the link moves; it needs the claim, so nobody else has it."""
    if number is None or number == attempt.person.employee_number:
        return None
    found = attempt.get(number)
    if found is None or not is_ours(attempt.person, attempt.desired, found):
        return None
    if not has_claim(attempt, Claim(ClaimKind.employee_number, number)):
        return None
    acknowledge(attempt, {Field.employee_number: number}, link=number, employee=found)
    return found


def _note_absence(attempt: Attempt, number: EmployeeNumber) -> None:
    _wait_for_lag(attempt, f"employee {number} was created or changed just now, and is not shown yet")
    where = "deleted, renumbered, or out of this API client's reach"
    if elsewhere := confirm_absence(attempt, number):
        where = f"Ditio has the person as employee {' and '.join(elsewhere)} now: correct the number in Entra or there"
    text = f"employee {number} was delivered earlier and is no longer found in Ditio: {where}"
    attempt.notes.append(Note(f"{text}. No new employee was created instead.", Reason.gone))


def confirm_absence(attempt: Attempt, number: EmployeeNumber) -> list[EmployeeNumber]:
    """Have a second witness that a linked employee is not there: a search that works and shows no such number (P5).

    Returns the numbers under which the search shows this person.

    :raises NotYet: the search shows what the read did not.
    :raises DeliveryError: the search does not work, so the 404 proves nothing.
    """
    person = attempt.person
    found = attempt.search(person.acknowledged.phone or attempt.desired.text(Field.phone) or number)
    elsewhere = [each.employee_number for each in found if is_ours(person, attempt.desired, each)]
    if number in elsewhere or person.renumbering in elsewhere:
        raise NotYet(f"Ditio shows no employee {number}, and finds the person when it is searched")
    return elsewhere


def _wait_for_lag(attempt: Attempt, why: str) -> None:
    """A read soon after a link, or a change of what tells who somebody is, may be older (rules C5, R4)."""
    person = attempt.person
    sent_values = [person.acknowledged.sent_values.get(name) for name in IDENTITY]
    moments = [person.linked_at, *(taking.at for taking in sent_values if taking is not None)]
    now, lag = attempt.now(), attempt.tenant.read_lag_seconds
    if any(moment is not None and is_recent(moment, now, lag) for moment in moments):
        raise NotYet(why)


def _stranger(attempt: Attempt, number: EmployeeNumber, shown: ActualEmployee) -> ActualEmployee | None:
    """Another person has the number in Ditio now: nothing is written, unless an operator said who they are (P5)."""
    _wait_for_lag(attempt, f"employee {number} was linked or changed just now, and may not be shown as it is")
    if is_permitted(attempt, number):
        agreed = agreeing_fields(attempt.desired, shown)
        acknowledge(attempt, agreed, link=number, employee=shown)
        return shown
    attempt.notes.append(Note(not_theirs(attempt.person, attempt.desired, shown, attempt.user_name), Reason.stranger))
    return None


def _spelled_otherwise(attempt: Attempt, shown: ActualEmployee) -> ActualEmployee:
    """Ditio spells the number of this very employee in its own way; Entra has to do the same (rule P4)."""
    why = (
        f"Ditio spells employee number {attempt.person.employee_number} as {shown.employee_number}: write "
        f"{shown.employee_number} in Entra, exactly so"
    )
    attempt.notes.append(Note(why, Reason.refused))
    return shown


def _send_standing(attempt: Attempt, operations: tuple[Operation, ...], write: Write) -> None:
    """Each offboarding step is tried whatever became of the others (rule L6)."""
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
        raise AssertionError("only linked people are brought into line")
    if not may_send(attempt, operation, number) or not passes_guard(attempt, operation):
        return
    expect(attempt, operation)
    try:
        after = attempt.send(operation, number)
    except (PermanentError, OperationMissing) as error:
        if not is_so_already(attempt, operation, number):
            _note_refusal(attempt, operation, number, error)
    else:
        _acknowledge(attempt, operation, replace(write, after=after))
        attempt.is_settled()


def _note_refusal(
    attempt: Attempt, operation: Operation, number: EmployeeNumber, error: PermanentError | OperationMissing
) -> None:
    if isinstance(error, OperationMissing):
        # A 404 means a missing operation only while the employee can be read (rule R1).
        if error.status is not None and attempt.get(number) is None:
            raise NotYet(f"employee {number} can't be read just now", status=error.status) from error
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
            # Of the employment before it has nothing, and is not one more try of it.
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
