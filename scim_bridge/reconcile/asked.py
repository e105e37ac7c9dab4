"""Start the runs that administrators asked for in the console, each in a process of its own, and look after them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from scim_bridge.logs import get_logger
from scim_bridge.reconcile.run import ALIVE_SECONDS, ENDED_WELL, Process
from scim_bridge.storage.asked import AskedRun, asked_runs
from scim_bridge.storage.database import Database

log = get_logger(__name__)


@dataclass(slots=True)
class Asked:
    """The runs that were asked for, of all companies. Call `look` every few seconds.

    A page never repairs: it stores what is asked for, and this starts it. So the run outlives the page, the web server
    and, as another process takes it again, also the process that began it.
    """

    database: Database
    tenants: Collection[str]
    start: Callable[[str, AskedRun], Process]
    """Start a run of a company in a process of its own."""

    new_id: Callable[[], str]
    most: int
    """How many runs this process may have at a time."""

    _runs: dict[tuple[str, str], tuple[Process, str]] = field(default_factory=dict)
    """The processes that run, each with the name by which it holds its run; by company and run."""

    def look(self) -> None:
        """Check on the runs that go on, and start those that wait."""
        for (tenant, name), (process, holder) in list(self._runs.items()):
            if (exit := process.poll()) is None:
                with self.database.write(tenant) as s:
                    s.asked.stay_alive(name, holder, ALIVE_SECONDS)
            else:
                # If this fails, the next look stores it: the run must not be begun again for that.
                self._note_end(tenant, name, holder, exit)
                del self._runs[tenant, name]
        for tenant, name in self._waiting():
            if len(self._runs) < self.most and all(tenant != other for other, _ in self._runs):
                self._take(tenant, name)

    def stop(self) -> None:
        """Stop, and terminate the runs that go on. Another process may begin them again at once."""
        for (tenant, name), (process, holder) in self._runs.items():
            process.terminate()
            with self.database.write(tenant) as s:
                s.asked.stay_alive(name, holder, 0.0)
        self._runs.clear()

    def _waiting(self) -> list[tuple[str, str]]:
        with self.database.read() as s:
            return [each for each in asked_runs(s) if each[0] in self.tenants and each not in self._runs]

    def _take(self, tenant: str, name: str) -> None:
        holder = self.new_id()
        with self.database.write(tenant) as s:
            if not s.asked.take(name, holder, alive_seconds=ALIVE_SECONDS):
                return
            asked = s.asked.get(name)
        if asked is not None:
            self._runs[tenant, name] = self.start(tenant, asked), holder
            log.info("asked.started", tenant=tenant, name=name)

    def _note_end(self, tenant: str, name: str, holder: str, exit: int) -> None:
        """Store the end of a run. A repair that left approved rows without an outcome ended too early."""
        log.info("asked.ended", tenant=tenant, name=name, exit=exit)
        with self.database.write(tenant) as s:
            asked = s.asked.get(name)
            plan_id = asked.plan_id if asked is not None else None
            if plan_id is not None and s.plan(plan_id).approved():
                s.asked.put_off(name, holder)
            else:
                s.asked.end(name, holder, failed=exit not in ENDED_WELL)
