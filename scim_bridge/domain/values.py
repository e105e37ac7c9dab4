"""One value: reading, normalising, comparing it, and its key for searches (rules C2, T1)."""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, NewType
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

from scim_bridge.domain.employee import Field, Value

NORWAY = "NO"
"""The country of phone numbers that name none, unless a setting names another."""

OSLO = ZoneInfo("Europe/Oslo")
"""The time zone of a company, unless a setting names another."""

_NUMBERS = {"true": 1, "false": 0}
"""Ditio's v4 form of `payroll`: enabled or not."""


def same(field: Field, wanted: Value | None, found: Value | None) -> bool:
    """Return whether two values of a field mean the same; None and empty text are the same."""
    return canonical(field, wanted) == canonical(field, found)


def canonical(field: Field, value: Value | None) -> Value | None:
    """Return the form in which a field's values are compared.

    E-mail addresses are compared regardless of case, phone numbers by their digits, and days as days. `payroll` is a
    number. Employee numbers are trimmed and otherwise exact (rule P4); other text is trimmed and in NFC.
    """
    if value is None or value == "":
        return None
    return _CANONICAL.get(field, _same_text)(value)


def nfc(text: str) -> str:
    """Return text in Unicode's composed form: Å is one character, however it was typed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _same_day(value: Value) -> Value | None:
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


def _same_text(value: Value) -> Value | None:
    return nfc(str(value)).strip() or None


def _digits(value: Value) -> Value | None:
    text = str(value)
    if text[1:].isdecimal() and text[0] == "+":
        return text[1:]  # As nearly all are.
    return "".join(c for c in text if c.isdecimal()) or None


_CANONICAL: Mapping[Field, Callable[[Value], Value | None]] = {
    Field.birth_date: _same_day,
    Field.start_date: _same_day,
    Field.end_date: _same_day,
    Field.payroll: _number,
    Field.phone: _digits,
    Field.employee_number: lambda value: str(value).strip() or None,
    Field.email: lambda value: nfc(nfc(str(value)).lower()).strip() or None,
}


Key = str | int | float


def comparable_key(value: object) -> Key | None:
    """Return a value in the form in which keys are stored and searched; text is unchanged.

    A boolean becomes `true` or `false`. A time becomes ISO text in UTC of fixed width, so that text order is time
    order. Bytes become base64.

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
"""A parsed JSON object; its reader checks what is inside."""

UserId = NewType("UserId", str)
"""The ``id`` of a SCIM User (RFC 7643 §3.1), made by the bridge."""

CERTIFICATE = "Certificate"
"""The resource type of `/Certificates`, whose resources are ledger entries and not stored documents."""

CERTIFICATE_URN = "urn:ietf:params:scim:schemas:ditio:2.0:Certificate"


EARLIEST_YEAR, LATEST_YEAR = 1900, 2200
"""A day outside these years is a placeholder or a typing error."""

CURE = 'send FormatDateTime(…, "yyyy-MM-dd") in Entra\'s attribute mapping'
WRITE_IT = "write it as yyyy-MM-dd"
"""What to do about a date that does not come through Entra's attribute mapping."""

_NEVER = "9223372036854775807"
"""A directory's *never* as its raw number: the mapping has not turned it into a day."""

_NO_ENDS = frozenset({date(1601, 1, 1), date.max})
"""The days that a directory writes for *never*."""

_NORWEGIAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[Tt ]"
    r"(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d+)?)?"
    r"\s?(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2}))?",
    re.ASCII,
)


def read_day(raw: str, zone: ZoneInfo, cure: str = CURE) -> date | str:
    """Return the day that a text means, or what is wrong with it and what to do.

    A plain day (``2026-08-31``, ``31.08.2026``), midnight UTC and 23:59 UTC with any seconds are that day. Any other
    time is the day on which it falls in `zone`. A time without an offset is its calendar day.
    """
    day = _any_day(raw.strip(), zone, cure)
    return day if isinstance(day, str) else _plausible(day, cure)


def read_end(raw: str, zone: ZoneInfo, today: date) -> date | str | None:
    """Return the last day that a text means, or what is wrong with it; None where it means that there is no end.

    A directory's own *never*, and a day more than 50 years after `today`, mean no end.
    """
    if raw.strip() == _NEVER:
        return None
    day = _any_day(raw.strip(), zone, CURE)
    if isinstance(day, str):
        return day
    if day in _NO_ENDS or (day > today and is_far_off(day, today)):
        return None
    return _plausible(day, CURE)


def _plausible(day: date, cure: str) -> date | str:
    if EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        return day
    place = " in Entra" if cure == CURE else ""
    return f"its year is not between {EARLIEST_YEAR} and {LATEST_YEAR}: correct it{place}"


