"""A batch of certificates keeps no person waiting, and reaches no stranger (D1, K4, P5)."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from scim_bridge.domain.certificate import Source
from scim_bridge.domain.drift import Kind
from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.tables import certificate_ledger, people
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, kept
from tests.scenarios.test_certificate_drift import a_company
from tests.scenarios.test_certificates import a_world, in_ditio, posts
from tests.scenarios.test_reconciling import person, reconcile
from tests.waiting import until_another_waits
from tests.world import World


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return a_world(database, clock)


Step = Callable[[Sequence[str]], object]
"""Given the employee numbers of a request."""


def during_posts(world: World, monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    """Do something while Ditio works on the first POST of certificates, something else during the second, and so on."""
    ditio = world.parts.tenants["default"].ditio
    post, left = ditio.post_certificates, list(steps)

    def posting(items: Sequence[Any], **options: Any) -> Any:
        if left:
            left.pop(0)([str(each["employeeNumber"]) for each in items])
        return post(items, **options)

    monkeypatch.setattr(ditio, "post_certificates", posting)


def leaves(world: World, number: str) -> None:
    world.changes(world.entra.directory.users[f"object-{number}"], account_enabled=False)


def refused(world: World, times: int) -> None:
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=422, times=times))


def nothing(_: Sequence[str]) -> None:
    pass


def other_than(numbers: Sequence[str]) -> str:
    """One of four people whom a request is not about."""
    return min({"1001", "1002", "1003", "1004"} - set(numbers))


def test_an_ending_does_not_wait_for_a_batch_of_certificates(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1, L2: while others' certificates are narrowed down, a leaver's login is closed within the request itself."""
    a_company(world, 4)
    refused(world, 1)
    leaver: list[str] = []

    def one_leaves(numbers: Sequence[str]) -> None:
        leaver.append(other_than(numbers))
        leaves(world, leaver[0])
        assert world.employee(leaver[0]).disabled

    during_posts(world, monkeypatch, nothing, one_leaves)
    applied = reconcile(world, apply=True)

    assert leaver
    assert applied.report.applied == 3
    assert world.ditio.certificates.keys() == {(str(each), "Byggekort") for each in range(1001, 1005)} - {
        (leaver[0], "Byggekort")
    }


