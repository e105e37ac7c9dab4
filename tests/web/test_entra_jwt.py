"""Entra's own JWT as bearer token: who is let in by it, and what happens while its keys can't be had."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from flask import Response

from tests.web.issuer import AUDIENCE, CALLER, CALLER_OBJECT, ISSUER, TENANT, Issuer, entra_claims, unsigned
from tests.world import BRIDGE, World

Forge = Callable[[Issuer, dict[str, Any]], str]


def asks(
    world: World, token: str, path: str = "/scim/v2/Users?filter=userName%20eq%20%22x%22", **headers: str
) -> requests.Response:
    return world.http.get(f"{BRIDGE}{path}", headers={"Authorization": f"Bearer {token}", **headers})


def test_entras_own_jwt_is_let_in(world: World, issuer: Issuer):
    """Entra sends it while Secret Token is empty. The keys are fetched once."""
    now = world.clock()
    for claims in (
        entra_claims(now),
        entra_claims(now, aud=["other", AUDIENCE]),
        entra_claims(now, tid=TENANT.upper()),
        entra_claims(now, nbf=None),
        entra_claims(now, idtyp="app"),
        # Entra's newer JWTs.
        entra_claims(now, appid=None, azp=CALLER),
        # Two clocks may be apart.
        entra_claims(now, exp=int(now.timestamp()) - 30),
        entra_claims(now, nbf=int(now.timestamp()) + 30),
    ):
        assert asks(world, issuer.signs(claims)).status_code == 200
    assert asks(world, issuer.signs(entra_claims(now), alg="RS512")).status_code == 200
    assert issuer.fetches == 1


WRONG_CLAIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "foreign issuer": ("jwt-issuer", {"iss": "https://sts.windows.net/00000000-0000-4000-8000-000000000000/"}),
    "issuer without its slash": ("jwt-issuer", {"iss": ISSUER.rstrip("/")}),
    "no issuer": ("jwt-issuer", {"iss": None}),
    "issuer in a list": ("jwt-issuer", {"iss": [ISSUER]}),
    "other audience": ("jwt-audience", {"aud": "api://other"}),
    "no audience": ("jwt-audience", {"aud": None}),
    "strange audience": ("jwt-audience", {"aud": [{"x": 1}, 7]}),
    "other tenant": ("jwt-tid", {"tid": "00000000-0000-4000-8000-000000000000"}),
    "no tenant": ("jwt-tid", {"tid": None}),
    "for a user": ("jwt-delegated", {"scp": "user_impersonation"}),
    "for a user, without a scope": ("jwt-delegated", {"scp": ""}),
    "a guest's": ("jwt-delegated", {"unique_name": "live.com#guest@elsewhere.example"}),
    "a user's, by its type": ("jwt-delegated", {"idtyp": "user"}),
    "without an application": ("jwt-no-application", {"appid": None, "sub": "somebody"}),
    "of an empty application": ("jwt-no-application", {"appid": ""}),
    "of a strange application": ("jwt-no-application", {"appid": [CALLER]}),
    "expired": ("jwt-expired", {"exp": 1}),
    "never ends": ("jwt-no-expiry", {"exp": None}),
    "ends at a text": ("jwt-no-expiry", {"exp": "4000000000"}),
    "ends at infinity": ("jwt-no-expiry", {"exp": float("inf")}),
    "ends at true": ("jwt-no-expiry", {"exp": True}),
    "not yet": ("jwt-not-yet", {"nbf": 4_000_000_000}),
}


@pytest.mark.parametrize("case", WRONG_CLAIMS)
def test_a_jwt_about_something_else_is_401(world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture, case: str):
    """A3, design section 10: issuer, audience, `tid`, expiry; signed by the right key each time."""
    reason, changes = WRONG_CLAIMS[case]
    token = issuer.signs(entra_claims(world.clock(), **changes))

    refused(asks(world, token), caplog, reason, token)
    assert issuer.fetches == 0, "what can be told without a key makes nobody fetch keys"


FORGED: dict[str, tuple[str, Forge]] = {
    "no algorithm": ("jwt-algorithm", lambda _, claims: unsigned(claims)),
    "HS256 with the public key": ("jwt-algorithm", lambda issuer, claims: issuer.forged_with_the_public_key(claims)),
    "another algorithm": ("jwt-algorithm", lambda issuer, claims: issuer.signs(claims, alg="PS256")),
    "another's key under a known name": ("jwt-signature", lambda issuer, claims: _by_another(issuer, claims)),
    "another's key": ("jwt-unknown-key", lambda issuer, claims: issuer.signs(claims, kid="mine")),
    "no key named": ("jwt-no-key-id", lambda issuer, claims: issuer.signs(claims, kid=None)),
    "truncated": ("jwt-signature", lambda issuer, claims: issuer.signs(claims)[:-8]),
    "without signature": ("jwt-signature", lambda issuer, claims: issuer.signs(claims).rpartition(".")[0] + "."),
    "not a JWT": ("jwt-malformed", lambda *_: "a.b.c"),
    "dots": ("jwt-malformed", lambda *_: ".."),
    "a list": ("jwt-malformed", lambda *_: "W10.W10.W10"),
}


def _by_another(issuer: Issuer, claims: dict[str, Any]) -> str:
    other = Issuer()
    other.rotates("key-1")
    return other.signs(claims)


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_jwt_is_401(world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture, case: str):
    """A3: examined, and found wrong; also once the keys are there and a right one was let in."""
    reason, forge = FORGED[case]
    good = issuer.signs(entra_claims(world.clock()))
    assert asks(world, good).status_code == 200
    token = forge(issuer, entra_claims(world.clock()))

    refused(asks(world, token), caplog, reason, token)
    assert asks(world, good).status_code == 200


def test_an_expired_jwt_is_refused_that_was_let_in_before(
    world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture
):
    token = issuer.signs(entra_claims(world.clock()))
    assert asks(world, token).status_code == 200
    world.clock.passes(hours=1, seconds=61)
    answer = asks(world, token)

    refused(answer, caplog, "jwt-expired", token)
    assert "it has expired: compare the clocks" in answer.json()["detail"]


@pytest.mark.parametrize("changes", [{"exp": 1}, {"nbf": 4_000_000_000}], ids=str)
def test_only_whom_the_issuer_has_signed_for_is_told_that_it_is_the_time(
    world: World, issuer: Issuer, changes: dict[str, Any]
):
    """A3, design section 10: a made-up JWT gets the answer of a company that there isn't, whatever the keys at hand."""
    assert asks(world, issuer.signs(entra_claims(world.clock()))).status_code == 200
    claims = entra_claims(world.clock(), **changes)

    told = asks(world, issuer.signs(claims)).json()["detail"]
    elsewhere = issuer.signs({**claims, "tid": "00000000-0000-4000-8000-000000000000"})
    made_up = [_by_another(issuer, claims), issuer.signs(claims, kid=None), elsewhere]
    answers = {asks(world, each).json()["detail"] for each in made_up}
    answers.add(
        asks(world, made_up[0], "/tenants/nobody/scim/v2/Users?filter=userName%20eq%20%22x%22").json()["detail"]
    )

    assert "compare the clocks" in told
    assert len(answers) == 1
    assert "the bridge's log says why" in answers.pop()


