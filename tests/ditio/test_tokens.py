"""Tokens: one for many calls, fetched by one thread, renewed early, and once only after a 401."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from werkzeug.wrappers import Response

from scim_bridge.ditio.token import tokens_of
from scim_bridge.domain.operations import OperationName
from scim_bridge.errors import CredentialsRefused, DeliveryError, RateLimited, TransientError, Unreached
from scim_bridge.http.limiter import Limiter
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import Style

from .conftest import KARI, SECRET, a_call, a_creation, everything_said


def test_one_token_serves_many_calls(client, ditio, world):
    """Ditio, "Authentication": "never one token per call"."""
    ditio.plant("1042")

    for _ in range(20):
        client.get(KARI)

    assert (world.tokens_fetched, world.api_calls) == (1, 20)


def test_eight_threads_fetch_one_token(world, ditio):
    ditio.plant("1042")
    client = world.client()
    start = threading.Barrier(8)

    def reads(_: int) -> bool:
        start.wait()
        return client.get(KARI) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(reads, range(8)))

    assert world.tokens_fetched == 1


def test_eight_threads_renew_a_revoked_token_once(world, ditio):
    ditio.plant("1042")
    client = world.client()
    client.get(KARI)
    ditio.revoke_tokens()
    start = threading.Barrier(8)

    def reads(_: int) -> bool:
        start.wait()
        return client.get(KARI) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(reads, range(8)))

    assert world.tokens_fetched == 2


@pytest.mark.parametrize(("life", "early"), [(1800, 60), (100, 20), (86400, 60)])
def test_a_token_is_renewed_before_it_ends(world, ditio, clock, life, early):
    """R4: "A token is renewed min(60 s, 20 % of its life) before it ends"."""
    ditio.style = Style(token_seconds=life)
    client = world.client()
    client.get(KARI)

    clock.passes(life - early - 0.5)
    client.get(KARI)
    assert world.tokens_fetched == 1

    clock.passes(0.5)
    client.get(KARI)
    assert world.tokens_fetched == 2
    assert all(call.status != 401 for call in ditio.calls())


@pytest.mark.parametrize("write", [False, True])
def test_a_401_renews_once_and_repeats_once(client, ditio, world, write):
    """R2: "401: renew once, repeat once"."""
    ditio.plant("1042")
    client.get(KARI)
    ditio.revoke_tokens()

    if write:
        client.send(*a_call(OperationName.disable))
    else:
        client.get(KARI)

    assert world.tokens_fetched == 2
    assert [call.status for call in ditio.calls(containing="employees")] == [200, 401, 200]


def test_a_disabled_client_starts_no_refresh_loop(client, ditio, world):
    """Ditio, "Authentication": "avoid repeated token refreshes for the same 401"."""
    ditio.client_disabled = True

    with pytest.raises(CredentialsRefused) as refused:
        client.send(*a_creation())

    assert (world.tokens_fetched, world.api_calls) == (2, 2)
    assert refused.value.status == 401
    for cause in ("deleted", "disabled", "ValidUntil", "scopes", "emulation user"):
        assert cause in str(refused.value)


def test_a_403_is_not_repeated(client, ditio, world):
    ditio.forbidden = True

    with pytest.raises(CredentialsRefused, match="emulation user") as refused:
        client.get(KARI)

    assert (world.tokens_fetched, world.api_calls, refused.value.status) == (1, 1, 403)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_secret": "wrong-secret"},
        {"scope": "unknown"},
        {"identity_url": "https://ditio.test/x"},
    ],
)
def test_refused_credentials_name_the_settings_and_the_environment(world, changes):
    with pytest.raises(CredentialsRefused) as refused:
        world.client(**changes).check()

    message = str(refused.value)
    assert "DITIO__IDENTITY_URL" in message
    if "identity_url" not in changes:
        for words in ("DITIO__CLIENT_ID", "DITIO__CLIENT_SECRET", "DITIO__SCOPE", "same environment"):
            assert words in message
    assert len(world.sent) == 1


def test_a_thread_that_waited_for_a_refused_fetch_does_not_repeat_it(world):
    """R2 again: what was refused a moment ago is refused to everyone who waited for it."""
    second_waits = threading.Event()
    first = threading.current_thread()

    def monotonic() -> float:
        if threading.current_thread() is not first:
            second_waits.set()
        return 0.0

    def sessions() -> requests.Session:
        pool.submit(refused_for, "second")
        assert second_waits.wait(5)
        return world.session()

    def refused_for(who: str) -> None:
        with pytest.raises(CredentialsRefused):
            tokens.current(within=20.0)
        done.append(who)

    done: list[str] = []
    config = world.config(client_secret="wrong-secret")
    tokens = tokens_of(
        config, limiter=Limiter(1, monotonic=monotonic), sessions=sessions, monotonic=monotonic, now=world.clock.now
    )
    with ThreadPoolExecutor(1) as pool:
        refused_for("first")

    assert sorted(done) == ["first", "second"]
    assert world.tokens_fetched == 1


def test_a_thread_waits_for_the_token_no_longer_than_its_own_time(world):
    """A4: "Each Ditio call's time-out is the smaller of its setting and what is left"."""

    def sessions() -> requests.Session:
        with ThreadPoolExecutor(1) as pool:
            waiting.append(pool.submit(tokens.current, within=0.01).exception())
        return world.session()

    waiting: list[BaseException | None] = []
    tokens = tokens_of(
        world.config(),
        limiter=Limiter(1, monotonic=world.clock.monotonic),
        sessions=sessions,
        monotonic=world.clock.monotonic,
        now=world.clock.now,
    )

    assert tokens.current(within=20.0)
    assert isinstance(waiting[0], TransientError)
    assert not waiting[0].ambiguous
    assert world.tokens_fetched == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", status=500), TransientError),
        (Fault("html", status=503), TransientError),
        (Fault("status", status=429, retry_after="9"), RateLimited),
        (Fault("refused-connection"), Unreached),
        (Fault("timeout-before"), TransientError),
        (Fault("reset-after"), TransientError),
        (Fault("html", status=200), TransientError),
        (Fault("status", status=200), CredentialsRefused),
        (Fault("status", status=403), CredentialsRefused),
        (Fault("html", status=302), CredentialsRefused),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else None,
)
def test_trouble_with_the_identity_server_sends_nothing_to_the_api(client, ditio, world, fault, error):
    ditio.faults.plan(fault)

    with pytest.raises(DeliveryError) as raised:
        client.send(*a_creation())

    assert type(raised.value) is error
    assert not getattr(raised.value, "ambiguous", False)
    assert getattr(raised.value, "retry_after_seconds", None) == (9.0 if error is RateLimited else None)
    assert world.api_calls == 0

    client.send(*a_creation())
    assert ditio.employee("1042").first_name == "Kari"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_secret_follows_no_redirect(world, client, status):
    """A person who answers for the identity server can't have the client secret posted elsewhere."""
    redirect = Response(status=status, headers={"Location": "https://ditio.test/elsewhere"})
    world.token_answers.append(redirect)

    with pytest.raises(CredentialsRefused, match="DITIO__IDENTITY_URL seems wrong"):
        client.send(*a_creation())

    assert [request.url for request in world.sent] == ["https://ditio.test/connect/token"]


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "{}", '{"access_token": ""}', '{"access_token": 7}', '{"access_token": "a\\nb"}', "[" * 10**5],
)
def test_an_answer_without_a_token_is_tried_again(world, client, body):
    world.token_answers.append(Response(body, content_type="application/json"))

    with pytest.raises(TransientError, match="DITIO__IDENTITY_URL") as error:
        client.send(*a_creation())

    assert not error.value.ambiguous
    assert world.api_calls == 0


