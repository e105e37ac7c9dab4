"""What a delivery costs: how often Ditio is called, as figures that may not grow (rules C5, P4, P5)."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World, a_user, patch

Calls = tuple[int, int]
"""Reads and writes."""


def edits(**changes: Any) -> Callable[[World, EntraUser], None]:
    """Entra changes the user."""

    def edit(world: World, kari: EntraUser) -> None:
        world.changes(kari, **changes)

    return edit


def hire(world: World, kari: EntraUser) -> None:
    world.provisions(kari)


def delete(world: World, kari: EntraUser) -> None:
    world.deletes(kari)


COSTS: dict[str, tuple[Callable[[World, EntraUser], None], Calls, Calls]] = {
    # What is done: calls where all goes well; calls in all where the answer to the first write is lost.
    "hire": (hire, (3, 1), (4, 1)),
    "title": (edits(job_title="Formann"), (1, 1), (2, 1)),
    "department": (edits(department="Betong"), (1, 1), (2, 1)),
    "phone": (edits(mobile="41234567"), (2, 1), (3, 1)),
    "number": (edits(employee_id="1050"), (1, 1), (2, 1)),
    "ending": (edits(account_enabled=False), (1, 2), (2, 2)),
    "deletion": (delete, (1, 2), (2, 2)),
    "phone and title": (edits(mobile="41234567", job_title="Formann"), (2, 2), (3, 2)),
}
FOR_DOUBT = 1
"""How many reads may be added at most where an answer was lost, to those of the figures above."""


def a_world(database: Database, clock: Clock, name: str) -> tuple[World, EntraUser]:
    world = World(database, clock, settings={"delivery": {"end_employment": "at-once"}})
    kari = a_user()
    if name != "hire":
        world.provisions(kari)
        clock.passes(days=1)
    world.forget()
    return world, kari


def calls(world: World) -> Calls:
    reads = [call for call in world.ditio.requests if call.method == "GET"]
    return len(reads), len(world.ditio.writes())


@pytest.mark.parametrize("name", COSTS)
def test_where_all_goes_well_no_call_is_added(database: Database, clock: Clock, name: str):
    """P4, P5, C1: who an employee is, is told by the read that there is anyway."""
    do, told, _ = COSTS[name]
    world, kari = a_world(database, clock, name)

    do(world, kari)
    world.worker.run_until_idle()

    assert calls(world) == told


@pytest.mark.parametrize("name", COSTS)
def test_a_lost_answer_costs_one_read_more_at_most(database: Database, clock: Clock, name: str):
    """C5, R4: the next attempt reads first; it waits for that until the doubt is over, and asks no more often."""
    do, _, (reads, writes) = COSTS[name]
    world, kari = a_world(database, clock, name)
    method = "POST" if name == "hire" else "PATCH"
    world.ditio.faults.plan(Fault("timeout-after", method=method, path="/employees"))

    do(world, kari)
    for _ in range(60):
        clock.passes(seconds=1)
        world.worker.run_until_idle()

    made = calls(world)
    assert made[0] <= reads + FOR_DOUBT
    assert made[1] == writes
    if name != "deletion":
        assert world.state(kari) == ("delivered", None)


@pytest.mark.parametrize("name", ["title", "ending"])
def test_no_one_is_asked_in_vain_while_doubt_lasts(database: Database, clock: Clock, name: str):
    """C5: until the doubt is older than the lag nothing is read, as nothing that is read would be believed."""
    do, _, _ = COSTS[name]
    world, kari = a_world(database, clock, name)
    world.ditio.faults.plan(Fault("timeout-after", times=None, method="PATCH", path="/employees"))
    do(world, kari)
    world.ditio.faults.clear()
    world.forget()

    for _ in range(4):
        clock.passes(seconds=1)
        world.worker.run_until_idle()

    assert world.ditio.requests == []


# Transactions


class Counted:
    """Counts the transactions that are begun on a database."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = Counter[str]()
        for method, kind in (("read", "read"), ("read_once", "read"), ("write", "write")):
            monkeypatch.setattr(database, method, self._counting(kind, getattr(database, method)))

    def taken(self) -> tuple[int, int]:
        """How many only read, and how many wrote, since the last call."""
        counts, self.begun = (self.begun["read"], self.begun["write"]), Counter()
        return counts

    def _counting(self, kind: str, begin: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.begun[kind] += 1
            return begin(*arguments)

        return counted


USER = {
    "schemas": [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ],
    "userName": "kari@contractor.example",
    "active": True,
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "phoneNumbers": [{"type": "mobile", "value": "+4798765432"}],
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "1042"},
    "urn:ietf:params:scim:schemas:extension:ditio:2.0:User": {"employmentStartDate": "2026-03-01"},
}

MOST_TRANSACTIONS = (2, 3), (3, 2)
"""Reads and commits of a creation and of a change with delivery while the request waits, the sign-in included."""


def test_a_write_with_its_delivery_takes_few_transactions(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """D1: each answer of Ditio's is kept before the next call, and nothing is open while Ditio is called."""
    world = World(database, clock)
    world.provisions(a_user(object_id="other", user_principal_name="o", mail=None, mobile="40000000", employee_id="7"))
    counted = Counted(database, monkeypatch)
    created = world.scim("POST", "/Users", USER)
    creation = counted.taken()
    changed = world.scim("PATCH", f"/Users/{created.json()['id']}", patch("title", "Formann"))

    assert (created.status_code, changed.status_code) == (201, 200)
    assert world.employee("1042").work_title == "Formann"
    assert (creation, counted.taken()) == MOST_TRANSACTIONS


MOST_MODULES = 70
"""Of the bridge, with code that runs between a creation's request and its answer.

One of them keeps refusals, one traces the request and one notes when Entra called."""


def test_a_write_with_its_delivery_passes_few_modules(database: Database, clock: Clock):
    """The path of a write can be followed."""
    world = World(database, clock)
    world.provisions(a_user(object_id="other", user_principal_name="o", mail=None, mobile="40000000", employee_id="7"))
    entered: set[str] = set()

    def enter(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.startswith("scim_bridge.") and not name.startswith("scim_bridge.sandbox."):
            entered.add(name)

    earlier = sys.getprofile()
    sys.setprofile(enter)
    try:
        created = world.scim("POST", "/Users", USER)
    finally:
        sys.setprofile(earlier)

    assert created.status_code == 201
    assert len(entered) <= MOST_MODULES, " ".join(sorted(entered))
