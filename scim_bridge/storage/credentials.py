"""Credentials, stored hashed: tokens, clients, their access tokens; and the secrets that all processes share."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from secrets import token_urlsafe
from typing import Any
from zlib import crc32

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    union,
    update,
)

from scim_bridge.errors import NotFound
from scim_bridge.storage.admin_tables import access_tokens, client_secrets, clients, tokens
from scim_bridge.storage.engine import Repository, Transaction, asked_now
from scim_bridge.storage.prepared import Prepared

TOKEN = "scimb_"  # nosec B105 # a prefix
"""Begins the secret tokens that operators paste into Entra."""

CLIENT_SECRET = "scimbcs_"  # nosec B105 # a prefix
"""Begins the secrets of clients of the token endpoint."""

ACCESS_TOKEN = "scimbat_"  # nosec B105 # a prefix
"""Begins the access tokens that the token endpoint issues."""

RANDOM_BYTES = 32
RANDOM_LETTERS = 43
CHECKSUM_LETTERS = 8


def new_secret(prefix: str) -> str:
    """Return a new random secret. By its checksum, a scanner for leaked secrets recognises it with certainty."""
    start = prefix + token_urlsafe(RANDOM_BYTES)
    return start + _checksum(start)


def hashed(secret: str) -> str:
    """Return the hash of a secret, as it is stored. 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_mutilated(secret: str) -> bool:
    """Return whether this is one of our secrets with a lost or changed character. Use it for messages, never as proof.

    Tokens of earlier versions have no checksum; for them it is False.
    """
    prefix = next((each for each in (CLIENT_SECRET, ACCESS_TOKEN, TOKEN) if secret.startswith(each)), None)
    if prefix is None or len(secret) == len(prefix) + RANDOM_LETTERS:
        return False
    return _checksum(secret[:-CHECKSUM_LETTERS]) != secret[-CHECKSUM_LETTERS:]


def _checksum(text: str) -> str:
    return f"{crc32(text.encode()):0{CHECKSUM_LETTERS}x}"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A valid access token."""

    client_id: str
    tenant: str
    expires_at: datetime


class AccessTokens(Repository):
    """The access tokens of one tenant, within one transaction.

    :param workload: The value of `client_id` for the workload in the settings; None if there is none. Access tokens of
        another workload are no longer valid once the settings change.
    """

    def __init__(self, s: Transaction, workload: str | None) -> None:
        super().__init__(s)
        self._workload = workload

    def add(self, client_id: str, secret: str, *, expires_at: datetime) -> None:
        """Store a new access token, and remove the expired ones."""
        self._connection.execute(
            delete(access_tokens).where(access_tokens.c.tenant == self._tenant, access_tokens.c.expires_at <= self._now)
        )
        row = {"tenant": self._tenant, "secret_hash": hashed(secret), "client_id": client_id}
        self._connection.execute(
            insert(access_tokens).values({**row, "created_at": self._now, "expires_at": expires_at})
        )

    def valid(self, secret: str) -> AccessToken | None:
        """Return the access token with this secret, if it and its client are valid now."""
        row = _found(self._s, valid_access_token, secret, workload=self._workload)
        return AccessToken(row.client_id, row.tenant, row.expires_at) if row is not None else None


@cache
def valid_access_token(dialect: str) -> Select[Any]:
    """Return the statement that finds a valid access token, and tells the time."""
    owner = and_(clients.c.tenant == access_tokens.c.tenant, clients.c.id == access_tokens.c.client_id)
    now = asked_now(dialect)
    return (
        select(access_tokens, now.label("now"))
        .outerjoin(clients, owner)
        .where(
            access_tokens.c.tenant == bindparam("tenant"),
            access_tokens.c.secret_hash == bindparam("secret_hash"),
            access_tokens.c.expires_at > now,
            or_(
                and_(clients.c.id.is_not(None), clients.c.revoked_at.is_(None)),
                access_tokens.c.client_id == bindparam("workload"),
            ),
        )
    )


@cache
def _prepared(statement: Callable[[str], Select[Any]], dialect: str) -> Prepared:
    return Prepared(statement(dialect))


def _found(s: Transaction, statement: Callable[[str], Select[Any]], secret: str, **more: object) -> Any:
    """Return the row of a valid secret, or None. It tells the time too."""
    row = _prepared(statement, s.dialect).first(s.connection, {**asked_with(s, secret), **more})
    if row is not None:
        s.learn_now(row.now)
    return row


def asked_with(s: Transaction, secret: str) -> dict[str, Any]:
    """Return the parameters of `valid_token` and `valid_access_token`; the latter's `workload` comes from settings."""
    return {"tenant": s.tenant, "secret_hash": hashed(secret), "now": s.told_now}


@dataclass(frozen=True, slots=True)
class Client:
    """A client without its secrets, which can't be read again."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    """When the last of its secrets expires; None if one never expires, or none is valid."""

    last_used_at: datetime | None
    revoked_at: datetime | None
    secrets: int
    """How many of its secrets are valid now."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One secret of a client, without the secret text."""

    tenant: str
    expires_at: datetime | None


