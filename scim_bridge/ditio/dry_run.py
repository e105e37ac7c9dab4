"""Ditio without writes: a write is recorded instead of sent."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from scim_bridge.ditio.paths import EMPLOYEES
from scim_bridge.domain.values import JsonObject
from scim_bridge.http.exchange import joined

_TOKEN = {"access_token": "rehearsal", "token_type": "Bearer", "expires_in": 3600}  # nosec B105 # none


@dataclass(frozen=True, slots=True)
class WouldBeSent:
    """A call that was recorded and not sent."""

    method: str
    path: str
    """The path as it would be sent: with the path of `DITIO__API_URL`, percent-encoded."""

    body: JsonObject | list[JsonObject] | None


@dataclass(slots=True)
class DryRun:
    """Makes sessions for a `DitioClient` that change nothing.

    :param reads: Makes the sessions that send reads and token requests. None: nothing is sent at all, and Ditio
        seems to have no employees.
    """

    api_url: str
    identity_url: str
    reads: Callable[[], requests.Session] | None = None
    recorded: list[WouldBeSent] = field(default_factory=list)

    def session(self) -> requests.Session:
        """Return a session of the kind that `DitioClient` asks its factory for."""
        made = requests.Session()
        adapter = _RecordingAdapter(self, self.reads() if self.reads else None)
        made.mount("https://", adapter)
        made.mount("http://", adapter)
        return made

    def is_token(self, method: str, url: str) -> bool:
        """Return whether a request asks for a token, which changes nothing in Ditio."""
        return method == "POST" and url == joined(self.identity_url, "/connect/token")


class _RecordingAdapter(BaseAdapter):
    """Stands in for a connection."""

    def __init__(self, rehearsal: DryRun, through: requests.Session | None) -> None:
        super().__init__()
        self._rehearsal = rehearsal
        self._through = through
        self._builder = HTTPAdapter()

    def send(self, request: requests.PreparedRequest, *given: Any, **options: Any) -> requests.Response:
        """Record a write and answer that it was done; send anything else, or answer as an empty Ditio."""
        method, url = request.method or "", request.url or ""
        is_token = self._rehearsal.is_token(method, url)
        if method != "GET" and not is_token:
            self._rehearsal.recorded.append(WouldBeSent(method, urlsplit(url).path, _json(request.body)))
            return self._answer(request, 204, None)
        if self._through is not None:
            return self._through.get_adapter(url).send(request, *given, **options)
        if is_token:
            return self._answer(request, 200, _TOKEN)
        if urlsplit(url).path.endswith(f"{EMPLOYEES}/search"):
            return self._answer(request, 200, [])
        return self._answer(request, 404, None)

    def close(self) -> None:
        """Close the session that sent reads."""
        if self._through is not None:
            self._through.close()

    def _answer(self, request: requests.PreparedRequest, status: int, document: object) -> requests.Response:
        body = b"" if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        raw = HTTPResponse(body=BytesIO(body), headers=headers, status=status, preload_content=False)
        return self._builder.build_response(request, raw)


def _json(body: Any) -> JsonObject | list[JsonObject] | None:
    if not body:
        return None
    document: JsonObject | list[JsonObject] = json.loads(body)
    return document
