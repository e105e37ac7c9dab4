"""Signing in with Entra: who gets which role, and forged, replayed and misdirected sign-ins that are refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from scim_bridge.domain.audit import Role
from scim_bridge.settings import Settings, unservable
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.console.conftest import Visitor, link
from tests.console.provider import CLIENT, SECRET, Provider, parameters, serving
from tests.web.issuer import unsigned
from tests.world import BRIDGE, World


@pytest.fixture
def provider(clock: Clock) -> Iterator[Provider]:
    with serving(Provider(clock)) as provider:
        yield provider


@pytest.fixture
def world(database: Database, clock: Clock, provider: Provider) -> World:
    console = {
        "enabled": True,
        "oidc_issuer": provider.url,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "operators": ["ops"],
        "viewers": ["readers", "group-7"],
    }
    return World(database, clock, settings={"console": console})


@pytest.fixture
def kari(world: World) -> Visitor:
    return Visitor(world.app.test_client())


def goes(kari: Visitor, path: str = "/console/-/entra") -> str:
    """The address of the issuer's page, to which the browser is sent."""
    answer = kari.get(path)
    assert answer.status_code == 303
    return answer.headers["Location"]


def comes_back(kari: Visitor, provider: Provider, **changes: Any) -> TestResponse:
    """The whole way: to the issuer's page, and back with what it says. Changed parameters are forged."""
    back = parameters(provider.back(parameters(goes(kari))))
    sent = {name: value for name, value in {**back, **changes}.items() if value is not None}
    return kari.client.get("/console/-/callback", base_url=BRIDGE, query_string=sent)


def is_signed_in(kari: Visitor) -> bool:
    return kari.get().status_code == 200


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"roles": ["ops"]}, "operator"),
        ({"roles": ["readers", "ops"]}, "operator"),
        ({"roles": ["readers"]}, "viewer"),
        ({"groups": ["group-7"]}, "viewer"),
    ],
)
def test_app_roles_and_groups_decide(kari: Visitor, provider: Provider, claims: dict[str, Any], role: str):
    provider.person |= claims

    answer = comes_back(kari, provider)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")
    assert is_signed_in(kari)
    assert ("Pause deliveries" in kari.get().text) is (role == "operator")


@pytest.mark.parametrize("claims", [{}, {"roles": ["others"]}, {"roles": "ops"}, {"groups": {"ops": True}}])
def test_a_person_without_a_role_sees_nothing(kari: Visitor, provider: Provider, claims: dict[str, Any]):
    provider.person |= claims

    assert comes_back(kari, provider).status_code == 403
    assert not is_signed_in(kari)


def test_the_audit_trail_has_the_user_name(world: World, kari: Visitor, provider: Provider):
    provider.person["roles"] = ["ops"]
    comes_back(kari, provider)

    kari.post("pause", reason="a freeze")

    with world.database.read("default") as s:
        (row,) = [each for each in s.audit.page(since=None, until=None) if each.deed.action == "paused"]
    assert (row.author.actor.id, row.deed.detail) == ("kari@bygg.example", "a freeze")


def test_the_page_that_was_asked_for_comes_after_the_sign_in(kari: Visitor, provider: Provider):
    provider.person["roles"] = ["ops"]
    asked = kari.get("waiting?x=1").headers["Location"]
    entra = parameters(asked)["next"]
    back = parameters(provider.back(parameters(goes(kari, f"/console/-/entra?next={entra}"))))

    answer = kari.client.get("/console/-/callback", base_url=BRIDGE, query_string=back)

    assert answer.headers["Location"] == "/console/default/waiting?x=1"


def test_no_sign_in_leads_to_another_site(kari: Visitor, provider: Provider):
    provider.person["roles"] = ["ops"]
    back = parameters(provider.back(parameters(goes(kari, "/console/-/entra?next=https://elsewhere.example/"))))

    answer = kari.client.get("/console/-/callback", base_url=BRIDGE, query_string=back)

    assert answer.headers["Location"] == "/console/"


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ({"state": "another"}, "state"),
        ({"state": None}, "state"),
        ({"code": "guessed"}, "code"),
        ({"code": None}, "code"),
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"error": "access_denied", "code": None}, "denied"),
    ],
)
def test_a_forged_answer_is_refused(kari: Visitor, provider: Provider, forged: dict[str, Any], reason: str):
    provider.person["roles"] = ["ops"]

    assert comes_back(kari, provider, **forged).status_code == 403, reason
    assert not is_signed_in(kari)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"nonce": "of-another-sign-in"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 10**12},
    ],
    ids=str,
)
def test_an_id_token_for_another_purpose_is_refused(kari: Visitor, provider: Provider, changes: dict[str, Any]):
    provider.person["roles"] = ["ops"]
    provider.changes = changes

    assert comes_back(kari, provider).status_code == 403
    assert not is_signed_in(kari)


