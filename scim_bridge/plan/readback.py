"""What a read tells of values that were sent earlier, and how late it is believed (rules C2, C5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from scim_bridge.domain.employee import ActualEmployee, Employment, Field, Value
from scim_bridge.domain.person import Acknowledged, Lifecycle, SentValue
from scim_bridge.domain.values import same

LONGEST_AHEAD = timedelta(hours=1)
"""A time further ahead than this was stored by a wrong clock, and is ignored."""


def is_recent(at: datetime, now: datetime, lag_seconds: float) -> bool:
    """Return whether a read made now may still show what was there before this time (rule R4)."""
    return now - timedelta(seconds=lag_seconds) <= at <= now + LONGEST_AHEAD


def believed(found: ActualEmployee, acknowledged: Acknowledged, now: datetime, lag_seconds: float) -> ActualEmployee:
    """Return what was read, with what Ditio accepted just now in place of what it shows.

    A field that was sent just now counts as not shown. So it is compared as acknowledged, and nothing is concluded
    from the read.

    :param lag_seconds: `DITIO__READ_LAG_SECONDS`; 0 believes every read.
    """
    if lag_seconds <= 0:
        return found

    def replaces_read(lifecycle: Lifecycle) -> bool:
        changed_at = acknowledged.changed_at.get(lifecycle)
        return changed_at is not None and is_recent(changed_at, now, lag_seconds)

    shown = {
        name: value
        for name, value in found.values.items()
        if (sent := acknowledged.sent_values.get(name)) is None or not is_recent(sent.at, now, lag_seconds)
    }
    found = replace(found, values=shown)
    if replaces_read(Lifecycle.login) and acknowledged.login is not None:
        found = replace(found, disabled=not acknowledged.login)
    if replaces_read(Lifecycle.employment) and acknowledged.employed is not None:
        found = replace(found, employments=_employments(found.employments or (), acknowledged))
    return found


def _employments(shown: Sequence[Employment], acknowledged: Acknowledged) -> tuple[Employment, ...]:
    if not acknowledged.employed:
        last_day = acknowledged.ended_on or date.min
        ended = tuple(_ended(e, last_day) for e in shown)
        return ended or (Employment(None, last_day),)
    start, ended_on = acknowledged.day(Field.start_date), acknowledged.ended_on
    current = [e for e in shown if e.end is None and (start is None or e.start == start)]
    # An open one with another start was ended, or got another start, just before the read.
    others = [_ended(e, ended_on) if e.end is None and ended_on else e for e in shown if e not in current]
    return (*(e for e in others if e.end is not None), *(current or [Employment(start)]))


def _ended(employment: Employment, last_day: date) -> Employment:
    runs_on = employment.end is None or employment.end > last_day
    return replace(employment, end=last_day) if runs_on else employment


MAX_ROUNDS = 2
"""After so many rounds a value is not sent again until Entra changes it, or the operator retries the person."""

Values = Mapping[Field, Value | None]


@dataclass(frozen=True, slots=True)
class Write:
    """What is known of a write that Ditio accepted."""

    before: Values = field(default_factory=dict)
    """What Ditio showed before it; empty for what did not exist before."""

    after: Values = field(default_factory=dict)
    """What the answer shows, if it shows anything."""

    earlier: Mapping[Field, SentValue] = field(default_factory=dict)
    """The same values when they were sent before, as the read that led to this write judged them."""


def is_stuck(sent: SentValue) -> bool:
    """Return whether a value is not sent any more, because Ditio changes it each time."""
    return sent.rounds >= MAX_ROUNDS and not sent.is_confirmed


def confirmed(sent: SentValue, value: Value | None) -> SentValue:
    """Return the sent value after a read that shows it as sent."""
    return replace(sent, is_confirmed=True, form=value)


def judged(name: Field, sent: SentValue, found: Value | None) -> SentValue:
    """Return the sent value after a read that shows something else: Ditio's form of it, or another round.

    A confirmed value that now reads differently was edited by hand. That is no round, unless it is the same other
    value as before. An empty field is never a form of the value.
    """
    if sent.form is not None and same(name, sent.form, found):
        return replace(sent, is_confirmed=True)
    is_repeated = found is not None and same(name, found, sent.shown)
    if is_stuck(sent):
        return replace(sent, shown=found)
    if is_repeated and not sent.is_confirmed and sent.form is None and not same(name, found, sent.before):
        return replace(sent, is_confirmed=True, form=found)
    is_round = is_repeated or not sent.is_confirmed
    return replace(sent, is_confirmed=False, shown=found, rounds=min(sent.rounds + is_round, MAX_ROUNDS))


def without_sent_values(known: Acknowledged, *names: Field) -> Acknowledged:
    """Return what is known without how these values read back: the old employment tells nothing of a new one."""
    return replace(known, sent_values={name: sent for name, sent in known.sent_values.items() if name not in names})


def sent_values_of(
    known: Acknowledged, values: Values, write: Write | None, now: datetime
) -> dict[Field, SentValue | None]:
    """Return sent values for what is about to be acknowledged; None for a value that was only read to agree.

    :param write: None where nothing was sent.
    """
    return {name: _sent_value_of(known, name, value, write, now) for name, value in values.items()}


def read_back(sent_values: Mapping[Field, SentValue], values: Values, found: Values) -> dict[Field, SentValue]:
    """Return what a read just after a write tells of values that were sent again: only that they are there.

    A value that is not there yet proves nothing (rule C5): the next delivery's read decides.
    """
    checked: dict[Field, SentValue] = {}
    for name, sent in sent_values.items():
        if name in found and name in values:
            after = _with_shown(name, sent, values[name], found[name])
            checked[name] = confirmed(after, values[name]) if same(name, values[name], found[name]) else after
    return {name: after for name, after in checked.items() if after != sent_values[name]}


def _sent_value_of(
    known: Acknowledged, name: Field, value: Value | None, write: Write | None, now: datetime
) -> SentValue | None:
    if write is None:
        return known.sent_values.get(name) if same(name, value, known.values.get(name)) else None
    earlier = write.earlier.get(name) or SentValue(now, before=write.before.get(name))
    sent = replace(earlier, at=now, is_confirmed=False)
    return _with_shown(name, sent, value, write.after[name]) if name in write.after else sent


def _with_shown(name: Field, sent: SentValue, value: Value | None, found: Value | None) -> SentValue:
    """Return the sent value after a read that may be too early: only something new is stored."""
    if found is None or sent.form is not None or same(name, found, value) or same(name, found, sent.before):
        return sent
    return replace(sent, shown=found)
