"""What Entra's calls leave behind: how often they depart from the RFCs (rule A7), and when the last one came (rule D7).

A request only notes it in memory. The process's heartbeat stores it, so that no request waits for that.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, or_, select, update

from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.prepared import Prepared, insert_if_absent
from scim_bridge.storage.tables import quirks

Quirk = tuple[str, str]
"""The kind, and the name of the attribute."""

MOST_NAMES = 1000
"""How many names of a tenant are counted separately, so that a client that invents names can't fill the database."""

OTHERS = "(others)"
"""The name under which all other names of a kind are counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The count of one quirk: its kind, and the name of the attribute."""

    kind: str
    name: str
    count: int
    """How many committed writes had it."""

    first_seen: datetime
    last_seen: datetime


_COUNT_AGAIN = Prepared(
    update(quirks)
    .where(
        quirks.c.tenant == bindparam("of_tenant"),
        quirks.c.kind == bindparam("of_kind"),
        quirks.c.name == bindparam("of_name"),
    )
    .values(
        count=quirks.c.count + bindparam("more", type_=quirks.c["count"].type),
        last_seen=bindparam("now", type_=quirks.c.last_seen.type),
    )
)


class Quirks(Repository):
    """The counts of one tenant's quirks, within one transaction."""

    def count(self, found: Iterable[Quirk] | Mapping[Quirk, int]) -> None:
        """Count each kind and name: as often as a mapping says, or once. Call it last in a transaction.

        Many writes may update the same rows. So they are locked only at the end, and in one order: otherwise two
        transactions could wait for each other.
        """
        times = found if isinstance(found, Mapping) else dict.fromkeys(found, 1)
        for (kind, name), more in sorted(times.items()):
            if not self._again(kind, name, more) and not self._again(kind, name := self._within_bounds(name), more):
                row = {"tenant": self._tenant, "kind": kind, "name": name, "first_seen": self._now}
                if not insert_if_absent(self._connection, quirks, row | {"last_seen": self._now, "count": more}):
                    self._again(kind, name, more)

    def _again(self, kind: str, name: str, more: int) -> bool:
        """Count a name that is known. Return whether it is."""
        row = {"of_tenant": self._tenant, "of_kind": kind, "of_name": name, "now": self._now, "more": more}
        return _COUNT_AGAIN.execute(self._connection, row).rowcount == 1

    def _within_bounds(self, new: str) -> str:
        """Return a new name, or `OTHERS` beyond the limit, which parallel writes may exceed a little."""
        query = select(func.count()).select_from(quirks).where(quirks.c.tenant == self._tenant)
        return new if self._connection.execute(query).scalar_one() < MOST_NAMES else OTHERS

    def list(self) -> list[Counted]:
        """Return all counts, the most frequent first."""
        query = (
            select(quirks)
            .where(quirks.c.tenant == self._tenant)
            .order_by(quirks.c.count.desc(), quirks.c.kind, quirks.c.name)
        )
        return [_counted(row) for row in self._connection.execute(query)]


def _counted(row: Row[Any]) -> Counted:
    found = row._mapping  # `row.count` would be the method of a tuple.
    return Counted(found["kind"], found["name"], found["count"], found["first_seen"], found["last_seen"])


