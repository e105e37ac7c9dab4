"""Access tokens of the token endpoint: opaque, stored hashed, for an hour, and worth nothing without their client."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert, or_, select

from scim_bridge.storage.access_tables import access_tokens, clients
from scim_bridge.storage.credentials import hashed


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token that counts."""

    client_id: str
    tenant: str
    expires_at: datetime


class AccessTokens:
    """The access tokens of one tenant, within one transaction.

    :param workload: What stands for the workload of the settings in `client_id`; None where there is none. What was
        given to another workload ends when the settings change.
    """

    def __init__(self, connection: Connection, tenant: str, workload: str | None) -> None:
        self._connection = connection
        self._tenant = tenant
        self._workload = workload

    def add(self, client_id: str, secret: str, *, now: datetime, expires_at: datetime) -> None:
        """Store a new one, and forget those that have ended."""
        self._connection.execute(
            delete(access_tokens).where(access_tokens.c.tenant == self._tenant, access_tokens.c.expires_at <= now)
        )
        row = {"tenant": self._tenant, "secret_hash": hashed(secret), "client_id": client_id}
        self._connection.execute(insert(access_tokens).values({**row, "created_at": now, "expires_at": expires_at}))

    def valid(self, secret: str, *, now: datetime) -> AccessToken | None:
        """The token with this secret, if it counts now, and its client too."""
        owner = and_(clients.c.tenant == access_tokens.c.tenant, clients.c.id == access_tokens.c.client_id)
        is_alive = and_(clients.c.id.is_not(None), clients.c.revoked_at.is_(None))
        if self._workload is not None:
            is_alive = or_(is_alive, access_tokens.c.client_id == self._workload)
        row = self._connection.execute(
            select(access_tokens)
            .outerjoin(clients, owner)
            .where(
                access_tokens.c.tenant == self._tenant,
                access_tokens.c.secret_hash == hashed(secret),
                access_tokens.c.expires_at > now,
                is_alive,
            )
        ).first()
        return AccessToken(row.client_id, row.tenant, row.expires_at) if row is not None else None