def test_a_jwt_is_of_the_company_whose_settings_name_its_tenant(world: World, issuer: Issuer):
    """Design, section 10: another tenant's credential is 401."""
    token = issuer.signs(entra_claims(world.clock()))
    assert asks(world, token, "/tenants/other/scim/v2/Users?filter=userName%20eq%20%22x%22").status_code == 401


def test_without_the_setting_no_jwt_is_let_in(world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture):
    """The audience is the same for every app of every company."""
    world.restarts_with(auth={})
    token = issuer.signs(entra_claims(world.clock()))
    answer = asks(world, token)

    refused(answer, caplog, "entra-not-configured", token)
    assert "AUTH__ENTRA_TENANT_ID" in answer.json()["detail"]


ANOTHER_APP = {"appid": "11111111-0000-4000-8000-000000000001", "oid": "22222222-0000-4000-8000-000000000002"}


@pytest.mark.parametrize("pinned", [CALLER, CALLER.upper(), CALLER_OBJECT], ids=["appid", "capitals", "oid"])
def test_a_pinned_caller_is_let_in_and_no_other_application_of_the_tenant(
    world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture, pinned: str
):
    """Design, section 5: `AUTH__ENTRA_CALLER_IDS`. The log names the other one, once its signature is proven."""
    assert asks(world, issuer.signs(entra_claims(world.clock(), **ANOTHER_APP))).status_code == 200
    auth = {"entra_tenant_id": TENANT, "entra_jwks_url": issuer.url, "entra_caller_ids": [pinned]}
    world.restarts_with(auth=auth)

    assert asks(world, issuer.signs(entra_claims(world.clock()))).status_code == 200
    token = issuer.signs(entra_claims(world.clock(), **ANOTHER_APP))
    answer = asks(world, token)
    refused(answer, caplog, "jwt-caller", token)
    assert ANOTHER_APP["appid"] in caplog.text
    assert "AUTH__ENTRA_CALLER_IDS" in answer.json()["detail"]

    caplog.clear()
    forged = _by_another(issuer, entra_claims(world.clock(), appid="33333333-0000-4000-8000-000000000003"))
    refused(asks(world, forged), caplog, "jwt-signature", forged)
    assert "33333333" not in caplog.text


