"""The span of each SCIM request, around everything that answers it."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from scim_bridge import traces
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.web.auth.failures import id_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
        environ["HTTP_X_REQUEST_ID"] = request_id = id_for(environ.get("HTTP_X_REQUEST_ID", ""))
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