@pytest.mark.parametrize("how", ["none", "public-key", "stranger"])
def test_an_id_token_that_the_issuer_did_not_sign_is_refused(kari: Visitor, provider: Provider, how: str):
    provider.person["roles"] = ["ops"]
    issuer = provider.issuer
    ways = {"none": unsigned, "public-key": issuer.forged_with_the_public_key}
    provider.sign = ways.get(how, lambda claims: issuer.signs(claims, kid="of-a-stranger"))

    assert comes_back(kari, provider).status_code == 403
    assert not is_signed_in(kari)


def test_an_answer_works_once(kari: Visitor, provider: Provider, world: World):
    """Replayed: in the same browser, and in another one."""
    provider.person["roles"] = ["ops"]
    back = parameters(provider.back(parameters(goes(kari))))
    pending = kari.client.get_cookie("__Host-scim-bridge-sign-in", domain="bridge.test")
    assert pending is not None
    assert kari.client.get("/console/-/callback", base_url=BRIDGE, query_string=back).status_code == 303

    other = Visitor(world.app.test_client())
    assert kari.client.get("/console/-/callback", base_url=BRIDGE, query_string=back).status_code == 403
    other.client.set_cookie("__Host-scim-bridge-sign-in", pending.value, domain="bridge.test", secure=True)
    assert other.client.get("/console/-/callback", base_url=BRIDGE, query_string=back).status_code == 403
    assert not is_signed_in(other)


def test_an_answer_of_another_browser_is_refused(kari: Visitor, provider: Provider, world: World):
    """A stranger has a victim's browser open the stranger's own answer, so that the victim acts as the stranger."""
    provider.person["roles"] = ["ops"]
    back = parameters(provider.back(parameters(goes(Visitor(world.app.test_client())))))
    goes(kari)

    assert kari.client.get("/console/-/callback", base_url=BRIDGE, query_string=back).status_code == 403
    assert not is_signed_in(kari)


def test_an_issuer_that_is_another_one_than_set_is_not_believed(kari: Visitor, provider: Provider):
    provider.said = {"issuer": "https://elsewhere.example"}

    assert kari.get("/console/-/entra").status_code == 503


def test_no_secret_goes_over_plain_http(kari: Visitor, provider: Provider):
    """The metadata of the issuer may name loopback in tests, and https; nothing else."""
    provider.said = {"authorization_endpoint": "http://elsewhere.example/authorize"}

    assert kari.get("/console/-/entra").status_code == 503


def test_an_issuer_that_is_away_is_no_failed_sign_in(world: World, clock: Clock):
    world.restarts_with(
        console={
            "enabled": True,
            "oidc_issuer": "http://127.0.0.1:9",
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
        }
    )
    kari = Visitor(world.app.test_client())

    assert kari.get("/console/-/entra").status_code == 503
    assert "Sign in with Entra" in kari.get("/console/-/sign-in").text


def test_an_issuer_that_was_away_is_left_alone_for_a_while(kari: Visitor, provider: Provider, clock: Clock):
    """A stranger who presses the button all day keeps no thread waiting for it."""
    provider.said = {"issuer": "https://elsewhere.example"}
    assert kari.get("/console/-/entra").status_code == 503
    provider.said = {}

    assert kari.get("/console/-/entra").status_code == 503
    clock.passes(seconds=11)
    assert kari.get("/console/-/entra").status_code == 303


def test_a_sign_in_that_is_set_in_part_is_named():
    settings = Settings.model_validate({"console": {"oidc_issuer": "https://login.example/v2.0"}})

    lacking = [sentence for sentence in unservable(settings) if "console." in sentence]
    assert len(lacking) == 2
    assert "console.oidc_client_id" in lacking[0]
    assert "console.oidc_client_secret" in lacking[1]


def test_links_work_beside_entra(world: World, kari: Visitor):
    """The way in when Entra itself is away."""
    assert kari.post("/console/-/link", "", key=link(world, Role.operator)).status_code == 303
    assert is_signed_in(kari)
