"""Whether Ditio shows everybody as Entra knows them.

Written from what the two sides mean, and not with the bridge's own mapping: a mistake there must show here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.directory import EntraUser

Facts = Mapping[str, str | None]
"""What one side says of a person, by the words of the comparison."""

FIELDS = ("name", "phone", "e-mail", "title", "department", "start", "employment", "login")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about one person on which the two sides do not agree."""

    employee_number: str
    name: str
    field: str
    """One of `FIELDS`, or `employee` where Ditio has nobody with this number."""

    entra: str | None
    ditio: str | None


def differences(users: Iterable[EntraUser], employees: Mapping[str, SandboxEmployee]) -> list[Difference]:
    """Compare every user with the employee of the same number, field by field.

    :param users: Everybody who has ever been hired through Entra; who has left is still an employee, an ended one.
    :param employees: What the simulated Ditio truly has, by employee number.
    """
    return [each for user in users for each in _differences(user, employees.get(user.employee_id or ""))]


def as_entra_knows(user: EntraUser) -> Facts:
    """What Ditio should show of a user."""
    return {
        "name": f"{user.given_name} {user.surname}",
        "phone": _international(user.mobile or user.telephone_number),
        "e-mail": (user.mail or user.user_principal_name).lower(),
        "title": user.job_title,
        "department": user.department,
        "start": user.hire_date,
        "employment": "open" if user.active else "ended",
        "login": "open" if user.active else "closed",
    }


def as_ditio_shows(employee: SandboxEmployee) -> Facts:
    """What Ditio shows of an employee."""
    employment = employee.employment
    return {
        "name": employee.name,
        "phone": employee.phone,
        "e-mail": employee.email.lower() if employee.email else None,
        "title": employee.work_title,
        "department": employment.department if employment else None,
        "start": employment.start.isoformat() if employment else None,
        "employment": "open" if employment and employment.end is None else "ended",
        "login": "closed" if employee.disabled else "open",
    }


def _differences(user: EntraUser, employee: SandboxEmployee | None) -> list[Difference]:
    number, name = user.employee_id or "no number", user.display_name or user.user_principal_name
    if employee is None:
        return [Difference(number, name, "employee", "hired", None)]
    wanted, found = as_entra_knows(user), as_ditio_shows(employee)
    return [
        Difference(number, name, field, wanted[field], found[field])
        for field in FIELDS
        if wanted[field] != found[field]
    ]


def _international(phone: str | None) -> str | None:
    """A phone number as Ditio keeps it: `+4798765432`. Eight digits alone are a Norwegian number."""
    if phone is None:
        return None
    digits = "".join(char for char in phone if char.isdigit())
    if phone.strip().startswith("+"):
        return f"+{digits}"
    return f"+{digits.removeprefix('00')}" if digits.startswith("00") else f"+47{digits}"
