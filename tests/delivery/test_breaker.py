"""The breaker: what opens it, who is tried while it is open, and what closes it."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from structlog.testing import capture_logs

from scim_bridge.delivery.breaker import Gate
from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.domain.breaker import LONGEST_GAP_SECONDS, Breaker, gap_seconds
from scim_bridge.errors import Unreached
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people
from scim_bridge.tenant import Budget
from tests.conftest import Clock
from tests.waiting import conflict
from tests.world import World, a_user, patch

DITIO_URN = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


@pytest.fixture
def queued(world: World) -> World:
    """Three people are due, and no one waits for Ditio."""
    world.restarts_with(delivery={"inline_seconds": 0})
    for number in ("1042", "1043", "1044"):
        provisions(world, number)
    return world


def provisions(world: World, number: str) -> str:
    """Another user is created. His SCIM id."""
    user = a_user(
        object_id=f"object-{number}",
        user_principal_name=f"{number}@contractor.example",
        mail=f"{number}@contractor.example",
        mobile=f"+47 900{number}1",
        employee_id=number,
    )
    world.provisions(user)
    return world.entra.scim_id(user.object_id)


def breaker(world: World) -> Breaker:
    with world.database.read("default") as s:
        return s.breaker.get()


def due(world: World) -> list[tuple[datetime, int]]:
    with world.database.read() as s:
        rows = s.connection.execute(select(people.c.due_at, people.c.attempts).where(people.c.state == "due"))
        return [(row.due_at, row.attempts) for row in rows]


def fails(world: World, kind: str = "status", **fault: Any) -> None:
    world.ditio.faults.plan(Fault(kind=kind, **{"times": None, **fault}))


def opens(world: World) -> None:
    """Ditio is out of reach, and a person has met it."""
    fails(world, "refused-connection")
    world.worker.run_until_idle()
    assert breaker(world).is_open


def another_goes_well(world: World) -> None:
    """After those who failed: several are delivered side by side, in any order."""
    provisions(world, "1046")
    world.worker.run_until_idle()


def gate(world: World) -> Gate:
    return Gate(world.parts.tenants["default"])


@given(probes=st.integers(0, 1000))
def test_probes_are_at_most_half_a_minute_apart(probes: int):
    """D2."""
    assert 0 < gap_seconds(probes) <= gap_seconds(probes + 1) <= LONGEST_GAP_SECONDS == 30


def test_faults_of_three_different_people_open_it(queued: World):
    """R3: and not before."""
    fails(queued, status=503, path="/api/", times=2)
    queued.worker.run_until_idle()
    assert not breaker(queued).is_open
    queued.ditio.faults.clear()

    for number in ("2042", "2043", "2044"):
        provisions(queued, number)
    fails(queued, status=503, path="/api/")
    queued.worker.run_until_idle()
    assert breaker(queued).is_open


def test_a_delivery_that_goes_well_between_them_clears_the_suspects(queued: World):
    """R3: three people whom Ditio fails on are no reason to stop a thousand others."""
    fails(queued, status=500, path="employees/1042")
    fails(queued, status=500, path="employees/1043")
    queued.worker.run_until_idle()
    provisions(queued, "1047")  # In whatever order the three were delivered, this one comes after them.
    queued.worker.run_until_idle()

    assert breaker(queued) == Breaker()
    assert len(due(queued)) == 2


def test_one_person_is_not_counted_twice(world: World):
    """R3: *different* people."""
    fails(world, status=500, path="/api/")
    provisions(world, "1042")
    for _ in range(20):
        world.clock.passes(hours=2)
        world.worker.run_until_idle()

    assert not breaker(world).is_open


def test_a_connection_that_could_not_be_made_opens_it_at_once(world: World):
    """R3."""
    fails(world, "refused-connection")
    provisions(world, "1042")

    assert breaker(world).is_open
    assert "no connection could be made" in str(breaker(world).why)


def test_a_connection_that_broke_is_one_persons_fault(world: World):
    """R3: a reset of an established one."""
    fails(world, "reset-before", path="/api/")
    provisions(world, "1042")

    assert not breaker(world).is_open
    assert len(breaker(world).suspects) == 1


def test_a_429_is_obeyed_and_opens_nothing(world: World):
    """R3: no one is delivered before the moment that Ditio named, and then everyone is."""
    fails(world, status=429, retry_after="60", path="/api/", times=1)
    provisions(world, "1042")
    world.forget()
    provisions(world, "1043")
    world.worker.run_until_idle()
    assert world.ditio.requests == []
    assert not breaker(world).is_open
    assert len(due(world)) == 2

    world.clock.passes(seconds=62)
    world.worker.run_until_idle()
    assert due(world) == []


def test_while_it_is_open_no_one_is_delivered_but_one_at_a_time(queued: World):
    """D2: one probe at a time, for all processes: its lease is the person's."""
    opens(queued)
    queued.clock.passes(seconds=2)

    assert gate(queued).lease_next("probe", 30) is not None
    assert gate(queued).lease_next("another", 30) is None
    queued.clock.passes(seconds=29)
    assert gate(queued).lease_next("another", 30) is None


