"""PATCH bodies as Entra sends them, rewritten into operations that each write one attribute.

Source: RFC 7644 §3.5.2, and what Entra makes of it: values without a path whose keys are paths, `""` and
null to clear, `manager` as a bare id, a remove that carries what it removes.
"""

from typing import Any

from scim2_models import InvalidPathException, Path

from scim_bridge.scim.conform import EMPTY, Ignored, conform, conform_entry
from scim_bridge.scim.entra import Rewritten, known_schemas
from scim_bridge.scim.shapes import Place, ResourceShape, Shape

NOTHING = {"op": "add", "value": {}}
"""An operation that changes nothing: a PATCH needs one, also where all that it named was ignored."""

Operation = dict[str, Any]


def rewrite_patch(shape: ResourceShape, body: Any) -> Rewritten:
    """The body of a PATCH."""
    key = next((key for key in body if key.lower() == "operations"), None) if isinstance(body, dict) else None
    if key is None or not isinstance(body[key], list):
        return Rewritten(body)
    ignored = Ignored()
    operations: list[Any] = []
    for operation in body[key]:
        if isinstance(operation, dict):
            operations += _rewritten(shape, {name.lower(): item for name, item in operation.items()}, ignored)
        else:
            operations.append(operation)
    if body[key] and not operations:
        operations = [NOTHING]
    return Rewritten({**body, key: operations}, ignored.names)


def _rewritten(shape: ResourceShape, operation: Operation, ignored: Ignored) -> list[Operation]:
    path = operation.get("path")
    schema = shape.schema_at(path) if isinstance(path, str) else None
    if path in EMPTY or schema is not None:
        return _by_key(shape, operation, None if schema in (None, shape.urn) else schema, ignored)
    if not isinstance(path, str):
        return [operation]
    if path.lower() == "schemas":
        value = operation.get("value")
        return [{**operation, "value": known_schemas(shape, value) if value is not None else None}]
    place = shape.place(path)
    if place is not None:
        return _at(place, operation, ignored)
    if _is_path(path):
        ignored.add(path)
        return []
    return [operation]


def _by_key(shape: ResourceShape, operation: Operation, urn: str | None, ignored: Ignored) -> list[Operation]:
    """An operation for each key of a value that has no path, or an extension's URN as its path."""
    value = operation.get("value")
    if urn is not None and (value in EMPTY or _op(operation) == "remove"):
        return [{"op": "remove", "path": urn}]
    if not isinstance(value, dict) or _op(operation) == "remove":
        return [operation if urn is None else {**operation, "path": urn}]
    rewritten = []
    for key, item in value.items():
        full = f"{urn}:{key}" if urn else key
        schema = shape.schema_at(full)
        place = shape.place(full)
        if schema is not None:
            rewritten += _by_key(shape, {**operation, "value": item}, None if schema == shape.urn else schema, ignored)
        elif key.lower() == "schemas":
            continue
        elif place is None:
            ignored.add(full)
        elif not place.read_only:
            rewritten += _at(place, {**operation, "value": item}, ignored)
    return rewritten


def _at(place: Place, operation: Operation, ignored: Ignored) -> list[Operation]:
    """The operation with its value in the type that the attribute at its path declares."""
    if place.is_delivery:
        return []
    if _op(operation) == "remove":
        return [_removal(place, operation)]
    if "value" not in operation:
        return [{**operation, "path": place.path}]
    value = operation["value"]
    if place.is_list or place.part is not None or not place.shape.multi_valued:
        value = conform(place.target, value, ignored, place.path)
    else:
        value = conform_entry(place.target, value, ignored, place.path)
    if value in EMPTY and place.target.required and place.part is None:
        # Whoever applies the patch refuses the empty value, and names the attribute.
        value = ""
    elif value in EMPTY:
        return [{"op": "remove", "path": _cleared(place)}]
    if isinstance(value, dict) and place.shape.stands_for_value and not place.shape.multi_valued:
        # A new manager doesn't keep the reference to the earlier one.
        value.setdefault("$ref", None)
    return [{**operation, "path": place.path, "value": value}]


def _removal(place: Place, operation: Operation) -> Operation:
    """A remove; its value matters only where it lists entries of a multi-valued attribute."""
    value = operation.get("value")
    removal = {"op": "remove", "path": _cleared(place)}
    if not place.is_list or "value" not in operation or value in EMPTY:
        return removal
    entries = value if isinstance(value, list) else [value]
    return {**removal, "value": [_selecting(place.shape, entry) for entry in entries]}


def _cleared(place: Place) -> str:
    """The path to remove."""
    return Place(place.urn, place.shape).path if place.stands_for_whole else place.path


def _selecting(shape: Shape, entry: Any) -> Any:
    """What of a listed entry tells which entry is meant: Entra sends `"$ref": null` along."""
    if not isinstance(entry, dict):
        return {"value": entry} if shape.stands_for_value else entry
    return {key: item for key, item in entry.items() if item is not None and key.lower() in (shape.parts or {})}


def _op(operation: Operation) -> str:
    return str(operation.get("op")).lower()


def _is_path(text: str) -> bool:
    try:
        Path[Any](text)
    except InvalidPathException:
        return False
    return True
