"""Bulk requests (RFC 7644 §3.7): operations that succeed or fail one by one, and their results.

The library (`BulkPlan`) decides the order of the operations, and what `bulkId:` refers to. Here an operation's data
stays as sent until its turn. Then its references are known, and it is read as a single request is.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

from scim2_models import (
    BulkOperation,
    BulkResponse,
    ConflictException,
    Error,
    InvalidSyntaxException,
    InvalidValueException,
    PayloadTooLargeException,
    Resource,
    ResourceType,
    SCIMException,
    User,
)
from scim2_server.bulk import BulkPlan, BulkStep
from scim2_server.responses import ScimResponse
from scim2_server.service import BULK_OPERATIONS, BULK_SUCCESS_STATUS

from scim_bridge.scim.entra_patch import PATCH_URN
from scim_bridge.scim.values import shown
from scim_bridge.web.scim.bounds import (
    MAX_BULK_VALUES,
    called,
    parsed_object,
    refuse_many_values,
    refuse_unreadable,
    refuse_unstorable,
)
from scim_bridge.web.scim.errors import PlainService, find_target
from scim_bridge.web.scim.searching import refuse_unusable_condition

Operation = BulkOperation[Resource[Any]]
_Envelope: Any = BulkOperation[User[Any]]
"""The library needs a resource type for an operation; any type will do, as the data isn't validated here."""

METHODS = " or ".join(BulkOperation.Method)


class BridgePlan(BulkPlan):
    """The order of the operations, with the library's refusals in plain words."""

    def resolve(self, step: BulkStep) -> Operation:
        """Return an operation with the ids of what the others have created.

        :raises ConflictException: something that it refers to was not created.
        """
        operation = self.operation(step)
        try:
            return super().resolve(step)
        except InvalidValueException as exc:
            raise InvalidValueException(
                detail=f"an earlier operation has the bulkId {shown(operation.bulk_id)} too: "
                "give each POST a bulkId of its own"
            ) from exc
        except ConflictException as exc:
            is_circular = "circular" in exc.detail
            missing = [each for each in self.references(operation) if each not in self.created]
            named = shown(missing[0]) if missing else "another"
            why = (
                f"refers in a circle to the operation with the bulkId {named}: create one of them without the "
                "reference, and add it with a PATCH afterwards"
                if is_circular
                else f"refers to the bulkId {named}, of which no resource was created: "
                "see the result of that POST, or add one with this bulkId"
            )
            raise ConflictException(detail=f"the operation {why}") from exc


class BulkService(PlainService):
    """The steps of a bulk request."""

    max_value_length: int
    """The longest text in a body, in characters."""

    def read_bulk(self, body: bytes, content_type: str | None) -> BridgePlan:
        """Return the operations of a bulk request, in the order in which they run.

        :raises SCIMException: for a fault of the whole request; a fault of one operation waits for its turn.
        """
        self.ensure_json(content_type)
        sent = {name.lower(): value for name, value in parsed_object(body).items()}
        operations = sent.get("operations")
        if operations is None or operations == []:
            raise InvalidValueException(
                detail=f"Operations is {'missing' if operations is None else 'empty'}: send at least one operation"
            )
        if not isinstance(operations, list):
            raise InvalidSyntaxException(detail=f"Operations is {called(operations)}: send a list of operations")
        self._refuse_many(len(operations))
        refuse_many_values(operations, MAX_BULK_VALUES)
        read = [_operation(each, self.max_value_length) for each in operations]
        return BridgePlan(read, _fail_on_errors(sent.get("failonerrors")))

    def _refuse_many(self, count: int) -> None:
        allowed = self.config.bulk.max_operations if self.config.bulk else None
        if allowed is not None and count > allowed:
            raise PayloadTooLargeException(
                detail=f"the request has {count} operations, {allowed} are allowed: send several requests "
                "(maxOperations in /ServiceProviderConfig says how many fit into one)"
            )

    @staticmethod
    def bulk_outcome(base_url: str, operation: Operation) -> dict[str, Any]:
        """Return the beginning of an operation's result."""
        outcome: dict[str, Any] = {"method": operation.method, "bulk_id": operation.bulk_id}
        if operation.method != BulkOperation.Method.post:
            # The path as sent: it is not interpreted yet.
            path = quote((operation.path or "").lstrip("/"), safe="/:", errors="replace")
            outcome["location"] = f"{base_url.rstrip('/')}/{path}"
        return outcome

    def route_bulk_operation(self, operation: Operation) -> ResourceType:
        """Return the resource type that an operation acts on.

        :raises SCIMException: as for a single request with this method and path.
        """
        if isinstance(operation.response, Error):
            raise SCIMException.from_error(operation.response)
        target = find_target(str(operation.method), str(operation.path), self.provider.resource_types)
        if target.me or target.operation not in BULK_OPERATIONS.values():
            raise InvalidValueException(
                detail=f"path is {shown(operation.path)}, which is no resource: "
                "send the endpoint of a resource type to POST to, such as /Users, or a resource, such as /Users/{id}"
            )
        return self.resource_type_at(cast(str, target.endpoint))

    def bulk_success(
        self, base_url: str, operation: Operation, outcome: dict[str, Any], resource: Resource[Any] | None
    ) -> dict[str, Any]:
        """Return the result of a successful operation: where the resource is, and its version."""
        assert operation.method is not None
        outcome["status"] = BULK_SUCCESS_STATUS[operation.method]
        if resource is not None and resource.meta is not None:
            resource_type = self.get_resource_type_of(resource)
            outcome["location"] = self.resource_location(base_url, resource_type, str(resource.id))
            outcome["version"] = resource.meta.version
        return outcome

    def bulk_response(self, plan: BulkPlan) -> ScimResponse:
        """Return the results of the operations that ran, in the order in which they were sent."""
        return ScimResponse(
            HTTPStatus.OK,
            {"schemas": [str(BulkResponse.__schema__)], "Operations": [_result(each) for each in plan.outcomes()]},
        )


