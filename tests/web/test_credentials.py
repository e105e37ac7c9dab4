"""Every way in with every wrong credential: one table. 401 each time, and the operator reads why (rule A3)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import requests

from scim_bridge.storage.credentials import ACCESS_TOKEN, CLIENT_SECRET, TOKEN, new_secret
from tests.redaction import WATCH
from tests.web.issuer import Issuer, assertion_claims, entra_claims, unsigned
from tests.web.test_oauth import GRANT, basic, fetches, presented
from tests.world import BRIDGE, World

sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

HOURS = timedelta(hours=1)
ELSEWHERE = "00000000-0000-4000-8000-000000000000"
ANOTHER_ISSUER = f"https://sts.windows.net/{ELSEWHERE}/"


class Stage:
    """A company with a token and a client that count for two hours; another company with its own."""

    def __init__(self, world: World, issuer: Issuer) -> None:
        self.world, self.issuer, now = world, issuer, world.clock()
        self.token, self.secret = new_secret(TOKEN), new_secret(CLIENT_SECRET)
        self.their_token, self.their_secret = new_secret(TOKEN), new_secret(CLIENT_SECRET)
        with world.database.write() as s:
            ours, end = s.of("default").tokens, now + 2 * HOURS
            ours.add("ours", "Entra", self.token, expires_at=end)
            ours.add("gone", "Entra", gone := new_secret(TOKEN), expires_at=None)
            ours.revoke("gone")
            s.of("default").at(now).clients.add("entra", "Entra", self.secret, expires_at=end)
            s.of("other").at(now).tokens.add("theirs", "Entra", self.their_token, expires_at=None)
            s.of("other").at(now).clients.add("theirs", "Entra", self.their_secret, expires_at=None)
        self.revoked = gone

    def bearer(self, token: str) -> requests.Response:
        return self.world.http.get(
            f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22", headers={"Authorization": f"Bearer {token}"}
        )

    def by_basic(self, client: str, secret: str) -> requests.Response:
        return fetches(self.world, GRANT, basic(client, secret))

    def in_body(self, client: str, secret: str) -> requests.Response:
        return fetches(self.world, {**GRANT, "client_id": client, "client_secret": secret})

    def assertion(self, text: str) -> requests.Response:
        return fetches(self.world, presented(text))

    def entra(self, **changes: Any) -> dict[str, Any]:
        return entra_claims(self.world.clock(), **changes)

    def workload(self, **changes: Any) -> dict[str, Any]:
        return assertion_claims(self.world.clock(), **changes)

    def access_token(self) -> str:
        return str(self.by_basic("entra", self.secret).json()["access_token"])

    def let_in(self, ask: Callable[[], requests.Response]) -> Callable[[], requests.Response]:
        """The same once more, long after it was let in."""
        assert ask().status_code == 200
        self.world.clock.passes(hours=3)
        return ask


Ask = Callable[[], requests.Response]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A credential that is not to be let in."""

    way: str
    what: str
    reason: str
    """What the log says."""

    prepare: Callable[[Stage], Ask]
    """Makes it, and what sends it."""

    def __str__(self) -> str:
        return f"{self.way}: {self.what}"


