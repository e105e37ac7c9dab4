"""The simulated Microsoft Graph, with its sign-in, as one WSGI application over a simulated Entra."""

from __future__ import annotations

import json
import random as randomness
import threading
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from flask import Flask, Response, g, jsonify, make_response, request
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app

from scim_bridge.sandbox.admin import CallsAdmin, EntraAdmin
from scim_bridge.sandbox.directory import JsonObject
from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.gateway import ADMIN, Faults, Gateway, Recorded, SegmentConverter, keep_segments
from scim_bridge.sandbox.graph.access import Access, GraphClient
from scim_bridge.sandbox.graph.answers import GraphRefusal, Pages, bad_request, error_document
from scim_bridge.sandbox.graph.assignments import AssignmentsApi, EnterpriseApp, GroupsApi, Principal
from scim_bridge.sandbox.graph.delta import DeltaApi
from scim_bridge.sandbox.graph.jobs import JobsApi
from scim_bridge.sandbox.graph.logs import LogsApi
from scim_bridge.sandbox.graph.people import PeopleApi, Values
from scim_bridge.sandbox.graph.style import GraphStyle
from scim_bridge.sandbox.job import Job

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

TENANT_ID = "11111111-0000-4000-8000-000000000001"
CLIENT_ID = "33333333-0000-4000-8000-000000000003"
CLIENT_SECRET = "sandbox-secret"  # nosec B105 # of the simulated Graph
SERVICE_PRINCIPAL = EnterpriseApp("22222222-0000-4000-8000-000000000002", "88888888-0000-4000-8000-000000000008")
MOST_IN_A_BATCH = 20

_PREFIX = '/<any("v1.0", beta):version>'
_OPEN = ("/metadata/", "/msi/")


class _Part(Protocol):
    def register(self, app: Flask, prefix: str) -> None: ...


