"""The two dialects in which Entra writes PATCH requests.

Source: Microsoft, "Known issues and resolutions with SCIM 2.0 protocol compliance", flag `aadOptscim062020`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scim_bridge.sandbox.attributes import MANAGER, JsonObject

FLAG = "aadOptscim062020"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of Entra job writes a PATCH."""

    name: str

    user_patch: Callable[[Mapping[str, object], Mapping[str, object]], JsonObject]
    """Body that takes a user from the known values (first) to the changed ones (second), by path."""

    clearing: Callable[[str], JsonObject]
    """Body that empties the attribute at a path."""

    members_added: Callable[[Sequence[str]], JsonObject]
    """Body that adds members, by SCIM id."""

    members_removed: Callable[[Sequence[str]], JsonObject]
    """Body that removes members, by SCIM id."""

    group_renamed: Callable[[str], JsonObject]
    """Body that gives a group another display name."""


def dialect(name: str) -> Dialect:
    """Return the dialect called `default` or `aadOptscim062020`.

    :raises ValueError: there is no such dialect.
    """
    if name not in _DIALECTS:
        raise ValueError(f"unknown dialect {name!r}; known are {', '.join(_DIALECTS)}")
    return _DIALECTS[name]


def patch(*operations: Mapping[str, object]) -> JsonObject:
    """Return a PatchOp message."""
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def _default_patch(known: Mapping[str, object], changed: Mapping[str, object]) -> JsonObject:
    """One capitalised operation for each attribute; a boolean is a string."""
    return patch(
        *(
            {"op": "Replace" if path in known else "Add", "path": path, "value": _as_text(value)}
            for path, value in changed.items()
        )
    )


def _flagged_patch(known: Mapping[str, object], changed: Mapping[str, object]) -> JsonObject:
    """One path-less replace; filtered paths, the manager and a lone `active` have operations of their own."""
    alone = {path for path in changed if "[" in path or path == MANAGER or list(changed) == ["active"]}
    together = {path: value for path, value in changed.items() if path not in alone}
    operations: list[JsonObject] = [
        {"op": "replace" if path in known else "add", "path": path, "value": _complex(path, changed[path])}
        for path in changed
        if path in alone
    ]
    return patch(*operations, *([{"op": "replace", "value": together}] if together else []))


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, bool) else value


def _complex(path: str, value: object) -> object:
    return {"value": value} if path == MANAGER else value


def _members(ids: Sequence[str]) -> list[JsonObject]:
    return [{"$ref": None, "value": each} for each in ids]


_DIALECTS = {
    "default": Dialect(
        name="default",
        user_patch=_default_patch,
        clearing=lambda path: patch({"op": "Remove", "path": path}),
        members_added=lambda ids: patch({"op": "Add", "path": "members", "value": _members(ids)}),
        members_removed=lambda ids: patch({"op": "Remove", "path": "members", "value": _members(ids)}),
        group_renamed=lambda name: patch({"op": "Replace", "path": "displayName", "value": name}),
    ),
    FLAG: Dialect(
        name=FLAG,
        user_patch=_flagged_patch,
        clearing=lambda path: patch({"op": "replace", "path": path, "value": ""}),
        members_added=lambda ids: patch({"op": "add", "path": "members", "value": _members(ids)}),
        members_removed=lambda ids: patch(*({"op": "remove", "path": f'members[value eq "{each}"]'} for each in ids)),
        group_renamed=lambda name: patch({"op": "replace", "value": {"displayName": name}}),
    ),
}
