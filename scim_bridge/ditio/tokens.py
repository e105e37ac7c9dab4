"""The access token: fetched by one thread at a time, kept for many calls, renewed early (rule R4)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import requests

from scim_bridge.ditio.config import DitioConfig
from scim_bridge.ditio.identity import Token, fetch_token
from scim_bridge.ditio.network import TELLING_SECONDS
from scim_bridge.ditio.pace import Pace
from scim_bridge.errors import CredentialsRefused, DeliveryError, RateLimited, TransientError

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
        """A token that has some of its life left.

        :param within: Seconds that this may take, waiting for another thread's fetch included.
        :raises CredentialsRefused: when the identity server refuses the client.
        :raises TransientError: when it gives no token in time; nothing was sent to the API.
        """
        return self._obtain(None, within)

    def renew(self, *, after: str, within: float) -> str:
        """Another token than the one that got 401: fetched, unless another thread has done so meanwhile."""
        return self._obtain(after, within)

    def _obtain(self, rejected: str | None, within: float) -> str:
        if (text := self._usable(rejected)) is not None:
            return text
        fetches_ended = self._fetches_ended
        until = self._monotonic() + within
        if not self._lock.acquire(timeout=max(0.0, within)):
            message = "another thread is still asking for Ditio's token, and this call's time is up"
            raise TransientError(message, cut_short=within < TELLING_SECONDS)
        try:
            if (text := self._usable(rejected)) is not None:
                return text
            # Whoever waited for a fetch that was refused would only be refused once more.
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
            message = "the time for this call was spent on waiting for Ditio's token"
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
        # The life is counted from before the request, so that it is never overestimated.
        early = min(EARLY_SECONDS, EARLY_FRACTION * token.life_seconds)
        self._held = _Held(token, renew_at=began + token.life_seconds - early)
        return token.text