class SandboxGraph:
    """Graph, its token endpoint and managed identities, over the directory and the job of a simulated Entra.

    All of them answer at one host: give it to the bridge as Graph's URL and as the sign-in's. Links lead to the host
    and path under which a request found it.

    :ivar client: The client that is registered at first, with all that a reader needs.
    :ivar style: How it behaves where the documentation is silent; may be replaced at any time.
    :ivar jobs: The jobs of the enterprise application; the first one is Entra's own. May be changed freely.
    :ivar further: Further assignments, for example of a client, or of a group that was just deleted.
    :param now: Returns the time, aware.
    :param random: Source of tokens, of ids, of the order in a batch, and of the faults' chances.
    """

    def __init__(
        self,
        entra: SandboxEntra,
        *,
        now: Callable[[], datetime],
        style: GraphStyle | None = None,
        random: randomness.Random | None = None,
    ) -> None:
        self._random = random or randomness.Random(0)  # nosec B311 # a simulation
        self._now = now
        self.entra = entra
        self.style = style or GraphStyle()
        self.faults = Faults(self._random, now)
        self.access = Access(TENANT_ID, now, self._random)
        self.client = self.adds(GraphClient(CLIENT_ID, "33333333-0000-4000-8000-0000000000aa", secret=CLIENT_SECRET))
        self.limits = Limits(lambda: len(entra.directory.users), now, lambda: self.style.retry_after)
        pages = Pages(self._style)
        values = Values(entra.directory, self._style, now)
        people = PeopleApi(entra.directory, values, self.access, pages, self._style)
        self._assignments = AssignmentsApi(entra.directory, SERVICE_PRINCIPAL, self.access, pages, self._style)
        self._delta = DeltaApi(entra.directory, people, values, self.access, pages, self._style, now)
        self._jobs = JobsApi(entra, self._assignments, self.access, self._style, now)
        self.logs = LogsApi(lambda: self.jobs, SERVICE_PRINCIPAL, TENANT_ID, self.access, pages, self._style, now)
        self._parts: list[_Part] = [
            people,
            self._assignments,
            GroupsApi(entra.directory, people, self.access, pages, self._style),
            self._delta,
            self._jobs,
            self.logs,
        ]
        self.app = self._application()
        self._inner = self.app.wsgi_app
        self._gateway = Gateway(
            self._inner,
            faults=self.faults,
            now=now,
            token_id=self.access.token_id,
            base_path="",
            refusal=lambda reason: self._planned(reason),
        )
        self.app.wsgi_app = self._gateway  # type: ignore[method-assign]  # Flask's own way to put middleware around it.

    @property
    def requests(self) -> list[Recorded]:
        """Every call that arrived, token requests included, oldest first; a batch is one."""
        return self._gateway.requests

    @property
    def jobs(self) -> list[Job]:
        """The jobs of the enterprise application."""
        return self._jobs.jobs

    @property
    def further(self) -> list[Principal]:
        return self._assignments.further

    def adds(self, client: GraphClient) -> GraphClient:
        """Register a client, or replace the one with its id."""
        self.access.clients[client.client_id] = client
        return client

    def looks(self) -> None:
        """Notice what changed in the directory up to now, for the next delta."""
        self._delta.look()

    def forget_marks(self) -> None:
        """Ask every reader of a delta for a new start, as the service does at times."""
        self._delta.forget_marks()

    def _style(self) -> GraphStyle:
        return self.style

    def _application(self) -> Flask:
        app = Flask("graph_sandbox", static_folder=None)
        app.url_map.strict_slashes = False
        app.url_map.merge_slashes = False
        app.url_map.converters["segment"] = SegmentConverter
        app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask types the interface, not its default.
        app.url_value_preprocessor(_take_version)
        app.before_request(self._gatekeeper)
        app.after_request(self._with_ids)
        app.register_error_handler(GraphRefusal, self._refused)
        app.register_error_handler(HTTPException, self._http_error)
        self.access.register(app)
        CallsAdmin(self.faults, lambda: self.requests).register(app)
        EntraAdmin(self.entra).register(app)
        for part in self._parts:
            part.register(app, _PREFIX)
        app.add_url_rule(f"{_PREFIX}/$batch", "batch", self._batch, methods=["POST"])
        return app

    def _gatekeeper(self) -> None:
        """Refuse a call without a valid token, and one too many."""
        g.request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        g.setdefault("version", "v1.0")
        if request.path.startswith((ADMIN, *_OPEN)) or request.endpoint == "token":
            return
        self.access.check()
        if self.style.throttles and request.endpoint != "batch":
            self.limits.spend()

    def _with_ids(self, answer: Response) -> Response:
        answer.headers["request-id"] = g.request_id
        answer.headers["client-request-id"] = request.headers.get("client-request-id", g.request_id)
        return answer

    def _refused(self, refusal: GraphRefusal) -> Response:
        document = error_document(refusal.code, refusal.message, self._now(), g.request_id)
        return make_response(jsonify(document), refusal.status, refusal.headers)

    def _http_error(self, error: HTTPException) -> Response:
        code = error.code or 500
        name = "ResourceNotFound" if code == 404 else "UnknownError"
        return self._refused(GraphRefusal(code, name, error.description or ""))

    def _planned(self, reason: str) -> JsonObject:
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        return error_document(reason.replace(" ", ""), "Planned by the sandbox.", self._now(), request_id)

    def _batch(self) -> Response:
        """Answer up to 20 calls, in any order; each is refused, throttled and failed alone."""
        asked = (request.get_json(silent=True) or {}).get("requests")
        if not isinstance(asked, list) or not 1 <= len(asked) <= MOST_IN_A_BATCH:
            raise bad_request(f"A batch has 1 to {MOST_IN_A_BATCH} requests.")
        ids = [each.get("id") for each in asked if isinstance(each, dict)]
        if len(ids) < len(asked) or None in ids or len(set(ids)) < len(ids):
            raise bad_request("Each request of a batch needs an id of its own.")
        answers = [self._in_a_batch(each) for each in asked]
        self._random.shuffle(answers)
        return jsonify(responses=answers)

    def _in_a_batch(self, asked: JsonObject) -> JsonObject:
        method, url = str(asked.get("method", "GET")), str(asked.get("url", ""))
        path, _, query = f"/{g.version}/{url.lstrip('/')}".partition("?")
        fault = self.faults.take(method, unquote(path), query)
        if fault is not None and fault.kind == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            name = {429: "Too Many Requests"}.get(fault.status, "Planned")
            return {"id": asked["id"], "status": fault.status, "headers": headers, "body": self._planned(name)}
        body, status, headers_of = run_wsgi_app(self._inner, self._environ(asked, method, path, query), buffered=True)
        content = b"".join(body)
        return {
            "id": asked["id"],
            "status": int(status.split()[0]),
            "headers": {
                name: value for name, value in headers_of if name in ("Content-Type", "Retry-After", "Location")
            },
            "body": json.loads(content) if headers_of.get("Content-Type") == "application/json" else content.decode(),
        }

    def _environ(self, asked: JsonObject, method: str, path: str, query: str) -> WSGIEnvironment:
        raw = f"{request.root_path}{path}{'?' if query else ''}{query}"
        content = json.dumps(asked["body"]).encode() if "body" in asked else b""
        kept = {key: value for key, value in request.environ.items() if not key.startswith(("werkzeug.", "flask."))}
        environ: WSGIEnvironment = {
            **kept,
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "RAW_URI": raw,
            "REQUEST_URI": raw,
            "wsgi.input": BytesIO(content),
            "CONTENT_LENGTH": str(len(content)),
            "CONTENT_TYPE": "application/json",
        }
        headers = asked.get("headers")
        for name, value in (headers if isinstance(headers, dict) else {}).items():
            if name.lower() not in ("content-type", "authorization"):
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = str(value)
        keep_segments(environ)
        return environ


