"""`/oauth/token`: client credentials by Basic and in the body, workload assertions, and what they are given."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import requests
from gunicorn.http.errors import InvalidChunkSize
from werkzeug.test import TestResponse

from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.web.issuer import Issuer, assertion_claims, entra_claims, unsigned
from tests.world import BRIDGE, TOKEN, World

URL = f"{BRIDGE}/oauth/token"
GRANT = {"grant_type": "client_credentials"}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECRET, OTHER = "first:secret", "second secret%"


@pytest.fixture
def client(world: World) -> World:
    """A client with two secrets that count, one that has expired, and a client that was revoked."""
    now = world.clock()
    with world.database.write() as s:
        clients = s.of("default").clients
        clients.add("entra", "Entra", SECRET, expires_at=None)
        clients.rotate("entra", OTHER, expires_at=None)
        clients.rotate("entra", "ended", expires_at=now)
        clients.add("gone", "Gone", "gone-secret", expires_at=None)
        clients.revoke("gone")
        s.of("other").at(now).clients.add("theirs", "Theirs", "their-secret", expires_at=None)
    return world


def fetches(world: World, form: Mapping[str, Any], authorization: str | None = None, **more: Any) -> requests.Response:
    """A request to the token endpoint."""
    return world.http.post(URL, data=form, headers={"Authorization": authorization}, **more)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def presented(assertion: str, **changes: Any) -> dict[str, Any]:
    return {**GRANT, "client_assertion_type": ASSERTION, "client_assertion": assertion, **changes}


def lets_in(world: World, answer: requests.Response) -> bool:
    """Whether the access token of an answer opens the SCIM endpoints."""
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return world.http.get(f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22", headers=headers).status_code == 200


def test_a_client_signs_in_by_basic_and_in_the_body_with_either_secret(client: World):
    """Entra: HTTP Basic or body credentials, two active secrets (RFC 6749 §2.3.1, §4.4)."""
    for secret in (SECRET, OTHER):
        encoded = requests.utils.quote(secret, safe="")
        for answer in (
            fetches(client, GRANT, basic("entra", encoded)),
            fetches(client, {**GRANT, "client_id": "entra", "client_secret": secret}),
            fetches(client, {**GRANT, "client_id": "entra"}, basic("entra", encoded)),
            fetches(client, {**GRANT, "scope": "anything"}, basic("entra", encoded)),
        ):
            assert lets_in(client, answer)
            assert answer.headers["Cache-Control"] == "no-store"
            body = answer.json()
            assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
            assert body["access_token"].startswith("scimbat_")


def test_an_assertion_is_given_a_token_as_often_as_it_is_presented(world: World, issuer: Issuer):
    """Design, section 10: until it expires; Entra sends no `jti` and repeats a lost answer."""
    assertion = issuer.signs(assertion_claims(world.clock()))

    first, second = fetches(world, presented(assertion)), fetches(world, presented(assertion, client_id="an app"))

    assert lets_in(world, first)
    assert lets_in(world, second)
    assert first.json()["access_token"] != second.json()["access_token"]


def test_an_access_token_counts_for_its_hour(client: World, issuer: Issuer):
    answers = [
        fetches(client, GRANT, basic("entra", "first:secret")),
        fetches(client, presented(issuer.signs(assertion_claims(client.clock())))),
    ]
    client.clock.passes(minutes=59)
    assert all(lets_in(client, answer) for answer in answers)
    client.clock.passes(minutes=2)
    assert not any(lets_in(client, answer) for answer in answers)


def test_the_tokens_of_a_revoked_client_end_with_it(client: World):
    answer = fetches(client, GRANT, basic("entra", SECRET))
    assert lets_in(client, answer)
    with client.database.write("default") as s:
        s.at(client.clock()).clients.revoke("entra")

    assert not lets_in(client, answer)
    assert fetches(client, GRANT, basic("entra", SECRET)).status_code == 401


def test_the_tokens_of_a_workload_end_with_the_settings_that_named_it(world: World, issuer: Issuer):
    answer = fetches(world, presented(issuer.signs(assertion_claims(world.clock()))))
    assert lets_in(world, answer)
    auth = world.parts.settings.auth.model_dump()

    world.restarts_with(auth={**auth, "workload_subject": "somebody else"})
    assert not lets_in(world, answer)
    world.restarts_with(auth={})
    assert not lets_in(world, answer)


def test_an_access_token_is_of_one_company(client: World):
    token = fetches(client, GRANT, basic("entra", SECRET)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (
        client.http.get(
            f"{BRIDGE}/tenants/other/scim/v2/Users?filter=userName%20eq%20%22x%22", headers=headers
        ).status_code
        == 401
    )


STRANGERS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "wrong secret by Basic": ("client", {}, basic("entra", "guessed")),
    "wrong secret in the body": ("client", {"client_id": "entra", "client_secret": "guessed"}, None),
    "truncated secret": ("client-secret-mutilated", {}, basic("entra", "scimbcs_abc")),
    "expired secret": ("client-secret-ended", {}, basic("entra", "ended")),
    "unknown client": ("client", {}, basic("nobody", SECRET)),
    "revoked client": ("client-secret-ended", {}, basic("gone", "gone-secret")),
    "another company's client": ("client", {}, basic("theirs", "their-secret")),
    "another client's secret": ("client", {"client_id": "gone", "client_secret": SECRET}, None),
    "no credential": ("no-client", {}, None),
    "no secret": ("no-client", {"client_id": "entra"}, None),
    "a bearer token": ("no-client", {}, f"Bearer {TOKEN}"),
    "no base64": ("basic-malformed", {}, "Basic ***"),
    "no text": ("basic-malformed", {}, "Basic /////w=="),
    "no colon": ("basic-malformed", {}, "Basic " + base64.b64encode(b"entra").decode()),
    "a NUL": ("client", {}, basic("en%00tra", "x")),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_a_wrong_client_is_invalid_client(client: World, caplog: pytest.LogCaptureFixture, case: str):
    """RFC 6749 §5.2: 401 with a challenge; unknown and wrong are answered alike, and the log has the reason."""
    reason, form, authorization = STRANGERS[case]

    answer = fetches(client, {**GRANT, **form}, authorization)

    refused(answer, caplog, reason)
    for secret in (SECRET, "guessed", "their-secret"):
        assert secret not in caplog.text + answer.text


WRONG_ASSERTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "issuer": ("assertion-issuer", {"iss": "https://login.microsoftonline.com/other/v2.0"}),
    "audience": ("assertion-audience", {"aud": "api://other"}),
    "subject": ("assertion-subject", {"sub": "somebody else"}),
    "no subject": ("assertion-subject", {"sub": None}),
    "expired": ("assertion-expired", {"exp": 1}),
}


@pytest.mark.parametrize("case", WRONG_ASSERTIONS)
def test_a_wrong_assertion_is_invalid_client(world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture, case: str):
    reason, changes = WRONG_ASSERTIONS[case]
    assertion = issuer.signs(assertion_claims(world.clock(), **changes))

    refused(fetches(world, presented(assertion)), caplog, reason)
    assert assertion not in caplog.text


@pytest.mark.parametrize("case", ["none", "HS256", "foreign key", "truncated", "empty", "entra's own", "wrong type"])
def test_a_forged_assertion_is_invalid_client(
    world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture, case: str
):
    claims = assertion_claims(world.clock())
    forged, reason = {
        "none": (presented(unsigned(claims)), "assertion-algorithm"),
        "HS256": (presented(issuer.forged_with_the_public_key(claims)), "assertion-algorithm"),
        "foreign key": (presented(issuer.signs(claims, kid="mine")), "assertion-unknown-key"),
        "truncated": (presented(issuer.signs(claims)[:-9]), "assertion-signature"),
        "empty": (presented(""), "assertion-malformed"),
        "entra's own": (presented(issuer.signs(entra_claims(world.clock()))), "assertion-issuer"),
        "wrong type": (presented(issuer.signs(claims), client_assertion_type="x"), "assertion-type"),
    }[case]

    refused(fetches(world, forged), caplog, reason)


def test_an_assertion_is_refused_once_it_has_expired(world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture):
    assertion = issuer.signs(assertion_claims(world.clock()))
    assert fetches(world, presented(assertion)).status_code == 200
    world.clock.passes(hours=1, seconds=61)
    answer = fetches(world, presented(assertion))

    refused(answer, caplog, "assertion-expired")
    assert "it has expired: compare the clocks" in answer.json()["error_description"]


def test_an_assertion_is_no_bearer_token(world: World, issuer: Issuer):
    headers = {"Authorization": f"Bearer {issuer.signs(assertion_claims(world.clock()))}"}
    assert world.http.get(f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22", headers=headers).status_code == 401


def test_without_the_setting_no_assertion_counts(world: World, issuer: Issuer, caplog: pytest.LogCaptureFixture):
    world.restarts_with(auth={})
    answer = fetches(world, presented(issuer.signs(assertion_claims(world.clock()))))
    refused(answer, caplog, "workload-not-configured")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "kari", "password": "x"}, "unsupported_grant_type"),
        ({"grant_type": "påsswørd"}, "unsupported_grant_type"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, "invalid_request"),
    ],
)
def test_a_wrong_request_is_400(client: World, form: dict[str, Any], error: str):
    """RFC 6749 §5.2. A right credential does not make it right."""
    answer = fetches(client, form, basic("entra", SECRET))
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["Cache-Control"] == "no-store"


def test_parameters_of_the_query_and_json_do_not_count(client: World):
    """Addresses end up in the logs of proxies."""
    sent = {**GRANT, "client_id": "entra", "client_secret": SECRET}
    for more in ({"params": sent}, {"json": sent}):
        assert client.http.post(URL, **more).status_code == 400
    assert client.http.get(URL, params=sent).status_code == 405
    assert fetches(client, {**sent, "more": "x" * 40_000}).status_code == 413


@pytest.mark.parametrize("body", [{"client_id": "entra", "client_secret": SECRET}, {"client_secret": "another"}])
def test_a_client_that_authenticates_twice_at_once_is_told_so(client: World, body: dict[str, str]):
    """RFC 6749 §2.3: "MUST NOT use more than one authentication method in each request"."""
    answer = fetches(client, {**GRANT, **body}, basic("entra", SECRET))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "by HTTP Basic and by client_secret in the body" in answer.json()["error_description"]
    assert SECRET not in answer.text
    # The id alone authenticates nobody, so it may stand in both.
    assert fetches(client, {**GRANT, "client_id": "entra"}, basic("entra", SECRET)).status_code == 200


def test_an_assertion_beside_a_secret_is_refused_before_it_is_read(world: World, issuer: Issuer):
    """RFC 7521 §4.2: it is one of the methods, of which a client uses one."""
    form = presented(issuer.signs(assertion_claims(world.clock())))
    answer = fetches(world, {**form, "client_secret": "x"}, basic("entra", "x"))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "client_assertion" in answer.json()["error_description"]


def test_keys_out_of_reach_are_503(world: World, issuer: Issuer):
    """A3: never 401 for what could not be examined."""
    issuer.pairs = {}
    answer = fetches(world, presented(issuer.signs(assertion_claims(world.clock()))))
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_database_out_of_reach_is_503(world: World, clock: Clock):
    """A3: 401 would quarantine Entra's job."""
    world.database = Database("postgresql://nobody@/none?host=/nowhere", clock=clock)
    world.restarts_with()
    answer = fetches(world, GRANT, basic("entra", SECRET))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "nowhere" not in answer.text


