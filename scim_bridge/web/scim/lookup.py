"""The short way of the reads that Entra sends most: one user by id, or by the value of an attribute.

It answers from the stored document, without building a model. What it does not know for certain it leaves to the
protocol server, whose answer is the same (rule A6).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_plus

from scim2_models import Resource, ScimProvider
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from scim2_server.service import SEARCH_REQUEST_PARAMETERS

from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN
from scim_bridge.scim.resources import folded
from scim_bridge.scim.schema import AttributeSchema, Kind, shape_of
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.storage.resources import LOOKUPS, NUMBER, WORK_ADDRESS, StoredResource
from scim_bridge.web.scim.rows import identity_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Names = Mapping[str, "Names | None"]

FAILED = "scim_bridge.failed"
"""Where a request keeps the failure that this way met: it is answered as any other, and not tried again."""

_PATH = re.compile(r"(?:/tenants/([A-Za-z0-9_-]{1,100}))?/scim/v2/Users(?:/([0-9a-f-]{36}))?")
_FILTER = re.compile(r'([A-Za-z0-9:._-]+|emails\[type eq "work"\]\.value) eq "([^"\\\x00-\x1f\x7f-\x9f]+)"')
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_NAMES = re.compile(r"[A-Za-z]+(,[A-Za-z]+)*")

_KNOWN = {name.lower() for name in SEARCH_REQUEST_PARAMETERS}
_OF_SEARCH = frozenset({"filter", "startIndex", "count", "attributes", "excludedAttributes"})
_OF_ONE = frozenset({"attributes", "excludedAttributes"})
_NOT_SIMPLE = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_TRANSFER_ENCODING")
_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_ASKED = {name.lower(): name for name in LOOKUPS} | {f"{ENTERPRISE_URN}:{NUMBER}".lower(): NUMBER}
_COMPARED = {NUMBER: f"{ENTERPRISE_URN}:{NUMBER}", WORK_ADDRESS: "emails.value"}
"""The attribute whose values are compared, where a filter names it otherwise."""


_ENCODER = json.JSONEncoder(ensure_ascii=False)


class NotSimple(Exception):
    """The request, or what is stored, is not of the kind that can be answered here."""


@dataclass(frozen=True)
class Lookups:
    """Answer simple reads; hand all other requests on.

    :param provider: Knows how values of attributes are compared, also for callers of no company.
    :param find: Returns the users of a company by an attribute and its key, for an `Authorization` that is valid; None
        if that has to be looked at more closely.
    :param offer: Returns the provider of a company, and the longest filter.
    :param headers: Returns the headers of every answer, which are not SCIM's.
    """

    server_base_url: str
    provider: ScimProvider
    find: Callable[[str, str, str, str], list[StoredResource] | None]
    offer: Callable[[str], tuple[ScimProvider, int]]
    headers: Callable[["WSGIEnvironment"], list[tuple[str, str]]]

    def before(self, app: "WSGIApplication") -> "WSGIApplication":
        """Return the application with the short way before it."""

        def answered(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            body = None
            try:
                body, headers = self._answer(environ)
            except NotSimple:
                pass
            except Exception as failure:
                environ[FAILED] = failure  # The application answers it, and logs it.
            if body is None:
                return app(environ, start_response)
            headers += [("Content-Length", str(len(body))), ("Cache-Control", "no-store"), *self.headers(environ)]
            start_response("200 OK", headers)
            return [body]

        return answered

    def _answer(self, environ: "WSGIEnvironment") -> tuple[bytes, list[tuple[str, str]]]:
        if environ["REQUEST_METHOD"] != "GET" or environ.get("CONTENT_LENGTH") not in (None, "", "0"):
            raise NotSimple
        place = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if place is None or any(name in environ for name in _NOT_SIMPLE):
            raise NotSimple
        asked = _query(environ.get("QUERY_STRING", ""), _OF_SEARCH if place[2] is None else _OF_ONE)
        tenant, user_id = place[1] or DEFAULT_TENANT, place[2]
        name, value = ("id", user_id) if user_id is not None else _condition(asked)
        key = _answers(self.provider).key(name, value)
        found = self.find(environ.get("HTTP_AUTHORIZATION", ""), tenant, name, key)
        if found is None or len(found) > 1:
            raise NotSimple
        provider, longest = self.offer(tenant)
        if len(asked.get("filter", "")) > longest:
            raise NotSimple
        answers = _answers(provider)
        shown = answers.names_in(asked)
        base = self.server_base_url + (f"/tenants/{place[1]}" if place[1] else "") + "/scim/v2/Users"
        users = [answers.user(each, f"{base}/{each.id}", shown) for each in found]
        headers = [("Content-Type", SCIM_MEDIA_TYPE)]
        if user_id is None:
            return _encoded(_listed(users, asked)), headers
        if not users:
            raise NotSimple
        headers += [("Content-Location", f"{base}/{user_id}"), ("ETag", identity_of(found[0]).etag)]
        return _encoded(users[0]), headers


def _query(text: str, allowed: frozenset[str]) -> dict[str, str]:
    """Return the parameters of a query; what the protocol server ignores is left out."""
    asked: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, value = part.partition("=")
        try:
            name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        except UnicodeDecodeError as exc:
            raise NotSimple from exc
        if not (name + value).isprintable() or name in asked:
            raise NotSimple
        if name.lower() in _KNOWN:
            if name not in allowed:
                raise NotSimple
            asked[name] = value
    return asked


def _condition(asked: Mapping[str, str]) -> tuple[str, str]:
    """Return the attribute that the filter compares, and the value."""
    match = _FILTER.fullmatch(asked.get("filter", ""))
    name = _ASKED.get(match[1].lower()) if match is not None else None
    if match is None or name is None:
        raise NotSimple
    return name, match[2]


def _listed(users: list[dict[str, Any]], asked: Mapping[str, str]) -> dict[str, Any]:
    start = _number(asked.get("startIndex", "1"))
    shown = users if start <= 1 and _number(asked.get("count", "1")) else []
    return {
        "schemas": [_LIST],
        "totalResults": len(users),
        "startIndex": max(start, 1),
        "itemsPerPage": len(shown),
        "Resources": shown,
    }


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise NotSimple
    return int(text)


def _encoded(answer: dict[str, Any]) -> bytes:
    return _ENCODER.encode(answer).encode()


def asks_for_parts(query: Mapping[str, str]) -> bool:
    """Return whether a query has a parameter that the protocol server reads."""
    return any(name.lower() in _KNOWN for name in query)


def written_answer(
    provider: ScimProvider, base_url: str, stored: StoredResource, status: HTTPStatus
) -> ScimResponse | None:
    """Return the answer to a write of a user, as the protocol server would give it; None if only it knows."""
    location = f"{base_url}/Users/{stored.id}"
    try:
        body = _answers(provider).user(stored, location, (None, frozenset()))
    except NotSimple:
        return None
    return ScimResponse(status, body, {"Content-Location": location, "ETag": identity_of(stored).etag})


@cache
def _answers(provider: ScimProvider) -> "Answers":
    return Answers(provider)


class Answers:
    """Answers users as a provider describes them."""

    def __init__(self, provider: ScimProvider) -> None:
        user = next(each for each in provider.resource_types if each.name == "User")
        self._provider = provider
        self._model = cast(type[Resource[Any]], provider.model_for(user))
        shape = shape_of(self._model)
        own = {name: each for name, each in _names(shape.attributes).items() if name not in ("id", "meta")}
        self._stored: Names = {"schemas": None, **own, **{urn: _names(each) for urn, each in shape.extensions.items()}}
        self._core = shape.urn
        self._declared = {name: each.name for name, each in shape.attributes.items() if name != "id"}

    def key(self, name: str, value: str) -> str:
        """Return the form in which a value of an attribute is stored for comparison."""
        return folded(self._model, _COMPARED.get(name, name), value)

    def names_in(self, asked: Mapping[str, str]) -> tuple[frozenset[str] | None, frozenset[str]]:
        """Return the attributes that alone are shown, None for all; and those that are left out."""
        only, without = asked.get("attributes"), asked.get("excludedAttributes")
        if only is not None and without is not None:
            raise NotSimple
        return (
            self._named(only) if only is not None else None,
            self._named(without) if without is not None else frozenset(),
        )

    def _named(self, text: str) -> frozenset[str]:
        names = [self._declared.get(each) for each in text.lower().split(",")] if _NAMES.fullmatch(text) else [None]
        if len(text) > 500 or None in names:
            raise NotSimple
        return frozenset(name for name in names if name is not None)

    def user(
        self, stored: StoredResource, location: str, shown: tuple[frozenset[str] | None, frozenset[str]]
    ) -> dict[str, Any]:
        """Return a user as the protocol server would show them."""
        document: dict[str, Any] = {**stored.document}
        if not _fits(document, self._stored):
            raise NotSimple
        only, without = shown
        schemas, delivery = document.pop("schemas"), stored.delivery
        answer = {"schemas": schemas, "id": stored.id}
        if "externalId" in document:
            answer["externalId"] = document.pop("externalId")
        answer["meta"] = {
            "resourceType": "User",
            "created": _told(stored.created_at),
            "lastModified": _told(stored.last_modified_at),
            "location": location,
            "version": identity_of(stored).etag,
        }
        answer |= document
        if delivery is not None:
            extension = answer[DITIO_URN] = {**document.get(DITIO_URN, {})}
            extension["deliveryState"] = str(delivery.state)
            if delivery.detail is not None:
                extension["deliveryDetail"] = delivery.detail
            if delivery.delivered_at is not None:
                extension["deliveredAt"] = _told(delivery.delivered_at)
            if DITIO_URN not in schemas:
                answer["schemas"] = [*schemas, DITIO_URN]
        if only is not None:
            kept = {name: value for name, value in answer.items() if name in only}
            return {"schemas": [self._core], "id": stored.id, **kept}
        return {name: value for name, value in answer.items() if name not in without} if without else answer


def _told(moment: Any) -> str:
    return str(moment.isoformat()).replace("+00:00", "Z")


def _names(attributes: Mapping[str, AttributeSchema]) -> "Names":
    """Return the attributes that are answered as they are stored: a reference to a resource becomes a URL."""
    shown = [each for each in attributes.values() if each.kind is not Kind.reference or each.is_uri]
    return {each.name: _names(each.parts) if each.parts is not None else None for each in shown}


def _fits(value: Any, names: "Names | None") -> bool:
    """Return whether a stored value has only attributes that are declared now."""
    if isinstance(value, list):
        return all(_fits(each, names) for each in value)
    if not isinstance(value, dict):
        return names is None
    return names is not None and all(name in names and _fits(each, names[name]) for name, each in value.items())
