"""An excerpt of the database about one user, to try a write out elsewhere; only reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select

from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import Claim, ClaimKind
from scim_bridge.domain.values import UserId, user_name_key
from scim_bridge.storage.engine import Transaction
from scim_bridge.storage.tables import adoption_permissions as permissions
from scim_bridge.storage.tables import certificate_entries as entries
from scim_bridge.storage.tables import certificate_ledger as ledger
from scim_bridge.storage.tables import (
    claim_waiters,
    claims,
    history,
    metadata,
    people,
    resources,
)

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Rows about one user, by the name of their table."""

    rows: Mapping[str, Rows]
    user_id: UserId | None
    """The user; None if no user is stored under that id or name."""

    def put_into(self, connection: Connection) -> None:
        """Copy the rows into an empty database."""
        for name, rows in self.rows.items():
            if rows:
                connection.execute(insert(metadata.tables[name]), list(rows))


def excerpt_of(s: Transaction, *, user_id: str | None, user_name: str, wanted: Sequence[Claim]) -> Excerpt:
    """Return the rows of the user with this id or name, and of people who have claimed, or wait for, their claims.

    :param wanted: The claims of the user.
    """
    user = _user(s, user_id, user_name)
    concerned = _concerned(s, user, wanted)
    found = _rows(s, "people", people.c.id.in_(concerned))
    users = {row["user_id"] for row in found if row["user_id"]} | ({user} if user else set())
    rows = {
        "people": [_at_rest(row, user) for row in found],
        "resources": _rows(s, "resources", resources.c.id.in_(users)),
        permissions.name: _rows(s, permissions.name, permissions.c.user_name_key == user_name_key(user_name)),
    }
    numbers = [claim.value for claim in wanted if claim.kind is ClaimKind.employee_number]
    for name in (ledger.name, entries.name):
        holder = metadata.tables[name].c.holder
        rows[name] = _rows(s, name, or_(holder.in_(concerned), holder.in_(numbers)))
    for table in metadata.tables.values():
        if "person_id" in table.c and table is not history:
            rows[table.name] = _rows(s, table.name, table.c.person_id.in_(concerned))
    return Excerpt(rows, user)


def _at_rest(row: Mapping[str, Any], user: UserId | None) -> Mapping[str, Any]:
    """Return a person's row without a lease. Only the person of the user stays due."""
    still = {**row, "lease": None, "leased_until": None}
    if row["user_id"] == user:
        return {**still, "due_at": row["due_since"]}
    is_due = row["state"] == State.due
    return {**still, "due_at": None, "wakes_on": None, **({"state": State.delivered} if is_due else {})}


def _user(s: Transaction, user_id: str | None, user_name: str) -> UserId | None:
    is_user = and_(resources.c.tenant == s.tenant, resources.c.resource_type == "User")
    for condition in (resources.c.id == user_id, resources.c.user_name_key == user_name_key(user_name)):
        found = s.connection.execute(select(resources.c.id).where(is_user, condition)).scalar_one_or_none()
        if found is not None:
            return UserId(found)
    return None


def _concerned(s: Transaction, user: UserId | None, wanted: Sequence[Claim]) -> set[str]:
    numbers = [claim.value for claim in wanted]
    own = or_(people.c.user_id == user, people.c.employee_number.in_(numbers))
    concerned = set(s.connection.execute(select(people.c.id).where(people.c.tenant == s.tenant, own)).scalars())
    for table in (claims, claim_waiters):
        has = or_(*(and_(table.c.kind == claim.kind, table.c.value == claim.value) for claim in wanted))
        if wanted:
            query = select(table.c.person_id).where(table.c.tenant == s.tenant, has)
            concerned |= set(s.connection.execute(query).scalars())
    return concerned


def _rows(s: Transaction, name: str, condition: ColumnElement[bool]) -> Rows:
    table = metadata.tables[name]
    found = s.connection.execute(select(table).where(table.c.tenant == s.tenant, condition)).mappings()
    return [dict(row) for row in found]
