"""The URLs of SCIM: read a Flask request, run the protocol's steps in order, return the answer."""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import flask
from scim2_models import InvalidSyntaxException, ScimProvider
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from werkzeug.datastructures import Headers
from werkzeug.routing import PathConverter

from scim_bridge.delivery.inline import Inline
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.audit import Actor, Author
from scim_bridge.logs import bound
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.settings.types import MOST_LETTERS
from scim_bridge.storage.database import CURSORS, Database, Secrets, repeated
from scim_bridge.storage.entra_calls import Tally
from scim_bridge.storage.resources import StoredResource
from scim_bridge.tenant import Tenant
from scim_bridge.web.scim.bounds import refuse_unstorable_text
from scim_bridge.web.scim.errors import (
    BodyTooLarge,
    answer_of,
)
from scim_bridge.web.scim.filters import canonical_parameters
from scim_bridge.web.scim.handler import BridgeHandler
from scim_bridge.web.scim.lookup import FAILED, Lookups
from scim_bridge.web.scim.refusals import Refusals, Told
from scim_bridge.web.scim.service import BridgeService
from scim_bridge.web.scim.storage import BridgeStorage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class ScimOptions:
    """What a company is offered: resource types, and bounds of its requests."""

    provider: ScimProvider
    patch_status: int
    """The status of a successful PATCH: 200 with the resource, or 204."""

    max_body_bytes: int
    max_value_length: int
    max_filter_length: int
    max_patch_operations: int


@dataclass(frozen=True)
class ScimParts:
    """The parts behind the SCIM endpoints of all tenants."""

    database: Database
    provider: ScimProvider
    """Answers errors, also for callers of no tenant."""

    offer: Callable[[str], ScimOptions]
    """Returns the options of a tenant that is served."""

    server_base_url: str
    """The public URL of this server, without a path of ours: all absolute URLs start with it (rule A6)."""

    authenticate: Callable[[flask.Request, str], Actor]
    """Returns the caller for a tenant, as the audit trail names them; see `Bearer`.

    Raises `UnauthorizedException` for a credential that is wrong, `TooManyRequests` or `ServiceUnavailable`.
    """

    tenants: Mapping[str, Tenant]
    inline: Mapping[str, Inline]
    """By tenant, the deliveries within a request's time."""

    request_id: Callable[[], str]
    """Returns the id of the current request."""

    began: Callable[[], float]
    """Returns when the current request began, on the monotonic clock."""

    find: Callable[[str, str, str, str], list[StoredResource] | None]
    """Returns users for a simple read, if the `Authorization` is valid; see `Lookups`."""

    headers: Callable[["WSGIEnvironment"], list[tuple[str, str]]]
    """Returns the headers that all answers have, those that don't pass through Flask too."""

    tally: Tally | None = None
    """Counts the quirks of this process's requests."""

    monotonic: Callable[[], float] = time.monotonic
    intake: Callable[..., Intake] = Intake

    @cached_property
    def secrets(self) -> Secrets:
        """Secrets that only the bridge's processes share; this process keeps them in memory."""
        return Secrets(self.database)


BULK = "Bulk"
"""The path of bulk requests (RFC 7644 §3.7)."""


class _AnyPath(PathConverter):
    """A path of any characters: Flask's own converter stops at a line feed, and Flask's page would be the answer."""

    regex = r"[^/][\s\S]*?"


def scim_blueprint(world: ScimParts) -> flask.Blueprint:
    """Return the SCIM endpoints of all tenants."""
    blueprint = flask.Blueprint("scim", __name__)

    def of_default(path: str = "") -> flask.Response:
        return _answer(world, flask.request, DEFAULT_TENANT, "/scim/v2", path)

    def of_tenant(name: str, path: str = "") -> flask.Response:
        return _answer(world, flask.request, name, f"/tenants/{name}/scim/v2", path)

    def offer(tenant: str) -> tuple[ScimProvider, int]:
        found = world.offer(tenant)
        return found.provider, found.max_filter_length

    @blueprint.record_once
    def install(state: Any) -> None:
        app: flask.Flask = state.app
        app.url_map.converters["any_path"] = _AnyPath
        for prefix, view in (("/scim/v2", of_default), ("/tenants/<name>/scim/v2", of_tenant)):
            endpoint = f"{blueprint.name}.{view.__name__}"
            app.view_functions[endpoint] = view
            for rule in (prefix, f"{prefix}/", f"{prefix}/<any_path:path>"):
                # Flask's own way to add a rule wants its methods. Without any, an unknown method also gets here, and
                # a SCIM Error instead of Flask's page.
                app.url_map.add(app.url_rule_class(rule, endpoint=endpoint, strict_slashes=False))
        # Flask answers a doubled slash with a redirect, which a POST doesn't follow (rule A6).
        with_single_slashes = _single_slashes(app.wsgi_app)
        lookups = Lookups(world.server_base_url.rstrip("/"), world.provider, world.find, offer, world.headers)
        app.wsgi_app = lookups.before(with_single_slashes)  # type: ignore[assignment, method-assign]  # Flask's own way.

    return blueprint