def _any_day(text: str, zone: ZoneInfo, cure: str) -> date | str:
    if "/" in text:
        return f"it may be read day first or month first: {cure}"
    try:
        day = _day(text, zone)
    except (ValueError, OverflowError):
        return f"there is no such day: {cure}"
    return f"it is not a date: {cure}" if day is None else day


def _day(text: str, zone: ZoneInfo) -> date | None:
    """Return the day that a text means; None where its form is unknown."""
    if _DAY.fullmatch(text):
        return date.fromisoformat(text)
    if norwegian := _NORWEGIAN.fullmatch(text):
        day, month, year = (int(part) for part in norwegian.groups())
        return date(year, month, day)
    if instant := _INSTANT.fullmatch(text):
        return _day_of_instant(instant, zone)
    return None


def _day_of_instant(instant: re.Match[str], zone: ZoneInfo) -> date:
    clock = time(int(instant["hour"]), int(instant["minute"]), int(instant["second"] or 0))
    written = datetime.combine(date.fromisoformat(instant["day"]), clock, _offset(instant))
    if written.tzinfo is None or written.date() == date.max:
        return written.date()  # The very last calendar day has no day after it, in any zone.
    utc = written.astimezone(UTC)
    is_midnight = utc.time() == time() and not (instant["fraction"] or "").strip(".0")
    # Entra writes leave dates as 2022-09-30T23:59:59Z, whatever the company's time zone.
    if is_midnight or (utc.hour, utc.minute) == (23, 59):
        return utc.date()
    return written.astimezone(zone).date()


def _offset(instant: re.Match[str]) -> timezone | None:
    if instant["utc"]:
        return UTC
    if not instant["sign"]:
        return None
    offset = timedelta(hours=int(instant["hours"]), minutes=int(instant["minutes"]))
    return timezone(-offset if instant["sign"] == "-" else offset)


_LONGEST_E164 = 16
"""Characters, the plus sign included (ITU-T E.164: fifteen digits)."""

NORWAY_CODE = 47

_NORWEGIAN_E164 = re.compile(r"\+47[1-9]\d{7}", re.ASCII)
"""Nearly all numbers. Norway has no national prefix, so that parsing and formatting return the same text."""


def to_e164(raw: str, region: str) -> str | None:
    """Return a phone number in E.164 (``+4798765432``), or None where it is not a valid number.

    :param region: The country of a number that names none, by its two letters: ``NO``.
    """
    text = raw.strip()
    plain = text.replace(" ", "")
    if _NORWEGIAN_E164.fullmatch(plain):
        number = PhoneNumber(NORWAY_CODE, int(plain[3:]))
        # Nearly always one of Norway itself, which takes half the time; Svalbard has the same code.
        is_valid = phonenumbers.is_valid_number_for_region(number, NORWAY) or phonenumbers.is_valid_number(number)
        return plain if is_valid else None
    # RFC 7643 §4.1.2 writes phone numbers as RFC 3966 does.
    if text[:4].lower() == "tel:":
        text = text[4:]
    # The library reads letters as keys of a phone, and drops extensions and everything after a slash. A login name
    # must not depend on such guesses.
    if any(c.isalpha() for c in text) or "/" in text:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    # The parser alone accepts "123".
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    formatted = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return formatted if len(formatted) <= _LONGEST_E164 else None


def phone_shown(raw: str, region: str) -> str:
    """Return a phone number that Ditio shows in E.164, and one that is not valid as it is."""
    return raw if _NORWEGIAN_E164.fullmatch(raw) else to_e164(raw, region) or raw


LONGEST = {Field.employee_number: 64, Field.email: 320}
"""Longest values, in characters; every other text may have `LONGEST_TEXT`."""

LONGEST_TEXT = 256

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_PAYROLL_WORDS = {"disabled": 0, "enabled": 1, "variable": 2, "0": 0, "1": 1, "2": 2}


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a value that is present can't be used."""

    why: str
    """What is wrong and what to do, in words that follow the value: ``it is no …: correct it in Entra``."""


_NO_PAYROLL = Unusable("it is not one of 0 (disabled), 1 (enabled), 2 (variable): correct it in Entra")
_NO_ADDRESS = Unusable("it is not an e-mail address: correct it in Entra")
_NO_PHONE = Unusable("it is not a valid phone number: correct it in Entra, with its country code (+47 …)")


