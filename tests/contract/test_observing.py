"""The alert rules and the dashboard name figures that `/metrics` has, and every rule is explained and tested."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World, a_user

ROOT = Path(__file__).parents[2]
OBSERVING = ROOT / "deploy" / "observing"
NAME = re.compile(r"\bscim_bridge_\w+")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((OBSERVING / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def test_rules_and_dashboard_name_figures_that_there_are(database: Database, clock: Clock):
    world = World(database, clock)
    world.provisions(a_user())
    told = world.app.test_client().get("/metrics").text
    known = set(re.findall(r"^# HELP (scim_bridge_\w+) ", told, re.MULTILINE))
    dashboard = json.loads((OBSERVING / "grafana.json").read_text())
    expressions = [rule["expr"] for rule in rules()]
    expressions += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]

    named = {name for expression in expressions for name in NAME.findall(expression)}

    assert named
    assert named - known == set()


def test_every_rule_is_explained_and_shown_to_fire_and_to_be_silent():
    names = [rule["alert"] for rule in rules()]
    page = (ROOT / "docs" / "observing.md").read_text()
    tests = yaml.safe_load((OBSERVING / "alerts_test.yaml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]

    assert [name for name in names if f"`{name}`" not in page] == []
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == set(names)
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == set(names)
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in rules())
