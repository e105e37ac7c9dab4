"""The stored document of a resource, and the resource again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from scim2_models import Context, Meta, Resource, ScimProvider

from scim_bridge.domain.documents import JsonObject
from scim_bridge.scim.extension import DELIVERY_ATTRIBUTES
from scim_bridge.scim.reading import DITIO_URN


@dataclass(frozen=True, slots=True)
class Identity:
    """What the bridge, not the client, says of a resource."""

    id: str
    resource_type: str
    version: int
    """Counts the writes; never goes back."""

    created_at: datetime
    last_modified_at: datetime

    @property
    def etag(self) -> str:
        """The version as `meta.version` and the ETag show it: weak, as equal JSON may be spelled differently."""
        return f'W/"{self.version}"'


def document_of(resource: Resource[Any]) -> JsonObject:
    """What is kept of a resource: all that the client sent, values unchanged, and nothing of the bridge's own."""
    document: JsonObject = resource.model_dump(scim_ctx=Context.DEFAULT)
    for name in ("id", "meta", "password"):
        document.pop(name, None)
    extension = document.get(DITIO_URN)
    if isinstance(extension, dict):
        for name in DELIVERY_ATTRIBUTES:
            extension.pop(name, None)
        if not extension:
            del document[DITIO_URN]
            document["schemas"] = [urn for urn in cast(list[str], document["schemas"]) if urn != DITIO_URN]
    return document


def resource_of(
    model: type[Resource[Any]], provider: ScimProvider, document: JsonObject, identity: Identity
) -> Resource[Any]:
    """The resource that a stored document is of, with its `id` and `meta`."""
    resource = model.model_validate(document, scim_provider=provider)
    resource.id = identity.id
    resource.meta = Meta(
        resource_type=identity.resource_type,
        created=identity.created_at,
        last_modified=identity.last_modified_at,
        version=identity.etag,
    )
    return resource
