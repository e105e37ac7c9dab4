"""What somebody does in the simulated Ditio by hand, past the API: numbers change owners, and people disappear."""

from __future__ import annotations

from dataclasses import replace

from scim_bridge.sandbox.company import Company
from scim_bridge.sandbox.employee import SandboxEmployee


class ByHand:
    """Changes employees as an administrator of Ditio may; nothing of it counts as a write of the API's caller."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def renumbers(self, number: str, new_number: str) -> SandboxEmployee:
        """Give an employee another number, or another spelling of the same.

        :raises KeyError: no employee has the number.
        :raises ValueError: another employee has the new one.
        """
        with self._company.lock:
            employee = self._company.employees[number]
            if self._company.find(new_number) not in (None, employee):
                raise ValueError(f"number {new_number} is taken")
            self._company.move(employee, new_number)
            return employee

    def removes(self, number: str) -> SandboxEmployee:
        """Delete an employee. :raises KeyError: no employee has the number."""
        with self._company.lock:
            return self._company.employees.pop(number)

    def reuses(self, number: str, stranger: SandboxEmployee, *, moves_to: str | None = None) -> SandboxEmployee:
        """Give a number to a stranger.

        :param moves_to: The number that its holder gets instead; None deletes the holder.
        :raises KeyError: no employee has the number.
        :raises ValueError: another employee has the number that the holder is to get.
        """
        with self._company.lock:
            if moves_to is None:
                self.removes(number)
            else:
                self.renumbers(number, moves_to)
            return self._company.put(replace(stranger, employee_number=number))

    def swaps(self, number: str, other: str) -> None:
        """Exchange the numbers of two employees. :raises KeyError: one of the numbers has no employee."""
        with self._company.lock:
            first, second = self.removes(number), self.removes(other)
            first.employee_number, second.employee_number = other, number
            self._company.employees |= {number: second, other: first}
