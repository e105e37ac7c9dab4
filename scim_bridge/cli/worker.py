"""`scim-bridge worker`: deliver what is due. Beside it: runs by schedule or asked for, watching Entra, and notices."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import click
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge import logs, traces
from scim_bridge.bootstrap import build, open_database
from scim_bridge.cli.context import Options
from scim_bridge.cli.heartbeat import Heartbeat
from scim_bridge.errors import SchemaOutdated
from scim_bridge.notify.sending import LOOK_SECONDS, Notifier
from scim_bridge.operator.entra import read_job
from scim_bridge.reconcile.run import Asked, Scheduler
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.settings.load import of_worker
from scim_bridge.storage import asked as asked_runs
from scim_bridge.storage.asked import AskedRun
from scim_bridge.storage.database import Database, loggable
from scim_bridge.storage.engine import DELIVERIES
from scim_bridge.storage.runs import ProcessKind
from scim_bridge.storage.schema import require_current
from scim_bridge.storage.trouble import trouble_of
from scim_bridge.tenant import Tenant

log = logs.get_logger(__name__)


IDLE_SECONDS = 0.5
"""How long to wait if no person is due."""

TROUBLE_SECONDS = 2.0
"""How long to wait if the database can't be used."""


@click.command()
@click.option(
    "--until-idle",
    is_flag=True,
    help="Stop when no person is due, or all who are due wait for a retry.  [default: run until stopped]",
)
@click.option(
    "--parent", metavar="PID", type=int, hidden=True, help="Stop when this process, `serve`, is no longer the parent."
)
@click.pass_obj
def worker(options: Options, until_idle: bool, parent: int | None) -> None:
    """Deliver the people who are due.

    `serve` runs a worker too. Any number may run, on any number of machines. Each delivers several people at a time,
    up to DITIO__MAX_CONCURRENCY. On SIGTERM it finishes the running deliveries, then stops.

    \b
    Examples:
      scim-bridge worker
      scim-bridge worker --until-idle
    """
    settings = options.settings
    logs.configure(settings.log.level, settings.log.format)
    traces.configure()
    if until_idle:
        with options.database() as database:
            heartbeat = Heartbeat(database, ProcessKind.worker)
            heartbeat.look()
            delivered = build(settings, database=database).worker().run_until_idle()
            heartbeat.end()
        click.echo(f"{delivered} {'delivery' if delivered == 1 else 'deliveries'} made")
        return
    stop = Stop(parent)
    stop.on_signals()
    database = open_database(settings, patience=DELIVERIES)
    try:
        share = settings if parent is None else of_worker(settings)
        parts = build(share, database=database)
        delivering = parts.worker()
        log.info("worker.started", tenants=list(settings.tenants))
        through_trouble(lambda: require_current(database), stop)
        heartbeat = Heartbeat(database, ProcessKind.worker)

        def is_over() -> bool:
            # In the loop that delivers: a worker that hangs is no worker.
            heartbeat.look()
            return stop()

        with scheduled(options, stop), notifying(parts.notifiers.values(), stop):
            through_trouble(lambda: delivering.run(is_over, lambda: time.sleep(IDLE_SECONDS)), stop)
        heartbeat.end()
        log.info("worker.stopped")
    finally:
        database.close()


