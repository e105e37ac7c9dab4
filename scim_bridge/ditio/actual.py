"""The actual employee from Ditio's answers: from a read, or from a row of the roster."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber, Employment, Field, Value
from scim_bridge.domain.values import LATEST_YEAR, JsonObject, nfc, payroll_of, phone_shown, read_day

_CURRENT = "employment"
_LISTS = ("employments", "employmenthistory")
_FLAT = (("employmentstartdate", "employmentenddate"), ("startdate", "enddate"))
"""Keys of v4 users and reporting rows: the current employment's days stand beside the names."""

_NO_DATE = "0001-01-01"
"""The date that .NET writes for one that is not set."""

_YEAR = re.compile(r"\d{4}(?=-\d\d-\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ShownEmployment:
    """One employment, and what else was shown of it, by lower-case key."""

    employment: Employment
    details: Mapping[str, object]

    @property
    def shows_start(self) -> bool:
        """Return whether the answer shows a start, even an empty one."""
        return "startdate" in self.details


@dataclass(frozen=True, slots=True)
class ShownEmployments:
    """The employments of one answer."""

    entries: tuple[ShownEmployment, ...] | None
    """None where the answer has none of the documented forms, or where an end can't be read."""

    @property
    def all(self) -> tuple[Employment, ...] | None:
        """Return only the employments."""
        return None if self.entries is None else tuple(entry.employment for entry in self.entries)

    @property
    def open(self) -> ShownEmployment | None:
        """Return the one without an end; of several the one that started last."""
        return max((e for e in self.entries or () if e.employment.end is None), key=_start, default=None)

    @property
    def current(self) -> ShownEmployment | None:
        """Return the open one, else the one that ended last."""
        if (running := self.open) is not None:
            return running
        ended = (e for e in self.entries or () if e.employment.end is not None)
        return max(ended, key=lambda e: e.employment.end or date.min, default=None)


@dataclass(frozen=True, slots=True)
class DayRead:
    """A day as shown: whether it is known, and its value, which may be empty."""

    value: date | None
    is_known: bool = True


def day_of(raw: object, zone: ZoneInfo) -> DayRead:
    """Return a day from a text of Ditio's. Null, empty text, .NET's earliest date and an absurd year are no day."""
    if raw is None or (isinstance(raw, str) and _is_no_day(raw.strip())):
        return DayRead(None)
    day = read_day(raw, zone) if isinstance(raw, str) else None
    return DayRead(day) if isinstance(day, date) else DayRead(None, is_known=False)


def _is_no_day(text: str) -> bool:
    year = _YEAR.match(text)
    return not text or text.startswith(_NO_DATE) or (year is not None and int(year[0]) > LATEST_YEAR)


def shown_employments(shown: Mapping[str, object], zone: ZoneInfo) -> ShownEmployments:
    """Return all employments of an answer; forms that show the same one are joined.

    :param shown: The answer, by lower-case key.
    """
    if not _has_any_form(shown):
        return ShownEmployments(None)
    entries: list[ShownEmployment] = []
    for details in _details(shown):
        entry = _entry(details, zone)
        if entry is None:
            # An unreadable end is no missing end: a leaver must not count as employed (rule C2).
            return ShownEmployments(None)
        _add(entries, entry)
    return ShownEmployments(tuple(entries))


def _has_any_form(shown: Mapping[str, object]) -> bool:
    has_current = _CURRENT in shown and isinstance(shown[_CURRENT], Mapping | None)
    in_lists = any(_is_list_of_objects(shown.get(key)) for key in _LISTS)
    return has_current or in_lists or any(shown.get(key) for pair in _FLAT for key in pair)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def _details(shown: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield what each form shows of each employment; the lists come first, because they show the most."""
    lists = [found for key in _LISTS if isinstance(found := shown.get(key), list)]
    listed = [details for found in lists for each in found if (details := _lowered(each))]
    yield from listed
    if (current := _lowered(shown.get(_CURRENT))) and current not in listed:
        yield current
    for start_key, end_key in _FLAT:
        if shown.get(start_key) or shown.get(end_key):
            flat = {"startdate": start_key, "enddate": end_key}
            yield {name: shown[key] for name, key in flat.items() if key in shown}


def _lowered(item: object) -> dict[str, object]:
    return {str(key).lower(): value for key, value in item.items()} if isinstance(item, Mapping) else {}


def _entry(details: dict[str, object], zone: ZoneInfo) -> ShownEmployment | None:
    """Return the employment; None where its end can't be read."""
    start, end = (day_of(details.get(key), zone) for key in ("startdate", "enddate"))
    if not end.is_known:
        return None
    if not start.is_known:
        details = {key: value for key, value in details.items() if key != "startdate"}
    return ShownEmployment(Employment(start.value, end.value), details)


def _add(entries: list[ShownEmployment], new: ShownEmployment) -> None:
    """Add an employment, or what is new of one that is there already."""
    for index, known in enumerate(entries):
        if _is_same(known, new):
            entries[index] = ShownEmployment(known.employment, {**new.details, **known.details})
            return
    entries.append(new)


def _is_same(known: ShownEmployment, new: ShownEmployment) -> bool:
    if known.employment == new.employment:
        return True
    # The current employment may be shown without saying whether it has an end.
    return "enddate" not in new.details and known.employment.start == new.employment.start


def _start(entry: ShownEmployment) -> date:
    return entry.employment.start or date.min


_TEXTS = [(field, field.lower()) for field in (Field.first_name, Field.last_name, Field.email, Field.work_title)]
_PHONE_KEYS = ("phone", "mobilework", "phonenumber")
_DISABLED_KEYS = ("isdisabled", "disabled")

Shown = dict[Field, Value | None]


def _employee(shown: Mapping[str, object], number: str | None, region: str, zone: ZoneInfo) -> ActualEmployee:
    employments = shown_employments(shown, zone)
    return ActualEmployee(
        employee_number=EmployeeNumber(number or ""),
        values={Field.employee_number: number} | _profile(shown, region, zone) | _employment_values(shown, employments),
        disabled=_disabled(shown),
        employments=employments.all,
        company_profile_id=_text(shown.get("companyprofileid")),
        company=_text(shown.get("companyid") or None),
    )


def _profile(shown: Mapping[str, object], region: str, zone: ZoneInfo) -> Shown:
    values: Shown = {}
    for field, key in _TEXTS:
        if key in shown:
            text = _text(shown[key])
            values[field] = None if text is None else nfc(text)
    phones = [_text(shown[key]) for key in _PHONE_KEYS if key in shown]
    if phones:
        phone = next(filter(None, phones), None)
        values[Field.phone] = None if phone is None else phone_shown(phone, region)
    return values | _birth_date(shown, zone)


def _birth_date(shown: Mapping[str, object], zone: ZoneInfo) -> Shown:
    if "birthdate" not in shown:
        return {}
    day = day_of(shown["birthdate"], zone)
    # A text that can't be read is unknown: if it counted as empty, it would be overwritten.
    return {Field.birth_date: day.value} if day.is_known else {}


def _employment_values(shown: Mapping[str, object], employments: ShownEmployments) -> Shown:
    values: Shown = {}
    running, current = employments.open, employments.current
    if running is not None and running.shows_start:
        values[Field.start_date] = running.employment.start
    for holder in (current.details if current else {}, shown):
        if "department" in holder and Field.department not in values:
            department = _text(holder["department"])
            values[Field.department] = None if department is None else nfc(department)
    for holder in (running.details if running else {}, shown):
        if "payroll" in holder and Field.payroll not in values:
            values |= _payroll(holder["payroll"])
    return values


def _payroll(raw: object) -> Shown:
    if raw is None or raw == "":
        return {Field.payroll: None}
        # v4 shows whether payroll is enabled, not which kind it is.
    payroll = int(raw) if isinstance(raw, bool) else payroll_of(raw)
    return {} if payroll is None else {Field.payroll: payroll}


def _disabled(shown: Mapping[str, object]) -> bool | None:
    for key in _DISABLED_KEYS:
        text = str(shown.get(key)).strip().lower()
        if text in ("true", "false"):
            return text == "true"
    return None


def _text(raw: object) -> str | None:
    """Return text or a number as trimmed text; None for null, empty text and anything else."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        return None
    return str(raw).strip() or None


def employee_from_row(
    row: JsonObject, *, region: str, zone: ZoneInfo, today: date | None = None, needs_number: bool = True
) -> ActualEmployee | None:
    """Return the employee that a row shows; None for one without a number, if a number is needed.

    :param region: The country of phone numbers that name none, by its two letters.
    :param zone: The company's time zone, for days that are shown as times.
    :param today: For a row of the roster, which may say that the employee is deleted, or works today.
    """
    shown = {key.lower(): value for key, value in row.items()}
    number = _text(shown.get("employeenumber"))
    if number is None and needs_number:
        return None
    found = _employee(shown, number, region, zone)
    if today is None:
        return found
    if shown.get("isdeleted") is True:
        return None
    if "isactiveemployment" in shown and found.employments is not None:
        return replace(found, employments=_reported(found.employments, shown["isactiveemployment"] is True, today))
    return found


def _reported(employments: tuple[Employment, ...], is_active: bool, today: date) -> tuple[Employment, ...] | None:
    """Return a reporting row's employments: it shows the days of one, and 0001-01-01 for no date."""
    dated = tuple(each for each in employments if each.start is not None or each.end is not None)
    if not dated:
        # No day at all: never employed, or the days are not shown.
        return None if is_active else ()
    is_contradiction = not is_active and any(each.is_active(today) for each in dated)
    return None if is_contradiction else dated
