"""The keys that an issuer signs with (RFC 7517): fetched once, stored in memory, and fetched again when they are old.

A client that names unknown keys can't make the bridge fetch them all day. If an issuer can't be reached, its known
keys stay valid.
"""

import threading
import time
from collections.abc import Callable, Mapping

from joserfc.jwk import RSAKey

from scim_bridge.http.keys import FETCH_SECONDS, FetchFailed, fetched
from scim_bridge.logs import get_logger

log = get_logger(__name__)


KNOWN_SECONDS = 0.5
"""How long a request with a known but old key waits for the issuer's current keys."""

MOST_RUNNING = 3
"""How many overdue fetches of one issuer's keys may still run."""

OLD_AFTER_SECONDS = 6 * 3600.0
"""Age at which keys are fetched again. It drops withdrawn keys and finds new ones, which Microsoft shows days ahead."""


class KeysUnavailable(Exception):
    """It is unknown now whether such a key exists (rule A3: 503). :param retry_after_seconds: When to ask again."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the issuer's keys are not available")
        self.retry_after_seconds = retry_after_seconds


class Keys:
    """The keys of one issuer, in the memory of this process.

    :param min_refetch_seconds: The least time between two fetches (`AUTH__JWKS_MIN_REFETCH_SECONDS`), after the first.
    """

    def __init__(
        self,
        url: str,
        *,
        min_refetch_seconds: float,
        monotonic: Callable[[], float],
        fetch: Callable[[str], Mapping[str, RSAKey]] = fetched,
    ) -> None:
        self._url = url
        self._min_refetch_seconds = min_refetch_seconds
        self._monotonic = monotonic
        self._fetch = fetch
        self._keys: Mapping[str, RSAKey] = {}
        self._fetched_at: float | None = None
        self._not_before = float("-inf")
        self._last_failed = False
        self._lock = threading.Lock()
        self._current: _Fetch | None = None
        self._running: list[threading.Thread] = []

    def get(self, kid: str) -> RSAKey | None:
        """Return the key with this id; None if the issuer has none.

        :raises KeysUnavailable: the key is not known, and the issuer could not be asked.
        """
        if kid in self._keys:
            if self._is_old():
                fetch, is_ours = self._fetching()
                if fetch is not None and is_ours:
                    # The request that began the fetch waits briefly; others with a known key do not wait at all.
                    fetch.over.wait(KNOWN_SECONDS)
            return self._keys.get(kid)
        fetch, _ = self._fetching()
        if fetch is not None and not fetch.over.wait(max(0.0, fetch.left())):
            self._failed(fetch, "it takes too long")
        found = self._keys.get(kid)
        if found is None and self._last_failed:
            raise KeysUnavailable(max(1.0, self._not_before - self._monotonic()))
        return found

    def kept(self, kid: str) -> RSAKey | None:
        """Return the key with this id if it is in memory; the issuer is not asked."""
        return self._keys.get(kid)

    def _is_old(self) -> bool:
        return self._fetched_at is not None and self._monotonic() - self._fetched_at >= OLD_AFTER_SECONDS

    def _fetching(self) -> "tuple[_Fetch | None, bool]":
        """Return the running fetch, and whether this call began it; None if it is too early for one."""
        with self._lock:
            if self._current is not None and self._current.left() > 0:
                return self._current, False
        if self._current is not None:
            self._failed(self._current, "it takes too long")
        with self._lock:
            now = self._monotonic()
            self._running = [each for each in self._running if each.is_alive()]
            if now < self._not_before or self._current is not None or len(self._running) >= MOST_RUNNING:
                return None, False
            # The first fetch sets no such limit: a key that is unknown just after it may be a new, valid one.
            if self._fetched_at is not None:
                self._not_before = now + self._min_refetch_seconds
            self._current = fetch = _Fetch(now)
            thread = threading.Thread(target=self._run, args=(fetch,), name="keys", daemon=True)
            self._running.append(thread)
        thread.start()
        return fetch, True

    def _run(self, fetch: "_Fetch") -> None:
        try:
            keys = self._fetch(self._url)
        except FetchFailed as error:
            self._failed(fetch, str(error))
            return
        with self._lock:
            if self._current is not fetch:
                # This fetch was given up: its result is older than what was fetched since.
                return
            self._keys, self._fetched_at, self._last_failed = keys, fetch.at, False
            self._current = None
        fetch.over.set()
        log.info("auth.keys_fetched", url=self._url, keys=len(keys))

    def _failed(self, fetch: "_Fetch", why: str) -> None:
        with self._lock:
            if self._current is not fetch:
                return
            self._current = None
            self._not_before = fetch.at + self._min_refetch_seconds
            self._last_failed = True
        fetch.over.set()
        log.warning("auth.keys_unavailable", url=self._url, why=why, known=len(self._keys))


class _Fetch:
    """A running fetch in a thread of its own: a socket's time-out does not stop a server that sends slowly.

    :param at: When it began, on the clock of `Keys`.
    """

    def __init__(self, at: float) -> None:
        self.at = at
        self.over = threading.Event()
        self._deadline = time.monotonic() + FETCH_SECONDS

    def left(self) -> float:
        """Return the seconds that it has left."""
        return self._deadline - time.monotonic()


class KeysByUrl:
    """The keys of all issuers: companies whose keys are at the same URL share one fetch."""

    def __init__(self, min_refetch_seconds: float, monotonic: Callable[[], float]) -> None:
        self._min_refetch_seconds = min_refetch_seconds
        self._monotonic = monotonic
        self._keys: dict[str, Keys] = {}

    def at(self, url: str) -> Keys:
        """Return the keys at a URL; nothing is fetched before a key is asked for."""
        if url not in self._keys:
            self._keys[url] = Keys(url, min_refetch_seconds=self._min_refetch_seconds, monotonic=self._monotonic)
        return self._keys[url]
