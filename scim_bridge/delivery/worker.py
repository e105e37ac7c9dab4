"""The worker: delivers people who are due, several at a time, fairly between companies (rules D1, D2)."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from scim_bridge.certificates.batches import send_all_unclaimed
from scim_bridge.delivery.breaker import Gate, is_paused
from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.logs import bound, get_logger
from scim_bridge.storage.database import Database, Session, loggable
from scim_bridge.storage.outbox import Leased, bring_back, shorten_leases
from scim_bridge.storage.pairs import KEPT_FOR, forget_abandoned
from scim_bridge.tenant import LEASE_MARGIN_SECONDS, Budget, Tenant

log = get_logger(__name__)


BATCH = 1000
"""How many rows one transaction removes: few, so that other writers wait only briefly."""

MOST_BATCHES = 100
"""How many batches of each kind to remove in one go; then the worker delivers again. The next go removes the rest."""

Forgets = Callable[[Session, datetime], int]
"""Remove at most `BATCH` rows that are older than this instant. Return how many."""


def forget_old(database: Database, tenant: str, days: int, plan_days: int = 30) -> int:
    """Remove old rows of history, audit trail, guard, refused writes and `reconcile`, and names of deleted users.

    Return how many rows that were.

    Any number of processes may do this at once.

    :param days: How many days everything is kept, including one line for each run of `reconcile`.
    :param plan_days: How many days the rows of a run are kept (rule Q5).
    """

    def history(s: Session, moment: datetime) -> int:
        return s.history.forget_before(moment, limit=BATCH)

    def audit(s: Session, moment: datetime) -> int:
        return s.audit.forget_before(moment, limit=BATCH)

    def decisions(s: Session, moment: datetime) -> int:
        return s.guard.forget_before(moment, limit=BATCH)

    def runs(s: Session, moment: datetime) -> int:
        return s.runs.forget_before(moment, limit=BATCH)

    def refusals(s: Session, moment: datetime) -> int:
        return s.refused_writes.forget_before(moment)

    def names(s: Session, moment: datetime) -> int:
        return s.people.forget_names_before(moment, limit=BATCH)

    database.transact(tenant, _forget_pairs)
    removed = _forget_plans(database, tenant, plan_days)
    kinds = (history, audit, decisions, runs, refusals, names)
    return removed + sum(_forget(database, tenant, days, what) for what in kinds)


def _forget_pairs(s: Session) -> None:
    """Remove old pairs of the first day, and the employees that Ditio showed then: no run may follow that would."""
    moment = s.now - KEPT_FOR
    forget_abandoned(s, moment)
    s.snapshot("").drop_abandoned(moment)


def _forget_plans(database: Database, tenant: str, days: int) -> int:
    """Remove the rows of old plans. A transaction that only reads finds the plans, as there may be many runs."""
    with database.read(tenant) as s:
        moment = s.now - timedelta(days=days)
        plans = s.runs.plans_before(moment, limit=MOST_BATCHES)
    removed = 0
    for plan_id in plans:
        removed += _forget_rows(database, tenant, plan_id)
    if removed:
        log.info("retention.removed", tenant=tenant, what="plans", rows=removed)
    return removed


def _forget_rows(database: Database, tenant: str, plan_id: str) -> int:
    removed = 0
    while count := database.transact(tenant, lambda s: s.plan(plan_id).forget(limit=BATCH)):
        removed += count
    return removed


def _forget(database: Database, tenant: str, days: int, forgets: Forgets) -> int:
    removed = 0
    for _ in range(MOST_BATCHES):
        count = database.transact(tenant, lambda s: forgets(s, s.now - timedelta(days=days)))
        removed += count
        if count < BATCH:
            break
    if removed:
        log.info("retention.removed", tenant=tenant, what=forgets.__name__, rows=removed)
    return removed


REST_SECONDS = 0.5
"""For how long a tenant without due people comes after all other tenants."""


MAX_PLACES = 64
"""How many threads one process has at most; more only if it delivers for more tenants than this."""


def places_for(calls: int, per_second: float | None) -> int:
    """Return how many of a tenant's people a worker delivers at once: 1.5 times the calls that it may make at once.

    So Ditio is not idle while other deliveries commit. The pace limits the number: no lease may grow old in the wait.
    """
    most = calls + max(1, calls // 2)
    return most if per_second is None else max(1, min(most, int(per_second * LEASE_MARGIN_SECONDS / 2)))


def pace_seconds(places: int, per_second: float | None) -> float:
    """Return how many seconds a call waits for its turn at most.

    It may wait for one call of each other person being delivered, and one of a list that is being read.
    """
    return 0.0 if per_second is None else (places + 1) / per_second


def threads_for(limits: Collection[int]) -> int:
    """Return how many threads a worker has.

    :param limits: For each tenant, how many of its people may be delivered at once.
    """
    # At least one for each tenant, or slow tenants could keep all threads.
    return min(max(MAX_PLACES, len(limits)), sum(limits))


class FairShare:
    """Gives out the places of one worker process; safe to share between threads. A place is for one delivery.

    :param limits: For each tenant, the most places that it may have at a time.
    :param places: How many places there are.
    """

    def __init__(self, limits: Mapping[str, int], places: int) -> None:
        self._limits = dict(limits)
        self._places = places
        self._taken = dict.fromkeys(limits, 0)
        self._order = list(limits)
        self._nothing_due_at = dict.fromkeys(limits, float("-inf"))
        self._lock = threading.Lock()

    def candidates(self, now: float) -> list[str]:
        """Return the tenants that may take a place now, in turn: the one served last comes last.

        A tenant gets a second place only if one stays free for each tenant that has none. So a company with a slow
        Ditio delays no other company. Tenants that had no due people a moment ago come last, so many idle companies
        cost a busy one nothing.

        :param now: The time on the monotonic clock.
        """
        with self._lock:
            may = [name for name in self._order if self._may(name)]
            return sorted(may, key=lambda name: now - self._nothing_due_at[name] < REST_SECONDS)

    def nothing_due(self, name: str, now: float) -> None:
        """Note that a tenant had no due people."""
        with self._lock:
            self._nothing_due_at[name] = now

    def take(self, name: str) -> None:
        """Give a tenant a place; its turn is over."""
        with self._lock:
            self._taken[name] += 1
            self._order.remove(name)
            self._order.append(name)

    def give_back(self, name: str) -> None:
        """Free a place of a tenant."""
        with self._lock:
            self._taken[name] -= 1

    def _may(self, name: str) -> bool:
        free = self._places - sum(self._taken.values())
        if free <= 0 or self._taken[name] >= self._limits[name]:
            return False
        without = sum(1 for other, taken in self._taken.items() if other != name and not taken)
        return not self._taken[name] or free > without


T = TypeVar("T")

WAKE_EVERY_SECONDS = 30.0
"""How often a worker looks for people whose day has come (rule L2)."""

FORGET_EVERY_SECONDS = 3600.0
"""How often a worker removes what is old enough (`RETENTION__DAYS`)."""

LOOK_SECONDS = 0.5
"""How long a worker waits at most for a delivery to end, before it looks again and asks whether to stop."""


class _InPlace(Executor):
    """A pool without threads of its own: each thread would have a different database in memory."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run the work at once, in the calling thread."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # Raised when the future is asked, as with a thread.
            future.set_exception(error)
        return future


