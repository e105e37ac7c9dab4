"""One value: read, normalised, compared, and as a key for searches (rules C2, T1)."""

import base64
import unicodedata
from datetime import UTC, date, datetime
from typing import NewType

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


Key = str | int | float


def comparable_key(value: object) -> Key | None:
    """A value in the form in which keys are stored and looked up; text is taken as it is.

    A boolean becomes `true` or `false`; an instant ISO text in UTC of fixed width, so that the order of the
    text is the order of time; bytes become base64.

    :raises TypeError: when the value is not a simple one.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            # Not strftime, which leaves out the zeros before a year of less than four digits.
            return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case str():
            return str(value)
        case int() | float() | None:
            return value
    raise TypeError(f"a {type(value).__name__} can't be compared")


JsonObject = dict[str, object]
"""A JSON object as parsed; what is inside is checked by whoever reads it."""

UserId = NewType("UserId", str)
"""The ``id`` of a SCIM User (RFC 7643 §3.1), made by the bridge."""

CERTIFICATE = "Certificate"
"""The resource type of `/Certificates`, whose resources are entries of the ledger and no documents."""

CERTIFICATE_URN = "urn:ietf:params:scim:schemas:ditio:2.0:Certificate"
