"""Answers of the protocol server: resources as a client sees them, users with how far their delivery has come."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from scim2_models import Context, Resource, ResourceType, ResponseParameters, ScimProvider, SearchRequest
from scim2_server.conditions import Conditions
from scim2_server.responses import ScimResponse
from scim2_server.storage import SearchPage

from scim_bridge.domain.delivery_state import DeliveryView
from scim_bridge.scim.provider import NAME
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.web.scim.bulk import BulkService

Views = Callable[[Iterable[str]], Mapping[str, DeliveryView]]


class AnsweringService(BulkService):
    """The steps that answer.

    :param max_value_length: The longest text in a body, in characters.
    :param patch_status: What a PATCH is answered with: 200 and the resource, or 204.
    :param views: How far the delivery of users has come, by their ids.
    :param whole: A patched resource as far as its answer shows it.
    """

    def __init__(
        self,
        provider: ScimProvider,
        *,
        max_value_length: int,
        patch_status: int,
        views: Views,
        whole: Callable[[Resource[Any], ResponseParameters[Any]], Resource[Any]],
    ) -> None:
        super().__init__(provider, max_value_length)
        self._patch_status = patch_status
        self._views = views
        self._whole = whole

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

    def query_response(
        self,
        base_url: str,
        resource: Resource[Any],
        response_parameters: ResponseParameters[Any],
        conditions: Conditions,
    ) -> ScimResponse:
        """The answer to a GET: 304 only where nothing that is shown has changed, the delivery included.

        The version belongs to the document alone (rule A6), so it can't tell that a delivery went on. `*` names no
        version: it asks whether there is a user at all.
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
        """The answer to a POST, with the location of the resource."""
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
        """A page of a search."""
        # All at once, instead of one by one in `publish`.
        self._views([str(resource.id) for resource in page.resources])
        return super().search_response(base_url, resource_types, page, search_request)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """The answer to a PATCH: the resource, or nothing, as it is set up.

        A group comes without its members, as if the request had excluded them, unless it asks for them or named all of
        them itself: one change to a large group would cost every member.
        """
        asks = response_parameters.attributes or response_parameters.excluded_attributes
        if self._patch_status == HTTPStatus.OK or asks:
            whole = self._whole(resource, response_parameters)
            return self.resource_response(
                self.publish(base_url, whole), Context.RESOURCE_PATCH_RESPONSE, response_parameters
            )
        version = resource.meta.version if resource.meta else None
        return ScimResponse(HTTPStatus.NO_CONTENT, None, {"ETag": version} if version else {})
