"""How the simulated Graph answers: errors, `$select`, `$filter`, and lists in pages."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from urllib.parse import quote

from flask import Response, g, jsonify, request

from scim_bridge.sandbox.directory import JsonObject
from scim_bridge.sandbox.graph.style import GraphStyle

MOST_TOKENS = 5_000
MOST_IN_A_FILTER = 15

T = TypeVar("T")


class GraphRefusal(Exception):
    """Graph refuses a call.

    :param code: Graph's error code, such as `Request_ResourceNotFound`.
    :param headers: Further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def error_document(code: str, message: str, at: datetime, request_id: str) -> JsonObject:
    """Return the body of a refusal."""
    inner = {
        "date": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
        "request-id": request_id,
        "client-request-id": request_id,
    }
    return {"error": {"code": code, "message": message, "innerError": inner}}


def not_found(object_id: str) -> GraphRefusal:
    text = f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present."
    return GraphRefusal(404, "Request_ResourceNotFound", text)


def bad_request(message: str, code: str = "Request_BadRequest") -> GraphRefusal:
    """Return the refusal of a call that is not understood."""
    return GraphRefusal(400, code, message)


def moment(at: datetime) -> str:
    """Return a time as Graph writes it: `2026-11-24T07:41:12Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def root() -> str:
    """Return the URL below which this request found Graph, with the version: `https://…/v1.0`."""
    return f"{request.host_url.rstrip('/')}{request.root_path}/{g.version}"


def selected(default: Sequence[str], known: Callable[[str], bool]) -> list[str]:
    """Return the properties that `$select` names.

    :raises GraphRefusal: it names one that does not exist. One of a directory extension is read over.
    """
    asked = [name.strip() for name in request.args.get("$select", "").split(",") if name.strip()]
    for name in asked:
        if not known(name) and not name.startswith("extension_"):
            raise bad_request(f"Could not find a property named '{name}'.", "BadRequest")
    return [name for name in asked if known(name)] or list(default)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a `$filter`: `sourceIdentity/id eq 'a1'`."""

    path: str
    operator: str
    values: tuple[str, ...]

    def holds(self, value: object) -> bool:
        """Return whether a value meets it; text is compared by case, times as text."""
        text = "" if value is None else str(value)
        match self.operator:
            case "eq" | "in":
                return text in self.values
            case "gt" | "ge":
                return text > self.values[0] or (self.operator == "ge" and text == self.values[0])
            case "lt" | "le":
                return text < self.values[0] or (self.operator == "le" and text == self.values[0])
            case _:
                return self.values[0] in text


_COMPARED = re.compile(r"\s*(?P<path>[\w/]+)\s+(?P<operator>eq|gt|ge|lt|le)\s+(?P<value>'(?:[^']|'')*'|[^\s']+)\s*")
_IN = re.compile(r"\s*(?P<path>[\w/]+)\s+in\s*\((?P<values>[^)]*)\)\s*")
_CONTAINS = re.compile(r"\s*contains\(\s*(?P<path>[\w/]+)\s*,\s*(?P<value>'(?:[^']|'')*')\s*\)\s*")


def conditions(paths: Sequence[str]) -> list[Condition]:
    """Return the comparisons of `$filter`.

    :param paths: What may be compared.
    :raises GraphRefusal: it has another form, or names another path.
    """
    text = request.args.get("$filter", "")
    found = [_condition(part) for part in re.split(r"\s+and\s+", text)] if text else []
    for condition in found:
        if condition.path not in paths:
            raise bad_request(f"Invalid filter clause: '{condition.path}'.")
    return found


def _condition(text: str) -> Condition:
    if (match := _COMPARED.fullmatch(text)) is not None:
        return Condition(match["path"], match["operator"], (_literal(match["value"]),))
    if (match := _CONTAINS.fullmatch(text)) is not None:
        return Condition(match["path"], "contains", (_literal(match["value"]),))
    if (match := _IN.fullmatch(text)) is not None:
        values = tuple(_literal(value.strip()) for value in match["values"].split(","))
        if len(values) <= MOST_IN_A_FILTER:
            return Condition(match["path"], "in", values)
    raise bad_request("Invalid filter clause.")


def _literal(text: str) -> str:
    return text[1:-1].replace("''", "'") if text.startswith("'") else text


def advanced_query() -> None:
    """Refuse a call that needs the index, without its header; also a further page needs it.

    :raises GraphRefusal: `ConsistencyLevel: eventual` is missing.
    """
    if request.headers.get("ConsistencyLevel", "").lower() != "eventual":
        raise bad_request("$count is not currently supported.", "Request_UnsupportedQuery")


