"""What there is to watch of one tenant: how many wait and why, how old the oldest is, how Ditio answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, func, or_, select

from scim_bridge.domain.outcome import State
from scim_bridge.storage.access_tables import client_secrets, tokens
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.certificate_expiry import Expiries
from scim_bridge.storage.outbox import Outbox, Status
from scim_bridge.storage.runs import Run, Runs
from scim_bridge.storage.tables import history, people

RECENT_SECONDS = 300
"""Over which time calls to Ditio are looked at."""

MOST_CALLS = 5000
"""How many calls are looked at, at most; the newest ones."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How Ditio answered one kind of call lately."""

    count: int
    failed: int
    seconds: Sequence[float]
    """How long each took, the shortest first."""

    def quantile(self, fraction: float) -> float:
        """The time within which this fraction of the calls was answered, in seconds."""
        return self.seconds[min(len(self.seconds) - 1, int(fraction * len(self.seconds)))]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one tenant at one moment."""

    status: Status
    held: Mapping[str, int] = field(default_factory=dict)
    """People by reason; a reason that nobody has is missing."""

    parked: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, Calls] = field(default_factory=dict)
    """By the operation asked of Ditio; reads are not kept, and so not here."""

    is_open: bool = False
    """Whether the breaker is: Ditio is called for nobody but one person now and then."""

    is_paused: bool = False
    """Whether `outbox pause` has nobody delivered; a setting that does is each process's own."""

    certificates: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Certificates of people at work that have ended or end soon, by type and window; few types are told apart."""

    token_seconds: float | None = None
    """Until the last of the tokens that count ends; None where one never does, or there is none."""

    client_seconds: float | None = None
    """Likewise of the secrets of clients."""

    reconciled: Run | None = None
    """The last run of `reconcile` about everybody that was no error; None before there was one."""

    reconciled_seconds: float | None = None
    """How long ago it began."""

    reconcile_exit: int | None = None
    """How the last one ended, errors included."""


def figures_of(connection: Connection, tenant: str, now: datetime) -> Figures:
    """Look at the tables; read only."""
    by_reason: dict[State, dict[str, int]] = {State.held: {}, State.parked: {}}
    query = (
        select(people.c.state, people.c.reason, func.count())
        .where(people.c.tenant == tenant, people.c.state.in_(list(by_reason)))
        .group_by(people.c.state, people.c.reason)
    )
    for state, reason, count in connection.execute(query):
        by_reason[State(state)][str(reason)] = count
    breaker, runs = Breakers(connection, tenant, now).get(), Runs(connection, tenant)
    compared, last = runs.last(compared=True), runs.last()
    return Figures(
        status=Outbox(connection, tenant, now).status(),
        held=by_reason[State.held],
        parked=by_reason[State.parked],
        calls=_calls(connection, tenant, now),
        is_open=breaker.is_open,
        is_paused=breaker.is_paused,
        # The day of UTC: what a dashboard shows may be hours late.
        certificates=Expiries(connection, tenant).counted(now.date()),
        token_seconds=_seconds_left(connection, tokens, tenant, now),
        client_seconds=_seconds_left(connection, client_secrets, tenant, now),
        reconciled=compared,
        reconciled_seconds=(now - compared.started_at).total_seconds() if compared is not None else None,
        reconcile_exit=last.exit if last is not None else None,
    )


def _calls(connection: Connection, tenant: str, now: datetime) -> dict[str, Calls]:
    since = now - timedelta(seconds=RECENT_SECONDS)
    rows = connection.execute(
        select(history.c.what, history.c.outcome, history.c.duration_ms)
        .where(history.c.tenant == tenant, history.c.at >= since, history.c.duration_ms.is_not(None))
        .order_by(history.c.at.desc())
        .limit(MOST_CALLS)
    ).all()
    failed = Counter(row.what for row in rows if row.outcome != "done")
    seconds: dict[str, list[float]] = {}
    for row in rows:
        seconds.setdefault(row.what, []).append(row.duration_ms / 1000)
    return {what: Calls(len(took), failed[what], sorted(took)) for what, took in seconds.items()}


def _seconds_left(connection: Connection, kept: Table, tenant: str, now: datetime) -> float | None:
    """Until the last of the secrets in a table that count ends; None where one never does, or there is none."""
    counting = connection.execute(
        select(kept.c.expires_at).where(
            kept.c.tenant == tenant,
            kept.c.revoked_at.is_(None),
            or_(kept.c.expires_at.is_(None), kept.c.expires_at > now),
        )
    ).scalars()
    ends = list(counting)
    return None if not ends or None in ends else (max(ends) - now).total_seconds()
