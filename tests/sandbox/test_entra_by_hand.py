"""Entra's users are changed by hand, and a cycle is run, over HTTP (docs/sandbox.md)."""

from __future__ import annotations

import pytest

from .graph_world import GraphWorld

ADMIN = "https://graph.microsoft.com/_sandbox"
TENANT_URL = "http://127.0.0.1:8080/scim"


@pytest.fixture
def world() -> GraphWorld:
    world = GraphWorld()
    world.session.mount("http://127.0.0.1:8080/", world.session.get_adapter("https://bridge.example/"))
    world.job.state = "Disabled"
    world.adds(employee_id="1001", job_title="Bas")
    return world


def connects(world: GraphWorld, **changes: str):
    body = {"tenantUrl": TENANT_URL, "secretToken": "another"} | changes
    return world.session.post(f"{ADMIN}/cycle", json=body)


def test_a_cycle_is_run_when_it_is_asked_for(world):
    assert world.session.post(f"{ADMIN}/cycle").status_code == 400, "not connected"

    first = connects(world).json()
    again = world.session.post(f"{ADMIN}/cycle").json()

    assert [(step["action"], step["status"]) for step in first["steps"]] == [("create", 201)]
    assert (again["steps"], again["quarantined"]) == ([], False)
    assert world.endpoint.headers[0]["Authorization"] == "Bearer another"
    assert world.the_job()["schedule"]["state"] == "Active"


def test_a_user_is_changed_by_employee_number(world):
    connects(world)
    changed = world.session.patch(f"{ADMIN}/users/1001", json={"assigned": False, "jobTitle": None}).json()
    (user,) = world.session.get(f"{ADMIN}/users").json().values()

    assert user == changed
    assert (user["assigned"], user["job_title"], user["scim_id"]) == (False, None, "u1")
    (step,) = world.session.post(f"{ADMIN}/cycle").json()["steps"]
    assert step["action"] == "disable"


def test_a_user_is_deleted_for_good(world):
    connects(world)
    assert world.session.delete(f"{ADMIN}/users/1001").status_code == 204

    (step,) = world.session.post(f"{ADMIN}/cycle").json()["steps"]
    assert step["action"] == "delete"
    assert world.session.delete(f"{ADMIN}/users/1001").status_code == 404


def test_another_endpoint_is_provisioned_from_the_beginning(world):
    connects(world)
    assert connects(world).json()["steps"] == [], "the same one is known"

    world.session.mount("http://localhost:8080/", world.session.get_adapter("https://bridge.example/"))
    world.endpoint.resources.clear()
    steps = connects(world, tenantUrl="http://localhost:8080/scim").json()["steps"]
    assert [step["action"] for step in steps] == ["create"]


@pytest.mark.parametrize("url", ["https://bridge.example/scim", "http://127.0.0.1.evil.example/scim", "", "x"])
def test_it_provisions_only_into_this_machine(world, url):
    assert connects(world, tenantUrl=url).status_code == 400
    assert world.endpoint.calls == []


@pytest.mark.parametrize("body", [{"colour": "red"}, {"objectId": "x"}, ["a"]])
def test_what_is_no_attribute_is_refused(world, body):
    assert world.session.patch(f"{ADMIN}/users/1001", json=body).status_code == 400


def test_graph_has_faults_and_calls_of_its_own(world):
    world.session.delete(f"{ADMIN}/requests")
    world.session.post(f"{ADMIN}/faults", json={"kind": "status", "status": 503, "path": "/users"})
    assert world.asks("/users").status_code == 503
    world.session.post(f"{ADMIN}/faults", json={"kind": "status", "status": 503, "times": None})
    world.session.delete(f"{ADMIN}/faults")
    assert world.asks("/users?$top=1").status_code == 200

    calls = world.session.get(f"{ADMIN}/requests").json()
    assert [(call["path"], call["status"]) for call in calls] == [("/v1.0/users", 503), ("/v1.0/users", 200)]
    assert world.session.post(f"{ADMIN}/faults", json={"colour": "red"}).status_code == 400
