"""The keys that a URL publishes for checking signatures (RFC 7517), fetched once and within a limit."""

import json
import time
from collections.abc import Mapping

import requests
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from scim_bridge.http.exchange import pooled_sessions
from scim_bridge.logs import get_logger

log = get_logger(__name__)

FETCH_SECONDS = 5.0
"""How long a whole fetch may take."""

MOST_BYTES = 512 * 1024


class FetchFailed(Exception):
    """The URL gave no keys; the text says why."""


def fetched(url: str) -> Mapping[str, RSAKey]:
    """Return the RSA signature keys at a URL, by their ids. :raises FetchFailed: it gave none."""
    deadline = time.monotonic() + FETCH_SECONDS
    try:
        with (
            pooled_sessions(1)() as session,
            session.get(url, timeout=FETCH_SECONDS, allow_redirects=False, stream=True) as response,
        ):
            if response.status_code != 200:
                raise FetchFailed(f"it answered {response.status_code}")
            body = b""
            for chunk in response.iter_content(16 * 1024):
                body += chunk
                # The library's time-out is for one piece of the answer; this is for the whole.
                if len(body) > MOST_BYTES or time.monotonic() > deadline:
                    raise FetchFailed("its answer was too long, or took too long")
    except requests.RequestException as error:
        raise FetchFailed(f"it can't be reached ({type(error).__name__})") from error
    keys = _read(body)
    if not keys:
        raise FetchFailed("its answer has no RSA keys")
    return keys


def _read(body: bytes) -> dict[str, RSAKey]:
    try:
        listed = json.loads(body)["keys"]
        rows = [row for row in listed if isinstance(row, dict)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FetchFailed("its answer is not a set of keys") from error
    keys: dict[str, RSAKey] = {}
    for row in rows:
        kid = row.get("kid")
        if not isinstance(kid, str) or row.get("kty") != "RSA" or row.get("use", "sig") != "sig":
            continue
        try:
            keys[kid] = RSAKey.import_key({"kty": "RSA", "n": row["n"], "e": row["e"]})
        except (JoseError, ValueError, KeyError, TypeError):
            log.warning("auth.key_unreadable", kid=kid[:64])
    return keys
