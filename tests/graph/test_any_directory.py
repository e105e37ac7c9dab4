"""A random walk of directory changes with faults: the findings are exactly what the faults swallowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings

from scim_bridge.domain.drift import Kind
from scim_bridge.sandbox.directory import EntraGroup
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.storage.admin_tables import metadata
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.graph.story import EntraWorld, person
from tests.thorough import either, short_on_sqlite

PEOPLE = 6
GROUP = "bbbbbbbb-0000-4000-8000-000000000001"

CHANGES = (
    *("unassign", "assign", "join", "quit", "block", "unblock", "bin", "restore"),
    *("clear-title", "set-title", "move", "call-back", "hire"),
)
steps = st.lists(st.tuples(st.integers(0, PEOPLE - 1), st.sampled_from(CHANGES), st.booleans()), max_size=8)
"""Who, what happens to them, and whether Entra loses it."""

EACH_KIND = [(0, "block", True), (1, "unassign", True), (2, "clear-title", False), (3, "move", True), (4, "hire", True)]
"""A walk with each way of leaving that a fault swallows most often, and each kind but one."""


def change(world: EntraWorld, user: EntraUser, what: str, number: int) -> EntraUser:
    """Return whom it happens to: that user, or one who is hired."""
    members = world.entra.directory.groups[GROUP].members
    match what:
        case "unassign" | "assign":
            user.assigned = what == "assign"
        case "join" if user.object_id not in members:
            members.append(user.object_id)
        case "quit" if user.object_id in members:
            members.remove(user.object_id)
        case "block" | "unblock":
            user.account_enabled = what == "unblock"
        case "clear-title":
            user.job_title = None
        case "set-title":
            user.job_title = f"Bas {number}"
        case "move":
            user.department = f"Anlegg {number}"
        case "call-back":
            user.mobile = f"+47 45 00 00 {number:02d}"
        case "bin" | "restore":
            user.soft_deleted = what == "bin"
        case "hire":
            return world.entra.directory.add(person(100 + number))
    return user


def expected(world: EntraWorld, user: EntraUser) -> set[tuple[str, str | None]]:
    """What the bridge has of a user that Entra has not, by the words of Entra's directory alone."""
    is_assigned = user.assigned or user.object_id in world.entra.directory.groups[GROUP].members
    should = is_assigned and user.account_enabled and not user.soft_deleted
    if world.entra.scim_id(user.object_id) is None:
        return {(Kind.not_sent, None)} if should else set()
    document = world.user(user)
    if document["active"] != should:
        return {(Kind.left_without_notice if document["active"] else Kind.returned, None)}
    if not should:
        return set()
    phones = [each["value"] for each in document["phoneNumbers"] if each["type"] == "mobile"]
    enterprise = document["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]
    both: dict[str, tuple[Any, Any]] = {
        "workTitle": (user.job_title, document.get("title")),
        "department": (user.department, enterprise.get("department")),
        "phone": (user.mobile, phones[0]),
    }
    return {
        (Kind.cleared_in_entra if theirs is None else Kind.differs_from_entra, field)
        for field, (theirs, ours) in both.items()
        if theirs != ours
    }


def walk(database: Database, clock: Clock, story: list[tuple[int, str, bool]], *, is_big: bool) -> None:
    world = EntraWorld(database, clock)
    # Of a big directory only the users that matter are read, of a small one all.
    world.graph.style = replace(world.graph.style, count_error=50_000 if is_big else 0)
    world.entra.directory.add_group(EntraGroup(GROUP, "Ditio users"))
    # Users outside the walk keep each attribute filled, and the assignments from being halved.
    for number in range(PEOPLE, 3 * PEOPLE):
        world.entra.directory.add(person(number))
    users = world.hires(PEOPLE)
    world.compares()
    for number, (who, what, is_lost) in enumerate(story):
        changed = change(world, users[who], what, number)
        if changed not in users:
            users.append(changed)
        if is_lost:
            world.entra.overlook(changed.object_id)
        world.cycle_passes()
    world.compares()
    world.cycle_passes()
    world.compares()
    world.cycle_passes()

    found = {(row.kind, row.user_name, row.field) for row in world.rows(world.compares())}

    assert {each for each in found if each[0] is not Kind.stuck_delivery} == {
        (kind, user.user_principal_name, field) for user in users for kind, field in expected(world, user)
    }


def empty(database: Database) -> None:
    with database.write() as s:
        for table in reversed(metadata.sorted_tables):
            s.connection.execute(table.delete())


def any_directory(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Each walk of so many, and the two that show each kind."""

    def tried(test: Callable[..., None]) -> Callable[..., None]:
        for is_big in (True, False):
            test = example(story=EACH_KIND, is_big=is_big)(test)
        test = given(story=steps, is_big=st.booleans())(test)
        checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
        return settings(max_examples=examples, suppress_health_check=checks)(test)

    return tried


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@any_directory(either(30, 6))
def test_the_findings_are_what_the_faults_swallowed_and_nothing_else(
    database_url: str, story: list[tuple[int, str, bool]], is_big: bool
):
    is_found(database_url, story, is_big)


@short_on_sqlite
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@any_directory(10)
def test_they_are_found_by_the_other_database_too(database_url: str, story: list[tuple[int, str, bool]], is_big: bool):
    """The same statements as on SQLite: a few walks reach all of them."""
    is_found(database_url, story, is_big)


def is_found(database_url: str, story: list[tuple[int, str, bool]], is_big: bool) -> None:
    clock = Clock()
    database = Database(database_url, clock=clock)
    try:
        empty(database)
        walk(database, clock, story, is_big=is_big)
    finally:
        database.close()
