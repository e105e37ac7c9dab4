"""Runs that administrators ask for in the console: a worker takes each of them, in a process of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, update

from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.engine import Repository, Transaction, upsert
from scim_bridge.storage.prepared import insert_if_absent

_PREFIX = "asked:"
"""Tells the tasks in `schedules` that were asked for once from those that come again and again."""

_BY = "asked-by:"
"""Begins the task of a second row, which has who asked, and when; the first one has who runs it."""

_FAILED = "failed:"
"""Begins the task of a row that stays after a run that ended with an error, until it is asked for again."""

COMPARE = "compare"
"""The run that compares all people anew."""

FIND = "find-pairs"
"""The run that pairs users with employees, on the first day."""

LINK = "link-pairs"
"""The run that links the pairs, as they were decided."""

REPAIR = "repair:"
"""Begins the name of a run that repairs the approved rows of a plan; the plan's id follows."""

AGAIN_SECONDS = 60.0
"""After how many seconds a run that ended too early is begun again."""


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A run that was asked for, and has not ended."""

    name: str
    by: str
    """The administrator who asked for it, as in the audit trail."""

    begun_at: datetime | None
    """When a process took it last; None: no process has."""

    is_running: bool

    @property
    def plan_id(self) -> str | None:
        """The plan that it repairs; None for any other run."""
        return self.name.removeprefix(REPAIR) if self.name.startswith(REPAIR) else None


class AskedRuns(Repository):
    """The runs that were asked for in one company, within one transaction."""

    def serialise(self) -> None:
        """Let no other transaction of this company look at what may be asked for, before this one ends."""
        self._s.serialise("asked")

    def ask(self, name: str, by: str) -> bool:
        """Ask for a run. Return False if it is asked for already, and has not ended. :param by: Who asks."""
        if not insert_if_absent(self._connection, schedules, self._row(f"{_PREFIX}{name}")):
            return False
        upsert(self._s, schedules, [{**self._row(f"{_BY}{name}"), "started_at": self._now, "holder": by}])
        self._connection.execute(delete(schedules).where(self._is_task(f"{_FAILED}{name}")))
        return True

    def all(self) -> Sequence[AskedRun]:
        """Return the runs that have not ended; only reads."""
        query = select(schedules).where(
            schedules.c.tenant == self._tenant,
            or_(schedules.c.task.startswith(_PREFIX), schedules.c.task.startswith(_BY)),
        )
        rows = {row.task: row for row in self._connection.execute(query.order_by(schedules.c.task))}
        return [self._run(row, rows) for task, row in rows.items() if task.startswith(_PREFIX)]

    def get(self, name: str) -> AskedRun | None:
        """Return a run that has not ended; only reads."""
        return next((each for each in self.all() if each.name == name), None)

    def failed_at(self, name: str) -> datetime | None:
        """Return when a run ended with an error; None if it did not, or was asked for again. Only reads."""
        query = select(schedules.c.started_at).where(self._is_task(f"{_FAILED}{name}"))
        return self._connection.execute(query).scalar_one_or_none()

    def take(self, name: str, holder: str, *, alive_seconds: float) -> bool:
        """Take a run that no process has. Return whether that succeeded.

        A process without a sign of life for `alive_seconds` is replaced at once. A run that ended too early is begun
        again after `AGAIN_SECONDS`.
        """
        now = self._now
        # A clock that was ahead may have stored a time too late.
        is_abandoned = or_(schedules.c.alive_until <= now, schedules.c.alive_until > now + timedelta(hours=1))
        has_come = or_(
            schedules.c.started_at.is_(None),
            schedules.c.started_at <= now - timedelta(seconds=AGAIN_SECONDS),
            schedules.c.started_at > now,
        )
        taken = self._connection.execute(
            update(schedules)
            .where(self._is(name), or_(is_abandoned, and_(schedules.c.alive_until.is_(None), has_come)))
            .values(started_at=now, alive_until=now + timedelta(seconds=alive_seconds), holder=holder)
        )
        return taken.rowcount == 1

    def stay_alive(self, name: str, holder: str, alive_seconds: float) -> None:
        """Store that the run goes on. With 0 seconds another process may take it at once."""
        alive_until = self._now + timedelta(seconds=alive_seconds)
        self._connection.execute(update(schedules).where(self._held(name, holder)).values(alive_until=alive_until))

    def end(self, name: str, holder: str, *, failed: bool = False) -> None:
        """Store that the run has ended. :param failed: With an error, which is kept until it is asked for again."""
        ended = self._connection.execute(delete(schedules).where(self._held(name, holder)))
        if ended.rowcount:
            self._connection.execute(delete(schedules).where(self._is_task(f"{_BY}{name}")))
        if ended.rowcount and failed:
            upsert(self._s, schedules, [{**self._row(f"{_FAILED}{name}"), "started_at": self._now}])

    def done(self, name: str) -> None:
        """Forget a run that has done all it was asked for, in the transaction that says so.

        If its worker dies before it learns of that, no other one begins it again.
        """
        self._connection.execute(delete(schedules).where(self._is(name)))
        self._connection.execute(delete(schedules).where(self._is_task(f"{_BY}{name}")))

    def put_off(self, name: str, holder: str) -> None:
        """Store that the run ended too early: it is begun again later."""
        idle = {"alive_until": None, "holder": None}
        self._connection.execute(update(schedules).where(self._held(name, holder)).values(**idle))

    def withdraw(self, name: str) -> None:
        """Forget a run unless a process has it now."""
        idle = or_(schedules.c.alive_until.is_(None), schedules.c.alive_until <= self._now)
        self._connection.execute(delete(schedules).where(self._is(name), idle))

    def _run(self, row: Row[Any], rows: Mapping[str, Row[Any]]) -> AskedRun:
        name = row.task.removeprefix(_PREFIX)
        asked = rows.get(f"{_BY}{name}")
        is_running = row.alive_until is not None and row.alive_until > self._now
        return AskedRun(name, asked.holder if asked is not None else "", row.started_at, is_running)

    def _row(self, task: str) -> dict[str, object]:
        return {"tenant": self._tenant, "task": task}

    def _held(self, name: str, holder: str) -> ColumnElement[bool]:
        return and_(self._is(name), schedules.c.holder == holder)

    def _is(self, name: str) -> ColumnElement[bool]:
        return self._is_task(f"{_PREFIX}{name}")

    def _is_task(self, task: str) -> ColumnElement[bool]:
        return and_(schedules.c.tenant == self._tenant, schedules.c.task == task)


def asked_runs(s: Transaction) -> Sequence[tuple[str, str]]:
    """Return company and name of every run that was asked for, of all companies in one look; only reads."""
    query = select(schedules.c.tenant, schedules.c.task).where(schedules.c.task.startswith(_PREFIX))
    rows = s.connection.execute(query.order_by(schedules.c.tenant, schedules.c.task))
    return [(row.tenant, row.task.removeprefix(_PREFIX)) for row in rows]
