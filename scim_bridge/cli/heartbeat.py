"""The heartbeat of a process: in the database it says that the process is alive, and what it has seen of Entra."""

import atexit
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from scim_bridge import logs
from scim_bridge.errors import SchemaOutdated
from scim_bridge.storage.database import Database, Session, loggable
from scim_bridge.storage.entra_calls import LastRequests, Tally
from scim_bridge.storage.runs import BEAT_SECONDS, ProcessKind, beat, leave, process_id
from scim_bridge.storage.schema import require_current, revisions
from scim_bridge.storage.trouble import trouble_of

log = logs.get_logger(__name__)


class Heartbeat:
    """Tells the other processes, by the database, that this one runs, and when Entra last called it.

    :param requests, tally: What a web process has seen of Entra; None for a process that Entra does not call.
    """

    def __init__(
        self,
        database: Database,
        kind: ProcessKind,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        requests: LastRequests | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._database = database
        self._kind = kind
        self._requests = requests or LastRequests(monotonic)
        self._tally = tally or Tally(monotonic, BEAT_SECONDS)
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
        times, counts = self._requests.to_store(at_end=at_end), self._tally.to_store()

        def whole(s: Session) -> None:
            work(s)
            self._requests.store(s, times)
            self._tally.store(s, counts)

        self._database.transact("", whole)
        self._requests.mark_stored(times)
        self._tally.mark_stored(counts)

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
