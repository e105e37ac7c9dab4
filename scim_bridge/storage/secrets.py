"""Secrets that all processes of all machines share: made once for each tenant, and kept in the database."""

from collections.abc import Callable
from secrets import token_urlsafe

from sqlalchemy import Connection, select

from scim_bridge.storage.access_tables import secrets
from scim_bridge.storage.database import Database
from scim_bridge.storage.sql import insert_if_absent

CURSORS = "cursors"
"""Seals the cursors of searches: a tenant's cursor is worthless at another, and nobody can make one up."""


class Secrets:
    """The secrets, each read once and then remembered: none ever changes.

    :param new_secret: Makes one; at least 256 random bits.
    """

    def __init__(self, database: Database, new_secret: Callable[[], str] = lambda: token_urlsafe(32)) -> None:
        self._database = database
        self._new_secret = new_secret
        self._known: dict[tuple[str, str], str] = {}

    def of(self, tenant: str, name: str) -> str:
        """A secret of a tenant, made at the first call. Opens transactions of its own."""
        known = self._known.get((tenant, name))
        if known is None:
            known = self._known[tenant, name] = self._stored(tenant, name) or self._made(tenant, name)
        return known

    def _stored(self, tenant: str, name: str) -> str | None:
        with self._database.read() as connection:
            return _read(connection, tenant, name)

    def _made(self, tenant: str, name: str) -> str:
        row = {"tenant": tenant, "name": name, "value": self._new_secret()}
        with self._database.write() as connection:
            insert_if_absent(connection, secrets, {**row, "created_at": self._database.now(connection)})
            # Not what was made here: another process may have been first, and whoever was first is right.
            value = _read(connection, tenant, name)
        assert value is not None
        return value


def _read(connection: Connection, tenant: str, name: str) -> str | None:
    query = select(secrets.c.value).where(secrets.c.tenant == tenant, secrets.c.name == name)
    return connection.execute(query).scalar_one_or_none()
