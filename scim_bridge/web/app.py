"""The Flask application: every route, joined from the parts."""

from flask import Flask, Response, jsonify
from scim2_models import ScimProvider
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from scim_bridge.bootstrap import Parts
from scim_bridge.settings import Scim
from scim_bridge.web import request_id
from scim_bridge.web.auth.actors import actor_of
from scim_bridge.web.auth.entrance import Entrance
from scim_bridge.web.auth.oauth import oauth_blueprint
from scim_bridge.web.health import health_blueprint
from scim_bridge.web.metrics import metrics_blueprint
from scim_bridge.web.scim.routes import scim_blueprint
from scim_bridge.web.scim.world import Offer, ScimWorld


def create_app(parts: Parts) -> Flask:
    """The application, ready for any WSGI server. It reads neither environment nor clock."""
    app = Flask("scim_bridge", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask types the interface, not its default.
    request_id.install(app, monotonic=parts.monotonic)
    secret = parts.settings.server.metrics_token
    token = secret.get_secret_value() if secret is not None else None
    paused = frozenset(name for name, tenant in parts.tenants.items() if tenant.is_paused)
    app.register_blueprint(health_blueprint(parts.database, list(parts.tenants), token, paused))
    app.register_blueprint(metrics_blueprint(parts.database, parts.tenants, token, paused))
    entrance = Entrance.of(parts)
    app.register_blueprint(oauth_blueprint(entrance.token_endpoint))
    app.register_blueprint(scim_blueprint(_world(parts, entrance)))
    app.register_error_handler(HTTPException, _plain_error)
    return app


def _world(parts: Parts, entrance: Entrance) -> ScimWorld:
    offers = {name: _offer(own.scim, parts.providers[name]()) for name, own in parts.settings.tenants.items()}
    return ScimWorld(
        database=parts.database,
        provider=next(iter(offers.values())).provider,
        offer=offers.__getitem__,
        server_base_url=parts.base_url,
        authenticate=lambda request, tenant: actor_of(entrance.bearer.authenticate(request, tenant)),
        intake=parts.intake,
        deliver=lambda tenant, ticket: parts.inline[tenant].deliver(ticket, began=request_id.began()),
        request_id=request_id.current,
        monotonic=parts.monotonic,
    )


def _offer(scim: Scim, provider: ScimProvider) -> Offer:
    return Offer(
        provider=provider,
        patch_status=scim.patch_status,
        max_body_bytes=scim.max_body_bytes,
        max_value_length=scim.max_value_length,
        max_filter_length=scim.max_filter_length,
        max_patch_operations=scim.max_patch_operations,
    )


def _plain_error(error: HTTPException) -> tuple[Response, int]:
    """Outside SCIM, errors are short JSON too."""
    response = jsonify(status=error.code, detail=error.description)
    if isinstance(error, MethodNotAllowed):
        # RFC 9110 §15.5.6: a 405 says which methods there are.
        response.allow.update(error.valid_methods or ())
    return response, error.code or 500
