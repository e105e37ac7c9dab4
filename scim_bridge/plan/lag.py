"""What is believed of a read that may be older than our last write (rule C5)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from scim_bridge.domain.employee import Field, FoundEmployee
from scim_bridge.domain.employment import Employment
from scim_bridge.domain.person import Acknowledged, Standing

LONGEST_AHEAD = timedelta(hours=1)
"""A moment further ahead was stored by a clock that was wrong, and counts for nothing."""


def is_recent(at: datetime, now: datetime, lag_seconds: float) -> bool:
    """Whether a read made now may still show what was there before this moment (rule R4)."""
    return now - timedelta(seconds=lag_seconds) <= at <= now + LONGEST_AHEAD


def believed(found: FoundEmployee, acknowledged: Acknowledged, now: datetime, lag_seconds: float) -> FoundEmployee:
    """What was read, with what Ditio took just now in the place of what is shown.

    A field that was written just now counts as not shown, so that what was acknowledged is compared; and nothing is
    concluded from it.

    :param lag_seconds: `DITIO__READ_LAG_SECONDS`; 0 believes every read.
    """
    if lag_seconds <= 0:
        return found

    def is_standing_in(standing: Standing) -> bool:
        changed_at = acknowledged.changed_at.get(standing)
        return changed_at is not None and is_recent(changed_at, now, lag_seconds)

    shown = {
        name: value
        for name, value in found.values.items()
        if (taking := acknowledged.takings.get(name)) is None or not is_recent(taking.at, now, lag_seconds)
    }
    found = replace(found, values=shown)
    if is_standing_in(Standing.login) and acknowledged.login is not None:
        found = replace(found, disabled=not acknowledged.login)
    if is_standing_in(Standing.employment) and acknowledged.employed is not None:
        found = replace(found, employments=_employments(found.employments or (), acknowledged))
    return found


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
