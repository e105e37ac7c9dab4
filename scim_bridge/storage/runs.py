"""The runs of `reconcile`, which process starts the next one (rules Q4, Q5), and which processes run (D7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, insert, not_, or_, select, update

from scim_bridge.storage.admin_tables import PLAN_TABLES, plan_items, reconcile_runs, schedules
from scim_bridge.storage.engine import Repository, Transaction, upsert
from scim_bridge.storage.prepared import insert_if_absent

_WITH_ROWS = or_(
    *(
        exists().where(each.c.tenant == reconcile_runs.c.tenant, each.c.plan_id == reconcile_runs.c.id)
        for each in PLAN_TABLES
    )
)
"""A condition: whether a run is a plan that has rows."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `reconcile`."""

    id: str
    plan_id: str
    started_at: datetime
    finished_at: datetime | None
    exit: int | None
    people: int
    in_sync: int
    by_kind: Mapping[str, int]
    new: int
    shown: int | None
    linked: int
    at_work: int
    stopped: str | None
    is_whole: bool
    is_complete: bool
    """Whether its plan was completed: no guard can judge how much an incomplete plan would change."""

    applied: int = 0
    """How many rows were repaired."""

    is_believed: bool = True
    """Whether later runs are measured by how many employees Ditio showed in this one."""