def _signed(way: str, prefix: str, send: Callable[[Stage, str], requests.Response], claims: Any) -> list[Wrong]:
    """All that can be wrong with a JWT; `claims` makes those that are right."""

    def row(what: str, reason: str, make: Callable[[Stage], str]) -> Wrong:
        def prepare(stage: Stage) -> Ask:
            text = make(stage)
            return lambda: send(stage, text)

        return Wrong(way, what, f"{prefix}-{reason}", prepare)

    def replayed(stage: Stage) -> Ask:
        text = stage.issuer.signs(claims(stage))
        return stage.let_in(lambda: send(stage, text))

    return [
        row("forged, with a key of another's", "unknown-key", lambda s: s.issuer.signs(claims(s), kid="mine")),
        row("forged, under the issuer's key id", "signature", lambda s: _by_another(claims(s))),
        row("expired", "expired", lambda s: s.issuer.signs(claims(s, exp=1))),
        row("an end that is no instant", "no-expiry", lambda s: s.issuer.signs(claims(s, exp=10**400))),
        row("a beginning that is no instant", "not-yet", lambda s: s.issuer.signs(claims(s, nbf=-(10**400)))),
        row("algorithm none", "algorithm", lambda s: unsigned(claims(s))),
        row("HS256 with the public key", "algorithm", lambda s: s.issuer.forged_with_the_public_key(claims(s))),
        row("wrong issuer", "issuer", lambda s: s.issuer.signs(claims(s, iss=ANOTHER_ISSUER))),
        row("wrong audience", "audience", lambda s: s.issuer.signs(claims(s, aud="api://other"))),
        row("truncated in its signature", "signature", lambda s: s.issuer.signs(claims(s))[:-9]),
        row("truncated in its claims", "malformed", lambda s: s.issuer.signs(claims(s))[:60] + "."),
        Wrong(way, "expired, and replayed", f"{prefix}-expired", replayed),
    ]


def _by_another(claims: dict[str, Any]) -> str:
    other = Issuer()
    other.rotates("key-1")
    return other.signs(claims)


def _client(way: str, send: Callable[[Stage, str, str], requests.Response]) -> list[Wrong]:
    """All that can be wrong with a client and its secret."""

    def row(what: str, reason: str, made: Callable[[Stage], tuple[str, str]]) -> Wrong:
        return Wrong(way, what, reason, lambda stage: lambda: send(stage, *made(stage)))

    return [
        row("forged", "client", lambda s: ("entra", new_secret(CLIENT_SECRET))),
        row("foreign", "client", lambda s: ("theirs", s.their_secret)),
        row("a foreign secret", "client", lambda s: ("entra", s.their_secret)),
        row("truncated", "client-secret-mutilated", lambda s: ("entra", s.secret[:-3])),
        Wrong(
            way, "expired, and replayed", "client-secret-ended", lambda s: s.let_in(lambda: send(s, "entra", s.secret))
        ),
    ]


def _bearer(way: str, what: str, reason: str, made: Callable[[Stage], str]) -> Wrong:
    def prepare(stage: Stage) -> Ask:
        text = made(stage)
        return lambda: stage.bearer(text)

    return Wrong(way, what, reason, prepare)


def _replayed_access_token(stage: Stage) -> Ask:
    text = stage.access_token()
    return stage.let_in(lambda: stage.bearer(text))


def _not_ours(stage: Stage) -> Ask:
    text = stage.issuer.signs(stage.workload(sub="somebody else"))
    return lambda: stage.assertion(text)


WRONG = [
    _bearer("token", "forged", "unknown-token", lambda _: new_secret(TOKEN)),
    _bearer("token", "foreign", "unknown-token", lambda s: s.their_token),
    _bearer("token", "revoked", "revoked", lambda s: s.revoked),
    _bearer("token", "truncated", "mutilated", lambda s: s.token[:-3]),
    Wrong("token", "expired, and replayed", "expired", lambda s: s.let_in(lambda: s.bearer(s.token))),
    _bearer("access token", "forged", "access-token-ended", lambda _: new_secret(ACCESS_TOKEN)),
    _bearer("access token", "truncated", "access-token-mutilated", lambda s: s.access_token()[:-3]),
    Wrong("access token", "expired, and replayed", "access-token-ended", _replayed_access_token),
    *_client("client by Basic", Stage.by_basic),
    *_client("client in the body", Stage.in_body),
    *_signed("workload", "assertion", Stage.assertion, Stage.workload),
    Wrong("workload", "wrong subject", "assertion-subject", _not_ours),
    *_signed("Entra itself", "jwt", Stage.bearer, Stage.entra),
    _bearer("Entra itself", "wrong tid", "jwt-tid", lambda s: s.issuer.signs(s.entra(tid=ELSEWHERE))),
    _bearer("Entra itself", "no tid", "jwt-tid", lambda s: s.issuer.signs(s.entra(tid=None))),
    _bearer("Entra itself", "a user's", "jwt-delegated", lambda s: s.issuer.signs(s.entra(scp="User.Read"))),
    _bearer("Entra itself", "no application", "jwt-no-application", lambda s: s.issuer.signs(s.entra(appid=None))),
    _bearer("Entra itself", "a workload's assertion", "jwt-issuer", lambda s: s.issuer.signs(s.workload())),
]


