"""The protocol server with the bridge's own ways: Entra's shapes, the delivery attributes, bounds."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from scim2_models import (
    BulkOperation,
    Context,
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
from scim2_server.utils import parametrize

from scim_bridge.scim.entra_patch import rewrite_patch
from scim_bridge.scim.entra_resource import Rewritten, rewrite_resource
from scim_bridge.scim.quirks import Toleration
from scim_bridge.scim.resources import Membership
from scim_bridge.scim.schema import shape_of
from scim_bridge.web.scim.answers import AnsweringService, Views
from scim_bridge.web.scim.bodies import decoded, decoded_object
from scim_bridge.web.scim.bulk import Operation
from scim_bridge.web.scim.cursors import LateCursors
from scim_bridge.web.scim.search_bounds import LAST_INDEX, refuse_large_search, refuse_unanswerable
from scim_bridge.web.scim.search_names import with_schemas
from scim_bridge.web.scim.wording import explained
from scim_bridge.web.scim.write_bounds import (
    refuse_large_patch,
    refuse_large_resource,
    refuse_many_entries,
    refuse_many_operations,
)


class BridgeService(AnsweringService):
    """The steps of the protocol, for one request; `AnsweringService` names the other parameters.

    :param tolerated: Told how a body departs from the RFCs, by kind and name (rule A7).
    :param cursor_secret: What the tenant's cursors are sealed with; called for requests with a cursor alone.
    """

    def __init__(
        self,
        provider: ScimProvider,
        *,
        patch_status: int,
        max_value_length: int,
        max_filter_length: int,
        max_patch_operations: int,
        views: Views,
        whole: Callable[[Resource[Any], ResponseParameters[Any]], Resource[Any]],
        tolerated: Callable[[tuple[Toleration, ...]], None],
        cursor_secret: Callable[[], str],
    ) -> None:
        super().__init__(
            provider, max_value_length=max_value_length, patch_status=patch_status, views=views, whole=whole
        )
        # Fetching the secret would cost all those without a cursor.
        self._cursors = LateCursors(cursor_secret)
        self._max_filter_length = max_filter_length
        self._max_patch_operations = max_patch_operations
        self._tolerated = tolerated

    # -- Reading requests -----------------------------------------------

    def read_creation(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """The resource of a POST."""
        self.ensure_json(content_type)
        sent = decoded_object(body, self.max_value_length)
        return self._resource(resource_type, sent, Context.RESOURCE_CREATION_REQUEST)

    def read_replacement(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """The resource of a PUT."""
        self.ensure_json(content_type)
        sent = decoded_object(body, self.max_value_length)
        return self._resource(resource_type, sent, Context.RESOURCE_REPLACEMENT_REQUEST)

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> "PatchOp[Any]":
        """The operations of a PATCH."""
        self.ensure_patch_supported()
        self.ensure_json(content_type)
        return self._patch_op(resource_type, decoded_object(body, self.max_value_length))

    def read_bulk_data(self, resource_type: ResourceType, operation: Operation) -> Operation:
        """An operation of a bulk request, its data read as the body of a single request is."""
        sent: Any = operation.data
        match operation.method:
            case BulkOperation.Method.post:
                data = self._resource(resource_type, sent, Context.RESOURCE_CREATION_REQUEST)
            case BulkOperation.Method.put:
                data = self._resource(resource_type, sent, Context.RESOURCE_REPLACEMENT_REQUEST)
            case BulkOperation.Method.patch:
                return operation.model_copy(update={"data": self._patch_op(resource_type, sent)})
            case _:
                return operation
        return operation.model_copy(update={"data": data})

    def apply_patch(
        self,
        current: Resource[Any],
        patch_op: "PatchOp[Any]",
        conditions: Conditions,
        membership: Membership | None = None,
    ) -> Resource[Any] | None:
        """The state after a PATCH, or None where it changes nothing.

        :param membership: The members of a group that is given without them; they are changed in place.
        """
        try:
            if membership is None:
                patched = super().apply_patch(current, patch_op, conditions)
            else:
                self.check_preconditions(current, "PATCH", conditions)
                patched = current if membership.apply(current, patch_op) else None
        except SCIMException as exc:
            if isinstance(exc.__cause__, ValidationError):
                raise explained(exc.__cause__) from exc
            raise
        self._refuse_blank(current)
        refuse_many_entries(current)
        return patched

    def decode_body(self, body: bytes, content_type: str | None) -> Any:
        """The JSON of a search's body."""
        self.ensure_json(content_type)
        return decoded(body, max(self.max_value_length, self._max_filter_length))

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """The search that a query or a body asks for."""
        models = self.search_models(resource_types)
        refuse_large_search(payload, self._max_filter_length)
        payload = with_schemas(payload, models)
        refuse_unanswerable(payload, models)
        try:
            search_request, position = super().read_search(resource_types, payload)
        except SCIMException as exc:
            raise _explained(exc) from exc
        if search_request.start_index is not None:
            search_request.start_index = min(search_request.start_index, LAST_INDEX)
        return search_request, position

    def read_response_parameters(
        self, resource_type: ResourceType, query: Mapping[str, str]
    ) -> ResponseParameters[Any]:
        """The attributes that the answer is to have."""
        refuse_large_search(query, self._max_filter_length)
        try:
            return super().read_response_parameters(resource_type, with_schemas(query, [self.get_model(resource_type)]))
        except SCIMException as exc:
            raise _explained(exc) from exc

    def _resource(self, resource_type: ResourceType, body: dict[str, Any], context: Context) -> Resource[Any]:
        refuse_large_resource(body, max_filter_length=self._max_filter_length, max_filters=self._max_patch_operations)
        model = self.get_model(resource_type)
        resource: Resource[Any] = self._validated(model, rewrite_resource(shape_of(model), body), context)
        return resource

    def _patch_op(self, resource_type: ResourceType, body: dict[str, Any]) -> "PatchOp[Any]":
        limit = self._max_patch_operations
        refuse_large_patch(body, max_filter_length=self._max_filter_length, max_operations=limit)
        model = self.get_model(resource_type)
        rewritten = rewrite_patch(shape_of(model), body)
        refuse_many_operations(rewritten.body, limit)
        patch_op: PatchOp[Any] = self._validated(parametrize(PatchOp, model), rewritten, Context.RESOURCE_PATCH_REQUEST)
        return patch_op

    def _validated(self, model: Any, rewritten: Rewritten, context: Context) -> Any:
        try:
            validated = model.model_validate(rewritten.body, scim_ctx=context)
        except ValidationError as exc:
            raise explained(exc) from exc
        if isinstance(validated, Resource):
            self._refuse_blank(validated)
        if rewritten.tolerated:
            # Last: what is refused isn't counted, not even with the next operation of a bulk request.
            self._tolerated(rewritten.tolerated)
        return validated

    @staticmethod
    def _refuse_blank(resource: Resource[Any]) -> None:
        """Refuse a required text that is blank: an empty `userName` above all (rule A7)."""
        for shape in shape_of(type(resource)).attributes.values():
            if shape.required and not shape.multi_valued:
                value = resource[shape.name]
                if isinstance(value, str) and not value.strip():
                    raise InvalidValueException(detail=f"{shape.name} is empty: send a value")


def _explained(exc: SCIMException) -> SCIMException:
    return explained(exc.__cause__) if isinstance(exc.__cause__, ValidationError) else exc
