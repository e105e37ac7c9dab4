"""JWTs that another party signed: Entra's own, and workload assertions (RFC 7519, RFC 7521, RFC 7523, RFC 8725)."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, TypeGuard

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.jws import extract_compact

from scim_bridge.settings import Auth
from scim_bridge.web.auth.keys import Keys

ALGORITHMS = ("RS256", "RS384", "RS512")
"""The algorithms that Entra signs with. Neither `none` nor an HMAC under a public key is among them."""

LEEWAY_SECONDS = 60.0
"""How far two clocks may differ."""

LAST_SECOND = 1e15
"""Numbers beyond this are no time, in seconds since 1970."""


REASONS = (
    "malformed",
    "algorithm",
    "issuer",
    "audience",
    "tid",
    "delegated",
    "no-application",
    "subject",
    "no-expiry",
    "expired",
    "not-yet",
    "no-key-id",
    "unknown-key",
    "signature",
    "caller",
    "ambiguous",
)
"""What may be wrong, in the order of the checks."""


ASK_THE_LOG = "the bridge's log says why (auth.refused)"
"""The answer to a JWT that no configured issuer is proven to have signed.

Issuer, audience and tenant are no secret, so a stranger can write them. A more detailed answer would reveal which
companies exist here.
"""

OF_TIME = {
    "expired": "it has expired: compare the clocks (`scim-bridge doctor`)",
    "not-yet": "it is not valid yet: compare the clocks (`scim-bridge doctor`)",
}
"""The answer to a JWT that is right except for its time, and that a stored key of the issuer has signed.

The signature proves that it comes from that directory or workload, which already knows of this company.
"""


NOT_PINNED = "its application is not one of AUTH__ENTRA_CALLER_IDS; the bridge's log names it (auth.refused)"
"""The answer to another application of the company's own Entra, proven by its signature."""

ABOUT_A_USER = ("scp", "upn", "unique_name", "preferred_username")
"""Claims of a JWT that Entra issued for a signed-in user; an application that acts for itself has none of them."""