def has_changed_anything(plan: BulkPlan) -> bool:
    """Return whether an operation has succeeded so far."""
    return any(result["status"] < HTTPStatus.BAD_REQUEST for result in plan.results.values())


def _result(outcome: Mapping[str, Any]) -> dict[str, Any]:
    error: Error | None = outcome.get("response")
    result = {
        "location": outcome.get("location"),
        "method": outcome["method"],
        "bulkId": outcome["bulk_id"],
        "version": outcome.get("version"),
        "status": str(int(outcome["status"])),
        "response": error.model_dump() if error is not None else None,
    }
    return {name: value for name, value in result.items() if value is not None}


def _fail_on_errors(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise InvalidValueException(
        detail=f"failOnErrors is {shown(value)}: send a whole number from 1 on, or leave it out to run all operations"
    )


def _operation(sent: Any, max_value_length: int) -> Operation:
    """Return one operation; a fault is stored in its `response`, so that it fails when its turn comes."""
    fields = {name.lower(): value for name, value in sent.items()} if isinstance(sent, dict) else {}
    try:
        if not isinstance(sent, dict):
            raise InvalidSyntaxException(detail=f"the operation is {called(sent)}: send an object with method and path")
        refuse_unreadable(sent, max_value_length)
        return _read(fields)
    except SCIMException as exc:
        path = fields.get("path")
        # Without the data: references in an unusable operation don't count.
        failed: Operation = _Envelope.model_construct(
            method=_method(fields.get("method")),
            bulk_id=_storable(fields.get("bulkid")),
            path=path if isinstance(path, str) else None,
            version=None,
            data=None,
            response=exc.to_error(),
        )
        return failed


def _read(fields: Mapping[str, Any]) -> Operation:
    """Return an operation with a complete envelope. :raises InvalidValueException: naming what is missing or wrong."""
    method, path, data = _method(fields.get("method")), fields.get("path"), fields.get("data")
    bulk_id, version = fields.get("bulkid"), fields.get("version")
    if method is None:
        raise InvalidValueException(detail=f"method is {shown(fields.get('method'))}: send {METHODS}")
    if not isinstance(path, str) or not path.strip("/"):
        raise InvalidValueException(detail=f"path is {shown(path)}: send one, such as /Users or /Users/{{id}}")
    for name, value in (("bulkId", bulk_id), ("version", version)):
        if value is not None and not isinstance(value, str):
            raise InvalidValueException(detail=f"{name} is {shown(value)}, which isn't a text: send a text")
    if method == BulkOperation.Method.post and not bulk_id:
        raise InvalidValueException(detail="bulkId is missing: give each POST a text that no other operation has")
    refuse_unusable_condition(version, "version")
    if method == BulkOperation.Method.patch and isinstance(data, list):
        # Only the list of operations, as in the RFC's own example (§3.7.3).
        data = {"schemas": [PATCH_URN], "Operations": data}
    if method != BulkOperation.Method.delete and not isinstance(data, dict):
        raise InvalidValueException(
            detail=f"data is {called(data)}: send an object, the body of a single {method} to {shown(path)}"
        )
    operation: Operation = _Envelope.model_construct(
        method=method,
        bulk_id=bulk_id,
        # A doubled or trailing slash is accepted as in a URL (rule A6).
        path="/" + "/".join(part for part in path.split("/") if part),
        version=version,
        data=None if method == BulkOperation.Method.delete else data,
        response=None,
    )
    return operation


def _method(value: Any) -> BulkOperation.Method | None:
    try:
        return BulkOperation.Method(value.upper()) if isinstance(value, str) else None
    except ValueError:
        return None


def _storable(value: Any) -> str | None:
    """Return a text that can be sent back as it was received; else None."""
    try:
        refuse_unstorable(value)
    except SCIMException:
        return None
    return value if isinstance(value, str) else None
