"""Pausing a tenant: nobody is delivered, and whoever is to be is held until it ends (rule D4)."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, case, func, select, update

from scim_bridge.domain.delivery_state import Reason, State
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.tables import breakers, people

PAUSED = "deliveries are paused; delivered once they are resumed"
"""What is said of everybody who is to be delivered meanwhile."""


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
        """End it, and make everybody due who was held for it. How many."""
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

    def take_up(self, limit: int | None = None) -> int:
        """Make those due who were held for a pause. How many."""
        query = select(people.c.id).where(self._is_held()).order_by(people.c.state_since, people.c.id).limit(limit)
        held = self._connection.execute(query.with_for_update(skip_locked=limit is not None)).scalars().all()
        outbox = Outbox(self._connection, self._tenant, self._now)
        for person_id in held:
            outbox.mark_due(PersonId(person_id))
        return len(held)

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
