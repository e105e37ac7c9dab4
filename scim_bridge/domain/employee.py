"""Employees: fields, the desired and the actual employee, employments, and who owns a field."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import NewType


@dataclass(frozen=True, slots=True)
class Employment:
    """One unbroken period of employment.

    Sources: Ditio "Employees (v5)", *employment*; RFC 7643 §4.1.1, *active*.
    """

    start: date | None
    """First working day, a calendar date in the company's time zone; None where Ditio shows none."""

    end: date | None = None
    """Last working day, included; None while no end is known."""

    def is_active(self, on: date) -> bool:
        """Return whether `on` is a day of this employment."""
        return (self.start is None or self.start <= on) and (self.end is None or on <= self.end)


def open_employment(employments: Iterable[Employment]) -> Employment | None:
    """Return the employment without an end; of several the one that started last."""
    return max((e for e in employments if e.end is None), key=lambda e: e.start or date.min, default=None)


def running_employment(employments: Iterable[Employment], today: date) -> Employment | None:
    """Return the open employment, else one whose end lies ahead (a fixed term)."""
    running = [e for e in employments if e.end is None or e.end > today]
    return open_employment(running) or max(running, key=lambda e: e.end or date.max, default=None)


def last_end(employments: Iterable[Employment]) -> date | None:
    """Return the last working day of the employment that ended last; None where none has ended."""
    return max((e.end for e in employments if e.end is not None), default=None)


@dataclass(frozen=True, slots=True)
class Days:
    """The days that intake decided and stored with a person (rule L1), in the company's time zone."""

    active: bool
    """The value of `active` in Entra; a DELETE makes it false."""

    active_since: date | None = None
    """The day on which Entra last began to ask for employment; None before Entra has clearly done so."""

    inactive_since: date | None = None
    """The day on which `active` became false; None while it is true."""

    leave: date | None = None
    """The leave date that Entra sends now (`employmentEndDate`)."""

    leave_is_stale: bool = False
    """Whether that date is left over from an earlier employment, and so ignored (rule L3)."""

    @property
    def is_doubtful(self) -> bool:
        """Return whether the user was first seen active with a past leave date, and Entra sent nothing clearer since.

        The person may have left, or be back with an old date in Entra. The bridge acts on neither (rule L3).
        """
        return self.active and self.active_since is None and self.leave is not None and not self.leave_is_stale

    def effective_leave(self) -> date | None:
        """Return the leave date that counts."""
        return None if self.leave_is_stale else self.leave

    def wants_employment(self, today: date) -> bool:
        """Return whether Entra asks for an open employment: active, and no leave date that is over (rule L2)."""
        leave = self.effective_leave()
        return self.active and (leave is None or leave >= today)

    def wakes_on(self, today: date) -> date | None:
        """Return the day after a leave date that lies ahead, when the bridge has to act on it."""
        leave = self.effective_leave()
        return leave + timedelta(days=1) if self.active and leave is not None and leave >= today else None

    def last_day(self, open_start: date | None) -> date | None:
        """Return the last day of an open employment that is to end (rule L2); call it only then.

        :param open_start: First day of the open employment; no employment ends before it began.
        """
        leave = self.effective_leave()
        day = leave
        if self.inactive_since is not None and (leave is None or leave > self.inactive_since):
            day = self.inactive_since
        if day is None:
            return None
        return max(day, open_start) if open_start is not None else day


def first_days(*, active: bool, leave: date | None, start: date | None, today: date) -> Days:
    """Return the days of a person whose user Entra has just created.

    :param start: `employmentStartDate`, where Entra sends one.
    """
    if active:
        is_before_start = leave is not None and start is not None and leave < start
        is_doubtful = leave is not None and leave < today and not is_before_start
        since = None if is_doubtful else today
        return Days(active=True, active_since=since, leave=leave, leave_is_stale=is_before_start)
    stale = leave is not None and leave < (start or today)
    return Days(active=False, inactive_since=today, leave=leave, leave_is_stale=stale)


def next_days(
    before: Days,
    *,
    active: bool,
    leave: date | None,
    today: date,
    start: date | None = None,
    open_start: date | None,
    ended_on: date | None,
) -> Days:
    """Return the days after Entra has written the user again (rules L1-L4).

    :param start: `employmentStartDate`, where Entra sends one.
    :param open_start: Start of the employment that Ditio last showed as open, if known.
    :param ended_on: Last day of the employment that ended last, as acknowledged, if any did.
    """
    returns = active and (not before.active or _leave_was_lifted(before, leave, start, today))
    after = replace(before, active=active, leave=leave)
    begins = open_start
    if returns and open_start is None:
        # The leave date would end the employment that is about to open.
        begins = return_start(start=start, active_since=today, ended_on=ended_on, today=today)
    elif active and ended_on is None and start is not None and min(start, open_start or start) > today:
        begins = start  # A start that lies ahead follows Entra (rule H5).
    if leave != before.leave or returns or begins != open_start:
        after = replace(after, leave_is_stale=_is_stale(before, leave, today, begins, ended_on, returns))
    if returns:
        return replace(after, active_since=today, inactive_since=None)
    if not active and before.active:
        return replace(after, inactive_since=today)
    return after


