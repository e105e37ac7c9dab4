"""One-time permissions to adopt: an operator said which user an employee of Ditio's is (rule H1)."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, select

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.storage.keys import user_name_key
from scim_bridge.storage.sql import upsert
from scim_bridge.storage.tables import adoption_permissions as permissions

DAYS = 30
"""How long a permission lasts: Entra tries again within hours, or within weeks where its job was quarantined."""


class Permissions:
    """The permissions of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def grant(self, number: EmployeeNumber, user_name: str, *, now: datetime) -> datetime:
        """Allow this user to take this employee, once. Until when; what has run out is removed on the way."""
        expires_at = now + timedelta(days=DAYS)
        self._connection.execute(
            delete(permissions).where(permissions.c.tenant == self._tenant, permissions.c.expires_at <= now)
        )
        key = {"tenant": self._tenant, "employee_number": number, "user_name_key": user_name_key(user_name)}
        upsert(self._connection, permissions, [{**key, "granted_at": now, "expires_at": expires_at}])
        return expires_at

    def allows(self, number: EmployeeNumber, user_name: str, *, now: datetime) -> bool:
        """Whether this user may take this employee."""
        query = select(permissions.c.expires_at).where(
            self._about(number), permissions.c.user_name_key == user_name_key(user_name), permissions.c.expires_at > now
        )
        return self._connection.execute(query).first() is not None

    def consume(self, number: EmployeeNumber) -> None:
        """Somebody is linked to this employee now: no permission for it counts any more."""
        self._connection.execute(delete(permissions).where(self._about(number)))

    def _about(self, number: EmployeeNumber) -> Any:
        return and_(permissions.c.tenant == self._tenant, permissions.c.employee_number == number)
