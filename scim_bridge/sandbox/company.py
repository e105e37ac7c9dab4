"""The employees of the simulated Ditio, its rules, and what an administrator changes by hand."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from scim_bridge.sandbox.style import Style

__all__ = ["COMPANY_ID", "Company", "Refused", "SandboxEmployee", "SandboxEmployment"]


@dataclass(slots=True)
class SandboxEmployment:
    """One period of employment. Source: Ditio "Employees (v5)", *employment*."""

    start: date
    """First working day."""

    end: date | None = None
    """Last working day, included; None while no end is known."""

    department: str | None = None

    payroll: int = 1
    """0 disabled, 1 enabled, 2 variable."""

    def lasts_until(self, day: date) -> bool:
        """Return whether the employment has not ended before `day`."""
        return self.end is None or self.end >= day


@dataclass(slots=True)
class SandboxEmployee:
    """A company profile with its employments, oldest first."""

    employee_number: str
    first_name: str
    last_name: str
    phone: str
    """E.164; the login name."""

    birth_date: date | None = None
    email: str | None = None
    work_title: str | None = None
    disabled: bool = False
    employments: list[SandboxEmployment] = field(default_factory=list)
    company_id: str = ""
    """Six digits as text, perhaps with a leading zero."""

    id: str = ""
    """The company profile's id."""

    created_count: int = 0
    """How many POSTs created it: 0 for a planted one; above 1 is a duplicate."""

    modified_at: datetime | None = None

    @property
    def employment(self) -> SandboxEmployment | None:
        """The open employment, else the last one, else None."""
        without_end = [each for each in self.employments if each.end is None]
        candidates = without_end or self.employments
        return candidates[-1] if candidates else None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, slots=True)
class Written:
    """One write of an API call, with the employee as they were then, whatever their number became."""

    what: str
    """What was done, for example `change_phone`."""

    employee_id: str
    """The company profile's id."""

    before: SandboxEmployee | None
    """The employee before the write, as a copy; None for a creation."""

    after: SandboxEmployee
    """The employee after the write, as a copy."""

    at: datetime


