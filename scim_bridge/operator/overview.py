"""How a company is doing: who waits, whether Entra calls, Ditio answers and processes run, and what ends soon."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scim_bridge.domain.breaker import Breaker
from scim_bridge.operator.waiting import is_paused, status_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.entra_calls import last_request
from scim_bridge.storage.history import Counted
from scim_bridge.storage.outbox import Status
from scim_bridge.storage.runs import Presence, ProcessKind, Run, presences

QUIET_AFTER = timedelta(hours=3)
"""Entra sends something in each cycle, about every 40 minutes; after this long without a call something is wrong."""

LONGEST = timedelta(days=7)
"""How far back charts go."""

ENDS_WITHIN = timedelta(days=30)
"""Secrets that end within this time are shown."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A secret that ends soon, or has ended."""

    kind: str
    """`token` or `client`."""

    id: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """A company at one moment."""

    now: datetime
    delivered: int
    status: Status
    refused: int
    paused: bool
    breaker: Breaker
    drifted: int | None
    """How many differences the last run of `reconcile` found; None before the first run."""

    compared: Run | None
    """The last run of `reconcile` about all people without an error."""

    entra_called_at: datetime | None
    """When a token or a client was used last; exact to five minutes. Entra's own JWTs leave no trace."""

    has_credentials: bool
    worker: Presence
    endings: Sequence[Ending]

    @property
    def is_entra_quiet(self) -> bool:
        """Whether Entra has not called for longer than its cycle explains."""
        return self.entra_called_at is not None and self.now - self.entra_called_at > QUIET_AFTER


def last_call(s: Session) -> datetime | None:
    """Return when Entra was last let in: by any request as a web process has stored it, or by a token or client."""
    used = [each.last_used_at for each in s.tokens.list()] + [each.last_used_at for each in s.clients.list()]
    used.append(last_request(s))
    return max((at for at in used if at is not None), default=None)


def overview(s: Session, *, paused_by_setting: bool) -> Overview:
    """Return how a company is doing; only reads."""
    paused, compared = is_paused(s, by_setting=paused_by_setting), s.runs.last(compared=True)
    tokens = [each for each in s.tokens.list() if each.revoked_at is None]
    clients = [each for each in s.clients.list() if each.revoked_at is None]
    latest = s.now + ENDS_WITHIN
    endings = [
        Ending(kind, each.id, each.name, each.expires_at)
        for kind, some in (("token", tokens), ("client", clients))
        for each in some
        if each.expires_at is not None and each.expires_at <= latest
    ]
    return Overview(
        now=s.now,
        delivered=s.outbox.delivered(),
        status=status_of(s, paused=paused),
        refused=s.refused_writes.count(),
        paused=paused,
        breaker=s.breaker.get(),
        drifted=sum(compared.by_kind.values()) if compared is not None else None,
        compared=compared,
        entra_called_at=last_call(s),
        has_credentials=bool(tokens or clients),
        worker=presences(s)[ProcessKind.worker],
        endings=sorted(endings, key=lambda each: each.at),
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """What happened within one span of time."""

    begins: datetime
    sent: int
    """Calls to Ditio that were accepted."""

    refused: int
    """Calls to Ditio that were not."""

    said: int
    """Writes of Entra that changed something."""


def happened(s: Session) -> list[Counted]:
    """Return what happened in all the time that charts show, which ends with this hour."""
    return s.history.counted(s.now - LONGEST + timedelta(hours=1))


def bars(found_by_hour: Sequence[Counted], now: datetime, span: timedelta, count: int) -> list[Bar]:
    """Return what happened lately, oldest first. :param span: What one bar covers, in whole hours."""
    hours = int(span.total_seconds() // 3600)
    end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    begin = end - count * span
    found = [Bar(begin + number * span, 0, 0, 0) for number in range(count)]
    for each in found_by_hour:
        number = int((each.begins - begin).total_seconds()) // 3600 // hours
        if 0 <= number < count:
            bar = found[number]
            found[number] = Bar(bar.begins, bar.sent + each.done, bar.refused + each.refused, bar.said + each.said)
    return found
