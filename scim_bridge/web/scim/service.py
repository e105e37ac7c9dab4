"""The protocol server with the bridge's own behaviour: Entra's forms, delivery state, cursors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
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
from scim2_server.cursor import Cursors
from scim2_server.responses import ScimResponse
from scim2_server.storage import SearchPage
from scim2_server.utils import parametrize

from scim_bridge.domain.outcome import DeliveryView
from scim_bridge.scim.entra_patch import Setting, rewrite_patch, settings_of
from scim_bridge.scim.entra_resource import Rewritten, rewrite_resource
from scim_bridge.scim.provider import NAME
from scim_bridge.scim.quirks import Quirk
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.scim.resources import Membership, value_of
from scim_bridge.scim.schema import is_complete, shape_of
from scim_bridge.storage.resources import StoredResource
from scim_bridge.web.scim.bounds import (
    decoded,
    decoded_object,
    refuse_large_patch,
    refuse_large_resource,
    refuse_many_entries,
    refuse_many_operations,
)
from scim_bridge.web.scim.bulk import BulkService, Operation
from scim_bridge.web.scim.filters import with_schemas
from scim_bridge.web.scim.lookup import written_answer
from scim_bridge.web.scim.rows import identity_of
from scim_bridge.web.scim.searching import LAST_INDEX, refuse_large_search, refuse_unanswerable
from scim_bridge.web.scim.wording import explained

Views = Callable[[Iterable[str]], Mapping[str, DeliveryView]]


class AnsweringService(BulkService):
    """The steps that answer.

    :param max_value_length: The longest text in a body, in characters.
    :param patch_status: The status of a successful PATCH: 200 with the resource, or 204.
    :param views: Returns the delivery states of users, by their ids.
    :param whole: Returns a patched resource as far as its answer shows it.
    :param written: Returns a user as this request has written them, None if it has not.
    """

    def __init__(
        self,
        provider: ScimProvider,
        *,
        max_value_length: int,
        patch_status: int,
        views: Views,
        whole: Callable[[Resource[Any], ResponseParameters[Any]], Resource[Any]],
        written: Callable[[str], StoredResource | None],
    ) -> None:
        # The library asks for the cursors' secret now, for every request; see `LateCursors`.
        super().__init__(provider, secret=b"")
        self.max_value_length = max_value_length
        self._patch_status = patch_status
        self._views = views
        self._whole = whole
        self._written = written

    def publish(self, base_url: str, resource: Resource[Any]) -> Resource[Any]:
        """Return the resource for the answer: a user with their delivery state."""
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

    def query_response(
        self,
        base_url: str,
        resource: Resource[Any],
        response_parameters: ResponseParameters[Any],
        conditions: Conditions,
    ) -> ScimResponse:
        """Return the answer to a GET: 304 only if nothing in it has changed, the delivery state included.

        The version covers only the user itself (rule A6), so it can't show that a delivery went on. `*` names no
        version: it asks whether the user exists at all.
        """
        view = self._views([str(resource.id)]).get(str(resource.id))
        written_at = resource.meta.last_modified if resource.meta else None
        asks = (conditions.if_none_match or "*").strip() != "*"
        if asks and view and written_at and view.may_differ_since(written_at):
            answer = super().query_response(
                base_url, resource, response_parameters, replace(conditions, if_none_match=None)
            )
            if answer.body is not None and DITIO_URN in answer.body:
                return answer
        return super().query_response(base_url, resource, response_parameters, conditions)

    def creation_response(
        self, base_url: str, created: Resource[Any], response_parameters: ResponseParameters[Any] | None = None
    ) -> ScimResponse:
        """Return the answer to a POST, with the location of the resource."""
        published = self.publish(base_url, created)
        response = self.resource_response(
            published, Context.RESOURCE_CREATION_RESPONSE, response_parameters, HTTPStatus.CREATED
        )
        response.headers["Location"] = response.headers["Content-Location"]
        return response

    def search_response(
        self,
        base_url: str,
        resource_types: list[ResourceType],
        page: SearchPage,
        search_request: SearchRequest[Any],
    ) -> ScimResponse:
        """Return a page of a search."""
        # All views at once, instead of one by one in `publish`.
        self._views([str(resource.id) for resource in page.resources])
        return super().search_response(base_url, resource_types, page, search_request)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """Return the answer to a PATCH: the resource, or nothing, as configured.

        A group comes without its members, as if the request had excluded them: one change to a large group would cost
        every member. They come if the request asks for them, or named all of them itself.
        """
        asks = response_parameters.attributes or response_parameters.excluded_attributes
        if self._patch_status == HTTPStatus.OK or asks:
            if not asks and (answer := self._answer(base_url, str(resource.id), HTTPStatus.OK)) is not None:
                return answer
            whole = self._whole(resource, response_parameters)
            return self.resource_response(
                self.publish(base_url, whole), Context.RESOURCE_PATCH_RESPONSE, response_parameters
            )
        version = resource.meta.version if resource.meta else None
        return ScimResponse(HTTPStatus.NO_CONTENT, None, {"ETag": version} if version else {})

    def created_answer(self, base_url: str, user_id: str) -> ScimResponse | None:
        """Return the answer to the POST of a user from what was stored; None if a resource has to be made of it."""
        answer = self._answer(base_url, user_id, HTTPStatus.CREATED)
        if answer is not None:
            answer.headers["Location"] = answer.headers["Content-Location"]
        return answer

    def patched_answer(self, base_url: str, user: StoredResource) -> ScimResponse | None:
        """Return the answer to the PATCH of a user, likewise."""
        if self._patch_status == HTTPStatus.NO_CONTENT:
            return ScimResponse(HTTPStatus.NO_CONTENT, None, {"ETag": identity_of(user).etag})
        return self._answer(base_url, user.id, HTTPStatus.OK)

    def _answer(self, base_url: str, user_id: str, status: HTTPStatus) -> ScimResponse | None:
        stored = self._written(user_id)
        return None if stored is None else written_answer(self.provider, base_url, stored, status)


class LateCursors(Cursors):
    """Seals and opens the cursors of one tenant.

    :param fetch: Returns the tenant's secret.
    """

    def __init__(self, fetch: Callable[[], str]) -> None:
        super().__init__(b"")
        self._fetch = fetch

    def seal(self, query: str, count: int | None, position: Any) -> str:
        """Return the cursor of a position."""
        self.secret = self._fetch().encode()
        return super().seal(query, count, position)

    def open(self, cursor: str, query: str, count: int | None, timeout: int | None) -> Any:
        """Return the position of a cursor.

        :raises InvalidCursorException: as the library's own.
        """
        self.secret = self._fetch().encode()
        return super().open(cursor, query, count, timeout)


class BridgeService(AnsweringService):
    """The steps of the protocol, for one request; `AnsweringService` names the other parameters.

    :param tolerated: Gets the quirks of a body, by kind and name (rule A7).
    :param cursor_secret: Returns the secret of the tenant's cursors; called only for requests with a cursor.
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
        written: Callable[[str], StoredResource | None],
        tolerated: Callable[[tuple[Quirk, ...]], None],
        cursor_secret: Callable[[], str],
    ) -> None:
        super().__init__(
            provider,
            max_value_length=max_value_length,
            patch_status=patch_status,
            views=views,
            whole=whole,
            written=written,
        )
        # Requests without a cursor must not pay for fetching the secret.
        self._cursors = LateCursors(cursor_secret)
        self._max_filter_length = max_filter_length
        self._max_patch_operations = max_patch_operations
        self._tolerated = tolerated

    # -- Reading requests -----------------------------------------------

    def read_creation(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """Return the resource of a POST."""
        self.ensure_json(content_type)
        sent = decoded_object(body, self.max_value_length)
        return self._resource(resource_type, sent, Context.RESOURCE_CREATION_REQUEST)

    def read_replacement(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """Return the resource of a PUT."""
        self.ensure_json(content_type)
        sent = decoded_object(body, self.max_value_length)
        return self._resource(resource_type, sent, Context.RESOURCE_REPLACEMENT_REQUEST)

    def read_operations(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Rewritten:
        """Return the body of a PATCH, rewritten and not yet validated: for `settings_of`, or for `patch_op`."""
        self.ensure_patch_supported()
        self.ensure_json(content_type)
        return self._operations(resource_type, decoded_object(body, self.max_value_length))

    def settings_of(self, resource_type: ResourceType, rewritten: Rewritten) -> tuple[Setting, ...] | None:
        """Return what a PATCH sets, if it only gives values to simple attributes."""
        return settings_of(shape_of(self.get_model(resource_type)), rewritten.body)

    def patch_op(self, resource_type: ResourceType, rewritten: Rewritten) -> "PatchOp[Any]":
        """Return the validated operations of a PATCH."""
        model = parametrize(PatchOp, self.get_model(resource_type))
        patch_op: PatchOp[Any] = self._validated(model, rewritten, Context.RESOURCE_PATCH_REQUEST)
        return patch_op

    def read_bulk_data(self, resource_type: ResourceType, operation: Operation) -> Operation:
        """Return an operation of a bulk request, with its data read as the body of a single request is."""
        sent: Any = operation.data
        match operation.method:
            case BulkOperation.Method.post:
                data = self._resource(resource_type, sent, Context.RESOURCE_CREATION_REQUEST)
            case BulkOperation.Method.put:
                data = self._resource(resource_type, sent, Context.RESOURCE_REPLACEMENT_REQUEST)
            case BulkOperation.Method.patch:
                read = self.patch_op(resource_type, self._operations(resource_type, sent))
                return operation.model_copy(update={"data": read})
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
        """Return the state after a PATCH, or None where it changes nothing.

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
        """Return the JSON of a search's body."""
        self.ensure_json(content_type)
        return decoded(body, max(self.max_value_length, self._max_filter_length))

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """Return the search that a query or a body asks for."""
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
        """Return the attributes that the answer should have."""
        refuse_large_search(query, self._max_filter_length)
        try:
            return super().read_response_parameters(resource_type, with_schemas(query, [self.get_model(resource_type)]))
        except SCIMException as exc:
            raise _explained(exc) from exc

    def _resource(self, resource_type: ResourceType, body: dict[str, Any], context: Context) -> Resource[Any]:
        refuse_large_resource(body, max_filter_length=self._max_filter_length, max_filters=self._max_patch_operations)
        model = self.get_model(resource_type)
        shape = shape_of(model)
        rewritten = rewrite_resource(shape, body)
        if is_complete(shape, rewritten.body):
            # Nothing that the context forbids is left in it: the library need not look at each attribute for that.
            context = Context.DEFAULT
        resource: Resource[Any] = self._validated(model, rewritten, context)
        return resource

    def _operations(self, resource_type: ResourceType, body: dict[str, Any]) -> Rewritten:
        limit = self._max_patch_operations
        refuse_large_patch(body, max_filter_length=self._max_filter_length, max_operations=limit)
        rewritten = rewrite_patch(shape_of(self.get_model(resource_type)), body)
        refuse_many_operations(rewritten.body, limit)
        return rewritten

    def _validated(self, model: Any, rewritten: Rewritten, context: Context) -> Any:
        try:
            validated = model.model_validate(rewritten.body, scim_ctx=context)
        except ValidationError as exc:
            raise explained(exc) from exc
        if isinstance(validated, Resource):
            self._refuse_blank(validated)
        # Last: what is refused isn't counted, not even with the next operation of a bulk request.
        self.note(rewritten)
        return validated

    def note(self, rewritten: Rewritten) -> None:
        """Note the quirks of a body (rule A7)."""
        if rewritten.tolerated:
            self._tolerated(rewritten.tolerated)

    @staticmethod
    def _refuse_blank(resource: Resource[Any]) -> None:
        """Refuse a required text that is blank: an empty `userName` above all (rule A7)."""
        for shape in shape_of(type(resource)).attributes.values():
            if shape.required and not shape.multi_valued:
                value = value_of(resource, shape.name)
                if isinstance(value, str) and not value.strip():
                    raise InvalidValueException(detail=f"{shape.name} is empty: send a value")


def _explained(exc: SCIMException) -> SCIMException:
    return explained(exc.__cause__) if isinstance(exc.__cause__, ValidationError) else exc
