"""Authenticated requests to one API: the token, kept and renewed; a second try after 401; long lists as streams."""

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import requests
from requests.auth import AuthBase

from scim_bridge import installed_version, traces
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BudgetSpent, CredentialsRefused, DeliveryError, RateLimited, TransientError
from scim_bridge.http.exchange import TELLING_SECONDS, Exchange, Received, Unfinished, joined
from scim_bridge.http.limiter import Limiter

LONGEST_SECONDS = 900.0
"""How long an answer that is read piece by piece may take altogether."""

MAX_BYTES = 4 * 1024 * 1024 * 1024
"""More than a list of a million people needs."""


class Streamed:
    """An answer of any status, read whole, or as the file that `ijson` reads."""

    def __init__(self, response: requests.Response, exchange: Exchange) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.request_id = _request_id(response.headers) or exchange.request_id
        self.close = response.close
        self._response = response
        self._exchange = replace(exchange, request_id=self.request_id)
        self._in_pieces = replace(self._exchange, seconds=LONGEST_SECONDS)
        self._bytes = 0

    @property
    def ok(self) -> bool:
        """Whether the server answers with what was asked for."""
        return 200 <= self.status <= 299

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end.

        :raises TransientError: the connection broke, or the answer is too slow or too large.
        """
        if size == 0:
            return b""
        exchange = self._in_pieces
        if self._bytes == 0 and (deadline := getattr(self._response.raw, "deadline", None)) is not None:
            deadline.extend(exchange.began + exchange.seconds - exchange.monotonic())
        with exchange.translating():
            piece: bytes = self._response.raw.read(size if size > 0 else None, decode_content=True)
            self._bytes += len(piece)
            if self._bytes > MAX_BYTES:
                raise Unfinished("the answer is far larger than a list of people can be")
            if exchange.monotonic() - exchange.began > exchange.seconds:
                raise Unfinished("the answer came too slowly")
        return piece

    def received(self) -> Received:
        """Return the whole answer, which has to come within the time of its request.

        :raises TransientError: see `read`.
        """
        exchange = self._exchange
        with exchange.translating():
            body = exchange.body(self._response)
        return Received(self.status, self.headers, body, self.request_id, exchange.monotonic() - exchange.began)


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


LEAST_SECONDS_FOR_A_WRITE = 0.5
"""A write that starts with less time would likely be cut short, and its outcome be unknown (rule A4)."""

LEAST_SECONDS_FOR_A_READ = 0.05

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id")


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """One request, before it gets a token."""

    method: str
    url: str
    setting: str
    what: str
    request_id: str
    query: Mapping[str, str] | None
    body: JsonObject | list[JsonObject] | None
    headers: Mapping[str, str]
    until: float | None
    """When its time is over, by the monotonic clock; None leaves each exchange its time-out."""

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    @property
    def least_seconds(self) -> float:
        """With less time than this the request does not start."""
        return LEAST_SECONDS_FOR_A_WRITE if self.is_write else LEAST_SECONDS_FOR_A_READ


class ApiSession:
    """Sends one request at a time for each thread; safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        setting: str,
        *,
        timeout_seconds: float,
        tokens: Tokens,
        limiter: Limiter,
        sessions: Callable[[], requests.Session],
        monotonic: Callable[[], float],
        new_id: Callable[[], str],
        service: str = "Ditio",
        id_header: str = "X-Request-Id",
    ) -> None:
        """Prepare the session; nothing is sent yet.

        :param base_url: Where the API is; it may carry a path.
        :param setting: The setting with that URL.
        :param timeout_seconds: How long one exchange may take.
        :param service: What traces call the other side.
        :param id_header: The header in which the id of each call is sent.
        """
        self._base_url = base_url
        self._setting = setting
        self._timeout_seconds = timeout_seconds
        self._id_header = id_header
        self._service = service
        self._tokens = tokens
        self._limiter = limiter
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
        operation: str,
        query: Mapping[str, str] | None = None,
        json_body: JsonObject | list[JsonObject] | None = None,
        headers: Mapping[str, str] | None = None,
        within: float | None = None,
        renews: bool = True,
    ) -> Received:
        """Send a request and return the whole answer; see `stream`.

        :raises TransientError: also when the answer is not complete in time.
        """
        with self.stream(
            path,
            method=method,
            what=what,
            operation=operation,
            query=query,
            json_body=json_body,
            headers=headers,
            within=within,
            renews=renews,
        ) as answer:
            return answer.received()

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        method: str = "GET",
        setting: str | None = None,
        headers: Mapping[str, str] | None = None,
        what: str,
        operation: str,
        query: Mapping[str, str] | None = None,
        json_body: JsonObject | list[JsonObject] | None = None,
        within: float | None,
        renews: bool = True,
    ) -> Iterator[Streamed]:
        """Send a request; a 401 renews the token once and repeats the request once.

        Until the block is left it counts as a running call (rule D2).

        :param path: Percent-encoded, under the API's base URL.
        :param setting: The setting with that URL; None for the session's own.
        :param headers: Further headers.
        :param what: What this is for, as the beginning of an error's sentence.
        :param operation: What this is for, as the name of its span: a constant.
        :param within: Seconds left until the answer has begun; None leaves the configured time-out of each call.
        :param renews: Whether a 401 leads to a second try; not after the token has just been renewed without success.
        :returns: The answer, of any status; a 401 is the second one.
        :raises BudgetSpent: when too little time is left to start a call.
        :raises TransientError: when no answer came, or no token.
        :raises CredentialsRefused: when the identity server refuses a token.
        """
        until = None if within is None else self._monotonic() + within
        url = joined(self._base_url, path)
        call = _Outgoing(
            method, url, setting or self._setting, what, self._new_id(), query, json_body, headers or {}, until
        )
        about = {"scim_bridge__operation": operation, "http__request__method": method}
        with self._limiter.permit(within=within), traces.call(f"{self._service} {operation}", **about) as span:
            token = self._tokens.current(within=self._time_for(call))
            answer = self._begin(call, token)
            span.note(http__response__status_code=answer.status, scim_bridge__attempts=1)
            if answer.status == 401 and renews:
                answer.close()
                token = self._tokens.current(after=token, within=self._time_for(call))
                answer = self._begin(call, token)
                span.note(http__response__status_code=answer.status, scim_bridge__attempts=2)
            span.note(scim_bridge__ditio_request_id=answer.request_id)
            if answer.status >= 400:
                span.fail(str(answer.status))
            with closing(answer):
                yield answer

    def _begin(self, call: _Outgoing, token: str) -> Streamed:
        self._limiter.keep_pace(until=None if call.until is None else call.until - call.least_seconds)
        began, seconds = self._monotonic(), self._time_for(call)
        exchange = Exchange(call.what, call.setting, seconds, began, self._monotonic, call.is_write, call.request_id)
        ours = {"Accept": "application/json", "User-Agent": self._user_agent, self._id_header: call.request_id}
        with exchange.translating():
            response = self._sessions().request(
                call.method,
                call.url,
                params=call.query,
                json=call.body,
                headers={**ours, **call.headers},
                auth=_Bearer(token),
                timeout=seconds,
                allow_redirects=False,
                stream=True,
            )
        return Streamed(response, exchange)

    def _time_for(self, call: _Outgoing) -> float:
        """Return how many seconds the next exchange may take."""
        if call.until is None:
            return self._timeout_seconds
        left = call.until - self._monotonic()
        if left < call.least_seconds:
            raise BudgetSpent(f"{call.what}: only {max(left, 0.0):.2f} s were left; nothing was sent")
        return min(self._timeout_seconds, left)


class _Bearer(AuthBase):
    """Sets the header late: requests would replace an earlier one by what a netrc file says for the host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _request_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's own id of the call, as far as it can be shown."""
    values = (headers.get(name, "") for name in _REQUEST_ID_HEADERS)
    return next((value[:100] for value in values if value and value.isprintable()), None)
