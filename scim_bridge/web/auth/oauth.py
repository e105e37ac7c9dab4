"""`/oauth/token`: client credentials for an opaque access token (RFC 6749 §4.4), no other grant.

authlib's server would be asked for one grant of its many, and gets in the way of it: it refuses to run behind a proxy
that ends TLS, reads secrets from the query, answers an unknown client otherwise than a wrong secret, and fails at a
grant type or a Basic credential that is not ASCII.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask import Blueprint, Request, Response, jsonify, request
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.logs import get_logger
from scim_bridge.storage.access_tokens import AccessTokens
from scim_bridge.storage.clients import Clients, owner_of_refused, secret_of_client
from scim_bridge.storage.credentials import ACCESS_TOKEN, is_mutilated, new_secret
from scim_bridge.storage.database import Database, is_out_of_reach
from scim_bridge.web.auth.endings import Endings
from scim_bridge.web.auth.jwks import KeysUnavailable
from scim_bridge.web.auth.presented import Wrong, client_of, form_of, refuse_several_methods, stranger
from scim_bridge.web.auth.refusals import Doorkeeper
from scim_bridge.web.auth.workload import Refused, Workload, company_of

log = get_logger(__name__)

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Granted:
    """An access token, and the company whose endpoints it opens."""

    tenant: str
    secret: str


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Gives out access tokens, each for the company whose client or workload presents itself."""

    database: Database
    doorkeeper: Doorkeeper
    workloads: Mapping[str, Workload]
    """Of each company that has one."""

    lifetime_seconds: Mapping[str, int]
    """Of each company that is served."""

    endings: Endings = field(default_factory=Endings)

    def answer(self, request: Request) -> Response:
        """An access token, or why there is none."""
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
            log.error("oauth.database_out_of_reach", error=type(error).__name__)
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
        with self.database.read() as connection:
            now = self.database.now(connection)
        try:
            # Keys may have to be fetched: no transaction is open meanwhile.
            tenant = company_of(self.workloads, form.get("client_assertion", ""), now=now)
        except Refused as wrong:
            why = f"the assertion is refused: {wrong}"
            raise stranger(f"assertion-{wrong.reason}", why, wrong.tenant) from wrong
        return self._issued(tenant, lambda _clients, _now: None, self.workloads[tenant].id)

    def _to_client(self, client_id: str, secret: str) -> _Granted:
        if "\0" in client_id:
            raise _wrong_client("client")
        with self.database.read() as connection:
            # Looked at first: a stranger's guesses never wait for the lock of a writer.
            now = self.database.now(connection)
            found = secret_of_client(connection, self.lifetime_seconds, client_id, secret, now=now)
            if found is None:
                raise self._refused_client(connection, client_id, secret)

        def examine(clients: Clients, now: datetime) -> None:
            if not clients.signs_in(client_id, secret, now=now):
                raise _wrong_client("client-secret-ended", found.tenant, client_id=client_id)

        issued = self._issued(found.tenant, examine, client_id)
        self.endings.tell("auth.client_secret_ends", client_id, found.expires_at, tenant=found.tenant, now=now)
        return issued

    def _refused_client(self, connection: Connection, client_id: str, secret: str) -> Wrong:
        """The answer is the same whatever is wrong; the log and the audit trail tell what, and whose client it is."""
        owner = owner_of_refused(connection, self.lifetime_seconds, client_id, secret)
        if owner is not None and owner.had_secret:
            return _wrong_client("client-secret-ended", owner.tenant, client_id=client_id)
        reason = "client-secret-mutilated" if is_mutilated(secret) else "client"
        return _wrong_client(reason, owner.tenant if owner is not None else None)

    def _issued(self, tenant: str, examine: Callable[[Clients, datetime], None], client_id: str) -> _Granted:
        secret = new_secret(ACCESS_TOKEN)
        with self.database.write() as connection:
            now = self.database.now(connection)
            examine(Clients(connection, tenant), now)
            AccessTokens(connection, tenant, None).add(
                client_id, secret, now=now, expires_at=now + timedelta(seconds=self.lifetime_seconds[tenant])
            )
        log.info("oauth.token_issued", tenant=tenant, client=client_id)
        return _Granted(tenant, secret)

    def _refusal(self, request: Request, wrong: Wrong) -> Response:
        # Of several companies nobody can tell whose a client was to be that none of them has.
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
    """The route."""
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
