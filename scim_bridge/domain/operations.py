"""The operations of Ditio, and the bodies that they send."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from scim_bridge.domain.employee import EMPLOYMENT_FIELDS, EmployeeNumber, Field, Value
from scim_bridge.domain.values import JsonObject


@dataclass(frozen=True, slots=True)
class CreateEmployee:
    """Profile and first employment together."""

    employee_number: EmployeeNumber
    fields: Mapping[Field, Value]


@dataclass(frozen=True, slots=True)
class ChangeEmployeeNumber:
    """A new employee number."""

    employee_number: EmployeeNumber


@dataclass(frozen=True, slots=True)
class ChangePhoneNumber:
    """A new phone number: the login name of the person in every company."""

    phone: str


@dataclass(frozen=True, slots=True)
class UpdateEmployment:
    """A change of the open employment. An absent key is unchanged, None clears."""

    fields: Mapping[Field, Value | None]


@dataclass(frozen=True, slots=True)
class UpdateEmployee:
    """A change of the profile. An absent key is unchanged, None clears."""

    fields: Mapping[Field, Value | None]


@dataclass(frozen=True, slots=True)
class EndEmployment:
    """Offboarding: `last_day` is the last working day."""

    last_day: date


@dataclass(frozen=True, slots=True)
class CreateEmployment:
    """Rehiring."""

    start: date
    payroll: int | None


@dataclass(frozen=True, slots=True)
class Disable:
    """Close the login."""


@dataclass(frozen=True, slots=True)
class Enable:
    """Open the login again."""


Operation = (
    CreateEmployee
    | ChangeEmployeeNumber
    | ChangePhoneNumber
    | UpdateEmployment
    | UpdateEmployee
    | EndEmployment
    | CreateEmployment
    | Disable
    | Enable
)


class OperationName(StrEnum):
    """An operation by the name that Ditio's documentation gives it."""

    create = "create"
    patch = "patch"
    create_employment = "create-employment"
    update_employment = "update-employment"
    end_employment = "end-employment"
    disable = "disable"
    enable = "enable"
    change_phone_number = "change-phone-number"
    change_employee_number = "change-employee-number"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation on one employee, with its body, before anybody knows a URL."""

    name: OperationName
    employee_number: EmployeeNumber
    body: JsonObject


@dataclass(frozen=True, slots=True)
class Answer:
    """What Ditio answered to a call that succeeded."""

    status: int
    body: JsonObject | None
    """The employee, out of whatever envelope it came in; None where the answer had none."""

    request_id: str | None = None
    seconds: float = 0.0


_PROFILE = (
    Field.first_name,
    Field.last_name,
    Field.phone,
    Field.birth_date,
    Field.email,
    Field.work_title,
)
"""What a create carries beside number and employment, in the documented order."""


def call_for(operation: Operation, number: EmployeeNumber) -> Call:
    """The call that asks Ditio for an operation.

    :param number: The employee's number as Ditio knows it now; for a create, the one it will have.
    """
    name, body = _name_and_body(operation)
    return Call(name, number, body)


def name_of(operation: Operation) -> OperationName:
    """By which name an operation is asked for."""
    return _name_and_body(operation)[0]


def _name_and_body(operation: Operation) -> tuple[OperationName, JsonObject]:
    match operation:
        case CreateEmployee():
            return OperationName.create, _create_body(operation)
        case ChangeEmployeeNumber(new_number):
            # [I] The shapes of both change operations are inferred, and settings can replace them.
            return OperationName.change_employee_number, {"employeeNumber": new_number}
        case ChangePhoneNumber(phone):
            return OperationName.change_phone_number, {"phone": phone}
        case UpdateEmployment(fields):
            return OperationName.update_employment, _json(fields)
        case UpdateEmployee(fields):
            return OperationName.patch, _json(fields)
        case EndEmployment(last_day):
            return OperationName.end_employment, {"endDate": last_day.isoformat()}
        case CreateEmployment(start, payroll):
            return OperationName.create_employment, _json(_employment(start, payroll))
        case Disable():
            return OperationName.disable, {}
        case Enable():
            return OperationName.enable, {}


def _create_body(operation: CreateEmployee) -> JsonObject:
    fields = operation.fields
    return {
        "employeeNumber": operation.employee_number,
        **_json({field: fields[field] for field in _PROFILE if field in fields}),
        "employment": _json({field: fields[field] for field in EMPLOYMENT_FIELDS if field in fields}),
    }


def _employment(start: date, payroll: int | None) -> dict[Field, Value]:
    fields: dict[Field, Value] = {Field.start_date: start}
    if payroll is not None:
        fields[Field.payroll] = payroll
    return fields


def _json(fields: Mapping[Field, Value | None]) -> JsonObject:
    """Fields by Ditio's names; None stays, and clears (JSON's null)."""
    return {field.value: value.isoformat() if isinstance(value, date) else value for field, value in fields.items()}
