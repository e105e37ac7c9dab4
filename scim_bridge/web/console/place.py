"""Where an administrator stands in the console: company, role, and how a page is rendered and a form is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import quote

from flask import redirect, request, url_for
from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from scim_bridge.domain.audit import Author, Role
from scim_bridge.domain.employee import Field
from scim_bridge.errors import BridgeError
from scim_bridge.settings import Settings
from scim_bridge.storage.console import Access
from scim_bridge.tenant import Tenant
from scim_bridge.web.auth import failures
from scim_bridge.web.console import details, language, words
from scim_bridge.web.console.visitors import BY_ITSELF, Visitor, author_of

LONGEST_REASON = 200

NOTICE = "done"
"""The parameter that names what an action did, after the redirect that follows it; `n` has the number."""


def environment(assets: str) -> Environment:
    """Return the templates. :param assets: Changes with every change of the static files, so that none is stale."""
    made = Environment(
        loader=PackageLoader("scim_bridge.web.console"),
        autoescape=True,
        undefined=StrictUndefined,
        # A server that still runs during an upgrade shows the pages of its own version.
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_callables(language.gettext, language.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {"url_for": url_for, "assets": assets, "languages": language.LANGUAGES, "words": words}
    made.filters |= {"day": language.day, "number": language.number, "code": words.code, "detail": details.detail}
    return made


def here() -> str:
    """Return the path of this request with its parameters, to come back to."""
    query = request.query_string.decode("ascii", "replace")
    return quote(request.path) + (f"?{query}" if query else "")


REFRESH_SECONDS = 3
"""How often a page is asked for again that shows what a worker does."""


@contextmanager
def alone(running: Lock, otherwise: str, *, within: float = 0.0) -> Iterator[None]:
    """Let one request of this process at a time do the work of this block.

    :param within: How many seconds to wait for the others. :raises BridgeError: they take longer, in these words.
    """
    if not running.acquire(timeout=within):
        raise BridgeError(otherwise)
    try:
        yield
    finally:
        running.release()


@dataclass(frozen=True, slots=True)
class Place:
    """One company, as one administrator sees it in one request."""

    all_settings: Settings
    """Of all companies."""

    tenant: Tenant
    visitor: Visitor
    templates: Environment
    pages: tuple["tuple[str, str]", ...]
    """Name and title of the pages in the navigation."""

    page: str
    """The name of this page."""

    @property
    def access(self) -> Access:
        """What the administrator may do here."""
        return self.visitor.companies[self.tenant.name]

    @property
    def is_operator(self) -> bool:
        """Whether the administrator may act."""
        return self.access.role is Role.operator

    @property
    def settings(self) -> Settings:
        """The settings of this company."""
        return self.all_settings.tenants[self.tenant.name]

    def hides(self, field: str | None) -> bool:
        """Return whether the administrator may not see the values of a field of an employee."""
        return field == Field.birth_date and not self.is_operator

    def author(self) -> Author:
        """Return the administrator as the author of what this request does."""
        return author_of(self.access.name, failures.current())

    def url(self, page: str, **values: Any) -> str:
        """Return the path of a page of this company."""
        return url_for(f"console.{page}", company=self.tenant.name, **values)

    def render(self, template: str, **context: Any) -> str:
        """Return a page. Templates have `place`, `url`, `_`, and filters for instants, days and numbers."""
        zone, now = self.tenant.rules.zone, self.tenant.database.now()
        return self.templates.get_template(template).render(
            place=self,
            url=self.url,
            here=here(),
            language=language.current(),
            notice=words.notice(request.args.get(NOTICE, ""), request.args.get("n", type=int) or 0),
            instant=lambda moment: language.instant(moment, zone),
            ago=lambda moment: language.ago(moment, now),
            span=language.span,
            percent=language.percent,
            value=lambda each: words.value(each),
            **context,
        )

    def refreshed(self, page: str, name: str, refreshes: bool, **values: Any) -> Response:
        """Answer with a page that the browser asks for again by itself, without any script, as long as it `refreshes`.

        A page that stays open keeps no session alive by that.

        :param name: The page to ask for, with `values` in its path.
        """
        response = Response(page, mimetype="text/html")
        if refreshes:
            response.headers["Refresh"] = f"{REFRESH_SECONDS}; url={self.url(name, **values, refresh=BY_ITSELF)}"
        return response

    def done(self, what: str, count: int, page: str, **values: Any) -> Response:
        """Answer a form: show a page, with a notice of what was done. :param what: One of `words.NOTICES`."""
        return redirect(self.url(page, **{NOTICE: what, "n": count}, **values), 303)

    def reason(self) -> str:
        """Return the reason that a form gives. :raises BadRequest: it gives none."""
        text = " ".join(request.form.get("reason", "").split())[:LONGEST_REASON]
        if not text or not text.isprintable():
            raise BadRequest(language.gettext("Write a reason: it is stored in the audit trail."))
        return text
