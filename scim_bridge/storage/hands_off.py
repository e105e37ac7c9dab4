"""People whom an operator put aside: nothing is sent for them until that ends (rule D6)."""

from datetime import date

from sqlalchemy import Connection, select, update

from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.storage.tables import people


class PutAside:
    """Who is put aside in one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def set(self, person_id: PersonId, hands_off: HandsOff | None) -> None:
        """Put a person aside, or take him up again; the caller marks him due."""
        self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, people.c.id == person_id)
            .values(hands_off=hands_off is not None, hands_off_until=hands_off.until if hands_off else None)
        )

    def end(self, today: date, limit: int = 500) -> list[PersonId]:
        """Take up those whose last day is over, at most `limit` at once. The caller marks them due."""
        rows = self._connection.execute(
            select(people.c.id)
            .where(people.c.tenant == self._tenant, people.c.hands_off_until < today)
            .order_by(people.c.hands_off_until, people.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ended = [PersonId(row.id) for row in rows]
        for person_id in ended:
            self.set(person_id, None)
        return ended
