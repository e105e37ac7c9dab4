"""The worker: delivers people who are due, several at a time, fairly between companies (rules D1, D2)."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from scim_bridge.delivery.breaker import Gate, is_paused
from scim_bridge.delivery.certificate_batches import send_all_unclaimed
from scim_bridge.delivery.deliver import Convergence
from scim_bridge.logs import bound, get_logger
from scim_bridge.storage.breaker import Pauses
from scim_bridge.storage.certificate_queries import CertificateSearches
from scim_bridge.storage.database import Database, loggable, repeated
from scim_bridge.storage.engine import bring_back, shorten_leases
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.history import AuditTrail, History
from scim_bridge.storage.outbox import Leased, Outbox
from scim_bridge.storage.people import PutAside
from scim_bridge.storage.plans import PlanItems, plans_before
from scim_bridge.storage.runs import Runs
from scim_bridge.tenant import LEASE_MARGIN_SECONDS, Budget

log = get_logger(__name__)


BATCH = 1000
"""Rows removed in one transaction: nobody has to wait long for it."""

MOST_BATCHES = 100
"""In one go, of each kind; the rest comes with the next, so that a worker gets back to its people."""

Forgets = Callable[[Connection, datetime, datetime], int]
"""Removes at most `BATCH` rows that are older than an instant, the second; the first is now. How many."""


def forget_old(database: Database, tenant: str, days: int, plan_days: int = 30) -> int:
    """Remove what is old enough of history, audit trail, the guard's decisions and `reconcile`. How many rows.

    Any number of processes may do it at once.

    :param days: How long everything is kept, one line for each run of `reconcile` included.
    :param plan_days: How long the rows of a run are kept (rule Q5).
    """

    def history(connection: Connection, now: datetime, moment: datetime) -> int:
        return History(connection, tenant, now).forget_before(moment, limit=BATCH)

    def audit(connection: Connection, _: datetime, moment: datetime) -> int:
        return AuditTrail(connection, tenant).forget_before(moment, limit=BATCH)

    def decisions(connection: Connection, now: datetime, moment: datetime) -> int:
        return Guard(connection, tenant, now).forget_before(moment, limit=BATCH)

    def runs(connection: Connection, _: datetime, moment: datetime) -> int:
        return Runs(connection, tenant).forget_before(moment, limit=BATCH)

    removed = _forget_plans(database, tenant, plan_days)
    return removed + sum(_forget(database, tenant, days, what) for what in (history, audit, decisions, runs))


def _forget_plans(database: Database, tenant: str, days: int) -> int:
    """Remove the rows of old plans. They are looked for in a transaction that only reads: there may be many runs."""
    with database.read() as connection:
        moment = database.now(connection) - timedelta(days=days)
        plans = plans_before(connection, tenant, moment, limit=MOST_BATCHES)
    removed = 0
    for plan_id in plans:
        while count := repeated(partial(_forget_rows, database, tenant, plan_id)):
            removed += count
    if removed:
        log.info("retention.removed", tenant=tenant, what="plans", rows=removed)
    return removed


def _forget_rows(database: Database, tenant: str, plan_id: str) -> int:
    with database.write() as connection:
        return PlanItems(connection, tenant, plan_id).forget(limit=BATCH)


def _forget(database: Database, tenant: str, days: int, forgets: Forgets) -> int:
    removed = 0
    for _ in range(MOST_BATCHES):
        count = repeated(lambda: _forget_some(database, days, forgets))
        removed += count
        if count < BATCH:
            break
    if removed:
        log.info("retention.removed", tenant=tenant, what=forgets.__name__, rows=removed)
    return removed


def _forget_some(database: Database, days: int, forgets: Forgets) -> int:
    with database.write() as connection:
        now = database.now(connection)
        return forgets(connection, now, now - timedelta(days=days))


REST_SECONDS = 0.5
"""How long a tenant that had nobody due is looked at after all others."""


MAX_PLACES = 64
"""How many threads one process has at most, unless it delivers for more tenants."""


def places_for(calls: int, per_second: float | None) -> int:
    """How many of a tenant's people a worker has in hand: half as many again as it may make calls at a time.

    So Ditio does not idle while the others commit. No more than the pace lets through before a lease grows old, though.
    """
    most = calls + max(1, calls // 2)
    return most if per_second is None else max(1, min(most, int(per_second * LEASE_MARGIN_SECONDS / 2)))


def pace_seconds(places: int, per_second: float | None) -> float:
    """How long a call waits for its turn at most: behind one of everybody in hand, and of a list that is being read."""
    return 0.0 if per_second is None else (places + 1) / per_second


def threads_for(limits: Collection[int]) -> int:
    """How many threads a worker has. :param limits: For each tenant, how many of its people may be in hand."""
    # One for each tenant at least, or the slow ones could keep all of them.
    return min(max(MAX_PLACES, len(limits)), sum(limits))


class FairShare:
    """Gives out the places of one worker process; safe to share between threads.

    :param limits: For each tenant, the most places that it may have at a time.
    :param places: How many there are.
    """

    def __init__(self, limits: Mapping[str, int], places: int) -> None:
        self._limits = dict(limits)
        self._places = places
        self._taken = dict.fromkeys(limits, 0)
        self._order = list(limits)
        self._in_vain = dict.fromkeys(limits, float("-inf"))
        self._lock = threading.Lock()

    def candidates(self, now: float) -> list[str]:
        """Who may take a place now, in turn: whoever was served last comes last.

        A second place is only for a tenant that leaves one for every other that has none: a slow company may have
        to wait for its Ditio, and nobody else with it. Tenants that had nobody due a moment ago come after the others:
        many idle companies cost a busy one nothing.

        :param now: On the monotonic clock.
        """
        with self._lock:
            may = [name for name in self._order if self._may(name)]
            return sorted(may, key=lambda name: now - self._in_vain[name] < REST_SECONDS)

    def nothing_due(self, name: str, now: float) -> None:
        """A tenant was looked at in vain."""
        with self._lock:
            self._in_vain[name] = now

    def take(self, name: str) -> None:
        """A tenant got a place; its turn is over."""
        with self._lock:
            self._taken[name] += 1
            self._order.remove(name)
            self._order.append(name)

    def give_back(self, name: str) -> None:
        """The place is free again."""
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

GLANCE_SECONDS = 0.5
"""How long a worker waits at most for a delivery to end before it looks again, and asks whether it is to stop."""


class _InPlace(Executor):
    """A pool of the one thread that asks: a database in memory is each thread's own."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Do it at once."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # Raised by whoever asks the future, as with a thread.
            future.set_exception(error)
        return future