def value_of(field: Field, raw: object, region: str, zone: ZoneInfo) -> Value | Unusable:
    """Return what `raw`, as Entra sent it, means for a field of Ditio."""
    if field is Field.payroll:
        payroll = payroll_of(raw)
        return _NO_PAYROLL if payroll is None else payroll
    text = text_of(raw)
    if isinstance(text, Unusable):
        return text
    longest = LONGEST.get(field, LONGEST_TEXT)
    if len(text) > longest:
        return Unusable(f"it is longer than {longest} characters: shorten it in Entra")
    return _from_text(field, text, region, zone)


def end_of(raw: object, zone: ZoneInfo, today: date) -> date | Unusable | None:
    """Return the leave date that `raw` means; None where it says that there is none (rule T1)."""
    text = text_of(raw)
    if isinstance(text, Unusable):
        return text
    day = read_end(text, zone, today)
    return Unusable(day) if isinstance(day, str) else day


def _from_text(field: Field, text: str, region: str, zone: ZoneInfo) -> Value | Unusable:
    match field:
        case Field.employee_number:
            return _employee_number(text)
        case Field.phone:
            return to_e164(text, region) or _NO_PHONE
        case Field.email:
            return nfc(text) if is_address(text) else _NO_ADDRESS
        case Field.birth_date | Field.start_date | Field.end_date:
            day = read_day(text, zone)
            return Unusable(day) if isinstance(day, str) else day
    return nfc(text)


def text_of(raw: object) -> str | Unusable:
    """Return text, trimmed. A number becomes its digits: some clients send ``employeeNumber: 1042``."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        return Unusable("it is not text: map a single text attribute to it in Entra's attribute mapping")
    text = str(raw).strip()
    if not text.isascii() and _SURROGATE.search(text):
        return Unusable("it has broken characters: enter it again in Entra")
    return text


def is_address(text: str) -> bool:
    """Return whether text looks like an e-mail address: one @, something on both sides, no space."""
    return _ADDRESS.fullmatch(text.strip()) is not None


def payroll_of(raw: object) -> int | None:
    """Return `payroll` as Ditio's number, from a number or a word; None where it is neither."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, (int, float)):
        return int(raw) if raw in (0, 1, 2) else None
    return _PAYROLL_WORDS.get(raw.strip().casefold()) if isinstance(raw, str) else None


def _employee_number(text: str) -> str | Unusable:
    """Return a number that is safe as a segment of a URL, or what is wrong with it (rule P7)."""
    if text.casefold() in (".", "..", "search"):
        return Unusable("Ditio can't have an employee with this number: enter another number in Entra")
    if _CONTROL.search(text):
        return Unusable("it has control characters: enter it again in Entra")
    return text


MAX_INDEXED_BYTES = 1000
"""PostgreSQL refuses index entries beyond 2,704 bytes; longer text is indexed by its hash."""

_HASHED = "sha256:"

SEVERAL = "*several*"
"""The value of `work_email_key` for several work addresses: the search then reads the entries themselves."""


def indexed(key: str) -> str:
    """Return the form of a folded text in an indexed column."""
    encoded = key.encode()
    # A text that looks like a hash is hashed too, so that it never equals another text's hash.
    if len(encoded) <= MAX_INDEXED_BYTES and not key.startswith(_HASHED):
        return key
    return _HASHED + hashlib.sha256(encoded).hexdigest()


def user_name_key(name: str) -> str:
    """Return the form of a user name in its indexed column (rule A8)."""
    return indexed(nfc(nfc(name).lower()))


def indexed_columns(keys: JsonObject) -> Mapping[str, str | None]:
    """Return the indexed columns of a resource with these keys."""
    return {
        "user_name_key": _indexed_text(keys.get("userName")),
        "external_id_key": _indexed_text(keys.get("externalId")),
        "display_name_key": _indexed_text(keys.get("displayName")),
        "work_email_key": _work_email(keys.get("emails")),
    }


def _indexed_text(key: object) -> str | None:
    return indexed(key) if isinstance(key, str) else None


def _work_email(entries: object) -> str | None:
    found: list[Any] = [
        entry["value"]
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("type") == "work" and isinstance(entry.get("value"), str)
    ]
    return SEVERAL if len(found) > 1 else _indexed_text(found[0] if found else None)


FURTHEST_YEARS = 50


"""A day further away than this is a placeholder or a typing error (rule K1)."""


def is_far_off(day: date, today: date) -> bool:
    """Return whether a day is more than 50 years away (rule K1)."""
    return day < _years_from(today, -FURTHEST_YEARS) or day > _years_from(today, FURTHEST_YEARS)


def _years_from(today: date, years: int) -> date:
    try:
        return today.replace(year=today.year + years)
    except ValueError:  # 29 February.
        return today.replace(year=today.year + years, day=28)
