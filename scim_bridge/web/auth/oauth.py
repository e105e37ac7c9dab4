"""`/oauth/token`: client credentials for an opaque access token (RFC 6749 §4.4)."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, unquote_plus

from flask import Blueprint, Request, Response, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.logs import get_logger
from scim_bridge.storage.credentials import (
    ACCESS_TOKEN,
    Clients,
    is_mutilated,
    new_secret,
    owner_of_refused,
    secret_of_client,
)
from scim_bridge.storage.database import Database, Session, is_out_of_reach
from scim_bridge.storage.trouble import trouble_of
from scim_bridge.web.auth.bearer import Endings
from scim_bridge.web.auth.failures import FailedSignIns
from scim_bridge.web.auth.jwt import Refused, Workload, company_of
from scim_bridge.web.auth.keys import KeysUnavailable

log = get_logger(__name__)


MOST_BYTES = 32 * 1024
FORM = "application/x-www-form-urlencoded"


class Wrong(Exception):
    """An error of RFC 6749 §5.2.

    :param reason: For the log, where the client is not authenticated.
    :param tenant: The company of the client; None where it is unknown.
    :param about: Ids for the log.
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        reason: str = "",
        tenant: str | None = None,
        **about: str,
    ) -> None:
        super().__init__(description)
        self.error = error
        self.status = status
        self.reason = reason
        self.tenant = tenant
        self.about = about


def stranger(reason: str, description: str, tenant: str | None = None, **about: str) -> Wrong:
    """Return the error for a client that is not authenticated. :param reason: See `Wrong`."""
    return Wrong("invalid_client", description, status=401, reason=reason, tenant=tenant, **about)


def form_of(request: Request) -> dict[str, str]:
    """Return the parameters of the body. Those of the query don't count, because URLs end up in logs.

    :raises Wrong: they can't be read.
    """
    if request.mimetype != FORM:
        raise Wrong("invalid_request", f"send the parameters in the body, as {FORM}")
    try:
        body = request.stream.read(MOST_BYTES + 1)
    except Exception as error:  # Servers raise different errors when a chunk was cut short or malformed.
        raise Wrong("invalid_request", "the body could not be read to its end", reason="body-broken") from error
    if len(body) > MOST_BYTES:
        raise Wrong("invalid_request", "the body is too large", status=413, reason="body-too-large")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=False, max_num_fields=50)
    except ValueError as error:
        raise Wrong("invalid_request", "the body can't be read", reason="body-unreadable") from error
    form = dict(pairs)
    if len(form) < len(pairs):
        raise Wrong("invalid_request", "a parameter was sent twice")
    return form


def refuse_several_methods(request: Request, form: dict[str, str]) -> None:
    """Refuse a second way to authenticate: a client "MUST NOT use more than one" (RFC 6749 §2.3)."""
    ways = {
        "HTTP Basic": request.headers.get("Authorization", "").partition(" ")[0].lower() == "basic",
        "client_secret in the body": "client_secret" in form,
        "client_assertion": "client_assertion" in form,
    }
    used = [way for way, is_used in ways.items() if is_used]
    if len(used) > 1:
        raise Wrong("invalid_request", f"the client authenticates by {' and by '.join(used)}: send only one of them")


