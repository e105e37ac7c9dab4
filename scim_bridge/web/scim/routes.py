"""The URLs of SCIM: a Flask request in, the protocol's answer out.

`/scim/v2` is the tenant `default`, `/tenants/<name>/scim/v2` any other (or the same).
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import flask
from scim2_models import InvalidSyntaxException, ScimProvider
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse

from scim_bridge.logs import get_logger
from scim_bridge.web.scim.bodies import refuse_unstorable_text
from scim_bridge.web.scim.handler import BridgeHandler
from scim_bridge.web.scim.problems import BodyTooLarge, answer_of
from scim_bridge.web.scim.service import BridgeService
from scim_bridge.web.scim.storage import BridgeStorage
from scim_bridge.web.scim.world import ScimWorld

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger(__name__)

DEFAULT_TENANT = "default"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_NAMED = 50
"""How many ignored names one line of the log tells."""


def scim_blueprint(world: ScimWorld) -> flask.Blueprint:
    """The SCIM endpoints of all tenants."""
    blueprint = flask.Blueprint("scim", __name__)

    def of_default(path: str = "") -> flask.Response:
        return _answer(world, flask.request, DEFAULT_TENANT, "/scim/v2", path)

    def of_tenant(name: str, path: str = "") -> flask.Response:
        return _answer(world, flask.request, name, f"/tenants/{name}/scim/v2", path)

    for prefix, view in (("/scim/v2", of_default), ("/tenants/<name>/scim/v2", of_tenant)):
        for rule in (prefix, f"{prefix}/", f"{prefix}/<path:path>"):
            blueprint.add_url_rule(
                rule, view_func=view, methods=METHODS, strict_slashes=False, provide_automatic_options=False
            )

    @blueprint.record_once
    def tolerate_slashes(state: Any) -> None:
        # Flask answers a doubled slash with a redirect, which a POST doesn't follow (rule A6).
        state.app.wsgi_app = _single_slashes(state.app.wsgi_app)

    return blueprint


def _answer(world: ScimWorld, request: flask.Request, tenant: str, prefix: str, path: str) -> flask.Response:
    request_id = world.request_id()
    try:
        # First of all: whoever has no credential learns nothing, not even whether there is such a tenant.
        subject = world.authenticate(request, tenant)
        storage, service = _parts(world, tenant, request_id, writes=_writes(request.method, path))
        asked = ScimRequest(
            method="GET" if request.method == "HEAD" else request.method,
            base_url=world.server_base_url.rstrip("/") + prefix,
            path=_readable(path, "the path"),
            query={name: _readable(value, f"the parameter {name}") for name, value in request.args.items()},
            headers=list(request.headers.items()),
            body=_body(request, world.max_body_bytes),
            subject=subject,
        )
        answer = BridgeHandler(service, storage).handle(asked)
    except Exception as exc:
        answer = answer_of(exc, world.provider, request_id=request_id)
    return _response(answer)


def _parts(world: ScimWorld, tenant: str, request_id: str, *, writes: bool) -> tuple[BridgeStorage, BridgeService]:
    """Storage and service of one request: cheap to make, and nothing ambient is needed."""
    provider: ScimProvider = world.provider
    storage = BridgeStorage(
        world.database,
        tenant,
        provider,
        world.intake(tenant, request_id),
        lambda ticket: world.deliver(tenant, ticket),
        writes=writes,
    )
    service = BridgeService(
        provider,
        patch_status=world.patch_status,
        max_filter_length=world.max_filter_length,
        views=storage.delivery_views,
        ignored=lambda names: _log_ignored(tenant, names),
    )
    return storage, service


def _writes(method: str, path: str) -> bool:
    return method not in ("GET", "HEAD", "OPTIONS") and not path.rstrip("/").endswith(".search")


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


def _log_ignored(tenant: str, names: tuple[str, ...]) -> None:
    # A filter within a path may hold a value, which is personal data: only the name is told.
    told = [re.sub(r"\[.*\]", "[]", name) for name in names[:MAX_NAMED]]
    log.info("scim.ignored", tenant=tenant, attributes=told, count=len(names))


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
