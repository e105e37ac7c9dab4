"""An employee out of a row of the roster: of the list of employees, or of the reporting API."""

from datetime import date
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import Employment, FoundEmployee, running_employment
from scim_bridge.domain.values import JsonObject
from scim_bridge.mapping.from_ditio import employee_from_ditio


def employee_from_row(row: JsonObject, *, region: str, zone: ZoneInfo, today: date) -> FoundEmployee | None:
    """The employee that a row shows; None for one without a number, or marked as deleted."""
    shown = {key.lower(): value for key, value in row.items()}
    if shown.get("isdeleted") is True:
        return None
    try:
        found = employee_from_ditio(row, region=region, zone=zone)
    except ValueError:
        return None
    if "isactiveemployment" in shown and found.employments is not None:
        employments = _reported(found.employments, shown["isactiveemployment"] is True, today)
        return _with(found, employments)
    return found


def merged(known: FoundEmployee, new: FoundEmployee, today: date) -> FoundEmployee:
    """One employee out of two rows about him: of two employments, or the same row read twice."""
    if known == new:
        return known
    first, second = (new, known) if _rank(new, today) > _rank(known, today) else (known, new)
    both = [each.employments for each in (first, second) if each.employments is not None]
    return FoundEmployee(
        employee_number=first.employee_number,
        values={**second.values, **first.values},
        disabled=second.disabled if first.disabled is None else first.disabled,
        employments=tuple(dict.fromkeys(each for employments in both for each in employments)) if both else None,
        company_profile_id=first.company_profile_id or second.company_profile_id,
    )


def _reported(employments: tuple[Employment, ...], is_active: bool, today: date) -> tuple[Employment, ...] | None:
    """A reporting row shows the days of one employment, and no date as 0001-01-01."""
    dated = tuple(each for each in employments if each.start is not None or each.end is not None)
    if not dated:
        # No day at all: never employed, or the days are not shown.
        return None if is_active else ()
    is_contradiction = not is_active and any(each.is_active(today) for each in dated)
    return None if is_contradiction else dated


def _with(found: FoundEmployee, employments: tuple[Employment, ...] | None) -> FoundEmployee:
    return FoundEmployee(found.employee_number, found.values, found.disabled, employments, found.company_profile_id)


def _rank(found: FoundEmployee, today: date) -> tuple[bool, date, bool]:
    """Which of two rows is the present one: an employment that runs, the later start, an open login."""
    running = running_employment(found.employments or (), today)
    starts = [each.start for each in found.employments or () if each.start is not None]
    return running is not None, max(starts, default=date.min), found.disabled is False
