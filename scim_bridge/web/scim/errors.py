"""Refusals and failures as SCIM errors (RFC 7644 §3.12), in words for the administrator."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from scim2_models import (
    Error,
    ForbiddenException,
    InvalidValueException,
    NotFoundException,
    NotImplementedException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    SCIMException,
    ScimProvider,
    UniquenessException,
)
from scim2_server.conditions import Conditions
from scim2_server.errors import MethodNotAllowedException, UnsupportedMediaTypeException
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import RESERVED_NAMES, Target, match
from scim2_server.service import ScimService, is_json_media_type

from scim_bridge.domain.outcome import IncompleteRefused, Undone
from scim_bridge.errors import UndoUncertain
from scim_bridge.logs import get_logger
from scim_bridge.scim.resources import Identity
from scim_bridge.scim.values import shown
from scim_bridge.storage.database import is_out_of_reach, loggable
from scim_bridge.storage.resources import StoredResource, Taken
from scim_bridge.storage.trouble import trouble_of
from scim_bridge.web.scim.rows import identity_of
from scim_bridge.web.scim.searching import refuse_unusable_condition
from scim_bridge.web.scim.wording import reworded

log = get_logger(__name__)


DATABASE_RETRY_SECONDS = 30


class ServiceUnavailable(SCIMException):
    """503: the bridge can't tell now whether the request is valid (rule A3).

    :param retry_after_seconds: When to ask again.
    """

    status = 503
    _default_detail = "the bridge can't answer at the moment: try again later"

    def __init__(self, retry_after_seconds: float, *, detail: str | None = None) -> None:
        super().__init__(detail=detail)
        self.retry_after_seconds = retry_after_seconds


class BulkTooLong(ServiceUnavailable):
    """503: the time of a bulk request ran out before this operation's turn."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            1.0,
            detail=f"the bulk request used up its {seconds:g} seconds before this operation: "
            "send this operation again, in a request with fewer operations",
        )


class TooManyRequests(SCIMException):
    """429: too many failures from this address (rule A3).

    :param retry_after_seconds: When to ask again.
    """

    status = 429
    _default_detail = "too many requests without a valid credential came from this address: try again later"

    def __init__(self, retry_after_seconds: float, *, detail: str | None = None) -> None:
        super().__init__(detail=detail)
        self.retry_after_seconds = retry_after_seconds


