"""Values as Entra writes them, turned into the type that their attribute declares.

A value of a wrong type is refused under the attribute's SCIM name; the library checks dates, numbers and references.
Where no employee depends on the attribute it is left out instead, so that a user is not refused because of a photo.
"""

import base64
import binascii
import json
from typing import Any, Final

from pydantic_core import Url, ValidationError
from scim2_models import InvalidValueException

from scim_bridge.scim.quirks import QuirkKind, Tolerated
from scim_bridge.scim.resources import MEMBERS, once_each
from scim_bridge.scim.schema import AttributeSchema, Kind

EMPTY = (None, "")
"""The values with which Entra and Microsoft's validators clear an attribute; an empty list does the same."""

UNUSABLE: Final = object()
"""Marks a value that is left out, which isn't the same as an attribute that is cleared."""

_TEXTS = frozenset({Kind.string, Kind.reference, Kind.binary})
"""Types whose values are JSON texts that come back as they were sent (rule A6)."""

_NO_EMPTY_TEXT = frozenset({Kind.boolean, Kind.integer, Kind.decimal, Kind.date_time, Kind.reference, Kind.binary})
"""Types for which the empty text is not a value."""

_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "y", "on", "t"), True),
    **dict.fromkeys(("false", "0", "no", "n", "off", "f"), False),
}
"""Texts that mean a boolean, as pydantic, behind the library, reads them."""


_EXPECTED = {
    Kind.boolean: ("a boolean", "send true or false"),
    Kind.complex: ("an object", 'send an object such as {"value": "x"}'),
}
_TEXT = ("a text", 'send a text such as "x"')

MAX_SHOWN = 100
"""How many characters of a value a message shows."""


