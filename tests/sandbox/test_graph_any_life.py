"""Whatever happens in the directory: a full read and the deltas after it show the same as another full read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.graph.style import GraphStyle, reported_styles
from tests.thorough import either

from .graph_world import GraphWorld

SELECT = "id,accountEnabled,mobilePhone,jobTitle,employeeLeaveDateTime,businessPhones"
CHANGES: dict[str, Callable[[GraphWorld, EntraUser], object]] = {
    "has a phone": lambda world, user: setattr(user, "mobile", "1"),
    "has no phone": lambda world, user: setattr(user, "mobile", None),
    "has a work phone": lambda world, user: setattr(user, "telephone_number", "2"),
    "has no work phone": lambda world, user: setattr(user, "telephone_number", None),
    "will leave": lambda world, user: setattr(user, "leave_date", "2026-12-31"),
    "will stay": lambda world, user: setattr(user, "leave_date", None),
    "is blocked": lambda world, user: setattr(user, "account_enabled", False),
    "is unblocked": lambda world, user: setattr(user, "account_enabled", True),
    "is deleted": lambda world, user: setattr(user, "soft_deleted", True),
    "is restored": lambda world, user: setattr(user, "soft_deleted", False),
    "is purged": lambda world, user: world.directory.hard_delete(user.object_id),
    "is hired": lambda world, user: world.adds(),
    "is unassigned": lambda world, user: setattr(user, "assigned", False),
    "is read": lambda world, user: world.graph.looks(),
}

steps = st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 9)), max_size=12)
rounds = st.lists(steps, min_size=1, max_size=4)


def happens(world: GraphWorld, steps: list[tuple[str, int]]) -> None:
    for what, number in steps:
        users = list(world.directory.users.values())
        if users:
            CHANGES[what](world, users[number % len(users)])


def empty(value: object) -> object:
    """What is never set does not come in a delta; in a full read it is null, or an empty list."""
    return None if value == [] else value


def read(world: GraphWorld) -> dict[str, dict[str, Any]]:
    rows = world.rows(f"/users?$select={SELECT}&$top=2")
    return {row["id"]: {name: empty(value) for name, value in row.items()} for row in rows}


def apply(people: dict[str, dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if "@removed" in row:
            people.pop(row["id"], None)
        else:
            nothing: dict[str, Any] = dict.fromkeys(SELECT.split(","))
            people[row["id"]] = nothing | {name: empty(value) for name, value in row.items()}


@pytest.mark.parametrize("style", reported_styles(), ids=lambda style: style.name)
@settings(max_examples=either(60, 15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=steps, happened=rounds)
def test_deltas_add_up_to_a_full_read(style: GraphStyle, before, happened):
    world = GraphWorld(style=replace(style, throttles=False, delta_page=2))
    world.adds_many(3)
    happens(world, before)
    _, link = world.changes(f"/users/delta?$select={SELECT}&$deltatoken=latest")
    people = read(world)
    for steps_taken in happened:
        happens(world, steps_taken)
        rows, link = world.changes(link)
        apply(people, rows)

        assert people == read(world)
