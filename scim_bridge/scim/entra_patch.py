"""PATCH bodies as Entra sends them, rewritten into operations that each write one attribute.

Source: RFC 7644 §3.5.2, and Entra's own forms: values without a path whose keys are paths, `""` and null to
clear, `manager` as a bare id, a remove that carries what it removes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from scim2_models import InvalidPathException, InvalidValueException, PatchOp, PatchOperation, Path, Resource
from scim2_models.path import Comparison

from scim_bridge.domain.values import JsonObject
from scim_bridge.scim.entra_resource import Rewritten, conform_at, described, known_schemas, note_key, note_unknown
from scim_bridge.scim.quirks import Quirk, QuirkKind, Tolerated
from scim_bridge.scim.schema import AttributePath, Kind, ResourceSchema
from scim_bridge.scim.values import EMPTY, UNUSABLE, conform_entry

NOTHING = {"op": "add", "value": {}}
"""An operation that changes nothing: a PATCH needs one, even if everything in it was ignored."""

PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

OPERATIONS = ("add", "replace", "remove")

_QUOTED_BOOLEAN = re.compile('"(?:true|false)"', re.IGNORECASE)

Operation = dict[str, Any]

Setting = tuple[AttributePath, str | bool]
"""A simple attribute, and the value that it gets."""

_SIMPLE: Mapping[Kind, type[str] | type[bool]] = {Kind.string: str, Kind.boolean: bool}
"""The types whose values are stored as they are sent: the library checks no more of them than their type."""


def rewrite_patch(shape: ResourceSchema, body: Any) -> Rewritten:
    """Return the rewritten body of a PATCH."""
    key = next((key for key in body if key.lower() == "operations"), None) if isinstance(body, dict) else None
    if key is None or not isinstance(body[key], list):
        return Rewritten(body)
    tolerated = Tolerated()
    _note_message(body, tolerated)
    operations: list[Any] = []
    for operation in body[key]:
        if isinstance(operation, dict):
            operations += _rewritten(shape, {name.lower(): item for name, item in operation.items()}, tolerated)
        else:
            operations.append(operation)
    if not body[key]:
        tolerated.add(QuirkKind.no_operations, "Operations")
    if not operations:
        operations = [NOTHING]
    return Rewritten({**body, key: operations}, tolerated.found)


def settings_of(shape: ResourceSchema, body: Any) -> tuple[Setting, ...] | None:
    """Return what a rewritten PATCH sets, if it only gives values to simple attributes; None if it does anything else.

    Nearly every PATCH of Entra's is of this kind. `with_settings` applies it without making a resource.
    """
    if not isinstance(body, dict) or body.keys() != {"schemas", "Operations"} or body["schemas"] != [PATCH_URN]:
        return None
    settings = [_setting(shape, operation) for operation in body["Operations"]]
    return None if None in settings else tuple(cast(list[Setting], settings))


def _setting(shape: ResourceSchema, operation: Any) -> Setting | None:
    if not isinstance(operation, dict) or operation.keys() != {"op", "path", "value"}:
        return None
    path, value = operation["path"], operation["value"]
    place = shape.place(path) if isinstance(path, str) and _op(operation) in ("add", "replace") else None
    if place is None or place.shape.multi_valued or place.read_only or place.target.required:
        return None
    return (place, value) if value != "" and type(value) is _SIMPLE.get(place.target.kind) else None


def with_settings(document: JsonObject, settings: Sequence[Setting]) -> JsonObject | None:
    """Return a stored document with other values; None where an attribute has no value of its type yet.

    Then more has to change, such as `schemas` and the order of the attributes, and only the library knows it.
    """
    changed = {**document}
    for place, value in settings:
        holder = changed
        for name in (place.urn, place.shape.name if place.part else None):
            if name is None:
                continue
            inner = holder.get(name)
            if not isinstance(inner, dict):
                return None
            holder[name] = inner = {**inner}
            holder = inner
        if type(holder.get(place.target.name)) is not type(value):
            return None
        holder[place.target.name] = value
    return changed


def entries_to_make(current: Resource[Any], patch_op: "PatchOp[Any]") -> tuple[Quirk, ...]:
    """Return the filters in paths that no entry of a resource meets yet, so that the patch creates one."""
    tolerated = Tolerated()
    for operation in patch_op.operations or []:
        path = operation.path
        if path is None or "]" not in path or operation.op == PatchOperation.Op.remove:
            continue
        selection = type(path)(path[: path.rindex("]") + 1])
        if selection.get(current, strict=False) is None:
            tolerated.add(QuirkKind.entry_created, selection)
    return tolerated.found


def _note_message(body: dict[str, Any], tolerated: Tolerated) -> None:
    listed = next((value for key, value in body.items() if key.lower() == "schemas"), None)
    if PATCH_URN.lower() not in str(listed).lower():
        tolerated.add(QuirkKind.unlisted_schema, PATCH_URN)


def _rewritten(shape: ResourceSchema, operation: Operation, tolerated: Tolerated) -> list[Operation]:
    path = operation.get("path")
    schema = shape.schema_at(path) if isinstance(path, str) else None
    if _op(operation) in OPERATIONS and operation["op"] not in OPERATIONS:
        tolerated.add(QuirkKind.capital_operation, operation["op"])
    if "path" in operation and path in EMPTY:
        tolerated.add(QuirkKind.empty_path, "path")
    if schema is not None:
        tolerated.add(QuirkKind.schema_path, schema)
    if path in EMPTY or schema is not None:
        return _by_key(shape, operation, None if schema in (None, shape.urn) else schema, tolerated)
    if not isinstance(path, str):
        return [operation]
    if path.lower() == "schemas":
        value = operation.get("value")
        return [{**operation, "value": known_schemas(shape, value, tolerated) if value is not None else None}]
    place = shape.place(path)
    if place is not None:
        if place.is_short:
            tolerated.add(QuirkKind.short_name, place.path)
        if shape.separator(path) == ".":
            tolerated.add(QuirkKind.dotted_urn, place.path)
        if place.selection is not None and _QUOTED_BOOLEAN.search(place.selection):
            # The library understands `roles[primary eq "True"]` too, but doesn't report that it had to.
            described(place, tolerated)
        return _at(place, operation, tolerated)
    if _is_path(path):
        tolerated.add(QuirkKind.unknown_path, path)
        return []
    return [operation]


def _by_key(shape: ResourceSchema, operation: Operation, urn: str | None, tolerated: Tolerated) -> list[Operation]:
    """Return one operation for each key of a value whose path is missing, or is an extension's URN."""
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
            if schema == shape.urn:
                tolerated.add(QuirkKind.core_schema_key, schema)
            inner = None if schema == shape.urn else schema
            rewritten += _by_key(shape, {**operation, "value": item}, inner, tolerated)
        elif key.lower() == "schemas":
            continue
        elif place is None:
            note_unknown(full, item, tolerated)
        elif place.read_only:
            tolerated.add(QuirkKind.read_only, place.path)
        else:
            note_key(shape, key, place, tolerated)
            rewritten += _at(place, {**operation, "value": item}, tolerated)
    return rewritten


