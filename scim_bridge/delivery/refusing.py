"""What Ditio refused, in words for the administrator."""

from collections.abc import Iterator
from http import HTTPStatus

from scim_bridge.delivery.outcome import Note, Refusal
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    ChangePhoneNumber,
    CreateEmployee,
    Operation,
    UpdateEmployee,
    UpdateEmployment,
    call_for,
)
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import PermanentError


def refusal(error: PermanentError, operation: Operation | None = None) -> Note:
    """Ditio's words. About a field that was not sent they mean missing data, not a refusal (rule H3).

    :param operation: What was refused; None for a read.
    """
    is_missing = error.field is not None and operation is not None and error.field not in _sent(operation)
    text = f"{error}: {error.words}"
    cure = (
        "Fill it in for this user in Entra"
        if is_missing
        else "Correct the value in Entra, or what stands in its way in Ditio"
    )
    told = Refusal(text, cure, _at_fault(error, operation), is_duplicate=error.status == HTTPStatus.CONFLICT)
    return Note(text, Reason.incomplete if is_missing else Reason.refused, told)


def _at_fault(error: PermanentError, operation: Operation | None) -> tuple[Field, ...]:
    """The field that Ditio named, else those that it may mean; never guessed from its words."""
    if error.field in set(Field):
        return (Field(error.field),)
    match operation:
        case ChangeEmployeeNumber():
            return (Field.employee_number,)
        case ChangePhoneNumber():
            return (Field.phone,)
        case UpdateEmployment(fields=fields) | UpdateEmployee(fields=fields):
            return tuple(fields)
        case CreateEmployee(fields=fields) if error.status == HTTPStatus.CONFLICT:
            # What no two employees may share.
            return tuple(name for name in (Field.employee_number, Field.phone, Field.email) if name in fields)
        case _:
            return ()


def _sent(operation: Operation) -> frozenset[str]:
    return frozenset(_names(call_for(operation, EmployeeNumber("0")).body)) | {"employeeNumber"}


def _names(body: JsonObject) -> Iterator[str]:
    for name, value in body.items():
        yield name
        if isinstance(value, dict):
            yield from _names(value)