@dataclass
class Stop:
    """The check whether to stop: after a signal, or when the parent has ended."""

    parent: int | None = None
    asked: bool = False

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.asked or (self.parent is not None and os.getppid() != self.parent)

    def on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT. The handler only sets a flag, because it must not wait for a lock."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def through_trouble(
    work: Callable[[], object], stop: Callable[[], bool], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Repeat `work` until it ends without an error: no error may end the deliveries.

    :raises SchemaOutdated: only an operator can fix it.
    """
    while not stop():
        try:
            work()
            return
        except SchemaOutdated:
            raise
        except Exception as error:
            # A database's own words may quote a row, so only its kind is logged.
            name, seconds = type(error).__name__, TROUBLE_SECONDS
            if isinstance(error, SQLAlchemyError):
                log.error("worker.database", error=name, why=trouble_of(error).words, retry_in_seconds=seconds)
            else:
                log.error("worker.failed", error=name, retry_in_seconds=seconds, exc_info=loggable(error))
            sleep(TROUBLE_SECONDS)


# Beside deliveries

STOP_SECONDS = 10.0
"""How long the thread of the schedulers may take to end."""


MOST_RUNS = 4
"""How many runs one process may have at a time: each is a process, and there may be many companies."""


@contextmanager
def scheduled(options: Options, stop: Callable[[], bool]) -> Iterator[None]:
    """Run the schedulers of all companies with `RECONCILE__EVERY`, what the console asks for, and watch Entra.

    They run in threads of their own, while the block runs.
    """
    companies = options.settings.tenants.items()
    compared = [name for name, own in companies if own.reconcile.every > 0]
    watched = [name for name, own in companies if own.entra.is_set and own.entra.status_every > 0]
    asking = list(options.settings.tenants) if options.settings.console.enabled else []
    ended = threading.Event()

    def is_over() -> bool:
        return ended.is_set() or stop()

    # Entra is read in a thread of its own: while Graph is slow, runs begin on time.
    threads = [
        threading.Thread(target=run, args=(options, tenants, is_over, ended), daemon=True)
        for run, tenants in ((_run_schedulers, compared), (_watch_entra, watched), (_run_asked, asking))
        if tenants
    ]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        ended.set()
        for each in threads:
            each.join(STOP_SECONDS)


ENTRA_STATUS = "entra-status"
"""The task of reading the provisioning job, which one process has at a time."""

ENTRA_SECONDS = 120.0
"""How long one read may take: then another process takes its place."""

ENTRA_LOOKS_SECONDS = 5.0

MOST_READS = 8
"""How many companies' jobs one process reads at a time."""


def _watch_entra(options: Options, tenants: list[str], stop: Callable[[], bool], ended: threading.Event) -> None:
    """Read the provisioning job of each company when it is due, for the metrics."""
    database = open_database(options.settings, patience=DELIVERIES)
    try:
        built = build(options.settings, database=database).tenants
        watched = {name: (built[name], options.of(name).entra.status_every) for name in tenants}
        reading: dict[str, threading.Thread] = {}
        while not stop():
            reading = watch_all(watched, reading)
            ended.wait(ENTRA_LOOKS_SECONDS)
        # What is read at the end of the process is not waited for: another process reads it.
    finally:
        database.close()


def watch_all(
    watched: Mapping[str, tuple[Tenant, float]], reading: Mapping[str, threading.Thread]
) -> dict[str, threading.Thread]:
    """Begin the reads that are due, each in a thread of its own: a slow Graph delays no other company.

    :param watched: By company: itself, and every how many seconds it is read.
    :param reading: What the call before returned: the reads that it left going on.
    :returns: The reads that go on now, by company.
    """
    going_on = {name: thread for name, thread in reading.items() if thread.is_alive()}
    for name, (tenant, every_seconds) in watched.items():
        if name in going_on or len(going_on) >= MOST_READS:
            continue
        thread = _begun(tenant, every_seconds)
        if thread is not None:
            going_on[name] = thread
    return going_on


def _begun(tenant: Tenant, every_seconds: float) -> threading.Thread | None:
    """Begin to read one company's job, if that is due and no other process does it."""
    begun: list[threading.Thread] = []

    def begin() -> None:
        if (holder := _taken(tenant, every_seconds)) is not None:
            read = partial(_logging_errors, partial(_read, tenant, holder))
            begun.append(threading.Thread(target=read, daemon=True, name=f"entra-{tenant.name}"))
            begun[0].start()

    _logging_errors(begin)
    return begun[0] if begun else None


def _taken(tenant: Tenant, every_seconds: float) -> str | None:
    holder = tenant.new_id()
    with tenant.write() as s:
        is_ours = s.schedules.take(ENTRA_STATUS, holder, every_seconds=every_seconds, alive_seconds=ENTRA_SECONDS)
    return holder if is_ours and tenant.entra is not None else None


def _read(tenant: Tenant, holder: str) -> None:
    found = read_job(tenant)
    log.info("entra.read", tenant=tenant.name, state=found.state, escrowed=found.escrowed)
    with tenant.write() as s:
        s.schedules.done(ENTRA_STATUS, holder)


