"""Somebody who waits for what another has may be that other, who has left meanwhile (rule P2)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from scim_bridge.delivery.intake import Intake
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.storage.database import Database
from scim_bridge.storage.people import Record


@dataclass(frozen=True, slots=True)
class Waiter:
    """A person who is being delivered, and waits for a number or phone."""

    database: Database
    tenant: Tenant
    new_id: Callable[[], str]
    record: Record
    """Locked."""

    def is_someone_who_left(self, connection: Connection, today: date) -> bool:
        """Whether he continues the leaver now, or the leaver has made room for him: then somebody is due for it."""
        hands_off = self.record.person.hands_off
        if hands_off is not None and hands_off.lasts(today):
            return False
        intake = Intake(self.database, self.tenant, self.record.request_id or "", self.new_id, queues_only=True)
        return intake.waiter_looked_at(connection, self.record)
