"""The values of a resource in the form in which filters and sorting compare them (rule A8).

Text is folded with the library's `comparable` (NFC, lower case, NFC; only NFC where the attribute is
caseExact), so that no database has to know about Å; other values as `domain.comparing` says.
"""

from functools import cache
from typing import Any

from scim2_models import Extension, Path, Resource
from scim2_models.path import AttributeBinding

from scim_bridge.domain.comparing import comparable_key
from scim_bridge.domain.documents import JsonObject


def keys_of(resource: Resource[Any]) -> JsonObject:
    """The folded values of a stored resource, `id` and `meta` included, under their SCIM names.

    Unassigned values, empty lists and empty complex values are left out (RFC 7643 §2.5).
    """
    return _keys_of_model(resource, "", type(resource))


def keys_of_entry(model: type[Resource[Any]], attribute: str, entry: Any) -> JsonObject:
    """The folded values of one entry of a multi-valued complex attribute of a resource model."""
    return _keys_of_model(entry, f"{attribute}.", model)


def folded(model: type[Resource[Any]], path: str, text: str) -> str:
    """A text in the form in which the attribute at a path keeps its key."""
    return str(comparable_key(_binding(model, path).comparable(text)))


def _keys_of_model(value: Any, prefix: str, model: type[Resource[Any]]) -> JsonObject:
    keys: JsonObject = {}
    for field_name in type(value).model_fields:
        item = getattr(value, field_name)
        root = type(value).get_field_root_type(field_name)
        if isinstance(root, type) and issubclass(root, Extension):
            name, key = str(root.__schema__), _keys_of_model(item, f"{root.__schema__}:", model) if item else None
        else:
            name = type(value)._scim_name(field_name)
            key = _key(item, f"{prefix}{name}", model)
        if key not in (None, [], {}):
            keys[name] = key
    return keys


def _key(item: Any, path: str, model: type[Resource[Any]]) -> Any:
    if isinstance(item, list):
        return [key for entry in item if (key := _key(entry, path, model)) not in (None, {})]
    if hasattr(type(item), "model_fields"):
        return _keys_of_model(item, f"{path}.", model)
    if isinstance(item, str):
        return comparable_key(_binding(model, path).comparable(item))
    return comparable_key(item)


@cache
def _binding(model: type[Resource[Any]], path: str) -> AttributeBinding:
    binding = Path.__class_getitem__(model)(path).resolve()
    assert isinstance(binding, AttributeBinding)
    return binding
