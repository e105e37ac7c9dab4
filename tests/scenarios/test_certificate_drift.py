"""Certificates that Ditio has not acknowledged are found, sent in large batches, and sent again (K2-K4, Q1-Q4)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from scim_bridge.certificates.sending import UNCLAIMED
from scim_bridge.certificates.sources import CertificateSources
from scim_bridge.domain.certificate import Source
from scim_bridge.domain.drift import Kind
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.outbox import RestLeases
from scim_bridge.storage.tables import certificate_ledger, history, people
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, kept, put, says
from tests.scenarios.test_certificates import SLOTS, a_world, in_ditio, posts, with_slots
from tests.scenarios.test_paused import pause
from tests.scenarios.test_reconciling import Found, hires, person, reconcile
from tests.world import World


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return a_world(database, clock)


def at_rest(world: World) -> None:
    """What was said of certificates is in the ledger, and no one is due: a delivery was lost, or a setting changed."""
    with world.database.write() as s:
        s.connection.execute(update(people).where(people.c.state == "due").values(state="delivered", due_since=None))


def a_company(world: World, count: int = 3, **certificate: Any) -> None:
    """People in sync, each of whom has a certificate that Ditio has not heard of."""
    hires(world, count)
    for place in range(count):
        kept(world, Source.csv, a_certificate(number=f"C{place}", **certificate), str(1001 + place))
    at_rest(world)
    world.forget()


def told(found: Found) -> list[tuple[str, str | None, str | None, str]]:
    return [each for each in found.told if each[0] == "certificate"]


def test_what_is_not_acknowledged_is_drift(world: World):
    """K3, Q1: with its type as field, wanted and acknowledged; the report sends nothing, `--apply` one request."""
    a_company(world)

    found = reconcile(world)

    assert found.exit == 2
    assert found.told == [("certificate", str(1001 + place), "Byggekort", "never-delivered") for place in range(3)]
    item = found.items[0]
    assert (item.wanted, item.found, item.acknowledged) == ("C0;2026-01-15;2028-01-14;", None, None)
    assert item.user_name == "person1001@contractor.example"
    assert (found.report.run.people, found.report.run.in_sync) == (3, 0)
    assert world.ditio.writes() == []

    applied = reconcile(world, apply=True)

    assert (applied.exit, applied.report.applied) == (0, 3)
    assert [len(batch) for batch in posts(world)] == [3]
    assert reconcile(world).told == []
    with world.database.read() as s:
        rows = s.connection.execute(
            select(history.c.what, history.c.cause).where(history.c.what == "certificates")
        ).all()
    assert [tuple(row) for row in rows] == [("certificates", "reconcile")] * 3


def test_how_many_ditio_takes_in_one_request_is_a_setting(database: Database, clock: Clock):
    """Facts about Ditio, section 3: the array's maximum length is unknown; of many, and of one person who has many."""
    world = a_world(database, clock, max_per_request=2)
    a_company(world)
    applied = reconcile(world, apply=True)

    assert (applied.exit, [len(batch) for batch in posts(world)]) == (0, [2, 1])

    world.forget()
    for kind in ("Kranførerbevis", "Truckførerbevis", "Varmt arbeid"):
        kept(world, Source.csv, a_certificate(type=kind), "1001")
    world.worker.run_until_idle()

    assert [len(batch) for batch in posts(world)] == [2, 1]


def test_only_certificates_are_sent_if_so_asked(world: World):
    """Q2: `--only certificate`."""
    a_company(world)
    world.employee("1001").work_title = "Sjef"

    assert {each[0] for each in reconcile(world, only=Kind.certificate).told} == {"certificate"}
    assert reconcile(world, apply=True, only=Kind.certificate).exit == 0
    assert world.sent() == []
    assert len(world.ditio.certificates) == 3


