"""Bounds of a request: JSON whose text can be stored, and how much one write may carry (rule A7)."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, NoReturn
from unicodedata import combining, normalize

from scim2_models import (
    InvalidPathException,
    InvalidSyntaxException,
    InvalidValueException,
    PayloadTooLargeException,
    Resource,
)
from scim2_models.path import LogicalExpr, Not, ValuePath

from scim_bridge.scim.resources import value_of
from scim_bridge.scim.schema import AttributeSchema, shape_of

if TYPE_CHECKING:
    from scim2_models import PatchOp


MAX_NESTING = 32
"""How many levels a body may nest; SCIM itself needs six."""


MAX_ITEMS = 50_000
"""How many values one body may have, the members of a group included."""

MAX_NAME_SHOWN = 100
"""How many characters of an attribute's name a message shows."""

MAX_MARKS = 30
"""How many combining marks may follow each other: the stream-safe limit of Unicode's UAX #15. The cost of normalisation
grows with the square of their number, and no language writes more than a few."""

_MARKS = re.compile(
    # A few characters are no marks themselves, but decompose into nothing else.
    f"[{''.join(each for each in map(chr, range(0x300, 0x20000)) if combining(normalize('NFD', each)[0]))}]+"
)


def decoded(body: bytes, max_length: int) -> Any:
    """Return the JSON of a body.

    :param max_length: The longest text in it, in characters (rule A9).

    :raises InvalidSyntaxException: when it isn't JSON, with the place of the error.
    :raises InvalidValueException: when text in it is too long, or can't be stored.
    """
    value = _parsed(body)
    refuse_unreadable(value, max_length)
    return value


def decoded_object(body: bytes, max_length: int) -> dict[str, Any]:
    """Return the JSON object of a body.

    :raises InvalidSyntaxException: also when it is JSON but not an object.
    """
    value = decoded(body, max_length)
    if not isinstance(value, dict):
        raise _no_object(value)
    return value


def parsed_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body whose parts are still to be checked one by one, with `refuse_unreadable`.

    :raises InvalidSyntaxException: when it isn't JSON, or not an object.
    """
    value = _parsed(body)
    if not isinstance(value, dict):
        raise _no_object(value)
    return value


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as exc:
        raise InvalidSyntaxException(detail=f"the body isn't UTF-8 (byte {exc.start + 1}): send JSON in UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise InvalidSyntaxException(
            detail=f"the body isn't JSON: {exc.msg.lower()} in line {exc.lineno}, column {exc.colno}"
        ) from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    except ValueError as exc:
        raise InvalidSyntaxException(detail="the body has a number that is too long to be read") from exc


def refuse_unreadable(value: Any, max_length: int) -> None:
    """Refuse unusable input, however deeply nested, before any other check (rule A9).

    :raises InvalidValueException: text that is too long, has too many marks in a row, or that no database can store.
    :raises InvalidSyntaxException: nested too deep.
    :raises PayloadTooLargeException: so many values that checking them takes too long.
    """

    def refuse(text: str, where: str) -> None:
        if len(text) <= max_length and text.isascii() and "\x00" not in text:
            return  # As nearly all are.
        if len(text) > max_length:
            raise InvalidValueException(
                detail=f"{where} has {len(text)} characters, {max_length} are allowed: send a shorter text"
            )
        refuse_unstorable_text(text, where)
        if not text.isascii() and any(len(marks) > MAX_MARKS for marks in _MARKS.findall(text)):
            raise InvalidValueException(
                detail=f"{where} has more than {MAX_MARKS} combining marks, such as accents, in a row: "
                "send the text without them"
            )

    _refuse(value, refuse, MAX_ITEMS)


def refuse_unstorable(value: Any) -> None:
    """Refuse what no database can store, however deeply nested (rule A7).

    :raises InvalidValueException: a NUL character, half a surrogate pair, or an infinite number.
    :raises InvalidSyntaxException: nested too deep.
    """
    _refuse(value, refuse_unstorable_text)


def _refuse(value: Any, refuse_text: Callable[[str, str], None], max_items: float = inf) -> None:
    waiting: list[tuple[Any, int, str]] = [(value, 1, "")]
    seen = 0
    while waiting:
        item, depth, name = waiting.pop()
        if isinstance(item, str):
            refuse_text(item, name or "the body")
        elif isinstance(item, float) and not isfinite(item):
            raise InvalidValueException(detail=f"{name} is a number that is too large: send a smaller one")
        elif isinstance(item, dict | list):
            seen += len(item)
            if seen > max_items:
                raise PayloadTooLargeException(
                    detail=f"the body has more than {max_items} values: send fewer at once, in several requests"
                )
            if depth > MAX_NESTING:
                raise _too_deep()
            if isinstance(item, list):
                waiting += [(each, depth + 1, name) for each in item]
                continue
            for key in item:
                refuse_text(key, "the name of an attribute")
            path = item.get("path")
            for key, each in item.items():
                # A message names the value of an operation by its path.
                called_by = path if key == "value" and isinstance(path, str) and path else key
                waiting.append((each, depth + 1, str(called_by)[:MAX_NAME_SHOWN]))


def refuse_unstorable_text(text: str, where: str) -> None:
    """Refuse one text. :param where: Its name in the message. :raises InvalidValueException: see above."""
    if "\x00" in text:
        raise InvalidValueException(detail=f"{where} has a NUL character (U+0000): send the text without it")
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise InvalidValueException(
            detail=f"{where} has half of a surrogate pair, which is no character: send the text without it"
        )


def _no_object(value: Any) -> InvalidSyntaxException:
    return InvalidSyntaxException(detail=f"the body is {called(value)}: send a JSON object")


def _too_deep() -> InvalidSyntaxException:
    return InvalidSyntaxException(detail=f"the body nests deeper than {MAX_NESTING} levels: send a flatter one")


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidSyntaxException(detail=f"the body isn't JSON: it has {name}, which is no JSON number")


def called(value: Any) -> str:
    """Return what kind of JSON value this is, for a message that doesn't show the value."""
    match value:
        case list():
            return "a list"
        case str():
            return "a text"
        case None:
            return "null"
        case dict():
            return "an object"
    return "a single value"


