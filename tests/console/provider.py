"""A simulated Entra that signs administrators in (OpenID Connect), on loopback; it keeps the rules of the RFCs."""

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Flask, Response, jsonify, redirect, request
from werkzeug.serving import make_server

from tests.web.issuer import Issuer

CLIENT, SECRET = "the-console", "the-secret-of-the-console"


@dataclass
class Provider:
    """The issuer, and how it misbehaves.

    :param now: The time that it writes into its JWTs.
    """

    now: Callable[[], datetime]
    issuer: Issuer = field(default_factory=Issuer)
    url: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"preferred_username": "kari@bygg.example"})
    """What it says of the person who is at the browser."""

    changes: dict[str, Any] = field(default_factory=dict)
    """Claims that it writes instead of the right ones; None leaves one out."""

    sign: Callable[[dict[str, Any]], str] | None = None
    said: dict[str, Any] = field(default_factory=dict)
    """What its metadata says instead."""

    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The parameters with which browsers came."""

    def app(self) -> Flask:
        app = Flask("provider")
        app.add_url_rule("/.well-known/openid-configuration", view_func=self.metadata)
        app.add_url_rule("/authorize", view_func=self.authorize)
        app.add_url_rule("/token", view_func=self.token, methods=["POST"])
        app.add_url_rule("/keys", view_func=self.issuer.keys)
        return app

    def metadata(self) -> Response:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return jsonify({"issuer": self.url, **{name: f"{self.url}/{end}" for name, end in ends.items()}, **self.said})

    def authorize(self) -> Any:
        """The person is signed in at once, and sent back with a code."""
        return redirect(self.back(dict(request.args)))

    def back(self, asked: dict[str, str]) -> str:
        """The address to which a browser is sent that came with these parameters."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.url})}"

    def token(self) -> Any:
        """A code works once (RFC 6749 §4.1.2), for the client that has its secret and its verifier (RFC 7636 §4.6)."""
        form = request.form
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_right = (
            asked is not None
            and (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
            and (form["redirect_uri"], challenge) == (asked["redirect_uri"], asked["code_challenge"])
        )
        if not is_right or asked is None:
            return jsonify(error="invalid_grant"), 400
        seconds = int(self.now().timestamp())
        claims = {
            **{"iss": self.url, "aud": CLIENT, "sub": "s-1", "nonce": asked["nonce"]},
            **{"iat": seconds, "nbf": seconds, "exp": seconds + 3600},
            **self.person,
            **self.changes,
        }
        sign = self.sign or self.issuer.signs
        id_token = sign({name: value for name, value in claims.items() if value is not None})
        return jsonify(access_token="x", token_type="Bearer", expires_in=3600, id_token=id_token)


def parameters(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@contextmanager
def serving(provider: Provider) -> Iterator[Provider]:
    """Serve it on a free port."""
    server = make_server("127.0.0.1", 0, provider.app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
