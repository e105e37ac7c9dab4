"""The employments in Ditio's answer, in every form that Ditio's documentation shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from scim_bridge.domain.employment import Employment
from scim_bridge.mapping.days import read_day

_CURRENT = "employment"
_LISTS = ("employments", "employmenthistory")
_FLAT = (("employmentstartdate", "employmentenddate"), ("startdate", "enddate"))
"""v4 users and reporting rows: the current employment's days beside the names."""

_NO_DATE = ("0001-01-01", "9999-12-31")
"""How .NET writes a date that is not set."""


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
    """None where the answer has none of the documented forms."""

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
    """A day from a text of Ditio's; null, empty text and .NET's extreme dates are no day."""
    if raw is None or (isinstance(raw, str) and (not raw.strip() or raw.strip().startswith(_NO_DATE))):
        return DayRead(None)
    day = read_day(raw, zone) if isinstance(raw, str) else None
    return DayRead(day) if isinstance(day, date) else DayRead(None, is_known=False)


def shown_employments(shown: Mapping[str, object], zone: ZoneInfo) -> ShownEmployments:
    """All employments of an answer; forms that say the same are joined.

    :param shown: The answer, by lower-case key.
    """
    if not _has_any_form(shown):
        return ShownEmployments(None)
    entries: list[ShownEmployment] = []
    for details in _details(shown):
        _add(entries, _entry(details, zone))
    return ShownEmployments(tuple(entries))


def _has_any_form(shown: Mapping[str, object]) -> bool:
    in_lists = any(isinstance(shown.get(key), list) for key in _LISTS)
    return _CURRENT in shown or in_lists or any(shown.get(key) for pair in _FLAT for key in pair)


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


def _entry(details: dict[str, object], zone: ZoneInfo) -> ShownEmployment:
    start, end = (day_of(details.get(key), zone).value for key in ("startdate", "enddate"))
    return ShownEmployment(Employment(start, end), details)


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
