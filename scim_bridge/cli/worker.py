"""`scim-bridge worker`: deliver what is due, run the schedules of `reconcile`, send notices; a process's heartbeat."""

import atexit
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

import click
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge import logs, traces
from scim_bridge.bootstrap import build, open_database
from scim_bridge.cli.context import Options
from scim_bridge.cli.schedules import notifying, scheduled
from scim_bridge.errors import SchemaOutdated
from scim_bridge.settings.load import of_worker
from scim_bridge.storage.database import Database, Session, loggable
from scim_bridge.storage.engine import DELIVERIES
from scim_bridge.storage.last_requests import LastRequests
from scim_bridge.storage.runs import BEAT_SECONDS, ProcessKind, beat, leave, process_id
from scim_bridge.storage.schema import require_current, revisions
from scim_bridge.storage.trouble import trouble_of

log = logs.get_logger(__name__)


class Heartbeat:
    """Tells the other processes, by the database, that this one runs, and when Entra last called it.

    :param requests: What a web process has seen of Entra; None for a process that Entra does not call.
    """

    def __init__(
        self,
        database: Database,
        kind: ProcessKind,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        requests: LastRequests | None = None,
    ) -> None:
        self._database = database
        self._kind = kind
        self._requests = requests or LastRequests(monotonic)
        self._monotonic = monotonic
        self._process = process_id(revisions()[-1], str(uuid4()))
        self._host = socket.gethostname()
        self._last = float("-inf")
        self._ended = threading.Event()

    def look(self) -> None:
        """Write a heartbeat if the last one is old enough.

        :raises SchemaOutdated: the schema was migrated meanwhile, and this version can't work on it.
        :raises SQLAlchemyError: the heartbeat can't be written.
        """
        if self._monotonic() - self._last < BEAT_SECONDS:
            return
        require_current(self._database)
        self._store(lambda s: beat(s, self._kind, self._process, self._host), at_end=False)
        self._last = self._monotonic()

    def end(self) -> None:
        """Store that this process ends. If that fails, its heartbeat grows old by itself."""
        self._ended.set()
        with suppress(Exception):
            self._store(lambda s: leave(s, self._kind, self._process), at_end=True)

    def _store(self, work: Callable[[Session], None], *, at_end: bool) -> None:
        times = self._requests.to_store(at_end=at_end)

        def whole(s: Session) -> None:
            work(s)
            self._requests.store(s, times)

        self._database.transact("", whole)
        self._requests.mark_stored(times)

    def start(self) -> None:
        """Write heartbeats in a thread of their own until this process ends."""
        threading.Thread(target=self._go_on, daemon=True, name="heartbeat").start()
        atexit.register(self.end)

    def _go_on(self) -> None:
        while not self._ended.is_set():
            try:
                self.look()
            except SchemaOutdated as error:
                log.error("heartbeat.schema", why=str(error))
            except Exception as error:
                # It is also the proof that writes are kept: what is wrong with the database stands in the log.
                why = trouble_of(error).words
                log.error("heartbeat.failed", error=type(error).__name__, why=why, exc_info=loggable(error))
            self._ended.wait(BEAT_SECONDS)


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
