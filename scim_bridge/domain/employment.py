"""Employments, and the days on which Entra wants one to begin and to end (rules L1-L4)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Employment:
    """One unbroken period of employment.

    Sources: Ditio "Employees (v5)", *employment*; RFC 7643 §4.1.1, *active*.
    """

    start: date | None
    """First working day, a calendar date in the company's time zone; None where Ditio shows none."""

    end: date | None = None
    """Last working day, included; None while no end is known."""

    def is_active(self, on: date) -> bool:
        """Whether `on` is a working day of this employment."""
        return (self.start is None or self.start <= on) and (self.end is None or on <= self.end)


def open_employment(employments: Iterable[Employment]) -> Employment | None:
    """The employment that has no end yet; of several the one that started last."""
    return max((e for e in employments if e.end is None), key=lambda e: e.start or date.min, default=None)


def running_employment(employments: Iterable[Employment], today: date) -> Employment | None:
    """The open employment, else one whose end is known but lies ahead (a fixed term)."""
    running = [e for e in employments if e.end is None or e.end > today]
    return open_employment(running) or max(running, key=lambda e: e.end or date.max, default=None)


def last_end(employments: Iterable[Employment]) -> date | None:
    """The last working day of the employment that ended last, or None where none has ended."""
    return max((e.end for e in employments if e.end is not None), default=None)


@dataclass(frozen=True, slots=True)
class Days:
    """The days that intake decided and stored with a person (rule L1). All in the company's time zone."""

    active: bool
    """What Entra says in `active`; a DELETE makes it false."""

    active_since: date | None = None
    """The day on which Entra last began to want this person employed; None before Entra has clearly said so."""

    inactive_since: date | None = None
    """The day on which `active` became false; None while it is true."""

    leave: date | None = None
    """The leave date as Entra says it now (`employmentEndDate`)."""

    leave_is_stale: bool = False
    """Whether that date is left over from an earlier employment, and ignored (rule L3)."""

    @property
    def is_doubtful(self) -> bool:
        """Whether the person was first seen active with a leave date that had passed, and nothing clearer came since.

        They may have left, or be back with an old date that Entra did not clear: neither is acted on (rule L3).
        """
        return self.active and self.active_since is None and self.leave is not None and not self.leave_is_stale

    def effective_leave(self) -> date | None:
        """The leave date that counts."""
        return None if self.leave_is_stale else self.leave

    def wants_employment(self, today: date) -> bool:
        """Whether Entra wants an open employment: active, and no leave date that is over (rule L2)."""
        leave = self.effective_leave()
        return self.active and (leave is None or leave >= today)

    def wakes_on(self, today: date) -> date | None:
        """The day on which a leave date that lies ahead has to be acted on: the day after it."""
        leave = self.effective_leave()
        return leave + timedelta(days=1) if self.active and leave is not None and leave >= today else None

    def last_day(self, open_start: date | None) -> date | None:
        """On which day an open employment is to end (rule L2); call it only when it is to end.

        :param open_start: First day of the open employment; no employment ends before it began.
        """
        leave = self.effective_leave()
        day = leave
        if self.inactive_since is not None and (leave is None or leave > self.inactive_since):
            day = self.inactive_since
        if day is None:
            return None
        return max(day, open_start) if open_start is not None else day


def first_days(*, active: bool, leave: date | None, start: date | None, today: date) -> Days:
    """The days of a person whom Entra has just created.

    :param start: `employmentStartDate`, where Entra sends one.
    """
    if active:
        is_before_start = leave is not None and start is not None and leave < start
        is_doubtful = leave is not None and leave < today and not is_before_start
        since = None if is_doubtful else today
        return Days(active=True, active_since=since, leave=leave, leave_is_stale=is_before_start)
    stale = leave is not None and leave < (start or today)
    return Days(active=False, inactive_since=today, leave=leave, leave_is_stale=stale)


def next_days(
    before: Days,
    *,
    active: bool,
    leave: date | None,
    today: date,
    start: date | None = None,
    open_start: date | None,
    ended_on: date | None,
) -> Days:
    """The days after Entra has said something again (rules L1-L4).

    :param start: `employmentStartDate`, where Entra sends one.
    :param open_start: Start of the employment that Ditio was last seen to have open, if known.
    :param ended_on: Last day of the employment that ended last, as acknowledged, if any did.
    """
    returns = active and (not before.active or _leave_was_lifted(before, leave, start, today))
    after = replace(before, active=active, leave=leave)
    begins = open_start
    if returns and open_start is None:
        # The employment that is about to open is the one that the leave date would end.
        begins = return_start(start=start, active_since=today, ended_on=ended_on, today=today)
    elif active and ended_on is None and start is not None and min(start, open_start or start) > today:
        begins = start  # A start that lies ahead follows Entra (rule H5).
    if leave != before.leave or returns or begins != open_start:
        after = replace(after, leave_is_stale=_is_stale(before, leave, today, begins, ended_on, returns))
    if returns:
        return replace(after, active_since=today, inactive_since=None)
    if not active and before.active:
        return replace(after, inactive_since=today)
    return after


def _leave_was_lifted(before: Days, leave: date | None, start: date | None, today: date) -> bool:
    """Whether a leave date that was acted on has been cleared or moved ahead: a return (rule L2).

    One that nobody could act on is lifted by a start after it, too (rule L3).
    """
    if not before.active or before.wants_employment(today):
        return False
    if leave is None or leave >= today:
        return True
    return before.is_doubtful and start is not None and start > leave


def _is_stale(
    before: Days,
    leave: date | None,
    today: date,
    open_start: date | None,
    ended_on: date | None,
    returns: bool,
) -> bool:
    if leave is None:
        return False
    if before.active and not before.wants_employment(today) and not returns:
        # He has left by his leave date: another past date does not hire him again.
        return False
    if ended_on is not None and leave <= ended_on:
        return True
    return open_start is not None and leave < open_start


def return_start(*, start: date | None, active_since: date | None, ended_on: date | None, today: date) -> date:
    """On which day a new employment starts when somebody comes back (rule L4).

    :param start: `employmentStartDate`, where Entra sends one; one that is not after the last end is stale.
    :param ended_on: Last day of the employment before; a new one starts the day after it at the earliest.
    """
    if start is not None and (ended_on is None or start > ended_on):
        return start
    day = active_since or today
    return day if ended_on is None or day > ended_on else ended_on + timedelta(days=1)
