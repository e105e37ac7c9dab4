"""Ditio's access token: fetched, stored in memory and renewed."""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from scim_bridge.ditio.answers import retry_after_seconds
from scim_bridge.ditio.config import DitioConfig
from scim_bridge.ditio.http import FAILURES, TELLING_SECONDS, UNUSABLE_URL, Pace, joined, read_body, transient
from scim_bridge.errors import CredentialsRefused, DeliveryError, RateLimited, TransientError

_WHAT = "Asking Ditio's identity server for a token"
_CHECK_URL = "if this lasts, check DITIO__IDENTITY_URL"
_UNKNOWN_LIFE_SECONDS = 300.0
"""How long a token without a stated lifetime is trusted; Ditio documents about half an hour."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and its lifetime."""

    text: str = field(repr=False)
    life_seconds: float


def fetch_token(
    config: DitioConfig,
    session: requests.Session,
    *,
    within: float,
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
) -> Token:
    """Ask for a token, once.

    :param session: Lends its connections; its own headers and cookies are not used.
    :param within: Seconds that this may take.
    :raises CredentialsRefused: when the identity server knows no such client, secret or scope.
    :raises TransientError: when it can't be reached, fails, or gives no token.
    """
    began = monotonic()

    def judged(response: requests.Response) -> requests.Response:
        with response:
            _raise_for(response, now())
            return _complete(response, read_body(response, until=began + within, monotonic=monotonic))

    oauth = _oauth_session(config, session)
    oauth.register_compliance_hook("access_token_response", judged)
    try:
        answer: object = oauth.fetch_token(timeout=within, allow_redirects=False)
    except OAuthError as exc:
        raise _refused(200) from exc
    except UNUSABLE_URL as exc:
        raise CredentialsRefused(f"{_WHAT}: DITIO__IDENTITY_URL is not a valid address") from exc
    except FAILURES as exc:
        took = monotonic() - began
        raise transient(exc, _WHAT, write=False, request_id=None, seconds=took, allowed=within) from exc
    except (ValueError, RecursionError) as exc:
        raise TransientError(f"{_WHAT}: the answer was not a JSON object with a token; {_CHECK_URL}") from exc
    return _token_of(answer)


def _oauth_session(config: DitioConfig, session: requests.Session) -> OAuth2Session:
    oauth = OAuth2Session(
        config.client_id,
        config.client_secret,
        scope=config.scope,
        token_endpoint=joined(config.identity_url, "/connect/token"),
        token_endpoint_auth_method="client_secret_post",  # nosec B106 # a method's name
        grant_type="client_credentials",
    )
    for prefix, adapter in session.adapters.items():
        oauth.mount(prefix, adapter)
    oauth.verify, oauth.cert = session.verify, session.cert
    oauth.proxies, oauth.trust_env = session.proxies, session.trust_env
    oauth.stream = True
    return oauth


def _raise_for(response: requests.Response, now: datetime) -> None:
    # authlib reads a JSON error of any status, and mistakes one without "error" for a token.
    status = response.status_code
    if status == 429:
        seconds = retry_after_seconds(response.headers.get("Retry-After"), now)
        raise RateLimited(f"{_WHAT}: it answered 429", retry_after_seconds=seconds)
    if status >= 500:
        seconds = retry_after_seconds(response.headers.get("Retry-After"), now)
        raise TransientError(f"{_WHAT}: it answered {status}", status=status, retry_after_seconds=seconds)
    if 400 <= status <= 499 and status != 404:
        raise _refused(status)
    if not 200 <= status <= 299:
        message = f"{_WHAT}: it answered {status}. DITIO__IDENTITY_URL seems wrong"
        raise CredentialsRefused(message, status=status)


