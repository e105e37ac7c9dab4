"""When a wanted and a found value are the same (rule C2)."""

import unicodedata
from datetime import date

from scim_bridge.domain.employee import Field, Value

_NUMBERS = {"true": 1, "false": 0}
"""Ditio's v4 form of `payroll`: enabled or not."""


def same(field: Field, wanted: Value | None, found: Value | None) -> bool:
    """Whether both values say the same of a field; None and empty text are the same."""
    return canonical(field, wanted) == canonical(field, found)


def canonical(field: Field, value: Value | None) -> Value | None:
    """The form in which a field's values are compared.

    E-mail addresses regardless of case, phone numbers by their digits, days as days, `payroll` as a number,
    employee numbers trimmed and otherwise exact (rule P4), other text trimmed and in NFC.
    """
    if value is None or value == "":
        return None
    match field:
        case Field.birth_date | Field.start_date | Field.end_date:
            return _day(value)
        case Field.payroll:
            return _number(value)
        case Field.phone:
            return "".join(c for c in str(value) if c.isdecimal()) or None
        case Field.employee_number:
            return str(value).strip() or None
        case Field.email:
            return nfc(nfc(str(value)).lower()).strip() or None
    return nfc(str(value)).strip() or None


def nfc(text: str) -> str:
    """Text in Unicode's composed form: Å as one character, however it was typed."""
    return unicodedata.normalize("NFC", text)


def _day(value: Value) -> Value | None:
    if isinstance(value, date):
        return value
    text = str(value).strip()
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return text or None


def _number(value: Value) -> Value | None:
    text = str(value).strip().lower()
    return int(text) if text in ("0", "1", "2") else _NUMBERS.get(text, text or None)
