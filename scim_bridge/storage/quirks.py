"""How often a client departed from the RFCs, by kind and name (rule A7)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects import postgresql, sqlite

from scim_bridge.storage.tables import quirks

MOST_NAMES = 1000
"""How many names of a tenant are told apart; a client that makes names up must not fill the database."""

OTHERS = "(others)"
"""The one name, of each kind, under which the rest is counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One kind of departure, of one attribute."""

    kind: str
    name: str
    count: int
    """In how many writes that were committed."""

    first_seen: datetime
    last_seen: datetime


class Quirks:
    """The counts of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def count(self, found: Iterable[tuple[str, str]], *, now: datetime) -> None:
        """Count kinds and names once each; to be called last in a transaction, which then ends.

        The rows are busy ones: every write of Entra's may touch the same. So they are locked at the end, and in
        one order, or two transactions could wait for each other.
        """
        rows = sorted(self._bounded(set(found)))
        if not rows:
            return
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(quirks)
        statement = statement.on_conflict_do_update(
            index_elements=["tenant", "kind", "name"],
            set_={"count": quirks.c.count + 1, "last_seen": statement.excluded.last_seen},
        )
        # The rows are parameters, not part of the statement, so that it is compiled once.
        self._connection.execute(
            statement,
            [
                {"tenant": self._tenant, "kind": kind, "name": name, "count": 1, "first_seen": now, "last_seen": now}
                for kind, name in rows
            ],
        )

    def list(self) -> list[Counted]:
        """All counts, the most frequent first."""
        query = (
            select(quirks)
            .where(quirks.c.tenant == self._tenant)
            .order_by(quirks.c.count.desc(), quirks.c.kind, quirks.c.name)
        )
        return [_counted(row) for row in self._connection.execute(query)]

    def _bounded(self, found: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """What is to be counted: a new name only while there is room, which several at once may overstep a little."""
        if not found:
            return found
        mine = quirks.c.tenant == self._tenant
        names = {name for _, name in found}
        query = select(quirks.c.kind, quirks.c.name).where(mine, quirks.c.name.in_(names))
        known = {(row.kind, row.name) for row in self._connection.execute(query)}
        new = sorted(found - known)
        if not new:
            return found
        total = self._connection.execute(select(func.count()).select_from(quirks).where(mine)).scalar_one()
        room = max(0, MOST_NAMES - total)
        return (found & known) | set(new[:room]) | {(kind, OTHERS) for kind, _ in new[room:]}


def _counted(row: Row[Any]) -> Counted:
    found = row._mapping  # A row's own `count` is the method of a tuple.
    return Counted(found["kind"], found["name"], found["count"], found["first_seen"], found["last_seen"])
