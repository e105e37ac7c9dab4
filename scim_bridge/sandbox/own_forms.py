"""The simulated Ditio's own form of values: what it keeps, and shows, of a value that it was sent.

The documentation does not say that a value is shown as it was sent. `Style.forms` names a field and a form.
"""

from __future__ import annotations

from collections.abc import Mapping

from scim_bridge.sandbox.employee import SandboxEmployee

ALL_FORMS = ("upper", "cut", "spaced", "echoed", "alternating", "ignored")

CUT_AT = 8
"""Characters that `cut` keeps."""

_NAMES = {
    "firstName": "first_name",
    "lastName": "last_name",
    "phone": "phone",
    "birthDate": "birth_date",
    "email": "email",
    "workTitle": "work_title",
    "department": "department",
    "startDate": "start",
}
"""What a field is called on `SandboxEmployee` and `SandboxEmployment`."""

_OPTIONAL = ("birth_date", "email", "work_title")


def kept(changes: Mapping[str, object], forms: Mapping[str, str]) -> dict[str, object]:
    """Return the changes that are carried out, by the names of `SandboxEmployee`: not those of an ignored field."""
    ignored = {_NAMES[field] for field, form in forms.items() if form == "ignored"}
    return {name: value for name, value in changes.items() if name not in ignored}


def created(employee: SandboxEmployee, forms: Mapping[str, str]) -> SandboxEmployee:
    """Return what a creation makes of the employee: without the ignored fields that may be empty."""
    ignored = {_NAMES[field] for field, form in forms.items() if form == "ignored"}
    for name in ignored & {*_OPTIONAL}:
        setattr(employee, name, None)
    if "department" in ignored:
        for employment in employee.employments:
            employment.department = None
    return employee


def in_own_form(
    document: dict[str, object], forms: Mapping[str, str], *, turn: int, answers_write: bool
) -> dict[str, object]:
    """Return the document as this Ditio shows it, its employments included.

    :param turn: Counts how often the employee was shown, for `alternating`.
    :param answers_write: Whether this is the answer to a write, and no read.
    """
    shown: dict[str, object] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            shown[key] = in_own_form(value, forms, turn=turn, answers_write=answers_write)
        elif isinstance(value, list):
            shown[key] = [
                in_own_form(each, forms, turn=turn, answers_write=answers_write) if isinstance(each, dict) else each
                for each in value
            ]
        else:
            shown[key] = _shown(value, forms.get(key), turn, answers_write)
    return shown


def _shown(value: object, form: str | None, turn: int, answers_write: bool) -> object:
    if not isinstance(value, str):
        return value
    match form:
        case "upper":
            return value.upper()
        case "echoed":
            return value if answers_write else value.upper()
        case "alternating":
            return f"{value} ({1 + turn % 2})"
        case "cut":
            return value[:CUT_AT]
        case "spaced":
            return f"{value[:3]} {value[3:6]} {value[6:8]} {value[8:]}"
    return value