class BodyTooLarge(SCIMException):
    """413: the body is longer than `SCIM__MAX_BODY_BYTES`."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            detail=f"the body is larger than {limit} bytes, which is the limit: send less at once, in several requests"
        )


def refused_by_ditio(undone: Undone) -> SCIMException:
    """Return the error for a write that Ditio refused, and that was undone (rule R1)."""
    if undone.is_duplicate:
        return UniquenessException(attribute=undone.attribute, value=undone.value, detail=undone.detail)
    return InvalidValueException(detail=undone.detail)


class _Errors(ScimService):
    """The library's error answers, with the bridge's own challenge."""

    def www_authenticate(self, exception: SCIMException) -> str | None:
        return str(getattr(exception, "challenge", 'Bearer realm="scim"'))


def answer_of(exc: Exception, provider: ScimProvider, *, request_id: str) -> ScimResponse:
    """Return the answer to a request that failed.

    :param request_id: Joins the log's line and the answer that hides the cause.
    """
    answered = scim_exception(exc, request_id)
    # Errors carry no cursor, so the secret that the library insists on seals nothing.
    response = _Errors(provider, secret=b"").error_response(answered)
    if response.body is not None:
        response.body["detail"] = error_of(answered).detail
    if isinstance(answered, ServiceUnavailable | TooManyRequests):
        response.headers["Retry-After"] = str(max(1, round(answered.retry_after_seconds)))
    return response


def error_of(exc: SCIMException) -> Error:
    """Return the error of a request, or of one bulk operation, with words on what to do; a refusal is logged."""
    error = exc.to_error()
    error.detail = reworded(exc.detail)
    if exc.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        log.info("scim.refused", status=int(exc.status), scim_type=exc.scim_type or None)
    return error


def scim_exception(exc: Exception, request_id: str) -> SCIMException:
    """Return a failure as the client sees it; a failure of the bridge is logged, and its cause hidden."""
    if isinstance(exc, SCIMException):
        return exc
    if isinstance(exc, IncompleteRefused):
        return InvalidValueException(detail=str(exc))
    if isinstance(exc, UndoUncertain):
        log.error("scim.undo_uncertain", request_id=request_id)
        return ServiceUnavailable(
            DATABASE_RETRY_SECONDS, detail="the bridge lost its database while it undid a refused write: try again"
        )
    if is_out_of_reach(exc):
        log.error("scim.database_out_of_reach", error=type(exc).__name__, why=trouble_of(exc).words)
        return ServiceUnavailable(
            DATABASE_RETRY_SECONDS, detail="the bridge can't reach its database: nothing was changed, try again later"
        )
    log.error("scim.failed", request_id=request_id, error=type(exc).__name__, exc_info=loggable(exc))
    failure = SCIMException(detail=f"the bridge failed at this request; its log has the cause under {request_id}")
    failure.status = 500
    return failure


_SEARCH = ".search"
_NOT_A_TYPE = RESERVED_NAMES | {_SEARCH}


def find_target(method: str, path: str, resource_types: Sequence[ResourceType]) -> Target:
    """Return the operation that a request, or an operation of a bulk request, asks for.

    :raises NotFoundException: nothing is served there, whatever the method.
    :raises MethodNotAllowedException: something is, but not by this method.
    """
    first, *rest = path.strip("/").split("/")
    if first and first not in _NOT_A_TYPE and first.casefold() not in _endpoints(resource_types):
        # The library answers 405 to a method that no resource type has, even where the type does not exist.
        raise _nothing_there(path, resource_types)
    try:
        if rest == [_SEARCH] and method.upper() != "POST":
            # The library takes it for the id of a resource.
            raise MethodNotAllowedException(allowed=["POST"])
        return match(method.upper(), path)
    except MethodNotAllowedException as exc:
        raise MethodNotAllowedException(
            allowed=exc.allowed,
            detail=f"{method[:20]} is not supported at {_shown(path)}: use {' or '.join(exc.allowed)}",
        ) from exc
    except NotFoundException as exc:
        raise _nothing_there(path, resource_types) from exc


def _endpoints(resource_types: Sequence[ResourceType]) -> dict[str, str]:
    """Return the endpoints of the types as their schema spells them, by their case-folded names."""
    names = [str(each.endpoint).strip("/") for each in resource_types]
    return {name.casefold(): name for name in names}


def _shown(path: str) -> str:
    return shown(f"/{path.strip('/')}")


def _nothing_there(path: str, resource_types: Sequence[ResourceType]) -> NotFoundException:
    served = [f"/{name}" for name in (*_endpoints(resource_types).values(), *sorted(RESERVED_NAMES - {"Me"}))]
    return NotFoundException(
        detail=f"nothing is served at {_shown(path)}: there are {', '.join(served)}, and /Users/{{id}} for one user; "
        "in Entra, check that the Tenant URL ends with /scim/v2"
    )


class PlainService(ScimService):
    """The protocol, with refusals that name what is wrong and what to do."""

    _matched: tuple[ScimRequest, Target] | None = None

    def match(self, request: ScimRequest) -> Target:  # type: ignore[override]  # The library's asks no resource types.
        """Return the operation that a request asks for. The library asks twice."""
        if self._matched is None or self._matched[0] is not request:
            self._matched = request, find_target(request.method, request.path, self.provider.resource_types)
        return self._matched[1]

    def me_target(self, request: ScimRequest) -> tuple[ResourceType, str]:
        """Refuse `/Me`: a token belongs to a client, not to a user.

        :raises NotImplementedException: always.
        """
        raise NotImplementedException(
            detail="/Me is not supported, as a token belongs to a client and not to a user: use /Users/{id}"
        )

    def me_creation_type(self, request: ScimRequest) -> ResourceType:
        """Refuse `POST /Me`: users do not register themselves.

        :raises NotImplementedException: always.
        """
        raise NotImplementedException(
            detail="/Me is not supported, as a token belongs to a client and not to a user: POST to /Users"
        )

    @staticmethod
    def ensure_json(content_type: str | None) -> None:
        """Accept any JSON, and a body without a content type (RFC 7644 §3.8)."""
        if content_type and not is_json_media_type(content_type):
            raise UnsupportedMediaTypeException(
                detail=f"the body is sent as {shown(content_type)}: send JSON as application/scim+json or "
                "application/json"
            )

    def read_conditions(self, request: ScimRequest) -> Conditions:  # type: ignore[override]  # A static method there.
        """Return `If-Match` and `If-None-Match`, if they are usable."""
        for name in ("If-Match", "If-None-Match"):
            refuse_unusable_condition(request.header(name), f"the header {name}")
        return super().read_conditions(request)

    def check_preconditions(self, resource: Resource[Any], method: str, conditions: Conditions) -> bool:
        """Return whether the resource has the requested version; False for a GET of a version the client has."""
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
        """Refuse a filter on the service's own description (RFC 7644 §4)."""
        if "filter" in query:
            raise ForbiddenException(
                detail="what the service says of itself can't be filtered: take the parameter filter out of the "
                "request, and read the whole list"
            )

    def resource_type(self, location: str, resource_type_id: str, query: Mapping[str, str]) -> ScimResponse:
        """Return one resource type."""
        try:
            return super().resource_type(location, resource_type_id, query)
        except NotFoundException as exc:
            raise _none_of("resource type", resource_type_id, "/ResourceTypes") from exc

    def schema(self, location: str, schema_id: str, query: Mapping[str, str]) -> ScimResponse:
        """Return one schema."""
        try:
            return super().schema(location, schema_id, query)
        except NotFoundException as exc:
            raise _none_of("schema", schema_id, "/Schemas") from exc


def _none_of(kind: str, name: str, place: str) -> NotFoundException:
    return NotFoundException(detail=f"there is no {kind} {shown(name)}: see {place} for the existing ones")


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
