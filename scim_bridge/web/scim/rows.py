"""Rows of the database as resources of the protocol, and resources as rows."""

from datetime import datetime
from typing import Any, cast

from scim2_models import (
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
)

from scim_bridge.domain.values import JsonObject
from scim_bridge.scim.resources import (
    MEMBERS,
    Identity,
    Membership,
    document_of,
    keys_of,
    resource_of,
    unasked,
)
from scim_bridge.scim.schema import shape_of
from scim_bridge.storage.filters import Model
from scim_bridge.storage.resources import StoredResource
from scim_bridge.web.scim.bounds import refuse_unstorable


class Rows:
    """Turns rows into resources as a provider describes them."""

    def __init__(self, provider: ScimProvider) -> None:
        self._provider = provider

    def model(self, resource_type: ResourceType) -> Model:
        """Return the model of a type, its extensions included."""
        return cast(Model, self._provider.model_for(resource_type))

    def resource(
        self,
        resource_type: ResourceType,
        stored: StoredResource,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Return the resource of a row, as far as the answer needs it."""
        model, document = self.model(resource_type), stored.document
        left_out = unasked(model, response_parameters) & document.keys()
        if left_out:
            document = {name: value for name, value in document.items() if name not in left_out}
        return resource_of(model, self._provider, document, identity_of(stored))

    def parted(self, resource_type: ResourceType, stored: StoredResource) -> tuple[Resource[Any], Membership | None]:
        """Return the resource of a row, and a group's members apart, so that a PATCH need not read them all."""
        model = self.model(resource_type)
        if MEMBERS not in shape_of(model).attributes:
            return self.resource(resource_type, stored), None
        membership = Membership(model, _entries(stored.document), _entries(stored.keys))
        return self.without_members(resource_type, stored), membership

    def without_members(self, resource_type: ResourceType, stored: StoredResource) -> Resource[Any]:
        """Return the resource of a row, a group without its members."""
        document = {name: value for name, value in stored.document.items() if name != MEMBERS}
        return resource_of(self.model(resource_type), self._provider, document, identity_of(stored))

    def made(
        self, resource_type: ResourceType, resource: Resource[Any], resource_id: str, now: datetime
    ) -> StoredResource:
        """Return the row of a new resource; see `row`."""
        return self.row(resource_type, resource, Identity(resource_id, str(resource_type.name), 1, now, now))

    def row(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        identity: Identity,
        membership: Membership | None = None,
    ) -> StoredResource:
        """Return the row of a resource: its document, and keys as if that had been read again.

        :param membership: The members of a group that was given without them.
        :raises InvalidValueException: when it holds text that no database can store: a filter in a path may write it.
        """
        document = document_of(resource)
        refuse_unstorable(document)
        return self.row_of(resource_type, document, identity, membership)

    def row_of(
        self,
        resource_type: ResourceType,
        document: JsonObject,
        identity: Identity,
        membership: Membership | None = None,
    ) -> StoredResource:
        """Return the row of a document, whose names and values have the form that the model gives them; see `row`."""
        with self._provider:
            keys = keys_of(self.model(resource_type), document, identity)
        if membership is not None and membership.members:
            # Each member was checked when it arrived.
            document |= {MEMBERS: membership.members}
            keys |= {MEMBERS: membership.keys} if membership.keys else {}
        return StoredResource(
            id=identity.id,
            resource_type=identity.resource_type,
            document=document,
            keys=keys,
            version=identity.version,
            created_at=identity.created_at,
            last_modified_at=identity.last_modified_at,
        )


def _entries(document: JsonObject) -> list[JsonObject]:
    return cast(list[JsonObject], document.get(MEMBERS) or [])


def identity_of(stored: StoredResource) -> Identity:
    """Return what the bridge says of a stored resource."""
    return Identity(stored.id, stored.resource_type, stored.version, stored.created_at, stored.last_modified_at)
