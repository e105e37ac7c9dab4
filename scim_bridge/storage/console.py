"""Who is signed in to the console: links that can be used once, and sessions; only hashes of their secrets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update

from scim_bridge.domain.audit import Role
from scim_bridge.storage.admin_tables import console_sessions as table
from scim_bridge.storage.credentials import hashed
from scim_bridge.storage.engine import Repository, Transaction

LINK_LASTS = timedelta(minutes=5)
"""How long a link can be used, once."""

IDLE_AFTER = timedelta(minutes=30)
"""A session without a request for this long has ended."""

SESSION_LASTS = timedelta(hours=10)
"""A session ends after this time, used or not: a day at work."""

USE_EVERY = timedelta(minutes=1)
"""How exact `last_used_at` is: a write for every page would cost too much."""

LINK, SESSION = "link", "session"


@dataclass(frozen=True, slots=True)
class Access:
    """What one administrator may do at one company."""

    role: Role
    name: str
    """Who it is, for the audit trail."""

    last_used_at: datetime


class ConsoleSessions(Repository):
    """The links and sessions of one tenant, within one transaction. The look-ups are by hash."""

    def add_link(self, secret: str, role: Role, name: str) -> datetime:
        """Store a link. Return when it expires."""
        return self._add(LINK, secret, role, name, LINK_LASTS)

    def use_link(self, secret: str) -> Access | None:
        """Return what a link gives, and remove it; None if it is unknown, was used, or has expired."""
        row = self._connection.execute(
            delete(table).where(*self._is(secret, LINK), table.c.expires_at > self._now).returning(table)
        ).first()
        return _access(row) if row is not None else None

    def begin(self, secret: str, role: Role, name: str) -> None:
        """Store a new session, and remove what has expired."""
        of_us = table.c.tenant == self._tenant
        self._connection.execute(delete(table).where(of_us, table.c.expires_at <= self._now))
        self._add(SESSION, secret, role, name, SESSION_LASTS)

    def used(self, secret: str) -> None:
        """Store that a session was used now."""
        self._connection.execute(update(table).where(*self._is(secret, SESSION)).values(last_used_at=self._now))

    def end(self, secret: str) -> None:
        """End one session."""
        self._connection.execute(delete(table).where(*self._is(secret, SESSION)))

    def end_all(self) -> int:
        """End all sessions, and remove all links. Return how many sessions ended."""
        count = self._connection.execute(
            select(func.count()).select_from(table).where(table.c.tenant == self._tenant, *_is_alive(self._now))
        ).scalar_one()
        self._connection.execute(delete(table).where(table.c.tenant == self._tenant))
        return count

    def _add(self, kind: str, secret: str, role: Role, name: str, lasts: timedelta) -> datetime:
        now = self._now
        row = {"tenant": self._tenant, "secret_hash": hashed(secret), "kind": kind, "role": role, "name": name}
        self._connection.execute(insert(table).values(**row, created_at=now, last_used_at=now, expires_at=now + lasts))
        return now + lasts

    def _is(self, secret: str, kind: str) -> tuple[ColumnElement[bool], ...]:
        return table.c.tenant == self._tenant, table.c.secret_hash == hashed(secret), table.c.kind == kind


def access_of(s: Transaction, tenants: Collection[str], secret: str) -> Mapping[str, Access]:
    """Return what the session with this secret may do now, by tenant; empty if there is none, or it has ended.

    :param tenants: The tenants that are served.
    """
    query = select(table).where(
        table.c.tenant.in_(sorted(tenants)), table.c.secret_hash == hashed(secret), *_is_alive(s.now)
    )
    return {row.tenant: _access(row) for row in s.connection.execute(query.order_by(table.c.tenant))}


def link_of(s: Transaction, tenants: Collection[str], secret: str) -> tuple[str, Access] | None:
    """Return the tenant of a link that can still be used, and what it gives; nothing is changed."""
    query = select(table).where(
        table.c.tenant.in_(sorted(tenants)),
        table.c.secret_hash == hashed(secret),
        table.c.kind == LINK,
        table.c.expires_at > s.now,
    )
    row = s.connection.execute(query).first()
    return (row.tenant, _access(row)) if row is not None else None


def _is_alive(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return table.c.kind == SESSION, table.c.expires_at > now, table.c.last_used_at > now - IDLE_AFTER


def _access(row: Row[Any]) -> Access:
    return Access(Role(row.role), row.name, row.last_used_at)
