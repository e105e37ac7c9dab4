"""Stories run on both databases; those about Ditio's answers over every documented form of them."""

import pytest

from scim_bridge.sandbox.style import Style, documented_styles
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


@pytest.fixture(params=documented_styles(), ids=lambda style: style.name)
def style(request: pytest.FixtureRequest) -> Style:
    return request.param


@pytest.fixture
def styled(database: Database, clock: Clock, style: Style) -> World:
    """The world, once for each documented form of Ditio's answers."""
    return World(database, clock, style=style)
