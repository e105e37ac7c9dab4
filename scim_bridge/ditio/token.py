"""Ditio's access token: how it is asked for, and what its refusals mean."""

from collections.abc import Callable
from datetime import datetime

import requests

from scim_bridge.ditio.config import DitioConfig
from scim_bridge.errors import CredentialsRefused, RateLimited, TransientError
from scim_bridge.http.exchange import Exchange, joined, retry_after_seconds
from scim_bridge.http.limiter import Limiter
from scim_bridge.http.session import Tokens, ask, token_of

_WHAT = "Asking Ditio's identity server for a token"
_CHECK_URL = "if this lasts, check DITIO__IDENTITY_URL"


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
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.requests_client import OAuth2Session

    exchange = Exchange(_WHAT, "DITIO__IDENTITY_URL", within, monotonic(), monotonic)

    def judge(response: requests.Response) -> bytes:
        _raise_for(response, now())
        return exchange.body(response)

    oauth = OAuth2Session(
        config.client_id,
        config.client_secret,
        scope=config.scope,
        token_endpoint=joined(config.identity_url, "/connect/token"),
        token_endpoint_auth_method="client_secret_post",  # nosec B106 # a method's name
        grant_type="client_credentials",
    )
    try:
        answer = ask(oauth, session, exchange, judge)
    except OAuthError as exc:
        raise _refused(200) from exc
    except (ValueError, RecursionError) as exc:
        raise TransientError(f"{_WHAT}: the answer was not a JSON object with a token; {_CHECK_URL}") from exc
    if (found := token_of(answer)) is None:
        raise TransientError(f"{_WHAT}: the answer has no usable access_token; {_CHECK_URL}")
    return found


def tokens_of(
    config: DitioConfig,
    *,
    limiter: Limiter,
    sessions: Callable[[], requests.Session],
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
) -> Tokens:
    """Return the tokens of Ditio's API client."""

    def fetch(within: float) -> tuple[str, float]:
        return fetch_token(config, sessions(), within=within, monotonic=monotonic, now=now)

    return Tokens(fetch, service="Ditio", limiter=limiter, monotonic=monotonic)


def _raise_for(response: requests.Response, now: datetime) -> None:
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
