"""When something is to be done again, and who does it: one of all processes on all machines."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, or_, update

from scim_bridge.storage.reconcile_tables import schedules
from scim_bridge.storage.sql import insert_if_absent

RECONCILE = "reconcile"


class Schedules:
    """The schedules of one tenant, within one transaction. `now` is the database's clock."""

    def __init__(self, connection: Connection, tenant: str, now: datetime) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now

    def take(self, task: str, holder: str, *, every_seconds: float, alive_seconds: float) -> bool:
        """Become the one who does it now, if its time has come and nobody else does it. Whether that succeeded.

        Whoever began and gave no sign of life for `alive_seconds` is replaced at once.
        """
        insert_if_absent(self._connection, schedules, {"tenant": self._tenant, "task": task})
        # A clock that was ahead left it behind: whoever lives says so again before it is over.
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
        """Say that it goes on. False where somebody else does it by now."""
        renewed = self._connection.execute(
            update(schedules)
            .where(self._is(task), schedules.c.holder == holder)
            .values(alive_until=self._now + timedelta(seconds=alive_seconds))
        )
        return renewed.rowcount == 1

    def done(self, task: str, holder: str) -> None:
        """Say that it is done; the next time is counted from its beginning."""
        self._connection.execute(
            update(schedules).where(self._is(task), schedules.c.holder == holder).values(alive_until=None, holder=None)
        )

    def _is(self, task: str) -> ColumnElement[bool]:
        return and_(schedules.c.tenant == self._tenant, schedules.c.task == task)