def secret_of_client(s: Transaction, tenants: Iterable[str], client_id: str, secret: str) -> ClientSecret | None:
    """Return a client's valid secret, with its tenant; None if no tenant has it, or several do (which can't happen).

    The look-up is by hash, so its duration reveals nothing. Nothing is changed.

    :param tenants: The tenants that are served.
    """
    found = s.connection.execute(
        select(client_secrets.c.tenant, client_secrets.c.expires_at).where(
            client_secrets.c.tenant.in_(sorted(tenants)),
            client_secrets.c.secret_hash == hashed(secret),
            client_secrets.c.client_id == client_id,
            *_is_valid(s.now),
        )
    ).all()
    return ClientSecret(found[0].tenant, found[0].expires_at) if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Owner:
    """The tenant of a client that was refused."""

    tenant: str
    had_secret: bool
    """Whether the client once had the secret that it presents."""


def owner_of_refused(s: Transaction, tenants: Iterable[str], client_id: str, secret: str) -> Owner | None:
    """Return the tenant of a refused client. It proves nothing: show it only to the operator.

    None if no tenant has a client with this id, or if several have one and the secret belonged to none of them.

    :param tenants: The tenants that are served.
    """
    was_its_secret = and_(
        client_secrets.c.tenant == clients.c.tenant,
        client_secrets.c.client_id == clients.c.id,
        client_secrets.c.secret_hash == hashed(secret),
    )
    rows = s.connection.execute(
        select(clients.c.tenant, client_secrets.c.secret_hash.is_not(None).label("had_secret"))
        .outerjoin(client_secrets, was_its_secret)
        .where(clients.c.tenant.in_(sorted(tenants)), clients.c.id == client_id)
    ).all()
    found = [row for row in rows if row.had_secret] or rows
    return Owner(found[0].tenant, bool(found[0].had_secret)) if len(found) == 1 else None


class Clients(Repository):
    """The clients of one tenant, within one transaction."""

    def add(self, client_id: str, name: str, secret: str, *, expires_at: datetime | None) -> None:
        """Store a new client with its first secret."""
        row = {"tenant": self._tenant, "id": client_id, "name": name, "created_at": self._now}
        self._connection.execute(insert(clients).values(row))
        self._add_secret(client_id, secret, expires_at=expires_at)

    def rotate(self, client_id: str, secret: str, *, expires_at: datetime | None) -> int:
        """Add a secret to a client. Secrets older than the one that was used last end; that one stays valid.

        :returns: How many secrets are valid now.
        :raises NotFound: there is no such client, or it was revoked.
        """
        used = self._connection.execute(
            select(client_secrets.c.created_at)
            .where(*self._valid_of(client_id), client_secrets.c.last_used_at.is_not(None))
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
                .where(*self._valid_of(client_id), client_secrets.c.created_at < used)
                .values(revoked_at=self._now)
            )
        self._add_secret(client_id, secret, expires_at=expires_at)
        return int(
            self._connection.execute(
                select(func.count()).select_from(client_secrets).where(*self._valid_of(client_id))
            ).scalar_one()
        )

    def list(self) -> list[Client]:
        """Return all clients, the revoked ones too, oldest first."""
        own = and_(client_secrets.c.tenant == clients.c.tenant, client_secrets.c.client_id == clients.c.id)
        rows = self._connection.execute(
            select(
                clients,
                func.count(client_secrets.c.secret_hash).label("secrets"),
                func.count(client_secrets.c.expires_at).label("ending"),
                func.max(client_secrets.c.expires_at).label("last_end"),
            )
            .outerjoin(client_secrets, and_(own, *_is_valid(self._now)))
            .where(clients.c.tenant == self._tenant)
            .group_by(*clients.c)
            .order_by(clients.c.created_at, clients.c.id)
        )
        return [_client(row) for row in rows]

    def revoke(self, client_id: str) -> bool:
        """Revoke a client, its secrets and its access tokens at once. Return False if it was already revoked.

        :raises NotFound: there is no such client.
        """
        found = self._connection.execute(
            update(clients).where(*self._at(client_id), clients.c.revoked_at.is_(None)).values(revoked_at=self._now)
        )
        if found.rowcount == 0:
            if self._connection.execute(select(clients.c.id).where(*self._at(client_id))).first() is None:
                raise self._unknown(client_id)
            return False
        self._connection.execute(update(client_secrets).where(*self._valid_of(client_id)).values(revoked_at=self._now))
        self._connection.execute(
            delete(access_tokens).where(access_tokens.c.tenant == self._tenant, access_tokens.c.client_id == client_id)
        )
        return True

    def signs_in(self, client_id: str, secret: str) -> bool:
        """Return whether a client has this valid secret, and store its use. The look-up is by hash."""
        secret_hash = hashed(secret)
        # Locked, so that a client that is revoked at the same time can't sign in.
        is_alive = select(clients.c.id).where(*self._at(client_id), clients.c.revoked_at.is_(None)).with_for_update()
        if self._connection.execute(is_alive).first() is None:
            return False
        found = self._connection.execute(
            update(client_secrets)
            .where(*self._valid_of(client_id), client_secrets.c.secret_hash == secret_hash)
            .values(last_used_at=self._now)
        )
        if found.rowcount == 0:
            return False
        self._connection.execute(update(clients).where(*self._at(client_id)).values(last_used_at=self._now))
        return True

    def _add_secret(self, client_id: str, secret: str, *, expires_at: datetime | None) -> None:
        row = {"tenant": self._tenant, "client_id": client_id, "secret_hash": hashed(secret)}
        self._connection.execute(
            insert(client_secrets).values({**row, "created_at": self._now, "expires_at": expires_at})
        )

    def _at(self, client_id: str) -> tuple[ColumnElement[bool], ...]:
        return clients.c.tenant == self._tenant, clients.c.id == client_id

    def _valid_of(self, client_id: str) -> tuple[ColumnElement[bool], ...]:
        return client_secrets.c.tenant == self._tenant, client_secrets.c.client_id == client_id, *_is_valid(self._now)

    @staticmethod
    def _unknown(client_id: str) -> NotFound:
        return NotFound(f"there is no active client {client_id!r}: `scim-bridge client list` shows the ids")