def _refused(status: int) -> CredentialsRefused:
    return CredentialsRefused(
        f"{_WHAT}: it refused this API client ({status}). Check DITIO__CLIENT_ID, DITIO__CLIENT_SECRET and "
        "DITIO__SCOPE, and that DITIO__IDENTITY_URL is of the same environment as the client: production and "
        "test have clients and secrets of their own, and one is unknown to the other",
        status=status,
    )


def _complete(response: requests.Response, body: bytes) -> requests.Response:
    """Return the same answer with its body read, in the form that authlib parses."""
    complete = requests.Response()
    complete.status_code, complete.headers = response.status_code, response.headers
    complete.raw = io.BytesIO(body)
    return complete


def _token_of(answer: object) -> Token:
    text = answer.get("access_token") if isinstance(answer, dict) else None
    # Other characters than visible ASCII would break the header, in an error that shows the token.
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text or " " in text:
        raise TransientError(f"{_WHAT}: the answer has no usable access_token; {_CHECK_URL}")
    life = answer.get("expires_in") if isinstance(answer, dict) else None
    try:
        seconds = float(str(life))
    except ValueError:
        seconds = 0.0
    return Token(text, seconds if 0 < seconds < float("inf") else _UNKNOWN_LIFE_SECONDS)


EARLY_SECONDS = 60.0
EARLY_FRACTION = 0.2


@dataclass(frozen=True, slots=True)
class _Held:
    token: Token
    renew_at: float
    """By the monotonic clock."""


class Tokens:
    """The token of one API client; safe to share between threads."""

    def __init__(
        self,
        config: DitioConfig,
        *,
        pace: Pace,
        sessions: Callable[[], requests.Session],
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._pace = pace
        self._sessions = sessions
        self._monotonic = monotonic
        self._now = now
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._fetches_ended = 0
        self._refusal: DeliveryError | None = None

    def current(self, *, within: float) -> str:
        """Return a token that is still valid for a while.

        :param within: Seconds that this may take, waiting for another thread's fetch included.
        :raises CredentialsRefused: when the identity server refuses the client.
        :raises TransientError: when it gives no token in time; nothing was sent to the API.
        """
        return self._obtain(None, within)

    def renew(self, *, after: str, within: float) -> str:
        """Return another token than the one that got 401: fetched, unless another thread has done so meanwhile."""
        return self._obtain(after, within)

    def _obtain(self, rejected: str | None, within: float) -> str:
        if (text := self._usable(rejected)) is not None:
            return text
        fetches_ended = self._fetches_ended
        until = self._monotonic() + within
        if not self._lock.acquire(timeout=max(0.0, within)):
            message = "another thread is still asking for Ditio's token, and the time for this call ran out"
            raise TransientError(message, cut_short=within < TELLING_SECONDS)
        try:
            if (text := self._usable(rejected)) is not None:
                return text
            # A thread that waited for a refused fetch would only be refused once more.
            if self._refusal is not None and self._fetches_ended > fetches_ended:
                raise self._refusal
            return self._fetch(until - self._monotonic())
        finally:
            self._lock.release()

    def _usable(self, rejected: str | None) -> str | None:
        held = self._held
        if held is None or held.token.text == rejected or self._monotonic() >= held.renew_at:
            return None
        return held.token.text

    def _fetch(self, within: float) -> str:
        if within <= 0:
            message = "the time for this call ran out while it waited for Ditio's token"
            raise TransientError(message, cut_short=True)
        began = self._monotonic()
        self._pace.keep(until=began + within)
        within -= self._monotonic() - began
        began = self._monotonic()
        self._refusal = None
        try:
            token = fetch_token(self._config, self._sessions(), within=within, monotonic=self._monotonic, now=self._now)
        except (CredentialsRefused, RateLimited) as exc:
            self._refusal = exc
            raise
        finally:
            self._fetches_ended += 1
        # The lifetime counts from before the request, so that it is never overestimated.
        early = min(EARLY_SECONDS, EARLY_FRACTION * token.life_seconds)
        self._held = _Held(token, renew_at=began + token.life_seconds - early)
        return token.text
