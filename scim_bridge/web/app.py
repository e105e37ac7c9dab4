"""The Flask application: all routes, the ways to sign in, and an id and a span for each request."""

import codecs
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify
from scim2_models import ScimProvider
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.urls import iri_to_uri

from scim_bridge import traces
from scim_bridge.bootstrap import Parts
from scim_bridge.domain.values import NORWAY, to_e164
from scim_bridge.settings import DEFAULT_TENANT, Scim
from scim_bridge.web.auth import failures
from scim_bridge.web.auth.bearer import Bearer
from scim_bridge.web.auth.failures import Addresses, AuditedRefusals, FailedSignIns, Failures
from scim_bridge.web.auth.jwt import entra_of, workload_of
from scim_bridge.web.auth.keys import KeysByUrl
from scim_bridge.web.auth.oauth import TokenEndpoint, oauth_blueprint
from scim_bridge.web.monitoring import health_blueprint, metrics_blueprint
from scim_bridge.web.scim.routes import ScimOptions, ScimParts, scim_blueprint

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Entrance:
    """Sign-in for the SCIM endpoints and the token endpoint. Both count failures together."""

    bearer: Bearer
    token_endpoint: TokenEndpoint
    keys: KeysByUrl

    @classmethod
    def of(cls, parts: Parts) -> "Entrance":
        """Return the ways to sign in from the settings. Entra's own JWTs open only the company that names them."""
        auth = parts.settings.auth
        addresses = Addresses.behind(parts.settings.server.trusted_proxies)
        noted = AuditedRefusals(parts.database, parts.tenants, parts.monotonic)
        doorkeeper = FailedSignIns(Failures(auth.max_failures_per_minute, parts.monotonic), addresses.of, noted)
        fetching = KeysByUrl(auth.jwks_min_refetch_seconds, parts.monotonic)
        ways = {name: own.auth for name, own in parts.settings.tenants.items()}
        entra = {name: entra_of(own, fetching.at) for name, own in ways.items()}
        workloads = {name: found for name, own in ways.items() if (found := workload_of(own, fetching.at)) is not None}
        return cls(
            bearer=Bearer(
                parts.database,
                doorkeeper,
                entra=entra,
                workloads={name: workload.id for name, workload in workloads.items()},
                accepted=parts.last_requests.note,
            ),
            token_endpoint=TokenEndpoint(
                parts.database,
                doorkeeper,
                workloads=workloads,
                lifetime_seconds={name: own.token_lifetime_seconds for name, own in ways.items()},
            ),
            keys=fetching,
        )


