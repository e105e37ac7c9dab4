"""Rows of the database as resources of the protocol, and the other way round."""

from typing import Any, cast

from scim2_models import (
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ScimProvider,
    UniquenessException,
)

from scim_bridge.scim.documents import Identity, document_of, resource_of
from scim_bridge.scim.keys import keys_of
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

    def resource(self, resource_type: ResourceType, stored: StoredResource) -> Resource[Any]:
        """The resource that a row is of."""
        return resource_of(self.model(resource_type), self._provider, stored.document, identity_of(stored))

    def prepared(
        self, resource_type: ResourceType, resource: Resource[Any], identity: Identity
    ) -> tuple[Resource[Any], StoredResource]:
        """A resource as it will be read, and its row.

        :raises InvalidValueException: when it holds text that no database keeps.
        """
        document = document_of(resource)
        refuse_unstorable(document)
        read = resource_of(self.model(resource_type), self._provider, document, identity)
        with self._provider:
            keys = keys_of(read)
        return read, StoredResource(
            id=identity.id,
            resource_type=identity.resource_type,
            document=document,
            keys=keys,
            version=identity.version,
            created_at=identity.created_at,
            last_modified_at=identity.last_modified_at,
        )


def identity_of(stored: StoredResource) -> Identity:
    """What the bridge says of a stored resource."""
    return Identity(stored.id, stored.resource_type, stored.version, stored.created_at, stored.last_modified_at)


def check_version(stored: StoredResource, expected_version: str | None) -> None:
    """Refuse to write over what the client hasn't seen (RFC 7644 §3.14).

    :raises PreconditionFailedException: when the version is another.
    """
    if expected_version is not None and identity_of(stored).etag != expected_version:
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
