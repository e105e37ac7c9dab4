"""Bearer tokens (RFC 6750): the secret token pasted into Entra, an access token, or Entra's own JWT."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask import Request
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.domain.audit import Actor, ActorKind
from scim_bridge.logs import get_logger
from scim_bridge.storage.credentials import (
    ACCESS_TOKEN,
    AccessToken,
    Token,
    is_mutilated,
    use_is_stale,
)
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.resources import StoredResource
from scim_bridge.web.auth.failures import LONGEST_NAME, FailedSignIns, Refused
from scim_bridge.web.auth.jwt import PREFIX, InvalidJwt, JwtRules, application_of, refuse
from scim_bridge.web.auth.keys import KeysUnavailable
from scim_bridge.web.scim.errors import ServiceUnavailable, TooManyRequests

log = get_logger(__name__)


WARNED_AHEAD = timedelta(days=30)
"""How long before its end a credential is logged as a warning."""

URGENT_AHEAD = timedelta(days=7)
"""How long before its end a credential is logged as an error."""

WARNED_EVERY = timedelta(days=1)


class Endings:
    """The endings that this process has logged, by the ids of tokens and clients, which are few."""

    def __init__(self) -> None:
        self._logged: dict[tuple[str, str], datetime] = {}

    def tell(self, event: str, credential_id: str, expires_at: datetime | None, *, tenant: str, now: datetime) -> None:
        """Log that a credential, which has just been used, will expire."""
        if expires_at is None or not self.is_news(credential_id, expires_at, tenant=tenant, now=now):
            return
        self._logged[tenant, credential_id] = now
        left = expires_at - now
        write = log.error if left <= URGENT_AHEAD else log.warning
        write(event, id=credential_id, tenant=tenant, days=left.days)

    def is_news(self, credential_id: str, expires_at: datetime | None, *, tenant: str, now: datetime) -> bool:
        """Return whether `tell` would log something."""
        if expires_at is None or expires_at - now > WARNED_AHEAD:
            return False
        logged = self._logged.get((tenant, credential_id))
        return logged is None or now - logged >= WARNED_EVERY


PASTE = "issue another with `scim-bridge token issue` and paste it as Secret Token in Entra"


@dataclass(frozen=True, slots=True)
class EntraItself:
    """A caller that signs in with Entra's own JWT."""

    tenant: str
    application: str
    """The id of the application to which Entra issued the JWT."""


Caller = Token | AccessToken | EntraItself


