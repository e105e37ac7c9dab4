"""The scheduler: `reconcile` every so often, by one of all processes (`RECONCILE__EVERY`)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Connection

from scim_bridge.delivery.reconcile_request import DRIFT, FAILED, IN_SYNC, STOPPED
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import RECONCILE, Runs, Schedules

log = get_logger(__name__)

ALIVE_SECONDS = 20.0
"""Without a sign of life for so long a leader is dead; looked for every few seconds, he is replaced within 30."""

LOOKS_EVERY_SECONDS = 5.0

ENDED_WELL = (IN_SYNC, DRIFT, STOPPED)
"""The exit codes of runs that have compared, and said so themselves."""


class Process(Protocol):
    """A run that goes on by itself."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def terminate(self) -> None:
        """Ask it to stop."""


@dataclass(slots=True)
class Scheduler:
    """Starts runs of one tenant when their time has come. Call `look` every few seconds."""

    database: Database
    tenant: str
    every_seconds: float
    start: Callable[[], Process]
    """Begins a run in a process of its own, so that deliveries never wait for it."""

    new_id: Callable[[], str]
    _run: Process | None = field(default=None)
    _holder: str = field(default="")

    @property
    def pause_seconds(self) -> float:
        """How long to wait before looking again."""
        return min(LOOKS_EVERY_SECONDS, max(0.2, self.every_seconds / 4))

    @property
    def is_running(self) -> bool:
        """Whether a run goes on that this process has begun."""
        return self._run is not None

    def look(self) -> None:
        """Begin a run if its time has come, or look after the one that goes on."""
        if self._run is None:
            if self._take():
                self._begin()
        elif (exit := self._run.poll()) is not None:
            log.info("scheduler.ended", tenant=self.tenant, exit=exit)
            self._run = None
            with self.database.write() as connection:
                self._schedules(connection).done(RECONCILE, self._holder)
            if exit not in ENDED_WELL:
                self._note_failure()
        else:
            with self.database.write() as connection:
                self._schedules(connection).stay_alive(RECONCILE, self._holder, ALIVE_SECONDS)

    def stop(self) -> None:
        """End: a run that goes on is ended too, and another process may begin one at once."""
        if self._run is not None:
            self._run.terminate()
            with self.database.write() as connection:
                self._schedules(connection).stay_alive(RECONCILE, self._holder, 0.0)
            self._run = None

    def _begin(self) -> None:
        try:
            self._run = self.start()
        except Exception:
            # Its place is taken again in `ALIVE_SECONDS`, by this process or another.
            self._note_failure()
            raise
        log.info("scheduler.started", tenant=self.tenant)

    def _note_failure(self) -> None:
        """Have a run among the others that could not begin, or died before it could say so: it ended with an error.

        So `/readyz`, the metrics and `reconcile runs` show it. One line for each time that a run is due is enough.
        """
        with self.database.write() as connection:
            now, runs = self.database.now(connection), Runs(connection, self.tenant)
            last = runs.last()
            if last is None or last.exit != FAILED or last.started_at <= now - timedelta(seconds=self.every_seconds):
                run_id = self.new_id()
                runs.begin(run_id, run_id, now=now, is_whole=True)
                runs.finish(run_id, now=now, exit=FAILED)

    def _take(self) -> bool:
        self._holder = self.new_id()
        with self.database.write() as connection:
            return self._schedules(connection).take(
                RECONCILE, self._holder, every_seconds=self.every_seconds, alive_seconds=ALIVE_SECONDS
            )

    def _schedules(self, connection: Connection) -> Schedules:
        return Schedules(connection, self.tenant, self.database.now(connection))
