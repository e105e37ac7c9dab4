"""What Ditio acknowledged, field by field (rule D5)."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select

from scim_bridge.domain.employee import Field, Value
from scim_bridge.domain.person import Acknowledged, PersonId, Standing
from scim_bridge.storage.sql import upsert
from scim_bridge.storage.tables import acknowledged
from scim_bridge.storage.values import from_stored, to_stored

UNCERTAIN = "uncertain"


class Acknowledgements:
    """The acknowledged values of one tenant's people, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def of(self, person_id: PersonId) -> Acknowledged:
        """What is acknowledged for a person."""
        query = select(acknowledged.c.field, acknowledged.c.value, acknowledged.c.source).where(
            acknowledged.c.tenant == self._tenant, acknowledged.c.person_id == person_id
        )
        rows = self._connection.execute(query).all()
        stored = {row.field: from_stored(row.value) for row in rows}
        standing = {name: stored.pop(name.value, None) for name in Standing}
        return Acknowledged(
            values={Field(name): value for name, value in stored.items()},
            sources={Field(row.field): row.source for row in rows if row.source},
            login=_is_open(standing[Standing.login]),
            employed=_is_open(standing[Standing.employment]),
            uncertain=frozenset(name for name, value in standing.items() if value == UNCERTAIN),
        )

    def add(
        self,
        person_id: PersonId,
        values: Mapping[Field, Value | None],
        *,
        sources: Mapping[Field, str] | None = None,
        login: bool | None = None,
        employed: bool | None = None,
        revision: int,
        now: datetime,
    ) -> None:
        """Note what Ditio took with a 2xx, or was read to equal the wish."""
        served = {name.value: source for name, source in (sources or {}).items()}
        rows: dict[str, Value | None] = {name.value: value for name, value in values.items()}
        if login is not None:
            rows[Standing.login.value] = "open" if login else "closed"
        if employed is not None:
            rows[Standing.employment.value] = "open" if employed else "ended"
        for name, value in rows.items():
            self._store(person_id, name, value, served.get(name), revision=revision, now=now)

    def doubt(self, person_id: PersonId, standing: Standing, *, revision: int, now: datetime) -> None:
        """Note that login or employment is about to be changed: until that is acknowledged, neither is believed."""
        self._store(person_id, standing.value, UNCERTAIN, None, revision=revision, now=now)

    def forget(self, person_id: PersonId, *fields: Field) -> None:
        """Forget some acknowledged fields of a person, or all of them."""
        condition = [acknowledged.c.tenant == self._tenant, acknowledged.c.person_id == person_id]
        if fields:
            condition.append(acknowledged.c.field.in_([name.value for name in fields]))
        self._connection.execute(delete(acknowledged).where(*condition))

    def _store(
        self, person_id: PersonId, name: str, value: Value | None, source: str | None, *, revision: int, now: datetime
    ) -> None:
        upsert(
            self._connection,
            acknowledged,
            {"tenant": self._tenant, "person_id": person_id, "field": name},
            {"value": to_stored(value), "acknowledged_at": now, "revision": revision, "source": source},
        )


def _is_open(stored: Value | None) -> bool | None:
    return None if stored in (None, UNCERTAIN) else stored == "open"
