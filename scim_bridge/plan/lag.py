"""What is believed of a read that may be older than our last write (rule C5)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from scim_bridge.domain.employee import Field, FoundEmployee
from scim_bridge.domain.employment import Employment
from scim_bridge.domain.person import Acknowledged, Standing


def believed(found: FoundEmployee, acknowledged: Acknowledged, now: datetime, lag_seconds: float) -> FoundEmployee:
    """What was read, with what Ditio took just now in the place of what is shown.

    A field that was written just now counts as not shown, so that what was acknowledged is compared; and nothing is
    concluded from it.

    :param lag_seconds: `DITIO__READ_LAG_SECONDS`; 0 believes every read.
    """
    if lag_seconds <= 0:
        return found
    since = now - timedelta(seconds=lag_seconds)
    shown = {
        name: value
        for name, value in found.values.items()
        if (taking := acknowledged.takings.get(name)) is None or taking.at < since
    }
    found = replace(found, values=shown)
    if _is_recent(acknowledged, Standing.login, since) and acknowledged.login is not None:
        found = replace(found, disabled=not acknowledged.login)
    if _is_recent(acknowledged, Standing.employment, since) and acknowledged.employed is not None:
        found = replace(found, employments=_employments(found.employments or (), acknowledged))
    return found


def _is_recent(acknowledged: Acknowledged, standing: Standing, since: datetime) -> bool:
    changed_at = acknowledged.changed_at.get(standing)
    return changed_at is not None and changed_at >= since


def _employments(shown: Sequence[Employment], acknowledged: Acknowledged) -> tuple[Employment, ...]:
    if not acknowledged.employed:
        last_day = acknowledged.ended_on or date.min
        ended = tuple(_ended(e, last_day) for e in shown)
        return ended or (Employment(None, last_day),)
    start, ended_on = acknowledged.day(Field.start_date), acknowledged.ended_on
    current = [e for e in shown if e.end is None and (start is None or e.start == start)]
    # An open one with another start is one that was ended, or whose start was changed, just before.
    others = [_ended(e, ended_on) if e.end is None and ended_on else e for e in shown if e not in current]
    return (*(e for e in others if e.end is not None), *(current or [Employment(start)]))


def _ended(employment: Employment, last_day: date) -> Employment:
    runs_on = employment.end is None or employment.end > last_day
    return replace(employment, end=last_day) if runs_on else employment
