"""The bridge under its public address, and everything that it is asked and answers."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.contract.openapi import Contract, read
from tests.world import TOKEN, World

PUBLIC = "https://scim.example.com"


SETTINGS = {
    # The same secret as the client's: what is documented of /metrics and /readyz is for its holder.
    "server": {"base_url": PUBLIC, "metrics_token": TOKEN},
    # Wrong credentials are sent on purpose, and by the thousand.
    "auth": {"max_failures_per_minute": 1_000_000},
}


@pytest.fixture(scope="session")
def contract() -> Contract:
    return read()


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock, settings=SETTINGS)


@pytest.fixture
def answers(world: World, contract: Contract) -> Iterator[list[requests.Response]]:
    """Collects what the bridge answers; in the end, each request and each answer must be as documented."""
    collected: list[requests.Response] = []

    def collect(response: requests.Response, *_: Any, **__: Any) -> None:
        collected.append(response)

    world.http.hooks["response"].append(collect)
    yield collected
    assert [problem for answer in collected for problem in contract.problems(answer)] == []
