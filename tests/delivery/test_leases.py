"""One delivery for a person at a time, and no one forgotten."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.domain.person import PersonId
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.tables import people
from scim_bridge.tenant import Budget
from tests.conftest import Clock
from tests.world import World, a_user


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


def the_person(world: World) -> Any:
    with world.database.read() as s:
        return s.connection.execute(select(people)).one()


def test_a_request_that_is_answered_has_given_its_lease_back(world: World):
    """D1: nothing waits for a lease to run out."""
    world.provisions(a_user())

    assert the_person(world).lease is None


def test_so_has_one_whose_delivery_failed(world: World):
    """D1: the next try waits for its time, and not for a lease too."""
    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.provisions(a_user())

    person = the_person(world)
    assert (person.state, person.lease) == ("due", None)


def test_no_worker_takes_a_person_while_his_request_waits(world: World):
    """A4: intake leases the due mark to its own request."""
    deliver = world.parts.inline["default"].deliver
    seen: list[int] = []

    def deliver_after_a_worker(ticket: Any) -> None:
        seen.append(world.worker.run_until_idle())
        deliver(ticket, began=world.clock.monotonic())

    world.delivers_inline_with(deliver_after_a_worker)
    world.provisions(a_user())

    assert seen == [0]
    assert world.employee("1042").created_count == 1


def test_a_request_that_died_is_taken_over_when_its_lease_is_over(world: World):
    """D1, C5: a lease runs out, and another delivers the person once what its holder may have sent must have come."""
    world.delivers_inline_with(lambda ticket: None)
    world.provisions(a_user())
    assert world.worker.run_until_idle() == 0

    world.clock.passes(seconds=21)
    assert world.worker.run_until_idle() == 1
    assert world.employee("1042").created_count == 1


def test_who_finds_the_lease_lost_marks_the_person_due_again(world: World):
    """D1: the other may have read too early."""
    world.delivers_inline_with(lambda ticket: None)
    world.provisions(a_user())
    person = the_person(world)
    world.clock.passes(seconds=60)
    with world.database.write("default") as s:
        outbox = s.outbox
        assert outbox.lease_next("thief", 60) is not None

    deliver_person(
        world.parts.tenants["default"],
        PersonId(person.id),
        person.lease,
        lease_seconds=0,
        budget=Budget(world.clock.monotonic),
        cause="request",
    )

    assert world.ditio.writes() == []
    assert the_person(world).lease == "thief"


def test_a_lease_that_is_lost_between_two_calls_stops_the_delivery(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1: before each write the lease is ours, or nothing is sent."""
    world.provisions(a_user())
    world.forget()
    world.delivers_inline_with(lambda ticket: None)
    kari = world.entra.directory.users[a_user().object_id]
    world.changes(kari, job_title="Formann", mobile="41234567")
    person = the_person(world)
    ditio = world.parts.tenants["default"].ditio
    send = ditio.send

    def send_and_lose(*call: Any, **options: Any) -> Any:
        with world.database.write() as s:
            s.connection.execute(people.update().values(lease="thief"))
        return send(*call, **options)

    monkeypatch.setattr(ditio, "send", send_and_lose)
    deliver_person(
        world.parts.tenants["default"],
        PersonId(person.id),
        person.lease,
        lease_seconds=1,
        budget=Budget(world.clock.monotonic),
        cause="request",
    )

    assert [path for _, path, _ in world.sent()] == ["/1042/change-phone-number"]
    row = the_person(world)
    assert (row.state, row.lease) == ("due", "thief")


def deliver(world: World, lease: str, *, lease_seconds: float) -> None:
    deliver_person(
        world.parts.tenants["default"],
        PersonId(the_person(world).id),
        lease,
        lease_seconds=lease_seconds,
        budget=Budget(world.clock.monotonic),
        cause="worker",
    )


def test_nothing_is_read_or_claimed_under_a_lease_that_is_another_s(world: World):
    """D1: a worker that comes too late leaves the person as they are, and Ditio alone."""
    world.delivers_inline_with(lambda ticket: None)
    world.provisions(a_user())
    before = the_person(world)
    deliver(world, "not his", lease_seconds=60)

    assert the_person(world) == before
    assert world.ditio.calls() == []


