"""What somebody does in the simulated Ditio by hand, past the API: numbers change owners, and people disappear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scim_bridge.sandbox.company import Company
from scim_bridge.sandbox.employee import SandboxEmployee


class ByHand:
    """Changes employees as an administrator of Ditio may; nothing of it counts as a write of the API's caller.

    :param finish: Applies what Ditio has in hand; a write never reaches another employee than it was sent to.
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

        :param moves_to: The number that its holder gets instead; None deletes the holder.
        :raises KeyError: no employee has the number.
        :raises ValueError: another employee has the number that the holder is to get.
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
