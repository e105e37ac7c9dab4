"""The scheduler beside a delivery worker: a thread that looks, and a process for each run."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from scim_bridge import logs
from scim_bridge.bootstrap import DEFAULT_TENANT, open_database
from scim_bridge.cli.context import Options
from scim_bridge.delivery.scheduler import Scheduler

log = logs.get_logger(__name__)

STOP_SECONDS = 10.0
"""How long the thread may take to end."""


@contextmanager
def scheduled(options: Options, stop: Callable[[], bool]) -> Iterator[None]:
    """Run the scheduler for as long as the block lasts, if `RECONCILE__EVERY` asks for it."""
    if options.settings.reconcile.every <= 0:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_look_on, args=(options, lambda: ended.is_set() or stop(), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(STOP_SECONDS)


def reconcile_command(options: Options) -> list[str]:
    """The command of one run."""
    config = ["--config", str(options.config)] if options.config is not None else []
    apply = ["--apply"] if options.settings.reconcile.apply else []
    return [sys.executable, "-m", "scim_bridge", *config, "reconcile", *apply, "--scheduled", "--format", "csv"]


def _look_on(options: Options, stop: Callable[[], bool], ended: threading.Event) -> None:
    database = open_database(options.settings)
    scheduler = Scheduler(
        database,
        DEFAULT_TENANT,
        options.settings.reconcile.every,
        lambda: _started(reconcile_command(options)),
        lambda: str(uuid4()),
    )
    try:
        while not stop():
            _without_trouble(scheduler.look)
            ended.wait(scheduler.pause_seconds)
        _without_trouble(scheduler.stop)
    finally:
        database.close()


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet)  # nosec B603 # our own command, no shell


def _without_trouble(look: Callable[[], None]) -> None:
    """Trouble with the database passes: the next look is not far."""
    try:
        look()
    except SQLAlchemyError as error:
        # Its own words may quote a row, so only its kind is logged.
        log.error("scheduler.database", error=type(error).__name__)