class Runs(Repository):
    """The runs of one tenant, within one transaction. Runs do not exclude each other."""

    def begin(self, run_id: str, plan_id: str, *, is_whole: bool) -> None:
        """Store that a run begins. :param is_whole: Whether it is about all people and every kind."""
        self._connection.execute(
            insert(reconcile_runs).values(
                tenant=self._tenant, id=run_id, plan_id=plan_id, started_at=self._now, is_whole=is_whole
            )
        )

    def note(self, run_id: str, **figures: object) -> None:
        """Store figures of a run, by the names of the columns."""
        self._connection.execute(
            update(reconcile_runs)
            .where(reconcile_runs.c.tenant == self._tenant, reconcile_runs.c.id == run_id)
            .values(**figures)
        )

    def finish(self, run_id: str, *, exit: int) -> None:
        """Store that a run ends."""
        self.note(run_id, finished_at=self._now, exit=exit)

    def get(self, run_id: str) -> Run | None:
        """Return one run. The run that made a plan has the plan's id."""
        row = self._connection.execute(
            select(reconcile_runs).where(reconcile_runs.c.tenant == self._tenant, reconcile_runs.c.id == run_id)
        ).first()
        return None if row is None else _run(row)

    def plans_that_begin(self, prefix: str, *, limit: int) -> Sequence[Run]:
        """Return the runs that made a plan whose id begins like this, oldest first."""
        query = (
            select(reconcile_runs)
            .where(
                reconcile_runs.c.tenant == self._tenant,
                reconcile_runs.c.id == reconcile_runs.c.plan_id,
                reconcile_runs.c.id.startswith(prefix, autoescape=True),
            )
            .order_by(reconcile_runs.c.started_at, reconcile_runs.c.id)
            .limit(limit)
        )
        return [_run(row) for row in self._connection.execute(query)]

    def list(self) -> list[Run]:
        """Return every run, oldest first."""
        query = (
            select(reconcile_runs)
            .where(reconcile_runs.c.tenant == self._tenant)
            .order_by(reconcile_runs.c.started_at, reconcile_runs.c.id)
        )
        return [_run(row) for row in self._connection.execute(query)]

    def latest(self, limit: int) -> Sequence[Run]:
        """Return the runs that began last, the newest first."""
        query = (
            select(reconcile_runs)
            .where(reconcile_runs.c.tenant == self._tenant)
            .order_by(reconcile_runs.c.started_at.desc(), reconcile_runs.c.id.desc())
            .limit(limit)
        )
        return [_run(row) for row in self._connection.execute(query)]

    def last(self, *, compared: bool = False) -> Run | None:
        """Return the last ended run about the whole company; with `compared`, the last one without an error."""
        query = select(reconcile_runs).where(
            reconcile_runs.c.tenant == self._tenant,
            reconcile_runs.c.is_whole,
            reconcile_runs.c.finished_at.is_not(None),
        )
        if compared:
            query = query.where(reconcile_runs.c.exit != 1)
        row = self._connection.execute(query.order_by(reconcile_runs.c.started_at.desc()).limit(1)).first()
        return None if row is None else _run(row)

    def first(self) -> Run | None:
        """Return the oldest stored run about the whole company."""
        query = select(reconcile_runs).where(reconcile_runs.c.tenant == self._tenant, reconcile_runs.c.is_whole)
        row = self._connection.execute(query.order_by(reconcile_runs.c.started_at).limit(1)).first()
        return None if row is None else _run(row)

    def shown_before(self) -> int | None:
        """Return how many employees the last complete and believed read showed."""
        query = (
            select(reconcile_runs.c.shown)
            .where(reconcile_runs.c.tenant == self._tenant, reconcile_runs.c.is_believed)
            .order_by(reconcile_runs.c.started_at.desc())
            .limit(1)
        )
        return self._connection.execute(query).scalar_one_or_none()

    def forget_before(self, moment: datetime, *, limit: int) -> int:
        """Remove runs that began earlier and have no rows, at most `limit`. Return how many.

        The last run without an error and the last believed one stay: the next run is compared with them.
        """
        of_us = reconcile_runs.c.tenant == self._tenant
        needed = [
            select(func.max(reconcile_runs.c.started_at)).where(of_us, which).scalar_subquery()
            for which in (reconcile_runs.c.is_believed, reconcile_runs.c.is_whole & (reconcile_runs.c.exit != 1))
        ]
        stays = or_(*(reconcile_runs.c.started_at == each for each in needed))
        old = select(reconcile_runs.c.id).where(
            of_us, reconcile_runs.c.started_at < moment, ~_WITH_ROWS, func.coalesce(~stays, True)
        )
        some = self._connection.execute(old.limit(limit)).scalars().all()
        return self._connection.execute(delete(reconcile_runs).where(of_us, reconcile_runs.c.id.in_(some))).rowcount

    def plans_before(self, moment: datetime, *, limit: int) -> Sequence[str]:
        """Return the ids of plans that began before a moment and still have rows, the oldest first."""
        query = (
            select(reconcile_runs.c.id)
            .where(reconcile_runs.c.tenant == self._tenant, reconcile_runs.c.started_at < moment, _WITH_ROWS)
            .order_by(reconcile_runs.c.started_at)
            .limit(limit)
        )
        return self._connection.execute(query).scalars().all()

    def count_new(self, plan_id: str) -> int:
        """Return how many rows of a plan are new since the previous plan of the whole company."""
        before = (
            select(reconcile_runs.c.id)
            .where(
                reconcile_runs.c.tenant == self._tenant,
                reconcile_runs.c.is_whole,
                reconcile_runs.c.id == reconcile_runs.c.plan_id,
                reconcile_runs.c.finished_at.is_not(None),
                reconcile_runs.c.exit != 1,
                reconcile_runs.c.id != plan_id,
            )
            .order_by(reconcile_runs.c.started_at.desc())
            .limit(1)
        )
        previous = self._connection.execute(before).scalar_one_or_none()
        old = plan_items.alias()
        known = exists().where(
            old.c.tenant == self._tenant,
            old.c.plan_id == (previous or ""),
            old.c.kind == plan_items.c.kind,
            old.c.employee_number == plan_items.c.employee_number,
            func.coalesce(old.c.field, "") == func.coalesce(plan_items.c.field, ""),
        )
        # A person who waits for an employee number has none yet, so their rows are compared by person.
        known_person = exists().where(
            old.c.tenant == self._tenant,
            old.c.plan_id == (previous or ""),
            old.c.kind == plan_items.c.kind,
            old.c.person_id == plan_items.c.person_id,
            old.c.employee_number.is_(None),
            plan_items.c.employee_number.is_(None),
        )
        query = (
            select(func.count())
            .select_from(plan_items)
            .where(plan_items.c.tenant == self._tenant, plan_items.c.plan_id == plan_id, ~known, ~known_person)
        )
        return self._connection.execute(query).scalar_one()


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        plan_id=row.plan_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        exit=row.exit,
        people=row.people,
        in_sync=row.in_sync,
        by_kind=row.by_kind or {},
        new=row.new,
        shown=row.shown,
        linked=row.linked,
        at_work=row.at_work,
        stopped=row.stopped,
        is_whole=row.is_whole,
        is_complete=row.by_kind is not None,
        applied=row.applied,
        is_believed=row.is_believed,
    )


