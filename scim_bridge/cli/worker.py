"""`scim-bridge worker`: deliver what is due, until it is asked to stop or nothing is due."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import click
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge import logs, traces
from scim_bridge.bootstrap import build, open_database
from scim_bridge.cli.context import Options
from scim_bridge.cli.heartbeat import Heartbeat
from scim_bridge.cli.schedules import notifying, scheduled
from scim_bridge.errors import SchemaOutdated
from scim_bridge.settings.load import of_worker
from scim_bridge.storage.database import loggable
from scim_bridge.storage.engine import DELIVERIES
from scim_bridge.storage.runs import ProcessKind
from scim_bridge.storage.schema import require_current
from scim_bridge.storage.trouble import trouble_of

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
