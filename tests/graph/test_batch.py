"""Up to twenty calls in one `$batch`: each is answered, refused and throttled by itself, inside a 200."""

from __future__ import annotations

import pytest

from scim_bridge.errors import EntraError
from scim_bridge.graph.directory import GraphDirectory
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.gateway import Fault
from tests.graph.conftest import GraphWorld, answering


def an_id(number: int) -> str:
    return f"aaaaaaaa-0000-4000-8000-{number:012d}"


def hires(world: GraphWorld, count: int) -> list[str]:
    for number in range(count):
        world.entra.directory.add(EntraUser(an_id(number), f"user{number}@contoso.example", job_title=f"Bas {number}"))
    return [an_id(number) for number in range(count)]


def read(client: GraphDirectory, ids: list[str]) -> dict[str, str | None]:
    """The title of each user that is there; None for one who is not."""
    return {
        object_id: None if user is None else user.values["jobTitle"]
        for page in client.users_of(ids, ["jobTitle"])
        for object_id, user in page
    }


def test_twenty_users_are_one_call(world: GraphWorld, client: GraphDirectory):
    ids = hires(world, 41)

    assert read(client, ids) == {each: f"Bas {number}" for number, each in enumerate(ids)}
    assert len(world.asked("$batch")) == 3


def test_one_who_is_not_there_is_told(world: GraphWorld, client: GraphDirectory):
    ids = hires(world, 2)

    assert read(client, [*ids, an_id(7)])[an_id(7)] is None


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_refused_inside_is_asked_again_alone(world: GraphWorld, client: GraphDirectory, status: int):
    """Facts, section 8: "each counted and throttled alone (429 inside a 200)"."""
    ids = hires(world, 5)
    world.graph.faults.plan(Fault("status", status=status, path=ids[1], retry_after="7"))
    world.graph.faults.plan(Fault("status", status=status, path=ids[3], retry_after="9"))

    found = read(client, ids)

    assert found == {each: f"Bas {number}" for number, each in enumerate(ids)}
    assert world.slept == [9.0]
    first, again = (each.body["requests"] for each in world.graph.requests if "$batch" in each.path)
    assert (len(first), {each["url"].split("?")[0] for each in again}) == (5, {f"/users/{ids[1]}", f"/users/{ids[3]}"})


def test_a_429_inside_without_a_time_is_tried_at_growing_distances(world: GraphWorld, client: GraphDirectory):
    ids = hires(world, 2)
    world.graph.faults.plan(Fault("status", status=429, path=ids[0], times=3))

    assert read(client, ids)[ids[0]] == "Bas 0"
    assert world.slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_refused_for_ever_is_given_up(world: GraphWorld, client: GraphDirectory, status: int):
    ids = hires(world, 2)
    world.graph.faults.plan(Fault("status", status=status, path=ids[0], retry_after="60", times=None))

    with pytest.raises(EntraError) as error:
        read(client, ids)

    assert error.value.is_passing
    assert sum(world.slept) <= 300


def test_a_permission_that_is_missing_is_named(world: GraphWorld, client: GraphDirectory):
    ids = hires(world, 1)
    world.graph.client.permissions.clear()

    with pytest.raises(EntraError, match=r"User\.Read\.All"):
        read(client, ids)


ROW = {"id": an_id(0), "jobTitle": "Bas 0"}
HOSTILE: dict[str, object] = {
    "no list": {"responses": None},
    "nothing": {"responses": []},
    "another id": {"responses": [{"id": "7", "status": 200, "body": ROW}]},
    "another user": {"responses": [{"id": "0", "status": 200, "body": {**ROW, "id": an_id(1)}}]},
    "no user": {"responses": [{"id": "0", "status": 200, "body": {}}]},
    "no object": {"responses": [{"id": "0", "status": 200, "body": "text"}]},
    "no body": {"responses": [{"id": "0", "status": 204}]},
    "no status": {"responses": [{"id": "0", "body": ROW}]},
    "a redirect": {"responses": [{"id": "0", "status": 302, "headers": {"Location": "https://evil.test"}}]},
    "a 404 of a gateway": {"responses": [{"id": "0", "status": 404, "body": "no such page"}]},
    "a 404 of another kind": {"responses": [{"id": "0", "status": 404, "body": {"error": {"code": "BadRequest"}}}]},
}


@pytest.mark.parametrize("answer", HOSTILE)
def test_what_is_no_clear_answer_is_no_answer(world: GraphWorld, answer: str):
    """In particular no user is gone because of it."""
    world.session = answering(world, HOSTILE[answer], "$batch")  # type: ignore[method-assign]

    with pytest.raises(EntraError):
        read(world.client(), [an_id(0)])
