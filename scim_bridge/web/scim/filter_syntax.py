"""Where a filter stops being one, in words: what was found, and what ought to stand there (RFC 7644 §3.4.2.2).

The parser's own message has the column only, and is read by administrators who look at Entra's log.
"""

import re
from typing import Any

from scim2_models import InvalidFilterException, ScimFilter

from scim_bridge.web.scim.wording import reworded

EXAMPLE = 'userName eq "x"'
MAX_WORD = 40
"""How much of what was found a message shows, in characters."""

_SINGLE_QUOTES = "'‘’‚“”„`´"
_VALUE, _OPERATOR, _NAME = "STRING", "COMPARE_OP", "ATTR_PATH"


def parsed_filter(text: str) -> ScimFilter[Any]:
    """A filter, whatever the attributes are that it names.

    :raises InvalidFilterException: when it can't be read; the detail says where, why and what to write.
    """
    if not text.strip():
        raise InvalidFilterException(detail=f"the filter is empty and can't be read: write one, as in {EXAMPLE}")
    try:
        return ScimFilter(text)
    except InvalidFilterException as exc:
        raise InvalidFilterException(detail=_said(text, exc)) from exc


def _said(text: str, exc: InvalidFilterException) -> str:
    cause: Any = exc.__cause__
    start = getattr(cause, "pos_in_stream", None)
    if start is None:
        # Not the syntax: nested too deep, or a number that is too large.
        return reworded(exc.detail)
    expected = set(getattr(cause, "expected", None) or getattr(cause, "allowed", None) or ())
    if getattr(getattr(cause, "token", None), "type", None) == "$END":
        return f"the filter can't be read: {_at_the_end(text, expected)}"
    before = text[:start].split()
    if before and before[-1].lower() in ("and", "or") and _VALUE not in expected:
        return (
            f"the filter can't be read from column {start + 1} on: a condition is missing beside "
            f'"{before[-1]}"; write {EXAMPLE} {before[-1]} title pr'
        )
    return f"the filter can't be read from column {start + 1} on: {_at_a_word(text[start:], expected)}"


def _at_the_end(text: str, expected: set[str]) -> str:
    if _VALUE in expected:
        return f"it ends where a value should stand; write it as in {EXAMPLE}, with the value in double quotes"
    if _OPERATOR in expected:
        return f"it ends after a name or a value; write name, operator and value, as in {EXAMPLE}"
    if expected & {"_RPAR", "_RBRACKET"}:
        return f'a bracket "{_open_bracket(text)}" is not closed; close it where its condition ends'
    return f"it ends where a condition should stand; write one, as in {EXAMPLE}, or take out the last word"


def _at_a_word(rest: str, expected: set[str]) -> str:
    word = _word(rest)
    if rest[0] in ")]":
        return f'there is no bracket that "{rest[0]}" could close here; take it out, or write what is missing before it'
    if _VALUE in expected:
        return _about_the_value(rest, word)
    if _OPERATOR in expected:
        return f'"{word}" is no operator; use eq, ne, co, sw, ew, gt, ge, lt, le or pr, as in {EXAMPLE}'
    if _NAME in expected:
        return f'"{word}" is no name of an attribute; a condition is name, operator and value, as in {EXAMPLE}'
    if expected == {"_LPAR"}:
        return f'after "not" a bracket should stand; write it as in not ({EXAMPLE})'
    return (
        f'"{word}" stands where "and", "or" or the end should; a value with spaces or quotes is one text in double '
        'quotes, with \\" for a quote within it'
    )


def _about_the_value(rest: str, word: str) -> str:
    if rest[0] in _SINGLE_QUOTES:
        return f"the value stands in quotes of another kind ({rest[0]}); write it in double quotes, as in {EXAMPLE}"
    if rest[0] == '"':
        return (
            "the text that begins here is not closed, or has a lone backslash; close it with a double quote, "
            'and write \\\\ for a backslash and \\" for a quote within it'
        )
    return f'the value "{word}" is not in double quotes; write it as in {EXAMPLE}'


def _open_bracket(text: str) -> str:
    """The innermost bracket that stays open."""
    left: list[str] = []
    for each in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        if each in "([":
            left.append(each)
        elif each in ")]" and left:
            left.pop()
    return left[-1] if left else "("


def _word(rest: str) -> str:
    match = re.match(r'"[^"]*"|\S+', rest)
    return (match[0] if match else rest)[:MAX_WORD].strip('"')