class Tally:
    """The quirks that this process has counted and not stored yet; safe to share between threads.

    Nearly every write of Entra's has the same quirks. If each write stored its own, all would wait for the same rows,
    until the commit before them is on disk. So a write stores a quirk only if this process has not stored it lately.
    The process's heartbeat stores the rest; a process that is killed loses it, which is less than a minute of counts.

    :param seconds: How long a name counts as stored lately.
    """

    def __init__(self, monotonic: Callable[[], float], seconds: float) -> None:
        self._monotonic = monotonic
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: Counter[tuple[str, Quirk]] = Counter()
        self._stored_at: dict[tuple[str, Quirk], float] = {}

    def due(self, tenant: str, found: Iterable[Quirk]) -> list[Quirk]:
        """Return those quirks of a write that it stores itself."""
        latest = self._monotonic() - self._seconds
        with self._lock:
            return [each for each in found if self._stored_at.get((tenant, each), float("-inf")) <= latest]

    def committed(self, tenant: str, found: Iterable[Quirk], stored: Iterable[Quirk]) -> None:
        """Note the quirks of a write that is committed. :param stored: Those that it stored itself."""
        stored, now = set(stored), self._monotonic()
        with self._lock:
            if len(self._stored_at) > MOST_NAMES:
                # A client invents names. Each is stored by its own write then, which bounds them.
                self._stored_at.clear()
            self._stored_at |= {(tenant, each): now for each in stored}
            self._kept.update((tenant, each) for each in found if each not in stored)

    def to_store(self) -> Mapping[tuple[str, Quirk], int]:
        """Return all that is kept, by company and quirk."""
        with self._lock:
            return dict(self._kept)

    def store(self, s: Transaction, kept: Mapping[tuple[str, Quirk], int]) -> None:
        """Store what was kept, in a transaction of no company, as its last work."""
        for tenant in sorted({tenant for tenant, _ in kept}):
            Quirks(s.of(tenant)).count({quirk: count for (of, quirk), count in kept.items() if of == tenant})

    def mark_stored(self, kept: Mapping[tuple[str, Quirk], int]) -> None:
        """Forget what is stored: call it after the commit."""
        with self._lock:
            self._kept -= Counter(kept)


STORED_EVERY_SECONDS = 300.0
"""How often one process stores it for one company at most; the stored time is late by no more than this and a beat."""

_ENTRA = "entra"
"""Its row in `schedules`, one for each company. `started_at` is the time of the request."""


class LastRequests:
    """The last accepted request of each company in this process's memory; safe to share between threads.

    A request only notes the time here. The process's heartbeat stores it: so no request waits for that, and a read
    stays a read.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._noted: dict[str, float] = {}
        self._stored: dict[str, tuple[float, float]] = {}

    def note(self, tenant: str) -> None:
        """Note that a request of a company is accepted now."""
        self._noted[tenant] = self._monotonic()

    def to_store(self, *, at_end: bool = False) -> Mapping[str, float]:
        """Return the times to store, by company, on the monotonic clock.

        :param at_end: Whether this process ends, so that the latest times are stored however recent the last store is.
        """
        now = self._monotonic()
        found: dict[str, float] = {}
        for tenant, noted in list(self._noted.items()):
            known, stored_at = self._stored.get(tenant, (None, float("-inf")))
            if noted != known and (at_end or now - stored_at >= STORED_EVERY_SECONDS):
                found[tenant] = noted
        return found

    def store(self, s: Transaction, times: Mapping[str, float]) -> None:
        """Store these times, in a transaction of no company. An earlier one never replaces a later one."""
        for tenant, noted in sorted(times.items()):  # In one order: two processes then never wait for each other.
            moment = s.now - timedelta(seconds=max(0.0, self._monotonic() - noted))
            insert_if_absent(s.connection, schedules, {"tenant": tenant, "task": _ENTRA, "started_at": moment})
            # A clock that was ahead stored a time too late.
            is_older = or_(schedules.c.started_at < moment, schedules.c.started_at > s.now)
            is_its = and_(schedules.c.tenant == tenant, schedules.c.task == _ENTRA)
            s.connection.execute(update(schedules).where(is_its, is_older).values(started_at=moment))

    def mark_stored(self, times: Mapping[str, float]) -> None:
        """Remember that these times are stored: call it after the commit."""
        now = self._monotonic()
        self._stored |= {tenant: (noted, now) for tenant, noted in times.items()}


def last_request(s: Transaction) -> datetime | None:
    """Return when the last request of a company was accepted; None if none is known."""
    query = select(schedules.c.started_at).where(schedules.c.tenant == s.tenant, schedules.c.task == _ENTRA)
    return s.connection.execute(query).scalar_one_or_none()
