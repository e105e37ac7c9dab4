"""Certificates that were there before `adopt` said whose they are (rules D4, H5, K2, K3)."""

import pytest
from sqlalchemy import update

from scim_bridge.domain.certificate import Source
from scim_bridge.domain.drift import Kind
from scim_bridge.reconcile.report import Request
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, kept
from tests.scenarios.test_certificates import a_world, in_ditio, posts, with_slots
from tests.scenarios.test_first_day import adopt, leaves, pauses, plant, resumes, sends_everyone
from tests.scenarios.test_reconciling import person
from tests.world import World


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return a_world(database, clock)


@pytest.fixture
def paused(world: World) -> World:
    pauses(world)
    return world


def test_certificates_said_before_adopt_make_no_one_due(paused: World):
    """H5, K2: they are his once he is linked; `resume` sends neither them nor what differs of him, the plan does."""
    user = person(1001)
    plant(paused, user, work_title="Lærling")
    kept(paused, Source.csv, a_certificate(number="C1"), "1001")
    sends_everyone(paused, user)
    assert adopt(paused).linked == 1

    paused.worker.run_until_idle()
    resumes(paused)

    assert (paused.sent(), posts(paused), paused.state(user)[0]) == ([], [], "delivered")
    reconciliation = paused.parts.reconciliations["default"]
    plan = reconciliation.run(Request()).run
    told = {(item.kind, item.field) for item in reconciliation.items(plan.id)}
    assert told == {(Kind.field, "workTitle"), (Kind.certificate, "Byggekort")}
    assert reconciliation.run(Request(apply=True, plan_id=plan.id)).exit == 0
    assert paused.employee("1001").work_title == "Maskinfører"
    assert in_ditio(paused, "1001") == {"Byggekort": ("2026-01-15", "2028-01-14T00:00:00Z")}


def test_a_slot_that_can_not_be_used_is_told_when_its_user_is_linked(paused: World):
    """K1: he is held, the detail names slot and reason, and `resume` sends nothing of him."""
    user = with_slots(person(1001), byggekort="77;15/01/2026;2028-01-14;HMS")
    plant(paused, user)
    sends_everyone(paused, user)
    assert adopt(paused).linked == 1
    resumes(paused)

    state, detail = paused.state(user)
    assert state == "held"
    assert "Byggekort" in str(detail)
    assert "15/01/2026" in str(detail)
    assert (paused.sent(), posts(paused)) == ([], [])


def test_a_certificate_without_an_end_is_told_when_its_user_is_linked(paused: World):
    """K1, K5: `CERTIFICATES__MISSING_EXPIRY` = `refuse`; what has left says nothing of it (K2)."""
    user, leaver = person(1001), person(1002)
    for each in (user, leaver):
        plant(paused, each)
        kept(paused, Source.csv, a_certificate(until=None), str(each.employee_id))
    sends_everyone(paused, user, leaver)
    leaves(paused, leaver)
    assert adopt(paused).linked == 2

    state, detail = paused.state(user)
    assert (state, str(detail).startswith("certificate Byggekort: ")) == ("held", True)
    assert paused.state(leaver) == ("delivered", None)


def test_a_leaver_is_not_delivered_over_and_over_for_what_waits(world: World):
    """K2: certificates wait for his return; they are no reason to read him at every look."""
    user = person(1001)
    user.hire_date, user.leave_date = "2020-01-01", "2026-03-02"
    world.provisions(user)
    kept(world, Source.csv, a_certificate(number="C1"), "2002")
    world.worker.run_until_idle()
    world.clock.passes(days=1)
    world.worker.run_until_idle()
    assert world.employee("1001").disabled
    _was_renumbered(world, "1001", "2002")
    world.forget()

    assert world.worker.run_until_idle() == 0
    assert world.ditio.requests == []


def _was_renumbered(world: World, old: str, new: str) -> None:
    """He is linked to a number under which something was said, and no delivery has looked at that yet."""
    with world.database.write() as s:
        s.connection.execute(update(people).where(people.c.employee_number == old).values(employee_number=new))
