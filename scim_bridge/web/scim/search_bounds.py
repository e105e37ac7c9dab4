"""What a search may ask for: so much, and only what can be answered (rule A7).

Filters and pages are bounded by settings. What is bounded here by a constant is far beyond anything that a client
has a use for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from scim2_models import InvalidFilterException, InvalidPathException, InvalidValueException, Resource

from scim_bridge.web.scim.bodies import refuse_unstorable_text
from scim_bridge.web.scim.filter_meaning import refuse_meaningless
from scim_bridge.web.scim.filter_syntax import parsed_filter

MAX_NAMES = 200
"""How many names `attributes` or `excludedAttributes` may have."""

MAX_NAME_LENGTH = 500
"""The longest name in them, and the longest `sortBy`, in characters."""

MAX_CONDITION_LENGTH = 1000
"""The longest `If-Match` or `If-None-Match`, in characters: some dozens of versions."""

LAST_INDEX = 2**53 - 1
"""The largest `startIndex`: the largest integer that all JSON parsers agree on (RFC 8259 §6)."""


def _asked_of(payload: Any) -> dict[str, Any]:
    """What the query or the body of a search says, by lower-case name."""
    return {str(name).lower(): value for name, value in payload.items()} if isinstance(payload, Mapping) else {}


def refuse_unanswerable(payload: Any, models: Sequence[type[Resource[Any]]]) -> None:
    """Refuse a search whose filter can't be read or means nothing. `models` are searched.

    :raises SCIMException: 400; the detail names what, where and the cure.
    """
    text = _asked_of(payload).get("filter")
    if isinstance(text, str):
        refuse_meaningless(parsed_filter(text), models)


def refuse_large_search(payload: Any, max_filter_length: int) -> None:
    """Refuse a search whose parts are too long. `payload` is what its query or body says.

    :raises InvalidFilterException: the filter is.
    :raises InvalidPathException: another part is.
    """
    asked = _asked_of(payload)
    text = asked.get("filter")
    if isinstance(text, str) and len(text) > max_filter_length:
        raise InvalidFilterException(
            detail=f"the filter has {len(text)} characters, {max_filter_length} are allowed: send a shorter one"
        )
    sort_by = asked.get("sortby")
    if isinstance(sort_by, str) and len(sort_by) > MAX_NAME_LENGTH:
        raise InvalidPathException(
            detail=f"sortBy has {len(sort_by)} characters, {MAX_NAME_LENGTH} are allowed: name one attribute"
        )
    for name in ("attributes", "excludedAttributes"):
        _refuse_many_names(name, asked.get(name.lower()))


def _refuse_many_names(name: str, value: Any) -> None:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list):
        return
    names = [part for each in names for part in (each.split(",") if isinstance(each, str) else [each])]
    if len(names) > MAX_NAMES:
        raise InvalidPathException(detail=f"{name} has {len(names)} names, {MAX_NAMES} are allowed: name fewer")
    longest = max((len(each) for each in names if isinstance(each, str)), default=0)
    if longest > MAX_NAME_LENGTH:
        raise InvalidPathException(
            detail=f"{name} has a name of {longest} characters, {MAX_NAME_LENGTH} are allowed: name an attribute"
        )


def refuse_unusable_condition(text: str | None, where: str) -> None:
    """Refuse a version to compare with that no resource can have. `where` is how the message calls it.

    :raises InvalidValueException: it is too long, or has a NUL character.
    """
    if text is None:
        return
    refuse_unstorable_text(text, where)
    if len(text) > MAX_CONDITION_LENGTH:
        raise InvalidValueException(
            detail=f"{where} has {len(text)} characters, {MAX_CONDITION_LENGTH} are allowed: "
            "send the version of the resource, from its ETag or meta.version"
        )
