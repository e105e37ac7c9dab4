"""The employments in Ditio's answer, in every form that Ditio's documentation shows."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import Employment
from scim_bridge.mapping.days import LATEST_YEAR, read_day

_CURRENT = "employment"
_LISTS = ("employments", "employmenthistory")
_FLAT = (("employmentstartdate", "employmentenddate"), ("startdate", "enddate"))
"""v4 users and reporting rows: the current employment's days beside the names."""

_NO_DATE = "0001-01-01"
"""How .NET writes a date that is not set."""

_YEAR = re.compile(r"\d{4}(?=-\d\d-\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ShownEmployment:
    """One employment, and what else was shown of it, by lower-case key."""

    employment: Employment
    details: Mapping[str, object]

    @property
    def shows_start(self) -> bool:
        """Whether the answer says when it began, be it with an empty value."""
        return "startdate" in self.details


@dataclass(frozen=True, slots=True)
class ShownEmployments:
    """The employments of one answer."""

    entries: tuple[ShownEmployment, ...] | None
    """None where the answer has none of the documented forms, or where an end can't be read."""

    @property
    def all(self) -> tuple[Employment, ...] | None:
        """The employments alone."""
        return None if self.entries is None else tuple(entry.employment for entry in self.entries)

    @property
    def open(self) -> ShownEmployment | None:
        """The one without an end; of several the one that started last."""
        return max((e for e in self.entries or () if e.employment.end is None), key=_start, default=None)

    @property
    def current(self) -> ShownEmployment | None:
        """The open one, else the one that ended last."""
        ended = (e for e in self.entries or () if e.employment.end is not None)
        return self.open or max(ended, key=lambda e: e.employment.end or date.min, default=None)


@dataclass(frozen=True, slots=True)
class DayRead:
    """A day as shown: known or not, and if known perhaps none."""

    value: date | None
    is_known: bool = True


def day_of(raw: object, zone: ZoneInfo) -> DayRead:
    """A day from a text of Ditio's; null, empty text, .NET's earliest date and a year nobody will see are no day."""
    if raw is None or (isinstance(raw, str) and _is_no_day(raw.strip())):
        return DayRead(None)
    day = read_day(raw, zone) if isinstance(raw, str) else None
    return DayRead(day) if isinstance(day, date) else DayRead(None, is_known=False)


def _is_no_day(text: str) -> bool:
    year = _YEAR.match(text)
    return not text or text.startswith(_NO_DATE) or (year is not None and int(year[0]) > LATEST_YEAR)


def shown_employments(shown: Mapping[str, object], zone: ZoneInfo) -> ShownEmployments:
    """All employments of an answer; forms that say the same are joined.

    :param shown: The answer, by lower-case key.
    """
    if not _has_any_form(shown):
        return ShownEmployments(None)
    entries: list[ShownEmployment] = []
    for details in _details(shown):
        entry = _entry(details, zone)
        if entry is None:
            # Taken for one without an end, it would be at work whoever has left (rule C2).
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
    """What each form shows of each employment, the lists first: they show the most."""
    for key in _LISTS:
        listed = shown.get(key)
        yield from filter(None, map(_lowered, listed if isinstance(listed, list) else ()))
    if current := _lowered(shown.get(_CURRENT)):
        yield current
    for start_key, end_key in _FLAT:
        if shown.get(start_key) or shown.get(end_key):
            flat = {"startdate": start_key, "enddate": end_key}
            yield {name: shown[key] for name, key in flat.items() if key in shown}


def _lowered(item: object) -> dict[str, object]:
    return {str(key).lower(): value for key, value in item.items()} if isinstance(item, Mapping) else {}


def _entry(details: dict[str, object], zone: ZoneInfo) -> ShownEmployment | None:
    """The employment; None where nobody can tell when it ends."""
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
