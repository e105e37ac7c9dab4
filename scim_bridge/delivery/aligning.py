"""A linked employee is brought into line with what Entra says, step by step (rules C1-C4, L2-L7, P5, P6)."""

from collections.abc import Mapping
from datetime import date

from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.outcome import Note
from scim_bridge.delivery.refusing import refusal
from scim_bridge.domain.delivery_state import Reason
from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Value
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
from scim_bridge.domain.person import Claim, ClaimKind, Standing
from scim_bridge.errors import OperationMissing, PermanentError, TransientError
from scim_bridge.plan.matching import holders_of, is_ours
from scim_bridge.plan.steps import owes_ending, plan_person
from scim_bridge.storage.claims import Claims


def align(errand: Errand, found: FoundEmployee | None = None) -> None:
    """Send what differs. What can't be sent is noted, and the rest flows on.

    :param found: What was just read, if it was.
    :raises TransientError, CredentialsRefused: to be tried again; what was done so far is acknowledged.
    """
    if errand.person.is_tombstone and not owes_ending(errand.person, errand.tenant.policy):
        return  # The ending is acknowledged already: a DELETE sends nothing, and reads nothing (rule L7).
    found = found or find_linked(errand)
    if found is None:
        errand.notes.append(Note(_gone(errand), Reason.gone))
        return
    plan = plan_person(errand.person, errand.wish, found, errand.tenant.policy, today=errand.today)
    if plan.seen:
        errand.acknowledge(plan.seen.values, login=plan.seen.login, employed=plan.seen.employed)
    _send_standing(errand, plan.standing)
    for operation in plan.changes:
        _send(errand, operation)


def find_linked(errand: Errand) -> FoundEmployee | None:
    """The employee under the acknowledged number, else under the one that was, or is to be, given (rules P5, P6)."""
    person = errand.person
    if person.employee_number is None:
        return None
    found = errand.get(person.employee_number)
    if found is not None:
        if person.renumbering is not None:
            errand.store_renumbering(None)
        return found
    for number in dict.fromkeys((person.renumbering, errand.wish.employee_number)):
        if number is None or number == person.employee_number:
            continue
        found = errand.get(number)
        if found is not None and is_ours(errand.wish, person.acknowledged.values.items(), found):
            errand.acknowledge({Field.employee_number: number}, link=number)
            return found
    return None


def _gone(errand: Errand) -> str:
    number = errand.person.employee_number
    return (
        f"employee {number} was delivered earlier and is no longer found in Ditio: deleted, renumbered, or out of "
        f"this API client's reach. Nothing was created in its place."
    )


def _send_standing(errand: Errand, operations: tuple[Operation, ...]) -> None:
    """Each offboarding step is tried whatever became of the others (rule L6)."""
    trouble: TransientError | None = None
    for operation in operations:
        try:
            _send(errand, operation)
        except TransientError as error:
            if not isinstance(operation, EndEmployment | Disable):
                raise
            trouble = trouble or error
    if trouble is not None:
        raise trouble


def _send(errand: Errand, operation: Operation) -> None:
    number = errand.person.employee_number
    if number is None:
        raise AssertionError("only linked people are brought into line")
    if not _may_send(errand, operation, number):
        return
    match operation:
        case ChangeEmployeeNumber():
            errand.store_renumbering(operation.employee_number)
        case Disable() | Enable():
            errand.doubt(Standing.login)
        case EndEmployment() | CreateEmployment():
            errand.doubt(Standing.employment)
        case _:
            pass
    try:
        errand.send(operation, number)
    except PermanentError as error:
        errand.notes.append(refusal(error, operation))
        return
    except OperationMissing as error:
        errand.notes.append(Note(str(error), Reason.no_operation))
        return
    _acknowledge(errand, operation)


def _may_send(errand: Errand, operation: Operation, number: EmployeeNumber) -> bool:
    """A new number or phone needs its claim, and a phone nobody else in Ditio may have it (rules P3, P4)."""
    match operation:
        case ChangeEmployeeNumber(employee_number=wanted):
            return _has_claim(errand, Claim(ClaimKind.employee_number, wanted))
        case ChangePhoneNumber(phone=phone):
            return _has_claim(errand, Claim(ClaimKind.phone, phone)) and _phone_is_free(errand, phone, number)
        case _:
            return True


def _has_claim(errand: Errand, claim: Claim) -> bool:
    """Whether the person has this claim; a leaver takes it only now, and only if nobody wants it (rule L7)."""
    with errand.database.write() as connection:
        claims = Claims(connection, errand.tenant.name)
        if claims.holder(claim) == errand.person.id:
            return True
        if not errand.person.days.wants_employment(errand.today):
            return claims.take_if_unwanted(errand.person.id, claim)
    return False  # The note that names the holder was written when the claim was asked for.


def _phone_is_free(errand: Errand, phone: str, number: EmployeeNumber) -> bool:
    for holder in holders_of(Field.phone, phone, errand.search(phone)):
        if holder.employee_number != number:
            errand.notes.append(
                Note(
                    f"phone {phone} belongs to employee {holder.employee_number} in Ditio, so employee {number} keeps "
                    f"the old one: correct it on either side, then run `scim-bridge outbox retry`.",
                    Reason.refused,
                )
            )
            return False
    return True


def _acknowledge(errand: Errand, operation: Operation) -> None:
    match operation:
        case ChangeEmployeeNumber(employee_number=number):
            errand.acknowledge({Field.employee_number: number}, link=number)
        case ChangePhoneNumber(phone=phone):
            errand.acknowledge({Field.phone: phone})
        case UpdateEmployment(fields=fields) | UpdateEmployee(fields=fields):
            errand.acknowledge(fields)
        case EndEmployment(last_day=last_day):
            errand.acknowledge({Field.end_date: last_day}, employed=False)
        case CreateEmployment(start=start, payroll=payroll):
            errand.acknowledge(_new_employment(start, payroll), employed=True)
        case Disable():
            errand.acknowledge(login=False)
        case Enable():
            errand.acknowledge(login=True)


def _new_employment(start: date, payroll: int | None) -> Mapping[Field, Value | None]:
    values: dict[Field, Value | None] = {Field.start_date: start, Field.department: None}
    if payroll is not None:
        values[Field.payroll] = payroll
    return values