def client_of(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Return id and secret from HTTP Basic, or else from the body (RFC 6749 §2.3.1).

    :raises Wrong: there are none.
    """
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError) as error:
            raise stranger("basic-malformed", "the Basic credential can't be read") from error
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        if not colon or not client_id or not secret:
            raise stranger("basic-malformed", "the Basic credential can't be read")
        return client_id, secret
    if "client_id" not in form or "client_secret" not in form:
        raise stranger("no-client", "send client_id and client_secret, by HTTP Basic or in the body")
    return form["client_id"], form["client_secret"]


ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Granted:
    """An access token, and its company."""

    tenant: str
    secret: str


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Issues access tokens, each for the company of the client or workload."""

    database: Database
    doorkeeper: FailedSignIns
    workloads: Mapping[str, Workload]
    """For each company that has one."""

    lifetime_seconds: Mapping[str, int]
    """For each company that is served."""

    endings: Endings = field(default_factory=Endings)

    def answer(self, request: Request) -> Response:
        """Return the answer: an access token, or why there is none."""
        try:
            granted = self._granted(request, form_of(request))
            response = jsonify(
                access_token=granted.secret,
                token_type="Bearer",  # nosec B106 # its kind
                expires_in=self.lifetime_seconds[granted.tenant],
            )
        except Wrong as wrong:
            response = self._refusal(request, wrong)
        except KeysUnavailable as error:
            response = _unavailable("the keys of the issuer can't be fetched", error.retry_after_seconds)
        except SQLAlchemyError as error:
            if not is_out_of_reach(error):
                raise
            log.error("oauth.database_out_of_reach", error=type(error).__name__, why=trouble_of(error).words)
            response = _unavailable("the bridge can't reach its database", RETRY_SECONDS)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Pragma"] = "no-cache"
        return response

    def _granted(self, request: Request, form: dict[str, str]) -> _Granted:
        grant = form.get("grant_type")
        if grant is None:
            raise Wrong("invalid_request", "grant_type is missing: send client_credentials")
        if grant != "client_credentials":
            raise Wrong("unsupported_grant_type", "the only grant_type here is client_credentials")
        refuse_several_methods(request, form)
        if "client_assertion" in form or "client_assertion_type" in form:
            return self._to_workload(form)
        return self._to_client(*client_of(request, form))

    def _to_workload(self, form: dict[str, str]) -> _Granted:
        if not self.workloads:
            raise stranger("workload-not-configured", "assertions are not accepted here: set AUTH__WORKLOAD_ISSUER")
        if form.get("client_assertion_type") != ASSERTION:
            raise stranger("assertion-type", f"client_assertion_type has to be {ASSERTION}")
        now = self.database.now()
        try:
            # Keys may have to be fetched: no transaction stays open meanwhile.
            tenant = company_of(self.workloads, form.get("client_assertion", ""), now=now)
        except Refused as wrong:
            why = f"the assertion is refused: {wrong}"
            raise stranger(f"assertion-{wrong.reason}", why, wrong.tenant) from wrong
        return self._issued(tenant, lambda _clients, _now: None, self.workloads[tenant].id)

    def _to_client(self, client_id: str, secret: str) -> _Granted:
        if "\0" in client_id:
            raise _wrong_client("client")
        with self.database.read() as s:
            # A first check by reading: a stranger's guesses never wait for the lock of a writer.
            now = s.now
            found = secret_of_client(s, self.lifetime_seconds, client_id, secret)
            if found is None:
                raise self._refused_client(s, client_id, secret)

        def examine(clients: Clients, now: datetime) -> None:
            if not clients.signs_in(client_id, secret):
                raise _wrong_client("client-secret-ended", found.tenant, client_id=client_id)

        issued = self._issued(found.tenant, examine, client_id)
        self.endings.tell("auth.client_secret_ends", client_id, found.expires_at, tenant=found.tenant, now=now)
        return issued

    def _refused_client(self, s: Session, client_id: str, secret: str) -> Wrong:
        """Return the same error whatever is wrong; the log and the audit trail have the cause and the company."""
        owner = owner_of_refused(s, self.lifetime_seconds, client_id, secret)
        if owner is not None and owner.had_secret:
            return _wrong_client("client-secret-ended", owner.tenant, client_id=client_id)
        reason = "client-secret-mutilated" if is_mutilated(secret) else "client"
        return _wrong_client(reason, owner.tenant if owner is not None else None)

    def _issued(self, tenant: str, examine: Callable[[Clients, datetime], None], client_id: str) -> _Granted:
        secret = new_secret(ACCESS_TOKEN)
        with self.database.write(tenant) as s:
            now = s.now
            examine(s.clients, now)
            s.access_tokens(None).add(
                client_id, secret, expires_at=now + timedelta(seconds=self.lifetime_seconds[tenant])
            )
        log.info("oauth.token_issued", tenant=tenant, client=client_id)
        return _Granted(tenant, secret)

    def _refusal(self, request: Request, wrong: Wrong) -> Response:
        # With several companies, an unknown client can't be attributed to one of them.
        only = next(iter(self.lifetime_seconds)) if len(self.lifetime_seconds) == 1 else ""
        wait = (
            self.doorkeeper.refuses(request, wrong.tenant or only, wrong.reason, **wrong.about)
            if wrong.reason
            else None
        )
        if wait is not None:
            response = jsonify(error=wrong.error, error_description="too many failures from this address: wait")
            response.status_code = 429
            response.headers["Retry-After"] = str(max(1, round(wait)))
            return response
        response = jsonify(error=wrong.error, error_description=str(wrong))
        response.status_code = wrong.status
        if wrong.status == 401:
            response.headers["WWW-Authenticate"] = (
                f'Basic realm="token", error="{wrong.error}", error_description="{wrong}"'
            )
        return response


def oauth_blueprint(endpoint: TokenEndpoint) -> Blueprint:
    """Return the route."""
    blueprint = Blueprint("oauth", __name__)

    @blueprint.post("/oauth/token")
    def token() -> Response:
        return endpoint.answer(request)

    return blueprint


def _wrong_client(reason: str, tenant: str | None = None, **about: str) -> Wrong:
    return stranger(reason, "client_id or client_secret is wrong, expired or revoked", tenant, **about)


def _unavailable(why: str, seconds: float) -> Response:
    response = jsonify(error="temporarily_unavailable", error_description=f"{why}: try again later")
    response.status_code = 503
    response.headers["Retry-After"] = str(max(1, round(seconds)))
    return response
