"""What a read tells of values that were sent earlier, and how late it is believed (rules C2, C5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from scim_bridge.domain.employee import ActualEmployee, Employment, Field, Value
from scim_bridge.domain.person import Acknowledged, Lifecycle, SentValue
from scim_bridge.domain.values import same

LONGEST_AHEAD = timedelta(hours=1)
"""A moment further ahead was stored by a clock that was wrong, and counts for nothing."""


def is_recent(at: datetime, now: datetime, lag_seconds: float) -> bool:
    """Whether a read made now may still show what was there before this moment (rule R4)."""
    return now - timedelta(seconds=lag_seconds) <= at <= now + LONGEST_AHEAD


def believed(found: ActualEmployee, acknowledged: Acknowledged, now: datetime, lag_seconds: float) -> ActualEmployee:
    """What was read, with what Ditio took just now in the place of what is shown.

    A field that was written just now counts as not shown, so that what was acknowledged is compared; and nothing is
    concluded from it.

    :param lag_seconds: `DITIO__READ_LAG_SECONDS`; 0 believes every read.
    """
    if lag_seconds <= 0:
        return found

    def is_standing_in(lifecycle: Lifecycle) -> bool:
        changed_at = acknowledged.changed_at.get(lifecycle)
        return changed_at is not None and is_recent(changed_at, now, lag_seconds)

    shown = {
        name: value
        for name, value in found.values.items()
        if (taking := acknowledged.sent_values.get(name)) is None or not is_recent(taking.at, now, lag_seconds)
    }
    found = replace(found, values=shown)
    if is_standing_in(Lifecycle.login) and acknowledged.login is not None:
        found = replace(found, disabled=not acknowledged.login)
    if is_standing_in(Lifecycle.employment) and acknowledged.employed is not None:
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


MAX_ROUNDS = 2
"""After so many rounds a value is not sent again until Entra's wish changes, or the operator asks for it."""

Values = Mapping[Field, Value | None]


@dataclass(frozen=True, slots=True)
class Write:
    """What is known of a write that Ditio took."""

    before: Values = field(default_factory=dict)
    """What was shown before it; nothing for what did not exist before."""

    after: Values = field(default_factory=dict)
    """What the answer shows, if it shows anything."""

    earlier: Mapping[Field, SentValue] = field(default_factory=dict)
    """How the same values were taken before, as the read that led to this write judged it."""


def is_stuck(taking: SentValue) -> bool:
    """Whether a value is not sent any more, because Ditio changes it each time."""
    return taking.rounds >= MAX_ROUNDS and not taking.is_confirmed


def confirmed(taking: SentValue, value: Value | None) -> SentValue:
    """After a read that shows the value as it was sent."""
    return replace(taking, is_confirmed=True, form=value)


def judged(name: Field, taking: SentValue, found: Value | None) -> SentValue:
    """After a read that shows something else than the value: Ditio's form of it, or another round.

    A value that was confirmed since it was taken, and is another now, was edited by hand: no round, unless it is
    the same other value as before. Nothing at all is no form of anything.
    """
    if taking.form is not None and same(name, taking.form, found):
        return replace(taking, is_confirmed=True)
    is_repeated = found is not None and same(name, found, taking.shown)
    if is_stuck(taking):
        return replace(taking, shown=found)
    if is_repeated and not taking.is_confirmed and taking.form is None and not same(name, found, taking.before):
        return replace(taking, is_confirmed=True, form=found)
    is_round = is_repeated or not taking.is_confirmed
    return replace(taking, is_confirmed=False, shown=found, rounds=min(taking.rounds + is_round, MAX_ROUNDS))


def without_takings(known: Acknowledged, *names: Field) -> Acknowledged:
    """What is known, without how these were taken: of a new employment the old one's fields tell nothing."""
    return replace(known, sent_values={name: taking for name, taking in known.sent_values.items() if name not in names})


def takings_of(
    known: Acknowledged, values: Values, write: Write | None, now: datetime
) -> dict[Field, SentValue | None]:
    """How values were taken that are about to be acknowledged; None for one that was only read to agree.

    :param write: None where nothing was sent.
    """
    return {name: _taking_of(known, name, value, write, now) for name, value in values.items()}


def read_back(sent_values: Mapping[Field, SentValue], values: Values, found: Values) -> dict[Field, SentValue]:
    """What a read just after a write tells of values that were sent again: that they are there, if they are.

    That they are not there yet proves nothing (rule C5): the next delivery's read decides.
    """
    checked: dict[Field, SentValue] = {}
    for name, taking in sent_values.items():
        if name in found and name in values:
            after = _looked_at(name, taking, values[name], found[name])
            checked[name] = confirmed(after, values[name]) if same(name, values[name], found[name]) else after
    return {name: after for name, after in checked.items() if after != sent_values[name]}


def _taking_of(
    known: Acknowledged, name: Field, value: Value | None, write: Write | None, now: datetime
) -> SentValue | None:
    if write is None:
        return known.sent_values.get(name) if same(name, value, known.values.get(name)) else None
    earlier = write.earlier.get(name) or SentValue(now, before=write.before.get(name))
    taking = replace(earlier, at=now, is_confirmed=False)
    return _looked_at(name, taking, value, write.after[name]) if name in write.after else taking


def _looked_at(name: Field, taking: SentValue, value: Value | None, found: Value | None) -> SentValue:
    """After a look at what a write led to, which may be too early: only something new is remembered."""
    if found is None or taking.form is not None or same(name, found, value) or same(name, found, taking.before):
        return taking
    return replace(taking, shown=found)
