"""Certificates that Ditio refuses, whose answer is lost, or whose write is undone (rules K3, K4, R1)."""

import pytest
from sqlalchemy import select

from scim_bridge.delivery.attempt import Attempt
from scim_bridge.delivery.undo import Undo
from scim_bridge.domain.certificate import Source
from scim_bridge.sandbox.entra import EXTENSION
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import certificate_entries
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, kept, put, said, says
from tests.scenarios.test_certificates import BYGGEKORT, PACKED, SLOTS, a_carrier, in_ditio, posts, with_slots
from tests.scenarios.test_certificates import world as world
from tests.world import World, a_user

# Refused, lost, undone


def test_a_refused_certificate_is_parked_with_the_words_of_ditio(world: World):
    """K1, K4: the bad one is named, the others are delivered, and so is the person."""
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=400, times=2))
    user = with_slots(a_carrier(), kranIssuedAt="2026-01-15", kranValidUntil="2031-01-14")
    world.provisions(user)
    world.clock.passes(minutes=1)
    world.ditio.faults.clear()
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=400, times=2))
    world.worker.run_until_idle()

    state, detail = world.state(user)
    assert state == "parked"
    assert (detail or "").startswith("certificate Byggekort: certificates: Ditio refused it (400, request ")
    assert in_ditio(world).keys() == {"Kranførerbevis"}
    assert world.scim("GET", f"/Users/{world.entra.scim_id(user.object_id)}").status_code == 200
    world.ditio.faults.clear()
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()
    assert world.state(user) == ("delivered", None)
    assert in_ditio(world).keys() == {"Byggekort", "Kranførerbevis"}


def test_a_patch_is_not_undone_for_a_certificate(world: World):
    """K1, R1: the rest of the person flows on, and stays."""
    user = a_carrier()
    world.provisions(user)
    world.clock.passes(minutes=1)
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=400, times=9))
    with_slots(user, byggekort="78;2026-02-01;2030-01-31;")
    step = world.changes(user, job_title="Formann")

    assert step.ok
    assert world.state(user)[0] == "parked"
    assert world.employee("1042").work_title == "Formann"


def test_an_undone_patch_takes_its_slot_values_back(world: World):
    """R1: nothing of them was sent, and the ledger is as it was before."""
    user = a_carrier()
    world.provisions(user)
    world.ditio.plant("7", phone="+4741234567")
    with_slots(user, byggekort="78;2026-02-01;2030-01-31;", kranIssuedAt="2026-01-15", kranValidUntil="2031-01-14")
    step = world.changes(user, mobile="41234567")
    assert step.status == 409
    world.worker.run_until_idle()

    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2028-01-14T00:00:00Z")}
    assert said(world) == [("Byggekort", Source.slot, "2026-01-15", True)]


