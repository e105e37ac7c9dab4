"""Which requests count as a sign that Entra still calls, and what a request does for it (rule D7)."""

import pytest
from sqlalchemy import event

from scim_bridge.cli.heartbeat import Heartbeat
from scim_bridge.storage.runs import BEAT_SECONDS, ProcessKind
from tests.web.issuer import Issuer, entra_claims
from tests.world import BRIDGE, TOKEN, World

LOOKUP = "/scim/v2/Users?filter=userName%20eq%20%22x%22"
LIST = "/scim/v2/Users?filter=userName%20sw%20%22x%22"


def asks(world: World, token: str, path: str) -> int:
    return world.http.get(f"{BRIDGE}{path}", headers={"Authorization": f"Bearer {token}"}).status_code


def gauge(world: World) -> str | None:
    """The figure as Prometheus reads it, once the heartbeat has stored what there is to store."""
    Heartbeat(world.database, ProcessKind.serve, world.clock.monotonic, requests=world.parts.last_requests).look()
    text = world.app.test_client().get("/metrics").text
    (found, *_) = [line for line in text.splitlines() if line.startswith("scim_bridge_entra_last_req")] or [None]
    return found


@pytest.mark.parametrize("path", [LOOKUP, LIST], ids=["the short way", "the long way"])
@pytest.mark.parametrize("signed", [False, True], ids=["secret token", "Entra's own JWT"])
def test_an_accepted_request_counts(world: World, issuer: Issuer, path: str, signed: bool):
    """However Entra signs in: a JWT leaves no other trace."""
    assert gauge(world) is None
    token = issuer.signs(entra_claims(world.clock())) if signed else TOKEN
    assert asks(world, token, path) == 200
    world.clock.passes(minutes=10)

    assert gauge(world) == 'scim_bridge_entra_last_request_seconds{tenant="default"} 600.0'
    answer = world.app.test_client().get("/readyz").json
    assert answer is not None
    assert answer["entra"] == {"default": {"last_request_at": "2026-03-02T08:00:00Z"}}


@pytest.mark.parametrize("path", [LOOKUP, LIST, "/scim/v2/Users/1", "/nothing"])
def test_a_refused_request_does_not_count(world: World, path: str):
    """Or a scanner on the internet would hide that Entra is silent."""
    asks(world, "scimb_wrong", path)

    assert gauge(world) is None


def test_no_request_writes_for_it(world: World, issuer: Issuer):
    """A lookup stays one statement that reads; the heartbeat stores the time."""
    token = issuer.signs(entra_claims(world.clock()))
    assert asks(world, token, LOOKUP) == 200
    said: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *args: said.append(args[2]))

    world.clock.passes(seconds=BEAT_SECONDS)
    assert asks(world, token, LOOKUP) == 200
    assert [each.split()[0] for each in said] == ["SELECT"], said
