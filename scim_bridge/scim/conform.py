"""Values as Entra writes them, turned into the type that their attribute declares.

A value that this can't place is left as it is: the library then says what is wrong with it.
"""

import base64
import binascii
import json
from typing import Any

from scim2_models import InvalidValueException

from scim_bridge.scim.shapes import Kind, Shape

EMPTY = (None, "")
"""What Entra, and Microsoft's validators, clear an attribute with; an empty list does the same."""

_NO_TEXT = frozenset({Kind.boolean, Kind.integer, Kind.decimal, Kind.date_time, Kind.reference, Kind.binary})
"""Types of which the empty text is no value."""


class Ignored:
    """Collects the names, never the values, of what is left out (rule A7)."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Remember a name, cut to a length that a log line can hold."""
        self._names[name[:200]] = None

    @property
    def names(self) -> tuple[str, ...]:
        """Each name once, in the order in which they came."""
        return tuple(self._names)


def conform(shape: Shape, value: Any, ignored: Ignored, path: str) -> Any:
    """The value of a whole attribute; None where nothing is left of it.

    :param path: How the attribute is called when one of its parts is ignored or refused.
    :raises InvalidValueException: when it is of a binary attribute, and isn't base64.
    """
    if not shape.multi_valued:
        return conform_entry(shape, _unlisted(shape, value), ignored, path)
    if value in EMPTY:
        return None
    entries = value if isinstance(value, list) else [value]
    return [conform_entry(shape, entry, ignored, path) for entry in entries if entry not in EMPTY]


def conform_entry(shape: Shape, value: Any, ignored: Ignored, path: str) -> Any:
    """One value: the only one of a single-valued attribute, or one entry of a multi-valued one."""
    if shape.parts is not None:
        return _complex(shape, value, ignored, path)
    if value == "" and shape.kind in _NO_TEXT:
        return None
    if shape.kind == Kind.string and isinstance(value, bool | int | float):
        # `employeeNumber: 1042`: the digits as they were sent.
        return json.dumps(value)
    if shape.kind == Kind.boolean and isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if shape.kind == Kind.binary and isinstance(value, str):
        _refuse_unless_base64(value, path)
    return value


def _refuse_unless_base64(value: str, path: str) -> None:
    """Refuse what would come back as something else: the library skips what isn't base64 (rule A6).

    :raises InvalidValueException: naming the attribute.
    """
    try:
        is_kept = base64.b64encode(base64.b64decode(value, validate=True)).decode() == value
    except (binascii.Error, ValueError):
        is_kept = False
    if not is_kept:
        raise InvalidValueException(detail=f"{path} isn't base64 (RFC 4648 §4, one line): send the bytes in base64")


def _complex(shape: Shape, value: Any, ignored: Ignored, path: str) -> Any:
    if value in EMPTY:
        return None
    if isinstance(value, str | int | float) and shape.stands_for_value:
        # A bare id for a manager, or a bare address for an entry of `emails`.
        value = {"value": value}
    if not isinstance(value, dict):
        return value
    conformed = {}
    for key, item in value.items():
        part = (shape.parts or {}).get(key.lower())
        if part is None:
            ignored.add(f"{path}.{key}")
        elif not part.read_only:
            conformed[part.name] = conform(part, item, ignored, f"{path}.{part.name}")
    if not shape.multi_valued and shape.stands_for_value and conformed.get("value") in EMPTY:
        # A manager without an id is no manager.
        return None
    return conformed


def _unlisted(shape: Shape, value: Any) -> Any:
    """A single value out of the list of one, or the `{"value": …}`, that older Entra jobs put around it."""
    if isinstance(value, list) and len(value) <= 1:
        value = value[0] if value else None
    if shape.parts is None and isinstance(value, dict) and {key.lower() for key in value} <= {"value", "$ref"}:
        return next((item for key, item in value.items() if key.lower() == "value"), value)
    return value
