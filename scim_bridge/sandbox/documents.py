"""Employees as JSON, in each of the shapes that Ditio's documentation leaves open."""

from __future__ import annotations

from datetime import date

from scim_bridge.sandbox.employee import SandboxEmployee, SandboxEmployment
from scim_bridge.sandbox.style import Style


def employee_document(employee: SandboxEmployee, style: Style, includes: frozenset[str]) -> dict[str, object]:
    """Return the v5 document of an employee.

    :param includes: The values of the `include` query parameter.
    """
    document: dict[str, object] = {
        style.profile_key: employee.id,
        "companyId": employee.company_id,
        "employeeNumber": employee.employee_number,
        "firstName": employee.first_name,
        "lastName": employee.last_name,
        "phone": employee.phone,
        "birthDate": shown_day(employee.birth_date, style),
        "email": employee.email,
        "workTitle": employee.work_title,
        style.disabled_key: employee.disabled,
    }
    document |= _employments(employee, style, with_history="employment-history" in includes)
    if "tags" in includes:
        document["tags"] = []
    if "work-time-arrangements" in includes:
        document["workTimeArrangements"] = []
    return without_empty(document) if style.omit_empty else document


def listed(documents: list[dict[str, object]], style: Style) -> object:
    """Return a list in the style's envelope."""
    return documents if style.envelope == "bare" else {style.envelope: documents}


def v4_document(employee: SandboxEmployee, style: Style) -> dict[str, object]:
    """Return the v4 user document. Source: Ditio "Users (v4)", by-employee-number."""
    employment = employee.employment
    document: dict[str, object] = {
        "identityId": identity_id(employee),
        "companyProfileId": employee.id,
        "companyId": employee.company_id,
        "employeeNumber": employee.employee_number,
        "firstName": employee.first_name,
        "lastName": employee.last_name,
        "mobileWork": employee.phone,
        "email": employee.email,
        "workTitle": employee.work_title,
        "birthDate": shown_day(employee.birth_date, style),
        "employmentStartDate": shown_day(employment.start if employment else None, style),
        "employmentEndDate": shown_day(employment.end if employment else None, style),
        "department": employment.department if employment else None,
        "isDisabled": employee.disabled,
    }
    if style.v4_case == "pascal":
        return {key[0].upper() + key[1:]: value for key, value in document.items()}
    return document


def identity_id(employee: SandboxEmployee) -> str:
    """Return the id of the sign-in identity behind the profile."""
    return f"auth0|{employee.id}"


def shown_day(day: date | None, style: Style) -> str | None:
    """Return a date in the style's form, or what the style shows for none."""
    text = style.no_date if day is None else day.isoformat()
    return f"{text}T00:00:00" if text is not None and style.date_form == "datetime" else text


def without_empty(document: dict[str, object]) -> dict[str, object]:
    """Return the document without its null values."""
    return {key: value for key, value in document.items() if value is not None}


def _employments(employee: SandboxEmployee, style: Style, *, with_history: bool) -> dict[str, object]:
    history = [_employment(each, style) for each in employee.employments]
    if style.employment != "employment":
        return {style.employment: history} if with_history else {}
    current = employee.employment
    shown: dict[str, object] = {"employment": _employment(current, style) if current else None}
    return shown | ({"employmentHistory": history} if with_history else {})


def _employment(employment: SandboxEmployment, style: Style) -> dict[str, object]:
    document: dict[str, object] = {
        "startDate": shown_day(employment.start, style),
        "endDate": shown_day(employment.end, style),
        "department": employment.department,
        "payroll": employment.payroll,
    }
    return without_empty(document) if style.omit_empty else document
