"""Who may ask the simulated Graph: registered clients, their credentials, permissions and tokens."""

from __future__ import annotations

import base64
import hashlib
import random as randomness
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, Response, jsonify, make_response, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import extract_compact

from scim_bridge.sandbox.gateway import bearer
from scim_bridge.sandbox.graph.answers import GraphRefusal

ROLES = {
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
    "User.ReadBasic.All": "97235f07-e226-4f63-ace3-39588e11d3a1",
    "User-LifeCycleInfo.Read.All": "8556a004-db57-4d7a-8b82-97a13428e96f",
    "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "GroupMember.Read.All": "98830695-27a2-44f7-8c18-0c3ebc9698f6",
    "Member.Read.Hidden": "658aa5d8-239f-45c4-aa12-864f4fc7e490",
    "Synchronization.Read.All": "5ba43d2f-fa88-4db2-bd1c-a67c5f0fb1ce",
    "Synchronization.ReadWrite.All": "9b50c33d-700f-43b1-b2eb-87e89b703581",
    "ProvisioningLog.Read.All": "091937d3-3e38-47a1-8649-b2f99d3035f1",
    "AuditLog.Read.All": "b0afded3-3588-46d8-8b3d-9842eff778da",
    "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
}
"""Application permissions of Microsoft Graph, and the ids of their roles."""

READING = frozenset(ROLES) - {
    "User.ReadBasic.All",
    "Synchronization.ReadWrite.All",
    "Directory.Read.All",
    "AuditLog.Read.All",
}
"""All that a reader needs, each the least for its purpose."""

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_EXCHANGE = "api://AzureADTokenExchange"


@dataclass(frozen=True, slots=True)
class Federation:
    """A federated credential: a workload of this platform may sign in as the client."""

    issuer: str
    subject: str
    key: RSAKey | ECKey
    """The platform's public key."""

    audience: str = _EXCHANGE


@dataclass(slots=True)
class GraphClient:
    """A registered application; change it freely. A new permission is in tokens that are issued afterwards."""

    client_id: str
    object_id: str
    """Of its service principal."""

    display_name: str = "scim-bridge reader"
    secret: str | None = None
    secret_expires_at: datetime | None = None
    permissions: set[str] = field(default_factory=lambda: set(READING))
    federations: list[Federation] = field(default_factory=list)
    managed: bool = False
    """Whether it is a managed identity of the machine that asks."""

    certificates: dict[str, RSAKey] = field(default_factory=dict)
    """Public keys by `x5t#S256`."""

    def trusts(self, certificate: bytes) -> None:
        """Register a certificate, in PEM."""
        read = x509.load_pem_x509_certificate(certificate)
        digest = hashlib.sha256(read.public_bytes(Encoding.DER)).digest()
        thumbprint = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        public = read.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.certificates[thumbprint] = RSAKey.import_key(public)


@dataclass(frozen=True, slots=True)
class _Token:
    id: str
    client_id: str
    permissions: frozenset[str]
    expires_at: datetime


