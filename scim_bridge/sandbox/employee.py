"""What the simulated Ditio keeps about an employee."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


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
        """Whether the employment has not ended before `day`."""
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
    """How many POSTs created it: 0 for a planted one; above 1 would be a duplicate."""

    modified_at: datetime | None = None

    @property
    def employment(self) -> SandboxEmployment | None:
        """The open employment, else the last one, else None."""
        without_end = [each for each in self.employments if each.end is None]
        candidates = without_end or self.employments
        return candidates[-1] if candidates else None

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, slots=True)
class Written:
    """One write that an API call made: who it was about at that moment, whatever their number was or became."""

    what: str
    """What was done, for example `change_phone`."""

    employee_id: str
    """The company profile's id."""

    before: SandboxEmployee | None
    """The employee before the write, as a copy; None of a creation."""

    after: SandboxEmployee
    """The employee after the write, as a copy."""

    at: datetime