def test_a_patch_that_is_undone_sends_no_certificate_however_often_it_is_tried(world: World):
    """R1, K1: Entra tries it again each cycle; the certificate would be posted and expired again each time."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH", path="/employees/1042", times=2))
    world.forget()
    with_slots(kari, byggekort=PACKED)
    for _ in range(2):
        assert world.changes(kari, surname="Refused").status == 400
        world.worker.run_until_idle()
    assert posts(world) == []

    assert world.changes(kari, surname="Nordmann").status == 200
    assert posts(world) == [[BYGGEKORT]]


def test_a_renewal_that_is_undone_is_not_sent(world: World):
    """R1, K1: what Ditio has stays, and is not sent again."""
    kari = a_carrier()
    world.provisions(kari)
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH", path="/employees/1042", times=1))
    world.forget()
    with_slots(kari, byggekort="77;2026-02-15;2030-01-14;HMS")
    assert world.changes(kari, surname="Refused").status == 400
    world.worker.run_until_idle()

    assert posts(world) == []
    assert in_ditio(world)["Byggekort"][0] == "2026-01-15"


def test_certificates_are_sent_where_the_rest_is_refused_and_not_undone(database: Database, clock: Clock):
    """R1, K2: parked, not reported: the certificate goes out all the same."""
    world = World(database, clock, settings={"certificates": {"slots": SLOTS}, "delivery": {"on_refused": "park"}})
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH", path="/employees/1042", times=1))
    with_slots(kari, byggekort=PACKED)
    world.changes(kari, surname="Refused")

    assert world.state(kari)[0] == "parked"
    assert in_ditio(world)["Byggekort"][0] == "2026-01-15"


def test_certificates_are_sent_where_the_time_for_undoing_is_spent(world: World, monkeypatch: pytest.MonkeyPatch):
    """R1, K2: what was kept back because the write was to be undone is sent by a worker, if it is not."""
    is_to_come = Undo.is_to_come

    def at_the_last_moment(undo: Undo, attempt: Attempt) -> bool:
        found = is_to_come(undo, attempt)
        world.clock.passes(seconds=6)
        return found

    monkeypatch.setattr(Undo, "is_to_come", at_the_last_moment)
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH", path="/employees/1042", times=2))
    with_slots(kari, byggekort=PACKED)
    assert world.changes(kari, surname="Refused").ok
    world.worker.run_until_idle()

    assert world.state(kari)[0] == "parked"
    assert in_ditio(world)["Byggekort"][0] == "2026-01-15"


def test_an_undone_creation_leaves_nothing(world: World):
    """R1."""
    world.ditio.plant("1042", phone="+4741234567")
    step = world.provisions(a_carrier())

    assert step.status == 409
    with world.database.read() as s:
        assert s.connection.execute(select(certificate_entries)).all() == []


@pytest.mark.parametrize("kind", ["timeout-before", "timeout-after", "reset-after"])
def test_a_lost_answer_is_sent_again(world: World, kind: str):
    """K3, R4: an upsert, harmless; and a withdrawal meanwhile is not forgotten."""
    user = a_carrier()
    world.ditio.faults.plan(Fault(kind=kind, method="POST", path="/certificates", times=1))
    world.provisions(user)
    assert world.state(user)[0] == "due"
    world.ditio.faults.plan(Fault(kind="timeout-before", method="POST", path="/certificates", times=1))
    world.entra.clears(user, f"{EXTENSION}:byggekort")
    for _ in range(2):  # The second answer is lost too, and each doubt is waited for.
        world.clock.passes(hours=1)
        world.worker.run_until_idle()

    assert world.state(user) == ("delivered", None)
    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2026-01-15T00:00:01Z")}


def test_ditio_asks_to_slow_down(world: World):
    """R3: 429 is obeyed, and is no fault; the employee is there already."""
    user = a_carrier()
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=429, times=1))
    world.provisions(user)
    assert world.state(user)[0] == "due"
    assert world.employee("1042").created_count == 1
    world.clock.passes(minutes=1)
    world.worker.run_until_idle()

    assert in_ditio(world).keys() == {"Byggekort"}
    assert world.employee("1042").created_count == 1


def test_a_missing_operation_is_held(world: World):
    """R1: 404 or 405 while the employee can be read names path and setting."""
    user = a_carrier()
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=404, times=1))
    world.provisions(user)

    state, detail = world.state(user)
    assert state == "held"
    assert "POST /api/v4/integration/certificates" in (detail or "")
    assert "DITIO__API_URL" in (detail or "")


def test_who_is_refused_for_certificates_alone_is_out_of_reach(world: World):
    """R2: a 403 is tested with a read that concerns no one; the breaker stays closed."""
    user = a_carrier()
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=403, times=1))
    world.provisions(user)

    assert world.state(user)[0] == "parked"
    assert "out of its reach" in (world.state(user)[1] or "")


def test_hands_off_and_a_pause_are_for_certificates_too(world: World):
    """D4: nothing is sent while deliveries are paused."""
    user = a_carrier()
    world.restarts_with(delivery={"paused": True})
    world.provisions(user)
    put(world, Source.csv, a_certificate(type="X"))
    world.worker.run_until_idle()
    assert world.ditio.writes() == []
    world.restarts_with(delivery={"paused": False})
    world.worker.run_until_idle()

    assert in_ditio(world).keys() == {"Byggekort", "X"}


def test_a_refusal_after_a_lost_answer_is_no_proof_that_ditio_has_nothing(world: World):
    """R4, K5: the first request may have been applied. A withdrawal is sent for it all the same."""
    world.provisions(a_user())
    world.clock.passes(minutes=1)
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/certificates"))
    entry = kept(world, Source.csv, a_certificate(), "1042")
    world.worker.run_until_idle()
    assert in_ditio(world)["Byggekort"][1].startswith("2028-01-14")
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/certificates", status=422, times=1))
    world.clock.passes(minutes=30)
    world.worker.run_until_idle()
    assert world.state(a_user())[0] == "parked"

    says(world, lambda sources, s: sources.withdraw(s, entry.id, Source.csv))
    world.worker.run_until_idle()
    assert in_ditio(world)["Byggekort"][1].startswith("2026-01-15")
