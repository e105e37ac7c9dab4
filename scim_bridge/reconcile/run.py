"""One run of `reconcile`: load, compare, guard, apply; and runs in processes of their own, by schedule or asked for."""

import subprocess
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from scim_bridge.delivery.guard import person_named
from scim_bridge.domain.audit import BY_SCHEDULE
from scim_bridge.domain.drift import REPAIRED_ON_REVIEW, Drift
from scim_bridge.domain.employee import ActualEmployee
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import EntraError, SettingsError, WrongUsage
from scim_bridge.logs import get_logger
from scim_bridge.plan.limits import CompanySize, Limits, limit_exceeded, roster_doubt
from scim_bridge.reconcile.apply import PlanRepairing
from scim_bridge.reconcile.compare import DriftPlanning
from scim_bridge.reconcile.entra_compare import EntraSide, entra_side
from scim_bridge.reconcile.load import RosterLoading, employees_about
from scim_bridge.reconcile.report import (
    DRIFT,
    FAILED,
    IN_SYNC,
    STOPPED,
    Progress,
    Report,
    Request,
    confirm_shown,
    find_plan,
)
from scim_bridge.storage.asked import AskedRun, asked_runs
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.pairs import forget_abandoned
from scim_bridge.storage.runs import RECONCILE, Run, Schedules
from scim_bridge.tenant import ENTRA_NOT_SET, Tenant

if TYPE_CHECKING:
    from scim2_models import ScimProvider

log = get_logger(__name__)

ABANDONED_AFTER = timedelta(days=1)
"""Age at which the rows that an unfinished run loaded are removed, even if that run still goes on."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The reconciliation of one tenant."""

    tenant: Tenant
    roster: Callable[[date], Iterator[ActualEmployee]]
    limits: Limits
    provider: "Callable[[], ScimProvider] | None" = None
    """Makes the description of SCIM users, to change one as Entra would have; large, so only on demand."""

    def run(self, request: Request, progress: Progress = lambda stage, done, total: None) -> Report:
        """Compare both sides, or repair a stored plan.

        :raises WrongUsage: the options do not go together.
        :raises NotFound: there is no such plan, or no such person.
        :raises DeliveryError: Ditio can't be read; nothing was sent.
        """
        request.check()
        if request.with_entra and request.person is not None:
            raise WrongUsage("`--with-entra` compares all people: leave out `--person`")
        if request.with_entra and self.tenant.entra is None and request.author != BY_SCHEDULE:
            raise SettingsError(ENTRA_NOT_SET)
        plan = self._plan(request.plan_id) if request.plan_id is not None else None
        person_id = self._person(request.person) if request.person is not None else None
        run_id, is_whole = self.tenant.new_id(), request.only is None and person_id is None and plan is None
        with self.tenant.write() as s:
            now = s.now
            s.runs.begin(run_id, plan.id if plan is not None else run_id, is_whole=is_whole)
            forget_abandoned(s, now - ABANDONED_AFTER)
            s.snapshot(run_id).drop_abandoned(now - ABANDONED_AFTER)
        log.info("reconcile.started", tenant=self.tenant.name, run=run_id, apply=request.apply)
        exit, notes = FAILED, tuple[str, ...]()
        try:
            if plan is None:
                side = self._read_entra(run_id, request, progress)
                plan = self._make_plan(run_id, request, person_id, now, progress, side)
                notes = side.notes()
            else:
                self._note_plan(run_id, plan)
            report = self._guard_and_apply(run_id, plan, request, progress)
            exit = report.exit
            return replace(report, notes=notes)
        finally:
            self._finish(run_id, exit)

    def items(self, plan_id: str) -> Iterator[Drift]:
        """Yield the rows of a plan, grouped by person; leavers who are still active come first."""
        with self.tenant.read() as s:
            yield from s.plan(plan_id).all()

    def _make_plan(
        self,
        run_id: str,
        request: Request,
        person_id: PersonId | None,
        now: datetime,
        progress: Progress,
        side: EntraSide,
    ) -> Run:
        loading = RosterLoading(self.tenant, run_id, self.tenant.today(now))
        today = loading.today
        found = self.roster(today) if person_id is None else employees_about(self.tenant, person_id)
        shown = loading.load(found, lambda done: progress("reading Ditio", done, None))
        planning = DriftPlanning(self.tenant, run_id, now, request.only)
        with self.tenant.read() as s:
            total = s.people.count()
        planning.plan_people(person_id, lambda done: progress("comparing", done, total))
        if person_id is None:
            planning.plan_others()
        for rows in side.rows():
            planning.store(rows)
        figures = planning.figures
        with self.tenant.write() as s:
            runs = s.runs
            linked = s.people.count(linked=True)
            company = CompanySize(shown, linked, figures.at_work, runs.shown_before())
            # One person who is read alone says nothing about the whole company.
            doubt = roster_doubt(company) if person_id is None else None
            is_believed = doubt is None and person_id is None
            doubt = doubt or ("; ".join(side.stops) or None)
            runs.note(
                run_id,
                shown=shown if person_id is None else None,
                is_believed=is_believed,
                linked=linked,
                at_work=figures.at_work,
                people=figures.people,
                in_sync=figures.in_sync,
                by_kind=s.plan(run_id).by_kind(),
                new=runs.count_new(run_id),
                stopped=doubt,
            )
        return self._plan(run_id)

    def _read_entra(self, run_id: str, request: Request, progress: Progress) -> EntraSide:
        """Read Entra's side, where it is asked for. A scheduled run goes on without it if Graph is out of reach.

        :raises EntraError: it can't be read.
        """
        entra = self.tenant.entra
        if entra is None or not request.with_entra:
            return EntraSide()
        try:
            return entra_side(self.tenant, entra, run_id, self.limits, progress)
        except EntraError as error:
            if request.author != BY_SCHEDULE:
                raise
            why = str(error)
            log.warning("reconcile.entra_unread", tenant=self.tenant.name, run=run_id, why=why)
            return EntraSide(notes=lambda: (f"it was not compared: {why}",))

    def _note_plan(self, run_id: str, plan: Run) -> None:
        """Copy the figures of the plan to this run; none of them is new."""
        with self.tenant.write() as s:
            s.runs.note(run_id, people=plan.people, in_sync=plan.in_sync, by_kind=dict(plan.by_kind))

    def _guard_and_apply(self, run_id: str, plan: Run, request: Request, progress: Progress) -> Report:
        reviewed = request.plan_id is not None or request.only in REPAIRED_ON_REVIEW
        if (stopped := self._why_stopped(run_id, plan, request, reviewed)) is not None:
            return Report(plan, STOPPED, 0, stopped)
        if not request.apply:
            is_drift = any(item.is_drift for item in self.items(plan.id))
            return Report(plan, DRIFT if is_drift else IN_SYNC, 0, None)
        person_id = self._person(request.person) if request.person is not None else None
        repairing = PlanRepairing(self.tenant, run_id, plan, self.provider)
        return repairing.repair(request, person_id, progress, reviewed=reviewed)

    def _why_stopped(self, run_id: str, plan: Run, request: Request, reviewed: bool) -> str | None:
        """Return the figure and the limit that stop the run, whether or not it would send anything (rule Q4)."""
        if request.force:
            with self.tenant.write() as s:
                confirm_shown(s, plan)
            return None
        if request.approved:
            return None  # The guard was asked before the rows were approved, and a plan never changes.
        company = CompanySize(plan.shown or 0, plan.linked, plan.at_work)
        stopped = plan.stopped or limit_exceeded(self.items(plan.id), company, self.limits, reviewed=reviewed)
        if stopped is not None:
            with self.tenant.write() as s:
                s.runs.note(run_id, stopped=stopped)
        return stopped

    def _plan(self, plan_id: str) -> Run:
        with self.tenant.read() as s:
            return find_plan(s, plan_id)

    def _person(self, name: str) -> PersonId:
        with self.tenant.read() as s:
            return person_named(s, name).person.id

    def _finish(self, run_id: str, exit: int) -> None:
        with self.tenant.write() as s:
            s.runs.finish(run_id, exit=exit)
            s.snapshot(run_id).drop()
        log.info("reconcile.finished", tenant=self.tenant.name, run=run_id, exit=exit)