def _at(place: AttributePath, operation: Operation, tolerated: Tolerated) -> list[Operation]:
    """Return the operation with its value in the type that the attribute at its path declares.

    :raises InvalidValueException: when it clears an attribute that a resource must have.
    """
    if place.is_delivery:
        tolerated.add(QuirkKind.read_only, place.path)
        return []
    if _op(operation) == "remove":
        return [_removal(place, operation, tolerated)]
    if "value" not in operation:
        return [{**operation, "path": place.path}]
    value = operation["value"]
    if value == "":
        tolerated.add(QuirkKind.empty_text, place.path)
    value = conform_at(place, value, tolerated)
    if value is UNUSABLE:
        return []
    if value in EMPTY and place.target.required and place.part is None:
        # Refused at once, like a remove: a later operation that sets it again does not help (RFC 7644 §3.5.2).
        raise InvalidValueException(
            detail=f"{place.path} is empty: send a value, or take the attribute out of the request"
        )
    if value == [] and _op(operation) == "add":
        return []
    if isinstance(value, list) and _op(operation) == "add":
        value = _once(value)
    if value in EMPTY or value == []:
        return [{"op": "remove", "path": _cleared(place)}]
    if isinstance(value, dict) and place.shape.stands_for_value and not place.shape.multi_valued:
        # A new manager doesn't keep the reference to the previous one.
        value.setdefault("$ref", None)
    return [{**operation, "path": place.path, "value": value}]


def _once(entries: list[Any]) -> list[Any]:
    """Return each entry once: an entry that is present isn't added again (RFC 7644 §3.5.2.1)."""
    return list({json.dumps(entry, sort_keys=True): entry for entry in entries}.values())


def _removal(place: AttributePath, operation: Operation, tolerated: Tolerated) -> Operation:
    """Return a remove; its value matters only where it lists entries of a multi-valued attribute."""
    value = operation.get("value")
    if value not in EMPTY:
        tolerated.add(QuirkKind.value_with_remove, place.path)
    removal = {"op": "remove", "path": _cleared(place)}
    if not place.is_list or "value" not in operation or value in EMPTY:
        return removal
    entries = value if isinstance(value, list) else [value]
    listed = [_selecting(place, entry, tolerated) for entry in entries]
    return {**removal, "value": [each for each in listed if each is not UNUSABLE and each not in (None, {})]}


def _cleared(place: AttributePath) -> str:
    """Return the path to remove."""
    return AttributePath(place.urn, place.shape).path if place.stands_for_whole else place.path


def _selecting(place: AttributePath, entry: Any, tolerated: Tolerated) -> Any:
    """Return the part of a listed entry that tells which entry is meant: Entra also sends `"$ref": null`."""
    entry = conform_entry(place.shape, entry, tolerated, place.path)
    return {name: item for name, item in entry.items() if item not in EMPTY} if isinstance(entry, dict) else entry


def _op(operation: Operation) -> str:
    return str(operation.get("op")).lower()


def _is_path(text: str) -> bool:
    """Return whether it is a path. :raises InvalidPathException: for a filter, which the library also reads."""
    try:
        node = Path[Any](text).ast
    except InvalidPathException:
        return False
    if isinstance(node, Comparison):
        raise InvalidPathException(
            detail=f"the path {text[:100]} is a filter: name the attribute alone, or its filter in brackets after it"
        )
    return True
