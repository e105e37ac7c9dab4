"""A person who signs JWTs, and publishes the keys on loopback; for tests."""

import base64
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from flask import Flask, Response
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

TENANT = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
AUDIENCE = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
ISSUER = f"https://sts.windows.net/{TENANT}/"
WORKLOAD = f"https://login.microsoftonline.com/{TENANT}/v2.0"
SUBJECT = "5d1f3c0e-0000-4000-8000-00000000abcd"
API = "api://the-bridge"
CALLER = "00000014-0000-0000-c000-000000000000"
CALLER_OBJECT = "a6069499-077b-45a8-9fa2-ac9ca80c5df6"
"""Entra's provisioning service: the application, and its service principal in the tenant."""

_PAIRS = [RSAKey.generate_key(2048, private=True) for _ in range(2)]


class Issuer:
    """Keys by their ids, and how often they were asked for."""

    def __init__(self) -> None:
        self.pairs: dict[str, RSAKey] = {"key-1": _PAIRS[0]}
        self.fetches = 0
        self.answer: Response | None = None
        """Instead of the keys."""

        self.url = ""

    def rotates(self, kid: str = "key-2") -> None:
        """From now on there is another key, and the first no more."""
        self.pairs = {kid: _PAIRS[1]}

    def keys(self) -> Response:
        """The published set."""
        self.fetches += 1
        if self.answer is not None:
            return self.answer
        rows = [{**pair.as_dict(private=False), "kid": kid, "use": "sig"} for kid, pair in self.pairs.items()]
        unusable = [{"kty": "EC", "kid": "ec"}, {"kty": "RSA", "kid": "broken"}, "nonsense"]
        return Response(json.dumps({"keys": [*unusable, *rows]}), content_type="application/json")

    def signs(self, claims: dict[str, Any], *, kid: str | None = "key-1", alg: str = "RS256") -> str:
        """A JWT with the key of that id, or with another one under its name if it is not the issuer's."""
        header = {"alg": alg, **({"kid": kid} if kid else {})}
        return jwt.encode(header, claims, self.pairs.get(kid or "", _PAIRS[1]), algorithms=[alg])

    def forged_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """HS256, the public key being the secret (RFC 8725 §2.1)."""
        start = f"{_encoded({'alg': 'HS256', 'kid': 'key-1'})}.{_encoded(claims)}"
        # By hand: the library refuses to.
        secret = self.pairs["key-1"].as_pem(private=False)
        return f"{start}.{_letters(hmac.digest(secret, start.encode(), 'sha256'))}"


def unsigned(claims: dict[str, Any]) -> str:
    """A JWT with the algorithm `none`."""
    return f"{_encoded({'alg': 'none', 'kid': 'key-1'})}.{_encoded(claims)}."


def _encoded(part: dict[str, Any]) -> str:
    return _letters(json.dumps(part).encode())


def _letters(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def entra_claims(now: datetime, **changes: Any) -> dict[str, Any]:
    """What Entra's own JWT says; None leaves a claim out."""
    seconds = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "tid": TENANT,
        "appid": CALLER,
        "oid": CALLER_OBJECT,
        "nbf": seconds - 60,
        "exp": seconds + 3600,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def assertion_claims(now: datetime, **changes: Any) -> dict[str, Any]:
    """What an assertion says; None leaves a claim out."""
    return entra_claims(now, **{"iss": WORKLOAD, "aud": API, "sub": SUBJECT, **changes})


@contextmanager
def listening(issuer: Issuer) -> Iterator[Issuer]:
    """Publish the keys on a free port of loopback."""
    app = Flask("issuer")
    app.add_url_rule("/keys", view_func=issuer.keys)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_port}/keys"
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