ALIVE_SECONDS = 20.0
"""A leader without a sign of life for this long is dead. Processes look every few seconds: within 30 it is replaced."""

LOOKS_EVERY_SECONDS = 5.0

ENDED_WELL = (IN_SYNC, DRIFT, STOPPED)
"""Exit codes of runs that compared, and stored their own end."""


Process = subprocess.Popen[bytes]
"""A run in a process of its own."""


@dataclass(slots=True)
class Scheduler:
    """Start the runs of one tenant when they are due. Call `look` every few seconds."""

    database: Database
    tenant: str
    every_seconds: float
    start: Callable[[], Process]
    """Start a run in a process of its own, so that deliveries never wait for it."""

    new_id: Callable[[], str]
    _run: Process | None = field(default=None)
    _holder: str = field(default="")

    @property
    def pause_seconds(self) -> float:
        """Seconds to wait before the next `look`."""
        return min(LOOKS_EVERY_SECONDS, max(0.2, self.every_seconds / 4))

    @property
    def is_running(self) -> bool:
        """Whether a run goes on that this process has started."""
        return self._run is not None

    def look(self) -> None:
        """Start a run if one is due, or check on the one that goes on."""
        if self._run is None:
            if self._take():
                self._begin()
        elif (exit := self._run.poll()) is not None:
            log.info("scheduler.ended", tenant=self.tenant, exit=exit)
            self._run = None
            with self.database.write(self.tenant) as s:
                self._schedules(s).done(RECONCILE, self._holder)
            if exit not in ENDED_WELL:
                self._note_failure()
        else:
            with self.database.write(self.tenant) as s:
                self._schedules(s).stay_alive(RECONCILE, self._holder, ALIVE_SECONDS)

    def stop(self) -> None:
        """Stop, and terminate the run that goes on. Another process may start one at once."""
        if self._run is not None:
            self._run.terminate()
            with self.database.write(self.tenant) as s:
                self._schedules(s).stay_alive(RECONCILE, self._holder, 0.0)
            self._run = None

    def _begin(self) -> None:
        try:
            self._run = self.start()
        except Exception:  # Whatever kept the run from starting, operators see it as a run that failed.
            # After `ALIVE_SECONDS` this process, or another, tries again.
            self._note_failure()
            raise
        log.info("scheduler.started", tenant=self.tenant)

    def _note_failure(self) -> None:
        """Store a run that could not start, or died before it stored its own end, as one that ended with an error.

        So `/readyz`, the metrics and `reconcile runs` show it. One such run for each interval is enough.
        """
        with self.database.write(self.tenant) as s:
            now, runs = s.now, s.runs
            last = runs.last()
            if last is None or last.exit != FAILED or last.started_at <= now - timedelta(seconds=self.every_seconds):
                run_id = self.new_id()
                runs.begin(run_id, run_id, is_whole=True)
                runs.finish(run_id, exit=FAILED)

    def _take(self) -> bool:
        self._holder = self.new_id()
        with self.database.write(self.tenant) as s:
            return self._schedules(s).take(
                RECONCILE, self._holder, every_seconds=self.every_seconds, alive_seconds=ALIVE_SECONDS
            )

    def _schedules(self, s: Session) -> Schedules:
        return s.schedules


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