def test_a_body_that_breaks_off_is_400_and_is_counted(world: World):
    """A2, A3: 5xx is never answered for something a client sent, and who sends nothing else is told to wait."""

    class Broken:
        def read(self, *_: object) -> bytes:
            raise InvalidChunkSize(b"client_secret=secret")

    def sends() -> TestResponse:
        return world.app.test_client().post(
            "/oauth/token",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input": Broken(), "wsgi.input_terminated": True},
        )

    answers = [sends() for _ in range(61)]
    assert [answer.status_code for answer in answers] == [400] * 60 + [429]
    assert answers[0].json is not None
    assert answers[0].json["error"] == "invalid_request"
    assert "secret=" not in answers[0].text


def test_access_tokens_that_have_ended_are_forgotten(client: World):
    """The table does not grow with the hours."""
    for _ in range(3):
        fetches(client, GRANT, basic("entra", SECRET))
        client.clock.now += timedelta(hours=2)
    with client.database.read() as s:
        assert s.connection.exec_driver_sql("SELECT count(*) FROM access_tokens").scalar_one() == 1


def refused(answer: requests.Response, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"] == "invalid_client"
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="token", error="invalid_client"')
    assert answer.headers["Cache-Control"] == "no-store"
    (line,) = [record.getMessage() for record in caplog.records if "auth.refused" in record.getMessage()]
    assert f"'reason': '{reason}'" in line or f"reason={reason}" in line