@pytest.mark.parametrize("life", ["", ', "expires_in": 0', ', "expires_in": null', ', "expires_in": -1'])
def test_a_token_of_unknown_life_is_kept_for_a_while(world, client, clock, life):
    world.token_answers.append(Response('{"access_token": "unknown-life"' + life + "}"))
    world.answers(200, "[]")
    world.answers(200, "[]")

    client.search("x")
    clock.passes(200)
    client.search("x")

    assert len(world.sent) == 3


def test_the_token_request_is_the_documented_one(client, world):
    client.check()

    token = world.sent[0]
    assert (token.method, token.url) == ("POST", "https://ditio.test/connect/token")
    form = dict(part.split("=") for part in token.body.split("&"))
    assert form.keys() == {"grant_type", "client_id", "client_secret", "scope"}
    assert form["grant_type"] == "client_credentials"
    assert "Authorization" not in token.headers


def test_no_error_shows_a_secret_or_a_token(world, ditio):
    errors = []

    def tries(client, call):
        with pytest.raises(DeliveryError) as error:
            call(client)
        errors.append(error.value)

    tries(world.client(client_id="nobody"), lambda client: client.check())
    client = world.client()
    for kind in ("status", "html", "timeout-after", "reset-after", "refused-connection"):
        ditio.faults.plan(Fault(kind, path="connect"))
        tries(client, lambda client: client.check())
        client.check()
        ditio.faults.plan(Fault(kind, path="employees"))
        tries(client, lambda client: client.send(*a_creation()))
        client = world.client()
    ditio.client_disabled = True
    tries(client, lambda client: client.check())

    assert len(errors) == 12
    said = "\n".join(map(everything_said, errors))
    assert SECRET not in said
    assert "sandbox-1" not in said
    assert SECRET not in repr(world.config())