class InvalidJwt(Exception):
    """The JWT is not valid.

    :param reason: One of `REASONS`, for the log.
    :param words: For the client, where they depend on no company's settings; they quote nothing of the JWT.
    :param about: Ids for the log, from a JWT whose signature is right.
    """

    def __init__(self, reason: str, words: str = ASK_THE_LOG, **about: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.about = about
        self.rank = REASONS.index(reason)
        """How many checks it passed: of several refusals the highest rank tells most."""

    @property
    def is_addressed(self) -> bool:
        """Whether issuer, audience and subject are the configured ones."""
        return self.rank > REASONS.index("subject")


@dataclass(frozen=True, slots=True)
class JwtRules:
    """The rules that a JWT has to meet to sign in.

    :param tenant_id: The Entra tenant (`tid`); None where the issuer alone identifies it.
    :param subject: The subject (`sub`); None for any subject of that issuer.
    :param callers: The applications that may call, by application id or object id in lower case; empty for any
        application. None where it need not be an application.
    """

    keys: Keys
    issuer: str
    audiences: tuple[str, ...]
    tenant_id: str | None = None
    subject: str | None = None
    callers: frozenset[str] | None = None

    def examine(self, text: str, *, now: datetime) -> Mapping[str, object]:
        """Return the claims of a valid JWT.

        :raises InvalidJwt: it is not valid.
        :raises KeysUnavailable: it can't be checked, because the issuer's keys are not available.
        """
        header, claims = _opened(text)
        kid = header.get("kid")
        try:
            self._check(claims, now.timestamp())
        except InvalidJwt as wrong:
            # No key is fetched for a JWT that is refused in any case.
            at_hand = self.keys.kept(kid) if wrong.reason in OF_TIME and isinstance(kid, str) else None
            if at_hand is not None and _is_signed(text, at_hand):
                raise InvalidJwt(wrong.reason, OF_TIME[wrong.reason]) from wrong
            raise
        if not isinstance(kid, str):
            raise InvalidJwt("no-key-id")
        key = self.keys.get(kid)
        if key is None:
            raise InvalidJwt("unknown-key")
        if not _is_signed(text, key):
            raise InvalidJwt("signature")
        if self.callers and self.callers.isdisjoint(each.lower() for each in _ids_of(claims)):
            # Checked after the signature: an operator may add the id that the log names to the settings.
            raise InvalidJwt("caller", NOT_PINNED, caller=application_of(claims) or "")
        return claims

    def _check(self, claims: Mapping[str, object], now: float) -> None:
        if claims.get("iss") != self.issuer:
            raise InvalidJwt("issuer")
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not any(each in self.audiences for each in named if isinstance(each, str)):
            raise InvalidJwt("audience")
        if self.tenant_id is not None:
            tid = claims.get("tid")
            if not isinstance(tid, str) or tid.lower() != self.tenant_id.lower():
                raise InvalidJwt("tid")
        if self.callers is not None:
            _refuse_unless_application(claims)
        if self.subject is not None and claims.get("sub") != self.subject:
            raise InvalidJwt("subject")
        ends = claims.get("exp")
        if not _is_instant(ends):
            raise InvalidJwt("no-expiry")
        if now >= ends + LEEWAY_SECONDS:
            raise InvalidJwt("expired")
        begins = claims.get("nbf", now)
        if not _is_instant(begins) or now < begins - LEEWAY_SECONDS:
            raise InvalidJwt("not-yet")


def refuse(text: str) -> NoReturn:
    """Refuse a JWT where none is accepted, in the words for a forged one at an existing company.

    So a stranger does not learn where JWTs are accepted, nor which companies exist.

    :raises InvalidJwt: always.
    """
    _opened(text)
    raise InvalidJwt("issuer")


def application_of(claims: Mapping[str, object]) -> str | None:
    """Return the id of the application that a JWT was issued to: `appid` in Entra's older JWTs, `azp` in newer ones."""
    named = (claims.get(name) for name in ("appid", "azp"))
    return next((each for each in named if isinstance(each, str) and each), None)


def _refuse_unless_application(claims: Mapping[str, object]) -> None:
    """Refuse a JWT issued for a user: with it an app's user, or a guest, could write."""
    if claims.get("idtyp", "app") != "app" or any(name in claims for name in ABOUT_A_USER):
        raise InvalidJwt("delegated")
    if application_of(claims) is None:
        raise InvalidJwt("no-application")


def _ids_of(claims: Mapping[str, object]) -> Iterator[str]:
    for named in (application_of(claims), claims.get("oid")):
        if isinstance(named, str) and named:
            yield named


def _is_signed(text: str, key: RSAKey) -> bool:
    try:
        jwt.decode(text, key, algorithms=ALGORITHMS)
    except (JoseError, ValueError, TypeError):
        return False
    return True


def _opened(text: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    try:
        opened = extract_compact(text.encode())
        header, claims = opened.headers(), json.loads(opened.payload)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise InvalidJwt("malformed", "it is not a complete JWT") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise InvalidJwt("malformed", "it is not a complete JWT")
    if header.get("alg") not in ALGORITHMS:
        raise InvalidJwt("algorithm", "its algorithm is not one of RS256, RS384 and RS512")
    return header, claims


def _is_instant(value: object) -> TypeGuard[int | float]:
    # A whole number in JSON may be larger than any float; infinity and NaN are within no bounds.
    return isinstance(value, int | float) and not isinstance(value, bool) and -LAST_SECOND < value < LAST_SECOND


PREFIX = "workload:"
"""How the ids of workloads begin; no client's id begins so."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The one workload that a company's settings accept.

    The same assertion may be used again until it expires: Entra sends no `jti`, and repeats a request whose answer
    was lost.
    """

    assertion: JwtRules
    id: str
    """The workload's id in access tokens issued to it; other settings give another id."""


def workload_of(auth: Auth, keys_at: Callable[[str], Keys]) -> Workload | None:
    """Return the workload of a company's settings; None where there is none.

    :param keys_at: Returns the keys at a URL.
    """
    url = auth.workload_keys()
    if auth.workload_issuer is None or auth.workload_subject is None or auth.workload_audience is None or url is None:
        return None
    who = json.dumps([auth.workload_issuer, auth.workload_subject, auth.workload_audience])
    return Workload(
        assertion=JwtRules(
            keys_at(url), auth.workload_issuer, (auth.workload_audience,), subject=auth.workload_subject
        ),
        id=PREFIX + hashlib.sha256(who.encode()).hexdigest()[:16],
    )


def entra_of(auth: Auth, keys_at: Callable[[str], Keys]) -> JwtRules | None:
    """Return the rules for Entra's own JWT at a company; None where none is accepted."""
    if auth.entra_tenant_id is None:
        return None
    keys = keys_at(auth.entra_keys())
    callers = frozenset(each.lower() for each in auth.entra_caller_ids)
    return JwtRules(keys, auth.entra_issued_by(), auth.entra_audiences, tenant_id=auth.entra_tenant_id, callers=callers)


class Refused(Exception):
    """An assertion of no company. :param tenant: The company that its claims name; None where they name none."""

    def __init__(self, wrong: InvalidJwt, tenant: str | None = None) -> None:
        super().__init__(str(wrong))
        self.reason = wrong.reason
        self.tenant = tenant


def company_of(workloads: Mapping[str, Workload], text: str, *, now: datetime) -> str:
    """Return the one company whose settings name an assertion's issuer, subject and audience.

    :param workloads: Those of the companies that have one, at least one.
    :raises Refused: no company, or more than one: an assertion may have several audiences.
    :raises KeysUnavailable: it can't be checked, because the issuer's keys are not available.
    """
    found: list[str] = []
    refusals: dict[str, InvalidJwt] = {}
    for name, workload in workloads.items():
        try:
            workload.assertion.examine(text, now=now)
        except InvalidJwt as wrong:
            refusals[name] = wrong
        else:
            found.append(name)
    if len(found) > 1:
        raise Refused(InvalidJwt("ambiguous", "it is meant for more than one company: ask for one audience"))
    if not found:
        furthest = max(refusals, key=lambda name: refusals[name].rank)
        refusal = refusals[furthest]
        raise Refused(refusal, furthest if refusal.is_addressed else None) from refusal
    return found[0]
