"""The worker reads Entra's job for the metrics; trouble with Graph touches nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scim_bridge.cli import worker
from scim_bridge.cli.worker import watch_all
from scim_bridge.domain.entra import Job
from scim_bridge.errors import EntraError
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.service import SandboxGraph
from scim_bridge.sandbox.job import Execution
from scim_bridge.storage.database import Database
from scim_bridge.tenant import Entra, Tenant
from tests.conftest import Clock
from tests.graph.conftest import GraphWorld
from tests.world import World, a_user

HERE = {"REMOTE_ADDR": "127.0.0.1"}


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


@pytest.fixture
def graph(world: World, clock: Clock) -> GraphWorld:
    return GraphWorld(SandboxGraph(world.entra, now=clock), clock)


@pytest.fixture
def tenant(world: World, graph: GraphWorld) -> Tenant:
    return replace(world.parts.tenants["default"], entra=graph.client())


def figures(world: World) -> dict[tuple[str, ...], float]:
    answer = world.app.test_client().get("/metrics", environ_base=HERE)
    return {
        (sample.name.removeprefix("scim_bridge_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if "entra" in sample.name
    }


def watch(tenant: Tenant, every_seconds: float) -> None:
    """Look once, and wait for the read that this begins, if it is due."""
    for reading in watch_all({tenant.name: (tenant, every_seconds)}, {}).values():
        reading.join()


def test_without_a_read_there_are_no_figures(world: World):
    assert figures(world) == {}


def test_the_job_is_in_the_metrics(world: World, graph: GraphWorld, tenant: Tenant, clock: Clock):
    graph.entra.job.ended(Execution("r", clock.now, escrowed=4), clock.now)

    watch(tenant, 900)
    clock.passes(seconds=60)

    found = figures(world)
    assert found["entra_job_state", "escrows", "default"] == 1
    assert found["entra_job_state", "healthy", "default"] == 0
    assert found["entra_escrowed", "default"] == 4
    assert found["entra_read_age_seconds", "default"] == 60
    assert not any(name == "entra_quarantined_since" for name, *_ in found)


def test_a_quarantine_is_in_the_metrics_with_its_beginning(
    world: World, graph: GraphWorld, tenant: Tenant, clock: Clock
):
    graph.entra.job.ended(Execution("r", clock.now), clock.now)
    graph.entra.job.quarantines("TooManyDeletes", clock.now)

    watch(tenant, 900)

    assert figures(world)["entra_quarantined_since", "default"] == clock.now.timestamp()


def test_it_is_read_no_more_often_than_asked(graph: GraphWorld, tenant: Tenant, clock: Clock):
    for _ in range(4):
        watch(tenant, 900)
        clock.passes(seconds=300)

    assert len(graph.asked("jobs")) == 2


def _refuses(graph: GraphWorld) -> None:
    graph.graph.client.permissions.clear()


def _is_down(graph: GraphWorld) -> None:
    graph.graph.faults.plan(Fault("refused-connection", times=None))


def _is_throttled(graph: GraphWorld) -> None:
    graph.graph.faults.plan(Fault("status", status=429, retry_after="60", times=None))


def _hangs(graph: GraphWorld) -> None:
    graph.graph.faults.plan(Fault("timeout-before", times=None))


@pytest.mark.parametrize("trouble", [_refuses, _is_down, _is_throttled, _hangs])
def test_trouble_with_graph_is_told_and_touches_nothing_else(
    world: World, graph: GraphWorld, tenant: Tenant, trouble: Callable[[GraphWorld], None]
):
    """SCIM is answered, `/readyz` is 200, and delivery goes on."""
    trouble(graph)

    watch(tenant, 900)

    assert figures(world)["entra_job_state", "unread", "default"] == 1
    assert world.app.test_client().get("/readyz", environ_base=HERE).status_code == 200
    kari = a_user()
    assert world.provisions(kari).status == 201
    assert world.state(kari)[0] == "delivered"
    assert world.employee("1042").first_name == "Kari"


def test_a_read_that_died_is_taken_over(graph: GraphWorld, tenant: Tenant, clock: Clock):
    """Its process never said that it was done."""
    with tenant.write() as s:
        assert s.schedules.take("entra-status", "dead", every_seconds=900, alive_seconds=120)
    watch(tenant, 900)
    assert graph.asked("jobs") == []

    clock.now += timedelta(seconds=121)
    watch(tenant, 900)

    assert len(graph.asked("jobs")) == 1


class Endless:
    """A Graph that answers no one before it is told to."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def limited(self, seconds: float) -> AbstractContextManager[None]:
        return nullcontext()

    def job(self) -> Job:
        self.over.wait(30)
        raise EntraError("over", is_passing=True)


def test_a_slow_graph_delays_no_other_company(world: World, graph: GraphWorld, tenant: Tenant):
    endless = Endless()
    slow = replace(tenant, name="slow", entra=cast(Entra, endless))
    watched = {"slow": (slow, 900.0), "default": (tenant, 900.0)}

    reading = watch_all(watched, {})
    reading["default"].join(20)

    assert figures(world)["entra_job_state", "never-run", "default"] == 1
    assert watch_all(watched, reading) == {"slow": reading["slow"]}
    endless.over.set()
    reading["slow"].join(20)
    assert watch_all(watched, reading) == {}


def test_no_more_than_a_few_companies_are_read_at_a_time(tenant: Tenant, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, "MOST_READS", 2)
    endless = Endless()
    names = ("a", "b", "c")
    watched = {name: (replace(tenant, name=name, entra=cast(Entra, endless)), 900.0) for name in names}

    reading = watch_all(watched, {})

    assert set(reading) == {"a", "b"}
    endless.over.set()
    for each in reading.values():
        each.join(20)
    reading = watch_all(watched, reading)
    assert set(reading) == {"c"}
    reading["c"].join(20)