@dataclass(frozen=True, slots=True)
class Bearer:
    """Check credentials. One that is wrong, expired, revoked or another company's is 401 (rule A3).

    :param entra: The companies that are served, and the rules for Entra's own JWT; None where none is accepted.
    :param workloads: The ids of workloads in access tokens, for each company that has one.
    :param accepted: Called with the company of each request whose credential is valid; it must not wait.
    """

    database: Database
    doorkeeper: FailedSignIns
    entra: Mapping[str, JwtRules | None]
    workloads: Mapping[str, str]
    accepted: Callable[[str], None]
    endings: Endings = field(default_factory=Endings)

    def authenticate(self, request: Request, tenant: str) -> Actor:
        """Return the caller of a request, as the audit trail names them.

        :raises Refused: with what to do, and no secret.
        :raises TooManyRequests: wrong, and not the first wrong one from that address.
        :raises ServiceUnavailable: the keys that decide are not available.
        """
        try:
            caller = self._examined(_secret_of(request, tenant), tenant)
        except Refused as refused:
            # Only the log shows whether such a company exists.
            reason = refused.reason if tenant in self.entra else "unknown-tenant"
            wait = self.doorkeeper.refuses(request, tenant, reason, **refused.about)
            if wait is not None:
                raise TooManyRequests(wait) from refused
            raise
        except KeysUnavailable as unavailable:
            raise ServiceUnavailable(
                unavailable.retry_after_seconds, detail="the keys of Entra's tokens can't be fetched: try again later"
            ) from unavailable
        self.accepted(tenant)
        return _actor_of(caller)

    def find(self, authorization: str, tenant: str, attribute: str, key: str) -> list[StoredResource] | None:
        """Return the users that a caller looks up; the same statement checks the caller's credential.

        None if there is more to do: a refusal to count, a use to store, an ending to log. `authenticate` does it.

        :param attribute, key: See `Resources.found_by`.
        """
        secret = _bearer_of(authorization)
        if secret is None or (_looks_signed(secret) and not self._is_signed_right(secret, tenant)):
            return None
        # An unknown company takes as long as a wrong token.
        with self.database.read_once(tenant) as s:
            if _looks_signed(secret):
                users, is_valid = s.resources.found_by(attribute, key), True
            else:
                caller, users = s.lookups.find(secret, self.workloads.get(tenant), attribute, key)
                is_valid = tenant in self.entra and self._is_plainly_valid(caller, tenant, s.now)
        if not is_valid:
            return None
        self.accepted(tenant)
        return users

    def _is_signed_right(self, secret: str, tenant: str) -> bool:
        try:
            self._signed(secret, tenant, self.database.now())
        except (Refused, KeysUnavailable):
            return False
        return True

    def _is_plainly_valid(self, caller: Token | AccessToken | None, tenant: str, now: datetime) -> bool:
        if not isinstance(caller, Token):
            return caller is not None
        is_news = self.endings.is_news(caller.id, caller.expires_at, tenant=tenant, now=now)
        return not is_news and not use_is_stale(caller, now)

    def _stored(self, s: Session, secret: str, tenant: str) -> Token | AccessToken | None:
        if secret.startswith(ACCESS_TOKEN):
            return s.access_tokens(self.workloads.get(tenant)).valid(secret)
        return s.tokens.valid(secret)

    def _examined(self, secret: str, tenant: str) -> Caller:
        with self.database.read_once(tenant) as s:
            is_signed = _looks_signed(secret)
            found = None if is_signed else self._stored(s, secret, tenant)
            if found is None and not is_signed:
                raise _wrong_access_token(secret) if secret.startswith(ACCESS_TOKEN) else _wrong_token(s, secret)
            now = s.now
        if found is None:
            # Keys may have to be fetched: no transaction stays open meanwhile.
            return self._signed(secret, tenant, now)
        if tenant not in self.entra:
            # The token belongs to a company that is no longer served.
            raise _wrong_bearer("unknown-tenant")
        if isinstance(found, Token):
            self.endings.tell("auth.token_ends", found.id, found.expires_at, tenant=tenant, now=now)
            if use_is_stale(found, now):
                self._note_use(found, tenant, now)
        return found

    def _signed(self, text: str, tenant: str, now: datetime) -> EntraItself:
        entra = self.entra.get(tenant)
        reason = "jwt-{}" if entra is not None else "entra-not-configured"
        try:
            if entra is None:
                refuse(text)
            claims = entra.examine(text, now=now)
        except InvalidJwt as wrong:
            self._examine_like_the_named_company(text, now)
            raise Refused(
                reason.format(wrong.reason),
                f"The JWT that Entra sends while Secret Token is empty is refused: {wrong}. Check that "
                "AUTH__ENTRA_TENANT_ID is set and right, or paste a token from `scim-bridge token issue` there",
                f"the JWT is refused: {wrong}",
                **{name: value[:LONGEST_NAME] for name, value in wrong.about.items()},
            ) from wrong
        return EntraItself(tenant, (application_of(claims) or "")[:LONGEST_NAME].replace("\0", ""))

    def _examine_like_the_named_company(self, text: str, now: datetime) -> None:
        """Check a JWT at an unknown company as at the company that it names, while the deciding keys are missing.

        Otherwise a 503 or its delay would reveal to a stranger which companies exist.

        :raises KeysUnavailable: as there.
        """
        for entra in self.entra.values():
            with suppress(InvalidJwt):
                if entra is not None:
                    entra.examine(text, now=now)

    def _note_use(self, token: Token, tenant: str, now: datetime) -> None:
        """Store the time of use; a valid credential is accepted even if that fails (rule A3)."""
        try:
            with self.database.write(tenant) as s:
                s.tokens.used(token)
        except SQLAlchemyError as error:
            log.warning("auth.use_not_noted", error=type(error).__name__)


def _secret_of(request: Request, tenant: str) -> str:
    secret = _bearer_of(request.headers.get("Authorization", ""))
    if secret is None or "\0" in tenant:
        raise Refused(
            "no-bearer-token",
            "No bearer token was sent: paste one from `scim-bridge token issue` as Secret Token in Entra",
        )
    return secret


def _bearer_of(authorization: str) -> str | None:
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    return secret if scheme.lower() == "bearer" and secret and "\0" not in secret else None


def _wrong_access_token(secret: str) -> Refused:
    reason = "access-token-mutilated" if is_mutilated(secret) else "access-token-ended"
    return Refused(
        reason,
        "The access token has expired, or its client was revoked: fetch another at /oauth/token",
        "the access token is wrong or has expired",
    )


def _wrong_token(s: Session, secret: str) -> Refused:
    known = s.tokens.with_secret(secret)
    if known is None:
        reason, about = ("mutilated" if is_mutilated(secret) else "unknown-token"), {}
    else:
        reason, about = ("revoked" if known.revoked_at is not None else "expired"), {"token_id": known.id}
    return _wrong_bearer(reason, **about)


def _wrong_bearer(reason: str, **about: str) -> Refused:
    told = "the token has expired" if reason == "expired" else "the token is wrong or revoked"
    return Refused(reason, f"The bearer token is wrong, expired or revoked: {PASTE}", told, **about)


def _actor_of(caller: Caller) -> Actor:
    """Return the actor for any of the four kinds of caller."""
    match caller:
        case Token():
            return Actor(ActorKind.token, caller.id)
        case AccessToken(client_id=client_id) if client_id.startswith(PREFIX):
            return Actor(ActorKind.workload, client_id.removeprefix(PREFIX))
        case AccessToken():
            return Actor(ActorKind.client, caller.client_id)
        case EntraItself():
            return Actor(ActorKind.entra, caller.application)


def _looks_signed(secret: str) -> bool:
    """Return whether this may be a JWT: the bridge's own secrets have no dot."""
    return secret.count(".") == 2
