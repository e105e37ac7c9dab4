"""What operators are to be told now: the company's state compared with what they were told before. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta, tzinfo

from scim_bridge.domain.person import GuardedChange
from scim_bridge.notify import words
from scim_bridge.notify.words import Kind, Notice
from scim_bridge.reconcile.report import DRIFT, STOPPED
from scim_bridge.storage.database import Session
from scim_bridge.storage.figures import figures_of
from scim_bridge.storage.notices import Mark
from scim_bridge.storage.runs import Run

LASTS = timedelta(minutes=1)
"""How long trouble lasts before it is reported: a breaker that closes at once needs no one. Within this time Entra has
mostly sent all of what the guard holds, so that the count is right."""

GROWS = timedelta(minutes=5)
"""What the guard holds is reported after this time, even if it still grows."""

CALM = timedelta(minutes=5)
"""Trouble with Ditio that comes back within this time is still the same."""

UNSCHEDULED = timedelta(days=1)
"""How often `reconcile` should run where no setting says it, because a timer starts it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a company wants to be told, by its settings."""

    waiting: timedelta = timedelta(hours=1)
    """How long a person waits before that is reported; also the shortest time between two such notices."""

    daily_at: time | None = None
    zone: tzinfo = UTC
    reconcile_every: timedelta = timedelta()
    is_paused: bool = False
    """Whether the setting pauses all deliveries."""


@dataclass(slots=True)
class Changes:
    """What is new: notices to be sent, and what to remember so that each is sent once."""

    notices: list[Notice] = field(default_factory=list)
    put: list[Mark] = field(default_factory=list)
    remove: list[tuple[str, str]] = field(default_factory=list)
    waited_until: datetime | None = None
    """The people who have waited since this moment are reported now; None if no one is."""

    are_delivered: bool = False
    """Whether people who were reported no longer wait."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store and nothing to send."""
        return not (self.notices or self.put or self.remove or self.waited_until or self.are_delivered)

    def store(self, s: Session) -> None:
        """Remember what is reported. The caller stores the notices in the same transaction."""
        if self.are_delivered:
            s.notices.forget_delivered_waiters()
        if self.waited_until is not None:
            s.notices.note_waiters(self.waited_until)
        s.notices.put(self.put)
        s.notices.remove(self.remove)


def look(s: Session, watched: Watched) -> Changes:
    """Compare the state of a company with what was reported before."""
    changes = Changes()
    known = _Known(s, s.notices.marks(), changes)
    _look_at_waiters(known, watched)
    _look_at_refused(known, watched)
    _look_at_guard(known)
    _look_at_breaker(known)
    _look_at_runs(known, watched)
    _look_at_day(known, watched)
    return changes


@dataclass(frozen=True, slots=True)
class _Known:
    """The transaction, what was reported before, and what changes."""

    s: Session
    marks: Mapping[tuple[str, str], Mark]
    changes: Changes

    @property
    def now(self) -> datetime:
        return self.s.now

    def mark(self, kind: Kind, key: str = "") -> Mark | None:
        return self.marks.get((kind, key))

    def report(self, mark: Mark, notice: Notice) -> None:
        """Report an occasion, and remember that."""
        self.changes.notices.append(notice)
        self.changes.put.append(replace(mark, told_at=self.now, over_at=None))

    def put(self, mark: Mark) -> None:
        """Remember an occasion, unless it is remembered like this."""
        if self.marks.get((mark.kind, mark.key)) != mark:
            self.changes.put.append(mark)

    def remove(self, mark: Mark) -> None:
        self.changes.remove.append((mark.kind, mark.key))

    def goes_on(self, kind: Kind, key: str, since: datetime, figure: str = "") -> Mark:
        """Return the mark of an occasion that goes on: a new one, or the stored one with the present figure."""
        stored = self.mark(kind, key)
        return Mark(kind, key, since, figure) if stored is None else replace(stored, figure=figure, over_at=None)

    def ended(self, kind: Kind, key: str = "") -> None:
        """Forget an occasion that is not there, or no longer there."""
        if (stored := self.mark(kind, key)) is not None:
            self.remove(stored)

    def may_report(self, kind: Kind, every: timedelta) -> bool:
        """Return whether the last notice of this kind was long enough ago."""
        last = self.mark(kind)
        return last is None or last.told_at is None or not self.now - every < last.told_at <= self.now


def _look_at_waiters(known: _Known, watched: Watched) -> None:
    s, changes = known.s, known.changes
    changes.are_delivered = s.notices.has_delivered_waiters()
    if not known.may_report(Kind.waiting, watched.waiting):
        return
    until = known.now - watched.waiting
    if waiters := s.notices.waiters(until):
        changes.waited_until = until
        notice = words.of_waiters(waiters, watched.waiting.total_seconds(), s.outbox.status())
        known.report(Mark(Kind.waiting, "", known.now), notice)


