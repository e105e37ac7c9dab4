"""Due marks and leases, with several deliverers at once."""

from datetime import date
from threading import Barrier, Thread

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from scim_bridge.domain.employee import Days, EmployeeNumber
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.domain.values import UserId
from scim_bridge.storage.database import Database
from scim_bridge.storage.outbox import Status
from scim_bridge.storage.tables import people
from tests.conftest import Clock


def add(database: Database, clock: Clock, *names: str, tenant: str = "default") -> None:
    with database.write(tenant) as s:
        for name in names:
            person = Person(PersonId(name), UserId(f"user-{name}"), Days(active=True))
            s.people.add(person, external_id=None, wakes_on=None)
            s.outbox.mark_due(person.id)


def test_the_longest_waiting_is_leased_first(database: Database, clock: Clock):
    add(database, clock, "a")
    clock.passes(seconds=1)
    add(database, clock, "b")
    with database.write("default") as s:
        outbox = s.outbox
        leased = [outbox.lease_next(f"lease-{n}", 30) for n in range(3)]

    assert [each and each.person_id for each in leased] == ["a", "b", None]


def test_a_lease_that_ran_out_is_free_again(database: Database, clock: Clock):
    """D1: a worker that dies gives its people back."""
    add(database, clock, "a")
    with database.write("default") as s:
        assert s.outbox.lease_next("first", 30)
    clock.passes(seconds=31)
    with database.write("default") as s:
        assert s.outbox.lease_next("second", 30)
        assert not s.renew(PersonId("a"), "first", 30)
        assert s.renew(PersonId("a"), "second", 30)


def test_another_tenants_people_are_out_of_reach(database: Database, clock: Clock):
    """Every query carries the tenant."""
    add(database, clock, "a", tenant="other")
    with database.write("default") as s:
        outbox = s.outbox
        assert not outbox.has_work()
        assert outbox.lease_next("lease", 30) is None
        assert outbox.retry() == 0
        assert outbox.status() == Status(0, 0, 0, None)
        assert s.people.get(PersonId("a")) is None


def test_the_age_of_the_oldest_intent_survives_tries(database: Database, clock: Clock):
    """D3: `oldest_seconds` is the age of the oldest due intent, not of its next try."""
    add(database, clock, "a")
    clock.passes(seconds=50)
    with database.write("default") as s:
        outbox = s.outbox
        outbox.try_again(PersonId("a"), after_seconds=600, detail="waits", failed=True)
        outbox.mark_due(PersonId("a"))
        assert outbox.status() == Status(due=1, held=0, parked=0, oldest_seconds=50.0)


def test_a_person_who_is_not_due_any_more_is_not_tried_again(database: Database, clock: Clock):
    """D3: held meanwhile, by a pause or put aside: why is not overwritten by a try that failed."""
    add(database, clock, "a")
    with database.write("default") as s:
        outbox = s.outbox
        outbox.settle(PersonId("a"), state=State.held, reason=Reason.hands_off, detail="put aside")
        outbox.try_again(PersonId("a"), after_seconds=60, detail="waits for Ditio", failed=True)
        (row,) = outbox.waiting()

    assert (row.state, row.detail, row.due_at, row.attempts) == ("held", "put aside", None, 0)


def test_what_retry_makes_due(database: Database, clock: Clock):
    """D3: a person who is due or parked, or held for `claimed`, `no-operation` or `incomplete`; not the delivered."""
    add(database, clock, "due", "parked", "claimed", "delivered")
    with database.write("default") as s:
        outbox = s.outbox
        outbox.try_again(PersonId("due"), after_seconds=600, detail="waits", failed=True)
        outbox.settle(PersonId("parked"), state=State.parked, reason=Reason.refused, detail="no")
        outbox.settle(PersonId("claimed"), state=State.held, reason=Reason.claimed, detail="taken")
        outbox.settle(PersonId("delivered"), state=State.delivered, reason=None, detail=None)
        assert not outbox.has_work()
        assert outbox.status() == Status(1, 1, 1, 0.0)

        assert outbox.retry() == 3
        assert outbox.status() == Status(3, 0, 0, 0.0)
        assert outbox.has_work()


def test_of_many_workers_no_one_takes_the_same_person(database: Database, clock: Clock):
    """D1: any number of workers, each person once."""
    names = [f"p{number:02d}" for number in range(12)]
    add(database, clock, *names)
    barrier, taken = Barrier(4), []

    def work(worker: int) -> None:
        barrier.wait()
        while True:
            with database.write("default") as s:
                leased = s.outbox.lease_next(f"worker-{worker}", 30)
            if leased is None:
                return
            taken.append(leased.person_id)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == names


