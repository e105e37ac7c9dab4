"""What the guard counts and what it does not: creations, undone writes, steps that are off, repairs (rule L8)."""

from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from scim_bridge.delivery import guard
from scim_bridge.domain.drift import Kind
from scim_bridge.domain.person import HandsOff
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.guard import Guard
from tests.conftest import Clock
from tests.scenarios.test_guard import LIMITS, Company, a_company, counted
from tests.scenarios.test_guard import company as company
from tests.world import World, a_user

pytestmark = pytest.mark.usefixtures("ends_at_once")


def test_creations_are_guarded_where_that_is_set(database: Database, clock: Clock):
    """L8: `DELIVERY__MAX_CREATED_PER_HOUR`; adopting is no creation."""
    company = Company(World(database, clock, settings={"delivery": {"max_created_per_hour": 1}}))
    company.world.ditio.plant("102", "Kari", "Nordmann", "+4798765002", email="person2@contractor.example")
    company.hires(3)

    assert company.state(0) == ("delivered", None)
    state, detail = company.state(1)
    assert state == "held"
    assert "2 creations within an hour, more than DELIVERY__MAX_CREATED_PER_HOUR (1) allows" in str(detail)
    assert company.state(2) == ("delivered", None)
    assert set(company.world.ditio.company.employees) == {"100", "102"}
    assert [(row.kind, row.employee_number) for row in company.reconciles(apply=True, only=Kind.missing)] == [
        (Kind.missing, "101")
    ]
    assert set(company.world.ditio.company.employees) == {"100", "102"}

    assert company.decides(guard.drop) == 1
    assert company.state(1) == ("delivered", "kept by the operator")
    company.world.clock.passes(hours=2)
    company.world.changes(company.staff[1], job_title="Formann")
    assert company.state(1) == ("delivered", "kept by the operator")
    company.ends(1)
    company.world.changes(company.staff[1], account_enabled=True)
    assert company.world.employee("101").created_count == 1


def test_a_creation_that_ditio_refuses_and_that_is_undone_does_not_count(database: Database, clock: Clock):
    """L8, R1: Entra tries it again and again, each time as a new person; a person who comes after it is hired."""
    company = Company(World(database, clock, settings={"delivery": {"max_created_per_hour": 1}}))
    company.world.ditio.faults.plan(Fault(kind="status", method="POST", path="/employees", status=422, times=1))
    company.hires(2)

    assert set(company.world.ditio.company.employees) == {"101"}
    assert company.waiting() == []


def test_a_phone_that_ditio_refuses_and_that_is_undone_does_not_count(company: Company):
    """L8, R1."""
    path = "/100/change-phone-number"
    company.world.ditio.faults.plan(Fault(kind="status", method="PATCH", path=path, status=422, times=9))
    assert company.world.changes(company.staff[0], mobile="+4790000000").status == 400
    company.world.changes(company.staff[1], mobile="+4790000001")

    assert company.state(1) == ("delivered", None)
    assert company.world.employee("101").phone == "+4790000001"


def test_what_is_switched_off_counts_for_nothing(company: Company):
    """L8, P6: nothing is sent for it, so no one is held by the guard on its account, and no other is in its way."""
    company.world.restarts_with(ditio={"operations": {"change_phone_number": "off"}})
    for index in range(2):
        company.world.changes(company.staff[index], mobile=f"+4740000{index}00")
    assert company.waiting() == [("held", "no-operation")] * 2
    assert counted(company.world) == 0

    company.world.restarts_with(ditio={})
    company.world.changes(company.staff[2], mobile="+4740000200")
    assert company.state(2) == ("delivered", None)


