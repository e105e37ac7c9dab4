"""Rows of the database as resources of the protocol, and the other way round."""

from datetime import datetime
from typing import Any, cast

from scim2_models import (
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    UniquenessException,
)

from scim_bridge.domain.documents import JsonObject
from scim_bridge.scim.resources import MEMBERS, Identity, Membership, document_of, keys_of, resource_of, unasked
from scim_bridge.scim.schema import shape_of
from scim_bridge.storage.filters import Model
from scim_bridge.storage.resources import StoredResource, Taken
from scim_bridge.web.scim.bodies import refuse_unstorable


class Rows:
    """Turns rows into resources as a provider describes them."""

    def __init__(self, provider: ScimProvider) -> None:
        self._provider = provider

    def model(self, resource_type: ResourceType) -> Model:
        """The model of a type, its extensions included."""
        return cast(Model, self._provider.model_for(resource_type))

    def resource(
        self,
        resource_type: ResourceType,
        stored: StoredResource,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """The resource that a row is of, as far as the answer needs it."""
        model, document = self.model(resource_type), stored.document
        left_out = unasked(model, response_parameters) & document.keys()
        if left_out:
            document = {name: value for name, value in document.items() if name not in left_out}
        return resource_of(model, self._provider, document, identity_of(stored))

    def parted(self, resource_type: ResourceType, stored: StoredResource) -> tuple[Resource[Any], Membership | None]:
        """The resource that a row is of; a group's members apart, so that a PATCH need not read them all."""
        model = self.model(resource_type)
        if MEMBERS not in shape_of(model).attributes:
            return self.resource(resource_type, stored), None
        document = {name: value for name, value in stored.document.items() if name != MEMBERS}
        membership = Membership(model, _entries(stored.document), _entries(stored.keys))
        return resource_of(model, self._provider, document, identity_of(stored)), membership

    def made(
        self, resource_type: ResourceType, resource: Resource[Any], resource_id: str, now: datetime
    ) -> tuple[Resource[Any], StoredResource]:
        """A new resource, and its row; see `prepared`."""
        return self.prepared(resource_type, resource, Identity(resource_id, str(resource_type.name), 1, now, now))

    def prepared(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        identity: Identity,
        membership: Membership | None = None,
    ) -> tuple[Resource[Any], StoredResource]:
        """A resource as it will be read, and its row.

        :param membership: The members of a group that was given without them.
        :raises InvalidValueException: when it holds text that no database keeps.
        """
        document = document_of(resource)
        refuse_unstorable(document)
        read = resource_of(self.model(resource_type), self._provider, document, identity)
        with self._provider:
            keys = keys_of(read)
        if membership is not None and membership.members:
            # Each was looked at when it came.
            document |= {MEMBERS: membership.members}
            keys |= {MEMBERS: membership.keys} if membership.keys else {}
        return read, StoredResource(
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
    """What the bridge says of a stored resource."""
    return Identity(stored.id, stored.resource_type, stored.version, stored.created_at, stored.last_modified_at)


def check_version(stored: StoredResource, expected_version: str | None) -> None:
    """Refuse to write over what the client hasn't seen (RFC 7644 §3.14).

    :raises PreconditionFailedException: when the version is another.
    """
    refuse_another_version(identity_of(stored), expected_version)


def refuse_another_version(identity: Identity, expected_version: str | None) -> None:
    """The same, of anything that has a version.

    :raises PreconditionFailedException: when the version is another.
    """
    if expected_version is not None and identity.etag != expected_version:
        raise PreconditionFailedException(
            detail="the resource has changed since it was read: read it again, then repeat the request"
        )


def not_found(resource_type: ResourceType, resource_id: str) -> NotFoundException:
    """The 404 of an id that nobody has."""
    return NotFoundException(detail=f'there is no {resource_type.name} with the id "{resource_id[:200]}"')


def uniqueness(resource_type: ResourceType, taken: Taken) -> UniquenessException:
    """The 409 of a value that somebody else has; Entra shows its words to the administrator."""
    kind = str(resource_type.name).lower()
    return UniquenessException(
        attribute=taken.attribute,
        value=taken.value,
        detail=f'{taken.attribute} "{taken.value[:200]}" is already used by another {kind}: '
        f"choose another value, or remove it from the {kind} that has it",
    )
