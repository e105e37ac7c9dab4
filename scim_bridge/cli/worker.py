"""`scim-bridge worker`: delivers what is due, beside `serve` or on its own."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import click
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge import logs
from scim_bridge.bootstrap import build, open_database
from scim_bridge.cli.context import Options
from scim_bridge.cli.scheduling import scheduled
from scim_bridge.errors import SchemaOutdated
from scim_bridge.settings.load import of_worker
from scim_bridge.storage.database import loggable
from scim_bridge.storage.engines import DELIVERIES
from scim_bridge.storage.schema import require_current

IDLE_SECONDS = 0.5
"""How long to wait where nobody is due."""

TROUBLE_SECONDS = 2.0
"""How long to wait where the database can't be used."""

log = logs.get_logger(__name__)


@click.command()
@click.option(
    "--until-idle", is_flag=True, help="Stop when nothing is due, or all that is due waits to be tried again."
)
@click.option(
    "--parent", metavar="PID", type=int, hidden=True, help="`serve`: stop when it is not the parent any more."
)
@click.pass_obj
def worker(options: Options, until_idle: bool, parent: int | None) -> None:
    """Deliver what is due.

    `serve` runs one by itself. Any number may run, on any number of machines; each delivers several
    people at a time, as DITIO__MAX_CONCURRENCY says. On SIGTERM it delivers those in hand, then stops.

    \b
    Examples:
      scim-bridge worker
      scim-bridge worker --until-idle
    """
    settings = options.settings
    logs.configure(settings.log.level, settings.log.format)
    if until_idle:
        with options.database() as database:
            delivered = build(settings, database=database).worker().run_until_idle()
        click.echo(f"{delivered} {'delivery' if delivered == 1 else 'deliveries'} made")
        return
    stop = Stop(parent)
    stop.on_signals()
    database = open_database(settings, patience=DELIVERIES)
    try:
        share = settings if parent is None else of_worker(settings)
        delivering = build(share, database=database).worker()
        log.info("worker.started", tenants=list(settings.tenants))
        through_trouble(lambda: require_current(database), stop)
        with scheduled(options, stop):
            through_trouble(lambda: delivering.run(stop, lambda: time.sleep(IDLE_SECONDS)), stop)
        log.info("worker.stopped")
    finally:
        database.close()


@dataclass
class Stop:
    """Whether it is time to stop: a signal asked for it, or the parent is gone."""

    parent: int | None = None
    asked: bool = False

    def __call__(self) -> bool:
        """Ask."""
        return self.asked or (self.parent is not None and os.getppid() != self.parent)

    def on_signals(self) -> None:
        """Let SIGTERM and SIGINT ask for it. Only a flag is set: a handler must not wait for a lock."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def through_trouble(
    work: Callable[[], None], stop: Callable[[], bool], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Do something as often as it takes: whatever goes wrong must not end the deliveries.

    :raises SchemaOutdated: only an operator can help.
    """
    while not stop():
        try:
            return work()
        except SchemaOutdated:
            raise
        except Exception as error:
            # A database's own words may quote a row, so only its kind is logged.
            what = "worker.database" if isinstance(error, SQLAlchemyError) else "worker.failed"
            log.error(what, error=type(error).__name__, retry_in_seconds=TROUBLE_SECONDS, exc_info=loggable(error))
            sleep(TROUBLE_SECONDS)