def _answer(world: ScimParts, request: flask.Request, tenant: str, prefix: str, path: str) -> flask.Response:
    # A caller without a credential may send any tenant name.
    with bound(tenant=tenant[:MOST_LETTERS]):
        return _response(_answered(world, request, tenant, prefix, path))


def _answered(world: ScimParts, request: flask.Request, tenant: str, prefix: str, path: str) -> ScimResponse:
    request_id, asked = world.request_id(), None
    try:
        if (failure := request.environ.get(FAILED)) is not None:
            raise failure
        # Sign-in comes first: a caller without a credential learns nothing, not even which tenants exist.
        subject = world.authenticate(request, tenant)
        asked = ScimRequest(
            method="GET" if request.method == "HEAD" else request.method,
            base_url=world.server_base_url.rstrip("/") + prefix,
            path=_readable(path, "the path"),
            query=_query(request),
            headers=list(request.headers.items()),
            body=_body(request, world.offer(tenant).max_body_bytes),
            subject=subject,
        )
        return _handled(world, tenant, request_id, asked)
    except Exception as exc:
        answer = answer_of(exc, world.provider, request_id=request_id)
        if asked is not None:
            error = answer.body or {}
            told = Told(asked.method, asked.path, asked.body, answer.status, error.get("scimType"), error.get("detail"))
            _keep(world, tenant, request_id, [told])
        return answer


def _handled(world: ScimParts, tenant: str, request_id: str, asked: ScimRequest) -> ScimResponse:
    refused: list[Told] = []

    def handled() -> ScimResponse:
        handler = _handler(world, tenant, request_id, asked)
        answer = handler.handle(asked)
        refused[:] = handler.refused
        return answer

    # A request that gave way to another transaction has changed nothing, and starts again with new parts.
    answer = repeated(handled)
    _keep(world, tenant, request_id, refused)
    return answer


def _keep(world: ScimParts, tenant: str, request_id: str, told: list[Told]) -> None:
    """Remember the refused writes; see `Refusals`."""
    if told:
        Refusals(world.database, world.tenants[tenant], world.offer(tenant).provider).keep(told, request_id)


def _handler(world: ScimParts, tenant: str, request_id: str, asked: ScimRequest) -> BridgeHandler:
    """Return the handler of one request; it is cheap to make, and uses no global state."""
    offer = world.offer(tenant)
    storage = BridgeStorage(
        world.database,
        tenant,
        offer.provider,
        # A bulk request only queues: its people would use up the time of the one request (rule A4).
        world.intake(world.tenants[tenant], request_id, queues_only=asked.path.strip("/") == BULK),
        lambda ticket: world.inline[tenant].deliver(ticket, began=world.began()),
        Author(asked.subject, request_id),
        writes=_writes(asked.method, asked.path),
        tally=world.tally,
    )
    service = BridgeService(
        offer.provider,
        patch_status=offer.patch_status,
        max_value_length=offer.max_value_length,
        max_filter_length=offer.max_filter_length,
        max_patch_operations=offer.max_patch_operations,
        views=storage.delivery_views,
        whole=storage.whole,
        written=storage.written,
        tolerated=storage.tolerate,
        cursor_secret=lambda: world.secrets.of(tenant, CURSORS),
    )
    return BridgeHandler(service, storage, request_id, world.monotonic)


def _writes(method: str, path: str) -> bool:
    return method not in ("GET", "HEAD", "OPTIONS") and not path.rstrip("/").endswith(".search")


def _query(request: flask.Request) -> dict[str, str]:
    return canonical_parameters(
        [
            (_readable(name, "the name of a parameter"), _readable(value, f"the parameter {name}"))
            for name, value in request.args.items(multi=True)
        ]
    )


def _readable(text: str, where: str) -> str:
    refuse_unstorable_text(text, where)
    return text


def _body(request: flask.Request, limit: int) -> bytes:
    """Return the body; no more is read than is allowed.

    :raises BodyTooLarge: when there is more.
    """
    if request.content_length is not None and request.content_length > limit:
        raise BodyTooLarge(limit)
    try:
        body: bytes = request.stream.read(limit + 1)
    except Exception as exc:  # Servers raise different errors when a chunk of the body was cut short or malformed.
        raise InvalidSyntaxException(detail="the body could not be read to its end: send it again whole") from exc
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


class _Response(flask.Response):
    """An answer with its headers as `_response` sets them: an address in them is a URI already."""

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """Return them. The library would look through them, and take each address apart and put it together again."""
        return self.headers


def _response(answer: ScimResponse) -> flask.Response:
    if answer.body is None:
        response = _Response(status=answer.status)
        del response.headers["Content-Type"]
        if answer.status not in (204, 304):
            response.headers["Content-Length"] = "0"
    else:
        response = _Response(json.dumps(answer.body, ensure_ascii=False), status=answer.status)
    for name, value in answer.headers.items():
        if answer.body is not None or name != "Content-Type":
            response.headers[name] = value
    # Answers are personal data.
    response.headers["Cache-Control"] = "no-store"
    return response


def _single_slashes(app: "WSGIApplication") -> Callable[..., Iterable[bytes]]:
    def wrapped(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["PATH_INFO"] = re.sub("/{2,}", "/", environ.get("PATH_INFO", ""))
        return app(environ, start_response)

    return wrapped
