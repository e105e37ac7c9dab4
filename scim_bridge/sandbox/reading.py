"""What a reader of the simulated Ditio sees: its state, or for a few reads the one before the last write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scim_bridge.sandbox.company import Company, SandboxEmployee
from scim_bridge.sandbox.refusals import not_found
from scim_bridge.sandbox.style import Style


@dataclass(slots=True)
class _Stale:
    """An employee as it was, still shown for so many reads; None before it existed."""

    shown: SandboxEmployee | None
    reads_left: int


class Reading:
    """Reads with the lag of `Style.read_lag`. Hold the company's lock while using what it returns."""

    def __init__(self, company: Company, style: Callable[[], Style]) -> None:
        self._company = company
        self._style = style
        self._stale: dict[str, _Stale] = {}
        company.on_write = self._note

    def one(self, number: str) -> SandboxEmployee:
        """Return the employee that is seen under this number, or refuse (404)."""
        for employee in self._named(number):
            seen = self._seen(employee)
            if seen is not None and self._is_meant(seen, number) and self._in_reach(number):
                return seen
        raise not_found(number)

    def all(self, *, company_id: str | None) -> list[SandboxEmployee]:
        """Return all that are seen, of one company or of all (None)."""
        seen = [self._seen(employee) for employee in self._company.employees.values()]
        return [
            employee
            for employee in seen
            if employee is not None
            and self._in_reach(employee.employee_number)
            and company_id in (None, employee.company_id)
        ]

    def _note(self, before: SandboxEmployee | None, after: SandboxEmployee) -> None:
        self._stale.pop(after.id, None)
        if self._style().read_lag > 0:
            self._stale[after.id] = _Stale(before, self._style().read_lag)

    def _named(self, number: str) -> list[SandboxEmployee]:
        employees = self._company.employees
        meant = self._company.find(number)
        now = [meant] if meant is not None else []
        once = {key for key, stale in self._stale.items() if stale.shown and stale.shown.employee_number == number}
        return now + [each for each in employees.values() if each.id in once and each not in now]

    def _seen(self, employee: SandboxEmployee) -> SandboxEmployee | None:
        stale = self._stale.get(employee.id)
        if stale is None:
            return employee
        stale.reads_left -= 1
        if stale.reads_left == 0:
            del self._stale[employee.id]
        return stale.shown

    def _is_meant(self, seen: SandboxEmployee, number: str) -> bool:
        if self._style().numbers == "exact":
            return seen.employee_number == number
        return self._company.find(number) is self._company.find(seen.employee_number)

    def _in_reach(self, number: str) -> bool:
        return number not in self._style().out_of_reach