def test_a_new_key_is_fetched_at_once_and_the_old_one_counts_no_more(world: World, issuer: Issuer):
    old = issuer.signs(entra_claims(world.clock()))
    assert asks(world, old).status_code == 200
    issuer.rotates()

    assert asks(world, issuer.signs(entra_claims(world.clock()), kid="key-2")).status_code == 200
    assert asks(world, old).status_code == 401


def test_unknown_keys_are_asked_for_at_a_bounded_rate(world: World, issuer: Issuer):
    """Design, section 10: a stranger who makes up key ids costs Microsoft two requests a minute."""
    claims = entra_claims(world.clock(), exp=int(world.clock().timestamp()) + 9999)
    for number in range(20):
        assert asks(world, issuer.signs(claims, kid=f"made-up-{number}")).status_code == 401
    assert issuer.fetches == 2
    world.clock.passes(seconds=31)
    assert asks(world, issuer.signs(claims, kid="made-up")).status_code == 401
    assert issuer.fetches == 3


BROKEN = {
    "error": Response("sorry", 500),
    "redirect": Response("", 302, {"Location": "?again"}),
    "page": Response("<html>", 200),
    "no keys": Response('{"keys": []}', 200),
    "endless": Response("x" * 600_000, 200),
}


@pytest.mark.parametrize("how", BROKEN)
def test_keys_that_cannot_be_had_are_503_and_known_ones_go_on(world: World, issuer: Issuer, how: str):
    """A3: keys that can't be had for an unknown `kid` because the last fetch failed: 503 with `Retry-After`."""
    issuer.answer = BROKEN[how]
    token = issuer.signs(entra_claims(world.clock()))
    for _ in range(3):
        answer = asks(world, token)
        assert answer.status_code == 503
        assert 0 < int(answer.headers["Retry-After"]) <= 30
    assert issuer.fetches == 1
    issuer.answer = None
    world.clock.passes(seconds=31)
    assert asks(world, token).status_code == 200

    issuer.answer = BROKEN[how]
    issuer.rotates()
    assert asks(world, issuer.signs(entra_claims(world.clock()), kid="key-2")).status_code == 503
    assert asks(world, token).status_code == 200


def test_the_last_good_keys_are_kept_while_no_one_answers(world: World, issuer: Issuer):
    """And old keys are fetched again, so that one that was withdrawn ends."""
    far = int(world.clock().timestamp()) + 10 * 86400
    token = issuer.signs(entra_claims(world.clock(), exp=far))
    assert asks(world, token).status_code == 200
    issuer.answer = BROKEN["error"]
    world.clock.passes(hours=7)
    assert [asks(world, token).status_code for _ in range(3)] == [200, 200, 200]
    assert issuer.fetches == 2
    issuer.answer = None
    issuer.rotates()
    world.clock.passes(minutes=1)
    assert asks(world, token).status_code == 401


def refused(answer: requests.Response, caplog: pytest.LogCaptureFixture, reason: str, token: str) -> None:
    """401 with a challenge, and one line with the reason; the token is in neither."""
    assert answer.status_code == 401
    assert 'error="invalid_token", error_description="' in answer.headers["WWW-Authenticate"]
    (line,) = [record.getMessage() for record in caplog.records if "auth.refused" in record.getMessage()]
    assert reason in line
    for text in (caplog.text, answer.text, str(answer.headers)):
        assert len(token) < 8 or token not in text
