"""Ditio's access token: fetched, stored in memory and renewed."""

import io
import threading
from collections.abc import Callable
from datetime import datetime
from math import inf

import requests

from scim_bridge.ditio.answers import retry_after_seconds
from scim_bridge.ditio.config import DitioConfig
from scim_bridge.ditio.http import TELLING_SECONDS, Exchange, Limiter, joined
from scim_bridge.errors import CredentialsRefused, DeliveryError, RateLimited, TransientError

_WHAT = "Asking Ditio's identity server for a token"
_CHECK_URL = "if this lasts, check DITIO__IDENTITY_URL"
_UNKNOWN_LIFE_SECONDS = 300.0
"""How long a token without a stated lifetime is trusted; Ditio documents about half an hour."""


def fetch_token(
    config: DitioConfig,
    session: requests.Session,
    *,
    within: float,
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
) -> tuple[str, float]:
    """Ask for a token, once. Return it, and how many seconds it is valid.

    :param session: Lends its connections; its own headers and cookies are not used.
    :param within: Seconds that this may take.
    :raises CredentialsRefused: when the identity server knows no such client, secret or scope.
    :raises TransientError: when it can't be reached, fails, or gives no token.
    """
    # Only here, because most commands call no Ditio, and this takes a tenth of a second.
    from authlib.integrations.base_client import OAuthError  # noqa: PLC0415
    from authlib.integrations.requests_client import OAuth2Session  # noqa: PLC0415

    exchange = Exchange(_WHAT, "DITIO__IDENTITY_URL", within, monotonic(), monotonic)

    def judged(response: requests.Response) -> requests.Response:
        with response:
            _raise_for(response, now())
            body = exchange.body(response)
        response.raw = io.BytesIO(body)
        return response

    oauth = OAuth2Session(
        config.client_id,
        config.client_secret,
        scope=config.scope,
        token_endpoint=joined(config.identity_url, "/connect/token"),
        token_endpoint_auth_method="client_secret_post",  # nosec B106 # a method's name
        grant_type="client_credentials",
    )
    oauth.adapters, oauth.stream = session.adapters, True
    oauth.register_compliance_hook("access_token_response", judged)
    try:
        with exchange.translating():
            answer: object = oauth.fetch_token(timeout=within, allow_redirects=False)
    except OAuthError as exc:
        raise _refused(200) from exc
    except (ValueError, RecursionError) as exc:
        raise TransientError(f"{_WHAT}: the answer was not a JSON object with a token; {_CHECK_URL}") from exc
    return _token_of(answer)


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


def _token_of(answer: object) -> tuple[str, float]:
    text = answer.get("access_token") if isinstance(answer, dict) else None
    # Other characters than visible ASCII would break the header, in an error that shows the token.
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text or " " in text:
        raise TransientError(f"{_WHAT}: the answer has no usable access_token; {_CHECK_URL}")
    life = answer.get("expires_in") if isinstance(answer, dict) else None
    try:
        seconds = float(str(life))
    except ValueError:
        seconds = 0.0
    return text, seconds if 0 < seconds < inf else _UNKNOWN_LIFE_SECONDS


EARLY_SECONDS = 60.0
EARLY_FRACTION = 0.2


class Tokens:
    """The token of one API client; safe to share between threads."""

    def __init__(
        self,
        config: DitioConfig,
        *,
        limiter: Limiter,
        sessions: Callable[[], requests.Session],
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._limiter = limiter
        self._sessions = sessions
        self._monotonic = monotonic
        self._now = now
        self._lock = threading.Lock()
        self._held = "", -inf
        """The token, and when to renew it, by the monotonic clock."""

        self._fetches_ended = 0
        self._refusal: DeliveryError | None = None

    def current(self, *, within: float, after: str | None = None) -> str:
        """Return a token that is still valid for a while.

        :param within: Seconds that this may take, waiting for another thread's fetch included.
        :param after: The token that got 401: another one is fetched, unless another thread has done so meanwhile.
        :raises CredentialsRefused: when the identity server refuses the client.
        :raises TransientError: when it gives no token in time; nothing was sent to the API.
        """
        if (text := self._usable(after)) is not None:
            return text
        fetches_ended = self._fetches_ended
        until = self._monotonic() + within
        if not self._lock.acquire(timeout=max(0.0, within)):
            message = "another thread is still asking for Ditio's token, and the time for this call ran out"
            raise TransientError(message, cut_short=within < TELLING_SECONDS)
        try:
            if (text := self._usable(after)) is not None:
                return text
            # A thread that waited for a refused fetch would only be refused once more.
            if self._refusal is not None and self._fetches_ended > fetches_ended:
                raise self._refusal
            return self._fetch(until - self._monotonic())
        finally:
            self._lock.release()

    def _usable(self, rejected: str | None) -> str | None:
        text, renew_at = self._held
        return None if text == rejected or self._monotonic() >= renew_at else text

    def _fetch(self, within: float) -> str:
        if within <= 0:
            message = "the time for this call ran out while it waited for Ditio's token"
            raise TransientError(message, cut_short=True)
        began = self._monotonic()
        self._limiter.keep_pace(until=began + within)
        within -= self._monotonic() - began
        began = self._monotonic()
        self._refusal = None
        try:
            text, life = fetch_token(
                self._config, self._sessions(), within=within, monotonic=self._monotonic, now=self._now
            )
        except (CredentialsRefused, RateLimited) as exc:
            self._refusal = exc
            raise
        finally:
            self._fetches_ended += 1
        # The lifetime counts from before the request, so that it is never overestimated.
        self._held = text, began + life - min(EARLY_SECONDS, EARLY_FRACTION * life)
        return text