def _leave_was_lifted(before: Days, leave: date | None, start: date | None, today: date) -> bool:
    """Return whether a leave date that was acted on is now cleared or lies ahead: a return (rule L2).

    A leave date in doubt, never acted on, is also lifted by a start after it (rule L3).
    """
    if not before.active or before.wants_employment(today):
        return False
    if leave is None or leave >= today:
        return True
    return before.is_doubtful and start is not None and start > leave


def _is_stale(
    before: Days, leave: date | None, today: date, open_start: date | None, ended_on: date | None, returns: bool
) -> bool:
    if leave is None:
        return False
    if before.active and not before.wants_employment(today) and not returns:
        # The person left on their leave date: another past date does not rehire them.
        return False
    if ended_on is not None and leave <= ended_on:
        return True
    return open_start is not None and leave < open_start


def return_start(*, start: date | None, active_since: date | None, ended_on: date | None, today: date) -> date:
    """Return the day on which a new employment starts when a person comes back (rule L4).

    :param start: `employmentStartDate`, where Entra sends one; one that is not after the last end is stale.
    :param ended_on: Last day of the employment before; a new one starts the day after it at the earliest.
    """
    if start is not None and (ended_on is None or start > ended_on):
        return start
    day = active_since or today
    return day if ended_on is None or day > ended_on else ended_on + timedelta(days=1)


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
"""The fields without which Ditio creates no employee, and which Entra has to send."""

NEEDED = (*REQUIRED, Field.birth_date, Field.start_date, Field.end_date)
"""What a person who is not yet linked is held for: the required fields, and any day that can't be read."""

PROFILE_FIELDS = (Field.first_name, Field.last_name, Field.email, Field.work_title, Field.birth_date)
"""The fields of the profile PATCH; every other field has an operation of its own."""

EMPLOYMENT_FIELDS = (Field.start_date, Field.department, Field.payroll)
"""The fields of the employment."""

CLEARABLE = frozenset({Field.email, Field.work_title, Field.birth_date, Field.department})
"""The fields that may be empty in Ditio, so that `null` may be sent for them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a value from Entra can't be used, in words for the administrator."""

    field: Field
    attribute: str
    """The SCIM attribute at fault, as it is written in Entra's mapping."""

    message: str
    """What is wrong, with the value and what to do."""


@dataclass(frozen=True, slots=True)
class DesiredEmployee:
    """The employee that a SCIM user asks for. Entra asks for nothing in a field that is not in `values`."""

    values: Mapping[Field, Value]
    sources: Mapping[Field, str] = field(default_factory=dict)
    """Which SCIM attribute each value came from."""

    defaulted: frozenset[Field] = frozenset()
    """Fields whose value the bridge supplied: sent at creation, never compared (rule H5)."""

    problems: tuple[Problem, ...] = ()

    def text(self, name: Field) -> str | None:
        """Return a text field's value, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def day(self, name: Field) -> date | None:
        """Return a day's value, or None."""
        value = self.values.get(name)
        return value if isinstance(value, date) else None

    @property
    def employee_number(self) -> EmployeeNumber | None:
        """The employee number that Entra wants."""
        number = self.text(Field.employee_number)
        return EmployeeNumber(number) if number else None

    def missing(self) -> tuple[Problem, ...]:
        """What prevents the creation of this employee: missing required values, unreadable days (rule T1)."""
        return tuple(p for p in self.problems if p.field in NEEDED and p.field not in self.values)


@dataclass(frozen=True, slots=True)
class ActualEmployee:
    """An employee as Ditio shows it. A field that is not in `values` was not shown: unknown, not empty."""

    employee_number: EmployeeNumber
    """Empty for an employee without a number, which only a search shows."""

    values: Mapping[Field, Value | None]
    """The values that Ditio showed; None where Ditio showed the field as empty."""

    disabled: bool | None = None
    """Whether the login is disabled; None where Ditio did not show it."""

    employments: tuple[Employment, ...] | None = None
    """The employments shown, in no order; None where Ditio showed none of the documented forms."""

    company_profile_id: str | None = None
    company: str | None = field(default=None, compare=False)
    """The company that Ditio named; None where it named none."""


class Owner(StrEnum):
    """Which side decides about one field."""

    entra = "entra"
    """Sent whenever it differs."""

    seed = "seed"
    """Sent at creation, or where Ditio has none; then it is Ditio's."""

    ditio = "ditio"
    """Never sent."""
