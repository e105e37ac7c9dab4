"""The library's refusals in the bridge's words: what was asked, where, and what to do instead (rule A7)."""

from collections.abc import Mapping
from typing import Any

from scim2_models import (
    ForbiddenException,
    NotFoundException,
    NotImplementedException,
    PreconditionFailedException,
    Resource,
    ResourceType,
)
from scim2_server.conditions import Conditions
from scim2_server.errors import UnsupportedMediaTypeException
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Target
from scim2_server.service import ScimService, is_json_media_type

from scim_bridge.scim.values import shown
from scim_bridge.web.scim.search_bounds import refuse_unusable_condition
from scim_bridge.web.scim.targets import find_target


class PlainService(ScimService):
    """The protocol, with refusals that name what is wrong and the cure."""

    def match(self, request: ScimRequest) -> Target:  # type: ignore[override]  # The library's asks no resource types.
        """The operation that a request asks for."""
        return find_target(request.method, request.path, self.provider.resource_types)

    def me_target(self, request: ScimRequest) -> tuple[ResourceType, str]:
        """Nobody: a token stands for a client.

        :raises NotImplementedException: always.
        """
        raise NotImplementedException(
            detail="/Me is not supported, as a token belongs to a client and not to a user: use /Users/{id}"
        )

    def me_creation_type(self, request: ScimRequest) -> ResourceType:
        """None, as nobody registers himself.

        :raises NotImplementedException: always.
        """
        raise NotImplementedException(
            detail="/Me is not supported, as a token belongs to a client and not to a user: POST to /Users"
        )

    @staticmethod
    def ensure_json(content_type: str | None) -> None:
        """Accept any JSON, and a body of which nothing is said (RFC 7644 §3.8)."""
        if content_type and not is_json_media_type(content_type):
            raise UnsupportedMediaTypeException(
                detail=f"the body is sent as {shown(content_type)}: send JSON as application/scim+json or "
                "application/json"
            )

    def read_conditions(self, request: ScimRequest) -> Conditions:  # type: ignore[override]  # A static method there.
        """`If-Match` and `If-None-Match`, if they can be of use."""
        for name in ("If-Match", "If-None-Match"):
            refuse_unusable_condition(request.header(name), f"the header {name}")
        return super().read_conditions(request)

    def check_preconditions(self, resource: Resource[Any], method: str, conditions: Conditions) -> bool:
        """Whether the resource has the version that was asked for; False for a GET of one that is known."""
        try:
            return super().check_preconditions(resource, method, conditions)
        except PreconditionFailedException as exc:
            version = resource.meta.version if resource.meta else None
            raise PreconditionFailedException(
                detail=f"the resource has the version {version}, which is not the one that the request is about: "
                "read it again, then repeat the request with that version in If-Match"
            ) from exc

    @staticmethod
    def forbid_filter(query: Mapping[str, str]) -> None:
        """Refuse a filter on what the service says of itself (RFC 7644 §4)."""
        if "filter" in query:
            raise ForbiddenException(
                detail="what the service says of itself can't be filtered: take the parameter filter out of the "
                "request, and read the whole list"
            )

    def resource_type(self, location: str, resource_type_id: str, query: Mapping[str, str]) -> ScimResponse:
        """One resource type."""
        try:
            return super().resource_type(location, resource_type_id, query)
        except NotFoundException as exc:
            raise _none_of("resource type", resource_type_id, "/ResourceTypes") from exc

    def schema(self, location: str, schema_id: str, query: Mapping[str, str]) -> ScimResponse:
        """One schema."""
        try:
            return super().schema(location, schema_id, query)
        except NotFoundException as exc:
            raise _none_of("schema", schema_id, "/Schemas") from exc


def _none_of(kind: str, name: str, place: str) -> NotFoundException:
    return NotFoundException(detail=f"there is no {kind} {shown(name)}: {place} lists those that are")
