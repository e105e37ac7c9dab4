"""Wrong credentials: the request's id, 401 with a reason, a limit by address, few audit rows (rule A3)."""

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from threading import Lock
from typing import Any

from flask import Flask, Request, Response, g, request
from scim2_models import UnauthorizedException
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, Author
from scim_bridge.logs import bound, get_logger
from scim_bridge.storage.database import Database

log = get_logger(__name__)


HEADER = "X-Request-Id"
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""The form of an id that a proxy in front may send; any other id is replaced."""


def _new_id() -> str:
    """Return an id that can be the id of a trace, too: 16 random bytes (W3C Trace Context §3.2.2.3)."""
    return secrets.token_hex(16)


def id_for(sent: str, new_id: Callable[[], str] = _new_id) -> str:
    """Return the id of a request. :param sent: The id that it brings, if any."""
    return sent if ACCEPTED.fullmatch(sent) else new_id()


def headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what `install` adds to an answer, for one that does not pass through Flask."""
    return [(HEADER, id_for(environ.get("HTTP_X_REQUEST_ID", "")))]


def current() -> str:
    """Return the id of the current request."""
    return str(g.request_id)


def began() -> float:
    """Return when the current request began, on the monotonic clock."""
    return float(g.began)


def install(app: Flask, *, monotonic: Callable[[], float], new_id: Callable[[], str] = _new_id) -> None:
    """Give every request and its log lines an id, and store when it began."""

    @app.before_request
    def begin() -> None:
        g.began = monotonic()
        g.request_id = id_for(request.headers.get(HEADER, ""), new_id)
        context: AbstractContextManager[object] = bound(request_id=g.request_id)
        context.__enter__()
        g.log_context = context

    @app.after_request
    def answer(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        context = g.pop("log_context", None)
        if context is not None:
            context.__exit__(None, None, None)


UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Find the client's address. :param trusted: The proxies of `SERVER__TRUSTED_PROXIES`."""

    trusted: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def behind(cls, proxies: Iterable[str]) -> "Addresses":
        """Return the addresses for the proxies as the settings name them."""
        return cls(tuple(ip_network(each) for each in proxies))

    def of(self, request: Request) -> str:
        """Return the client's address: the last one in `X-Forwarded-For` that is not a trusted proxy.

        Proxies append, so what comes before it is only the client's claim.
        """
        address = _parsed(request.remote_addr or "")
        if address is None:
            return UNKNOWN
        said = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
        while self._is_trusted(address) and said:
            before = _parsed(said.pop())
            if before is None:
                break
            address = before
        return str(address)

    def is_trusted(self, address: str) -> bool:
        """Return whether a connection comes from a trusted proxy."""
        parsed = _parsed(address)
        return parsed is not None and self._is_trusted(parsed)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address without the port that some proxies add."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


EVERY_SECONDS = 3600.0
"""Each process stores one row per company, reason and known credential in this time; the log has every refusal."""

NOTHING_SENT = frozenset({"no-bearer-token", "no-client", "body-broken", "body-too-large", "body-unreadable"})
"""Reasons of requests without a credential: scanners on the internet are no news."""


class AuditedRefusals:
    """The refusals that this process has lately stored. Reasons are constants and ids known, so the memory is small."""

    def __init__(self, database: Database, tenants: Collection[str], monotonic: Callable[[], float]) -> None:
        self._database = database
        self._tenants = tenants
        self._monotonic = monotonic
        self._noted: dict[tuple[str, str, Actor], float] = {}

    def note(self, tenant: str, reason: str, actor: Actor, request_id: str) -> None:
        """Store a refusal, unless a similar one was stored within the hour, or the company does not exist.

        :param actor: A known token or client that is no longer valid; else a stranger.
        """
        key, now = (tenant, reason, actor), self._monotonic()
        if tenant not in self._tenants or reason in NOTHING_SENT:
            return
        if now - self._noted.get(key, float("-inf")) < EVERY_SECONDS:
            return
        self._noted[key] = now  # First: the next request then does not wait for the database too.
        try:
            with self._database.write(tenant) as s:
                s.audit.add(AuditEvent(Action.refused, "sign-in", detail=reason), Author(actor, request_id))
        except SQLAlchemyError as error:
            # The refusal stands, whether or not it can be stored (rule A3).
            log.warning("auth.refusal_not_noted", error=type(error).__name__)


WINDOW_SECONDS = 60.0

MOST_ADDRESSES = 10_000
"""How many addresses are remembered; beyond that the one whose failures began first is forgotten."""


class Failures:
    """Failures by address, in the memory of this process: a limit for each web process, gone when it ends.

    :param limit: How many an address may have in a minute.
    """

    def __init__(self, limit: int, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = Lock()

    def add(self, address: str) -> tuple[int, float | None]:
        """Count a failure.

        :returns: Its number within its minute, and the seconds to wait if it is one too many.
        """
        who, now = whole_network(address), self._monotonic()
        with self._lock:
            began, count = self._counts.get(who, (now, 0))
            if now - began >= WINDOW_SECONDS:
                del self._counts[who]
                began, count = now, 0
            count += 1
            self._counts[who] = (began, count)
            while len(self._counts) > MOST_ADDRESSES:
                self._counts.popitem(last=False)
        return count, (began + WINDOW_SECONDS - now if count > self._limit else None)

    def is_first_too_many(self, count: int) -> bool:
        """Return whether this is the failure that gets a line in the log; later ones do not."""
        return count == self._limit + 1


def whole_network(address: str) -> str:
    """Return the network of an IPv6 address: one customer has 2^64 addresses, which count as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address


LONGEST_NAME = 64


class Refused(UnauthorizedException):
    """401 (rule A3).

    :param reason: A constant for the log, such as `expired`.
    :param detail: For Entra's provisioning log: what is wrong, and what to do. No secret.
    :param told: The `error_description` of the challenge (RFC 6750 §3). None where no credential was sent: then RFC
        6750 §3.1 wants no error code.
    :param about: Ids for the log.
    """

    def __init__(self, reason: str, detail: str, told: str | None = None, **about: str) -> None:
        super().__init__(detail=detail)
        self.reason = reason
        self.told = told
        self.about = about

    @property
    def challenge(self) -> str:
        """Return the value of `WWW-Authenticate` for a bearer token."""
        realm = 'Bearer realm="scim"'
        return realm if self.told is None else f'{realm}, error="invalid_token", error_description="{self.told}"'


class FailedSignIns:
    """Counts and logs refusals by the client's address, and stores some of them in the audit trail."""

    def __init__(self, failures: Failures, address: Callable[[Request], str], noted: AuditedRefusals) -> None:
        self._failures = failures
        self._address = address
        self._noted = noted

    def refuses(self, request: Request, tenant: str, reason: str, **about: str) -> float | None:
        """Note a refusal. :returns: Seconds to wait if the address has had too many; None if it may try again."""
        address = self._address(request)
        self._noted.note(tenant, reason, _known(about), current())
        count, wait = self._failures.add(address)
        if wait is None:
            log.warning("auth.refused", tenant=tenant[:LONGEST_NAME], address=address, reason=reason, **about)
        elif self._failures.is_first_too_many(count):
            log.warning("auth.throttled", tenant=tenant[:LONGEST_NAME], address=address, failures=count - 1)
        return wait


def _known(about: Mapping[str, str]) -> Actor:
    """Return the actor of a credential that was valid once; else a stranger."""
    if "token_id" in about:
        return Actor(ActorKind.token, about["token_id"])
    return Actor(ActorKind.client, about["client_id"]) if "client_id" in about else Actor(ActorKind.stranger)
