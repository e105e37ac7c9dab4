"""The worker: delivers whoever is due, several at a time; any number of workers may run (rules D1, D2)."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from scim_bridge.delivery.breaker import Gate, is_paused
from scim_bridge.delivery.budget import Budget
from scim_bridge.delivery.certificate_batches import send_all_unclaimed
from scim_bridge.delivery.converge import Convergence
from scim_bridge.delivery.retention import forget_old
from scim_bridge.delivery.turns import Turns, threads_for
from scim_bridge.logs import bound, get_logger
from scim_bridge.storage.breaker import Pauses
from scim_bridge.storage.certificate_queries import CertificateSearches
from scim_bridge.storage.database import loggable, repeated
from scim_bridge.storage.engine import bring_back, shorten_leases
from scim_bridge.storage.outbox import Leased, Outbox
from scim_bridge.storage.people import PutAside

T = TypeVar("T")

log = get_logger(__name__)

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
    turns: Turns
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
            crew.turns.had_nobody(name, monotonic())
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

    def _turns(self) -> Turns:
        return Turns(self._limits(), self._places())

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
