"""Refused credentials in the audit trail: few rows, however many are refused, so that a flood can't fill the disk."""

from collections.abc import Callable, Collection

from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.domain.audit import Action, Actor, Author, Deed
from scim_bridge.logs import get_logger
from scim_bridge.storage.audit import AuditTrail
from scim_bridge.storage.database import Database

log = get_logger(__name__)

EVERY_SECONDS = 3600.0
"""Of each company, reason and known credential one row in this time, in each process; the log has each refusal."""

NOTHING_SENT = frozenset({"no-bearer-token", "no-client", "body-broken", "body-too-large", "body-unreadable"})
"""Reasons of requests without a credential: whoever scans the internet is no news."""


class NotedRefusals:
    """What this process has noted lately. Reasons are constants and ids known ones, so that stays small."""

    def __init__(self, database: Database, tenants: Collection[str], monotonic: Callable[[], float]) -> None:
        self._database = database
        self._tenants = tenants
        self._monotonic = monotonic
        self._noted: dict[tuple[str, str, Actor], float] = {}

    def note(self, tenant: str, reason: str, actor: Actor, request_id: str) -> None:
        """Note a refusal, unless the like of it was noted within the hour, or there is no such company.

        :param actor: A token or a client that is known, and counts no more; else a stranger.
        """
        key, now = (tenant, reason, actor), self._monotonic()
        if tenant not in self._tenants or reason in NOTHING_SENT:
            return
        if now - self._noted.get(key, float("-inf")) < EVERY_SECONDS:
            return
        self._noted[key] = now  # First: whoever comes next does not wait for the database too.
        try:
            with self._database.write() as connection:
                AuditTrail(connection, tenant).add(
                    Deed(Action.refused, "sign-in", detail=reason),
                    Author(actor, request_id),
                    now=self._database.now(connection),
                )
        except SQLAlchemyError as error:
            # Wrong is wrong, whether that can be written or not (rule A3).
            log.warning("auth.refusal_not_noted", error=type(error).__name__)