@pytest.fixture
def stage(world: World, issuer: Issuer) -> Stage:
    return Stage(world, issuer)


@sqlite
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_credential_is_401_with_a_challenge_and_a_reason(
    stage: Stage, caplog: pytest.LogCaptureFixture, wrong: Wrong
):
    """A3; design, section 10; RFC 6750 §3, RFC 6749 §5.2: what to do for the client, why for the operator."""
    ask = wrong.prepare(stage)
    caplog.clear()
    answer = ask()

    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    scheme, error = ("Basic", "invalid_client") if answer.url.endswith("/oauth/token") else ("Bearer", "invalid_token")
    assert challenge.startswith(f'{scheme} realm="')
    assert f'error="{error}", error_description="' in challenge
    assert len(challenge.split('error_description="')[1]) > 10
    lines: list[Any] = [each.msg for each in caplog.records if "auth.refused" in each.getMessage()]
    assert [(line["reason"], line["tenant"], line["address"]) for line in lines] == [
        (wrong.reason, "default", "127.0.0.1")
    ]


@sqlite
def test_a_person_who_has_read_the_database_has_nothing_to_sign_in_with(stage: Stage):
    """Design, section 10: what is stored is a hash."""
    with stage.world.database.read() as s:
        stored = str(s.connection.exec_driver_sql("SELECT secret_hash FROM tokens WHERE id = 'ours'").scalar_one())
    assert stage.bearer(stored).status_code == 401
    WATCH.secrets.discard(stored)  # It is none, and is in the database.


RIGHT: dict[str, Callable[[Stage], requests.Response]] = {
    "token": lambda s: s.bearer(s.token),
    "client by Basic": lambda s: s.bearer(s.by_basic("entra", s.secret).json()["access_token"]),
    "client in the body": lambda s: s.bearer(s.in_body("entra", s.secret).json()["access_token"]),
    "workload": lambda s: s.bearer(s.assertion(s.issuer.signs(s.workload())).json()["access_token"]),
    "Entra itself": lambda s: s.bearer(s.issuer.signs(s.entra())),
}


@sqlite
@pytest.mark.parametrize("way", RIGHT)
def test_a_right_one_is_let_in_also_among_many_wrong_ones(stage: Stage, caplog: pytest.LogCaptureFixture, way: str):
    """A3: a valid credential is never refused because of other requests."""
    assert RIGHT[way](stage).status_code == 200
    assert "auth.refused" not in caplog.text
    for _ in range(70):
        stage.bearer(new_secret(TOKEN))
    assert stage.bearer(new_secret(TOKEN)).status_code == 429
    assert RIGHT[way](stage).status_code == 200


def test_the_table_names_every_reason_for_a_jwt_that_is_forged_or_foreign():
    """No one takes a row out unnoticed."""
    ways = {wrong.way for wrong in WRONG}
    assert ways == {"token", "access token", "client by Basic", "client in the body", "workload", "Entra itself"}
    for way in ways - {"access token"}:
        kinds = " ".join(wrong.what for wrong in WRONG if wrong.way == way)
        assert all(kind in kinds for kind in ("forged", "expired, and replayed", "truncated"))
