"""An access token: stored in memory, and renewed early, by one thread for all."""

import io
import threading
from collections.abc import Callable
from math import inf
from typing import Any

import requests

from scim_bridge.errors import CredentialsRefused, DeliveryError, RateLimited, TransientError
from scim_bridge.http.exchange import TELLING_SECONDS, Exchange
from scim_bridge.http.limiter import Limiter

UNKNOWN_LIFE_SECONDS = 300.0
"""How long a token without a stated lifetime is trusted."""


def ask(
    oauth: Any, session: requests.Session, exchange: Exchange, judge: Callable[[requests.Response], bytes]
) -> object:
    """Ask for a token, once, with authlib. Return the JSON of the answer.

    :param oauth: authlib's `OAuth2Session`.
    :param session: Lends its connections; its own headers and cookies are not used.
    :param judge: Returns the body of an answer, or raises: authlib reads a JSON error of any status, and mistakes one
        without "error" for a token.
    :raises OAuthError: the answer is an error, whatever its status.
    :raises ValueError: it is not JSON. Nested too deeply, it is a RecursionError.
    """

    def judged(response: requests.Response) -> requests.Response:
        with response:
            body = judge(response)
        response.raw = io.BytesIO(body)
        return response

    oauth.adapters, oauth.stream = session.adapters, True
    oauth.register_compliance_hook("access_token_response", judged)
    with exchange.translating():
        answer: object = oauth.fetch_token(timeout=exchange.seconds, allow_redirects=False)
    return answer


def token_of(answer: object) -> tuple[str, float] | None:
    """Return the token in an answer, and how many seconds it is valid; None if there is no usable one.

    Managed identities write numbers as text.
    """
    text = answer.get("access_token") if isinstance(answer, dict) else None
    # Other characters than visible ASCII would break the header, in an error that shows the token.
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text or " " in text:
        return None
    life = answer.get("expires_in") if isinstance(answer, dict) else None
    try:
        seconds = float(str(life))
    except ValueError:
        seconds = 0.0
    return text, seconds if 0 < seconds < inf else UNKNOWN_LIFE_SECONDS


EARLY_SECONDS = 60.0
EARLY_FRACTION = 0.2


class Tokens:
    """The token of one API client; safe to share between threads."""

    def __init__(
        self,
        fetch: Callable[[float], tuple[str, float]],
        *,
        service: str,
        limiter: Limiter,
        monotonic: Callable[[], float],
    ) -> None:
        """Prepare it; nothing is sent yet.

        :param fetch: Asks for a token, once, within so many seconds; returns it, and how many seconds it is valid.
        :param service: What the token is for, as messages name it.
        """
        self._ask = fetch
        self._service = service
        self._limiter = limiter
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held = "", -inf
        """The token, and when to renew it, by the monotonic clock."""

        self._fetches_ended = 0
        self._refusal: DeliveryError | None = None

    def current(self, *, within: float, after: str | None = None) -> str:
        """Return a token that is still valid for a while.

        :param within: Seconds that this may take, waiting for another thread's fetch included.
        :param after: The token that got 401: another one is fetched, unless another thread has done so meanwhile.
        :raises CredentialsRefused: when the client is refused.
        :raises TransientError: when it gives no token in time; nothing was sent to the API.
        """
        if (text := self._usable(after)) is not None:
            return text
        fetches_ended = self._fetches_ended
        until = self._monotonic() + within
        if not self._lock.acquire(timeout=max(0.0, within)):
            message = f"another thread is still asking for {self._service}'s token, and the time for this call ran out"
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
            message = f"the time for this call ran out while it waited for {self._service}'s token"
            raise TransientError(message, cut_short=True)
        began = self._monotonic()
        self._limiter.keep_pace(until=began + within)
        within -= self._monotonic() - began
        began = self._monotonic()
        self._refusal = None
        try:
            text, life = self._ask(within)
        except (CredentialsRefused, RateLimited) as exc:
            self._refusal = exc
            raise
        finally:
            self._fetches_ended += 1
        # The lifetime counts from before the request, so that it is never overestimated.
        self._held = text, began + life - min(EARLY_SECONDS, EARLY_FRACTION * life)
        return text
