"""Days out of texts (rule T1)."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.values import CURE, read_day

OSLO = ZoneInfo("Europe/Oslo")
NEW_YORK = ZoneInfo("America/New_York")
DAYS = st.dates(min_value=date(1901, 1, 1), max_value=date(2199, 12, 31))


@pytest.mark.parametrize(
    "raw",
    [
        "2026-08-31",
        " 2026-08-31 ",
        "31.08.2026",
        "31.8.2026",
        "2026-08-31T00:00:00Z",
        "2026-08-31T00:00:00.0000000Z",
        "2026-08-31T00:00:00+00:00",
        "2026-08-31T00:00Z",
        "2026-08-31T23:59:59Z",
        "2026-08-31T23:59:00Z",
        "2026-08-31T23:59:59.9999999Z",
        "2026-08-31T23:59Z",
        "2026-08-31T12:00:00",
        "2026-08-31 23:30:00",
        "2026-08-31T23:30:00.1234567",
    ],
)
@pytest.mark.parametrize("zone", [OSLO, NEW_YORK, ZoneInfo("Pacific/Auckland")])
def test_these_forms_are_the_day_they_name_in_every_zone(raw: str, zone: ZoneInfo) -> None:
    """T1: a plain date, midnight UTC, or 23:59 UTC with any seconds is that day."""
    assert read_day(raw, zone) == date(2026, 8, 31)


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("2026-08-31T22:00:00Z", date(2026, 9, 1)),
        ("2026-08-31T21:59:59Z", date(2026, 8, 31)),
        ("2026-01-31T22:59:59Z", date(2026, 1, 31)),
        ("2026-01-31T23:00:00Z", date(2026, 2, 1)),
        ("2026-08-31T00:00:00+02:00", date(2026, 8, 31)),
        ("2026-08-31T23:59:59+0200", date(2026, 8, 31)),
        ("2026-08-31T20:00:00-08:00", date(2026, 9, 1)),
    ],
)
def test_any_other_instant_is_converted(raw: str, day: date) -> None:
    """T1: any other instant is converted to DITIO__TIME_ZONE, summer time included."""
    assert read_day(raw, OSLO) == day


@pytest.mark.parametrize("raw", ["08/31/2026", "31/08/2026", "2026/08/31", "8/31/2026 12:00:00 AM"])
def test_slashes_name_the_cure(raw: str) -> None:
    """T1: dates with slashes are held with the cure."""
    problem = read_day(raw, OSLO)

    assert isinstance(problem, str)
    assert 'FormatDateTime(…, "yyyy-MM-dd")' in problem


@pytest.mark.parametrize(
    "raw",
    ["", "soon", "20260831", "2026-8-31", "2026-02-30", "31.13.2026", "2026-08-31T24:00:00Z",
     "2026-08-31T12:00:00+25:00", "2026-08-31T12:00:00X", "1899-12-31", "2201-01-01", "0001-01-01T00:00:00Z",
     "9999-12-31T23:59:59-12:00",
     "٢٠٢٦-٠٨-٣١"],
)  # fmt: skip
def test_what_is_no_plausible_day_is_not_used(raw: str) -> None:
    """T1: an impossible day, or a year before 1900 or after 2200, is named rather than guessed at."""
    assert isinstance(read_day(raw, OSLO), str)


@given(
    day=DAYS,
    form=st.sampled_from(["{:%Y-%m-%d}", "{:%d.%m.%Y}", "{:%Y-%m-%d}T00:00:00Z", "{:%Y-%m-%d}T23:59:59Z"]),
    zone=st.sampled_from([OSLO, NEW_YORK]),
)
def test_every_day_is_read_back(day: date, form: str, zone: ZoneInfo) -> None:
    """T1: for every day."""
    assert read_day(form.format(day), zone) == day


@given(
    instant=st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2190, 1, 1), timezones=st.just(UTC)).map(
        lambda at: at.replace(microsecond=0)
    ),
    offset=st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_an_instant_is_the_same_day_in_whatever_offset_it_is_written(instant: datetime, offset: int) -> None:
    """T1: an instant has one day in the company's time zone."""
    elsewhere = instant.astimezone(timezone(timedelta(minutes=offset)))

    assert read_day(elsewhere.isoformat(), OSLO) == read_day(instant.isoformat(), OSLO)


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([+-][0-9]{2}:[0-9]{2})?"))
def test_no_text_is_a_surprise(raw: str) -> None:
    """T1: whatever is sent, it is a plausible day or a problem."""
    day = read_day(raw, OSLO)

    assert isinstance(day, str) or 1900 <= day.year <= 2200


@given(
    day=DAYS,
    seconds=st.integers(0, 59),
    fraction=st.sampled_from(["", ".0", ".5", ".999", ".9999999"]),
    offset=st.integers(min_value=-14 * 60, max_value=14 * 60),
    zone=st.sampled_from([OSLO, NEW_YORK, ZoneInfo("Pacific/Auckland")]),
)
def test_the_last_minute_of_a_utc_day_is_that_day(day: date, seconds: int, fraction: str, offset: int, zone: ZoneInfo):
    """T1: 23:59 UTC with any seconds is that day, in whatever offset it is written, and in every zone."""
    at = datetime(day.year, day.month, day.day, 23, 59, seconds, tzinfo=UTC)
    there = at.astimezone(timezone(timedelta(minutes=offset)))

    assert read_day(f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z", zone) == day
    assert read_day(f"{there:%Y-%m-%dT%H:%M:%S}{fraction}{there.isoformat()[-6:]}", zone) == day


@given(
    instant=st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2190, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from([OSLO, NEW_YORK, ZoneInfo("Pacific/Auckland")]),
)
def test_any_instant_is_its_day_in_the_zone_or_a_named_day(instant: datetime, zone: ZoneInfo):
    """T1: midnight UTC and 23:59 UTC are that day; any other instant is converted to `DITIO__TIME_ZONE`."""
    is_named = instant.time() == time() or (instant.hour, instant.minute) == (23, 59)
    expected = instant.date() if is_named else instant.astimezone(zone).date()

    assert read_day(instant.isoformat().replace("+00:00", "Z"), zone) == expected


@given(day=DAYS, form=st.sampled_from(["{:%d/%m/%Y}", "{:%m/%d/%Y}", "{:%Y/%m/%d}", "{:%m/%d/%Y} 12:00:00 AM"]))
def test_slashes_are_never_guessed_at(day: date, form: str):
    """T1: dates with slashes are held with the cure, whatever the numbers."""
    assert CURE in str(read_day(form.format(day), OSLO))


@given(day=DAYS, is_padded=st.booleans())
def test_the_norwegian_form_is_day_month_year(day: date, is_padded: bool):
    """T1: `dd.MM.yyyy` is read."""
    text = f"{day:%d.%m.%Y}" if is_padded else f"{day.day}.{day.month}.{day.year}"

    assert read_day(text, OSLO) == day
