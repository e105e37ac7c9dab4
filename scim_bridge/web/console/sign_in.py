"""Signing in to the console and out of it: with a link that works once, or with Entra."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from flask import Blueprint, abort, redirect, request, url_for
from jinja2 import Environment
from werkzeug.exceptions import Forbidden, ServiceUnavailable, TooManyRequests
from werkzeug.wrappers import Response

from scim_bridge.domain.audit import Role
from scim_bridge.logs import get_logger
from scim_bridge.settings import Settings
from scim_bridge.storage.console import link_of
from scim_bridge.storage.database import Database
from scim_bridge.web.auth import failures
from scim_bridge.web.auth.failures import FailedSignIns
from scim_bridge.web.auth.keys import KeysUnavailable
from scim_bridge.web.console import language
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.oidc import IssuerAway, Oidc, Person, SignInFailed
from scim_bridge.web.console.visitors import COOKIE, Visitors, is_same_site, set_cookie

log = get_logger(__name__)

PENDING = "__Host-scim-bridge-sign-in"
"""The cookie of a browser that is at the issuer's page."""

PENDING_SECONDS = 600

_PATH = re.compile(r"/console(/[A-Za-z0-9_.~%@-]+)*/?(\?[A-Za-z0-9_.~%@&=+:*-]*)?")


def safe_path(text: str) -> str:
    """Return a path within the console; its start for anything else, such as another site's address."""
    return text if _PATH.fullmatch(text) and ".." not in text else "/console/"


@dataclass(frozen=True, slots=True)
class SignIn:
    """The pages of sign-in."""

    settings: Settings
    """Of all companies."""

    database: Database
    visitors: Visitors
    doorkeeper: FailedSignIns
    templates: Environment
    oidc: Oidc | None

    def add_to(self, blueprint: Blueprint) -> None:
        """Add the routes. Their paths begin with a hyphen, as no company's name does."""
        for name, path, view, method in (
            ("sign_in", "/-/sign-in", self.choose, "GET"),
            ("link", "/-/link", self.show_link, "GET"),
            ("use_link", "/-/link", self.use_link, "POST"),
            ("entra", "/-/entra", self.go_to_issuer, "GET"),
            ("callback", "/-/callback", self.come_back, "GET"),
            ("sign_out", "/-/sign-out", self.sign_out, "POST"),
            ("language", "/-/language/<code>", self.choose_language, "GET"),
        ):
            blueprint.add_url_rule(path, name, view, methods=[method], provide_automatic_options=False)

    def choose(self) -> str:
        """Show the ways to sign in."""
        back = safe_path(request.args.get("next", ""))
        return self._page("sign_in.html", has_issuer=self.oidc is not None, back=back)

    def show_link(self) -> str:
        """Show what a link gives. Looking at it does not use it up: mail programs and chats look at links too."""
        key = request.args.get("key", "")
        with self.database.read() as s:
            found = link_of(s, tuple(self.settings.tenants), key) if _is_secret(key) else None
        if found is None:
            self._refuse("console-link")
        tenant, access = found
        return self._page("link.html", key=key, company=tenant, access=access)

    def use_link(self) -> Response:
        """Sign in with a link, which can't be used again."""
        key = request.form.get("key", "")
        tenants = tuple(self.settings.tenants)
        if not is_same_site(request):
            self._refuse("console-other-site")
        with self.database.read() as s:
            found = link_of(s, tenants, key) if _is_secret(key) else None
        access = None
        if found is not None:
            with self.database.write(found[0]) as s:
                access = s.console_sessions.use_link(key)
        if found is None or access is None:
            self._refuse("console-link")
        return self._signed_in({found[0]: access.role}, access.name, "/console/")

    def go_to_issuer(self) -> Response:
        """Send the browser to the issuer's page."""
        if self.oidc is None:
            abort(404)
        try:
            url, secret = self.oidc.begin()
        except IssuerAway as away:
            raise self._unavailable(away.reason) from away
        back = urlsafe_b64encode(safe_path(request.args.get("next", "")).encode()).decode()
        response = redirect(url, 303)
        set_cookie(response, PENDING, f"{secret}.{back}", PENDING_SECONDS)
        return response

    def come_back(self) -> Response:
        """Sign in the person that the issuer has signed in."""
        if self.oidc is None:
            abort(404)
        secret, _, back = request.cookies.get(PENDING, "").partition(".")
        try:
            person = self.oidc.finish(secret, request.args, self.database.now())
        except KeysUnavailable as unavailable:
            raise self._unavailable("keys") from unavailable
        except IssuerAway as away:
            raise self._unavailable(away.reason) from away
        except SignInFailed as failed:
            self._refuse(failed.reason)
        roles = self._roles_of(person)
        if not roles:
            self._refuse("console-no-role", gettext("You are signed in, but have no role in this console."))
        response = self._signed_in(roles, person.name, _unpacked(back))
        response.delete_cookie(PENDING, path="/", secure=True, httponly=True, samesite="Lax")
        return response

    def sign_out(self) -> Response:
        """End this session."""
        visitor = self.visitors.current(request)
        if visitor is not None:
            if not visitor.sent(request):
                raise Forbidden
            self.visitors.end(visitor)
        response = redirect(url_for("console.sign_in"), 303)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return response

    def choose_language(self, code: str) -> Response:
        """Store which language this browser wants."""
        if code not in language.LANGUAGES:
            abort(404)
        response = redirect(safe_path(request.args.get("next", "")), 303)
        set_cookie(response, language.COOKIE, code, 365 * 24 * 3600)
        return response

    def _roles_of(self, person: Person) -> Mapping[str, Role]:
        """Return the person's roles, by company."""
        roles: dict[str, Role] = {}
        for name, settings in self.settings.tenants.items():
            if not person.groups.isdisjoint(settings.console.operators):
                roles[name] = Role.operator
            elif not person.groups.isdisjoint(settings.console.viewers):
                roles[name] = Role.viewer
        return roles

    def _signed_in(self, roles: Mapping[str, Role], name: str, back: str) -> Response:
        earlier = self.visitors.current(request)
        if earlier is not None:
            self.visitors.end(earlier)
        response = redirect(back, 303)
        self.visitors.begin(response, roles, name, failures.current())
        return response

    def _refuse(self, reason: str, told: str | None = None) -> NoReturn:
        """Count and log a failed sign-in. :raises Forbidden: always, or TooManyRequests after too many."""
        wait = self.doorkeeper.refuses(request, "", reason)
        if wait is not None:
            raise TooManyRequests(gettext("Too many failed sign-ins. Wait a minute."), retry_after=int(wait) + 1)
        raise Forbidden(told or gettext("This sign-in is not valid any more, or never was. Begin again."))

    def _unavailable(self, reason: str) -> ServiceUnavailable:
        log.warning("console.issuer_unavailable", reason=reason)
        return ServiceUnavailable(gettext("The issuer of sign-ins can't be reached. Try again later."))

    def _page(self, template: str, **context: object) -> str:
        return self.templates.get_template(template).render(language=language.current(), **context)


def _is_secret(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isascii() and text.isprintable()


def _unpacked(back: str) -> str:
    try:
        return safe_path(urlsafe_b64decode(back.encode()).decode())
    except ValueError:
        return safe_path("")
