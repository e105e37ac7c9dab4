"""What is wrong with a request, in words for the administrator who reads Entra's provisioning log.

The library's texts name neither value nor remedy, and pydantic's use Python's terms: both are rewritten here.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from scim2_models import Error, SCIMException

from scim_bridge.scim.values import MAX_SHOWN, shown

_PARAMETERS = ("attributes", "excludedAttributes", "sortBy")
"""Parameters of a search that hold names; a message on one of them names only the parameter."""

_WRITTEN_BY_ENTRA = ("User", "Group")
"""First words of the names of the models that Entra's provisioning writes."""

_KINDS = {
    "bool": ("a boolean", "send true or false"),
    "string": ("a text", 'send a text such as "x"'),
    "int": ("a whole number", "send a number such as 1"),
    "float": ("a number", "send a number such as 1.5"),
    "datetime": ("a date with a time", 'send it as "2026-03-01T08:00:00Z"'),
    "list": ("a list", "send a list, even of one value"),
    "model": ("an object", 'send an object such as {"value": "x"}'),
    "dict": ("an object", "send an object"),
    "base64": ("base64", "send the bytes in base64"),
    "bytes": ("base64", "send the bytes in base64"),
    "enum": ("one of the allowed values", "send one of them"),
}

_NO_TARGET = re.compile(r"no value of '(.+)' matches the path filter")

_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), text)  # A compiled pattern stays itself.
    for pattern, text in (
        (
            r"Field not found: (.+)",
            'the filter or path names "{0}", which is no attribute here: see /Schemas for the names; '
            "an attribute of an extension needs its URN before it",
        ),
        (
            r"Cannot sort on '(.+)'",
            'sortBy names "{0}", which is no attribute here: see /Schemas for the names',
        ),
        (
            r"^Cursor value is invalid",
            "the cursor is not one of this search: send nextCursor or previousCursor as it was answered, with the "
            "parameters of the first page unchanged, or an empty cursor for the first page",
        ),
        (
            r"^Count value is invalid",
            "count is not what the cursor was answered with: send the same count for every page, or an empty "
            "cursor to begin anew with another",
        ),
        (
            r"cannot have both a cursor and a startIndex",
            "the search has both cursor and startIndex: send one of them, cursor to follow pages, startIndex to "
            "count through them",
        ),
        (
            r"'attributes' and 'excluded_attributes' are mutually exclusive",
            "the request has both attributes and excludedAttributes: send one of them",
        ),
        (
            r"invalid syntax at column (\d+)",
            "the filter or path can't be read from column {0} on: write it as in "
            'userName eq "x", with the value in double quotes',
        ),
        (
            r"value (.+) is not valid for attribute '(?:urn:.+:)?([^:]+)'",
            "the filter compares {1} with {0}, which is no value of its type: see /Schemas for the type",
        ),
        (
            r"operator '(\w+)' cannot be applied to the (\w+) attribute '(?:urn:.+:)?([^:]+)'",
            'the filter uses "{0}" on {2}, which is {1}: use eq or ne',
        ),
        (
            r"attribute '(?:urn:.+:)?([^:]+)' is not multi-valued and holds no values to select",
            "the filter has brackets after {0}, which has one value only: write it without brackets",
        ),
        (
            r"^'(.+)' is not in attribute notation",
            'there is a filter in "{0}", where the name of an attribute should stand: write it as in emails.value',
        ),
        (
            r"^'(.+)' is a complex attribute, sort on",
            "sortBy names {0}, which has parts: name one of them, as in name.familyName",
        ),
        (
            r"^'(.+)' is a binary attribute and cannot be sorted on",
            "sortBy names {0}, whose values have no order: name another attribute",
        ),
        (
            r"^number out of range: (.+)",
            "the filter compares with {0}, which is too large for a number: send a smaller one",
        ),
        (
            r"^a value selection cannot apply to the sub-attribute '(.+)'",
            'the filter or path has brackets after "{0}", which is a part: write them after the whole attribute, '
            'as in emails[type eq "work"].value',
        ),
        (
            r"'(.+)' is read-only",
            "{0} is read-only, the bridge sets it: take it out of the request",
        ),
        (
            r"required attribute cannot be (?:removed|unassigned)",
            "a required attribute, such as userName, can't be removed: send another value instead",
        ),
        (
            r"required attribute '(.+)' became unassigned",
            "{0} is required and can't be removed: send another value instead",
        ),
        (
            _NO_TARGET,
            "no entry of {0} meets the filter in the path, and only a filter of eq and and can make a new one: "
            'write the path as in {0}[type eq "work"].value',
        ),
        (r"operations attribute is required", "Operations is missing: send at least one operation"),
        (
            r"value is required for (\w+) operations",
            'an operation "{0}" has no value: send one, or use "remove"',
        ),
        (r"^the value written to '' must be", "an operation without a path has no object as its value: send one"),
        (r"^the value written to '(.+)' must be", "{0} has no object as its value: send its attributes in an object"),
        (
            r"^the value contradicts the filter of '(.+)'",
            "the value contradicts the filter in the path {0}: send a value that meets the filter, or another path",
        ),
        (
            r"^Multiple (?:values marked as primary|primary values already exist)",
            "more than one entry of an attribute would be primary: mark one only",
        ),
        (r"^the filter nests more than (\d+)", "the filter nests deeper than {0} levels: send a flatter one"),
        (
            r"Remove operation requires a path",
            'an operation "remove" has no path: name the attribute to remove',
        ),
        (
            r"'?(.+?)'? is not a PATCH operation: add, remove or replace",
            'op is "{0}": send add, remove or replace',
        ),
    )
)