@pytest.mark.parametrize("steps", [["end-employment", "disable"], ["disable", "end-employment"]])
def test_an_ending_of_which_a_step_is_switched_off_counts_by_the_other(
    database: Database, clock: Clock, steps: list[str]
):
    """L8, L6: and what the operator withdrew of it stays withdrawn as a whole."""
    company = a_company(database, clock, 3, offboarding=steps)
    company.world.restarts_with(ditio={"operations": {"disable": "off"}})
    company.ends(0, 1)
    assert set(company.waiting()) == {("held", "no-operation"), ("held", "guard")}
    assert company.world.employee("100").employment.end is not None
    assert company.world.employee("101").employment.end is None
    assert company.decides(guard.drop) == 1

    assert company.state(1) == ("delivered", "kept by the operator")


def test_a_login_alone_that_is_switched_off_counts_for_nothing(database: Database, clock: Clock):
    """L8: with `disable` as the only step, and that off, nothing ends at all."""
    company = a_company(database, clock, 3, offboarding=["disable"])
    company.world.restarts_with(ditio={"operations": {"disable": "off"}})
    company.ends(0, 1)

    assert company.waiting() == [("held", "no-operation")] * 2
    assert counted(company.world) == 0


def test_creations_are_not_guarded_by_default(company: Company):
    """L8: 0 = off; four were hired within a minute."""
    assert len(company.world.ditio.company.employees) == 4
    assert company.waiting() == []


def test_reconcile_lists_what_is_held_and_what_is_kept_and_applies_neither(company: Company):
    """L8, Q2: other differences of such a person are repaired."""
    company.world.restarts_with(delivery={**LIMITS, "inline_seconds": 0})
    company.ends(0)
    company.world.clock.passes(seconds=1)
    company.ends(1)
    company.world.worker.run_until_idle()
    company.world.employee("101").work_title = "edited by hand"
    rows = company.reconciles(apply=True)

    assert {(row.kind, row.field) for row in rows if row.listed} == {
        (Kind.should_be_inactive, "endDate"),
        (Kind.should_be_inactive, "disabled"),
    }
    assert all("outbox release" in str(row.listed) for row in rows if row.listed)
    assert company.world.employee("101").work_title == "Maskinfører"
    company.decides(guard.drop)
    rows = company.reconciles(apply=True)
    assert {row.listed for row in rows} == {"kept by the operator (`outbox drop`), until Entra changes it"}
    assert company.ended() == [0]


def test_a_plan_that_was_made_before_sends_nothing_that_is_held_since(database: Database, clock: Clock):
    """L8, Q3: the plan saw an ending that was due; by the time it is repaired the guard holds it."""
    company = a_company(database, clock, 2, inline_seconds=0)
    company.world.worker.run_until_idle()
    company.ends(0, 1)
    reconciliation = company.world.parts.reconciliations["default"]
    plan_id = reconciliation.run(Request()).run.id
    company.world.worker.run_until_idle()
    (left,) = [index for index in range(2) if not company.is_ended(index)]
    report = reconciliation.run(Request(apply=True, plan_id=plan_id))

    assert not company.is_ended(left)
    assert report.exit == 2
    assert any("outbox release" in str(why) for why in report.outcomes.values())
    assert company.waiting() == [("held", "guard")]


def test_a_pause_does_not_let_through_what_is_held(company: Company):
    """L8, D4: a pause leaves nothing out of the plan, but for what is held for itself; nor does the end of it."""
    company.ends(0, 1)
    with company.world.database.write("default") as s:
        s.at(company.world.clock()).pauses.pause()
    company.world.changes(company.staff[1], job_title="Formann")
    assert company.waiting() == [("held", "paused")]
    assert {row.listed for row in company.reconciles() if row.kind is Kind.should_be_inactive} == {
        "held, guard: correct it in Entra, or `outbox release` sends it, or `outbox drop` withdraws it"
    }

    with company.world.database.write("default") as s:
        s.at(company.world.clock()).pauses.resume()
    company.world.worker.run_until_idle()
    assert company.ended() == [0]
    assert company.waiting() == [("held", "guard")]


