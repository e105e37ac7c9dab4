"""The schedulers beside a delivery worker: a thread that looks, and a process for each run."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from scim_bridge import logs
from scim_bridge.bootstrap import open_database
from scim_bridge.cli.context import Options
from scim_bridge.delivery.scheduler import Scheduler
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.storage.database import Database, loggable
from scim_bridge.storage.engines import DELIVERIES

log = logs.get_logger(__name__)

STOP_SECONDS = 10.0
"""How long the thread may take to end."""


MOST_RUNS = 4
"""How many runs one process has at a time: one is a process of its own, and companies may be many."""


@contextmanager
def scheduled(options: Options, stop: Callable[[], bool]) -> Iterator[None]:
    """Run the schedulers of all companies for as long as the block lasts, where `RECONCILE__EVERY` asks for it."""
    tenants = [name for name, own in options.settings.tenants.items() if own.reconcile.every > 0]
    if not tenants:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(
        target=_look_on, args=(options, tenants, lambda: ended.is_set() or stop(), ended), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(STOP_SECONDS)


def reconcile_command(options: Options, tenant: str) -> list[str]:
    """The command of one run."""
    config = ["--config", str(options.config)] if options.config is not None else []
    apply = ["--apply"] if options.of(tenant).reconcile.apply else []
    of_tenant = [] if tenant == DEFAULT_TENANT else ["--tenant", tenant]
    words = ["reconcile", *apply, *of_tenant, "--scheduled", "--format", "csv"]
    return [sys.executable, "-m", "scim_bridge", *config, *words]


def _look_on(options: Options, tenants: list[str], stop: Callable[[], bool], ended: threading.Event) -> None:
    database = open_database(options.settings, patience=DELIVERIES)
    schedulers = [_scheduler(options, database, tenant) for tenant in tenants]
    try:
        while not stop():
            look_at(schedulers)
            ended.wait(min(each.pause_seconds for each in schedulers))
        for each in schedulers:
            _without_trouble(each.stop)
    finally:
        database.close()


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet)  # nosec B603 # our own command, no shell


def look_at(schedulers: Sequence[Scheduler], most: int = MOST_RUNS) -> None:
    """Look after the runs, and begin those whose time has come while there are fewer than `most`.

    Whoever's time has come and who has to wait is begun by the next look that finds room, or by another process.
    """
    for each in sorted(schedulers, key=lambda each: not each.is_running):
        if each.is_running or sum(other.is_running for other in schedulers) < most:
            _without_trouble(each.look)


def _scheduler(options: Options, database: Database, tenant: str) -> Scheduler:
    return Scheduler(
        database,
        tenant,
        options.of(tenant).reconcile.every,
        lambda: _started(reconcile_command(options, tenant)),
        lambda: str(uuid4()),
    )


def _without_trouble(look: Callable[[], None]) -> None:
    """Whatever goes wrong passes, or is seen: the next look is not far, and the thread must live to have it."""
    try:
        look()
    except Exception as error:
        # A database's own words may quote a row, so only its kind is logged.
        log.error("scheduler.failed", error=type(error).__name__, exc_info=loggable(error))
