"""The simulated Entra's HTTP: one call to the bridge, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, urlsplit

import requests

from scim_bridge.sandbox.attributes import JsonObject
from scim_bridge.sandbox.dialects import FLAG


@dataclass(frozen=True, slots=True)
class Step:
    """What a cycle did about one user or group."""

    object_id: str

    action: str
    """`create`, `update`, `disable`, `restore`, `delete`, `none`; the same after `group-` for a group."""

    method: str
    path: str
    """Relative to the tenant URL."""

    status: int
    """HTTP status of the deciding call; 0 when no answer came."""

    scim_type: str | None = None
    detail: str | None = None

    body: JsonObject | None = None
    """What was sent."""

    @property
    def ok(self) -> bool:
        """Whether Entra counts it as done; deleting what is gone already is."""
        return 200 <= self.status < 300 or (self.action.endswith("delete") and self.status == 404)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, or none (`status` 0) with the reason in `document["detail"]`."""

    method: str
    path: str
    status: int
    document: JsonObject
    sent: JsonObject | None = None

    def step(self, object_id: str, action: str) -> Step:
        """Return the step that this answer decided."""
        problem = {} if 200 <= self.status < 300 else self.document
        return Step(
            object_id=object_id,
            action=action,
            method=self.method,
            path=self.path,
            status=self.status,
            scim_type=_text_or_none(problem.get("scimType")),
            detail=_text_or_none(problem.get("detail")),
            body=self.sent,
        )

    @property
    def found(self) -> list[JsonObject]:
        """The resources of a ListResponse."""
        resources = self.document.get("Resources")
        return [each for each in resources if isinstance(each, dict)] if isinstance(resources, list) else []


class ScimCalls:
    """Calls below one tenant URL.

    :param base_url: The tenant URL; its query, such as `?aadOptscim062020`, is on every call.
    :param token: The secret token; None sends no Authorization header.
    :param flagged: Whether the job runs with the flag; it is added to the query when it is not there.
    """

    def __init__(self, session: requests.Session, base_url: str, token: str | None, *, flagged: bool) -> None:
        url = urlsplit(base_url)
        self._session = session
        self._base = f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
        self._query = url.query or (FLAG if flagged else "")
        self._headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    def fetch(self, path: str) -> requests.Response:
        """GET a path, its query included."""
        return self._send("GET", path, None)

    def call(self, method: str, path: str, body: JsonObject | None = None) -> Answer:
        """Send one call; a network error becomes an answer with status 0."""
        try:
            response = self._send(method, path, body)
        except requests.RequestException as exc:
            return Answer(method, path, 0, {"detail": f"{type(exc).__name__}: {exc}"}, body)
        return Answer(method, path, response.status_code, _document(response), body)

    def _send(self, method: str, path: str, body: JsonObject | None) -> requests.Response:
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/scim+json; charset=utf-8"
        separator = "&" if "?" in path else "?"
        url = self._base + path + (separator + self._query if self._query else "")
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        return self._session.request(method, url, data=data, headers=headers)


def matching_query(collection: str, attribute: str, value: object) -> str:
    """Return the path of a match, encoded as Entra does: `/Users?filter=userName+eq+%22kari%22`."""
    condition = f"{attribute} eq {json.dumps(str(value), ensure_ascii=False)}"
    without = "excludedAttributes=members&" if collection == "/Groups" else ""
    return f"{collection}?{without}filter={quote_plus(condition)}"


def resource_path(collection: str, scim_id: str) -> str:
    """Return the path of one resource."""
    return f"{collection}/{quote(scim_id, safe='')}"


def _document(response: requests.Response) -> JsonObject:
    try:
        document = response.json()
    except ValueError:
        return {"detail": response.text[:500]} if response.text else {}
    return document if isinstance(document, dict) else {}


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