def test_a_probe_whose_process_died_is_taken_over_after_its_lease(queued: World):
    """D2."""
    opens(queued)
    queued.clock.passes(seconds=2)
    assert gate(queued).lease_next("lost", 30) is not None
    queued.clock.passes(seconds=31)

    assert gate(queued).lease_next("another", 30) is not None
    queued.ditio.faults.clear()


def test_a_lease_that_was_taken_before_it_opened_is_not_used(queued: World):
    """D2: another worker that had a person in hand gives them back."""
    early = gate(queued).lease_next("early", 30)
    assert early is not None
    opens(queued)
    queued.ditio.faults.clear()
    queued.forget()

    budget = Budget(queued.clock.monotonic)
    tenant = queued.parts.tenants["default"]
    deliver_person(tenant, early.person_id, early.lease, lease_seconds=30, budget=budget, cause="worker")

    assert queued.ditio.requests == []
    assert len(due(queued)) == 3


def test_probes_go_on_while_ditio_is_down_and_never_more_than_that(queued: World, monkeypatch: pytest.MonkeyPatch):
    """D2: the gap grows from a second to half a minute; probes look at different people."""
    times: list[datetime] = []
    take = queued.ditio.faults.take

    def noted(method: str, path: str, query: str) -> Fault | None:
        times.append(queued.clock())
        return take(method, path, query)

    monkeypatch.setattr(queued.ditio.faults, "take", noted)
    opens(queued)
    for _ in range(180):
        queued.clock.passes(seconds=1)
        queued.worker.run_until_idle()

    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert gaps[:5] == [1, 2, 4, 8, 16]
    assert set(gaps[5:]) == {30}
    assert [attempts > 0 for _, attempts in due(queued)] == [True] * 3


def test_closing_forgets_the_back_off_of_everyone_due(queued: World):
    """R3: after a long outage no one waits for an hour that was meant for Ditio."""
    opens(queued)
    for _ in range(200):
        queued.clock.passes(seconds=30)
        queued.worker.run_until_idle()
    assert max(at for at, _ in due(queued)) > queued.clock() + timedelta(minutes=10)
    queued.ditio.faults.clear()
    queued.clock.passes(seconds=31)

    queued.worker.run_until_idle()

    assert due(queued) == []
    assert breaker(queued) == Breaker()


def works(world: World, hours: int) -> list[bool]:
    """Another person is hired every hour. Whether each was delivered within two minutes."""
    delivered = []
    for hour in range(hours):
        user_id = provisions(world, str(3000 + hour))
        for _ in range(4):
            world.worker.run_until_idle()
            world.clock.passes(seconds=31)
        extension = world.scim("GET", f"/Users/{user_id}").json()[DITIO_URN]
        delivered.append(extension["deliveryState"] == "delivered")
        world.clock.passes(hours=1)
    return delivered


def test_three_people_who_fail_for_ever_stop_the_company_once(queued: World):
    """R3: who failed before, since another's success, is no witness against Ditio, and keeps the back-off."""
    for number in ("1042", "1043", "1044"):
        fails(queued, status=500, path=f"employees/{number}")
    queued.worker.run_until_idle()
    assert breaker(queued).is_open, "nobody can tell yet whose trouble it is"
    queued.clock.passes(seconds=31)

    assert works(queued, 24) == [True] * 24
    assert not breaker(queued).is_open
    assert len(due(queued)) == 3
    assert max(attempts for _, attempts in due(queued)) > 5, "each of them backs off"


def test_a_change_of_a_person_who_fails_is_no_new_witness(queued: World):
    """R3: a live change makes them due at once, and says nothing new of Ditio."""
    for number in ("1042", "1043", "1044"):
        fails(queued, status=500, path=f"employees/{number}")
    queued.worker.run_until_idle()
    queued.clock.passes(seconds=31)
    assert works(queued, 1) == [True]
    for number in ("1042", "1043", "1044"):
        user_id = queued.entra.scim_id(f"object-{number}")
        assert queued.scim("PATCH", f"/Users/{user_id}", patch("title", "Formann")).status_code == 200
        queued.worker.run_until_idle()

    assert not breaker(queued).is_open


def test_a_person_who_was_delivered_is_a_witness_again(queued: World):
    """R3: what was their own trouble is over; the next outage is noticed by them as by any other."""
    for number in ("1042", "1043", "1044"):
        fails(queued, status=500, path=f"employees/{number}")
    queued.worker.run_until_idle()
    queued.clock.passes(seconds=31)
    assert works(queued, 1) == [True]
    queued.ditio.faults.clear()
    queued.clock.passes(hours=2)
    queued.worker.run_until_idle()
    assert due(queued) == []

    fails(queued, status=503, path="/api/")
    for number in ("1042", "1043", "1044"):
        user_id = queued.entra.scim_id(f"object-{number}")
        queued.scim("PATCH", f"/Users/{user_id}", patch("title", "Formann"))
    queued.worker.run_until_idle()
    assert breaker(queued).is_open