def _look_at_refused(known: _Known, watched: Watched) -> None:
    """Report people whose writes were refused more than once: the first time the cause may be corrected by the next."""
    refused = {each.key: each for each in known.s.notices.refused()}
    again = []
    for key, each in refused.items():
        stored = known.mark(Kind.refused, key)
        if stored is None:
            known.put(Mark(Kind.refused, key, each.at))
        elif stored.told_at is None and each.at != stored.since:
            again.append((stored, each))
    for (kind, key), mark in known.marks.items():
        if kind == Kind.refused and key and key not in refused:
            known.remove(mark)
    if again and known.may_report(Kind.refused, watched.waiting):
        known.report(Mark(Kind.refused, "", known.now), words.of_refused([each for _, each in again]))
        for mark, _ in again:
            known.put(replace(mark, told_at=known.now))


def _look_at_guard(known: _Known) -> None:
    held = known.s.guard.held()
    for kind in GuardedChange:
        people = sorted(person_id for person_id, kinds in held.items() if kind in kinds)
        if not people:
            known.ended(Kind.guard, kind)
            continue
        stored = known.mark(Kind.guard, kind)
        mark = known.goes_on(Kind.guard, kind, known.now, str(len(people)))
        lasts = known.now - mark.since
        is_steady = stored is not None and stored.figure == mark.figure and lasts >= LASTS
        if mark.told_at is None and (is_steady or lasts >= GROWS):
            known.report(mark, words.of_guard(kind, people))
        else:
            known.put(mark)


def _look_at_breaker(known: _Known) -> None:
    opened_at = known.s.breaker.get().opened_at
    if opened_at is not None:
        mark = known.goes_on(Kind.ditio, "", opened_at)
        if mark.told_at is None and known.now - mark.since >= LASTS:
            known.report(mark, words.of_trouble(mark.since))
        else:
            known.put(mark)
    elif (stored := known.mark(Kind.ditio)) is None or stored.told_at is None:
        known.ended(Kind.ditio)  # It passed before it was reported.
    elif stored.over_at is None:
        known.put(replace(stored, over_at=known.now))
    elif stored.over_at <= known.now - CALM:
        known.changes.notices.append(words.of_recovery(stored.since, stored.over_at))
        known.ended(Kind.ditio)


def _look_at_runs(known: _Known, watched: Watched) -> None:
    run = known.s.runs.last(compared=True)
    for kind, exit, says in ((Kind.drift, DRIFT, words.of_drift), (Kind.stopped, STOPPED, words.of_stopped)):
        if run is None or run.exit != exit:
            known.ended(kind)
            continue
        stored = known.mark(kind)
        mark = known.goes_on(kind, "", run.started_at, run.id)
        finds_more = kind is Kind.drift and stored is not None and stored.figure != run.id and run.new > 0
        if mark.told_at is None or finds_more:
            known.report(mark, says(run))
        else:
            known.put(mark)
    _look_at_schedule(known, watched, run)


def _look_at_schedule(known: _Known, watched: Watched, compared: Run | None) -> None:
    """Report that no comparison succeeds. Where a timer starts them, only after one has succeeded."""
    every = watched.reconcile_every
    allowed = 2 * (every or UNSCHEDULED)
    last = known.s.runs.first() if compared is None and every else compared
    if last is None or last.started_at > known.now - allowed:
        known.ended(Kind.overdue)
        return
    mark = known.goes_on(Kind.overdue, "", last.started_at)
    if mark.told_at is None:
        known.report(mark, words.of_overdue(mark.since, allowed.total_seconds()))
    else:
        known.put(mark)


def _look_at_day(known: _Known, watched: Watched) -> None:
    stored = known.mark(Kind.daily)
    if watched.daily_at is None:
        if stored is not None:
            known.remove(stored)
        return
    local = known.now.astimezone(watched.zone)
    today, yesterday = local.date().isoformat(), (local.date() - timedelta(days=1)).isoformat()
    has_come = local.time() >= watched.daily_at
    if stored is None:  # The first time is the next one: a restart must not send a summary.
        known.put(Mark(Kind.daily, "", known.now, today if has_come else yesterday))
    elif has_come and stored.figure < today:
        done = known.s.notices.people_with_operations(known.now - timedelta(days=1))
        figures = figures_of(known.s)
        notice = words.of_day(figures, done, is_paused=watched.is_paused or figures.is_paused)
        known.report(replace(stored, figure=today), notice)
