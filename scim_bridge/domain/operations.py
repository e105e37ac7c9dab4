"""The operations of Ditio, and their request bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from scim_bridge.domain.employee import EMPLOYMENT_FIELDS, ActualEmployee, EmployeeNumber, Field, Value
from scim_bridge.domain.values import JsonObject


@dataclass(frozen=True, slots=True)
class CreateEmployee:
    """Create profile and first employment together."""

    employee_number: EmployeeNumber
    fields: Mapping[Field, Value]


@dataclass(frozen=True, slots=True)
class ChangeEmployeeNumber:
    """Give a new employee number."""

    employee_number: EmployeeNumber


@dataclass(frozen=True, slots=True)
class ChangePhoneNumber:
    """Give a new phone number: the person's login name in every company."""

    phone: str


@dataclass(frozen=True, slots=True)
class UpdateEmployment:
    """Change the open employment. An absent key is unchanged, None clears."""

    fields: Mapping[Field, Value | None]


@dataclass(frozen=True, slots=True)
class UpdateEmployee:
    """Change the profile. An absent key is unchanged, None clears."""

    fields: Mapping[Field, Value | None]


@dataclass(frozen=True, slots=True)
class EndEmployment:
    """End the employment; `last_day` is the last working day."""

    last_day: date


@dataclass(frozen=True, slots=True)
class CreateEmployment:
    """Rehire: create a new employment."""

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
    """An operation, by the name in Ditio's documentation."""

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
    """One operation on one employee, with its body, before a URL is chosen."""

    name: OperationName
    employee_number: EmployeeNumber
    body: JsonObject


@dataclass(frozen=True, slots=True)
class Answer:
    """What Ditio answered to a successful call."""

    status: int
    request_id: str | None = None
    seconds: float = 0.0
    employee: ActualEmployee | None = None
    """The employee that the answer shows; None where it shows none."""


_PROFILE = (Field.first_name, Field.last_name, Field.phone, Field.birth_date, Field.email, Field.work_title)
"""What a create carries beside number and employment, in the documented order."""


def call_for(operation: Operation, number: EmployeeNumber) -> Call:
    """Return the call that asks Ditio for an operation.

    :param number: The employee's number as Ditio knows it now; for a create, the one it will have.
    """
    name, body = _name_and_body(operation)
    return Call(name, number, body)


def name_of(operation: Operation) -> OperationName:
    return _name_and_body(operation)[0]


def _name_and_body(operation: Operation) -> tuple[OperationName, JsonObject]:
    match operation:
        case CreateEmployee():
            return OperationName.create, _create_body(operation)
        case ChangeEmployeeNumber(new_number):
            # [I] The bodies of both change operations are inferred, and settings can replace them.
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
    """Return fields by Ditio's names; None stays, and clears (JSON's null)."""
    return {field.value: value.isoformat() if isinstance(value, date) else value for field, value in fields.items()}