MAX_PATH_LENGTH = 1000
"""The longest path, or key with a filter, in characters. A filter may be longer: a PATCH has many paths."""

MAX_PATHS_LENGTH = 60_000
"""How many characters all paths and keys with a filter in one body may have: room for a thousand of
`members[value eq "a GUID"]`."""

MAX_VALUES = 2000
"""How many values a body may have, objects and lists included; a whole user has about a hundred. The members of a
group don't count: they are many, and have a limit of their own."""

MAX_MEMBERS = 5000
"""How many members of a group one body may list. A group may get more through several PATCHes."""

MAX_BULK_VALUES = 20_000
"""The same limit for a whole bulk request."""

MAX_ENTRIES = 1000
"""How many entries an attribute may have after a PATCH, except the members of a group."""

MAX_COMPARISONS = 10_000
"""How many comparisons one PATCH may take: each operation, and each comparison of the filter in its path, with
each entry of the attribute."""

MAX_COMPARED = 1_000_000
"""How many characters these comparisons may read in all."""

MEMBERS = "members"


def refuse_large_resource(body: Mapping[str, Any], *, max_filter_length: int, max_filters: int) -> None:
    """Refuse a POST or PUT with too many values, or with keys with filters that are too many or too long.

    :raises InvalidPathException: a key is too long.
    :raises PayloadTooLargeException: there are too many.
    """
    refuse_many_values(body)
    _refuse_many_members(_listed_members(body))
    _refuse_many_filters([key for key in _keys(body) if "[" in key], max_filter_length, max_filters)


def refuse_large_patch(body: Mapping[str, Any], *, max_filter_length: int, max_operations: int) -> None:
    """Refuse a PATCH with too many operations, as sent, or with paths that are too long.

    :raises InvalidPathException: a path is too long.
    :raises PayloadTooLargeException: there are too many operations, or too many keys with filters.
    """
    refuse_many_operations(body, max_operations)
    fields = [
        {name.lower(): item for name, item in operation.items()}
        for operation in _operations(body)
        if isinstance(operation, dict)
    ]
    values = [each.get("value") for each in fields]
    refuse_many_values([value for each in fields for value in _children(each) if isinstance(value, dict | list)])
    _refuse_many_members(sum(_listed_members(each) for each in fields))
    paths = [path for each in fields if isinstance(path := each.get("path"), str)]
    keys = [key for value in values if isinstance(value, dict) for key in _keys(value) if "[" in key]
    _refuse_many_filters([*paths, *keys], max_filter_length, max_operations)


def refuse_many_values(body: Any, allowed: int = MAX_VALUES) -> None:
    """Refuse a body with more values than any real one has.

    :raises PayloadTooLargeException: naming the limit.
    """
    waiting, count = [body], 0
    while waiting:
        children = _children(waiting.pop())
        count += len(children)
        waiting += [child for child in children if isinstance(child, dict | list)]
        if count > allowed:
            raise PayloadTooLargeException(
                detail=f"the body has more than {allowed} values: send fewer attributes, or fewer entries of them"
            )


def _refuse_many_members(count: int) -> None:
    if count > MAX_MEMBERS:
        raise PayloadTooLargeException(
            detail=f"the body lists {count} members, {MAX_MEMBERS} are allowed: send the others by PATCH, "
            "in several requests"
        )


def _listed_members(item: Mapping[str, Any]) -> int:
    """Return how many members a resource, or an operation of a PATCH, lists in any spelling of the attribute."""
    names = {name.lower(): value for name, value in item.items()}
    inside = names.get("value")
    lists = [names.get(MEMBERS), inside]
    if isinstance(inside, dict):
        lists += [value for name, value in inside.items() if name.lower().endswith(MEMBERS)]
    return sum(len(each) for each in lists if isinstance(each, list))


