"""Days out of the texts in which Entra and Ditio write them (rule T1)."""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from scim_bridge.domain.certificate import is_far_off

EARLIEST_YEAR, LATEST_YEAR = 1900, 2200
"""A day outside these years is a placeholder or a slip of the pen."""

CURE = 'send FormatDateTime(…, "yyyy-MM-dd") in Entra\'s attribute mapping'
WRITE_IT = "write it as yyyy-MM-dd"
"""The cure where no attribute mapping of Entra's stands in between."""

_NEVER = "9223372036854775807"
"""A directory's *never*, in the unit that it counts in: it has not been turned into a day."""

_NO_ENDS = frozenset({date(1601, 1, 1), date.max})
"""The days that a directory makes of it."""

_NORWEGIAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_INSTANT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[Tt ]"
    r"(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d+)?)?"
    r"\s?(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2}))?",
    re.ASCII,
)


def read_day(raw: str, zone: ZoneInfo, cure: str = CURE) -> date | str:
    """The day that a text means, or what is wrong with it, cure included.

    A plain day (``2026-08-31``, ``31.08.2026``), midnight UTC and 23:59 UTC with any seconds are that day;
    any other instant is the day it falls on in `zone`. An instant without an offset is its calendar day.
    """
    day = _any_day(raw.strip(), zone, cure)
    return day if isinstance(day, str) else _plausible(day, cure)


def read_end(raw: str, zone: ZoneInfo, today: date) -> date | str | None:
    """The last day that a text means, or what is wrong with it; None where it means that there is no end.

    No end is a directory's own *never*, and a day more than 50 years after `today`.
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
    """The day that a text means, None where its form is unknown."""
    if plain := _DAY.fullmatch(text):
        return date(*(int(part) for part in plain.groups()))
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
        return written.date()  # The last day that there is has none after it, in whatever zone.
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