def test_whose_certificates_are_answered_is_free_at_once(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1: a person whose part of a large batch is done is delivered while the rest is sent."""
    world.restarts_with(certificates={"max_per_request": 1})
    a_company(world, 3)
    answered: list[str] = []

    def who_was_answered_leaves(_: Sequence[str]) -> None:
        leaves(world, answered[0])
        assert world.employee(answered[0]).disabled

    during_posts(world, monkeypatch, answered.extend, who_was_answered_leaves)
    applied = reconcile(world, apply=True)

    assert answered
    assert applied.report.applied == 3


def test_who_leaves_while_their_own_are_posted_waits_for_that_request_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """D1: two never call Ditio for one person at once; whatever the batch has left to do, the next moment is theirs."""
    world.restarts_with(certificates={"max_per_request": 1})
    a_company(world, 2)
    gone: list[str] = []

    def who_is_sent_leaves(numbers: Sequence[str]) -> None:
        gone.extend(numbers)
        leaves(world, numbers[0])
        assert not world.employee(numbers[0]).disabled

    def then(_: Sequence[str]) -> None:
        world.worker.run_until_idle()
        assert world.employee(gone[0]).disabled

    during_posts(world, monkeypatch, who_is_sent_leaves, then)
    applied = reconcile(world, apply=True)

    assert (len(gone), applied.report.applied) == (1, 2)


def test_a_correction_meanwhile_is_neither_overwritten_nor_called_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """D1, K1: what a source says while older certificates are narrowed down is what Ditio has in the end."""
    a_company(world, 4)
    refused(world, 1)
    corrected: list[str] = []

    def one_is_corrected(numbers: Sequence[str]) -> None:
        corrected.append(other_than(numbers))
        kept(world, Source.csv, a_certificate("2026-02-15"), corrected[0])
        world.worker.run_until_idle()

    during_posts(world, monkeypatch, nothing, one_is_corrected)
    applied = reconcile(world, apply=True)

    assert applied.report.applied == 3
    assert in_ditio(world, corrected[0])["Byggekort"][0] == "2026-02-15"
    assert world.state(person(int(corrected[0]))) == ("delivered", None)


def test_a_batch_that_lost_a_lease_has_its_person_delivered_again(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1: what it sent may have come too late; the person's own delivery sends what is wanted now."""
    a_company(world, 2)

    def stands_still(_: Sequence[str]) -> None:
        world.clock.passes(minutes=10)
        kept(world, Source.csv, a_certificate("2026-02-15"), "1001")
        world.worker.run_until_idle()

    during_posts(world, monkeypatch, stands_still)
    applied = reconcile(world, apply=True)

    assert (applied.report.applied, in_ditio(world, "1001")["Byggekort"][0]) == (1, "2026-01-15")
    world.worker.run_until_idle()
    assert in_ditio(world, "1001")["Byggekort"][0] == "2026-02-15"


def test_a_batch_that_lost_a_lease_acknowledges_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1, R4: another certificate was sent after it. That the first is wanted again is no reason to send nothing."""
    a_company(world, 2)
    ditio = world.parts.tenants["default"].ditio
    post, steps = ditio.post_certificates, [1]

    def posting(items: Sequence[Any], **options: Any) -> Any:
        answer = post(items, **options)
        if steps:
            steps.pop()
            world.clock.passes(minutes=10)
            kept(world, Source.csv, a_certificate("2026-02-15"), "1001")
            world.worker.run_until_idle()
            kept(world, Source.csv, a_certificate(number="C0"), "1001")
        return answer

    monkeypatch.setattr(ditio, "post_certificates", posting)
    reconcile(world, apply=True)
    assert in_ditio(world, "1001")["Byggekort"][0] == "2026-02-15"

    world.worker.run_until_idle()
    assert in_ditio(world, "1001")["Byggekort"][0] == "2026-01-15"


def test_what_a_person_s_own_delivery_has_sent_meanwhile_is_not_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """D1, K4: nor is it called refused, while the rest of the batch is narrowed down."""
    a_company(world, 4)
    refused(world, 1)
    delivered: list[str] = []

    def one_is_delivered(numbers: Sequence[str]) -> None:
        delivered.append(other_than(numbers))
        with world.database.write("default") as s:
            record = s.people.find(delivered[0])
            assert record is not None
            s.outbox.mark_due(record.person.id)
        world.worker.run_until_idle()
        refused(world, 1)  # The batch's next request, whoever is in it.

    during_posts(world, monkeypatch, nothing, one_is_delivered)
    world.ditio.forget_requests()
    reconcile(world, apply=True)

    named = [[str(item["employeeNumber"]) for item in items].count(delivered[0]) for items in posts(world)]
    assert sum(named) == 2, "with the whole batch, and by their own delivery"
    assert world.state(person(int(delivered[0]))) == ("delivered", None)


def test_no_one_stays_leased_whatever_ends_a_batch(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1."""
    a_company(world, 2)

    def dies(_: Sequence[str]) -> None:
        raise RuntimeError("anything")

    during_posts(world, monkeypatch, dies)
    with pytest.raises(RuntimeError):
        reconcile(world, apply=True)

    with world.database.read() as s:
        assert s.connection.execute(select(people.c.id).where(people.c.lease.is_not(None))).all() == []


def number_used_again(world: World, number: str) -> None:
    """In Ditio the person was removed by hand, and another has the number."""
    world.ditio.company.employees.pop(number)
    world.ditio.plant(number, first_name="Ola", last_name="Fremmed", phone="+4741111111", email="ola@other.example")


def renumbered_by_hand(world: World, number: str) -> None:
    """In Ditio the person has another number now, and a newcomer has the old one."""
    employee = world.ditio.company.employees.pop(number)
    employee.employee_number = f"9{number}"
    world.ditio.company.employees[f"9{number}"] = employee
    world.ditio.plant(number, first_name="Ola", last_name="Fremmed", phone="+4741111111", email="ola@other.example")


CHANGED_BY_HAND = pytest.mark.parametrize("by_hand", [number_used_again, renumbered_by_hand])


def reads(world: World) -> list[str]:
    """Employees that were read by number."""
    return [call.path.rpartition("/")[2] for call in world.ditio.calls("GET") if "/employees/1" in call.path]


@CHANGED_BY_HAND
def test_a_stranger_gets_no_certificate_from_a_reviewed_plan(world: World, by_hand: Callable[[World, str], None]):
    """P5: the linked number is another person's in Ditio now; everyone else's certificates are sent."""
    a_company(world)
    plan = reconcile(world).report.run.id
    by_hand(world, "1002")

    applied = reconcile(world, apply=True, plan_id=plan)

    assert world.ditio.certificates.keys() == {("1001", "Byggekort"), ("1003", "Byggekort")}
    assert (applied.exit, applied.report.applied) == (2, 2)
    ((kind, why),) = applied.skipped
    assert (kind, "another person" in why) == ("Byggekort", True)
    with world.database.read() as s:
        due = s.connection.execute(select(people.c.employee_number).where(people.c.state == "due")).scalars().all()
    assert due == ["1002"], "their own delivery says what is wrong"


@CHANGED_BY_HAND
def test_a_stranger_gets_no_certificate_that_is_sent_again(
    database: Database, clock: Clock, by_hand: Callable[[World, str], None]
):
    """P5, K3: what agreed is sent again by employee number; not to a stranger."""
    world = a_world(database, clock, reassert_every=0)
    a_company(world)
    reconcile(world, apply=True)
    world.ditio.certificates.clear()
    by_hand(world, "1002")
    reconcile(world, apply=True, only=Kind.certificate)

    assert world.ditio.certificates.keys() == {("1001", "Byggekort"), ("1003", "Byggekort")}


def test_whose_employee_is_not_found_is_sent_nothing(world: World):
    """P5: neither a certificate of a plan from before."""
    a_company(world, 2)
    plan = reconcile(world).report.run.id
    del world.ditio.company.employees["1002"]
    applied = reconcile(world, apply=True, plan_id=plan)

    assert world.ditio.certificates.keys() == {("1001", "Byggekort")}
    assert [("employee 1002 is not" in why) for _, why in applied.skipped] == [True]


@CHANGED_BY_HAND
def test_a_run_that_takes_long_looks_again_at_whose_number_it_is(world: World, by_hand: Callable[[World, str], None]):
    """P5: what it read of everyone a while ago proves nothing any more."""
    a_company(world)

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "comparing" and done == total == 3:
            world.clock.passes(minutes=16)
            by_hand(world, "1002")

    world.parts.reconciliations["default"].run(Request(apply=True), progress)

    assert world.ditio.certificates.keys() == {("1001", "Byggekort"), ("1003", "Byggekort")}


def test_a_number_that_ditio_spells_differently_is_sent_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    """P4, P5: Ditio answers with the same person, under a number that it might take for another one."""
    a_company(world, 2)
    plan = reconcile(world).report.run.id
    ditio = world.parts.tenants["default"].ditio
    get = ditio.get

    def spelled_differently(number: EmployeeNumber, **options: Any) -> ActualEmployee | None:
        found = get(number, **options)
        return replace(found, employee_number=EmployeeNumber("01002")) if found and number == "1002" else found

    monkeypatch.setattr(ditio, "get", spelled_differently)
    applied = reconcile(world, apply=True, plan_id=plan)

    assert world.ditio.certificates.keys() == {("1001", "Byggekort")}
    assert len(applied.skipped) == 1


@pytest.mark.parametrize("reason", ["gone", "stranger"])
def test_a_person_who_is_parked_for_it_is_sent_nothing_and_asked_for_no_more(world: World, reason: str):
    """P5, D3: by a reviewed plan either."""
    a_company(world, 1)
    plan = reconcile(world).report.run.id
    with world.database.write() as s:
        s.connection.execute(people.update().values(state="parked", reason=reason))
    world.forget()
    applied = reconcile(world, apply=True, plan_id=plan)

    assert (applied.exit, posts(world), reads(world)) == (2, [], [])


def test_what_it_costs_to_know_whose_number_it_is(world: World):
    """P5: nothing where the run has read everyone just now; one read for each person of a plan from before."""
    a_company(world)
    reconcile(world, apply=True)
    assert (len(world.ditio.certificates), reads(world)) == (3, [])

    world.ditio.certificates.clear()
    with world.database.write() as s:
        s.connection.execute(certificate_ledger.update().values(is_stale=True))
    plan = reconcile(world).report.run.id
    world.forget()
    assert reconcile(world, apply=True, plan_id=plan).exit == 0
    assert (sorted(reads(world)), [len(batch) for batch in posts(world)]) == (["1001", "1002", "1003"], [3])


def test_ditio_does_not_answer_who_has_the_number(world: World):
    """P5, R3: then nothing is sent, and the next run finds it."""
    a_company(world)
    plan = reconcile(world).report.run.id
    world.ditio.faults.plan(Fault(kind="status", method="GET", path="/employees/1", status=503, times=1))
    applied = reconcile(world, apply=True, plan_id=plan)

    assert (applied.exit, applied.report.applied, posts(world)) == (2, 0, [])
    assert all("it did not settle" in why for _, why in applied.skipped)
    assert reconcile(world, apply=True).report.applied == 3


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_batch_that_the_database_ends_for_a_deadlock_goes_on(world: World):
    """D1: another transaction has one of its people, and wants another: the batch gives way and is repeated."""
    a_company(world, 2)
    first, last = _as_they_are_leased(world)
    with ThreadPoolExecutor(1) as pool:
        with world.database.write() as s:
            s.connection.execute(text("SET LOCAL deadlock_timeout = '60s'"))  # The batch's own is over first.
            s.connection.execute(select(people.c.id).where(people.c.id == last).with_for_update())
            run = pool.submit(lambda: reconcile(world, apply=True))
            until_another_waits(world.database)
            s.connection.execute(select(people.c.id).where(people.c.id == first).with_for_update())
        applied = run.result(timeout=60)

    assert (applied.exit, applied.report.applied) == (0, 2)


def _as_they_are_leased(world: World) -> list[PersonId]:
    """Two people in the order in which one statement locks them."""
    with world.database.engine.connect() as connection:
        ids = [PersonId(each) for each in connection.execute(select(people.c.id)).scalars()]
        s = Session(connection, "default", world.clock)
        taken = s.rest_leases.take(sorted(ids), "looking", 1, world.clock().date())
        connection.rollback()
    return [record.person.id for record in taken]
