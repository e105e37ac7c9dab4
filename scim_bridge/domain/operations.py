"""The things that can be asked of Ditio, and the calls and answers that carry them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from scim_bridge.domain.employee import EmployeeNumber, Field, Value
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
