"""A random walk of directory changes with faults: the findings are exactly what the faults swallowed."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from scim_bridge.domain.drift import Kind
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.graph.story import EntraWorld, person

PEOPLE = 6

changes = st.sampled_from(
    ["unassign", "assign", "block", "unblock", "clear-title", "set-title", "move", "call-back", "bin", "restore"]
)
steps = st.lists(st.tuples(st.integers(0, PEOPLE - 1), changes, st.booleans()), max_size=8)
"""Who, what happens to them, and whether Entra loses it."""


def change(user: EntraUser, what: str, number: int) -> None:
    match what:
        case "unassign" | "assign":
            user.assigned = what == "assign"
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


def expected(world: EntraWorld, user: EntraUser) -> set[tuple[str, str | None]]:
    """What the bridge has of a user that Entra has not, by the words of Entra's directory alone."""
    document = world.user(user)
    should = user.assigned and user.account_enabled and not user.soft_deleted
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


def walk(template: Path, folder: Path, story: list[tuple[int, str, bool]]) -> None:
    file = folder / "walk.db"
    shutil.copy(template, file)
    clock = Clock()
    database = Database(f"sqlite:///{file}", clock=clock)
    try:
        world = EntraWorld(database, clock)
        # One user outside the walk keeps each attribute filled, and the assignments from being halved.
        others = [person(number) for number in range(PEOPLE, 3 * PEOPLE)]
        users = world.hires(PEOPLE)
        for each in others:
            world.entra.directory.add(each)
        world.entra.cycle()
        world.compares()
        for number, (who, what, is_lost) in enumerate(story):
            change(users[who], what, number)
            if is_lost:
                world.entra.overlook(users[who].object_id)
            world.cycle_passes()
        world.compares()
        world.cycle_passes()
        world.compares()
        world.cycle_passes()

        found = {
            (row.kind, row.user_name, row.field)
            for row in world.rows(world.compares())
            if row.kind not in (Kind.stuck_delivery,)
        }

        assert found == {
            (kind, user.user_principal_name, field) for user in users for kind, field in expected(world, user)
        }
    finally:
        database.close()


@settings(max_examples=12)
@given(story=steps)
def test_the_findings_are_what_the_faults_swallowed_and_nothing_else(
    sqlite_template: Path, story: list[tuple[int, str, bool]]
):
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        walk(sqlite_template, Path(folder), story)