@pytest.mark.parametrize("state", ["due", "delivered"])
def test_a_lease_that_is_found_lost_when_settling_settles_nothing(world: World, state: str):
    """D1: the other's outcome stands, and the person is due again: the other may have read too early."""
    world.ditio.plant("1042", phone="+4791111111", email="somebody@else.example")
    world.delivers_inline_with(lambda ticket: None)
    world.provisions(a_user())
    ditio = world.parts.tenants["default"].ditio
    get = ditio.get

    def get_and_lose(*arguments: Any, **options: Any) -> Any:
        with world.database.write() as s:
            s.connection.execute(people.update().values(lease="thief", state=state))
        return get(*arguments, **options)

    ditio.get = get_and_lose  # type: ignore[method-assign]
    deliver(world, the_person(world).lease, lease_seconds=60)

    row = the_person(world)
    assert (row.state, row.reason, row.lease) == ("due", None, "thief"), "not parked as refused"


def test_a_lease_outlasts_every_call(world: World):
    """D1: before each call, reads too, it is renewed if it would run out meanwhile."""
    world.delivers_inline_with(lambda ticket: None)
    world.provisions(a_user())
    ditio = world.parts.tenants["default"].ditio
    get, left = ditio.get, []

    def get_and_look(*arguments: Any, **options: Any) -> Any:
        left.append((the_person(world).leased_until - world.clock()).total_seconds())
        return get(*arguments, **options)

    ditio.get = get_and_look  # type: ignore[method-assign]
    deliver(world, the_person(world).lease, lease_seconds=1)

    assert left
    assert min(left) > world.parts.tenants["default"].call_seconds


def test_a_person_who_changed_meanwhile_goes_round_again(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1: a person who delivers an older revision goes round again, and sends what is wanted now."""
    kari = a_user()
    world.provisions(kari)
    world.restarts_with(delivery={"inline_seconds": 0})
    world.changes(kari, job_title="Formann")
    ditio = world.parts.tenants["default"].ditio
    get, changed = ditio.get, []

    def get_and_change(*arguments: Any, **options: Any) -> Any:
        answer = get(*arguments, **options)
        if not changed:
            changed.append(True)
            world.changes(kari, job_title="Leder")
        return answer

    monkeypatch.setattr(ditio, "get", get_and_change)
    world.worker.run_until_idle()

    assert world.employee("1042").work_title == "Leder"
    assert world.state(kari) == ("delivered", None)


def test_no_place_to_wait_is_answered_as_due(world: World):
    """A4: a write that finds no free place is answered 2xx as `due`, and a worker takes it at once."""
    inline = world.parts.inline["default"]
    while inline.places.take("default"):
        pass
    kari = a_user()
    step = world.provisions(kari)

    assert step.status == 201
    assert world.state(kari)[0] == "due"
    assert world.worker.run_until_idle() == 1
    assert world.state(kari) == ("delivered", None)


def test_every_attempt_is_history(world: World):
    """D5: what, when, cause, status, request id, duration; ids, no personal data."""
    world.ditio.faults.plan(Fault(kind="status", status=503, method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(hours=1)
    world.worker.run_until_idle()

    with world.database.read("default") as s:
        entries = s.history.of(PersonId(the_person(world).id))
    told = [(entry.what, entry.outcome, entry.cause, entry.status) for entry in entries]
    assert told == [
        ("user-created", "accepted", "request", None),
        ("create", "TransientError", "request", 503),
        ("delivery", "try-again", "request", 503),
        ("create", "done", "worker", 201),
        ("delivery", "delivered", "worker", None),
    ]
    assert all(entry.request_id for entry in entries)
    assert "Kari" not in str(entries)
    assert "98765432" not in str(entries)


class GaveWay(Exception):
    """What the driver says of the one of two transactions that has to give way."""

    sqlstate = "40P01"


@pytest.mark.parametrize("inline_seconds", [5, 0])
def test_who_has_to_give_way_after_a_call_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, inline_seconds: int
):
    """A1, D1, P6: two transactions in each other's way are no outage: what Ditio answered is stored at a second try."""
    link, tries = Session.link, []

    def give_way_once(*arguments: Any, **options: Any) -> None:
        tries.append(True)
        link(*arguments, **options)
        if len(tries) == 1:
            raise OperationalError("", None, GaveWay())

    monkeypatch.setattr(Session, "link", give_way_once)
    world.restarts_with(delivery={"inline_seconds": inline_seconds})
    kari = a_user()
    step = world.provisions(kari)
    world.worker.run_until_idle()

    assert step.status == 201
    assert len(tries) == 2
    assert the_person(world).lease is None
    assert world.state(kari) == ("delivered", None)
    assert world.employee("1042").created_count == 1