def _children(item: Any) -> list[Any]:
    """Return what is inside an object or a list, except the members of a group."""
    if not isinstance(item, dict):
        return list(item) if isinstance(item, list) else []
    names = {name.lower(): value for name, value in item.items()}
    path = names.get("path")
    excepted = {MEMBERS, "value"} if isinstance(path, str) and path.lower().startswith(MEMBERS) else {MEMBERS}
    return [value for name, value in names.items() if not (name in excepted and isinstance(value, list))]


def refuse_long_work(current: Resource[Any], patch_op: "PatchOp[Any]") -> None:
    """Refuse a PATCH that would take too many comparisons with entries. `current` is the resource to change.

    :raises PayloadTooLargeException: naming the limit.
    """
    # The members of a group are found by their ids, not compared one by one.
    many = {shape.name.lower() for shape in _many_valued(current)}
    operations = [
        (each.path.ast, each.value)
        for each in patch_op.operations or []
        if each.path is not None and _attribute(each.path.ast) in many
    ]
    conditions = sum(_conditions(path) for path, _ in operations)
    # Each operation may add entries.
    added = sum(len(value) if isinstance(value, list) else 1 for _, value in operations)
    entries = max((count for _, count in _entries(current)), default=0) + added
    if conditions * entries > MAX_COMPARISONS:
        raise PayloadTooLargeException(
            detail=f"the PATCH would take more than {MAX_COMPARISONS} comparisons with the entries that the resource "
            "has: send several requests, or replace the attribute as a whole"
        )
    if conditions <= 1:
        return
    length = sum(len(str(value_of(current, shape.name))) for shape in _many_valued(current))
    if conditions * (length + sum(len(str(value)) for _, value in operations)) > MAX_COMPARED:
        raise PayloadTooLargeException(
            detail=f"the PATCH would compare more than {MAX_COMPARED} characters, because the entries of the resource "
            "are long: send several requests, or replace the attribute as a whole"
        )


def refuse_many_entries(resource: Resource[Any]) -> None:
    """Refuse to let a resource grow without limit.

    :raises PayloadTooLargeException: naming attribute, count and limit.
    """
    for name, count in _entries(resource):
        if count > MAX_ENTRIES:
            raise PayloadTooLargeException(
                detail=f"{name} would have {count} entries, {MAX_ENTRIES} are allowed: remove some first"
            )


def _entries(resource: Resource[Any]) -> Iterator[tuple[str, int]]:
    """Yield how many entries each attribute has, except the members of a group."""
    for shape in _many_valued(resource):
        yield shape.name, len(value_of(resource, shape.name) or ())


def _many_valued(resource: Resource[Any]) -> list[AttributeSchema]:
    shapes = shape_of(type(resource)).attributes.values()
    return [shape for shape in shapes if shape.multi_valued and shape.name != MEMBERS]


def _attribute(path: Any) -> str:
    """Return the attribute's name at the start of a path, in lower case; empty for an empty path."""
    attribute = path.attr_path if isinstance(path, ValuePath) else path
    return str(getattr(attribute, "attr", "")).lower()


def _conditions(node: Any) -> int:
    match node:
        case ValuePath():
            return _conditions(node.val_filter)
        case Not(expr):
            return _conditions(expr)
        case LogicalExpr(_, terms):
            return sum(_conditions(term) for term in terms)
    return 1


def refuse_many_operations(body: Any, allowed: int) -> None:
    """Refuse a PATCH with too many operations, as sent or after those without a path are split.

    :raises PayloadTooLargeException: RFC 7644 §3.12 has no other status than 413 for "too much".
    """
    count = len(_operations(body))
    if count > allowed:
        raise PayloadTooLargeException(
            detail=f"the PATCH has {count} operations, {allowed} are allowed: send several requests; an operation "
            "without a path counts once for each attribute in its value"
        )


def _operations(body: Any) -> list[Any]:
    """Return the operations of a PATCH; none where it has no list of them, which the library refuses."""
    found = next((item for name, item in body.items() if name.lower() == "operations"), None)
    return found if isinstance(found, list) else []


def _keys(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of attributes and of those one level below, where the attributes of extensions are."""
    for key, value in body.items():
        yield key
        if isinstance(value, dict):
            yield from value


def _refuse_many_filters(paths: list[str], max_filter_length: int, max_filters: int) -> None:
    longest, allowed = max(map(len, paths), default=0), min(max_filter_length, MAX_PATH_LENGTH)
    if longest > allowed:
        raise InvalidPathException(
            detail=f"a path, or an attribute with a filter in brackets, has {longest} characters, "
            f"{allowed} are allowed: send a shorter one"
        )
    if len(paths) > max_filters:
        raise PayloadTooLargeException(
            detail=f"the body has {len(paths)} attributes with a filter in brackets, {max_filters} are allowed: "
            "send several requests"
        )
    together = sum(map(len, paths))
    if together > MAX_PATHS_LENGTH:
        raise PayloadTooLargeException(
            detail=f"the paths have {together} characters together, {MAX_PATHS_LENGTH} are allowed: "
            "send several requests"
        )
