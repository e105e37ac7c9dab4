"""Why the simulated Ditio refuses a call."""

from __future__ import annotations


class Refused(Exception):
    """Ditio does not do as it is told.

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
