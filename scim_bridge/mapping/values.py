"""One value of Entra's turned into one value of Ditio's, or why that can't be."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from scim_bridge.domain.employee import Field, Value
from scim_bridge.domain.values import nfc
from scim_bridge.mapping.days import read_day, read_end
from scim_bridge.mapping.phones import to_e164
from scim_bridge.mapping.rules import Rules

LONGEST = {Field.employee_number: 64, Field.email: 320}
"""Characters; every other text may have `LONGEST_TEXT`."""

LONGEST_TEXT = 256

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_PAYROLL_WORDS = {"disabled": 0, "enabled": 1, "variable": 2, "0": 0, "1": 1, "2": 2}


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a value that is present can't be used."""

    why: str
    """What is wrong and the cure, to stand after the value: ``it is no …: correct it in Entra``."""


_NO_PAYROLL = Unusable("it is not one of 0 (disabled), 1 (enabled), 2 (variable): correct it in Entra")
_NO_ADDRESS = Unusable("it is not an e-mail address: correct it in Entra")
_NO_PHONE = Unusable("it is not a valid phone number: correct it in Entra, with its country code (+47 …)")


def value_of(field: Field, raw: object, rules: Rules) -> Value | Unusable:
    """What `raw`, as Entra sent it, means for a field of Ditio's."""
    if field is Field.payroll:
        payroll = payroll_of(raw)
        return _NO_PAYROLL if payroll is None else payroll
    text = text_of(raw)
    if isinstance(text, Unusable):
        return text
    longest = LONGEST.get(field, LONGEST_TEXT)
    if len(text) > longest:
        return Unusable(f"it is longer than {longest} characters: shorten it in Entra")
    return _from_text(field, text, rules)


def end_of(raw: object, rules: Rules, today: date) -> date | Unusable | None:
    """The leave date that `raw` means; None where it says that there is none (rule T1)."""
    text = text_of(raw)
    if isinstance(text, Unusable):
        return text
    day = read_end(text, rules.zone, today)
    return Unusable(day) if isinstance(day, str) else day


def _from_text(field: Field, text: str, rules: Rules) -> Value | Unusable:
    match field:
        case Field.employee_number:
            return _employee_number(text)
        case Field.phone:
            return to_e164(text, rules.phone_region) or _NO_PHONE
        case Field.email:
            return nfc(text) if is_address(text) else _NO_ADDRESS
        case Field.birth_date | Field.start_date | Field.end_date:
            day = read_day(text, rules.zone)
            return Unusable(day) if isinstance(day, str) else day
    return nfc(text)


def text_of(raw: object) -> str | Unusable:
    """Text, trimmed. A number is taken for its digits: ``employeeNumber: 1042`` happens."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        return Unusable("it is not text: map a single text attribute to it in Entra's attribute mapping")
    text = str(raw).strip()
    if any(unicodedata.category(c) == "Cs" for c in text):
        return Unusable("it has broken characters: type it anew in Entra")
    return text


def is_address(text: str) -> bool:
    """Whether text looks like an e-mail address: one @, something on both sides, no space."""
    return _ADDRESS.fullmatch(text.strip()) is not None


def payroll_of(raw: object) -> int | None:
    """`payroll` as Ditio's number, from a number or a word; None where it is neither."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, (int, float)):
        return int(raw) if raw in (0, 1, 2) else None
    return _PAYROLL_WORDS.get(raw.strip().casefold()) if isinstance(raw, str) else None


def _employee_number(text: str) -> str | Unusable:
    """Rule P7: the number becomes a segment of a URL, and must not be read as anything else there."""
    if text.casefold() in (".", "..", "search"):
        return Unusable("Ditio can't have an employee under it: give another number in Entra")
    if any(unicodedata.category(c) == "Cc" for c in text):
        return Unusable("it has control characters: type it anew in Entra")
    return text
