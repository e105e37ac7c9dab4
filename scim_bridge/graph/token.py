"""Graph's access token: four ways to sign in, and what Entra's refusals mean."""

import base64
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import CredentialsRefused, RateLimited, TransientError
from scim_bridge.graph.config import Certificate, ClientSecret, FederatedToken, GraphConfig, ManagedIdentity
from scim_bridge.http.exchange import Exchange, retry_after_seconds
from scim_bridge.http.session import ask, token_of

_WHAT = "Signing in to Microsoft Graph"

CURES: dict[int, str] = {
    7000215: "the client secret is wrong: set ENTRA__CLIENT_SECRET to the value of the secret, not to its id",
    7000222: "the client secret has expired: make a new one in the app registration, and set ENTRA__CLIENT_SECRET",
    700016: "the tenant knows no such application: check ENTRA__CLIENT_ID and ENTRA__TENANT_ID",
    90002: "there is no such tenant: check ENTRA__TENANT_ID",
    700027: "the certificate is not one of the app registration's: upload it there, or check ENTRA__CERTIFICATE_FILE",
    700024: "the assertion is too old or too new: check this machine's clock, and ENTRA__FEDERATED_TOKEN_FILE",
    70021: "no federated credential fits ENTRA__FEDERATED_TOKEN_FILE: compare issuer, subject and audience",
}
"""Entra's error codes, and what to do about them."""

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 300
"""How long a signed assertion is valid. Entra advises five to ten minutes."""


def fetch_token(
    config: GraphConfig,
    session: requests.Session,
    *,
    within: float,
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
) -> tuple[str, float]:
    """Ask for a token, once. Return it, and how many seconds it is valid.

    A token is issued even to an application without any permission: it proves nothing.

    :param session: Lends its connections; its own headers and cookies are not used.
    :raises CredentialsRefused: Entra refuses the application; the message names the setting.
    :raises TransientError: it can't be reached, fails, or gives no token.
    """
    if isinstance(config.credential, ManagedIdentity):
        answer = _of_machine(config.credential, config, session, within, monotonic, now)
    else:
        answer = _of_application(config, session, within, monotonic, now)
    if (found := token_of(answer)) is None:
        raise TransientError(f"{_WHAT}: the answer has no usable access_token; if this lasts, check ENTRA__LOGIN_URL")
    return found


def _of_application(
    config: GraphConfig,
    session: requests.Session,
    within: float,
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
) -> object:
    # Only here, because most commands do not read Entra, and this takes a tenth of a second.
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.requests_client import OAuth2Session

    exchange = Exchange(_WHAT, "ENTRA__LOGIN_URL", within, monotonic(), monotonic)

    def judge(response: requests.Response) -> bytes:
        body = exchange.body(response)
        _raise_for(response, body, now())
        return body

    secret = config.credential.text if isinstance(config.credential, ClientSecret) else None
    oauth = OAuth2Session(
        config.client_id,
        secret,
        scope=f"{config.origin}/.default",
        token_endpoint=config.token_url,
        token_endpoint_auth_method="client_secret_post" if secret is not None else "assertion",
        grant_type="client_credentials",
    )
    if secret is None:
        oauth.register_client_auth_method(("assertion", _asserting(assertion_of(config, now()))))
    try:
        return ask(oauth, session, exchange, judge)
    except OAuthError as exc:
        raise CredentialsRefused(f"{_WHAT}: Entra refused this application", status=200) from exc
    except (ValueError, RecursionError) as exc:
        raise TransientError(f"{_WHAT}: the answer was not JSON; if this lasts, check ENTRA__LOGIN_URL") from exc


def _asserting(assertion: str) -> Callable[..., tuple[str, Any, str]]:
    """Return authlib's hook that adds an assertion, signed or federated, to the form."""
    from authlib.common.urls import add_params_to_qs

    def asserted(client: Any, method: str, uri: str, headers: Any, body: str) -> tuple[str, Any, str]:
        added = [("client_id", client.client_id), ("client_assertion_type", ASSERTION), ("client_assertion", assertion)]
        form: str = add_params_to_qs(body or "", added)
        if "Content-Length" in headers:
            headers["Content-Length"] = str(len(form))
        return uri, headers, form

    return asserted


def assertion_of(config: GraphConfig, now: datetime) -> str:
    """Return a new assertion: signed with the certificate's key, or the platform's own token.

    :raises CredentialsRefused: a file can't be read or used.
    """
    match config.credential:
        case FederatedToken(file=file):
            return _text(file, "ENTRA__FEDERATED_TOKEN_FILE").strip()
        case Certificate() as certificate:
            return _signed(certificate, config, now)
    raise AssertionError(f"{type(config.credential).__name__} has no assertion")