def _is_valid(now: datetime) -> tuple[ColumnElement[bool], ...]:
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


LAST_USED_EVERY = timedelta(minutes=5)
"""How exact `last_used_at` is: a write for every request would cost too much."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret, which can't be read again."""

    id: str
    tenant: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class Tokens(Repository):
    """The tokens of one tenant, within one transaction."""

    def add(self, token_id: str, name: str, secret: str, *, expires_at: datetime | None) -> None:
        """Store a new token."""
        self._connection.execute(
            insert(tokens).values(
                tenant=self._tenant,
                id=token_id,
                name=name,
                secret_hash=hashed(secret),
                created_at=self._now,
                expires_at=expires_at,
            )
        )

    def list(self) -> list[Token]:
        """Return all tokens, the revoked and expired ones too, oldest first."""
        query = select(tokens).where(tokens.c.tenant == self._tenant).order_by(tokens.c.created_at, tokens.c.id)
        return [token_in(row) for row in self._connection.execute(query)]

    def revoke(self, token_id: str) -> bool:
        """Revoke a token; return False if it was already revoked. :raises NotFound: there is no such token."""
        this = (tokens.c.tenant == self._tenant, tokens.c.id == token_id)
        found = self._connection.execute(
            update(tokens).where(*this, tokens.c.revoked_at.is_(None)).values(revoked_at=self._now)
        )
        if found.rowcount == 0 and self._connection.execute(select(tokens.c.id).where(*this)).first() is None:
            raise NotFound(f"there is no token {token_id!r}: `scim-bridge token list` shows the ids")
        return found.rowcount > 0

    def valid(self, secret: str) -> Token | None:
        """Return the valid token with this secret. The look-up is by hash, so its duration reveals nothing."""
        row = _found(self._s, valid_token, secret)
        return token_in(row) if row is not None else None

    def with_secret(self, secret: str) -> Token | None:
        """Return the token with this secret, valid or not, to explain why it is not."""
        row = self._connection.execute(
            select(tokens).where(tokens.c.tenant == self._tenant, tokens.c.secret_hash == hashed(secret))
        ).first()
        return token_in(row) if row is not None else None

    def used(self, token: Token) -> None:
        """Store that a token was used now."""
        self._connection.execute(
            update(tokens)
            .where(tokens.c.tenant == self._tenant, tokens.c.id == token.id)
            .values(last_used_at=self._now)
        )


@cache
def valid_token(dialect: str) -> Select[Any]:
    """Return the statement that finds a valid token, and tells the time."""
    now = asked_now(dialect)
    return select(tokens, now.label("now")).where(
        tokens.c.tenant == bindparam("tenant"),
        tokens.c.secret_hash == bindparam("secret_hash"),
        tokens.c.revoked_at.is_(None),
        or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
    )


def tenants_with_credentials(connection: Connection) -> list[str]:
    """Return every tenant that has a token or client that was not revoked, served or not, by name."""
    found = union(
        select(tokens.c.tenant).where(tokens.c.revoked_at.is_(None)),
        select(clients.c.tenant).where(clients.c.revoked_at.is_(None)),
    )
    return sorted(connection.execute(found).scalars())


def use_is_stale(token: Token, now: datetime) -> bool:
    """Return whether `last_used_at` is old enough to be written again."""
    return token.last_used_at is None or now - token.last_used_at >= LAST_USED_EVERY


def token_in(row: Row[Any], prefix: str = "") -> Token:
    """Return the token of a row. :param prefix: Begins the names of its columns."""
    names = ("id", "tenant", "name", "created_at", "expires_at", "last_used_at", "revoked_at")
    return Token(*(getattr(row, prefix + name) for name in names))
