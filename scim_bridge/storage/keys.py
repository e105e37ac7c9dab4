"""The keys that have an index: short enough for PostgreSQL's, and equal whenever the values are."""

import hashlib
from collections.abc import Mapping
from typing import Any

from scim_bridge.domain.values import JsonObject, nfc

MAX_INDEXED_BYTES = 1000
"""PostgreSQL refuses entries of an index beyond 2,704 bytes; longer text is indexed by its hash."""

_HASHED = "sha256:"

SEVERAL = "*several*"
"""Stands in `work_email_key` for more than one work address: the search looks into the entries then."""


def indexed(key: str) -> str:
    """The form of a folded text in an indexed column."""
    encoded = key.encode()
    # A text that looks like a hash is hashed too: else it would be equal to the text that has this hash.
    if len(encoded) <= MAX_INDEXED_BYTES and not key.startswith(_HASHED):
        return key
    return _HASHED + hashlib.sha256(encoded).hexdigest()


def user_name_key(name: str) -> str:
    """The form of a user name in its indexed column (rule A8)."""
    return indexed(nfc(nfc(name).lower()))


def indexed_columns(keys: JsonObject) -> Mapping[str, str | None]:
    """The indexed columns of a resource with these keys."""
    return {
        "user_name_key": _indexed_text(keys.get("userName")),
        "external_id_key": _indexed_text(keys.get("externalId")),
        "display_name_key": _indexed_text(keys.get("displayName")),
        "work_email_key": _work_email(keys.get("emails")),
    }


def _indexed_text(key: object) -> str | None:
    return indexed(key) if isinstance(key, str) else None


def _work_email(entries: object) -> str | None:
    found: list[Any] = [
        entry["value"]
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("type") == "work" and isinstance(entry.get("value"), str)
    ]
    return SEVERAL if len(found) > 1 else _indexed_text(found[0] if found else None)
