"""Reading values out of a stored SCIM user.

A *source path* is a SCIM attribute path (RFC 7644 §3.5.2) as it stands in Entra's attribute mapping:
``name.givenName``, ``emails[type eq "work"].value``,
``urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department``. Names compare regardless of case.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scim_bridge.domain.values import JsonObject

CORE_URN = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DITIO_URN = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"


@dataclass(frozen=True, slots=True)
class Condition:
    """What an element of a multi-valued attribute has to contain to be read: ``type eq "work"``."""

    attribute: str
    value: str | bool | int | float


@dataclass(frozen=True, slots=True)
class SourcePath:
    """Where a value is read from: a source path as `source_path` in `scim/schema.py` parses it."""

    text: str
    """The path as it was written."""

    urn: str | None
    """The extension that holds the attribute; None for an attribute of the User itself."""

    attribute: str
    sub_attribute: str | None = None
    conditions: tuple[Condition, ...] = ()
    """An element has to meet all of them."""


def read(document: JsonObject, source: SourcePath) -> object | None:
    """Return the value at `source`, or None where there is none.

    Null, blank text, and empty lists and objects count as absent (RFC 7643 §2.5). If several elements meet the
    conditions, the first with a value is read.
    """
    holder: object = document if source.urn is None else _member(document, source.urn)
    found = _member(holder, source.attribute)
    for element in found if isinstance(found, list) else (found,):
        if not source.conditions or all(_holds(element, condition) for condition in source.conditions):
            value = element if source.sub_attribute is None else _member(element, source.sub_attribute)
            if _is_present(value):
                return value
    return None


def without(document: JsonObject, source: SourcePath) -> JsonObject:
    """Return a user without the value at `source`, as after a `remove` (RFC 7644 §3.5.2.2); the given one stays.

    An element of a multi-valued attribute goes as a whole, and an extension that has nothing left.
    """
    if source.urn is not None:
        name, inner = _named(document, source.urn)
        left = without(inner, SourcePath(source.text, None, source.attribute, source.sub_attribute, source.conditions))
        return _with(document, name, left)
    name = _key(document, source.attribute)
    found = document.get(name)
    if isinstance(found, list):
        kept = [each for each in found if not all(_holds(each, condition) for condition in source.conditions)]
        return _with(document, name, kept)
    if source.sub_attribute is not None and isinstance(found, dict):
        inner_name = _key(found, source.sub_attribute)
        return _with(document, name, {key: value for key, value in found.items() if key != inner_name})
    return _with(document, name, None)


def _named(document: JsonObject, name: str) -> tuple[str, JsonObject]:
    key = _key(document, name)
    found = document.get(key)
    return key, found if isinstance(found, dict) else {}


def _key(holder: JsonObject, name: str) -> str:
    """Return the spelling that a document has of a name."""
    return next((key for key in holder if key.casefold() == name.casefold()), name)


def _with(document: JsonObject, name: str, value: object) -> JsonObject:
    kept = {key: each for key, each in document.items() if key != name}
    return kept if value in (None, [], {}) else {key: value if key == name else document[key] for key in document}


def active_of(document: JsonObject, *, otherwise: bool = True) -> bool:
    """Return the value of ``active``. Entra also sends it as text: ``"False"``.

    :param otherwise: What an absent or cleared one means: true in a POST (rule H5), as before in a PUT or PATCH.
    """
    value = _member(document, "active")
    return _folded(value) not in ("false", "0") if _is_present(value) else otherwise


def name_of(document: JsonObject) -> str | None:
    """Return what a person is called: `displayName`, else the parts of the name; None without any."""
    name = _member(document, "name")
    parts = [text for part in ("givenName", "familyName") if isinstance(text := _member(name, part), str)]
    for called in (_member(document, "displayName"), " ".join(parts), _member(name, "formatted")):
        if isinstance(called, str) and called.strip():
            return called.strip()
    return None


def _holds(element: object, condition: Condition) -> bool:
    value = _member(element, condition.attribute)
    if isinstance(value, str) and value == condition.value:
        return True
    return value is not None and _folded(value) == _folded(condition.value)


def _folded(value: object) -> str:
    """Return a value for comparing: ``True``, ``"True"`` and ``"true"`` are the same, as Entra mixes them."""
    return str(value).strip().casefold()


def _member(holder: object, name: str) -> object | None:
    # A dict first: the check for any mapping takes longer than the reading.
    if not isinstance(holder, (dict, Mapping)):
        return None
    if name in holder:
        value: object = holder[name]
        return value
    folded = name.casefold()
    return next((value for key, value in holder.items() if str(key).casefold() == folded), None)


def _is_present(value: object) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and value != [] and value != {}