def shown(value: Any) -> str:
    """Return a value as it was sent, cut to a length that fits into a message."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


class UnfitValue(InvalidValueException):
    """A value is not of the type that its attribute declares.

    :param path: The attribute, as RFC 7644 §3.10 writes it.
    """

    def __init__(self, path: str, shape: AttributeSchema, value: Any) -> None:
        expected, cure = _EXPECTED.get(shape.kind, _TEXT)
        super().__init__(detail=f"{path} is {shown(value)}, which isn't {expected}: {cure}")
        self._path, self._shape, self._value = path, shape, value

    def of_entry(self, path: str, entry: Any, index: int) -> "UnfitValue":
        """Return the same for an entry of the list at `path`, named by its type, as a filter does, or its position."""
        parts = entry.items() if isinstance(entry, dict) else ()
        kind = next((item for key, item in parts if key.lower() == "type"), None)
        which = f"type eq {shown(kind)}" if isinstance(kind, str) else index
        return UnfitValue(f"{path}[{which}]{self._path.removeprefix(path)}", self._shape, self._value)


def conform(shape: AttributeSchema, value: Any, tolerated: Tolerated, path: str) -> Any:
    """Return the value of a whole attribute; None where nothing is left of it, or `UNUSABLE`.

    :param path: The attribute's name when a quirk is noted.
    :raises UnfitValue: when it is of another type, and an employee depends on it.
    """
    if not shape.multi_valued:
        return conform_entry(shape, _unlisted(shape, value, tolerated, path), tolerated, path)
    if value in EMPTY:
        _note_empty(value, tolerated, path)
        return None
    if not isinstance(value, list):
        tolerated.add(QuirkKind.single_for_list, path)
    listed = enumerate(value if isinstance(value, list) else [value])
    sent = [(index, entry) for index, entry in listed if entry not in EMPTY]
    entries = [_listed(shape, entry, index, tolerated, path) for index, entry in sent]
    kept = [entry for entry in entries if entry is not UNUSABLE]
    if shape.name == MEMBERS:
        kept = once_each(kept)
    demote_primary(kept, tolerated, path)
    return UNUSABLE if sent and not kept else kept


def _listed(shape: AttributeSchema, entry: Any, index: int, tolerated: Tolerated, path: str) -> Any:
    try:
        return conform_entry(shape, entry, tolerated, path)
    except UnfitValue as exc:
        raise exc.of_entry(path, entry, index) from None


def conform_entry(shape: AttributeSchema, value: Any, tolerated: Tolerated, path: str) -> Any:
    """Return one value: the only one of a single-valued attribute, or one entry of a multi-valued one."""
    conformed = _complex(shape, value, tolerated, path) if shape.parts is not None else None
    if shape.parts is None:
        conformed = _simple(shape, value, tolerated, path)
    if conformed is None or _is_of_type(shape, conformed):
        return conformed
    if shape.is_needed:
        raise UnfitValue(path, shape, conformed)
    tolerated.add(QuirkKind.unusable_value, path)
    return UNUSABLE


def demote_primary(entries: list[Any], tolerated: Tolerated, path: str) -> None:
    """Keep only the first primary entry primary: a user with two is not refused (RFC 7643 §2.4)."""
    primary = [entry for entry in entries if isinstance(entry, dict) and entry.get("primary") is True]
    for entry in primary[1:]:
        entry["primary"] = False
        tolerated.add(QuirkKind.several_primary, path)


def _simple(shape: AttributeSchema, value: Any, tolerated: Tolerated, path: str) -> Any:
    if value == "" and shape.kind in _NO_EMPTY_TEXT:
        tolerated.add(QuirkKind.empty_text, path)
        return None
    if shape.kind == Kind.boolean:
        return _boolean(value, tolerated, path)
    if shape.kind in _TEXTS and isinstance(value, bool | int | float):
        # `employeeNumber: 1042`: the digits as they were sent.
        tolerated.add(QuirkKind.boolean_for_text if isinstance(value, bool) else QuirkKind.number_for_text, path)
        return json.dumps(value)
    if shape.is_uri and isinstance(value, str) and not _is_uri(value):
        tolerated.add(QuirkKind.text_for_reference, path)
    if shape.kind == Kind.binary and isinstance(value, str) and not _is_base64(value):
        tolerated.add(QuirkKind.text_for_binary, path)
    return value


def _boolean(value: Any, tolerated: Tolerated, path: str) -> Any:
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        tolerated.add(QuirkKind.text_for_boolean, path)
        return _BOOLEANS[value.strip().lower()]
    if isinstance(value, int | float) and not isinstance(value, bool) and value in (0, 1):
        tolerated.add(QuirkKind.number_for_boolean, path)
        return bool(value)
    return value


def _complex(shape: AttributeSchema, value: Any, tolerated: Tolerated, path: str) -> Any:
    if value in EMPTY:
        _note_empty(value, tolerated, path)
        return None
    if isinstance(value, str | int | float) and shape.stands_for_value:
        # A bare id for a manager, or a bare address for an entry of `emails`.
        tolerated.add(QuirkKind.bare_value, path)
        value = {"value": value}
    if not isinstance(value, dict):
        return value
    conformed = {}
    for key, item in value.items():
        part = (shape.parts or {}).get(key.lower())
        if part is None:
            tolerated.add(QuirkKind.unknown_attribute, f"{path}.{key}")
        elif not part.read_only:
            found = conform(part, item, tolerated, f"{path}.{part.name}")
            if found is not UNUSABLE:
                conformed[part.name] = found
    if not shape.multi_valued and shape.stands_for_value and conformed.get("value") in EMPTY:
        # A manager without an id is no manager.
        _note_empty(conformed.get("value"), tolerated, path)
        return None
    return conformed


def _unlisted(shape: AttributeSchema, value: Any, tolerated: Tolerated, path: str) -> Any:
    """Return a single value without the list of one, or the `{"value": …}`, that older Entra jobs put around it."""
    if isinstance(value, list) and len(value) <= 1:
        tolerated.add(QuirkKind.list_for_single, path)
        value = value[0] if value else None
    if shape.parts is None and isinstance(value, dict) and {key.lower() for key in value} <= {"value", "$ref"}:
        tolerated.add(QuirkKind.object_for_single, path)
        return next((item for key, item in value.items() if key.lower() == "value"), value)
    return value


def _note_empty(value: Any, tolerated: Tolerated, path: str) -> None:
    # Null is the RFC's own way to say "unassigned" (RFC 7643 §2.5).
    if value == "":
        tolerated.add(QuirkKind.empty_text, path)


def _is_of_type(shape: AttributeSchema, value: Any) -> bool:
    if shape.parts is not None:
        return isinstance(value, dict)
    if shape.kind == Kind.boolean:
        return isinstance(value, bool)
    return shape.kind not in _TEXTS or isinstance(value, str)


def _is_uri(text: str) -> bool:
    """Return whether it is a URI, or one relative to the server, as the library reads it."""
    try:
        return text.startswith("/") or bool(Url(text))
    except ValidationError:
        return False


def _is_base64(text: str) -> bool:
    """Return whether it is base64 (RFC 4648 §4) on one line."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False