def test_one_bad_certificate_among_five_hundred(database: Database, clock: Clock):
    """K4: 499 are delivered, the bad one is named, and the number of requests stays logarithmic."""
    world = a_world(database, clock, unclaimed="deliver")
    numbers = [EmployeeNumber(str(1001 + place)) for place in range(500)]
    for number in numbers:
        if number != "1301":
            world.ditio.plant(number)

    def all_of_them(certifying: CertificateSources, s: Session) -> None:
        for number in numbers:
            certifying.put(s, Source.csv, number, a_certificate())

    says(world, all_of_them)

    applied = reconcile(world, apply=True, only=Kind.certificate)

    assert world.ditio.certificates.keys() == {(number, "Byggekort") for number in numbers if number != "1301"}
    assert len(posts(world)) <= 1 + 2 * 9
    bad = {applied.items[place].employee_number for place, why in applied.report.outcomes.items() if why}
    assert (applied.exit, applied.report.applied, bad) == (2, 499, {"1301"})


def test_a_refused_one_is_parked_and_only_listed_afterwards(world: World):
    """K1, K4, Q2: its person is parked with Ditio's words, and the others are delivered."""
    a_company(world)
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=422, times=2))

    applied = reconcile(world, apply=True)

    assert applied.exit == 2
    assert applied.report.applied == 2
    ((kind, why),) = applied.skipped
    assert kind == "Byggekort"
    assert "Ditio refused it (422" in why
    with world.database.read() as s:
        parked = s.connection.execute(
            select(people.c.employee_number, people.c.reason, people.c.detail).where(people.c.state == "parked")
        ).one()
    assert parked.reason == "refused"
    assert parked.detail.startswith("certificate Byggekort: certificates: Ditio refused it (422, request ")
    again = reconcile(world, apply=True)
    assert [(item.employee_number, item.listed) for item in again.items] == [
        (parked.employee_number, "parked, refused: see `outbox list`")
    ]
    assert again.exit == 0
    assert len(world.ditio.certificates) == 2


def test_a_batch_that_is_wholly_refused_costs_few_requests(world: World):
    """K4."""
    a_company(world, 1)
    for place in range(19):
        kept(world, Source.csv, a_certificate(type=f"X{place}"), "1001")
    at_rest(world)
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=400, times=99))

    applied = reconcile(world, apply=True)

    assert (applied.exit, applied.report.applied) == (2, 0)
    assert len(posts(world)) == 15


def test_what_moved_since_the_plan_is_skipped(world: World):
    """Q3: where something else is wanted now, or nothing any more."""
    a_company(world)
    plan = reconcile(world).report.run.id
    kept(world, Source.csv, a_certificate("2026-02-15"), "1001")
    at_rest(world)
    applied = reconcile(world, apply=True, plan_id=plan)

    assert [why for why in applied.report.outcomes.values() if why] == [
        "it is as wanted already, or something else is wanted now"
    ]
    assert len(world.ditio.certificates) == 2


def test_who_is_due_is_left_to_his_own_delivery(world: World):
    """D1, Q3: no one's certificates are sent by two at a time."""
    a_company(world)
    plan = reconcile(world).report.run.id
    kept(world, Source.csv, a_certificate(type="X"), "1001")
    applied = reconcile(world, apply=True, plan_id=plan)

    assert len([why for why in applied.report.outcomes.values() if why]) == 1
    world.worker.run_until_idle()
    assert len(world.ditio.certificates) == 4


def test_who_is_put_aside_is_only_listed(world: World):
    """D6."""
    a_company(world, 1)
    with world.database.write("default") as s:
        person_id = s.connection.execute(select(people.c.id)).scalar_one()
        s.hands_offs.set(PersonId(person_id), HandsOff())
    found = reconcile(world, apply=True)

    (item,) = found.items
    assert "`people hands-off NUMBER --clear`" in str(item.listed)
    assert posts(world) == []


def test_a_pause_is_named_and_found_again(world: World):
    """D4, Q3: nothing is sent; the operator reads what to do, as for all other rows."""
    a_company(world)
    pause(world)
    applied = reconcile(world, apply=True)

    assert (applied.exit, applied.report.applied, posts(world)) == (2, 0, [])
    assert {why for _, why in applied.skipped} == {"deliveries are paused: `outbox resume` first"}


