"""The URLs of SCIM: a Flask request in, the protocol's answer out.

`/scim/v2` is the tenant `default`, `/tenants/<name>/scim/v2` any other (or the same).
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import flask
from scim2_models import InvalidSyntaxException
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from werkzeug.routing import PathConverter

from scim_bridge.domain.audit import Author
from scim_bridge.logs import bound
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.settings.types import MOST_LETTERS
from scim_bridge.storage.database import repeated
from scim_bridge.storage.secrets import CURSORS
from scim_bridge.web.scim.bodies import refuse_unstorable_text
from scim_bridge.web.scim.handler import BridgeHandler
from scim_bridge.web.scim.problems import BodyTooLarge, answer_of
from scim_bridge.web.scim.search_names import canonical_parameters
from scim_bridge.web.scim.service import BridgeService
from scim_bridge.web.scim.storage import BridgeStorage
from scim_bridge.web.scim.world import ScimWorld

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BULK = "Bulk"
"""The path of bulk requests (RFC 7644 §3.7)."""


class _AnyPath(PathConverter):
    """A path of any characters: to Flask's own a line feed ends it, and the answer would be Flask's page."""

    regex = r"[^/][\s\S]*?"


def scim_blueprint(world: ScimWorld) -> flask.Blueprint:
    """The SCIM endpoints of all tenants."""
    blueprint = flask.Blueprint("scim", __name__)

    def of_default(path: str = "") -> flask.Response:
        return _answer(world, flask.request, DEFAULT_TENANT, "/scim/v2", path)

    def of_tenant(name: str, path: str = "") -> flask.Response:
        return _answer(world, flask.request, name, f"/tenants/{name}/scim/v2", path)

    @blueprint.record_once
    def install(state: Any) -> None:
        app: flask.Flask = state.app
        app.url_map.converters["any_path"] = _AnyPath
        for prefix, view in (("/scim/v2", of_default), ("/tenants/<name>/scim/v2", of_tenant)):
            endpoint = f"{blueprint.name}.{view.__name__}"
            app.view_functions[endpoint] = view
            for rule in (prefix, f"{prefix}/", f"{prefix}/<any_path:path>"):
                # Flask's own way to add a rule wants its methods. Without any, one that SCIM doesn't know gets
                # here too, and a SCIM Error instead of Flask's page.
                app.url_map.add(app.url_rule_class(rule, endpoint=endpoint, strict_slashes=False))
        # Flask answers a doubled slash with a redirect, which a POST doesn't follow (rule A6).
        app.wsgi_app = _single_slashes(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way to add middleware.

    return blueprint


def _answer(world: ScimWorld, request: flask.Request, tenant: str, prefix: str, path: str) -> flask.Response:
    # Whoever has no credential may call himself anything.
    with bound(tenant=tenant[:MOST_LETTERS]):
        return _response(_answered(world, request, tenant, prefix, path))


def _answered(world: ScimWorld, request: flask.Request, tenant: str, prefix: str, path: str) -> ScimResponse:
    request_id = world.request_id()
    try:
        # First of all: whoever has no credential learns nothing, not even whether there is such a tenant.
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
        # Who gave way to another transaction has changed nothing, and starts over with parts of his own.
        return repeated(lambda: _handler(world, tenant, request_id, asked).handle(asked))
    except Exception as exc:
        return answer_of(exc, world.provider, request_id=request_id)


def _handler(world: ScimWorld, tenant: str, request_id: str, asked: ScimRequest) -> BridgeHandler:
    """The handler of one request: cheap to make, and nothing ambient is needed."""
    offer = world.offer(tenant)
    storage = BridgeStorage(
        world.database,
        tenant,
        offer.provider,
        # A bulk request only queues: its people would spend the one budget that the request has (rule A4).
        world.intake(tenant, request_id, queues_only=asked.path.strip("/") == BULK),
        lambda ticket: world.deliver(tenant, ticket),
        Author(asked.subject, request_id),
        writes=_writes(asked.method, asked.path),
    )
    service = BridgeService(
        offer.provider,
        patch_status=offer.patch_status,
        max_value_length=offer.max_value_length,
        max_filter_length=offer.max_filter_length,
        max_patch_operations=offer.max_patch_operations,
        views=storage.delivery_views,
        whole=storage.whole,
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
    """The body, of which no more is read than is allowed.

    :raises BodyTooLarge: when there is more.
    """
    if request.content_length is not None and request.content_length > limit:
        raise BodyTooLarge(limit)
    try:
        body: bytes = request.stream.read(limit + 1)
    except Exception as exc:  # Whatever the server in front calls it: a chunk of the body was cut short or malformed.
        raise InvalidSyntaxException(detail="the body could not be read to its end: send it again whole") from exc
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


def _response(answer: ScimResponse) -> flask.Response:
    if answer.body is None:
        response = flask.Response(status=answer.status)
        del response.headers["Content-Type"]
    else:
        response = flask.Response(json.dumps(answer.body, ensure_ascii=False), status=answer.status)
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