class Refused(Exception):
    """Ditio refuses a call.

    :param status: HTTP status of the answer.
    :param field: The field at fault, in PascalCase as Ditio's v5 API writes it; empty when none is.
    :param message: What is wrong, for a person.
    :param code: What is wrong, for a program.
    """

    def __init__(self, status: int, field: str, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.message = message
        self.code = code


def not_found(number: str) -> Refused:
    """Return the refusal for an employee that is absent or out of reach; the two look the same."""
    return Refused(404, "EmployeeNumber", f"Employee {number!r} was not found.", "NotFound")


COMPANY_ID = "012345"


class Company:
    """All employees of one company, and the operations on them.

    Every operation raises `Refused` and changes nothing when it is not allowed.

    :param style: Returns the style that is in force now.
    :param now: Returns the time; its date is the company's today.
    """

    def __init__(self, *, style: Callable[[], Style], now: Callable[[], datetime]) -> None:
        self.lock = threading.RLock()
        self.employees: dict[str, SandboxEmployee] = {}
        self.written: list[Written] = []
        self.on_write: Callable[[SandboxEmployee | None, SandboxEmployee], None] = lambda before, after: None
        self._style = style
        self._now = now
        self._last_id = 0

    def today(self) -> date:
        return self._now().date()

    def reach(self, number: str) -> SandboxEmployee:
        """Return the employee, or refuse (404) when absent or out of reach."""
        employee = self.find(number)
        if employee is None or number in self._style().out_of_reach:
            raise not_found(number)
        return employee

    def find(self, number: str) -> SandboxEmployee | None:
        """Return the employee with this number, compared in the style's way."""
        if self._style().numbers == "exact" or number in self.employees:
            return self.employees.get(number)
        return next((each for key, each in self.employees.items() if _folded(key) == _folded(number)), None)

    def by_id(self, profile_id: str) -> SandboxEmployee:
        """Return the employee with this company profile id, or refuse (404)."""
        for employee in self.employees.values():
            if employee.id == profile_id:
                return self.reach(employee.employee_number)
        raise not_found(profile_id)

    def put(self, employee: SandboxEmployee) -> SandboxEmployee:
        """Store an employee as it is, without checking rules; one with the same number is replaced."""
        with self.lock:
            self._last_id += 1
            employee.id = employee.id or f"{self._last_id:024x}"
            employee.company_id = employee.company_id or COMPANY_ID
            employee.modified_at = self._now()
            self.employees[employee.employee_number] = employee
            return employee

    def create(self, candidate: SandboxEmployee) -> SandboxEmployee:
        """Create profile and first employment; `Style.duplicates` decides about a number that is in use."""
        with self.lock:
            self._refuse_locked("StartDate", candidate.employments[0].start)
            if (same_number := self.find(candidate.employee_number)) is not None:
                return self._create_again(same_number, candidate)
            if (holder := self._holder_of(candidate.phone)) is not None:
                return self._create_again(holder, candidate)
            employee = self.put(candidate)
            employee.created_count = 1
            self.note("create", None, employee)
            return employee

    def patch(self, number: str, fields: Mapping[str, object]) -> SandboxEmployee:
        """Set profile fields, named as on `SandboxEmployee`."""
        with self._writing("patch", number) as employee:
            _set(employee, fields)
            return employee

    def change_phone(self, number: str, phone: str) -> SandboxEmployee:
        """Give the login another phone number; one that is in use is refused."""
        with self._writing("change_phone", number) as employee:
            if self._style().duplicates != "update-all" and self._holder_of(phone) not in (None, employee):
                raise self._duplicate("Phone", phone)
            employee.phone = phone
            return employee

    def change_number(self, number: str, new_number: str) -> SandboxEmployee:
        """Give the employee another number; one that is in use is refused."""
        with self._writing("change_number", number) as employee:
            if self.find(new_number) not in (None, employee):
                raise self._duplicate("EmployeeNumber", new_number)
            self.move(employee, new_number)
            return employee

    def set_disabled(self, number: str, disabled: bool) -> SandboxEmployee:
        """Disable or enable the login."""
        with self._writing("set_disabled", number) as employee:
            if employee.disabled == disabled:
                self._refuse_already("the login is already so")
            elif not disabled and self._style().enabling_needs_employment:
                self._refuse_without_employment(employee)
            employee.disabled = disabled
            return employee

    def create_employment(self, number: str, employment: SandboxEmployment) -> SandboxEmployee:
        """Rehire. While an employment lasts beyond the start, this is refused or changes nothing."""
        with self._writing("create_employment", number) as employee:
            self._refuse_locked("StartDate", employment.start)
            if any(each.lasts_until(employment.start) for each in employee.employments):
                self._refuse_already("an employment is open on that day")
            if all(each.end is not None for each in employee.employments):
                employee.employments.append(employment)
            return employee

    def update_employment(self, number: str, fields: Mapping[str, object]) -> SandboxEmployee:
        """Set fields of the current employment, named as on `SandboxEmployment`."""
        with self._writing("update_employment", number) as employee:
            employment = _current(employee)
            start = fields.get("start")
            if isinstance(start, date) and start != employment.start:
                self._refuse_locked("StartDate", start)
                if not employment.lasts_until(start):
                    raise Refused(400, "StartDate", "The StartDate is after the end of the employment.")
            _set(employment, fields)
            return employee

    def end_employment(self, number: str, end: date) -> SandboxEmployee:
        """End the current employment on its last working day; an end that lies ahead may be moved."""
        with self._writing("end_employment", number) as employee:
            employment = _current(employee)
            if employment.end == end or not employment.lasts_until(self.today()):
                self._refuse_already("the employment has ended")
            if end < employment.start:
                raise Refused(400, "EndDate", "The EndDate is before the start of the employment.")
            self._refuse_locked("EndDate", end)
            employment.end = end
            if self._style().ending_disables and end <= self.today():
                employee.disabled = True
            return employee

    def move(self, employee: SandboxEmployee, number: str) -> None:
        """Put an employee under another number, without checking rules."""
        with self.lock:
            del self.employees[employee.employee_number]
            employee.employee_number = number
            self.employees[number] = employee

    def note(self, what: str, before: SandboxEmployee | None, employee: SandboxEmployee) -> None:
        """Record the employee that an API call wrote to."""
        self.written.append(Written(what, employee.id, before, copy.deepcopy(employee), self._now()))
        if what != "certificates":
            self.on_write(before, employee)

    @contextmanager
    def _writing(self, what: str, number: str) -> Iterator[SandboxEmployee]:
        with self.lock:
            employee = self.reach(number)
            before = copy.deepcopy(employee)
            yield employee
            employee.modified_at = self._now()
            self.note(what, before, employee)

    def _create_again(self, known: SandboxEmployee, candidate: SandboxEmployee) -> SandboxEmployee:
        duplicates = self._style().duplicates
        same_number = known.employee_number == candidate.employee_number
        if duplicates not in ("update", "update-all") or (not same_number and duplicates == "update"):
            if same_number:
                raise self._duplicate("EmployeeNumber", candidate.employee_number)
            raise self._duplicate("Phone", candidate.phone)
        self.change_phone(known.employee_number, candidate.phone)
        profile = ("first_name", "last_name", "birth_date", "email", "work_title")
        return self.patch(known.employee_number, {name: getattr(candidate, name) for name in profile})

    def _holder_of(self, phone: str) -> SandboxEmployee | None:
        return next((each for each in self.employees.values() if each.phone == phone), None)

    def _duplicate(self, field: str, value: str) -> Refused:
        status = 400 if self._style().duplicates == "400" else 409
        return Refused(status, field, f"The {field} {value} is already in use.", "Duplicate")

    def _refuse_already(self, what: str) -> None:
        if self._style().already == "refuse":
            raise Refused(409, "", f"Nothing to do: {what}.", "AlreadySo")

    def _refuse_without_employment(self, employee: SandboxEmployee) -> None:
        if not any(each.lasts_until(self.today()) for each in employee.employments):
            raise Refused(409, "", "The employee has no employment.", "NoEmployment")

    def _refuse_locked(self, field: str, day: date) -> None:
        locked = self._style().payroll_locked_until
        if locked is not None and day <= locked:
            raise Refused(400, field, f"Lønnsperioden er låst til og med {locked:%d.%m.%Y}.", "PayrollLocked")


def _folded(number: str) -> str:
    return number.lower().lstrip("0")


def _current(employee: SandboxEmployee) -> SandboxEmployment:
    if employee.employment is None:
        raise Refused(409, "", "The employee has no employment.", "NoEmployment")
    return employee.employment


def _set(target: object, fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        setattr(target, name, value)


class ByHand:
    """Changes employees as an administrator of Ditio may; none of it counts as a write of the API's caller.

    :param finish: Applies the writes that wait, so that a write never reaches another employee than intended.
    """

    def __init__(self, company: Company, finish: Callable[[], object]) -> None:
        self._company = company
        self._finish = finish

    def renumbers(self, number: str, new_number: str) -> SandboxEmployee:
        """Give an employee another number, or another spelling of the same.

        :raises KeyError: no employee has the number.
        :raises ValueError: another employee has the new one.
        """
        self._finish()
        with self._company.lock:
            return self._move(number, new_number)

    def removes(self, number: str) -> SandboxEmployee:
        """Delete an employee. :raises KeyError: no employee has the number."""
        self._finish()
        with self._company.lock:
            return self._company.employees.pop(number)

    def reuses(self, number: str, stranger: SandboxEmployee, *, moves_to: str | None = None) -> SandboxEmployee:
        """Give a number to a stranger.

        :param moves_to: The number that the previous employee gets instead; None deletes that employee.
        :raises KeyError: no employee has the number.
        :raises ValueError: another employee has the number for the previous one.
        """
        self._finish()
        with self._company.lock:
            if moves_to is None:
                del self._company.employees[number]
            else:
                self._move(number, moves_to)
            return self._company.put(replace(stranger, employee_number=number))

    def swaps(self, number: str, other: str) -> None:
        """Exchange the numbers of two employees. :raises KeyError: one of the numbers has no employee."""
        self._finish()
        with self._company.lock:
            employees = self._company.employees
            first, second = employees.pop(number), employees.pop(other)
            first.employee_number, second.employee_number = other, number
            employees |= {number: second, other: first}

    def _move(self, number: str, new_number: str) -> SandboxEmployee:
        employee = self._company.employees[number]
        if self._company.find(new_number) not in (None, employee):
            raise ValueError(f"number {new_number} is taken")
        self._company.move(employee, new_number)
        return employee
