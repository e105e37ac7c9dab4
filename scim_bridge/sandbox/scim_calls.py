"""The HTTP calls of the simulated Entra, and its dialects of PATCH."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, urlsplit

import requests

from scim_bridge.sandbox.directory import MANAGER, JsonObject

FLAG = "aadOptscim062020"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of Entra job writes a PATCH."""

    name: str

    user_patch: Callable[[Mapping[str, object], Mapping[str, object]], JsonObject]
    """Body that changes a user from the known values (first) to the changed ones (second), by path."""

    clearing: Callable[[str], JsonObject]
    """Body that clears the attribute at a path."""

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
    """Return one capitalised operation for each attribute; a boolean is a string."""
    return patch(
        *(
            {"op": "Replace" if path in known else "Add", "path": path, "value": _as_text(value)}
            for path, value in changed.items()
        )
    )


def _flagged_patch(known: Mapping[str, object], changed: Mapping[str, object]) -> JsonObject:
    """Return one path-less replace; filtered paths, the manager and a lone `active` have operations of their own."""
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
    """The request body that was sent."""

    @property
    def ok(self) -> bool:
        """Return whether Entra counts it as done; deleting what does not exist counts too."""
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
        """Return the resources of a ListResponse."""
        resources = self.document.get("Resources")
        return [each for each in resources if isinstance(each, dict)] if isinstance(resources, list) else []


class Quarantined(Exception):
    """The bridge gave an answer that stops the whole job."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.detail or f"{step.method} {step.path} was answered {step.status}")
        self.step = step


def checked(answer: Answer, object_id: str, *, matching: bool = False) -> Answer:
    """Return the answer, unless it quarantines the job: any 401, and a 404 on a match query.

    :raises Quarantined: it does.
    """
    if answer.status == 401 or (matching and answer.status == 404):
        raise Quarantined(answer.step(object_id, "none"))
    return answer


TIMEOUT_SECONDS = 60.0
"""How long one call may take to be answered. Microsoft documents no limit; the bridge answers within seconds."""


class ScimCalls:
    """Calls below one tenant URL.

    :param base_url: The tenant URL; its query, such as `?aadOptscim062020`, is on every call.
    :param token: The secret token; None sends no Authorization header.
    :param flagged: Whether the job runs with the flag; it is added to the query when it is not there.
    :param timeout_seconds: How long the server may be silent.
    """

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        token: str | None,
        *,
        flagged: bool,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        url = urlsplit(base_url)
        self._session = session
        self._timeout = timeout_seconds
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
        return self._session.request(method, url, data=data, headers=headers, timeout=self._timeout)


def matching_query(collection: str, attribute: str, value: object) -> str:
    """Return the path of a match, encoded as Entra does: `/Users?filter=userName+eq+%22kari%22`."""
    condition = f"{attribute} eq {json.dumps(str(value), ensure_ascii=False)}"
    without = "excludedAttributes=members&" if collection == "/Groups" else ""
    return f"{collection}?{without}filter={quote_plus(condition)}"


def resource_path(collection: str, scim_id: str) -> str:
    return f"{collection}/{quote(scim_id, safe='')}"


def _document(response: requests.Response) -> JsonObject:
    try:
        document = response.json()
    except ValueError:
        return {"detail": response.text[:500]} if response.text else {}
    return document if isinstance(document, dict) else {}


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
