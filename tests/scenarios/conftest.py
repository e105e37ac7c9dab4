"""Stories run on both databases; those about Ditio's answers over every documented form of them."""

from typing import Any

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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many interleavings were walked (tests/scenarios/test_interleavings.py): the figure that counts."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.stats.get(outcome, [])]
    walked = [value for each in reports for name, value in each.user_properties if name == "interleavings"]
    if walked:
        terminalreporter.write_line(f"{sum(walked):,} interleavings walked")
