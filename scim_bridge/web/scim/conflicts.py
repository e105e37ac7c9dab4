"""What a request is refused for because of what is stored: no such id (404), a value in use (409), a version (412)."""

from scim2_models import (
    NotFoundException,
    PreconditionFailedException,
    ResourceType,
    UniquenessException,
)

from scim_bridge.scim.resources import (
    Identity,
)
from scim_bridge.storage.resources import StoredResource, Taken
from scim_bridge.web.scim.rows import identity_of


def check_version(stored: StoredResource, expected_version: str | None) -> None:
    """Refuse to write over what the client hasn't seen (RFC 7644 §3.14).

    :raises PreconditionFailedException: when the version is another.
    """
    refuse_another_version(identity_of(stored), expected_version)


def refuse_another_version(identity: Identity, expected_version: str | None) -> None:
    """Refuse the same for anything that has a version.

    :raises PreconditionFailedException: when the version is another.
    """
    if expected_version is not None and identity.etag != expected_version:
        raise PreconditionFailedException(
            detail="the resource has changed since it was read: read it again, then repeat the request"
        )


def not_found(resource_type: ResourceType, resource_id: str) -> NotFoundException:
    """Return the 404 for an id that no resource has."""
    return NotFoundException(detail=f'there is no {resource_type.name} with the id "{resource_id[:200]}"')


def uniqueness(resource_type: ResourceType, taken: Taken) -> UniquenessException:
    """Return the 409 for a value that another resource has; Entra shows its words to the administrator."""
    kind = str(resource_type.name).lower()
    return UniquenessException(
        attribute=taken.attribute,
        value=taken.value,
        detail=f'{taken.attribute} "{taken.value[:200]}" is already used by another {kind}: '
        f"choose another value, or remove it from the {kind} that has it",
    )
