"""The routes of the console: who may see which page, and the headers of every answer."""

import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files

from flask import Blueprint, Response, g, redirect, request, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import Forbidden, HTTPException, NotFound

from scim_bridge.errors import BridgeError
from scim_bridge.logs import get_logger
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database, is_out_of_reach, loggable
from scim_bridge.tenant import Tenant
from scim_bridge.web.auth.failures import FailedSignIns
from scim_bridge.web.auth.keys import Keys
from scim_bridge.web.console import language
from scim_bridge.web.console.oidc import Oidc
from scim_bridge.web.console.pages import PAGES, Answer, Page
from scim_bridge.web.console.place import Place, environment, here
from scim_bridge.web.console.sign_in import SignIn
from scim_bridge.web.console.visitors import Visitors

log = get_logger(__name__)

SMALL_FORM = 256 * 1024
"""Bytes of a form that belongs to no page, such as that of sign-in."""

HEADERS = {
    # No script, nothing inline, nothing from another host, in no frame.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def console_blueprint(
    settings: Settings,
    database: Database,
    tenants: Mapping[str, Tenant],
    base_url: str,
    *,
    monotonic: Callable[[], float],
    doorkeeper: FailedSignIns,
    keys_at: Callable[[str], Keys],
) -> Blueprint:
    """Return the routes.

    :param settings: Of all companies.
    :param base_url: Where administrators reach the bridge, without a slash at the end.
    :param doorkeeper: Counts failed sign-ins by address, together with those of Entra's provisioning.
    :param keys_at: Returns the keys at a URL.
    """
    blueprint = Blueprint(
        "console", __name__, url_prefix="/console", static_folder="static", static_url_path="/-/static"
    )
    visitors, templates = Visitors(database, tuple(tenants)), environment(_assets())
    oidc = Oidc.of(settings.console, f"{base_url}/console/-/callback", keys_at, monotonic)
    sign_in = SignIn(settings, database, visitors, doorkeeper, templates, oidc)
    largest = {f"console.{page.name}": page.most_bytes for page in PAGES}
    navigation = tuple((page.name, page.title) for page in PAGES if page.title)

    @blueprint.before_request
    def prepare() -> None:
        g.language = language.chosen(request)
        request.max_content_length = largest.get(request.endpoint or "", SMALL_FORM)
        request.max_form_memory_size = request.max_content_length
        request.max_form_parts = 5000

    @blueprint.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        is_asset = request.endpoint == "console.static" and response.status_code < 400
        # The address of an asset changes with its content. Pages have personal data.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_asset else "no-store"
        return response

    def served(page: Page) -> Callable[..., Answer]:
        def serve(company: str, **values: str) -> Answer:
            visitor = visitors.current(request)
            if visitor is None:
                back = here() if request.method == "GET" else url_for("console.home")
                return redirect(url_for("console.sign_in", next=back), 303)
            if company not in visitor.companies:
                raise NotFound
            place = Place(settings, tenants[company], visitor, templates, navigation, page.section or page.name)
            if request.method == "POST" and not visitor.sent(request):
                raise Forbidden(language.gettext("This form is from an earlier session. Go back, and send it again."))
            if page.acts and not place.is_operator:
                raise Forbidden(language.gettext("Viewers may not act: this needs an operator."))
            return page.view(place, **values)

        return serve

    for page in PAGES:
        blueprint.add_url_rule(
            f"/<company>/{page.path}",
            page.name,
            served(page),
            methods=["POST"] if page.is_form else ["GET"],
            provide_automatic_options=False,
        )

    def home() -> Answer:
        visitor = visitors.current(request)
        if visitor is None:
            return redirect(url_for("console.sign_in"), 303)
        return redirect(url_for("console.overview", company=next(iter(visitor.companies))), 303)

    blueprint.add_url_rule("/", "home", home, methods=["GET"], provide_automatic_options=False)
    sign_in.add_to(blueprint)

    def nothing(rest: str) -> Answer:
        raise NotFound

    blueprint.add_url_rule("/<path:rest>", "nothing", nothing, provide_automatic_options=False)

    def shown(code: int, message: str) -> str:
        return templates.get_template("message.html").render(language=language.current(), code=code, words_of=message)

    def told(error: HTTPException) -> Response:
        code = error.code or 500
        response = Response(shown(code, _words_of(error)), code)
        response.headers.extend(
            (name, value) for name, value in error.get_headers() if name in ("Allow", "Retry-After")
        )
        return response

    def failed(error: Exception) -> tuple[str, int]:
        if isinstance(error, BridgeError):
            message, code = str(error), 409
        else:
            is_away = isinstance(error, SQLAlchemyError) and is_out_of_reach(error)
            message, code = "", 503 if is_away else 500
            log.error("console.failed", error=type(error).__name__, page=request.endpoint, exc_info=loggable(error))
        return shown(code, message), code

    blueprint.register_error_handler(HTTPException, told)
    blueprint.register_error_handler(Exception, failed)
    return blueprint


def _words_of(error: HTTPException) -> str:
    """Return our own words of an error; empty for the library's, which say nothing more than its code."""
    return "" if error.description == type(error).description else str(error.description or "")


def _assets() -> str:
    """Return a text that changes with the static files."""
    folder = files("scim_bridge.web.console").joinpath("static")
    digest = hashlib.sha256()
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        digest.update(each.read_bytes())
    return digest.hexdigest()[:12]
