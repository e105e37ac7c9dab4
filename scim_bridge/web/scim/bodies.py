"""Request bodies before the protocol looks at them: JSON, bounded, of text that can be stored."""

import json
import re
from collections.abc import Callable
from math import inf, isfinite
from typing import Any, NoReturn
from unicodedata import combining, normalize

from scim2_models import InvalidSyntaxException, InvalidValueException, PayloadTooLargeException

MAX_NESTING = 32
"""How deep a body may nest; SCIM itself needs six levels."""


MAX_ITEMS = 50_000
"""How many values one body may have in all, the members of a group included."""

MAX_NAME_SHOWN = 100
"""How much of an attribute's name a message shows, in characters."""

MAX_MARKS = 30
"""How many combining marks may follow each other: the stream-safe limit of Unicode's UAX #15. Normalisation takes the
square of their number, and no language writes more than a few."""

_MARKS = re.compile(
    # A few that are no marks themselves are taken apart into nothing else.
    f"[{''.join(each for each in map(chr, range(0x300, 0x20000)) if combining(normalize('NFD', each)[0]))}]+"
)


def decoded(body: bytes, max_length: int) -> Any:
    """The JSON of a body.

    :param max_length: The longest text in it, in characters (rule A9).

    :raises InvalidSyntaxException: when it isn't JSON, with the place where it breaks off.
    :raises InvalidValueException: when text in it is too long, or can't be stored.
    """
    value = _parsed(body)
    refuse_unreadable(value, max_length)
    return value


def decoded_object(body: bytes, max_length: int) -> dict[str, Any]:
    """The JSON object of a body.

    :raises InvalidSyntaxException: also when it is JSON but no object.
    """
    value = decoded(body, max_length)
    if not isinstance(value, dict):
        raise _no_object(value)
    return value


def parsed_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body whose parts are still to be checked, each by itself, with `refuse_unreadable`.

    :raises InvalidSyntaxException: when it isn't JSON, or no object.
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
    """Refuse what a client sent, wherever it is nested, before anything else looks at it (rule A9).

    :raises InvalidValueException: text that is too long, or has too many marks in a row; also what no database keeps.
    :raises InvalidSyntaxException: nested too deep.
    :raises PayloadTooLargeException: so many values that looking at them takes its time.
    """

    def refuse(text: str, where: str) -> None:
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
    """Refuse what no database keeps, wherever it is nested (rule A7).

    :raises InvalidValueException: a NUL character, half a surrogate pair, or an infinite number.
    :raises InvalidSyntaxException: nested too deep.
    """
    _refuse(value, refuse_unstorable_text)


def _refuse(value: Any, refuse_text: Callable[[str, str], None], max_items: float = inf) -> None:
    waiting: list[tuple[Any, int, str]] = [(value, 1, "")]
    seen = 0
    while waiting:
        item, depth, name = waiting.pop()
        seen += len(item) if isinstance(item, dict | list) else 0
        if seen > max_items:
            raise PayloadTooLargeException(
                detail=f"the body has more than {max_items} values: send fewer at once, in several requests"
            )
        if isinstance(item, str):
            refuse_text(item, name or "the body")
        elif isinstance(item, float) and not isfinite(item):
            raise InvalidValueException(detail=f"{name} is a number that is too large: send a smaller one")
        elif isinstance(item, dict | list):
            if depth > MAX_NESTING:
                raise _too_deep()
            if isinstance(item, list):
                waiting += [(each, depth + 1, name) for each in item]
                continue
            for key in item:
                refuse_text(key, "the name of an attribute")
            path = item.get("path")
            for key, each in item.items():
                # The value of an operation is called by its path.
                called_by = path if key == "value" and isinstance(path, str) and path else key
                waiting.append((each, depth + 1, str(called_by)[:MAX_NAME_SHOWN]))


def refuse_unstorable_text(text: str, where: str) -> None:
    """Refuse one text. :param where: How the message calls it. :raises InvalidValueException: see above."""
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
    """What a value of JSON is, for a message that doesn't show it."""
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
