"""The stored SCIM documents, as delivery reads them."""

import json

from sqlalchemy import Connection, bindparam, select

from scim_bridge.domain.values import JsonObject, UserId
from scim_bridge.storage.tables import resources

_OF_USER = select(resources.c.document).where(
    resources.c.tenant == bindparam("tenant"),
    resources.c.id == bindparam("user_id"),
    resources.c.resource_type == "User",
)


def document_of(connection: Connection, tenant: str, user_id: UserId) -> JsonObject | None:
    """What Entra said about a user; None where there is no such user."""
    text = connection.execute(_OF_USER, {"tenant": tenant, "user_id": user_id}).scalar_one_or_none()
    if text is None:
        return None
    document: JsonObject = json.loads(text)
    return document
