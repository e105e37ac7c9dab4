"""Reads request bodies the way Ditio's v5 API validates them; what does not fit is `Refused` (400).

Source: Ditio "Employees (v5)", "Errors". Unknown fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from scim_bridge.sandbox.employee import SandboxEmployee, SandboxEmployment
from scim_bridge.sandbox.refusals import Refused
from scim_bridge.sandbox.style import Style

Body = Mapping[str, object]

_PHONE = re.compile(r"\+[0-9]{8,15}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def body_of(document: object) -> Body:
    """Return a request body that is a JSON object."""
    if not isinstance(document, dict):
        raise Refused(400, "", "The request body must be a JSON object.")
    return document


def new_employee(body: Body, style: Style) -> SandboxEmployee:
    """Return the employee that a creation asks for, its first employment included."""
    if style.require_company_id:
        text(body, "companyId")
    employment = body.get("employment")
    if not isinstance(employment, dict):
        raise _required("employment")
    return SandboxEmployee(
        employee_number=text(body, "employeeNumber"),
        first_name=text(body, "firstName"),
        last_name=text(body, "lastName"),
        phone=phone(body),
        birth_date=day(body, "birthDate") if style.birth_date_required else day_or_none(body, "birthDate"),
        email=text_or_none(body, "email"),
        work_title=text_or_none(body, "workTitle"),
        employments=[new_employment(employment)],
        company_id=text_or_none(body, "companyId") or "",
    )


def new_employment(body: Body) -> SandboxEmployment:
    """Return the employment that a creation or a rehire asks for."""
    return SandboxEmployment(
        start=day(body, "startDate"),
        department=text_or_none(body, "department"),
        payroll=payroll(body) if "payroll" in body else 1,
    )


def profile_changes(body: Body, style: Style) -> dict[str, object]:
    """Return the fields that a PATCH sets; only what was sent, and None where it clears."""
    changes: dict[str, object] = {}
    for key, name in (("firstName", "first_name"), ("lastName", "last_name")):
        if key in body:
            changes[name] = text(body, key)
    for key, name in (("email", "email"), ("workTitle", "work_title")):
        if key in body:
            changes[name] = text_or_none(body, key)
    if "birthDate" in body:
        changes["birth_date"] = (day if style.birth_date_required else day_or_none)(body, "birthDate")
    return changes


def employment_changes(body: Body) -> dict[str, object]:
    """Return the fields that an update of the current employment sets."""
    changes: dict[str, object] = {}
    if "startDate" in body:
        changes["start"] = day(body, "startDate")
    if "department" in body:
        changes["department"] = text_or_none(body, "department")
    if "payroll" in body:
        changes["payroll"] = payroll(body)
    return changes


def text(body: Body, key: str) -> str:
    """Return a required text."""
    value = text_or_none(body, key)
    if value is None or not value.strip():
        raise _required(key)
    return value


def text_or_none(body: Body, key: str) -> str | None:
    """Return an optional text."""
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise _invalid(key, "must be a string")
    return value


def phone(body: Body) -> str:
    """Return the required phone number, E.164: a plus sign and 8 to 15 digits."""
    value = text(body, "phone")
    if not _PHONE.fullmatch(value):
        raise _invalid("phone", "must be an international number such as +4798765432")
    return value


def day(body: Body, key: str) -> date:
    """Return a required plain date."""
    value = day_or_none(body, key)
    if value is None:
        raise _required(key)
    return value


def day_or_none(body: Body, key: str) -> date | None:
    """Return an optional date, `yyyy-MM-dd`; a time or an offset is refused."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise _invalid(key, "must be a date of the form yyyy-MM-dd")
    try:
        return date.fromisoformat(value)
    except ValueError as exc:
        raise _invalid(key, "is not a date") from exc


def payroll(body: Body) -> int:
    """Return 0, 1 or 2."""
    value = body.get("payroll")
    if isinstance(value, bool) or not isinstance(value, int) or value not in (0, 1, 2):
        raise _invalid("payroll", "must be 0, 1 or 2")
    return value


def _pascal(key: str) -> str:
    return key[0].upper() + key[1:]


def _required(key: str) -> Refused:
    return Refused(400, _pascal(key), f"The {_pascal(key)} field is required.")


def _invalid(key: str, problem: str) -> Refused:
    return Refused(400, _pascal(key), f"The {_pascal(key)} field {problem}.")