@contextmanager
def notifying(notifiers: Collection[Notifier], stop: Callable[[], bool]) -> Iterator[None]:
    """Send notices in a thread of their own while the block runs: a slow receiver delays no delivery."""
    ended = threading.Event()

    def go_on() -> None:
        for each in notifiers:
            _logging_errors(each.tidy, "notify.failed")
        while any(each.channels for each in notifiers) and not (ended.is_set() or stop()):
            for each in notifiers:
                _logging_errors(each.look, "notify.failed")
            ended.wait(LOOK_SECONDS)

    thread = threading.Thread(target=go_on, daemon=True, name="notices")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # A notice that is being sent at this moment is sent again by the next worker.
        thread.join(STOP_SECONDS)


def reconcile_command(options: Options, tenant: str) -> list[str]:
    """Return the command of one run."""
    apply = ["--apply"] if options.of(tenant).reconcile.apply else []
    return _command(options, tenant, ["reconcile", *apply], "--scheduled", *_AS_CSV)


def asked_command(options: Options, tenant: str, asked: AskedRun) -> list[str]:
    """Return the command of a run that was asked for in the console."""
    match asked.name:
        case asked_runs.FIND:
            return _command(options, tenant, ["adopt"], "--asked", "--format", "json")
        case asked_runs.LINK:
            return _command(options, tenant, ["adopt", "--apply"], "--asked", "--format", "json")
        case _ if asked.plan_id is not None:
            return _command(options, tenant, ["reconcile", "--apply", "--plan", asked.plan_id], "--approved", *_AS_CSV)
    return _command(options, tenant, ["reconcile"], "--scheduled", *_AS_CSV)


_AS_CSV = ("--format", "csv")


def _command(options: Options, tenant: str, does: list[str], *how: str) -> list[str]:
    return options.command(*does, *([] if tenant == DEFAULT_TENANT else ["--tenant", tenant]), *how)


ASKED_LOOKS_SECONDS = 1.0
"""How often a worker looks for what was asked for: an administrator waits for it."""


def _run_asked(options: Options, tenants: list[str], stop: Callable[[], bool], ended: threading.Event) -> None:
    """Run what administrators ask for in the console."""
    database = open_database(options.settings, patience=DELIVERIES)

    def start(tenant: str, asked: AskedRun) -> subprocess.Popen[bytes]:
        return _started(asked_command(options, tenant, asked))

    runs = Asked(database, frozenset(tenants), start, lambda: str(uuid4()), MOST_RUNS)
    try:
        while not stop():
            _logging_errors(runs.look, "asked.failed")
            ended.wait(ASKED_LOOKS_SECONDS)
        _logging_errors(runs.stop, "asked.failed")
    finally:
        database.close()


def _run_schedulers(options: Options, tenants: list[str], stop: Callable[[], bool], ended: threading.Event) -> None:
    database = open_database(options.settings, patience=DELIVERIES)
    schedulers = [_scheduler(options, database, tenant) for tenant in tenants]
    try:
        while not stop():
            look_at(schedulers)
            ended.wait(min(each.pause_seconds for each in schedulers))
        for each in schedulers:
            _logging_errors(each.stop)
    finally:
        database.close()


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet)  # nosec B603 # our own command, no shell


def look_at(schedulers: Sequence[Scheduler], most: int = MOST_RUNS) -> None:
    """Check the runs, and start those that are due while fewer than `most` run.

    A due run that must wait is started by a later call, or by another process.
    """
    for each in sorted(schedulers, key=lambda each: not each.is_running):
        if each.is_running or sum(other.is_running for other in schedulers) < most:
            _logging_errors(each.look)


def _scheduler(options: Options, database: Database, tenant: str) -> Scheduler:
    return Scheduler(
        database,
        tenant,
        options.of(tenant).reconcile.every,
        lambda: _started(reconcile_command(options, tenant)),
        lambda: str(uuid4()),
    )


def _logging_errors(look: Callable[[], None], event: str = "scheduler.failed") -> None:
    """Run `look` and log any error: the thread must survive, and the next call comes soon."""
    try:
        look()
    except Exception as error:
        # A database's own words may quote a row, so only its kind is logged.
        log.error(event, error=type(error).__name__, exc_info=loggable(error))