RECONCILE = "reconcile"


class Schedules(Repository):
    """The schedules of one tenant, within one transaction. `now` is the database's clock."""

    def take(self, task: str, holder: str, *, every_seconds: float, alive_seconds: float) -> bool:
        """Take over a task if its time has come and no other process runs it. Return whether that succeeded.

        A process that began it and gave no sign of life for `alive_seconds` is replaced at once.
        """
        insert_if_absent(self._connection, schedules, {"tenant": self._tenant, "task": task})
        # A clock that was ahead may have stored a time too late; a process that is alive renews it before it ends.
        longest = self._now + timedelta(seconds=alive_seconds)
        self._connection.execute(
            update(schedules).where(self._is(task), schedules.c.alive_until > longest).values(alive_until=longest)
        )
        is_abandoned = and_(schedules.c.alive_until.is_not(None), schedules.c.alive_until <= self._now)
        is_idle = schedules.c.alive_until.is_(None)
        has_come = or_(
            schedules.c.started_at.is_(None),
            schedules.c.started_at <= self._now - timedelta(seconds=every_seconds),
            schedules.c.started_at > self._now,
        )
        taken = self._connection.execute(
            update(schedules)
            .where(self._is(task), or_(is_abandoned, and_(is_idle, has_come)))
            .values(started_at=self._now, alive_until=self._now + timedelta(seconds=alive_seconds), holder=holder)
        )
        return taken.rowcount == 1

    def stay_alive(self, task: str, holder: str, alive_seconds: float) -> bool:
        """Store that the task is still running. Return False if another process runs it by now."""
        renewed = self._connection.execute(
            update(schedules)
            .where(self._is(task), schedules.c.holder == holder)
            .values(alive_until=self._now + timedelta(seconds=alive_seconds))
        )
        return renewed.rowcount == 1

    def begun(self, task: str) -> tuple[datetime | None, bool]:
        """Return when a task began last, None if never; and whether it still goes on. Only reads."""
        row = self._connection.execute(select(schedules).where(self._is(task))).first()
        if row is None:
            return None, False
        return row.started_at, row.alive_until is not None and row.alive_until > self._now

    def done(self, task: str, holder: str) -> None:
        """Store that the task is done. The next start is counted from its beginning."""
        self._connection.execute(
            update(schedules).where(self._is(task), schedules.c.holder == holder).values(alive_until=None, holder=None)
        )

    def _is(self, task: str) -> ColumnElement[bool]:
        return and_(schedules.c.tenant == self._tenant, schedules.c.task == task)


PROCESS_ALIVE_SECONDS = 120.0
"""A process without a heartbeat for this long counts as ended. One comes every `BEAT_SECONDS`, if the database can be
written and no long delivery is in the way."""

BEAT_SECONDS = 30.0

NO_TENANT = ""
"""Processes serve all companies: their rows in `schedules` belong to none."""


class ProcessKind(StrEnum):
    """What a process does."""

    serve = "serve"
    worker = "worker"


NAMES = {ProcessKind.serve: "web server", ProcessKind.worker: "worker"}