def explained(exc: ValidationError) -> SCIMException:
    """Return the error for a request that doesn't fit its schema."""
    first: Mapping[str, Any] = exc.errors(include_url=False)[0]
    error = Error.from_validation_error(first)
    if first["type"].startswith("scim_"):
        detail = reworded(first["msg"])
        if first["loc"] and first["loc"][0] in _PARAMETERS and first["loc"][0] not in detail:
            detail = f"{first['loc'][0]}: {detail}"
    else:
        where = _scim_name(error.detail.rpartition(": ")[2]) if error.detail and first["loc"] else ""
        detail = _detail(first, where)
        if first["type"] == "required_error" and exc.title.startswith(_WRITTEN_BY_ENTRA):
            # Only for types that Entra writes: a competence system, not Entra, writes certificates.
            detail = f"{detail}; in Entra, check the attribute mapping to {first['ctx']['field_name']}"
    error.detail = detail
    return SCIMException.from_error(error)


def reworded(text: str) -> str:
    """Return one of the library's own texts in plain words, with what to do."""
    for pattern, rewrite in _REWRITES:
        match = pattern.search(text)
        if match is not None:
            if pattern is _NO_TARGET:
                return rewrite.format(_scim_name(match[1]))
            return rewrite.format(*(group[:MAX_SHOWN] for group in match.groups()))
    return text


def _scim_name(text: str) -> str:
    """Return a path as SCIM writes it, from one of the library's Python models."""
    return re.sub(r"(?<=[A-Za-z0-9])_([a-z0-9])", lambda found: found[1].upper(), text)


def _detail(error: Mapping[str, Any], where: str) -> str:
    by_type = _BY_TYPE.get(error["type"])
    if by_type is not None:
        return by_type(error.get("ctx") or {})
    kind = _KINDS.get(error["type"].partition("_")[0])
    name = where or "the body"
    if error["type"] == "missing":
        return f"{name} is missing: send it"
    if error["type"] == "value_error" and where:
        # Of single values only paths, filters and URLs are checked by functions of their own.
        is_text = name.endswith(".path") or name.partition("[")[0] in (*_PARAMETERS, "filter")
        kind = _KINDS["string"] if is_text else ("a URL", "send one such as https://example.com/x")
    if kind is not None:
        expected, cure = kind
        choices = (error.get("ctx") or {}).get("expected")
        if choices:
            expected, cure = f"one of {choices}", "send one of these"
        return f"{name} is {shown(error['input'])}, which isn't {expected}: {cure}"
    text = reworded(error["msg"])
    return text if text != error["msg"] else f"{name} is {shown(error['input'])}: {text.removeprefix('Value error, ')}"


_BY_TYPE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "required_error": lambda ctx: f"{ctx.get('field_name')} is missing or empty: send a value",
    "primary_uniqueness_error": lambda ctx: (
        f"{ctx.get('field_name')} has {ctx.get('count')} primary entries: mark one at most"
    ),
    "schema_error": lambda ctx: f"schemas lacks {ctx.get('schema')}: add it",
}