@dataclass(frozen=True, slots=True)
class _Place(Generic[T]):
    """Where the next page begins."""

    rows: Sequence[T]
    begin: int
    top: int
    blank: bool = False
    """Whether an empty page comes before."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list."""

    rows: Sequence[T]
    next_link: str | None

    count: int | None
    """All rows, counted for the first page only."""

    whole: Sequence[T]
    """The list that this is a page of."""

    def answer(self, context: str, document: Callable[[T], JsonObject | None], **further: object) -> Response:
        """Return the page as JSON; a row without a document is left out.

        :param further: More members of the answer, for the last page: `deltaLink`, say.
        """
        value = [each for each in map(document, self.rows) if each is not None]
        body: JsonObject = {"@odata.context": f"{root()}/$metadata#{context}"}
        if self.count is not None and request.args.get("$count") == "true":
            body["@odata.count"] = self.count
        if self.next_link is not None:
            body["@odata.nextLink"] = self.next_link
        else:
            body |= {f"@odata.{name}": text for name, text in further.items()}
        return jsonify(body | {"value": value})


class Pages:
    """Lists in pages, whose places are remembered by `$skiptoken`."""

    def __init__(self, style: Callable[[], GraphStyle]) -> None:
        self._style = style
        self._lock = threading.Lock()
        self._places: OrderedDict[str, _Place[object]] = OrderedDict()
        self._issued = 0

    def page(self, rows: Callable[[], Sequence[T]], *, most: int = 999, top: int | None = None) -> Page[T]:
        """Return the page that the request asks for.

        :param rows: Returns all rows, asked for the first page only.
        :param most: The largest `$top`.
        :param top: Rows on a page whatever `$top` says; None: as it says.
        :raises GraphRefusal: `$top` or `$skiptoken` is not understood.
        """
        token = request.args.get("$skiptoken")
        style = self._style()
        if token is None:
            place: _Place[T] = _Place(rows(), 0, top or self._top(most))
        else:
            place = self._place(token)
        blank_follows = token is None and style.empty_pages == "middle"
        if place.blank:
            return Page([], self._link(_Place(place.rows, place.begin, place.top)), None, place.rows)
        end = place.begin + place.top
        more = end < len(place.rows) or (style.empty_pages == "last" and place.begin < len(place.rows))
        more = more and not style.ends_early
        following = _Place(place.rows, end, place.top, blank_follows) if more else None
        link = None if following is None else self._link(following)
        return Page(place.rows[place.begin : end], link, len(place.rows) if token is None else None, place.rows)

    def link(self, rows: Sequence[T], top: int, path: str) -> str:
        """Return a link to a list that begins anew.

        :param path: Below the version: `/users/delta`.
        """
        return f"{self.base()}{path}?$skiptoken={self._keep(_Place(rows, 0, top))}"

    def base(self) -> str:
        """Return where links lead, with the version."""
        style = self._style()
        return root() if style.links_to is None else f"{style.links_to.rstrip('/')}/{g.version}"

    def _link(self, place: _Place[T]) -> str:
        kept = [(name, value) for name, value in request.args.items() if name not in ("$skiptoken", "$deltatoken")]
        query = "&".join(f"{name}={quote(value, safe='$,()')}" for name, value in kept)
        path = request.path.partition(f"/{g.version}")[2]
        return f"{self.base()}{path}?{query}{'&' if query else ''}$skiptoken={self._keep(place)}"

    def _keep(self, place: _Place[T]) -> str:
        with self._lock:
            self._issued += 1
            token = f"p{self._issued}"
            self._places[token] = place  # type: ignore[assignment]  # Each list has rows of its own kind.
            while len(self._places) > MOST_TOKENS:
                self._places.popitem(last=False)
        return token

    def _place(self, token: str) -> _Place[T]:
        with self._lock:
            place = self._places.get(token)
        if place is None:
            text = "The specified page token value has expired and can no longer be included in your request."
            raise bad_request(text, "Directory_ExpiredPageToken")
        return place  # type: ignore[return-value]  # A token comes back to the list that gave it.

    def _top(self, most: int) -> int:
        text = request.args.get("$top")
        if text is None:
            return min(self._style().default_top, most)
        if not text.isdigit() or not 1 <= int(text) <= most:
            text = f"Invalid page size specified: '{text}'. Must be between 1 and {most} inclusive."
            raise bad_request(text, "Request_UnsupportedQuery")
        return int(text)
