"""The protocol server with the bridge's own ways: Entra's shapes, the delivery attributes, bounds."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from scim2_models import (
    Context,
    InvalidFilterException,
    InvalidValueException,
    PatchOp,
    Resource,
    ResourceType,
    ResponseParameters,
    SCIMException,
    ScimProvider,
    SearchRequest,
)
from scim2_server.conditions import Conditions
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService
from scim2_server.storage import SearchPage
from scim2_server.utils import parametrize

from scim_bridge.domain.delivery_state import DeliveryView
from scim_bridge.scim.entra import Rewritten, rewrite_resource
from scim_bridge.scim.entra_patch import rewrite_patch
from scim_bridge.scim.extension import NAME
from scim_bridge.scim.shapes import shape_of
from scim_bridge.web.scim.bodies import decoded, decoded_object
from scim_bridge.web.scim.wording import explained

Views = Callable[[Iterable[str]], Mapping[str, DeliveryView]]


class BridgeService(ScimService):
    """The steps of the protocol, for one request.

    :param views: How far the delivery of users has come, by their ids.
    :param ignored: Told the names of the attributes that were left out (rule A7).
    """

    def __init__(
        self,
        provider: ScimProvider,
        *,
        patch_status: int,
        max_filter_length: int,
        views: Views,
        ignored: Callable[[tuple[str, ...]], None],
    ) -> None:
        super().__init__(provider)
        self._patch_status = patch_status
        self._max_filter_length = max_filter_length
        self._views = views
        self._ignored = ignored

    # -- Reading requests -----------------------------------------------

    def read_creation(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """The resource of a POST."""
        return self._read_resource(resource_type, body, content_type, Context.RESOURCE_CREATION_REQUEST)

    def read_replacement(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """The resource of a PUT."""
        return self._read_resource(resource_type, body, content_type, Context.RESOURCE_REPLACEMENT_REQUEST)

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> "PatchOp[Any]":
        """The operations of a PATCH."""
        self.ensure_patch_supported()
        self.ensure_json(content_type)
        model = self.get_model(resource_type)
        rewritten = rewrite_patch(shape_of(model), decoded_object(body))
        patch_op: PatchOp[Any] = self._validated(parametrize(PatchOp, model), rewritten, Context.RESOURCE_PATCH_REQUEST)
        return patch_op

    def apply_patch(
        self, current: Resource[Any], patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Resource[Any] | None:
        """The state after a PATCH, or None where it changes nothing."""
        try:
            patched = super().apply_patch(current, patch_op, conditions)
        except SCIMException as exc:
            if isinstance(exc.__cause__, ValidationError):
                raise explained(exc.__cause__) from exc
            raise
        self._refuse_blank(current)
        return patched

    def decode_body(self, body: bytes, content_type: str | None) -> Any:
        """The JSON of a search's body."""
        self.ensure_json(content_type)
        return decoded(body)

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """The search that a query or a body asks for."""
        text = payload.get("filter") if isinstance(payload, dict) else None
        if isinstance(text, str) and len(text) > self._max_filter_length:
            raise InvalidFilterException(
                detail=f"the filter has {len(text)} characters, {self._max_filter_length} are allowed: "
                "send a shorter one"
            )
        try:
            return super().read_search(resource_types, payload)
        except SCIMException as exc:
            raise _explained(exc) from exc

    def read_response_parameters(
        self, resource_type: ResourceType, query: Mapping[str, str]
    ) -> ResponseParameters[Any]:
        """The attributes that the answer is to have."""
        try:
            return super().read_response_parameters(resource_type, query)
        except SCIMException as exc:
            raise _explained(exc) from exc

    def _read_resource(
        self, resource_type: ResourceType, body: bytes, content_type: str | None, context: Context
    ) -> Resource[Any]:
        self.ensure_json(content_type)
        model = self.get_model(resource_type)
        rewritten = rewrite_resource(shape_of(model), decoded_object(body))
        resource: Resource[Any] = self._validated(model, rewritten, context)
        self._refuse_blank(resource)
        return resource

    def _validated(self, model: Any, rewritten: Rewritten, context: Context) -> Any:
        if rewritten.ignored:
            self._ignored(rewritten.ignored)
        try:
            return model.model_validate(rewritten.body, scim_ctx=context)
        except ValidationError as exc:
            raise explained(exc) from exc

    @staticmethod
    def _refuse_blank(resource: Resource[Any]) -> None:
        """Refuse a required text that is blank: an empty `userName` above all (rule A7)."""
        for shape in shape_of(type(resource)).attributes.values():
            if shape.required and not shape.multi_valued:
                value = resource[shape.name]
                if isinstance(value, str) and not value.strip():
                    raise InvalidValueException(
                        detail=f"{shape.name} is empty: send a value, or take the attribute out of the request"
                    )

    # -- Answering ------------------------------------------------------

    def publish(self, base_url: str, resource: Resource[Any]) -> Resource[Any]:
        """The resource as it is answered: a user with how far his delivery has come."""
        published = super().publish(base_url, resource)
        extension = type(resource).get_extension_model(NAME)
        view = self._views([str(resource.id)]).get(str(resource.id)) if extension else None
        if extension is None or view is None:
            # The delivery never touches version or lastModified (rule A6).
            return published
        shown: Any = getattr(published, NAME) or extension()
        shown.delivery_state = str(view.state)
        shown.delivery_detail = view.detail
        shown.delivered_at = view.delivered_at
        setattr(published, NAME, shown)
        return published

    def search_response(
        self,
        base_url: str,
        resource_types: list[ResourceType],
        page: SearchPage,
        search_request: SearchRequest[Any],
    ) -> ScimResponse:
        """A page of a search."""
        # All at once, instead of one by one in `publish`.
        self._views([str(resource.id) for resource in page.resources])
        return super().search_response(base_url, resource_types, page, search_request)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """The answer to a PATCH: the whole resource, or nothing, as it is set up."""
        asks = response_parameters.attributes or response_parameters.excluded_attributes
        answer = self.resource_response(
            self.publish(base_url, resource), Context.RESOURCE_PATCH_RESPONSE, response_parameters
        )
        if self._patch_status == HTTPStatus.OK or asks:
            return answer
        headers = {name: value for name, value in answer.headers.items() if name == "ETag"}
        return ScimResponse(HTTPStatus.NO_CONTENT, None, headers)


def _explained(exc: SCIMException) -> SCIMException:
    return explained(exc.__cause__) if isinstance(exc.__cause__, ValidationError) else exc