def test_closing_keeps_the_back_off_of_a_person_with_trouble_of_their_own(queued: World):
    """R3: they failed before, while others were delivered; an outage in between is no reason to hurry."""
    fails(queued, status=500, path="employees/1042")
    queued.worker.run_until_idle()
    another_goes_well(queued)
    for _ in range(12):
        queued.clock.passes(hours=1)
        queued.worker.run_until_idle()
    provisions(queued, "1045")
    opens(queued)
    queued.ditio.faults.clear()
    fails(queued, status=500, path="employees/1042")
    before = max(due(queued))
    queued.clock.passes(seconds=2)
    queued.worker.run_until_idle()

    assert not breaker(queued).is_open
    assert due(queued) == [before]


def test_probes_go_to_people_without_trouble_of_their_own_first(queued: World):
    """R3, D2: or a breaker that is open for another reason would stay so as long as theirs lasts."""
    for number in ("1042", "1043"):
        fails(queued, status=500, path=f"employees/{number}")
    queued.worker.run_until_idle()
    another_goes_well(queued)
    queued.clock.passes(hours=2)
    assert len(due(queued)) == 2
    provisions(queued, "1045")
    with queued.database.write("default") as s:
        s.at(queued.clock()).breaker.locked()
        s.at(queued.clock()).breaker.open("no connection could be made")
    queued.clock.passes(seconds=2)
    queued.worker.run_until_idle()

    assert not breaker(queued).is_open


def test_a_probe_with_trouble_of_its_own_is_followed_by_a_read(queued: World):
    """R3, D2: where no other is due, a cheap read that concerns no person tells whether Ditio is well."""
    fails(queued, status=500, path="employees/1042")
    queued.worker.run_until_idle()
    queued.clock.passes(hours=2)
    opens(queued)
    queued.ditio.faults.clear()
    fails(queued, status=500, path="employees/1042")
    queued.clock.passes(seconds=31)
    queued.worker.run_until_idle()

    assert not breaker(queued).is_open
    assert len(due(queued)) == 1


def test_a_probe_who_needs_nothing_of_ditio_is_followed_by_a_read(world: World):
    """D2: every probe tells something: here of a person whose data went missing while Ditio was down."""
    fails(world, "refused-connection")
    user = a_user()
    world.provisions(user)
    removal = {"op": "Remove", "path": "phoneNumbers"}
    message = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [removal]}
    path = f"/Users/{world.entra.scim_id(user.object_id)}"
    assert world.scim("PATCH", path, message).status_code == 200
    world.clock.passes(seconds=31)
    world.worker.run_until_idle()
    assert breaker(world).is_open
    assert world.state(user)[0] == "held"

    world.ditio.faults.clear()
    replacing = {**removal, "op": "Replace", "path": "title", "value": "Formann"}
    world.scim("PATCH", path, {**message, "Operations": [replacing]})
    world.clock.passes(seconds=31)
    world.worker.run_until_idle()
    assert not breaker(world).is_open


def test_a_late_success_does_not_close_it(queued: World, monkeypatch: pytest.MonkeyPatch):
    """D2: it began before; only a probe, or the operator, closes."""
    ditio = queued.parts.tenants["default"].ditio
    get = ditio.get

    def get_and_open(*arguments: Any, **options: Any) -> Any:
        with queued.database.write("default") as s:
            breakers = s.at(queued.clock()).breaker
            breakers.locked()
            breakers.open("somebody else could not connect")
        return get(*arguments, **options)

    monkeypatch.setattr(ditio, "get", get_and_open)
    queued.worker.run_until_idle()

    assert len(due(queued)) == 2
    assert breaker(queued).is_open


def test_the_operator_closes_it_until_the_next_fault(queued: World):
    """D2: `outbox retry`; then one fault is enough, regardless of who meets it."""
    opens(queued)
    queued.ditio.faults.clear()
    fails(queued, status=503, path="/api/", times=1)
    with queued.database.write("default") as s:
        s.at(queued.clock()).breaker.close_by_operator()
    assert not breaker(queued).is_open

    queued.worker.run_until_idle()
    assert breaker(queued).is_open


def test_the_breaker_of_one_tenant_stops_no_other(queued: World):
    """D2: one row for each."""
    opens(queued)

    with queued.database.read("other") as s:
        assert s.at(queued.clock()).breaker.get().lets_through(queued.clock())


def test_the_log_says_that_it_opens_once_that_is_committed(world: World, monkeypatch: pytest.MonkeyPatch):
    """The transaction may be repeated, or fail: neither is told twice, nor is what did not happen."""
    note, tries = Gate._failed_for_many, []

    def fails_first(self: Gate, *given: Any) -> Any:
        noted = note(self, *given)
        tries.append(given)
        if len(tries) == 1:
            raise conflict()
        return noted

    monkeypatch.setattr(Gate, "_failed_for_many", fails_first)
    with capture_logs() as logged:
        gate(world).report_many(Unreached("no connection to Ditio"))

    assert len(tries) == 2
    assert breaker(world).is_open
    assert [each["event"] for each in logged] == ["breaker.opened"]
