"""Authenticated requests to Ditio: the token, a second try after 401, and long lists as streams."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from requests.auth import AuthBase

from scim_bridge import installed_version
from scim_bridge.ditio.answers import Received
from scim_bridge.ditio.config import DitioConfig
from scim_bridge.ditio.http import (
    FAILURES,
    UNUSABLE_URL,
    Failure,
    Pace,
    Permits,
    Unfinished,
    joined,
    read_body,
    transient,
)
from scim_bridge.ditio.token import Tokens
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BudgetSpent, CredentialsRefused

LONGEST_SECONDS = 900.0
"""How long one such answer may take altogether."""

MAX_BYTES = 4 * 1024 * 1024 * 1024
"""More than a million employees need; a larger answer is no list of employees."""

_ERROR_SECONDS = 5.0
"""How long the body of a refusal may take."""


class Streamed:
    """The answer as a file that `ijson` reads; close it by leaving the session's `stream` block."""

    def __init__(
        self, response: requests.Response, *, what: str, request_id: str, monotonic: Callable[[], float]
    ) -> None:
        self._response = response
        self._what = what
        self._monotonic = monotonic
        self._began = monotonic()
        self._bytes = 0
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.request_id = request_id

    @property
    def ok(self) -> bool:
        """Whether Ditio answers with what was asked for."""
        return 200 <= self.status <= 299

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end.

        :raises TransientError: the connection broke, or the answer is too slow or too large.
        """
        if size == 0:
            return b""
        try:
            piece: bytes = self._response.raw.read(size if size > 0 else None, decode_content=True)
            self._bytes += len(piece)
            if self._bytes > MAX_BYTES:
                raise Unfinished("the answer is far larger than a list of employees can be")
            if self._monotonic() - self._began > LONGEST_SECONDS:
                raise Unfinished("the answer came too slowly")
        except FAILURES as exc:
            raise self._transient(exc) from exc
        return piece

    def received(self) -> Received:
        """Return the whole answer, for one that is a refusal. :raises TransientError: see `read`."""
        try:
            body = read_body(self._response, until=self._monotonic() + _ERROR_SECONDS, monotonic=self._monotonic)
        except FAILURES as exc:
            raise self._transient(exc) from exc
        return Received(self.status, self.headers, body, self.request_id, self._monotonic() - self._began)

    def _transient(self, exc: Failure) -> Exception:
        return transient(
            exc,
            self._what,
            write=False,
            request_id=self.request_id,
            seconds=self._monotonic() - self._began,
            allowed=LONGEST_SECONDS,
        )


LEAST_SECONDS_FOR_A_WRITE = 0.5
"""A write that starts with less time would likely be cut short, and its outcome be unknown (rule A4)."""

LEAST_SECONDS_FOR_A_READ = 0.05

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id")


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """One request, before it gets a token."""

    method: str
    url: str
    what: str
    request_id: str
    query: Mapping[str, str] | None
    body: JsonObject | list[JsonObject] | None
    until: float | None
    """When its time is over, by the monotonic clock; None leaves each exchange its time-out."""

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    @property
    def least_seconds(self) -> float:
        """With less time than this the request does not start."""
        return LEAST_SECONDS_FOR_A_WRITE if self.is_write else LEAST_SECONDS_FOR_A_READ


class DitioSession:
    """Sends one request at a time for each thread; safe to share between threads."""

    def __init__(
        self,
        config: DitioConfig,
        *,
        tokens: Tokens,
        pace: Pace,
        permits: Permits,
        sessions: Callable[[], requests.Session],
        monotonic: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._config = config
        self._tokens = tokens
        self._pace = pace
        self._permits = permits
        self._sessions = sessions
        self._monotonic = monotonic
        self._new_id = new_id
        self._user_agent = f"scim-bridge/{installed_version()}"

    def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        json_body: JsonObject | list[JsonObject] | None = None,
        within: float | None = None,
        renews: bool = True,
    ) -> Received:
        """Send a request; a 401 renews the token once and repeats the request once.

        :param path: Percent-encoded, under the API's base URL.
        :param what: What this is for, as the beginning of an error's sentence.
        :param within: Seconds left for all of it; None leaves the configured time-out of each call.
        :param renews: Whether a 401 leads to a second try; not after the token has just been renewed without success.
        :returns: The answer, of any status; a 401 is the second one.
        :raises BudgetSpent: when too little time is left to start a call.
        :raises TransientError: when no complete answer came, or no token.
        :raises CredentialsRefused: when the identity server refuses a token.
        """
        until = None if within is None else self._monotonic() + within
        url = joined(self._config.api_url, path)
        call = _Outgoing(method, url, what, self._new_id(), query, json_body, until)
        with self._permits.one(within=within):
            token = self._tokens.current(within=self._time_for(call))
            received = self._exchange(call, token)
            if received.status == 401 and renews:
                token = self._tokens.renew(after=token, within=self._time_for(call))
                received = self._exchange(call, token)
            return received

    @contextmanager
    def stream(
        self, path: str, *, what: str, query: Mapping[str, str] | None = None, within: float
    ) -> Iterator[Streamed]:
        """Read something large piece by piece; a 401 renews the token once and repeats the request once.

        Until the block is left it counts as a running call (rule D2).

        :param within: Seconds until the answer has begun; its body may take longer.
        :returns: The answer, of any status.
        :raises DeliveryError: as `request` does; reading the body raises it too.
        """
        until = self._monotonic() + within
        call = _Outgoing("GET", joined(self._config.api_url, path), what, self._new_id(), query, None, until)
        with self._permits.one(within=within):
            token = self._tokens.current(within=self._time_for(call))
            answer = self._begin(call, token)
            if answer.status_code == 401:
                answer.close()
                token = self._tokens.renew(after=token, within=self._time_for(call))
                answer = self._begin(call, token)
            try:
                request_id = _request_id(answer.headers) or call.request_id
                yield Streamed(answer, what=what, request_id=request_id, monotonic=self._monotonic)
            finally:
                answer.close()

    def _begin(self, call: _Outgoing, token: str) -> requests.Response:
        unusable = "the setting with Ditio's address is not valid"
        self._wait_for_turn(call)
        began, seconds = self._monotonic(), self._time_for(call)
        with self._translated_errors(call, began, seconds, unusable):
            return self._send(call, token, seconds)

    def _exchange(self, call: _Outgoing, token: str) -> Received:
        self._wait_for_turn(call)
        began, seconds = self._monotonic(), self._time_for(call)
        unusable = "DITIO__API_URL is not a valid address"
        with self._translated_errors(call, began, seconds, unusable), self._send(call, token, seconds) as response:
            body = read_body(response, until=began + seconds, monotonic=self._monotonic)
        request_id = _request_id(response.headers) or call.request_id
        return Received(response.status_code, response.headers, body, request_id, self._monotonic() - began)

    def _wait_for_turn(self, call: _Outgoing) -> None:
        self._pace.keep(until=None if call.until is None else call.until - call.least_seconds)

    def _send(self, call: _Outgoing, token: str, seconds: float) -> requests.Response:
        return self._sessions().request(
            call.method,
            call.url,
            params=call.query,
            json=call.body,
            headers=self._headers(call.request_id),
            auth=_Bearer(token),
            timeout=seconds,
            allow_redirects=False,
            stream=True,
        )

    @contextmanager
    def _translated_errors(self, call: _Outgoing, began: float, seconds: float, unusable: str) -> Iterator[None]:
        """Turn errors within the block into the bridge's own. :param unusable: The words for an invalid address."""
        try:
            yield
        except UNUSABLE_URL as exc:
            raise CredentialsRefused(f"{call.what}: {unusable}") from exc
        except FAILURES as exc:
            took = self._monotonic() - began
            raise transient(
                exc, call.what, write=call.is_write, request_id=call.request_id, seconds=took, allowed=seconds
            ) from exc

    def _time_for(self, call: _Outgoing) -> float:
        """Return how many seconds the next exchange may take."""
        if call.until is None:
            return self._config.timeout_seconds
        left = call.until - self._monotonic()
        if left < call.least_seconds:
            raise BudgetSpent(f"{call.what}: only {max(left, 0.0):.2f} s were left; nothing was sent")
        return min(self._config.timeout_seconds, left)

    def _headers(self, request_id: str) -> dict[str, str]:
        return {"Accept": "application/json", "User-Agent": self._user_agent, "X-Request-Id": request_id}


class _Bearer(AuthBase):
    """Sets the header late: requests would replace an earlier one by what a netrc file says for the host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _request_id(headers: Mapping[str, str]) -> str | None:
    """Return Ditio's own id of the call, as far as it can be shown."""
    values = (headers.get(name, "") for name in _REQUEST_ID_HEADERS)
    return next((value[:100] for value in values if value and value.isprintable()), None)
