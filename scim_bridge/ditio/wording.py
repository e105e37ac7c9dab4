"""Ditio's own words for a refusal, out of whichever form the body has, bounded and cleaned."""

import html
import json
import re
import unicodedata
from dataclasses import dataclass

from scim_bridge.domain.documents import JsonObject

LONGEST = 300
"""How many characters of Ditio's words are passed on."""

_MOST = 20
"""How many complaints of one answer are read; more would not fit."""

_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
# A server in debug mode prints request headers into its error pages.
_BEARER = re.compile(r"bearer\s+[\w.~+/=-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that Ditio finds wrong."""

    words: str
    field: str | None = None
    """By Ditio's camelCase name (`startDate`)."""


def words_of(body: bytes, content_type: str) -> Complaint:
    """What a refusal says: all messages joined, and the first field that is named.

    Forms: v5 `errors`, `error` and `message`, RFC 9457 `title`, `detail` and `errors`, plain text (often
    Norwegian), HTML, or nothing. The markup of a page is never passed on.
    """
    text = _decoded(body)
    if "html" in content_type.lower() or text.lstrip().startswith("<"):
        return Complaint(_page(text))
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        document = text
    complaints = [c for c in _complaints(document) if c.words]
    # Said once is enough, and in the order in which Ditio says it.
    words = "; ".join(dict.fromkeys(c.words for c in complaints))
    field = next((c.field for c in complaints if c.field), None)
    return Complaint(_bounded(words) or "no reason was given", field)


def has_errors(body: bytes) -> bool:
    """Whether an answer lists errors in a form of Ditio's: `errors` that are not empty, beside or inside an item."""
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return False
    documents = document if isinstance(document, list) else [document]
    return any(isinstance(each, dict) and bool(each.get("errors")) for each in documents)


def camel_case(name: str) -> str | None:
    """A field as the create body spells it: `Employment.StartDate` and `$.startDate` are `startDate`."""
    last = re.sub(r"\[\d*\]", "", name).split(".")[-1].strip(" $")
    return last[0].lower() + last[1:] if last else None


def _complaints(document: object, depth: int = 4) -> list[Complaint]:
    match document:
        case str():
            return [Complaint(_clean(document))]
        case list() if depth:
            return [complaint for item in document[:_MOST] for complaint in _complaints(item, depth - 1)]
        case dict():
            inner = [complaint for complaint in _inner(document.get("errors"), depth) if complaint.words]
            # What an error says about itself beside its list is a heading: "Validation failed".
            return inner or [Complaint(_message(document), _field(document.get("field")))]
        case _:
            return []


def _inner(errors: object, depth: int) -> list[Complaint]:
    match errors:
        case list() if depth:
            return _complaints(errors, depth - 1)
        case dict():
            by_field = [(_field(name), _complaints(said, 1)) for name, said in list(errors.items())[:_MOST]]
            return [Complaint(complaint.words, field) for field, said in by_field for complaint in said]
        case _:
            return []


def _message(document: JsonObject) -> str:
    texts = _texts(document, "message") or _texts(document, "title", "detail") or _texts(document, "error")
    return ": ".join(texts)


def _field(name: object) -> str | None:
    return camel_case(_clean(name)) if isinstance(name, str) else None


def _texts(document: JsonObject, *keys: str) -> list[str]:
    values = (document.get(key) for key in keys)
    return [text for value in values if isinstance(value, str) and (text := _clean(value))]


def _page(text: str) -> str:
    found = _TITLE.search(text)
    title = html.unescape(re.sub("<[^>]*>", " ", found[1])) if found else ""
    title = _clean(title.replace("<", " ").replace(">", " "))
    return _bounded(f'an HTML page titled "{title}"' if title else "an HTML page")


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _clean(text: str) -> str:
    """On one line, without control and format characters."""
    visible = "".join(" " if unicodedata.category(c).startswith("C") else c for c in text[: 20 * LONGEST])
    return _BEARER.sub("Bearer …", " ".join(visible.split()))


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
