"""Leases on people who are at rest: what is sent for many at a time must meet no delivery of one of them (rule D1)."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import Acknowledged, PersonId
from scim_bridge.storage.person_rows import Record, record_of
from scim_bridge.storage.tables import people


class RestLeases:
    """Leases on one tenant's people, within one transaction. `now` is the database's clock.

    Whoever comes to be due meanwhile stays so, and is delivered by a worker once the lease is given back.
    """

    def __init__(self, connection: Connection, tenant: str, now: datetime) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now

    def take(self, person_ids: Sequence[PersonId], lease: str, seconds: float, today: date) -> list[Record]:
        """Lease those who are not due, whom nobody delivers, and of whom hands are not off.

        Returned as they are, but without what is acknowledged of their fields.
        """
        taken = self._connection.execute(
            update(people)
            .where(self._are(person_ids), self._at_rest(today))
            .values(lease=lease, leased_until=self._now + timedelta(seconds=seconds))
            .returning(people)
        )
        return [record_of(row, Acknowledged()) for row in taken]

    def at_rest(self, person_ids: Sequence[PersonId], today: date) -> list[Record]:
        """Those whom `take` would lease now."""
        rows = self._connection.execute(select(people).where(self._are(person_ids), self._at_rest(today)))
        return [record_of(row, Acknowledged()) for row in rows]

    def give_back(self, person_ids: Sequence[PersonId], lease: str) -> frozenset[PersonId]:
        """Give the leases back that are still ours. Whose these are."""
        ours = self._connection.execute(
            update(people)
            .where(self._are(person_ids), people.c.lease == lease)
            .values(lease=None, leased_until=None)
            .returning(people.c.id)
        )
        return frozenset(PersonId(row.id) for row in ours)

    def park(self, person_id: PersonId, lease: str, detail: str) -> None:
        """Park somebody for what Ditio refused, unless he waits for something else, or is due by now."""
        self._connection.execute(
            update(people)
            .where(self._are([person_id]), people.c.lease == lease, people.c.state == State.delivered)
            .values(state=State.parked, reason=Reason.refused, detail=detail, state_since=self._now)
        )

    def _at_rest(self, today: date) -> ColumnElement[bool]:
        is_free = or_(people.c.leased_until.is_(None), people.c.leased_until <= self._now)
        hands_are_on = or_(people.c.hands_off.is_(False), people.c.hands_off_until < today)
        return and_(people.c.state != State.due, is_free, hands_are_on)

    def _are(self, person_ids: Sequence[PersonId]) -> ColumnElement[bool]:
        return and_(people.c.tenant == self._tenant, people.c.id.in_(person_ids))