def _take_version(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Keep the version of the path aside, for links."""
    if values is not None and "version" in values:
        g.version = values.pop("version")


WINDOW = timedelta(seconds=10)
REPORTS = 5
"""Calls to `/auditLogs` in a window."""
ON_DEMAND = 5
"""Calls to provisionOnDemand in a window."""


class Limits:
    """Microsoft's limits: counts the units of the calls in the last ten seconds.

    :ivar spent: All units so far.
    :param users: Returns how many users the tenant has: a larger tenant may ask more.
    :param with_retry_after: Returns whether a refusal says for how long to wait.
    """

    def __init__(
        self, users: Callable[[], int], now: Callable[[], datetime], with_retry_after: Callable[[], bool]
    ) -> None:
        self.spent = 0
        self._users = users
        self._now = now
        self._with_retry_after = with_retry_after
        self._lock = threading.Lock()
        self._calls: dict[str, deque[tuple[datetime, int]]] = {}

    def spend(self) -> None:
        """Count the call.

        :raises GraphRefusal: it is one too many.
        """
        path = request.path
        if "/auditLogs/" in path:
            self._spend("reports", 1, REPORTS)
        elif path.endswith("/provisionOnDemand"):
            self._spend("on demand", 1, ON_DEMAND)
        else:
            self._spend("directory", _units(path), self._most())

    def _most(self) -> int:
        users = self._users()
        return 3500 if users < 50 else 5000 if users <= 500 else 8000

    def _spend(self, bucket: str, units: int, most: int) -> None:
        now = self._now()
        with self._lock:
            calls = self._calls.setdefault(bucket, deque())
            while calls and calls[0][0] <= now - WINDOW:
                calls.popleft()
            if sum(cost for _, cost in calls) + units <= most:
                calls.append((now, units))
                self.spent += units
                return
            seconds = ceil((calls[0][0] + WINDOW - now).total_seconds())
        headers = {"Retry-After": str(max(1, seconds))} if self._with_retry_after() else {}
        raise GraphRefusal(429, "TooManyRequests", "Please retry again later.", headers)


def _units(path: str) -> int:
    """Return what a call costs (`throttling-limits`, identity and access)."""
    *_, collection = path.rstrip("/").split("/")
    if "/transitiveMembers" in path:
        units = 5
    elif "/members" in path:
        units = 3
    else:
        units = 2 if collection == "users" else 1
    units -= "$select" in request.args
    return max(1, units) + ("$expand" in request.args)
