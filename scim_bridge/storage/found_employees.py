"""An employee as Ditio showed him, as a text that a database keeps."""

import json
from datetime import date

from scim_bridge.domain.employee import EmployeeNumber, Employment, Field, FoundEmployee
from scim_bridge.storage.values import from_stored, to_stored


def stored(found: FoundEmployee) -> str:
    """An employee in JSON, without his number."""
    employments = found.employments
    parts = {
        "values": {field.value: to_stored(value) for field, value in found.values.items()},
        "disabled": found.disabled,
        "profile": found.company_profile_id,
        "employments": None if employments is None else [[_text(each.start), _text(each.end)] for each in employments],
    }
    return json.dumps(parts, ensure_ascii=False)


def found_in(number: str, text: str) -> FoundEmployee:
    """The same employee again."""
    parts = json.loads(text)
    employments = parts["employments"]
    return FoundEmployee(
        employee_number=EmployeeNumber(number),
        values={Field(name): from_stored(value) for name, value in parts["values"].items()},
        disabled=parts["disabled"],
        company_profile_id=parts.get("profile"),
        employments=None
        if employments is None
        else tuple(Employment(_day(start), _day(end)) for start, end in employments),
    )


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
