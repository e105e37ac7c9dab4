"""The names in a search, written as the protocol server reads them (rule A7).

Parameters may come in another case. An attribute without its URN that one extension alone declares means that one, a
complex attribute such as `manager` is compared by its `value`, and the URN of a schema stands for all its attributes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scim2_models import InvalidFilterException, InvalidValueException, Resource, ScimFilter
from scim2_models.path import AttrPath, Comparison, FilterNode, LogicalExpr, Not, Present, ValuePath
from scim2_server.service import SEARCH_REQUEST_PARAMETERS

from scim_bridge.scim.schema import COMMON, ResourceShape, extension_of, qualified, shape_of

Model = type[Resource[Any]]

_PARAMETERS = {name.lower(): name for name in SEARCH_REQUEST_PARAMETERS}
_NAMES = ("attributes", "excludedAttributes")


def canonical_parameters(sent: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the parameters of a search under the names of RFC 7644 §3.4.2, whatever their case.

    :raises InvalidValueException: one of them was sent twice with different values.
    """
    found: dict[str, Any] = {}
    for name, value in sent:
        known = _PARAMETERS.get(name.lower(), name)
        if known in _PARAMETERS.values() and found.get(known, value) != value:
            raise InvalidValueException(detail=f"the request has {known} twice, with different values: send it once")
        found.setdefault(known, value)
    return found


def with_schemas(payload: Any, models: Sequence[Model]) -> Any:
    """Return what a search says, its attributes named with their schemas. `models` are searched.

    What can't be read stays as it is: the refusal follows.

    :raises InvalidValueException: see `canonical_parameters`.
    """
    if not isinstance(payload, Mapping):
        return payload
    shapes = [shape_of(each) for each in models]
    asked = canonical_parameters([(str(name), value) for name, value in payload.items()])
    text, sort_by = asked.get("filter"), asked.get("sortBy")
    if isinstance(text, str):
        asked["filter"] = _filter(text, shapes)
    if isinstance(sort_by, str):
        asked["sortBy"] = qualified(sort_by, shapes)
    for name in _NAMES:
        if name in asked:
            asked[name] = _attributes(asked[name], shapes, is_excluding=name == "excludedAttributes")
    return asked


def _attributes(value: Any, shapes: Sequence[ResourceShape], *, is_excluding: bool) -> Any:
    if isinstance(value, str):
        names: list[Any] = value.split(",")
    elif isinstance(value, list):
        names = [name for each in value for name in (each.split(",") if isinstance(each, str) else [each])]
    else:
        return value
    named = [each.strip() if isinstance(each, str) else each for each in names]
    if is_excluding:
        # The protocol server knows the URN of an extension here, but not that of the resource itself.
        named = [name for each in named for name in _of_schema(each, shapes)]
    return [qualified(each, shapes) if isinstance(each, str) else each for each in named if each != ""]


def _of_schema(name: Any, shapes: Sequence[ResourceShape]) -> list[Any]:
    """Return the attributes of the resource whose URN this is, and any other name as it is."""
    own = next((each for each in shapes if str(name).lower() == each.urn.lower()), None)
    return [name] if own is None else [each.name for each in own.attributes.values() if each.name not in COMMON]


def _filter(text: str, shapes: Sequence[ResourceShape]) -> str:
    try:
        node = ScimFilter(text).ast
    except InvalidFilterException:
        return text
    named = _named(node, shapes)
    return text if named == node else str(ScimFilter(named))


def _named(node: FilterNode, shapes: Sequence[ResourceShape]) -> FilterNode:
    match node:
        case Not(expr):
            return Not(_named(expr, shapes))
        case LogicalExpr(operator, terms):
            return LogicalExpr(operator, tuple(_named(term, shapes) for term in terms))
        case Comparison(path, _, value):
            found = _path(path, shapes)
            # Whether there is a manager at all is asked of the whole.
            return replace(node, attr_path=found if value is None else _compared(found, shapes))
        case Present(path) | ValuePath(path):
            return replace(node, attr_path=_path(path, shapes))
    return node


def _path(path: AttrPath, shapes: Sequence[ResourceShape]) -> AttrPath:
    urn = extension_of(path.attr, shapes) if path.uri is None else None
    return path if urn is None else replace(path, uri=urn)


def _compared(path: AttrPath, shapes: Sequence[ResourceShape]) -> AttrPath:
    """Return the part that stands for a single complex attribute; of a list the protocol server knows it."""
    place = next((found for each in shapes if (found := each.place(str(path))) is not None), None)
    is_whole = place is not None and place.part is None and not place.shape.multi_valued
    if place is None or not is_whole or not place.shape.stands_for_value:
        return path
    return replace(path, sub_attr="value")
