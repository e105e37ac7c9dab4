"""Commands run in this process, on a database of the test's own."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from scim_bridge.cli.main import main
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import ProcessKind, beat
from tests.conftest import Clock
from tests.redaction import WATCH
from tests.world import World

Run = Callable[..., Result]

DITIO = {
    "SCIM_BRIDGE_DITIO__API_URL": "https://ditio.test/core",
    "SCIM_BRIDGE_DITIO__IDENTITY_URL": "https://ditio.test",
    "SCIM_BRIDGE_DITIO__CLIENT_ID": "sandbox",
    "SCIM_BRIDGE_DITIO__CLIENT_SECRET": "sandbox-secret",
}


def run_with(environment: dict[str, str], *words: str) -> Result:
    """Run a command, without a variable of this machine."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith("SCIM_BRIDGE_")}
    result = CliRunner(env={**cleared, **environment}).invoke(main, words)
    WATCH.look_for_secrets(result.stderr, f"standard error of `{words[0] if words else ''}`")
    return result


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command on the test's database; nothing else is set, unless the test says so."""
    # No scim-bridge.toml is found there.
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    return lambda *words, **environment: run_with({"SCIM_BRIDGE_DATABASE__URL": database_url, **environment}, *words)


def a_process_runs(world: World, kind: ProcessKind, *, minutes_ago: float = 0.0) -> None:
    """Its last heartbeat, by the real clock, which the commands go by."""
    with world.database.write() as s:
        beat(s.at(datetime.now(UTC) - timedelta(minutes=minutes_ago)), kind, f"process-{kind}", "bridge-1")


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)
