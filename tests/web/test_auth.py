"""Who is let in: a credential is examined, and only a wrong one is 401."""

from datetime import timedelta

import pytest

from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import BRIDGE, TOKEN, World


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


def asks(
    world: World, authorization: str | None, path: str = "/scim/v2/Users?filter=userName%20eq%20%22x%22"
) -> tuple[int, dict[str, str], str]:
    headers = {"Authorization": authorization} if authorization is not None else {"Authorization": ""}
    answer = world.http.get(f"{BRIDGE}{path}", headers=headers)
    return answer.status_code, dict(answer.headers), answer.text


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic dXNlcjpwYXNz",
        TOKEN,
        f"bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
    ],
)
def test_a_wrong_credential_is_401_and_says_what_to_do(world: World, authorization: str | None):
    """A3: 401 for a credential that was examined and found wrong, without its secret."""
    status, headers, body = asks(world, authorization)

    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert "token issue" in body
    assert TOKEN not in body


@pytest.mark.parametrize("path", ["/scim/v2/Schemas", "/scim/v2/ServiceProviderConfig", "/scim/v2/Nothing", "/scim/v2"])
def test_discovery_too_is_behind_the_token(world: World, path: str):
    """Design, section 5: discovery included behind the token."""
    assert asks(world, None, path)[0] == 401


@pytest.mark.parametrize("path", ["/tenants/other/scim/v2/Users", "/tenants/a%00b/scim/v2/Users"])
def test_an_unknown_tenant_is_401(world: World, path: str):
    """A3: another tenant's credential is 401, like an unknown tenant."""
    assert asks(world, f"Bearer {TOKEN}", path)[0] == 401


def test_the_scheme_is_read_in_any_case(world: World):
    assert asks(world, f"bEARER  {TOKEN}")[0] == 200


def test_the_default_tenant_has_two_addresses(world: World):
    assert asks(world, f"Bearer {TOKEN}", "/tenants/default/scim/v2/Users?filter=userName%20eq%20%22x%22")[0] == 200


def test_an_expired_and_a_revoked_token_are_401(world: World):
    with world.database.write("default") as s:
        tokens = s.tokens
        tokens.add("old", "old", "expired-secret", expires_at=world.clock() + timedelta(hours=1))
        tokens.add("bad", "bad", "revoked-secret", expires_at=None)
        tokens.revoke("bad")
    assert asks(world, "Bearer expired-secret")[0] == 200
    world.clock.passes(hours=2)

    assert asks(world, "Bearer expired-secret")[0] == 401
    assert asks(world, "Bearer revoked-secret")[0] == 401


def test_the_last_use_is_noted(world: World):
    asks(world, f"Bearer {TOKEN}")

    with world.database.read("default") as s:
        assert s.tokens.list()[0].last_used_at == world.clock()


def test_a_database_out_of_reach_is_503_and_never_401(world: World, clock: Clock):
    """A3: 401 would quarantine Entra's job."""
    world.database = Database("postgresql://nobody@/none?host=/nowhere", clock=clock)
    world.restarts_with()

    for authorization in (f"Bearer {TOKEN}", "Bearer wrong"):
        status, headers, body = asks(world, authorization)
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert "nowhere" not in body


def test_a_body_that_breaks_off_is_400(world: World):
    """A2: 5xx is never answered for something a client sent."""

    class Broken:
        def read(self, *_: object) -> bytes:
            raise OSError("no more data after 5 bytes")

    answer = world.app.test_client().post(
        "/scim/v2/Users",
        headers={"Authorization": f"Bearer {TOKEN}", "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input": Broken(), "wsgi.input_terminated": True},
    )

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["scimType"] == "invalidSyntax"


def test_no_value_of_an_ignored_path_is_logged(world: World, caplog: pytest.LogCaptureFixture):
    """Design, section 10: no personal data in logs."""
    caplog.set_level("INFO")
    made = world.scim("POST", "/Users", {"userName": "x", "active": False, "schemas": []}).json()
    world.scim(
        "PATCH",
        f"/Users/{made['id']}",
        {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "Add", "path": 'emails[value eq "kari@secret.example"].shoe', "value": "42"}],
        },
    )

    assert "secret.example" not in caplog.text
