"""An application with few users in a big directory: only those are read, and each verdict is as careful as ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scim_bridge.domain.drift import Cause, Kind
from scim_bridge.errors import EntraError
from scim_bridge.sandbox.directory import EntraGroup
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.job import Clause
from scim_bridge.storage.admin_tables import entra_people
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.graph.story import EntraWorld, person
from tests.graph.test_no_harm import made_again

GROUP, INNER = "bbbbbbbb-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000003"


@pytest.fixture
def world(database: Database, clock: Clock) -> EntraWorld:
    world = EntraWorld(database, clock)
    becomes_big(world)
    return world


def becomes_big(world: EntraWorld, users: int = 50_000) -> None:
    """Graph counts so many more users than the sandbox has."""
    world.graph.style = replace(world.graph.style, count_error=users)


def asked(world: EntraWorld) -> set[str]:
    return {each.path.removeprefix("/v1.0") for each in world.graph.requests if "/users" in each.path} | {
        "$batch" for each in world.graph.requests if "$batch" in each.path
    }


def stored(world: EntraWorld) -> dict[str, str | None]:
    with world.database.read("default") as s:
        return {row.object_id: row.removed for row in s.connection.execute(entra_people.select())}


def test_only_the_users_that_matter_are_read(world: EntraWorld):
    world.hires(3)
    world.entra.directory.add(person(50, assigned=False))
    world.graph.requests.clear()

    assert world.compares().exit == 0

    assert asked(world) == {"/users/$count", "$batch"}
    assert set(stored(world)) == {person(number).object_id for number in range(3)}


def test_of_a_small_directory_all_are_read(world: EntraWorld):
    """It takes fewer calls, and later ones read what changed."""
    becomes_big(world, 0)
    world.hires(3)
    world.graph.requests.clear()

    world.compares()

    assert "/users" in asked(world)
    assert "$batch" not in asked(world)


@pytest.mark.parametrize("way", ["unassigned", "disabled", "deleted"])
def test_who_left_without_notice_is_found_and_repaired(world: EntraWorld, way: str):
    kari, _ = world.hires(2)
    world.compares()
    kari.assigned = way != "unassigned"
    kari.account_enabled = way != "disabled"
    kari.soft_deleted = way == "deleted"
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert (row.kind, str(row.wanted).split()[0]) == (Kind.left_without_notice, way)
    assert world.repairs().applied == 1
    assert world.employee("3000").disabled
    assert not world.employee("3001").disabled
    assert world.looks() == []


def test_a_user_who_was_never_there_was_not_deleted(world: EntraWorld):
    kari, _ = world.hires(2)
    del world.entra.directory.users[kari.object_id]

    assert world.looks() == []
    assert kari.object_id not in stored(world)


def test_a_cleared_value_a_new_user_and_a_nested_one_are_found(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.job_title = None
    nina, inner = person(7), person(8, assigned=False)
    for user in (nina, inner):
        world.entra.directory.add(user)
        world.entra.overlook(user.object_id)
    world.entra.directory.add_group(EntraGroup(INNER, "Inner", [inner.object_id], assigned=False))
    world.entra.directory.add_group(EntraGroup(GROUP, "Ditio users", [INNER]))

    assert {(row.kind, row.cause) for row in world.looks()} == {
        (Kind.cleared_in_entra, Cause.entra_sends_no_nulls),
        (Kind.not_sent, Cause.never_seen),
        (Kind.not_sent, Cause.nested_group),
    }


def test_when_half_of_them_are_gone_at_once_it_is_not_believed_and_not_the_next_time_either(world: EntraWorld):
    users = world.hires(5)
    world.compares()
    for user in users[:3]:
        del world.entra.directory.users[user.object_id]

    for _ in range(2):
        report = world.compares()
        assert (report.exit, "fewer than half of the 5" in str(report.stopped)) == (3, True)
    assert set(stored(world).values()) == {None}


def test_a_read_that_breaks_off_says_nothing(world: EntraWorld):
    kari, _ = world.hires(2)
    world.compares()
    world.graph.faults.plan(Fault("status", status=400, path=kari.object_id, times=None))

    with pytest.raises(EntraError):
        world.compares()
    world.graph.faults.clear()

    assert world.looks() == []


def test_a_directory_that_grows_or_shrinks_changes_the_way_and_finds_nothing(world: EntraWorld, clock: Clock):
    """From all users to those that matter, and back: no one is missing by that."""
    becomes_big(world, 0)
    world.hires(3)
    world.entra.directory.add(person(50, assigned=False))
    world.compares()
    for users in (50_000, 0, 50_000):
        clock.passes(days=7)
        world.entra.cycle()
        becomes_big(world, users)
        assert world.looks() == []
    assert set(stored(world).values()) == {None}


def test_where_all_users_are_provisioned_all_are_read(database: Database, clock: Clock):
    world = EntraWorld(database, clock, settings={"entra": {"scope": "all"}})
    world.entra.job.sync_all = True
    world.hires(2)
    becomes_big(world, 1_000)
    world.graph.requests.clear()

    world.compares()

    assert "/users" in asked(world)


def test_without_a_count_all_are_read(world: EntraWorld):
    world.hires(2)
    world.graph.faults.plan(Fault("status", status=400, path="users/$count", times=None))
    world.graph.requests.clear()

    world.compares()

    assert "/users" in asked(world)


def test_values_that_may_not_be_read_leave_no_one_out(world: EntraWorld):
    """`User.ReadBasic.All` shows single users, too, and all but their names as null: that passes no filter."""
    world.entra.job.scope = [[Clause("department", "EQUALS", ("Anlegg",))]]
    world.hires(2)
    world.compares()
    world.graph.client.permissions -= {"User.Read.All", "User-LifeCycleInfo.Read.All"}
    world.graph.client.permissions.add("User.ReadBasic.All")
    world.graph.access.revoke_tokens()

    assert world.looks() == []


@pytest.mark.parametrize("is_assigned", [True, False])
def test_a_user_made_anew_is_not_ended(world: EntraWorld, is_assigned: bool):
    """No mark tells what changed since the last read; one who is not assigned will never be sent as the same person."""
    kari, _ = world.hires(2)
    world.compares()
    kari.soft_deleted = True
    world.entra.overlook(kari.object_id)
    world.looks()
    with world.database.read("default") as s:
        marked = s.entra.marked()
    assert marked is not None
    assert marked.delta_link is None
    again = made_again("another name")
    again.assigned = is_assigned
    world.entra.directory.add(again)

    report = world.repairs()

    assert report.applied == (0 if is_assigned else 1)
    assert world.employee("3000").disabled is not is_assigned
