"""Who is named in the audit trail, by each of the four ways in, and what is noted of those who are not let in."""

from typing import Any

import pytest

from scim_bridge.operator.audit import audited
from scim_bridge.storage.database import Database
from tests.web.issuer import Issuer, assertion_claims, entra_claims
from tests.web.test_oauth import GRANT, basic, fetches, presented
from tests.world import BRIDGE, TOKEN, World

APP = "00000000-0000-4000-8000-00000000cafe"


def creates(world: World, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    body = {"userName": "kari@x.example", "active": False, "schemas": []}
    assert world.http.post(f"{BRIDGE}/scim/v2/Users", json=body, headers=headers).status_code == 201


def actors(database: Database) -> list[tuple[str, str | None]]:
    return [(row.author.actor.kind, row.author.actor.id) for row in audited(database, "default")]


def test_a_token_is_named_by_its_id(world: World):
    creates(world, TOKEN)
    assert actors(world.database) == [("token", "t")]


def test_a_client_is_named_by_its_id(world: World):
    with world.database.write("default") as s:
        s.clients.add("entra", "Entra", "a secret", expires_at=None)
    creates(world, fetches(world, GRANT, basic("entra", "a secret")).json()["access_token"])
    assert actors(world.database) == [("client", "entra")]


def test_a_workload_is_named_by_what_stands_for_its_settings(world: World, issuer: Issuer):
    assertion = issuer.signs(assertion_claims(world.clock()))
    creates(world, fetches(world, presented(assertion)).json()["access_token"])
    ((kind, name),) = actors(world.database)
    assert kind == "workload"
    assert name
    assert name.isalnum()


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"appid": APP, "sub": "somebody"}, APP),
        ({"appid": None, "azp": APP}, APP),
        ({"appid": 7, "azp": "s\0" + "x" * 99}, "s" + "x" * 62),
    ],
)
def test_entra_itself_is_named_by_its_application(world: World, issuer: Issuer, claims: dict[str, Any], name: str):
    creates(world, issuer.signs(entra_claims(world.clock(), **claims)))
    assert actors(world.database) == [("entra", name)]


def refused(database: Database) -> list[tuple[str, str | None, str | None]]:
    return [(row.author.actor.kind, row.author.actor.id, row.deed.detail) for row in audited(database, "default")]


def asks(world: World, token: str, path: str = "/scim/v2/Users?filter=userName%20eq%20%22x%22") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {"Authorization": ""}
    return world.http.get(f"{BRIDGE}{path}", headers=headers).status_code


def test_of_many_refusals_of_a_kind_one_an_hour_is_noted(world: World):
    """Design, section 10: a flood can't fill the disk; the log has each."""
    for number in range(70):
        assert asks(world, f"guessed-{number}") in (401, 429)
    assert refused(world.database) == [("stranger", None, "unknown-token")]

    world.clock.passes(hours=1)
    asks(world, "guessed-again")
    assert len(refused(world.database)) == 2


def test_a_token_that_counts_no_more_is_named(world: World):
    """An expired one is the most common support case of all."""
    with world.database.write() as s:
        s.connection.exec_driver_sql("UPDATE tokens SET expires_at = created_at")
    assert asks(world, TOKEN) == 401
    assert refused(world.database) == [("token", "t", "expired")]


def test_a_client_whose_secret_counts_no_more_is_named(world: World):
    """Likewise: Entra itself only says that it can't sign in."""
    now = world.clock()
    with world.database.write("default") as s:
        s.at(now).clients.add("entra", "Entra", "a secret", expires_at=now)
    assert fetches(world, GRANT, basic("entra", "a secret")).status_code == 401
    assert fetches(world, GRANT, basic("entra", "guessed")).status_code == 401
    assert refused(world.database) == [("client", "entra", "client-secret-ended"), ("stranger", None, "client")]


@pytest.mark.parametrize(("token", "path"), [("", "/scim/v2/Users"), ("guessed", "/tenants/nobody/scim/v2/Users")])
def test_who_sends_nothing_and_unknown_companies_are_not_noted(world: World, token: str, path: str):
    """Names that strangers make up would be rows that strangers make up."""
    assert asks(world, token, path) == 401
    assert refused(world.database) == []


def test_a_refusal_that_cannot_be_noted_is_one_all_the_same(world: World, caplog: pytest.LogCaptureFixture):
    """A3: 401 for a credential that was examined and found wrong."""
    with world.database.write() as s:
        s.connection.exec_driver_sql("ALTER TABLE audit RENAME TO elsewhere")
    try:
        assert asks(world, "guessed") == 401
        assert "auth.refusal_not_noted" in caplog.text
    finally:
        with world.database.write() as s:
            s.connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO audit")