def test_a_lease_that_another_process_has_is_not_taken(database: Database, clock: Clock):
    """D1: one delivery for a person at a time; a request finds the worker's lease, and a person who isn't due none."""
    add(database, clock, "a", "settled")
    with database.write("default") as s:
        outbox = s.outbox
        outbox.settle(PersonId("settled"), state=State.delivered, reason=None, detail=None)
        assert outbox.lease(PersonId("a"), "worker", 30)
        assert not outbox.lease(PersonId("a"), "request", 30)
        assert not outbox.mark_due(PersonId("a"), lease="request", lease_seconds=30)
        assert not outbox.lease(PersonId("settled"), "request", 30)
        assert s.renew(PersonId("a"), "worker", 30)
    clock.passes(seconds=31)
    with database.write("default") as s:
        assert s.outbox.lease(PersonId("a"), "request", 30)


def test_who_is_at_rest_is_leased_to_one_batch_at_a_time(database: Database, clock: Clock):
    """D1: two runs that send certificates of many meet in no one; a lease that ran out is free again."""
    add(database, clock, "a", "b")
    today, both = date(2026, 3, 2), [PersonId("a"), PersonId("b")]

    def taken(lease: str) -> list[str]:
        with database.write("default") as s:
            leases = s.rest_leases
            return sorted(record.person.id for record in leases.take(both, lease, 30, today))

    with database.write("default") as s:
        s.outbox.settle(both[0], state=State.delivered, reason=None, detail=None)
    assert taken("first") == ["a"], "the other is due"
    assert taken("second") == []
    clock.passes(seconds=31)
    assert taken("second") == ["a"]


def test_a_person_who_is_put_aside_is_in_no_batch(database: Database, clock: Clock):
    """D6: nothing is sent for him until the day is over."""
    add(database, clock, "a")
    with database.write("default") as s:
        at_rest = {"state": State.delivered, "hands_off": True, "hands_off_until": date(2026, 3, 2)}
        s.connection.execute(people.update().values(at_rest))
        leases = s.rest_leases
        assert leases.take([PersonId("a")], "first", 30, date(2026, 3, 2)) == []
        assert len(leases.take([PersonId("a")], "first", 30, date(2026, 3, 3))) == 1


def test_a_lease_at_rest_that_is_lost_is_told_and_parks_no_one(database: Database, clock: Clock):
    """D1: a batch hears which leases were its own; a person who is leased elsewhere, or held, is not parked."""
    add(database, clock, "a", "b")
    both = [PersonId("a"), PersonId("b")]
    with database.write("default") as s:
        s.connection.execute(people.update().values(state=State.delivered))
        leases = s.rest_leases
        leases.take(both, "ours", 30, date(2026, 3, 2))
        s.connection.execute(people.update().where(people.c.id == "a").values(lease="thief"))
        s.connection.execute(people.update().where(people.c.id == "b").values(state=State.held, reason=Reason.claimed))

        for person_id in both:
            leases.park(person_id, "ours", "certificate Byggekort: Ditio refused it")
        rows = s.connection.execute(select(people.c.state, people.c.lease).order_by(people.c.id)).all()
        assert [tuple(row) for row in rows] == [("delivered", "thief"), ("held", "ours")]
        assert leases.give_back(both, "ours") == {"b"}
        assert list(s.connection.execute(select(people.c.lease).order_by(people.c.id)).scalars()) == ["thief", None]


def test_a_locked_person_waits_for_the_process_that_has_them(database: Database, clock: Clock):
    """A1, D1: who changes a person after looking at him locks him first: no update is lost."""
    add(database, clock, "a")
    barrier = Barrier(6)

    def count() -> None:
        barrier.wait()
        with database.write("default") as s:
            people = s.people
            record = people.get(PersonId("a"), lock=True)
            assert record is not None
            people.set_user(PersonId("a"), UserId("user-a"), external_id=str(int(record.external_id or 0) + 1))

    threads = [Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read("default") as s:
        record = s.people.get(PersonId("a"))
    assert record is not None
    assert record.external_id == "6"


def test_an_employee_is_linked_to_one_person_at_most(database: Database, clock: Clock):
    """P2: a unique index decides, whatever the code believes; two who have no employee are two."""
    add(database, clock, "a", "b", "c")
    with database.write("default") as s:
        s.link(PersonId("a"), EmployeeNumber("1042"))
    with pytest.raises(IntegrityError), database.write("default") as s:
        s.link(PersonId("b"), EmployeeNumber("1042"))
    with database.read("default") as s:
        people = s.people
        record = people.linked_to(EmployeeNumber("1042"))
        assert record is not None
        assert record.person.id == "a"
        assert people.count(linked=False) == 2
