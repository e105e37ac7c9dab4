"""Sends the notices of one company: one process at a time, each notice once to each channel, later if it must be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from scim_bridge.logs import get_logger
from scim_bridge.notify.channels import SEND_SECONDS, Channel, Message, NotSent, document_of
from scim_bridge.notify.watch import Watched, look
from scim_bridge.storage.database import Session
from scim_bridge.storage.notices import TASK, Queued
from scim_bridge.tenant import Tenant

log = get_logger(__name__)

LOOK_SECONDS = 15.0
"""How often each process looks whether it is its turn."""

EVERY_SECONDS = 12.0
"""How long after the beginning of a turn the next one may begin, in any process."""

ALIVE_SECONDS = 2 * SEND_SECONDS + 10.0
"""A turn is renewed after each notice; without that, it ends after this time. Longer than one notice may take."""

MOST_SENT = 5
"""How many notices one channel gets in one turn; the other companies of this process wait meanwhile."""

FIRST_GAP_SECONDS = 30.0
LONGEST_GAP_SECONDS = 900.0

KEPT = timedelta(days=7)
"""A notice that could not be sent for so long is dropped: no one needs it any more."""


def gap_seconds(attempts: int) -> float:
    """Return how long to wait after a failure. :param attempts: How many attempts failed before."""
    return float(min(LONGEST_GAP_SECONDS, FIRST_GAP_SECONDS * 2 ** min(attempts, 10)))


@dataclass(frozen=True, slots=True)
class Notifier:
    """The notices of one company.

    :param bridge: The URL at which Entra reaches this bridge, if it is set.
    :param is_alone: Whether the bridge serves only this company, the one without a name.
    """

    tenant: Tenant
    watched: Watched
    channels: Sequence[Channel]
    bridge: str | None = None
    is_alone: bool = True

    def look(self) -> None:
        """If it is this process's turn: store what is to be reported, and send what is still to be sent."""
        turn = self.tenant.new_id()
        if not self.channels or not self.tenant.transact(lambda s: self._takes(s, turn)):
            return
        try:
            self._store(turn)
            for channel in self.channels:
                if not self._send_all(channel, turn):
                    return
        finally:
            self.tenant.transact(lambda s: s.schedules.done(TASK, turn))

    def tidy(self) -> None:
        """Remove what waits for channels that are not set any more."""
        names = [each.name for each in self.channels]
        with self.tenant.read() as s:
            if not s.notices.has_of_other_channels(names):
                return
        count = self.tenant.transact(lambda s: s.notices.drop_other_channels(names))
        log.info("notify.dropped", tenant=self.tenant.name, notices=count, why="their channel is not set")

    def _takes(self, s: Session, turn: str) -> bool:
        return s.schedules.take(TASK, turn, every_seconds=EVERY_SECONDS, alive_seconds=ALIVE_SECONDS)

    def _store(self, turn: str) -> None:
        """Store the notices, and in the same transaction that they are reported: none is lost, and none comes twice."""
        with self.tenant.read() as s:
            if look(s, self.watched).is_empty:
                return

        def store(s: Session) -> None:
            if not s.schedules.stay_alive(TASK, turn, ALIVE_SECONDS):
                return  # This process was too slow, and another has the turn.
            changes = look(s, self.watched)
            changes.store(s)
            for notice in changes.notices:
                id = self.tenant.new_id()
                document = document_of(notice, id, s.now, self.tenant.name, bridge=self.bridge, is_alone=self.is_alone)
                for channel in self.channels:
                    s.notices.queue(Queued(channel.name, id, s.now, document))
                s.after_commit(_telling(self.tenant.name, notice.kind.value, id))

        self.tenant.transact(store)

    def _send_all(self, channel: Channel, turn: str) -> bool:
        """Send what waits for a channel. Return whether this process still has the turn."""
        for _ in range(MOST_SENT):
            with self.tenant.read() as s:
                queued, now = s.notices.next_due(channel.name), s.now
            if queued is None:
                return True
            if queued.at < now - KEPT:
                self._drop(queued)
                continue
            try:
                answer = channel.send(Message(queued.id, queued.at, queued.message))
            except NotSent as error:
                self._postpone(queued, str(error))
                return True
            log.info("notify.sent", **self._about(queued), kind=queued.message["kind"], answer=answer)
            if not self.tenant.transact(partial(self._sent, queued=queued, turn=turn)):
                return False
        return True

    def _sent(self, s: Session, *, queued: Queued, turn: str) -> bool:
        s.notices.sent(queued)
        return s.schedules.stay_alive(TASK, turn, ALIVE_SECONDS)

    def _postpone(self, queued: Queued, why: str) -> None:
        seconds = gap_seconds(queued.attempts)
        self.tenant.transact(lambda s: s.notices.postpone(queued, seconds=seconds, why=why))
        about = self._about(queued)
        log.warning("notify.failed", **about, why=why, attempts=queued.attempts + 1, retry_in_seconds=seconds)

    def _drop(self, queued: Queued) -> None:
        self.tenant.transact(lambda s: s.notices.drop(queued))
        about = self._about(queued)
        log.warning("notify.dropped", **about, why="it could not be sent for too long", attempts=queued.attempts)

    def _about(self, queued: Queued) -> dict[str, str]:
        return {"tenant": self.tenant.name, "channel": queued.channel, "notice": queued.id}


def _telling(tenant: str, kind: str, id: str) -> Callable[[], None]:
    return lambda: log.info("notify.noted", tenant=tenant, kind=kind, notice=id)
