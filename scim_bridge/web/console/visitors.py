"""Who is signed in to the console: the session and its cookie, and what every form has to prove."""

import base64
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from secrets import token_urlsafe

from flask import Request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, Author, Role
from scim_bridge.logs import get_logger
from scim_bridge.storage.console import USE_EVERY, Access, access_of
from scim_bridge.storage.database import Database

log = get_logger(__name__)

COOKIE = "__Host-scim-bridge-console"
"""`__Host-` makes browsers accept it only from this host itself, over TLS (or on loopback), for all paths."""

LONGEST_NAME = 100

REFRESH, BY_ITSELF = "refresh", "auto"
"""The parameter of a page that the browser asks for again by itself: that is no use of the session."""


def derived(secret: str, purpose: str) -> str:
    """Return a text that only the owner of a secret can know, for one purpose; it reveals nothing of the secret."""
    digest = hmac.digest(secret.encode(), purpose.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Visitor:
    """An administrator who is signed in."""

    secret: str
    companies: Mapping[str, Access]
    """What they may do, by company."""

    @property
    def form_token(self) -> str:
        """The text that every form of this session sends back: another site can't know it."""
        return derived(self.secret, "form")

    def sent(self, request: Request) -> bool:
        """Return whether a request comes from a form of this session, and from no other site."""
        token = request.form.get("token", "")
        return is_same_site(request) and hmac.compare_digest(token.encode(), self.form_token.encode())


def is_same_site(request: Request) -> bool:
    """Return whether a browser says that a page of ours sent a request. Old browsers say nothing."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")


def set_cookie(response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Set a cookie that no script reads, and that other sites' forms don't send. :param seconds: None: until closed."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Lax")


def author_of(name: str, request_id: str) -> Author:
    """Return an administrator as the author of rows of the audit trail."""
    return Author(Actor(ActorKind.console, name), request_id)


@dataclass(frozen=True, slots=True)
class Visitors:
    """The sessions of all companies that are served. They are in the database, so any process knows them."""

    database: Database
    tenants: Collection[str]

    def current(self, request: Request) -> Visitor | None:
        """Return who sends a request; None if no session of theirs is alive."""
        secret = request.cookies.get(COOKIE, "")
        if not secret or "\0" in secret:
            return None
        with self.database.read() as s:
            companies, now = access_of(s, self.tenants, secret), s.now
        if not companies:
            return None
        is_used = request.args.get(REFRESH) != BY_ITSELF
        if is_used and any(now - each.last_used_at >= USE_EVERY for each in companies.values()):
            self._note_use(secret, companies)
        return Visitor(secret, companies)

    def begin(self, response: Response, roles: Mapping[str, Role], name: str, request_id: str) -> None:
        """Begin a session, with a secret that no one has known before. :param roles: By company; at least one."""
        secret = token_urlsafe(32)
        for tenant, role in roles.items():
            with self.database.write(tenant) as s:
                s.console_sessions.begin(secret, role, name)
                s.audit.add(AuditEvent(Action.signed_in, "console", detail=role), author_of(name, request_id))
        set_cookie(response, COOKIE, secret)

    def end(self, visitor: Visitor) -> None:
        """End a session."""
        for tenant in visitor.companies:
            with self.database.write(tenant) as s:
                s.console_sessions.end(visitor.secret)

    def _note_use(self, secret: str, companies: Mapping[str, Access]) -> None:
        """Store the time of use; a session goes on even if that fails."""
        try:
            for tenant in companies:
                with self.database.write(tenant) as s:
                    s.console_sessions.used(secret)
        except SQLAlchemyError as error:
            log.warning("console.use_not_noted", error=type(error).__name__)
