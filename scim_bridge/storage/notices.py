"""Notices to operators: what they were told, what is still to be sent, and the people that a notice counts."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, delete, exists, func, insert, literal, or_, select, update

from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.admin_tables import notice_messages, notices
from scim_bridge.storage.engine import Repository, upsert
from scim_bridge.storage.tables import history, people, refused_writes

WAITING = "waiting"
"""The kind of notice whose keys are the ids of the people who wait; its figure is the cause."""

MOST_IDS = 5
"""How many people a notice names by id for each cause."""

TASK = "notices"
"""The task in the schedules: one process at a time sends the notices of a company."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One occasion for a notice, from when it is first seen until some time after it is over."""

    kind: str
    key: str
    since: datetime
    figure: str = ""
    """What it was when it was seen last: a reason, a count, the id of a run."""

    told_at: datetime | None = None
    over_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiters:
    """People who wait for the same cause, and were not reported for it yet."""

    cause: str
    """A reason of `Reason`, or `due`."""

    count: int
    ids: Sequence[str]
    """The ids of the first ones."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The last refused write about one person."""

    key: str
    """Tells people apart, and says nothing about them."""

    user_id: str | None
    """The SCIM user; None if the write would have created it."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Queued:
    """A notice that is still to be sent through one channel."""

    channel: str
    id: str
    at: datetime
    message: JsonObject
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Unsent:
    """The notices that one channel could not send."""

    channel: str
    count: int
    since: datetime
    why: str


_SINCE = case((people.c.state == State.due, people.c.due_since), else_=people.c.state_since)
_CAUSE = func.coalesce(people.c.reason, people.c.state)
_LEFT_ALONE = (Reason.guard, Reason.hands_off)
"""People held for these are not reported as waiting: the guard has a notice of its own, and hands-off is intended."""


class Notices(Repository):
    """The notices of one tenant, within one transaction. `now` is the database's clock."""

    def marks(self) -> dict[tuple[str, str], Mark]:
        """Return all marks by kind and key, except those of people who wait: there may be many."""
        is_of_person = and_(notices.c.kind == WAITING, notices.c.key != "")
        rows = self._connection.execute(select(notices).where(notices.c.tenant == self._tenant, ~is_of_person))
        return {(row.kind, row.key): _mark(row) for row in rows}

    def put(self, marks: Collection[Mark]) -> None:
        """Store marks, or replace them."""
        upsert(self._s, notices, [{"tenant": self._tenant, **asdict(mark)} for mark in marks])

    def remove(self, keys: Collection[tuple[str, str]]) -> None:
        """Remove marks by kind and key."""
        for kind, key in keys:
            self._connection.execute(
                delete(notices).where(self._is_ours(), notices.c.kind == kind, notices.c.key == key)
            )

    def waiters(self, until: datetime) -> list[Waiters]:
        """Return the people who have waited since a moment or longer, and were not reported for their present cause."""
        counted = select(_CAUSE, func.count()).where(self._is_unreported(until)).group_by(_CAUSE).order_by(_CAUSE)
        return [
            Waiters(cause, count, self._first(and_(self._is_unreported(until), cause == _CAUSE)))
            for cause, count in self._connection.execute(counted).all()
        ]

    def note_waiters(self, until: datetime) -> None:
        """Store that the people of `waiters` were reported."""
        unreported = select(people.c.id).where(self._is_unreported(until))
        # Those who were reported for another cause.
        self._connection.execute(delete(notices).where(self._is_of_person(), notices.c.key.in_(unreported)))
        moment = literal(self._now, notices.c.told_at.type)
        columns = (literal(self._tenant), literal(WAITING), people.c.id, _CAUSE, _SINCE, moment)
        # Sorted, so that all rows are found before the first is inserted. Otherwise PostgreSQL looks through what this
        # statement has inserted, again for each row.
        rows = select(*columns).where(self._is_unreported(until)).order_by(_SINCE)
        names = ["tenant", "kind", "key", "figure", "since", "told_at"]
        self._connection.execute(insert(notices).from_select(names, rows))

    def has_delivered_waiters(self) -> bool:
        """Return whether a person who was reported no longer waits."""
        found = select(notices.c.key).where(self._is_of_person(), ~self._still_waits()).limit(1)
        return self._connection.execute(found).first() is not None

    def forget_delivered_waiters(self) -> None:
        """Remove the marks of people who no longer wait."""
        self._connection.execute(delete(notices).where(self._is_of_person(), ~self._still_waits()))

    def refused(self) -> list[Refused]:
        """Return each person whose last write was answered 400 or 409."""
        columns = (refused_writes.c.subject, refused_writes.c.user_id, refused_writes.c.at)
        rows = self._connection.execute(
            select(*columns).where(refused_writes.c.tenant == self._tenant).order_by(refused_writes.c.at)
        )
        return [Refused(_digest(row.subject), row.user_id, row.at) for row in rows]

    def people_with_operations(self, since: datetime) -> dict[str, int]:
        """Return for how many people each operation was done in Ditio at a moment or since."""
        counted = (
            select(history.c.what, func.count(history.c.person_id.distinct()).label("people"))
            .where(history.c.tenant == self._tenant, history.c.at >= since, history.c.outcome == "done")
            .group_by(history.c.what)
        )
        return {row.what: row.people for row in self._connection.execute(counted)}

    def queue(self, queued: Queued) -> None:
        """Store a notice to be sent through one channel."""
        row = {"tenant": self._tenant, **asdict(queued), "due_at": self._now}
        self._connection.execute(insert(notice_messages), row)

    def next_due(self, channel: str) -> Queued | None:
        """Return the next notice of a channel whose time has come; None if there is none."""
        row = self._connection.execute(
            select(notice_messages)
            .where(self._is_of_channel(channel), notice_messages.c.due_at <= self._now)
            .order_by(notice_messages.c.due_at, notice_messages.c.at, notice_messages.c.id)
            .limit(1)
        ).first()
        return None if row is None else Queued(row.channel, row.id, row.at, row.message, row.attempts)

    def sent(self, queued: Queued) -> None:
        """Remove a notice that the receiver has accepted. Others that failed are due again: the receiver works."""
        self.drop(queued)
        self._connection.execute(
            update(notice_messages)
            .where(self._is_of_channel(queued.channel), notice_messages.c.attempts > 0)
            .values(due_at=notice_messages.c.at)
        )

    def drop(self, queued: Queued) -> None:
        """Remove a notice that is no longer to be sent."""
        self._connection.execute(delete(notice_messages).where(self._is(queued)))

    def postpone(self, queued: Queued, *, seconds: float, why: str) -> None:
        """Store that a notice could not be sent, and when to try again."""
        self._connection.execute(
            update(notice_messages)
            .where(self._is(queued))
            .values(attempts=queued.attempts + 1, due_at=self._now + timedelta(seconds=seconds), why=why)
        )

    def unsent(self) -> list[Unsent]:
        """Return the channels with notices that could not be sent."""
        columns = (notice_messages.c.channel, notice_messages.c.at, notice_messages.c.why)
        rows = self._connection.execute(
            select(*columns)
            .where(notice_messages.c.tenant == self._tenant, notice_messages.c.attempts > 0)
            .order_by(notice_messages.c.at)
        ).all()
        found: dict[str, Unsent] = {}
        for row in rows:
            before = found.get(row.channel, Unsent(row.channel, 0, row.at, row.why))
            found[row.channel] = replace(before, count=before.count + 1, why=row.why)
        return list(found.values())

    def has_of_other_channels(self, channels: Collection[str]) -> bool:
        """Return whether there are notices for channels that are not set any more."""
        others = select(notice_messages.c.id).where(self._is_other(channels)).limit(1)
        return self._connection.execute(others).first() is not None

    def drop_other_channels(self, channels: Collection[str]) -> int:
        """Remove the notices of channels that are not set any more. Return how many."""
        return self._connection.execute(delete(notice_messages).where(self._is_other(channels))).rowcount

    def _first(self, which: ColumnElement[bool]) -> Sequence[str]:
        query = select(people.c.id).where(which).order_by(_SINCE, people.c.id).limit(MOST_IDS)
        return self._connection.execute(query).scalars().all()

    def _is_unreported(self, until: datetime) -> ColumnElement[bool]:
        # Under a name of its own: the same table may be the one that rows are removed from.
        told = notices.alias("told")
        reported = exists().where(
            told.c.tenant == self._tenant,
            told.c.kind == WAITING,
            told.c.key == people.c.id,
            told.c.figure == _CAUSE,
            # Otherwise the person was delivered since, and waits for something else.
            or_(people.c.delivered_at.is_(None), people.c.delivered_at <= told.c.told_at),
        )
        return and_(people.c.tenant == self._tenant, _waits(), until >= _SINCE, ~reported)

    def _still_waits(self) -> ColumnElement[bool]:
        return exists().where(people.c.tenant == self._tenant, people.c.id == notices.c.key, _waits())

    def _is_of_person(self) -> ColumnElement[bool]:
        return and_(self._is_ours(), notices.c.kind == WAITING, notices.c.key != "")

    def _is_ours(self) -> ColumnElement[bool]:
        return notices.c.tenant == self._tenant

    def _is_of_channel(self, channel: str) -> ColumnElement[bool]:
        return and_(notice_messages.c.tenant == self._tenant, notice_messages.c.channel == channel)

    def _is_other(self, channels: Collection[str]) -> ColumnElement[bool]:
        return and_(notice_messages.c.tenant == self._tenant, notice_messages.c.channel.not_in(list(channels)))

    def _is(self, queued: Queued) -> ColumnElement[bool]:
        return and_(self._is_of_channel(queued.channel), notice_messages.c.id == queued.id)


def _waits() -> ColumnElement[bool]:
    is_reported = or_(people.c.reason.is_(None), people.c.reason.not_in(_LEFT_ALONE))
    return and_(people.c.state != State.delivered, is_reported)


def _mark(row: Row[Any]) -> Mark:
    return Mark(row.kind, row.key, row.since, row.figure, row.told_at, row.over_at)


def _digest(subject: str) -> str:
    # A subject may have a user name.
    return blake2b(subject.encode(), digest_size=16).hexdigest()
