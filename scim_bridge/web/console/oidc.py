"""Sign-in with Entra, or another issuer: OpenID Connect with code, PKCE, state and nonce (RFC 6749, 7636, 9207)."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from scim_bridge.settings.sections import Console
from scim_bridge.settings.types import is_loopback
from scim_bridge.web.auth.jwt import InvalidJwt, JwtRules
from scim_bridge.web.auth.keys import Keys
from scim_bridge.web.console.visitors import LONGEST_NAME, derived

CALL_SECONDS = 5.0
"""How long the issuer may take for one answer."""

PATIENCE_SECONDS = 10.0
"""How long an issuer that could not be asked is left alone."""

SCOPE = "openid profile"

GROUPS = ("roles", "groups")
"""The claims that name app roles and groups."""


class SignInFailed(Exception):
    """The issuer, or the answer that a browser brought from it, does not sign any person in.

    :param reason: A constant for the log.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IssuerAway(SignInFailed):
    """The issuer can't be asked, or does not say of itself what is needed; no browser is at fault."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person that the issuer has signed in."""

    name: str
    groups: frozenset[str]
    """The person's app roles, and groups."""


@dataclass
class Oidc:
    """One issuer, as the settings name it. Its addresses are asked for once by each process.

    The steps before and after the issuer's page belong together by one random secret in a cookie of the browser. State,
    nonce and code verifier are derived from it, so nothing is stored before a person is known.
    """

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    keys_at: Callable[[str], Keys]
    monotonic: Callable[[], float]
    _known: Mapping[str, Any] = field(default_factory=dict)
    _not_before: float = float("-inf")

    @classmethod
    def of(
        cls,
        settings: Console,
        redirect_uri: str,
        keys_at: Callable[[str], Keys],
        monotonic: Callable[[], float],
    ) -> "Oidc | None":
        """Return the issuer of the settings; None if there is none."""
        if settings.oidc_issuer is None or settings.oidc_client_id is None or settings.oidc_client_secret is None:
            return None
        secret = settings.oidc_client_secret.get_secret_value()
        return cls(settings.oidc_issuer, settings.oidc_client_id, secret, redirect_uri, keys_at, monotonic)

    def begin(self) -> tuple[str, str]:
        """Return the address of the issuer's page, and the secret for the browser's cookie.

        :raises IssuerAway: it can't be asked.
        """
        secret = token_urlsafe(32)
        with self._session() as session:
            url, _ = session.create_authorization_url(
                self._endpoint("authorization_endpoint"),
                state=derived(secret, "state"),
                nonce=derived(secret, "nonce"),
                code_verifier=derived(secret, "verifier"),
            )
        return url, secret

    def finish(self, secret: str, answer: Mapping[str, str], now: datetime) -> Person:
        """Return the person that the issuer has signed in.

        :param secret: From the browser's cookie.
        :param answer: The parameters that the browser brought from the issuer.
        :raises SignInFailed: it has not.
        :raises IssuerAway: it can't be asked.
        :raises KeysUnavailable: the issuer's keys can't be fetched.
        """
        if not secret or not hmac.compare_digest(answer.get("state", "").encode(), derived(secret, "state").encode()):
            raise SignInFailed("console-state")
        if "error" in answer:
            raise SignInFailed("console-denied")
        if answer.get("iss", self.issuer) != self.issuer:
            raise SignInFailed("console-other-issuer")
        if not answer.get("code"):
            raise SignInFailed("console-no-code")
        endpoint = self._endpoint("token_endpoint")
        try:
            with self._session() as session:
                token = session.fetch_token(
                    endpoint,
                    code=answer["code"],
                    code_verifier=derived(secret, "verifier"),
                    timeout=CALL_SECONDS,
                    allow_redirects=False,
                )
        except (AuthlibBaseError, requests.RequestException, ValueError) as error:
            raise SignInFailed("console-code-refused") from error
        return self._person(str(token.get("id_token", "")), derived(secret, "nonce"), now)

    def _person(self, id_token: str, nonce: str, now: datetime) -> Person:
        rules = JwtRules(self.keys_at(self._endpoint("jwks_uri")), self.issuer, (self.client_id,))
        try:
            claims = rules.examine(id_token, now=now)
        except InvalidJwt as wrong:
            raise SignInFailed(f"console-{wrong.reason}") from wrong
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise SignInFailed("console-nonce")
        if claims.get("azp", self.client_id) != self.client_id:
            raise SignInFailed("console-azp")
        return Person(_name_in(claims), frozenset(_texts(claims)))

    def _endpoint(self, name: str) -> str:
        if not self._known:
            # Strangers may press the button as often as they like: each would keep a thread waiting.
            if self.monotonic() < self._not_before:
                raise IssuerAway("unreachable")
            self._not_before = self.monotonic() + PATIENCE_SECONDS
            self._known = self._discovered()
        url = self._known.get(name)
        if not isinstance(url, str) or not _is_safe(url):
            raise IssuerAway("incomplete")
        return url

    def _discovered(self) -> Mapping[str, Any]:
        """Return what the issuer says of itself (OpenID Connect Discovery)."""
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(url, timeout=CALL_SECONDS, allow_redirects=False)
            said = answer.json() if answer.status_code == 200 else None
        except (requests.RequestException, ValueError, RecursionError) as error:
            raise IssuerAway("unreachable") from error
        if not isinstance(said, dict) or said.get("issuer") != self.issuer:
            raise IssuerAway("another-issuer")
        return said

    def _session(self) -> OAuth2Session:
        session = OAuth2Session(
            self.client_id,
            self.client_secret,
            scope=SCOPE,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_post",  # nosec B106 # a method
        )
        session.trust_env = False
        return session


def _is_safe(url: str) -> bool:
    """Return whether a secret may go there: TLS, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _texts(claims: Mapping[str, object]) -> list[str]:
    found: list[str] = []
    for name in GROUPS:
        said = claims.get(name)
        found += [each for each in said if isinstance(each, str)] if isinstance(said, list) else []
    return found


def _name_in(claims: Mapping[str, object]) -> str:
    """Return the name for the audit trail: the user name in Entra, else the subject."""
    named = (claims.get(name) for name in ("preferred_username", "email", "sub"))
    name = next((each for each in named if isinstance(each, str) and each.strip()), "unknown")
    return "".join(char for char in name.strip() if char.isprintable())[:LONGEST_NAME]
