"""What an answer leaves out, so that it need not be read (RFC 7644 §3.9)."""

from typing import Any

from scim2_models import Resource, ResponseParameters

from scim_bridge.scim.shapes import Place, shape_of


def unasked(model: type[Resource[Any]], parameters: ResponseParameters[Any] | None) -> frozenset[str]:
    """The multi-valued attributes, such as a group's `members`, that the answer leaves out as a whole.

    Entra asks for groups with `excludedAttributes=members`.
    """
    if parameters is None:
        return frozenset()
    shape = shape_of(model)
    several = {each.name for each in shape.attributes.values() if each.multi_valued}
    if parameters.attributes:
        if any(str(path).lower() == shape.urn.lower() for path in parameters.attributes):
            return frozenset()
        asked = _places(model, parameters.attributes)
        return frozenset(several - {place.shape.name for place in asked if place.urn is None})
    excluded = _places(model, parameters.excluded_attributes or [])
    return frozenset(several & {place.shape.name for place in excluded if place.urn is None and place.part is None})


def _places(model: type[Resource[Any]], paths: list[Any]) -> list[Place]:
    found = (shape_of(model).place(str(path)) for path in paths)
    return [place for place in found if place is not None]