@dataclass(slots=True)
class _Deliveries:
    """The deliveries under way; with several places, each has a thread of its own."""

    pool: Executor
    fair_share: FairShare
    running: set[Future[None]] = field(default_factory=set)

    def send(self, tenant: str, work: Callable[[], None]) -> None:
        """Start a delivery in a free place."""
        self.fair_share.take(tenant)
        self.running.add(self.pool.submit(self._do, tenant, work))

    def settle(self, seconds: float | None) -> None:
        """Wait until one delivery ends, if any is under way, and raise what it raised.

        :param seconds: How long to wait; None for as long as it takes.
        """
        done, self.running = wait(self.running, timeout=seconds, return_when=FIRST_COMPLETED)
        for each in done:
            each.result()

    def _do(self, tenant: str, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self.fair_share.give_back(tenant)


@dataclass(frozen=True, slots=True)
class Worker:
    """Leases due people and delivers them, for all tenants in turn.

    :param places: How many people to deliver at a time; None for what the tenants' settings allow together.
    """

    tenants: Sequence[Tenant]
    places: int | None = None

    def run_until_idle(self) -> int:
        """Deliver until no person is due, or all due people wait for a retry. Return how many deliveries were made."""
        self.wake()
        self.forget()
        delivered = 0
        with self._pool() as pool:
            deliveries = _Deliveries(pool, self._fair_share())
            self._send_unclaimed(deliveries)
            while True:
                if self._serve_next(deliveries):
                    delivered += 1
                elif deliveries.running:
                    deliveries.settle(None)  # A person being delivered may be due again afterwards.
                else:
                    return delivered

    def run(self, stop: Callable[[], bool], pause: Callable[[], None]) -> None:
        """Deliver until `stop` returns True, then finish the deliveries under way.

        :param pause: Waits a moment; called when no person is due.
        :raises SQLAlchemyError: the database is out of reach; all deliveries under way have ended.
        """
        woke_at = forgot_at = float("-inf")
        with self._pool() as pool:
            deliveries = _Deliveries(pool, self._fair_share())
            while not stop():
                now = self.tenants[0].monotonic()
                if now - woke_at >= WAKE_EVERY_SECONDS:
                    self._keep_up(self._wake)
                    self._send_unclaimed(deliveries)
                    woke_at = now
                if now - forgot_at >= FORGET_EVERY_SECONDS:
                    self._keep_up(self._forget)
                    forgot_at = now
                if self._serve_next(deliveries):
                    deliveries.settle(0)
                elif deliveries.running:
                    # A delivery that ends frees a place, and its person may be due again.
                    deliveries.settle(LOOK_SECONDS)
                else:
                    pause()
        deliveries.settle(0)

    def wake(self) -> int:
        """Mark people due whose leave date has passed (L2), or whose hands-off (D6) or pause (D4) ended.

        Return how many.
        """
        return sum(self._wake(tenant) for tenant in self.tenants)

    def forget(self) -> int:
        """Remove rows that each tenant no longer keeps. Return how many."""
        return sum(self._forget(each) for each in self.tenants)

    def _serve_next(self, deliveries: _Deliveries) -> bool:
        """Start one delivery for the first tenant in turn that has a due person. Return whether there was one."""
        tenants = {tenant.name: tenant for tenant in self.tenants}
        monotonic = self.tenants[0].monotonic
        for name in deliveries.fair_share.candidates(monotonic()):
            leased = self._lease(tenants[name])
            if leased is not None:
                self._start(deliveries, tenants[name], leased)
                return True
            deliveries.fair_share.nothing_due(name, monotonic())
        return False

    def _start(self, deliveries: _Deliveries, tenant: Tenant, leased: Leased) -> None:
        began = tenant.monotonic()
        seconds = tenant.lease_seconds

        def deliver() -> None:
            with bound(tenant=leased.tenant):
                deliver_person(
                    tenant,
                    leased.person_id,
                    leased.lease,
                    lease_seconds=seconds - (tenant.monotonic() - began),
                    budget=Budget(tenant.monotonic),
                    cause="worker",
                )

        deliveries.send(tenant.name, deliver)

    def _send_unclaimed(self, deliveries: _Deliveries) -> None:
        """Send certificates of employees without a SCIM user: no person is due for them (rule K2)."""
        for each in self.tenants:
            if each.certificates.delivers_unclaimed:
                deliveries.send(each.name, partial(send_all_unclaimed, each, Gate(each).report_many))

    def _lease(self, tenant: Tenant) -> Leased | None:
        return Gate(tenant).lease_next(tenant.new_id(), tenant.lease_seconds)

    def _limits(self) -> dict[str, int]:
        return {tenant.name: tenant.places for tenant in self.tenants}

    def _places(self) -> int:
        return self.places or threads_for(self._limits().values())

    def _fair_share(self) -> FairShare:
        return FairShare(self._limits(), self._places())

    def _pool(self) -> Executor:
        places = self._places()
        return _InPlace() if places == 1 else ThreadPoolExecutor(places, thread_name_prefix="delivery")

    def _keep_up(self, work: Callable[[Tenant], int]) -> None:
        """Do some upkeep for each tenant. If it fails, the worker logs that and goes on delivering."""
        for each in self.tenants:
            try:
                work(each)
            except Exception as error:
                name = type(error).__name__
                log.error("worker.failed", tenant=each.name, error=name, exc_info=loggable(error))

    def _forget(self, tenant: Tenant) -> int:
        with tenant.write() as s:
            # This includes people at rest. No index leads to them, so it is done seldom.
            shorten_leases(s, tenant.longest_lease_seconds)
        return forget_old(tenant.database, tenant.name, tenant.retention_days, tenant.plan_days)

    def _wake(self, tenant: Tenant) -> int:
        woken = 0
        while batch := tenant.transact(lambda s: self._wake_some(s, tenant)):
            woken += batch
        return woken

    def _wake_some(self, s: Session, tenant: Tenant) -> int:
        today, outbox = tenant.today(s.now), s.outbox
        marked = s.hands_offs.end(today)
        # Certificates that arrived under a number while its person was being linked: their delivery sends them.
        marked += s.certificate_searches().stranded(500, today)
        for person_id in marked:
            outbox.mark_due(person_id)
        resumed = 0 if is_paused(s, tenant) else s.pauses.take_up()
        brought_back = bring_back(s, tenant.longest_lease_seconds)
        return len(marked) + resumed + outbox.wake(today) + brought_back
