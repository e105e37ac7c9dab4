"""Clients of the token endpoint: each with one secret or several, so that one can be replaced without a gap."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from scim_bridge.errors import NotFound
from scim_bridge.storage.access_tables import access_tokens, client_secrets, clients
from scim_bridge.storage.credentials import hashed


@dataclass(frozen=True, slots=True)
class Client:
    """A client without its secrets, which nobody can read again."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    """When the last of its secrets ends; None where one never ends, and where none counts."""

    last_used_at: datetime | None
    revoked_at: datetime | None
    secrets: int
    """How many of its secrets count now."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One secret of a client, without itself."""

    tenant: str
    expires_at: datetime | None


def secret_of_client(
    connection: Connection, tenants: Iterable[str], client_id: str, secret: str, *, now: datetime
) -> ClientSecret | None:
    """The secret, and whose client has it now; None where nobody's has, or (nobody can bring that about) several do.

    The look-up is by hash, so its time tells nothing. Nothing is changed.

    :param tenants: Those that are served.
    """
    found = connection.execute(
        select(client_secrets.c.tenant, client_secrets.c.expires_at).where(
            client_secrets.c.tenant.in_(sorted(tenants)),
            client_secrets.c.secret_hash == hashed(secret),
            client_secrets.c.client_id == client_id,
            *_counts(now),
        )
    ).all()
    return ClientSecret(found[0].tenant, found[0].expires_at) if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose client it is that was refused."""

    tenant: str
    had_secret: bool
    """Whether what it presents was its secret once."""


def owner_of_refused(connection: Connection, tenants: Iterable[str], client_id: str, secret: str) -> Owner | None:
    """Whose client is refused: for the operator's eyes alone, as it is no proof of anything.

    None where nobody has a client with this id, or where several do and the secret was none of theirs.

    :param tenants: Those that are served.
    """
    was_his = and_(
        client_secrets.c.tenant == clients.c.tenant,
        client_secrets.c.client_id == clients.c.id,
        client_secrets.c.secret_hash == hashed(secret),
    )
    rows = connection.execute(
        select(clients.c.tenant, client_secrets.c.secret_hash.is_not(None).label("had_secret"))
        .outerjoin(client_secrets, was_his)
        .where(clients.c.tenant.in_(sorted(tenants)), clients.c.id == client_id)
    ).all()
    found = [row for row in rows if row.had_secret] or rows
    return Owner(found[0].tenant, bool(found[0].had_secret)) if len(found) == 1 else None


class Clients:
    """The clients of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def add(self, client_id: str, name: str, secret: str, *, now: datetime, expires_at: datetime | None) -> None:
        """Store a new client with its first secret."""
        row = {"tenant": self._tenant, "id": client_id, "name": name, "created_at": now}
        self._connection.execute(insert(clients).values(row))
        self._add_secret(client_id, secret, now=now, expires_at=expires_at)

    def rotate(self, client_id: str, secret: str, *, now: datetime, expires_at: datetime | None) -> int:
        """Give it another secret. What is older than the secret that was used last ends; that one goes on.

        :returns: How many secrets count now.
        :raises NotFound: there is no such client, or it was revoked.
        """
        used = self._connection.execute(
            select(client_secrets.c.created_at)
            .where(*self._counting(client_id, now), client_secrets.c.last_used_at.is_not(None))
            .order_by(client_secrets.c.last_used_at.desc(), client_secrets.c.created_at.desc())
            .limit(1)
        ).scalar_one_or_none()
        found = self._connection.execute(
            select(clients.c.id).where(*self._at(client_id), clients.c.revoked_at.is_(None)).with_for_update()
        )
        if found.first() is None:
            raise self._unknown(client_id)
        if used is not None:
            self._connection.execute(
                update(client_secrets)
                .where(*self._counting(client_id, now), client_secrets.c.created_at < used)
                .values(revoked_at=now)
            )
        self._add_secret(client_id, secret, now=now, expires_at=expires_at)
        return int(
            self._connection.execute(
                select(func.count()).select_from(client_secrets).where(*self._counting(client_id, now))
            ).scalar_one()
        )

    def list(self, now: datetime) -> list[Client]:
        """All clients, the revoked ones too, oldest first."""
        own = and_(client_secrets.c.tenant == clients.c.tenant, client_secrets.c.client_id == clients.c.id)
        rows = self._connection.execute(
            select(
                clients,
                func.count(client_secrets.c.secret_hash).label("secrets"),
                func.count(client_secrets.c.expires_at).label("ending"),
                func.max(client_secrets.c.expires_at).label("last_end"),
            )
            .outerjoin(client_secrets, and_(own, *_counts(now)))
            .where(clients.c.tenant == self._tenant)
            .group_by(*clients.c)
            .order_by(clients.c.created_at, clients.c.id)
        )
        return [_client(row) for row in rows]

    def revoke(self, client_id: str, *, now: datetime) -> bool:
        """End a client, its secrets and its access tokens at once. Whether it had not been: again is no error.

        :raises NotFound: there is no such client.
        """
        found = self._connection.execute(
            update(clients).where(*self._at(client_id), clients.c.revoked_at.is_(None)).values(revoked_at=now)
        )
        if found.rowcount == 0:
            if self._connection.execute(select(clients.c.id).where(*self._at(client_id))).first() is None:
                raise self._unknown(client_id)
            return False
        self._connection.execute(update(client_secrets).where(*self._counting(client_id, now)).values(revoked_at=now))
        self._connection.execute(
            delete(access_tokens).where(access_tokens.c.tenant == self._tenant, access_tokens.c.client_id == client_id)
        )
        return True

    def signs_in(self, client_id: str, secret: str, *, now: datetime) -> bool:
        """Whether a client has this secret now; then its use is noted. The look-up is by hash."""
        secret_hash = hashed(secret)
        # One statement: a client that is revoked meanwhile is not let in.
        is_alive = select(clients.c.id).where(*self._at(client_id), clients.c.revoked_at.is_(None)).with_for_update()
        if self._connection.execute(is_alive).first() is None:
            return False
        found = self._connection.execute(
            update(client_secrets)
            .where(*self._counting(client_id, now), client_secrets.c.secret_hash == secret_hash)
            .values(last_used_at=now)
        )
        if found.rowcount == 0:
            return False
        self._connection.execute(update(clients).where(*self._at(client_id)).values(last_used_at=now))
        return True

    def _add_secret(self, client_id: str, secret: str, *, now: datetime, expires_at: datetime | None) -> None:
        row = {"tenant": self._tenant, "client_id": client_id, "secret_hash": hashed(secret)}
        self._connection.execute(insert(client_secrets).values({**row, "created_at": now, "expires_at": expires_at}))

    def _at(self, client_id: str) -> tuple[ColumnElement[bool], ...]:
        return clients.c.tenant == self._tenant, clients.c.id == client_id

    def _counting(self, client_id: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
        return client_secrets.c.tenant == self._tenant, client_secrets.c.client_id == client_id, *_counts(now)

    @staticmethod
    def _unknown(client_id: str) -> NotFound:
        return NotFound(f"there is no client {client_id!r} that counts: `scim-bridge client list` shows the ids")


def _counts(now: datetime) -> tuple[ColumnElement[bool], ...]:
    ends = client_secrets.c.expires_at
    return client_secrets.c.revoked_at.is_(None), or_(ends.is_(None), ends > now)


def _client(row: Row[Any]) -> Client:
    return Client(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        expires_at=row.last_end if row.secrets == row.ending else None,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        secrets=row.secrets,
    )
