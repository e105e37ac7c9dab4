"""`scim-bridge reconcile --with-entra` at the command line: what it prints, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scim_bridge.sandbox.directory import EntraGroup
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.service import CLIENT_ID, CLIENT_SECRET, SERVICE_PRINCIPAL, TENANT_ID, SandboxGraph
from scim_bridge.sandbox.server import running
from scim_bridge.storage.database import Database
from tests.cli.conftest import DITIO, Run
from tests.conftest import Clock
from tests.graph.story import person
from tests.world import World


class Bridge:
    """A bridge that was provisioned into, and whose Entra stands still."""

    def __init__(self, run: Run, world: World, graph: SandboxGraph, ditio: str, url: str) -> None:
        self.world = world
        self.graph = graph
        self._run = run
        self._settings = {
            **DITIO,
            "SCIM_BRIDGE_DITIO__API_URL": f"{ditio}/core",
            "SCIM_BRIDGE_DITIO__IDENTITY_URL": ditio,
            "SCIM_BRIDGE_ENTRA__TENANT_ID": TENANT_ID,
            "SCIM_BRIDGE_ENTRA__CLIENT_ID": CLIENT_ID,
            "SCIM_BRIDGE_ENTRA__CLIENT_SECRET": CLIENT_SECRET,
            "SCIM_BRIDGE_ENTRA__SERVICE_PRINCIPAL_ID": SERVICE_PRINCIPAL.object_id,
            "SCIM_BRIDGE_ENTRA__GRAPH_URL": url,
            "SCIM_BRIDGE_ENTRA__LOGIN_URL": url,
            "SCIM_BRIDGE_ENTRA__REQUESTS_PER_SECOND": "1000",
            "SCIM_BRIDGE_DELIVERY__MAX_ENDED_FRACTION": "1",
        }

    def __call__(self, *words: str, **changed: str) -> Any:
        return self._run("reconcile", *words, **{**self._settings, **changed})


@pytest.fixture
def bridge(run: Run, database: Database, clock: Clock) -> Iterator[Bridge]:
    clock.now = datetime.now(UTC)
    world = World(database, clock)
    graph = SandboxGraph(world.entra, now=lambda: datetime.now(UTC))
    for number in range(3):
        world.entra.directory.add(person(number))
    world.cycle()
    with running(world.ditio.app) as ditio, running(graph.app) as url:
        yield Bridge(run, world, graph, ditio, url)


def test_a_leaver_while_provisioning_is_stopped_is_found_read_and_repaired(bridge: Bridge):
    """Nothing is reported at the first look, and nothing is repaired before the plan was read."""
    kari = bridge.world.entra.directory.users[person(0).object_id]
    bridge.world.entra.job.pause()
    kari.assigned = False

    first = bridge("--with-entra")
    assert first.exit_code == 0, first.output + first.stderr
    assert "do not count yet" in first.stderr

    second = bridge("--with-entra", "--format", "json")
    assert second.exit_code == 2
    plan = json.loads(second.stdout)
    (item,) = plan["items"]
    assert item["side"] == "entra"
    assert (item["kind"], item["cause"]) == ("left-without-notice", "job-not-running")
    assert (item["wanted"], item["found"], item["employee_number"]) == ("unassigned", "active", "3000")
    assert bridge("--with-entra", "--apply").exit_code == 2
    assert not bridge.world.employee("3000").disabled

    repaired = bridge("--apply", "--plan", plan["plan"])

    assert repaired.exit_code == 0, repaired.output + repaired.stderr
    assert bridge.world.employee("3000").disabled


def test_the_setting_compares_without_the_option(bridge: Bridge):
    kari = bridge.world.entra.directory.users[person(0).object_id]
    bridge.world.entra.job.pause()
    kari.job_title = None
    setting = {"SCIM_BRIDGE_RECONCILE__WITH_ENTRA": "true"}
    bridge(**setting)

    result = bridge("--format", "csv", **setting)

    assert result.exit_code == 2
    assert "cleared-in-entra" in result.stdout
    bridge.graph.requests.clear()
    assert bridge("--person", "3000", **setting).exit_code == 0
    assert bridge.graph.requests == []


def test_the_words_name_what_is_different(bridge: Bridge):
    for number, change in enumerate(({"assigned": False}, {"job_title": None}, {"department": "Bygg"})):
        user = bridge.world.entra.directory.users[person(number).object_id]
        for name, value in change.items():
            setattr(user, name, value)
    bridge.world.entra.job.pause()
    bridge("--with-entra")

    result = bridge("--with-entra")

    for words in ("unassigned", "was cleared in Entra", '"Bygg" in Entra', "provisioning does not run"):
        assert words in " ".join(result.stdout.split())
    assert bridge("--with-entra", "--format", "html").stdout.count("Bygg") == 1


def test_graph_out_of_reach_is_exit_1_and_a_schedule_goes_on(bridge: Bridge):
    bridge.graph.faults.plan(Fault("refused-connection", times=None))

    result = bridge("--with-entra")
    assert result.exit_code == 1
    assert "Graph" in result.stderr or "no connection" in result.stderr

    scheduled = bridge("--with-entra", "--scheduled")
    assert scheduled.exit_code == 0
    assert "not compared" in scheduled.stderr


def test_without_settings_it_says_what_to_set(run: Run, database: Database):
    result = run("reconcile", "--with-entra", **DITIO)

    assert result.exit_code == 1
    assert "[entra]" in result.stderr


@pytest.mark.parametrize("words", [("--only", "not-sent"), ("--with-entra", "--person", "3000")])
def test_options_that_do_not_go_together(run: Run, database: Database, words: tuple[str, ...]):
    result = run("reconcile", *words, **DITIO)

    assert result.exit_code == 1
    assert "--with-entra" in result.stderr


def test_settings_check_names_a_setting_without_entra(run: Run):
    result = run("settings", "check", **DITIO, SCIM_BRIDGE_RECONCILE__WITH_ENTRA="true")

    assert result.exit_code == 1
    assert "RECONCILE__WITH_ENTRA" in result.stderr


def show(bridge: Bridge, *words: str) -> Any:
    return bridge._run("people", "show", "3000", *words, **bridge._settings)


def test_people_show_has_entras_side(bridge: Bridge):
    """As Entra has the person now; who is assigned is as of the last complete read."""
    kari = bridge.world.entra.directory.users[person(0).object_id]
    bridge("--with-entra")
    bridge.world.entra.job.pause()
    kari.job_title, kari.department = None, "Bygg"

    entra = json.loads(show(bridge, "--format", "json").stdout)["entra"]

    assert list(entra) == [
        *("object_id", "exists", "enabled", "assigned", "in_scope", "differs", "link", "last_log", "read_at")
    ]
    assert (entra["object_id"], entra["exists"], entra["enabled"]) == (kari.object_id, True, True)
    assert (entra["assigned"], entra["in_scope"]) == ([{"by": "direct", "name": None}], True)
    assert {(each["field"], each["entra"], each["scim"]) for each in entra["differs"]} == {
        ("workTitle", None, "Maskinfører"),
        ("department", "Bygg", "Anlegg"),
    }
    assert entra["last_log"]["action"] == "create"
    text = " ".join(show(bridge).stdout.split())
    assert "In Entra now: enabled, assigned (directly)" in text
    assert "department is Bygg in Entra, Anlegg here" in text


def test_people_show_does_without_graph(bridge: Bridge):
    bridge.graph.faults.plan(Fault("refused-connection", times=None))

    result = show(bridge, "--format", "json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["entra"] is None
    assert "Entra was not read" in result.stderr


def test_people_show_does_not_wait_for_a_graph_that_throttles(bridge: Bridge):
    """A read obeys for five minutes; someone at a terminal is not kept so long."""
    bridge.graph.faults.plan(Fault("status", status=429, retry_after="20", times=None))
    begun = time.monotonic()

    result = show(bridge, "--format", "json")

    assert time.monotonic() - begun < 15
    assert json.loads(result.stdout)["entra"] is None
    assert "Entra was not read" in result.stderr


def test_people_show_of_a_user_who_is_gone_in_entra(bridge: Bridge):
    bridge("--with-entra")
    bridge.world.entra.directory.users[person(0).object_id].soft_deleted = True

    entra = json.loads(show(bridge, "--format", "json").stdout)["entra"]

    assert (entra["exists"], entra["in_scope"]) == (False, False)


def entra_of(bridge: Bridge) -> Any:
    return json.loads(show(bridge, "--format", "json").stdout)["entra"]


def test_people_show_says_whether_entra_still_links_the_user(bridge: Bridge):
    """Facts, section 1: without the link Entra never sends that the user leaves."""
    assert entra_of(bridge)["link"] is True

    del bridge.world.entra._links[person(0).object_id]

    assert entra_of(bridge)["link"] is False
    assert "links its user to no user here" in " ".join(show(bridge).stdout.split())


def test_a_graph_that_shows_no_links_proves_nothing(bridge: Bridge):
    """The same 404; another person's link would be the proof."""
    del bridge.world.entra._links[person(0).object_id]
    bridge.graph.style = replace(bridge.graph.style, connections=False)

    assert entra_of(bridge)["link"] is None

    bridge.graph.style = replace(bridge.graph.style, connections=True)
    bridge.graph.client.permissions.discard("Synchronization.Read.All")
    assert entra_of(bridge)["link"] is None


def test_a_link_to_another_user_is_none_to_this_one(bridge: Bridge):
    links = bridge.world.entra._links
    links[person(0).object_id] = links[person(1).object_id]

    assert entra_of(bridge)["link"] is False


def test_people_show_knows_that_assignments_were_in_doubt(bridge: Bridge):
    """A group whose members are hidden: who is in none that was shown may be in that one."""
    kari = bridge.world.entra.directory.users[person(0).object_id]
    kari.assigned = False
    group = "bbbbbbbb-0000-4000-8000-000000000001"
    hidden = EntraGroup(group, "Ditio users", [kari.object_id], visibility="HiddenMembership")
    bridge.world.entra.directory.add_group(hidden)
    bridge.graph.client.permissions.discard("Member.Read.Hidden")
    bridge("--with-entra")

    entra = entra_of(bridge)

    assert (entra["assigned"], entra["in_scope"]) == ([], None)
    told = " ".join(show(bridge).stdout.split())
    assert "assigned or not: not known" in told
    assert "Ditio users" in told
