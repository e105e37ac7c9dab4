"""The figures of one company for monitoring: `/metrics`, `/readyz` and notices; only reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Table, func, or_, select

from scim_bridge.domain.entra import JobReading
from scim_bridge.domain.outcome import State
from scim_bridge.storage.admin_tables import client_secrets, tokens
from scim_bridge.storage.database import Session
from scim_bridge.storage.engine import Transaction
from scim_bridge.storage.entra_calls import last_request
from scim_bridge.storage.expiries import Expiries
from scim_bridge.storage.outbox import Status
from scim_bridge.storage.runs import Run
from scim_bridge.storage.tables import (
    history,
    people,
)

RECENT_SECONDS = 300
"""The time for which calls to Ditio are reported."""

MOST_CALLS = 5000
"""How many calls are reported at most, the newest ones."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How Ditio recently answered one kind of call."""

    count: int
    failed: int
    seconds: Sequence[float]
    """How long each call took, the shortest first."""

    def quantile(self, fraction: float) -> float:
        """Return the time within which this fraction of the calls was answered, in seconds."""
        return self.seconds[min(len(self.seconds) - 1, int(fraction * len(self.seconds)))]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one tenant at one moment."""

    status: Status
    held: Mapping[str, int] = field(default_factory=dict)
    """The number of people by reason, without reasons that no person has."""

    parked: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    """The number of people whose last write was answered 400 or 409."""

    silent_seconds: float | None = None
    """How many seconds ago the last request from Entra was accepted; None if none is known."""

    calls: Mapping[str, Calls] = field(default_factory=dict)
    """By Ditio's operation. Reads are not stored, so they are missing here."""

    is_open: bool = False
    """Whether the breaker is open: Ditio is only called for one person now and then."""

    is_paused: bool = False
    """Whether `outbox pause` stops deliveries. The setting that does so belongs to each process and is not included."""

    certificates: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Certificates of people at work that have expired or expire soon, by type and window, for a limited number of
    types."""

    token_seconds: float | None = None
    """Seconds until the last valid token expires; None if one never expires, or there is none."""

    client_seconds: float | None = None
    """The same for the secrets of clients."""

    reconciled: Run | None = None
    """The last run of `reconcile` about all people without an error; None before there was one."""

    reconciled_seconds: float | None = None
    """How many seconds ago that run began."""

    reconcile_exit: int | None = None
    """The exit code of the last run, with or without an error."""

    unsent_notices: int = 0
    """The number of notices that a receiver did not accept yet."""
    entra: JobReading | None = None
    """What the last read of Entra's provisioning job found; None before there was one."""


def figures_of(s: Session) -> Figures:
    """Return the figures of one tenant; only reads."""
    by_reason: dict[State, dict[str, int]] = {State.held: {}, State.parked: {}}
    query = (
        select(people.c.state, people.c.reason, func.count())
        .where(people.c.tenant == s.tenant, people.c.state.in_(list(by_reason)))
        .group_by(people.c.state, people.c.reason)
    )
    for state, reason, count in s.connection.execute(query):
        by_reason[State(state)][str(reason)] = count
    breaker, runs = s.breaker.get(), s.runs
    compared, last = runs.last(compared=True), runs.last()
    requested_at = last_request(s)
    return Figures(
        status=s.outbox.status(),
        held=by_reason[State.held],
        parked=by_reason[State.parked],
        refused=s.refused_writes.count(),
        silent_seconds=(s.now - requested_at).total_seconds() if requested_at is not None else None,
        calls=_calls(s),
        is_open=breaker.is_open,
        is_paused=breaker.is_paused,
        # The day in UTC: figures on a dashboard may be hours late.
        certificates=Expiries(s).counted(s.now.date()),
        token_seconds=_seconds_left(s, tokens),
        client_seconds=_seconds_left(s, client_secrets),
        reconciled=compared,
        reconciled_seconds=(s.now - compared.started_at).total_seconds() if compared is not None else None,
        reconcile_exit=last.exit if last is not None else None,
        unsent_notices=sum(each.count for each in s.notices.unsent()),
        entra=s.entra_jobs.last(),
    )


def _calls(s: Transaction) -> dict[str, Calls]:
    since = s.now - timedelta(seconds=RECENT_SECONDS)
    rows = s.connection.execute(
        select(history.c.what, history.c.outcome, history.c.duration_ms)
        .where(history.c.tenant == s.tenant, history.c.at >= since, history.c.duration_ms.is_not(None))
        .order_by(history.c.at.desc())
        .limit(MOST_CALLS)
    ).all()
    failed = Counter(row.what for row in rows if row.outcome != "done")
    seconds: dict[str, list[float]] = {}
    for row in rows:
        seconds.setdefault(row.what, []).append(row.duration_ms / 1000)
    return {what: Calls(len(took), failed[what], sorted(took)) for what, took in seconds.items()}


def _seconds_left(s: Transaction, kept: Table) -> float | None:
    """Return seconds until the last valid secret of a table expires; None if one never does, or there is none."""
    valid = s.connection.execute(
        select(kept.c.expires_at).where(
            kept.c.tenant == s.tenant,
            kept.c.revoked_at.is_(None),
            or_(kept.c.expires_at.is_(None), kept.c.expires_at > s.now),
        )
    ).scalars()
    ends = list(valid)
    return None if not ends or None in ends else (max(ends) - s.now).total_seconds()