def _signed(certificate: Certificate, config: GraphConfig, now: datetime) -> str:
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    print_, _ = certificate_of(certificate)
    is_one_file = certificate.private_key_file == certificate.certificate_file
    key_setting = "ENTRA__CERTIFICATE_FILE" if is_one_file else "ENTRA__PRIVATE_KEY_FILE"
    try:
        key = RSAKey.import_key(_key_of(_text(certificate.private_key_file, key_setting)))
    except (ValueError, TypeError, JoseError) as exc:
        raise CredentialsRefused(f"{_WHAT}: {key_setting} holds no RSA key that can be read: write it as PEM") from exc
    at = int(now.timestamp())
    claims = {
        "aud": config.token_url,
        "iss": config.client_id,
        "sub": config.client_id,
        "jti": str(uuid.uuid4()),
        "iat": at,
        "nbf": at,
        "exp": at + ASSERTION_SECONDS,
    }
    header = {"alg": "PS256", "typ": "JWT", "x5t#S256": print_}
    return jwt.encode(header, claims, key, algorithms=["PS256"])


def _key_of(text: str) -> str:
    """Return the key out of a PEM file that may also hold a certificate."""
    begin = text.find("-----BEGIN", 0)
    while begin >= 0:
        end = text.find("-----END", begin)
        if "PRIVATE KEY" in text[begin : text.find("\n", begin)]:
            return text[begin : text.find("\n", end) if text.find("\n", end) >= 0 else len(text)]
        begin = text.find("-----BEGIN", end)
    raise ValueError("no private key")


def certificate_of(certificate: Certificate) -> tuple[str, datetime]:
    """Return the thumbprint that assertions carry (`x5t#S256`), and when the certificate ends.

    :raises CredentialsRefused: the file can't be read, or holds no certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    text = _text(certificate.certificate_file, "ENTRA__CERTIFICATE_FILE")
    try:
        loaded = x509.load_pem_x509_certificate(text.encode())
    except ValueError as exc:
        raise CredentialsRefused(f"{_WHAT}: ENTRA__CERTIFICATE_FILE holds no certificate: write it as PEM") from exc
    thumbprint = base64.urlsafe_b64encode(loaded.fingerprint(SHA256())).rstrip(b"=").decode()
    return thumbprint, loaded.not_valid_after_utc


def _text(file: str, setting: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise CredentialsRefused(f"{_WHAT}: the file of {setting} can't be read: {why}") from exc


def _of_machine(
    identity: ManagedIdentity,
    config: GraphConfig,
    session: requests.Session,
    within: float,
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
) -> object:
    exchange = Exchange(_WHAT, "ENTRA__MANAGED_IDENTITY", within, monotonic(), monotonic)
    query = {"resource": config.origin} | ({"client_id": identity.client_id} if identity.client_id else {})
    if identity.app_service_url is not None:
        url, version = identity.app_service_url, "2019-08-01"
        headers = {"X-IDENTITY-HEADER": identity.app_service_secret}
    else:
        url, version, headers = identity.imds_url, "2018-02-01", {"Metadata": "true"}
    direct = requests.Session()
    direct.trust_env, direct.adapters = False, session.adapters  # Never through a proxy.
    with exchange.translating():
        response = direct.get(
            url,
            params={"api-version": version, **query},
            headers=headers,
            timeout=within,
            allow_redirects=False,
            stream=True,
        )
        with response:
            body = exchange.body(response)
    _raise_for(response, body, now())
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise TransientError(f"{_WHAT}: the machine's answer was not JSON") from exc
    return answer


def _raise_for(response: requests.Response, body: bytes, now: datetime) -> None:
    status = response.status_code
    if 200 <= status <= 299:
        return
    seconds = retry_after_seconds(response.headers.get("Retry-After"), now)
    if status == 429:
        raise RateLimited(f"{_WHAT}: it answered 429", retry_after_seconds=seconds)
    if status >= 500:
        raise TransientError(f"{_WHAT}: it answered {status}", status=status, retry_after_seconds=seconds)
    codes = error_codes(body)
    cure = next((CURES[code] for code in codes if code in CURES), None)
    if cure is None:
        cure = "check the settings of [entra]: tenant, client and the way to sign in belong together"
    shown = "".join(f", AADSTS{code}" for code in codes[:1])
    raise CredentialsRefused(f"{_WHAT}: Entra refused this application ({status}{shown}): {cure}", status=status)


def error_codes(body: bytes) -> list[int]:
    """Return Entra's error codes in a refusal; its text may change, and is not read."""
    try:
        document: JsonObject | object = json.loads(body)
    except (ValueError, RecursionError):
        return []
    found = document.get("error_codes") if isinstance(document, dict) else None
    return [each for each in found if isinstance(each, int)] if isinstance(found, list) else []
