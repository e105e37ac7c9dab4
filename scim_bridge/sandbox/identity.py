"""The simulated Ditio's identity server: client credentials in, short-lived access tokens out.

Source: Ditio "Authentication"; RFC 6749 §4.4 and §5.2.
"""

from __future__ import annotations

import random as randomness
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote_plus

from flask import Flask, Response, jsonify, request

from scim_bridge.sandbox.style import Style

REPORTING_SCOPE = "reportingapiv1"


@dataclass(frozen=True, slots=True)
class _Token:
    id: str
    scopes: frozenset[str]
    expires_at: datetime


class Identity:
    """Issues tokens and judges them.

    :param scope: Scopes of the integration API that may be asked for, divided by spaces.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        scope: str,
        now: Callable[[], datetime],
        style: Callable[[], Style],
        random: randomness.Random,
    ) -> None:
        self._credentials = (client_id, client_secret)
        self._scopes = frozenset(scope.split()) | {REPORTING_SCOPE}
        self._now = now
        self._style = style
        self._random = random
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._revoked: set[str] = set()

    def register(self, app: Flask) -> None:
        """Add the token endpoint."""
        app.add_url_rule("/connect/token", "token", self._token, methods=["POST"])

    def revoke_all(self) -> None:
        """Make every token issued so far invalid."""
        with self._lock:
            self._revoked.update(self._tokens)

    def token_id(self, authorization: str) -> str | None:
        """Return the id of a token of ours, valid or not."""
        token = self._tokens.get(_bearer(authorization))
        return token.id if token else None

    def refusal(self, authorization: str, scope: str) -> int | None:
        """Return the status that refuses a call needing `scope`; None when the token is good."""
        text = _bearer(authorization)
        token = self._tokens.get(text)
        if token is None or text in self._revoked or token.expires_at <= self._now():
            return 401
        return None if scope in token.scopes else self._style().wrong_scope

    def _token(self) -> Response:
        header = request.authorization
        basic = header is not None and header.type == "basic"
        if header is not None and basic:
            sent = (unquote_plus(header.username or ""), unquote_plus(header.password or ""))
        else:
            sent = (request.form.get("client_id", ""), request.form.get("client_secret", ""))
        if sent != self._credentials:
            return _error("invalid_client", 401 if basic else 400)
        if request.form.get("grant_type") != "client_credentials":
            return _error("unsupported_grant_type", 400)
        scopes = frozenset(request.form.get("scope", " ".join(self._scopes)).split())
        if not scopes or not scopes <= self._scopes:
            return _error("invalid_scope", 400)
        return self._issue(scopes)

    def _issue(self, scopes: frozenset[str]) -> Response:
        seconds = self._style().token_seconds
        with self._lock:
            number = len(self._tokens) + 1
            text = f"sandbox-{number}-{self._random.getrandbits(128):032x}"
            self._tokens[text] = _Token(f"token-{number}", scopes, self._now() + timedelta(seconds=seconds))
        told = {"access_token": text, "expires_in": seconds, "token_type": "Bearer"}  # nosec B105 # its kind
        return jsonify({**told, "scope": " ".join(sorted(scopes))})


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _error(code: str, status: int) -> Response:
    answer = jsonify(error=code)
    answer.status_code = status
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Basic"
    return answer
