"""The steps of a request, in the order in which the bridge takes them: a body is read before anything is locked."""

from collections.abc import Callable
from typing import Any, cast

from scim2_models import BulkOperation, PatchOp, Resource, ResourceType
from scim2_server.bulk import BulkPlan, BulkStep
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation as Asked
from scim2_server.routing import Target

from scim_bridge.scim.entra_patch import entries_to_make
from scim_bridge.storage.database import repeated
from scim_bridge.web.scim.bounds import refuse_long_work
from scim_bridge.web.scim.bulk import Operation, has_changed_anything
from scim_bridge.web.scim.errors import BulkTooLong, ServiceUnavailable, error_of, scim_exception
from scim_bridge.web.scim.lookup import asks_for_parts
from scim_bridge.web.scim.refusals import Told
from scim_bridge.web.scim.service import BridgeService
from scim_bridge.web.scim.storage import USER, BridgeStorage

BULK_SECONDS = 10.0
"""How long the operations of one bulk request may take; those that are left then are not tried (rule A9)."""


class BridgeHandler(ScimHandler):
    """Runs the steps, and tells the storage of writes that change nothing (rule A5)."""

    service: BridgeService
    storage: BridgeStorage

    def __init__(
        self, service: BridgeService, storage: BridgeStorage, request_id: str, monotonic: Callable[[], float]
    ) -> None:
        super().__init__(service, storage)
        self._monotonic = monotonic
        self._began = monotonic()
        self._request_id = request_id
        self._out_of_reach: ServiceUnavailable | None = None
        self.refused: list[Told] = []
        """The operations of a bulk request that failed."""

    def run_bulk_step(
        self, request: ScimRequest, plan: BulkPlan, step: BulkStep
    ) -> tuple[dict[str, Any], Resource[Any] | None]:
        """Run one operation of a bulk request in a transaction of its own. Return its result and its resource.

        :raises ServiceUnavailable: the database is out of reach, and no operation has changed anything. Then the
            whole request can be sent again. After a change, the operations that follow fail one by one, untried.
        """
        operation = plan.operation(step)
        outcome = self.service.bulk_outcome(request.base_url, operation)
        try:
            if self._out_of_reach is not None:
                raise self._out_of_reach
            if plan.results and self._monotonic() - self._began > BULK_SECONDS:
                raise BulkTooLong(BULK_SECONDS)
            resource_type = self.service.route_bulk_operation(operation)
            operation = plan.resolve(step)
            self.service.locate_bulk_operation(request.base_url, resource_type, operation, outcome)
            self.service.authorize_bulk_operation(request, operation, resource_type)
            resource = repeated(lambda: self._apply(resource_type, operation))
            return self.service.bulk_success(request.base_url, operation, outcome, resource), resource
        except Exception as exc:
            failure = scim_exception(exc, self._request_id)
            if isinstance(failure, ServiceUnavailable) and not isinstance(failure, BulkTooLong):
                if not has_changed_anything(plan):
                    raise failure from exc
                self._out_of_reach = failure
            error = error_of(failure)
            self.refused.append(
                Told(
                    str(operation.method),
                    str(operation.path),
                    operation.data,
                    failure.status,
                    error.scim_type,
                    error.detail,
                )
            )
            return {**outcome, "status": failure.status, "response": error}, None

    def _apply(self, resource_type: ResourceType, sent: Operation) -> Resource[Any] | None:
        """Read one operation of a bulk request, and run it in a transaction of its own."""
        operation = self.service.read_bulk_data(resource_type, sent)
        if operation.method == BulkOperation.Method.post:
            self.storage.prepare(resource_type, cast(Resource[Any], operation.data))
        with self.storage.operation():
            return self.apply_bulk_operation(resource_type, operation)

    def _target(self, request: ScimRequest, asked: Asked) -> tuple[Target, ResourceType]:
        """Return what a request is about, and its type; refuse what the library would refuse of it."""
        target = self.service.route(request, asked)
        resource_type = self.service.resource_type_at(cast(str, target.endpoint))
        self.service.authorize(request, target, resource_type)
        return target, resource_type

    def create(self, request: ScimRequest) -> ScimResponse:
        """Create a resource, whose row is made before the transaction begins (rule A9).

        The answer has what `attributes` and `excludedAttributes` ask for (RFC 7644 §3.9).
        """
        service = self.service
        with service.provider:
            _, resource_type = self._target(request, Asked.create)
            asked = None
            if asks_for_parts(request.query):
                asked = service.read_response_parameters(resource_type, request.query)
            resource = service.read_creation(resource_type, request.body, request.header("Content-Type"))
            self.storage.prepare(resource_type, resource)
            if asked is None and resource_type.name == USER:
                with self.storage.operation():
                    stored = self.storage.add(resource_type, resource)
                if (answer := service.created_answer(request.base_url, stored.id)) is not None:
                    return answer
                created = self.storage.resource(resource_type, stored)
            else:
                with self.storage.operation():
                    created = self.storage.create(resource_type, resource)
            return service.creation_response(request.base_url, created, asked)

    def replace(self, request: ScimRequest) -> ScimResponse:
        """Replace a resource. The library would read the body while the resource is locked (rule A9)."""
        service = self.service
        with service.provider:
            target, resource_type = self._target(request, Asked.replace)
            response_parameters = service.read_response_parameters(resource_type, request.query)
            replacement = service.read_replacement(resource_type, request.body, request.header("Content-Type"))
            conditions = service.read_conditions(request)
            with self.storage.operation():
                current = self.storage.get(resource_type, cast(str, target.resource_id))
                resource = self.replace_resource(resource_type, current, replacement, conditions)
            return service.replacement_response(request.base_url, resource, response_parameters)

    def patch(self, request: ScimRequest) -> ScimResponse:
        """Modify a resource. A user who only gets other values of simple attributes is changed as they are stored."""
        service = self.service
        with service.provider:
            target, resource_type = self._target(request, Asked.patch)
            asked = service.read_response_parameters(resource_type, request.query)
            rewritten = service.read_operations(resource_type, request.body, request.header("Content-Type"))
            conditions = service.read_conditions(request)
            is_plain = resource_type.name == USER and conditions == Conditions() and not asks_for_parts(request.query)
            settings = service.settings_of(resource_type, rewritten) if is_plain else None
            patch_op = None if settings else service.patch_op(resource_type, rewritten)
            user_id, stored = cast(str, target.resource_id), None
            with self.storage.operation():
                if settings:
                    stored = self.storage.set_values(resource_type, user_id, settings)
                if stored is not None:
                    service.note(rewritten)
                else:
                    patch_op = patch_op or service.patch_op(resource_type, rewritten)
                    resource = self.patch_resource(resource_type, user_id, patch_op, conditions)
            if stored is not None:
                if (answer := service.patched_answer(request.base_url, stored)) is not None:
                    return service.me_response(request, target, answer)
                resource = self.storage.resource(resource_type, stored)
            return service.me_response(request, target, service.patch_response(request.base_url, resource, asked))

    def patch_resource(
        self,
        resource_type: ResourceType,
        resource_id: str,
        patch_op: "PatchOp[Any]",
        conditions: Conditions,
    ) -> Resource[Any]:
        """Apply a PATCH to a stored resource."""
        current, membership = self.storage.parted(resource_type, resource_id)
        refuse_long_work(current, patch_op)
        version = current.meta.version if current.meta else None
        to_make = entries_to_make(current, patch_op) if membership is None else ()
        patched = self.service.apply_patch(current, patch_op, conditions, membership)
        if to_make:
            self.storage.tolerate(to_make)
        if patched is None:
            self.storage.repeated(resource_type, resource_id)
            return current
        return self.storage.patched(resource_type, patched, version, membership)

    def replace_resource(
        self,
        resource_type: ResourceType,
        current: Resource[Any],
        replacement: Resource[Any],
        conditions: Conditions,
    ) -> Resource[Any]:
        """Replace a stored resource by a whole new state."""
        version = current.meta.version if current.meta else None
        replaced = self.service.apply_replacement(current, replacement, conditions)
        if replaced is None:
            self.storage.repeated(resource_type, str(current.id))
            return current
        return self.storage.update(resource_type, replaced, expected_version=version)