@dataclass(frozen=True, slots=True)
class Presence:
    """The processes of one kind."""

    kind: ProcessKind
    alive: int
    last_seen_at: datetime | None = None
    """The last heartbeat of any of them; None if none has ever run."""

    host: str | None = None
    """The machine that it came from."""

    @property
    def absence(self) -> str | None:
        """Return since when none runs, in words; None while one does."""
        if self.alive:
            return None
        if self.last_seen_at is None:
            return f"no {NAMES[self.kind]} has run yet"
        return f"no {NAMES[self.kind]} since {self.last_seen_at:%Y-%m-%d %H:%M} UTC on host {self.host}"


START = {
    ProcessKind.serve: "start `scim-bridge serve`",
    ProcessKind.worker: "start `scim-bridge serve` or `scim-bridge worker`. Without one, no delivery is tried again",
}
"""What to do where no process of a kind runs."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process that runs, as far as its heartbeats tell."""

    kind: ProcessKind
    revision: str
    """The newest revision of the schema that its version knows."""

    host: str


def process_id(revision: str, unique: str) -> str:
    """Return the id of a process, which tells the version's newest revision of the schema."""
    return f"{revision}:{unique}"


def running(s: Transaction) -> list[Running]:
    """Return the processes that run, of all kinds; only reads."""
    columns = (schedules.c.task, schedules.c.holder)
    found = []
    for kind in ProcessKind:
        for row in s.connection.execute(select(*columns).where(_is_kind(kind), not_(_has_ended(s.now)))):
            revision, _, _ = row.task.removeprefix(f"{kind}:").rpartition(":")
            found.append(Running(kind, revision, row.holder))
    return found


def beat(s: Transaction, kind: ProcessKind, process: str, host: str) -> None:
    """Store a heartbeat of a process. Rows of processes of this kind that have ended are removed.

    :param process: An id that no other process has: see `process_id`.
    """
    now = s.now
    alive_until = now + timedelta(seconds=PROCESS_ALIVE_SECONDS)
    row = {"tenant": NO_TENANT, "task": _process_task(kind, process), "started_at": now, "holder": host}
    upsert(s, schedules, [{**row, "alive_until": alive_until}])
    s.connection.execute(delete(schedules).where(_is_kind(kind), _has_ended(now)))


def leave(s: Transaction, kind: ProcessKind, process: str) -> None:
    """Store that a process ends now."""
    is_process = and_(schedules.c.tenant == NO_TENANT, schedules.c.task == _process_task(kind, process))
    s.connection.execute(update(schedules).where(is_process).values(started_at=s.now, alive_until=s.now))


def presences(s: Transaction) -> Mapping[ProcessKind, Presence]:
    """Return which processes run, by kind; only reads."""
    return {kind: _presence(s, kind) for kind in ProcessKind}


def _presence(s: Transaction, kind: ProcessKind) -> Presence:
    columns = (schedules.c.started_at, schedules.c.holder, _has_ended(s.now).label("has_ended"))
    rows = s.connection.execute(select(*columns).where(_is_kind(kind)).order_by(schedules.c.started_at)).all()
    if not rows:
        return Presence(kind, 0)
    return Presence(kind, sum(not row.has_ended for row in rows), rows[-1].started_at, rows[-1].holder)


def _process_task(kind: ProcessKind, process: str) -> str:
    return f"{kind}:{process}"


def _is_kind(kind: ProcessKind) -> ColumnElement[bool]:
    return and_(schedules.c.tenant == NO_TENANT, schedules.c.task.startswith(f"{kind}:"))


def _has_ended(now: datetime) -> ColumnElement[bool]:
    # A clock that was ahead stored a time too late: a process that is alive corrects it with its next heartbeat.
    latest = now + timedelta(seconds=2 * PROCESS_ALIVE_SECONDS)
    return or_(schedules.c.alive_until <= now, schedules.c.alive_until > latest)