def test_a_pause_stops_a_batch_before_its_next_request(world: World, monkeypatch: pytest.MonkeyPatch):
    """D4: a refused batch is not narrowed down any further; the request that is under way is finished."""
    a_company(world)
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=422, times=1))
    ditio = type(world.parts.tenants["default"].ditio)
    post = ditio.post_certificates

    def pausing(self: Any, bodies: Any, **options: Any) -> Any:
        pause(world)
        return post(self, bodies, **options)

    monkeypatch.setattr(ditio, "post_certificates", pausing)
    applied = reconcile(world, apply=True)

    assert (applied.exit, applied.report.applied, len(posts(world))) == (2, 0, 1)


def test_a_batch_ends_before_its_leases_do(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1: they count from when the time was read; another transaction may have one of the rows just then."""
    a_company(world)
    ditio = world.parts.tenants["default"].ditio
    post, take, ends = ditio.post_certificates, RestLeases.take, []

    def take_late(*arguments: Any) -> Any:
        taken = take(*arguments)
        world.clock.passes(seconds=4)
        return taken

    def with_time(bodies: Any, *, within: float) -> Any:
        with world.database.read() as s:
            leased_until = s.connection.execute(select(func.min(people.c.leased_until))).scalar_one()
        ends.append((leased_until - world.clock()).total_seconds() - within)
        return post(bodies, within=within)

    monkeypatch.setattr(RestLeases, "take", take_late)
    monkeypatch.setattr(ditio, "post_certificates", with_time)

    assert reconcile(world, apply=True).exit == 0
    assert ends == [1.0]


def test_leavers_wait(world: World):
    """K2: what a person who has left holds is no drift."""
    a_company(world, 2)
    world.changes(world.entra.directory.users["object-1001"], account_enabled=False)
    world.clock.passes(hours=1)

    assert [each[1] for each in told(reconcile(world))] == ["1002"]


def test_an_outage_leaves_all_as_it_was(world: World):
    """R3: what was not sent is found again by the next run."""
    a_company(world)
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/certificates", times=1))
    applied = reconcile(world, apply=True)

    assert (applied.exit, applied.report.applied) == (2, 0)
    assert all("it did not settle" in str(why) for _, why in applied.skipped)
    with world.database.read() as s:
        assert s.connection.execute(select(people.c.id).where(people.c.lease.is_not(None))).all() == []
    assert reconcile(world, apply=True).exit == 0
    assert len(world.ditio.certificates) == 3


def test_who_left_since_the_plan_was_made_is_sent_nothing(world: World):
    """K2, Q3: certificates of a person who has left wait for his return, also in a plan from before."""
    a_company(world, 2)
    plan = reconcile(world).report.run.id
    world.changes(world.entra.directory.users[person(1001).object_id], account_enabled=False)
    world.clock.passes(hours=1)
    world.forget()
    applied = reconcile(world, apply=True, plan_id=plan)

    assert ["has left" in why for _, why in applied.skipped] == [True]
    assert [[body["employeeNumber"] for body in batch] for batch in posts(world)] == [["1002"]]


def test_ditio_asks_to_slow_down(world: World):
    """R3: a 429 is obeyed by everyone."""
    a_company(world)
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=429, times=1))
    assert reconcile(world, apply=True).exit == 2
    applied = reconcile(world, apply=True)
    assert {why for _, why in applied.skipped} == {"Ditio is not called just now"}
    world.clock.passes(minutes=2)

    assert reconcile(world, apply=True).exit == 0


def test_what_agrees_is_sent_again_after_a_while(world: World):
    """K3: no one can look; it is no drift, and `--apply` sends it."""
    a_company(world)
    reconcile(world, apply=True)
    world.ditio.certificates.clear()
    world.forget()
    world.clock.passes(days=29)
    assert (reconcile(world, apply=True).exit, posts(world)) == (0, [])
    world.clock.passes(days=1)
    assert (reconcile(world).told, posts(world)) == ([], [])
    applied = reconcile(world, apply=True)

    assert (applied.exit, applied.told) == (0, [])
    assert [len(batch) for batch in posts(world)] == [3]
    world.forget()
    reconcile(world, apply=True)
    assert posts(world) == []


def test_what_agrees_is_sent_again_every_time_if_so_set(database: Database, clock: Clock):
    """K3."""
    world = a_world(database, clock, reassert_every=0)
    a_company(world)
    reconcile(world, apply=True)
    world.forget()
    reconcile(world, apply=True, person="1001")

    assert [[body["employeeNumber"] for body in batch] for batch in posts(world)] == [["1001"]]


def test_another_far_date_reaches_ditio(database: Database, clock: Clock):
    """Q1, K5: the mapping changed, and no one said anything."""
    world = a_world(database, clock, missing_expiry="2099-12-31")
    a_company(world, 1, until=None)
    reconcile(world, apply=True)
    world.restarts_with(certificates={"missing_expiry": "2089-12-31"})

    assert told(reconcile(world)) == [("certificate", "1001", "Byggekort", "mapping-changed")]
    reconcile(world, apply=True)
    assert in_ditio(world, "1001") == {"Byggekort": ("2026-01-15", "2089-12-31T00:00:00Z")}
    world.restarts_with(certificates={})
    (item,) = reconcile(world, apply=True).items
    assert item.listed == "held: it has no end, and CERTIFICATES__MISSING_EXPIRY refuses that"


def test_a_slot_that_is_configured_otherwise_is_drift(database: Database, clock: Clock):
    """Q1: the document has what Entra said; what is made of it changed."""
    world = a_world(database, clock)
    with_slots(person(1001), byggekort="77;2026-01-15;2028-01-14;")
    world.entra.directory.add(with_slots(person(1001), byggekort="77;2026-01-15;2028-01-14;"))
    world.cycle()
    world.clock.passes(hours=1)
    world.restarts_with(certificates={"slots": [*SLOTS[1:], {"type": "HMS-kort", "packed": "byggekort"}]})

    assert told(reconcile(world)) == [("certificate", "1001", "HMS-kort", "never-delivered")]
    assert reconcile(world, apply=True).exit == 0
    assert in_ditio(world, "1001").keys() == {"Byggekort", "HMS-kort"}


def test_who_is_created_again_gets_his_certificates_again(world: World):
    """K2, P5: from a reviewed plan; Ditio has deleted the employee with all that was his."""
    a_company(world, 2)
    reconcile(world, apply=True)
    del world.ditio.company.employees["1001"]
    world.ditio.certificates.clear()
    plan = reconcile(world, only=Kind.missing).report.run.id
    world.clock.passes(hours=1)

    assert reconcile(world, apply=True, plan_id=plan).exit == 0
    assert world.ditio.certificates.keys() == {("1001", "Byggekort")}


def test_a_withdrawal_is_drift_too(world: World):
    """K5."""
    a_company(world, 1)
    reconcile(world, apply=True)
    entry = kept(world, Source.certificates, a_certificate("2026-02-01", type="X"), "1001")
    world.worker.run_until_idle()
    says(world, lambda c, s: c.withdraw(s, entry.id))
    at_rest(world)
    (item,) = reconcile(world).items
    assert (item.field, item.wanted, item.acknowledged) == ("X", None, ";2026-02-01;2028-01-14;")
    reconcile(world, apply=True)
    assert in_ditio(world, "1001")["X"] == ("2026-02-01", "2026-02-01T00:00:01Z")


@pytest.mark.parametrize("unclaimed", ["wait", "deliver"])
def test_employees_whom_no_one_is(database: Database, clock: Clock, unclaimed: str):
    """K2: `CERTIFICATES__UNCLAIMED`: they wait for a user, or are delivered under their number."""
    world = a_world(database, clock, unclaimed=unclaimed)
    hires(world, 1)
    world.ditio.plant("7")
    put(world, Source.csv, a_certificate(), "7")
    put(world, Source.csv, a_certificate(type="X"), "8")

    found = told(reconcile(world))
    assert found == (
        []
        if unclaimed == "wait"
        else [
            ("certificate", "7", "Byggekort", "never-delivered"),
            ("certificate", "8", "X", "never-delivered"),
        ]
    )
    reconcile(world, apply=True)
    assert in_ditio(world, "7").keys() == ({"Byggekort"} if unclaimed == "deliver" else set())
    rows = reconcile(world).items
    assert [item.employee_number for item in rows if item.kind.value == "certificate" and item.listed] == (
        ["8"] if unclaimed == "deliver" else []
    )


def test_a_worker_delivers_for_employees_whom_no_one_is(database: Database, clock: Clock):
    """K2: `deliver`; what was refused waits until a person says something new of it."""
    world = a_world(database, clock, unclaimed="deliver")
    world.ditio.plant("7")
    put(world, Source.csv, a_certificate(), "7")
    put(world, Source.csv, a_certificate(), "8")
    world.worker.run_until_idle()
    assert world.ditio.certificates.keys() == {("7", "Byggekort")}
    world.forget()
    world.worker.run_until_idle()
    assert posts(world) == []
    world.ditio.plant("8")
    put(world, Source.csv, a_certificate("2026-02-01"), "8")
    world.worker.run_until_idle()

    assert world.ditio.certificates.keys() == {("7", "Byggekort"), ("8", "Byggekort")}


@pytest.mark.parametrize("by_setting", [True, False])
def test_a_pause_is_of_employees_whom_no_one_is_too(database: Database, clock: Clock, by_setting: bool):
    """D4, K2: by the setting as by the command; afterwards they are sent."""
    world = a_world(database, clock, unclaimed="deliver")
    world.ditio.plant("7")
    put(world, Source.csv, a_certificate(), "7")
    if by_setting:
        world.restarts_with(delivery={"paused": True})
    else:
        with database.write("default") as s:
            s.pauses.pause()
    world.worker.run_until_idle()
    assert world.ditio.requests == []

    if by_setting:
        world.restarts_with(delivery={"paused": False})
    else:
        with database.write("default") as s:
            s.pauses.resume()
    world.worker.run_until_idle()
    assert world.ditio.certificates.keys() == {("7", "Byggekort")}


def test_two_processes_never_send_for_employees_whom_no_one_is_at_once(database: Database, clock: Clock):
    """K2: while another does it they wait; once it is done, or dead, they are sent."""
    world = a_world(database, clock, unclaimed="deliver")
    world.ditio.plant("7")
    put(world, Source.csv, a_certificate(), "7")
    with database.write("default") as s:
        another = s.schedules
        assert another.take(UNCLAIMED, "another", every_seconds=0, alive_seconds=60)
    world.worker.run_until_idle()
    assert posts(world) == []

    clock.passes(seconds=61)
    world.worker.run_until_idle()
    assert world.ditio.certificates.keys() == {("7", "Byggekort")}


def test_what_was_refused_of_employees_whom_no_one_is_may_be_retried(database: Database, clock: Clock):
    """K2, D3: `outbox retry`, once the employee is there."""
    world = a_world(database, clock, unclaimed="deliver")
    put(world, Source.csv, a_certificate(), "7")
    world.worker.run_until_idle()
    world.ditio.plant("7")
    with database.write("default") as s:
        s.certificate_deliveries.forgive_unclaimed()
    world.worker.run_until_idle()

    assert world.ditio.certificates.keys() == {("7", "Byggekort")}


def test_who_is_to_have_the_number_is_waited_for(database: Database, clock: Clock):
    """K2: a person without an employee is no stranger's number."""
    world = a_world(database, clock, unclaimed="deliver")
    world.provisions(person(1001, mobile=None))
    put(world, Source.csv, a_certificate(), "1001")
    world.worker.run_until_idle()

    assert posts(world) == []


def test_what_was_said_while_a_person_was_linked_finds_him(world: World):
    """K1: a worker looks for what stands under a number that is a person's by now."""
    hires(world, 1)
    kept(world, Source.csv, a_certificate(), "1001")
    world.worker.run_until_idle()
    with world.database.write() as s:
        s.connection.execute(
            certificate_ledger.insert().values(
                tenant="default",
                holder_kind="employee-number",
                holder="1001",
                type="X",
                acknowledged_at=world.clock() - timedelta(days=1),
                acknowledged_under="1001",
                acknowledged_issued=world.clock().date(),
                acknowledged_valid_until=world.clock().date() + timedelta(days=9),
            )
        )
    world.worker.run_until_idle()

    with world.database.read() as s:
        kinds = s.connection.execute(select(certificate_ledger.c.holder_kind)).scalars().all()
    assert set(kinds) == {"person"}
    assert in_ditio(world, "1001").keys() == {"Byggekort", "X"}  # Nobody says X: it is withdrawn.