def test_what_reconcile_repairs_does_not_count(company: Company):
    """L8: "endings of `reconcile --apply` answer to Q4 alone", and so do its changes of phone."""
    company.ends(0)
    company.world.employee("100").disabled = False
    for index in (1, 2, 3):
        company.world.employee(f"10{index}").phone = f"+4791000{index}00"
    company.reconciles(apply=True)
    assert company.is_ended(0)
    assert [company.world.employee(f"10{index}").phone[-2:] for index in (1, 2, 3)] == ["01", "02", "03"]
    assert counted(company.world) == 1

    company.world.changes(company.staff[1], mobile="+4740000100")
    assert company.state(1) == ("delivered", None)


def test_hands_off_keeps_what_is_held(company: Company):
    """L8, D6: a person who is put aside is neither sent nor forgotten."""
    company.ends(0, 1)
    with company.world.database.write("default") as s:
        person_id = company._person(s, 1)
        s.hands_offs.set(person_id, HandsOff())
    assert company.decides(guard.release) == 1
    assert company.waiting() == [("held", "hands-off")]
    with company.world.database.write("default") as s:
        s.hands_offs.set(person_id, None)
        s.at(company.world.clock()).outbox.mark_due(person_id)
    company.world.worker.run_until_idle()

    assert company.ended() == [0, 1]


def test_a_write_that_is_undone_leaves_what_was_held_as_it_was(company: Company):
    """L8, R1: a refused change of something else is undone whole, and what was withdrawn before stays so."""
    for index in range(2):
        company.world.changes(company.staff[index], mobile=f"+4740000{index}00")
    company.decides(guard.drop)
    company.world.clock.passes(hours=2)
    company.world.ditio.faults.plan(Fault("status", status=400, method="PATCH", path="/employees/101", times=1))
    step = company.world.changes(company.staff[1], surname="Refused", mobile="+4741111111")

    assert step.status == 400
    assert company.state(1) == ("delivered", "kept by the operator")


def test_a_leaver_who_is_held_gives_nothing_away(company: Company):
    """L8, P3: a person who wants the number of a person whose ending is held waits, as he is still there."""
    company.ends(0, 1)
    newcomer = a_user(object_id="new", user_principal_name="new@contractor.example", mail=None, employee_id="1099")
    newcomer.mobile = "+4798765001"
    company.world.provisions(newcomer)

    assert company.world.state(newcomer)[0] == "held"
    assert "1099" not in company.world.ditio.company.employees
    assert not company.is_ended(1)


def test_an_employment_that_ends_later_is_the_same_ending(database: Database, clock: Clock):
    """L5, L8: the login at once, the employment when its day is over: counted once, and not held half-way."""
    company = a_company(database, clock, 3, end_employment="after-last-day")
    company.ends(0, 1)
    assert company.world.employee("100").disabled
    assert not company.world.employee("101").disabled
    clock.passes(days=1)
    company.ends(2)
    company.world.worker.run_until_idle()

    assert company.world.employee("100").employment.end is not None
    assert company.world.employee("101").employment.end is None
    assert company.world.employee("102").disabled


def test_two_at_the_same_instant_do_not_exceed_the_limit_together(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """L8: "counting and reserving is one transaction in the database", and one after another for a tenant."""
    company = a_company(database, clock, 2, inline_seconds=0)
    company.world.worker.run_until_idle()
    for user in company.staff:
        user.account_enabled = False
    company.world.cycle()
    decide, both = Guard.decide, Barrier(2)

    def decide_together(guard: Guard, *change: Any) -> None:
        # Two who have counted at once meet here, before either has reserved; one alone goes on after a moment.
        with suppress(BrokenBarrierError):
            both.wait(timeout=0.2)
        decide(guard, *change)

    monkeypatch.setattr(Guard, "decide", decide_together)
    company.world.parts.worker(places=2).run_until_idle()

    assert len(company.ended()) == 1
    assert counted(company.world) == 1
    assert company.waiting() == [("held", "guard")]