class Access:
    """Issues tokens, and checks them.

    :param tenant: The tenant's id.
    """

    def __init__(self, tenant: str, now: Callable[[], datetime], random: randomness.Random) -> None:
        self.clients: dict[str, GraphClient] = {}
        self.lifetime_seconds = 3599
        self._tenant = tenant
        self._now = now
        self._random = random
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._used: set[str] = set()

    def register(self, app: Flask) -> None:
        """Add the token endpoint, and those of managed identities on a machine and in App Service."""
        app.add_url_rule("/<tenant>/oauth2/v2.0/token", "token", self._token, methods=["POST"])
        app.add_url_rule("/metadata/identity/oauth2/token", "machine", self._machine, methods=["GET"])
        app.add_url_rule("/msi/token", "app_service", self._app_service, methods=["GET"])

    def revoke_tokens(self) -> None:
        """Make every token issued so far invalid."""
        with self._lock:
            self._tokens.clear()

    def token_id(self, authorization: str) -> str | None:
        """Return the id of a token that the sandbox issued, and that is not revoked."""
        token = self._tokens.get(bearer(authorization))
        return token.id if token else None

    def check(self) -> None:
        """Refuse a call without a valid token.

        :raises GraphRefusal: it has none.
        """
        text = bearer(request.headers.get("Authorization", ""))
        token = self._tokens.get(text)
        if not text:
            raise _unauthenticated("Access token is empty.")
        if token is None:
            raise _unauthenticated("Access token validation failure. Invalid audience.")
        if token.expires_at <= self._now():
            raise _unauthenticated("Lifetime validation failed, the token is expired.")

    def has(self, *permissions: str) -> bool:
        """Return whether the call's token carries one of these permissions."""
        token = self._tokens.get(bearer(request.headers.get("Authorization", "")))
        return token is not None and not token.permissions.isdisjoint(permissions)

    def require(self, *permissions: str) -> None:
        """Refuse a call whose token carries none of these permissions, in the ordinary form.

        :raises GraphRefusal: it carries none.
        """
        if not self.has(*permissions):
            message = "Insufficient privileges to complete the operation."
            raise GraphRefusal(403, "Authorization_RequestDenied", message)

    def _token(self, tenant: str) -> Response:
        form = request.form
        if tenant != self._tenant:
            return self._refusal(90002, 400, "invalid_request", f"Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            return self._refusal(70003, 400, "unsupported_grant_type", "The app requested an unsupported grant type.")
        client = self.clients.get(form.get("client_id", ""))
        if client is None:
            message = f"Application with identifier '{form.get('client_id')}' was not found in the directory."
            return self._refusal(700016, 400, "unauthorized_client", message)
        if not form.get("scope", "").endswith("/.default"):
            message = "The provided value for scope is not valid: the resource identifier with /.default is expected."
            return self._refusal(1002012, 400, "invalid_scope", message)
        problem = self._problem_of_assertion(client) if "client_assertion" in form else self._problem_of_secret(client)
        if problem is not None:
            return self._refusal(problem[0], 401, "invalid_client", problem[1])
        return jsonify(
            token_type="Bearer",  # nosec B106 # its kind
            expires_in=self.lifetime_seconds,
            ext_expires_in=self.lifetime_seconds,
            access_token=self._issue(client),
        )

    def _problem_of_secret(self, client: GraphClient) -> tuple[int, str] | None:
        app = f"'{client.client_id}'"
        sent = request.form.get("client_secret")
        if sent is None:
            return 7000218, "The request body must contain: 'client_assertion' or 'client_secret'."
        if client.secret is None or sent != client.secret:
            return 7000215, f"Invalid client secret provided. Ensure it is the value, not the ID, of app {app}."
        if client.secret_expires_at is not None and client.secret_expires_at <= self._now():
            return 7000222, f"The provided client secret keys for app {app} are expired."
        return None

    def _problem_of_assertion(self, client: GraphClient) -> tuple[int, str] | None:
        if request.form.get("client_assertion_type") != _ASSERTION:
            return 50027, "The client_assertion_type is not supported."
        text = request.form["client_assertion"]
        try:
            header = extract_compact(text.encode()).headers()
        except (JoseError, ValueError):
            return 50027, "JWT token is invalid or malformed."
        if "x5t#S256" not in header:
            return self._problem_of_workload(client, text)
        key = client.certificates.get(str(header["x5t#S256"]))
        claims = None if key is None else _claims(text, key, ["PS256"])
        if claims is None:
            return 700027, "The certificate with identifier used to sign the client assertion is not registered."
        return self._problem_of_claims(client, claims)

    def _problem_of_claims(self, client: GraphClient, claims: dict[str, object]) -> tuple[int, str] | None:
        now = self._now().timestamp()
        if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
            return 700021, "Client assertion application identifier doesn't match 'client_id' parameter."
        if claims.get("aud") != request.base_url:
            return 700023, "Client assertion audience claim does not match Realm issuer."
        begins, ends = claims.get("nbf", 0), claims.get("exp", 0)
        if not (isinstance(begins, int) and isinstance(ends, int) and begins - 300 <= now < ends + 300):
            return 700024, "Client assertion is not within its valid time range."
        with self._lock:
            if not claims.get("jti") or str(claims["jti"]) in self._used:
                return 50027, "JWT token is invalid or malformed: its jti is missing, or was used before."
            self._used.add(str(claims["jti"]))
        return None

    def _problem_of_workload(self, client: GraphClient, text: str) -> tuple[int, str] | None:
        for each in client.federations:
            claims = _claims(text, each.key, ["RS256", "ES256"]) or {}
            audiences = claims.get("aud")
            audiences = audiences if isinstance(audiences, list) else [audiences]
            if (claims.get("iss"), claims.get("sub")) != (each.issuer, each.subject) or each.audience not in audiences:
                continue
            ends = claims.get("exp")
            if isinstance(ends, int) and self._now().timestamp() < ends:
                return None
            return 700024, "Client assertion is not within its valid time range."
        return 700213, "No matching federated identity record found for presented assertion subject."

    def _machine(self) -> Response:
        if request.headers.get("Metadata") != "true":
            return _bad("invalid_request", "Required metadata header not specified")
        return self._of_managed_identity()

    def _app_service(self) -> Response:
        if not request.headers.get("X-IDENTITY-HEADER"):
            return _bad("invalid_request", "X-IDENTITY-HEADER is missing")
        return self._of_managed_identity()

    def _of_managed_identity(self) -> Response:
        asked = request.args.get("client_id")
        for client in self.clients.values():
            if client.managed and asked in (None, client.client_id):
                break
        else:
            return _bad("invalid_request", "Identity not found")
        if not request.args.get("resource") or not request.args.get("api-version"):
            return _bad("invalid_request", "resource and api-version are required")
        return jsonify(
            access_token=self._issue(client),
            client_id=client.client_id,
            expires_in=str(self.lifetime_seconds),
            expires_on=str(int(self._now().timestamp()) + self.lifetime_seconds),
            resource=request.args["resource"],
            token_type="Bearer",  # nosec B106 # its kind
        )

    def _issue(self, client: GraphClient) -> str:
        with self._lock:
            number = len(self._tokens) + 1
            text = f"sandbox-graph-{number}-{self._random.getrandbits(128):032x}"
            expires_at = self._now() + timedelta(seconds=self.lifetime_seconds)
            self._tokens[text] = _Token(f"token-{number}", client.client_id, frozenset(client.permissions), expires_at)
        return text

    def _refusal(self, code: int, status: int, error: str, message: str) -> Response:
        trace, correlation = (str(uuid.UUID(int=self._random.getrandbits(128), version=4)) for _ in range(2))
        at = f"{self._now():%Y-%m-%d %H:%M:%S}Z"
        ids = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
        document = jsonify(
            error=error,
            error_description=f"AADSTS{code}: {message} {ids}",
            error_codes=[code],
            timestamp=at,
            trace_id=trace,
            correlation_id=correlation,
            error_uri=f"https://login.microsoftonline.com/error?code={code}",
        )
        return make_response(document, status)


def _claims(text: str, key: RSAKey | ECKey, algorithms: list[str]) -> dict[str, object] | None:
    """Return the claims of a JWT that this key signed."""
    try:
        return jwt.decode(text, key, algorithms=algorithms).claims
    except (JoseError, ValueError):
        return None


def _unauthenticated(message: str) -> GraphRefusal:
    return GraphRefusal(401, "InvalidAuthenticationToken", message)


def _bad(error: str, description: str) -> Response:
    return make_response(jsonify(error=error, error_description=description), 400)
