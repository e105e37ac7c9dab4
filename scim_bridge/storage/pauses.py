"""Pausing a tenant: nobody is delivered, and whoever is to be is held until it ends (rule D4)."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, case, func, select, update

from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.breaker_table import breakers
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.database import Database, repeated
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.tables import people

PAUSED = "deliveries are paused; delivered once they are resumed"
"""What is said of everybody who is to be delivered meanwhile."""


BATCH = 2000
"""People who are made due in one transaction: other writers get their turn in between."""


class Pauses:
    """The pause of one tenant, within one transaction. `now` is the database's clock.

    It stands in the breaker's row, which is read before every delivery anyway: so it counts at once, everywhere.
    """

    def __init__(self, connection: Connection, tenant: str, now: datetime) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now

    def pause(self) -> int:
        """Pause, and hold whoever is due. How many. Whoever is in hand stops before his next write."""
        if Breakers(self._connection, self._tenant, self._now).locked().paused_at is None:
            self._set(self._now)
        return self.hold_due()

    def resume(self) -> int:
        """End the pause, and make the first people due who were held for it. How many; see `take_up_all`."""
        Breakers(self._connection, self._tenant, self._now).locked()
        self._set(None)
        return self.take_up()

    def finds_anybody_due(self) -> bool:
        """Whether anybody is due, back-off included."""
        query = select(people.c.id).where(people.c.tenant == self._tenant, people.c.state == State.due).limit(1)
        return self._connection.execute(query).first() is not None

    def hold_due(self) -> int:
        """Hold whoever is due. How many."""
        return self._hold(people.c.state == State.due)

    def hold(self, person_id: PersonId) -> None:
        """Hold a person of whom Entra has said something."""
        self._hold(people.c.id == person_id)

    def take_up(self) -> int:
        """Make people due who were held for a pause, at most `BATCH`. How many."""
        query = select(people.c.id).where(self._is_held()).order_by(people.c.state_since, people.c.id).limit(BATCH)
        held = self._connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
        outbox = Outbox(self._connection, self._tenant, self._now)
        return outbox.mark_all_due(people.c.id.in_(held)) if held else 0

    def _hold(self, which: ColumnElement[bool]) -> int:
        held = self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, which)
            .values(
                state=State.held,
                reason=Reason.paused,
                detail=PAUSED,
                state_since=case((people.c.reason == Reason.paused, people.c.state_since), else_=self._now),
                # Only who was delivered when it began may be settled unread by a later write (rule A5).
                due_since=case(
                    (people.c.state == State.delivered, None),
                    (people.c.reason == Reason.paused, people.c.due_since),
                    else_=func.coalesce(people.c.due_since, self._now),
                ),
                due_at=None,
                attempts=0,
                # Whoever delivers him at this moment sees it, and stops.
                revision=people.c.revision + 1,
            )
        )
        return held.rowcount

    def _is_held(self) -> ColumnElement[bool]:
        of_us = people.c.tenant == self._tenant
        return of_us & (people.c.state == State.held) & (people.c.reason == Reason.paused)

    def _set(self, paused_at: datetime | None) -> None:
        self._connection.execute(update(breakers).where(breakers.c.tenant == self._tenant).values(paused_at=paused_at))


def take_up_all(database: Database, tenant: str) -> int:
    """Make everybody due who was held for a pause that has ended. How many. A worker does the same, more slowly."""

    def some() -> int:
        with database.write() as connection:
            now = database.now(connection)
            is_paused = Breakers(connection, tenant, now).get().is_paused
            return 0 if is_paused else Pauses(connection, tenant, now).take_up()

    count = 0
    while batch := repeated(some):
        count += batch
    return count
