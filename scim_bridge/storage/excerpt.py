"""What the database knows of the people whom one user concerns, to be tried out on elsewhere. Only reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select

from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import Claim, ClaimKind
from scim_bridge.domain.values import UserId
from scim_bridge.storage.certificate_tables import certificate_entries as entries
from scim_bridge.storage.certificate_tables import certificate_ledger as ledger
from scim_bridge.storage.keys import user_name_key
from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.tables import adoption_permissions as permissions
from scim_bridge.storage.tables import claim_waiters, claims, history, people, resources

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Rows by their table's name."""

    rows: Mapping[str, Rows]
    user_id: UserId | None
    """The user whom it is about; None where nobody is stored under that id or name."""

    def put_into(self, connection: Connection) -> None:
        """Copy it into a database that knows nobody."""
        for name, rows in self.rows.items():
            if rows:
                connection.execute(insert(metadata.tables[name]), list(rows))


def excerpt_of(
    connection: Connection, tenant: str, *, user_id: str | None, user_name: str, wanted: Sequence[Claim]
) -> Excerpt:
    """The user with this id or name, and whoever has, or waits for, what is wanted for him."""
    user = _user(connection, tenant, user_id, user_name)
    concerned = _concerned(connection, tenant, user, wanted)
    found = _rows(connection, tenant, "people", people.c.id.in_(concerned))
    users = {row["user_id"] for row in found if row["user_id"]} | ({user} if user else set())
    rows = {
        "people": [_at_rest(row, user) for row in found],
        "resources": _rows(connection, tenant, "resources", resources.c.id.in_(users)),
        permissions.name: _rows(
            connection, tenant, permissions.name, permissions.c.user_name_key == user_name_key(user_name)
        ),
    }
    numbers = [claim.value for claim in wanted if claim.kind is ClaimKind.employee_number]
    for name in (ledger.name, entries.name):
        holder = metadata.tables[name].c.holder
        rows[name] = _rows(connection, tenant, name, or_(holder.in_(concerned), holder.in_(numbers)))
    for table in metadata.tables.values():
        if "person_id" in table.c and table is not history:
            rows[table.name] = _rows(connection, tenant, table.name, table.c.person_id.in_(concerned))
    return Excerpt(rows, user)


def _at_rest(row: Mapping[str, Any], user: UserId | None) -> Mapping[str, Any]:
    """A person whom nobody delivers just now; of those who are due only the one whom it is about stays so."""
    still = {**row, "lease": None, "leased_until": None}
    if row["user_id"] == user:
        return {**still, "due_at": row["due_since"]}
    is_due = row["state"] == State.due
    return {**still, "due_at": None, "wakes_on": None, **({"state": State.delivered} if is_due else {})}


def _user(connection: Connection, tenant: str, user_id: str | None, user_name: str) -> UserId | None:
    is_user = and_(resources.c.tenant == tenant, resources.c.resource_type == "User")
    for condition in (resources.c.id == user_id, resources.c.user_name_key == user_name_key(user_name)):
        found = connection.execute(select(resources.c.id).where(is_user, condition)).scalar_one_or_none()
        if found is not None:
            return UserId(found)
    return None


def _concerned(connection: Connection, tenant: str, user: UserId | None, wanted: Sequence[Claim]) -> set[str]:
    numbers = [claim.value for claim in wanted]
    own = or_(people.c.user_id == user, people.c.employee_number.in_(numbers))
    concerned = set(connection.execute(select(people.c.id).where(people.c.tenant == tenant, own)).scalars())
    for table in (claims, claim_waiters):
        has = or_(*(and_(table.c.kind == claim.kind, table.c.value == claim.value) for claim in wanted))
        if wanted:
            query = select(table.c.person_id).where(table.c.tenant == tenant, has)
            concerned |= set(connection.execute(query).scalars())
    return concerned


def _rows(connection: Connection, tenant: str, name: str, condition: ColumnElement[bool]) -> Rows:
    table = metadata.tables[name]
    found = connection.execute(select(table).where(table.c.tenant == tenant, condition)).mappings()
    return [dict(row) for row in found]
