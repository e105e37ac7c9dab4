"""Moments that a clock left behind which was ahead: none counts that lies beyond its cap (rules D1, D2, R3)."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, update

from scim_bridge.domain.outcome import State
from scim_bridge.storage.tables import people

CAP_SECONDS = 3600.0
"""The longest that a person waits for another try, and a tenant for Ditio's pause."""


def within(moment: datetime | None, now: datetime, cap_seconds: float) -> datetime | None:
    """Return a moment to wait for; None where it lies further ahead than anything is put off."""
    return None if moment is None or moment > now + timedelta(seconds=cap_seconds) else moment


def bring_back(connection: Connection, tenant: str, now: datetime, lease_seconds: float) -> int:
    """Bring the moments of people who are due back within their caps. How many people are due now for it.

    The index of people who are due leads to them, and the question who is next stays as simple as it is.

    :param lease_seconds: For how long a lease is taken at most.
    """
    is_due = (people.c.tenant == tenant) & (people.c.state == State.due)
    shorten_leases(connection, tenant, now, lease_seconds, is_due)
    latest = now + timedelta(seconds=CAP_SECONDS)
    return connection.execute(update(people).where(is_due, people.c.due_at > latest).values(due_at=now)).rowcount


def shorten_leases(
    connection: Connection, tenant: str, now: datetime, seconds: float, which: ColumnElement[bool] | None = None
) -> int:
    """Let no lease last longer than one that is taken now. How many were shortened.

    It is not ended: whoever holds it may be alive, and renews it before the next call.

    :param which: Of these people alone.
    """
    longest = now + timedelta(seconds=seconds)
    condition = [people.c.tenant == tenant, people.c.leased_until > longest, *([] if which is None else [which])]
    return connection.execute(update(people).where(*condition).values(leased_until=longest)).rowcount
