"""Employees: what Entra wants one to be, and what Ditio shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NewType

from scim_bridge.domain.employment import Employment

EmployeeNumber = NewType("EmployeeNumber", str)
"""Ditio's key of an employee: text, unique in the company, trimmed and otherwise exact (rule P4)."""

Value = str | int | date
"""A field's value: text, `payroll` as a number, a calendar day in the company's time zone."""


class Field(StrEnum):
    """A field of an employee, by Ditio's name (Ditio "Employees (v5)", create body)."""

    employee_number = "employeeNumber"
    first_name = "firstName"
    last_name = "lastName"
    phone = "phone"
    birth_date = "birthDate"
    email = "email"
    work_title = "workTitle"
    department = "department"
    start_date = "startDate"
    end_date = "endDate"
    payroll = "payroll"


REQUIRED = (Field.employee_number, Field.first_name, Field.last_name, Field.phone)
"""What an employee can't be created without and Entra has to send ([I] in the facts about Ditio)."""

NEEDED = (*REQUIRED, Field.birth_date, Field.start_date, Field.end_date)
"""What somebody not yet linked is held for: the required fields, and any day that was sent and can't be read."""

PROFILE_FIELDS = (Field.first_name, Field.last_name, Field.email, Field.work_title, Field.birth_date)
"""What the profile PATCH carries; every other field has an operation of its own."""

EMPLOYMENT_FIELDS = (Field.start_date, Field.department, Field.payroll)
"""What belongs to the employment."""

CLEARABLE = frozenset({Field.email, Field.work_title, Field.birth_date, Field.department})
"""What may be empty in Ditio, so that `null` may be sent for it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a value of Entra's can't be used, written for the administrator who reads it."""

    field: Field
    attribute: str
    """The SCIM attribute at fault, as it is written in Entra's mapping."""

    message: str
    """What is wrong, with the value and the cure."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The employee that a SCIM document asks for. A field that is not in `values` is not a wish."""

    values: Mapping[Field, Value]
    sources: Mapping[Field, str] = field(default_factory=dict)
    """Which SCIM attribute each value came from."""

    defaulted: frozenset[Field] = frozenset()
    """Fields whose value the bridge supplied: sent at creation, never compared (rule H5)."""

    problems: tuple[Problem, ...] = ()

    def text(self, name: Field) -> str | None:
        """A text field's value, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def day(self, name: Field) -> date | None:
        """A day's value, or None."""
        value = self.values.get(name)
        return value if isinstance(value, date) else None

    @property
    def employee_number(self) -> EmployeeNumber | None:
        """The employee number that Entra wants."""
        number = self.text(Field.employee_number)
        return EmployeeNumber(number) if number else None

    def missing(self) -> tuple[Problem, ...]:
        """What keeps this employee from being created: required values, and days that can't be read (rule T1)."""
        return tuple(p for p in self.problems if p.field in NEEDED and p.field not in self.values)


@dataclass(frozen=True, slots=True)
class FoundEmployee:
    """An employee as Ditio shows it. A field that is not in `values` was not shown: unknown, not empty."""

    employee_number: EmployeeNumber
    values: Mapping[Field, Value | None]
    """What was shown; None where it was shown as empty."""

    disabled: bool | None = None
    """Whether the login is disabled; None where Ditio did not show it."""

    employments: tuple[Employment, ...] | None = None
    """The employments shown, in no order; None where Ditio showed none of the documented forms."""

    company_profile_id: str | None = None