def create_app(parts: Parts) -> Flask:
    """Return the application, ready for any WSGI server. It reads neither environment nor clock."""
    _load_early(parts)
    app = Flask("scim_bridge", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask types the interface, not its default.
    failures.install(app, monotonic=parts.monotonic)
    secret = parts.settings.server.metrics_token
    token = secret.get_secret_value() if secret is not None else None
    paused = frozenset(name for name, tenant in parts.tenants.items() if tenant.is_paused)
    app.register_blueprint(health_blueprint(parts.database, list(parts.tenants), token, paused))
    app.register_blueprint(metrics_blueprint(parts.database, parts.tenants, token, paused))
    entrance = Entrance.of(parts)
    app.register_blueprint(oauth_blueprint(entrance.token_endpoint))
    app.register_blueprint(scim_blueprint(_world(parts, entrance)))
    if parts.settings.console.enabled:
        from scim_bridge.web.console.blueprint import console_blueprint  # noqa: PLC0415 # Only some installations need it.

        app.register_blueprint(
            console_blueprint(
                parts.settings,
                parts.database,
                parts.tenants,
                parts.base_url,
                monotonic=parts.monotonic,
                doorkeeper=entrance.bearer.doorkeeper,
                keys_at=entrance.keys.at,
            )
        )
    app.register_error_handler(HTTPException, _plain_error)
    if traces.is_on():
        app.wsgi_app = traced(app.wsgi_app, parts.tenants)  # type: ignore[assignment, method-assign]  # Flask's own way.
    return app


def _load_early(parts: Parts) -> None:
    """Import what the first requests and deliveries need, before there are threads.

    Otherwise the first requests import it all at once: they are slow, and Python 3.11 may fail one of them (its import
    locks may raise `KeyError` there, https://github.com/python/cpython/issues/91351).
    """
    import authlib.integrations.requests_client  # noqa: F401, PLC0415 # Large: see `ditio/token.py`.

    codecs.lookup("utf-8-sig")  # Of each body; its codec is a module too.
    for region in {NORWAY, *(own.mapping.phone_region for own in parts.settings.tenants.values())}:
        to_e164("90000000", region)  # Reads the country's numbering plan.


def _world(parts: Parts, entrance: Entrance) -> ScimParts:
    offers = {name: _offer(own.scim, parts.providers[name]()) for name, own in parts.settings.tenants.items()}
    return ScimParts(
        database=parts.database,
        provider=next(iter(offers.values())).provider,
        offer=offers.__getitem__,
        # It begins addresses in headers, which are ASCII.
        server_base_url=iri_to_uri(parts.base_url),
        authenticate=entrance.bearer.authenticate,
        tenants=parts.tenants,
        inline=parts.inline,
        request_id=failures.current,
        began=failures.began,
        find=entrance.bearer.find,
        headers=failures.headers,
        tally=parts.tally,
        monotonic=parts.monotonic,
    )


def _offer(scim: Scim, provider: ScimProvider) -> ScimOptions:
    return ScimOptions(
        provider=provider,
        patch_status=scim.patch_status,
        max_body_bytes=scim.max_body_bytes,
        max_value_length=scim.max_value_length,
        max_filter_length=scim.max_filter_length,
        max_patch_operations=scim.max_patch_operations,
    )


def _plain_error(error: HTTPException) -> tuple[Response, int]:
    """Return an error outside SCIM as short JSON."""
    response = jsonify(status=error.code, detail=error.description)
    if isinstance(error, MethodNotAllowed):
        # RFC 9110 §15.5.6: a 405 lists the allowed methods.
        response.allow.update(error.valid_methods or ())
    return response, error.code or 500


_PATH = re.compile(r"(?:/tenants/(?P<tenant>[^/]+))?/scim/v2(?:/+(?P<endpoint>[^/]+))?(?:/+(?P<rest>.+))?/*")
_ENDPOINTS = {
    each.lower(): each
    for each in ("Users", "Groups", "Certificates", "Bulk", "Schemas", "ResourceTypes", "ServiceProviderConfig", "Me")
}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SEARCH = ".search"


def template_of(path: str) -> tuple[str, str] | None:
    """Return the template of a path of SCIM, and the company that it names; None for another path.

    A client may send any path, so what is not known becomes `{…}`: a trace holds no name and no number.
    """
    if path == "/oauth/token":
        return path, ""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    tenant, endpoint, rest = found["tenant"], found["endpoint"], found["rest"]
    begin = "/scim/v2" if tenant is None else "/tenants/{tenant}/scim/v2"
    if endpoint == _SEARCH:
        begin += f"/{_SEARCH}"
    elif endpoint is not None:
        begin += f"/{_ENDPOINTS.get(endpoint.lower(), '{endpoint}')}"
    if rest is not None:
        begin += f"/{_SEARCH}" if rest == _SEARCH else "/{id}"
    return begin, tenant or DEFAULT_TENANT


def traced(app: "WSGIApplication", tenants: Collection[str]) -> "WSGIApplication":
    """Return the application with a span around each request of SCIM.

    The caller's own `traceparent` is not continued: Entra sends none, and a stranger must not choose what is sampled.
    """

    def answered(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        template = template_of(environ.get("PATH_INFO", ""))
        if template is None:
            return app(environ, start_response)
        route, tenant = template
        # All that answer the request now find the same id.
        environ["HTTP_X_REQUEST_ID"] = request_id = failures.id_for(environ.get("HTTP_X_REQUEST_ID", ""))
        method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in _METHODS else "_OTHER"
        about = {
            "http__request__method": method,
            "http__route": route,
            # A caller without a credential may send any name.
            "scim_bridge__tenant": tenant if tenant in tenants else None,
        }
        with traces.request(request_id, f"{method} {route}", **about) as span:

            def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Callable[[bytes], object]:
                code = int(status.split()[0])
                span.note(http__response__status_code=code)
                if code >= 500:
                    span.fail(str(code))
                return start_response(status, headers, *failure)

            return app(environ, start)

    return answered