@dataclass(slots=True)
class _Crew:
    """The deliveries under way, each in a thread of its own where there are several places."""

    pool: Executor
    turns: FairShare
    running: set[Future[None]] = field(default_factory=set)

    def send(self, tenant: str, work: Callable[[], None]) -> None:
        """Start a delivery in a free place."""
        self.turns.take(tenant)
        self.running.add(self.pool.submit(self._do, tenant, work))

    def settle(self, seconds: float | None) -> None:
        """Wait until one of them is over, if any is under way, and raise what it raised.

        :param seconds: How long to wait; None for as long as it takes.
        """
        done, self.running = wait(self.running, timeout=seconds, return_when=FIRST_COMPLETED)
        for each in done:
            each.result()

    def _do(self, tenant: str, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self.turns.give_back(tenant)


@dataclass(frozen=True, slots=True)
class Worker:
    """Takes due people under a lease each and delivers them, for all tenants in turn.

    :param places: How many are delivered at a time; None for what the tenants' settings allow together.
    """

    convergences: Sequence[Convergence]
    new_id: Callable[[], str]
    places: int | None = None

    def run_until_idle(self) -> int:
        """Deliver until nothing is due, or all that is due waits in back-off. How many deliveries were made."""
        self.wake()
        self.forget()
        delivered = 0
        with self._pool() as pool:
            crew = _Crew(pool, self._turns())
            self._send_unclaimed(crew)
            while True:
                if self._serve_next(crew):
                    delivered += 1
                elif crew.running:
                    crew.settle(None)  # Whoever is delivered now may be due again then.
                else:
                    return delivered

    def run(self, stop: Callable[[], bool], pause: Callable[[], None]) -> None:
        """Deliver until `stop` says so, and whoever is in hand to the end.

        :param pause: Waits a moment; called when nobody is due.
        :raises SQLAlchemyError: the database is out of reach; whoever is in hand has come to an end.
        """
        woke_at = forgot_at = float("-inf")
        with self._pool() as pool:
            crew = _Crew(pool, self._turns())
            while not stop():
                now = self.convergences[0].monotonic()
                if now - woke_at >= WAKE_EVERY_SECONDS:
                    self._tend(self._wake)
                    self._send_unclaimed(crew)
                    woke_at = now
                if now - forgot_at >= FORGET_EVERY_SECONDS:
                    self._tend(self._forget)
                    forgot_at = now
                if self._serve_next(crew):
                    crew.settle(0)
                elif crew.running:
                    # Whoever comes back makes a place free, and may be due again.
                    crew.settle(GLANCE_SECONDS)
                else:
                    pause()
        crew.settle(0)

    def wake(self) -> int:
        """Mark those due whose leave date is over (L2), who are no longer put aside (D6) or paused (D4). How many."""
        return sum(self._wake(convergence) for convergence in self.convergences)

    def forget(self) -> int:
        """Remove what each tenant keeps no longer. How many rows."""
        return sum(self._forget(each) for each in self.convergences)

    def _serve_next(self, crew: _Crew) -> bool:
        """Start to deliver somebody of the first tenant in turn who has anybody. Whether there was one."""
        tenants = {convergence.tenant.name: convergence for convergence in self.convergences}
        monotonic = self.convergences[0].monotonic
        for name in crew.turns.candidates(monotonic()):
            leased = self._lease(tenants[name])
            if leased is not None:
                self._start(crew, tenants[name], leased)
                return True
            crew.turns.nothing_due(name, monotonic())
        return False

    def _start(self, crew: _Crew, convergence: Convergence, leased: Leased) -> None:
        began = convergence.monotonic()
        seconds = convergence.tenant.lease_seconds

        def deliver() -> None:
            with bound(tenant=leased.tenant):
                convergence.deliver(
                    leased.person_id,
                    leased.lease,
                    lease_seconds=seconds - (convergence.monotonic() - began),
                    budget=Budget(convergence.monotonic),
                    cause="worker",
                )

        crew.send(convergence.tenant.name, deliver)

    def _send_unclaimed(self, crew: _Crew) -> None:
        """Certificates of employees whom no SCIM user is: nobody is due for them (rule K2)."""
        for each in self.convergences:
            if each.tenant.certificates.delivers_unclaimed:
                crew.send(each.tenant.name, partial(send_all_unclaimed, each))

    def _lease(self, convergence: Convergence) -> Leased | None:
        gate = Gate(convergence.database, convergence.tenant.name, convergence.tenant.is_paused)
        return gate.lease_next(self.new_id(), convergence.tenant.lease_seconds)

    def _limits(self) -> dict[str, int]:
        return {convergence.tenant.name: convergence.tenant.places for convergence in self.convergences}

    def _places(self) -> int:
        return self.places or threads_for(self._limits().values())

    def _turns(self) -> FairShare:
        return FairShare(self._limits(), self._places())

    def _pool(self) -> Executor:
        places = self._places()
        return _InPlace() if places == 1 else ThreadPoolExecutor(places, thread_name_prefix="delivery")

    def _tend(self, work: Callable[[Convergence], int]) -> None:
        """Do something for each tenant that can wait: where it goes wrong, people are delivered nevertheless."""
        for each in self.convergences:
            try:
                work(each)
            except Exception as error:
                name = type(error).__name__
                log.error("worker.failed", tenant=each.tenant.name, error=name, exc_info=loggable(error))

    def _forget(self, convergence: Convergence) -> int:
        database, tenant = convergence.database, convergence.tenant
        with database.write() as connection:
            # Of people at rest too: no index leads to them, so this is done seldom.
            shorten_leases(connection, tenant.name, database.now(connection), tenant.longest_lease_seconds)
        return forget_old(database, tenant.name, tenant.retention_days, tenant.plan_days)

    def _wake(self, convergence: Convergence) -> int:
        woken = 0
        while batch := repeated(lambda: self._wake_some(convergence)):
            woken += batch
        return woken

    def _wake_some(self, convergence: Convergence) -> int:
        database, tenant = convergence.database, convergence.tenant
        with database.write() as connection:
            now = database.now(connection)
            today, outbox = tenant.today(now), Outbox(connection, tenant.name, now)
            taken_up = PutAside(connection, tenant.name).end(today)
            # Certificates that were said under a number while its person was being linked: his delivery takes them.
            taken_up += CertificateSearches(connection, tenant.name).stranded(500, today)
            for person_id in taken_up:
                outbox.mark_due(person_id)
            resumed = 0 if is_paused(connection, tenant, now) else Pauses(connection, tenant.name, now).take_up()
            brought_back = bring_back(connection, tenant.name, now, tenant.longest_lease_seconds)
            return len(taken_up) + resumed + outbox.wake(today) + brought_back
