"""Real traffic: every published exchange, on both databases and with both answers to a PATCH."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.protocol.conftest import Scim
from tests.protocol.exchanges import Exchange
from tests.protocol.judged import Judged
from tests.world import TOKEN, World

SAMPLES = json.loads((Path(__file__).parent.parent / "samples" / "entra-exchanges.json").read_text())
PATCH_STATUSES = [200, 204]

Answer = tuple[int, Any, Any]


def sender(judged: Judged) -> Callable[[dict[str, Any]], Answer]:
    """Sends what a step says, with a token unless it says otherwise; null sends no such header."""
    client = Client(judged)

    def send(request: dict[str, Any]) -> Answer:
        headers = {"Authorization": f"Bearer {judged.token}", **(request.get("headers") or {})}
        body = request.get("body")
        response = client.open(
            f"/scim/v2{request['path']}",
            method=request["method"],
            query_string=request.get("raw_query") or request.get("query"),
            headers={name: value for name, value in headers.items() if value is not None},
            data=None if body is None else json.dumps(body),
        )
        return response.status_code, response.get_json(silent=True, force=True), response.headers

    return send


def test_all_exchanges_are_here():
    """None is left out, and none of them puts up with a 5xx (rule A2)."""
    assert len({scenario["id"] for scenario in SAMPLES}) == len(SAMPLES) == 32
    assert all(status < 500 for each in SAMPLES for step in each["steps"] for status in step["expect"]["status"])


def test_everything_that_an_exchange_requires_is_served(scim: Scim):
    """No exchange may be skipped for want of a capability: each is an endpoint, a schema or an attribute of ours."""
    types = scim.send("GET", "/ResourceTypes").json["Resources"]
    schemas = {each["id"]: each["attributes"] for each in scim.send("GET", "/Schemas").json["Resources"]}
    served = {each["endpoint"].removeprefix("/") for each in types} | set(schemas)
    for urn, attributes in schemas.items():
        served |= {name for each in attributes for name in (each["name"], f"{urn}:{each['name']}")}

    assert {name for each in SAMPLES for name in each.get("requires") or []} - served == set()


@pytest.mark.parametrize("scenario", SAMPLES, ids=[scenario["id"] for scenario in SAMPLES])
@pytest.mark.parametrize("patch_status", PATCH_STATUSES)
def test_the_bridge_answers_as_entra_expects(scim: Scim, scenario: dict[str, Any], patch_status: int):
    """The scenario's `title` says what it is about."""
    scim.patch_status = patch_status
    exchange = Exchange(scenario, sender(Judged(scim.app, str(scim.token))))

    exchange.run()

    assert len(exchange.statuses) == len(scenario["steps"])
    assert {status for method, status in exchange.statuses if method == "PATCH"} <= {patch_status}


@pytest.mark.parametrize("patch_status", PATCH_STATUSES)
def test_the_whole_application_answers_as_entra_expects(
    database: Database, clock: Clock, patch_status: int, subtests: pytest.Subtests
):
    """A2: what becomes of a person in Ditio, and who still claims what, changes no answer.

    One exchange follows another, as in a company whose people come and go: nothing is emptied in between.
    """
    world = World(database, clock, settings={"scim": {"patch_status": patch_status}})
    judged = Judged(world.app, TOKEN, world)
    for scenario in SAMPLES:
        with subtests.test(scenario["id"]):
            exchange = Exchange(scenario, sender(judged))
            exchange.run()
            assert {status for method, status in exchange.statuses if method == "PATCH"} <= {patch_status}

    assert judged.faults() == []
    assert len(judged.answers) == sum(len(scenario["steps"]) for scenario in SAMPLES)
    assert world.sent() != []
