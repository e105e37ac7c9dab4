"""Bearer tokens: random, stored hashed, expiring, revocable (design section 10)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, union, update

from scim_bridge.errors import NotFound
from scim_bridge.storage.access_tables import clients, tokens
from scim_bridge.storage.credentials import hashed

LAST_USED_EVERY = timedelta(minutes=5)
"""How exact `last_used_at` is: a write for every request would cost more than it tells."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret, which nobody can read again."""

    id: str
    tenant: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class Tokens:
    """The tokens of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def add(self, token_id: str, name: str, secret: str, *, now: datetime, expires_at: datetime | None) -> None:
        """Store a new token."""
        self._connection.execute(
            insert(tokens).values(
                tenant=self._tenant,
                id=token_id,
                name=name,
                secret_hash=hashed(secret),
                created_at=now,
                expires_at=expires_at,
            )
        )

    def list(self) -> list[Token]:
        """All tokens, the revoked and expired ones too, oldest first."""
        query = select(tokens).where(tokens.c.tenant == self._tenant).order_by(tokens.c.created_at, tokens.c.id)
        return [_token(row) for row in self._connection.execute(query)]

    def revoke(self, token_id: str, *, now: datetime) -> bool:
        """End a token at once. Whether it had not been: again is no error. :raises NotFound: there is no such token."""
        this = (tokens.c.tenant == self._tenant, tokens.c.id == token_id)
        found = self._connection.execute(
            update(tokens).where(*this, tokens.c.revoked_at.is_(None)).values(revoked_at=now)
        )
        if found.rowcount == 0 and self._connection.execute(select(tokens.c.id).where(*this)).first() is None:
            raise NotFound(f"there is no token {token_id!r}: `scim-bridge token list` shows the ids")
        return found.rowcount > 0

    def valid(self, secret: str, *, now: datetime) -> Token | None:
        """The token with this secret, if it counts now. The look-up is by hash, so its time tells nothing."""
        row = self._connection.execute(
            select(tokens).where(
                tokens.c.tenant == self._tenant,
                tokens.c.secret_hash == hashed(secret),
                tokens.c.revoked_at.is_(None),
                or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
            )
        ).first()
        return _token(row) if row is not None else None

    def with_secret(self, secret: str) -> Token | None:
        """The token with this secret, whether it counts or not: to tell why it does not."""
        row = self._connection.execute(
            select(tokens).where(tokens.c.tenant == self._tenant, tokens.c.secret_hash == hashed(secret))
        ).first()
        return _token(row) if row is not None else None

    def used(self, token: Token, *, now: datetime) -> None:
        """Note that a token was used."""
        self._connection.execute(
            update(tokens).where(tokens.c.tenant == self._tenant, tokens.c.id == token.id).values(last_used_at=now)
        )


def tenants_with_credentials(connection: Connection) -> list[str]:
    """Every tenant that a token or a client counts for, whether it is served or not, by name."""
    found = union(
        select(tokens.c.tenant).where(tokens.c.revoked_at.is_(None)),
        select(clients.c.tenant).where(clients.c.revoked_at.is_(None)),
    )
    return sorted(connection.execute(found).scalars())


def use_is_stale(token: Token, now: datetime) -> bool:
    """Whether `last_used_at` is old enough to be written again."""
    return token.last_used_at is None or now - token.last_used_at >= LAST_USED_EVERY


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
