"""Reconciliation: every kind and every cause is found, named, and repaired or rightly left alone (rules Q1-Q5)."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from scim_bridge.domain.audit import BY_SCHEDULE, Actor, ActorKind, Author
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import HandsOff
from scim_bridge.reconcile import compare
from scim_bridge.reconcile.apply import DUE_ALREADY
from scim_bridge.reconcile.report import Report, Request, lines
from scim_bridge.sandbox.company import SandboxEmployment
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import Style, documented_styles
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World, a_user


@dataclass
class Found:
    """A report with its rows."""

    report: Report
    items: list[Drift]

    @property
    def exit(self) -> int:
        return self.report.exit

    @property
    def told(self) -> list[tuple[str, str | None, str | None, str]]:
        return [(item.kind.value, item.employee_number, item.field, item.cause.value) for item in self.items]

    @property
    def skipped(self) -> list[tuple[str | None, str]]:
        by_place = {item.position: item for item in self.items}
        return [(by_place[place].field, why) for place, why in self.report.outcomes.items() if why]


def reconcile(world: World, **request: Any) -> Found:
    reconciliation = world.parts.reconciliations["default"]
    report = reconciliation.run(Request(**request))
    return Found(report, list(reconciliation.items(report.run.id)))


def person(number: int, **changes: object) -> EntraUser:
    name = f"person{number}@contractor.example"
    known = {
        "object_id": f"object-{number}",
        "user_principal_name": name,
        "mail": name,
        "employee_id": str(number),
        "mobile": f"+47 9{number:07}",
        "given_name": f"Given{number}",
        "display_name": f"Given{number} Nordmann",
    }
    return a_user(**{**known, **changes})


def hires(world: World, count: int = 3) -> list[EntraUser]:
    """A company in sync, long enough ago that reads do not lag any more."""
    people = [person(1001 + place) for place in range(count)]
    for each in people:
        world.entra.directory.add(each)
    world.cycle()
    world.clock.passes(hours=1)
    world.forget()
    return people


@pytest.fixture
def kari(world: World) -> EntraUser:
    return hires(world)[0]


def test_a_company_in_sync_is_in_sync(world: World):
    """Q1; design, section 5: exit 0, and no one is named."""
    hires(world)

    found = reconcile(world)

    assert (found.exit, found.told, found.report.run.people, found.report.run.in_sync) == (0, [], 3, 3)
    assert world.sent() == []


@pytest.mark.parametrize("style", documented_styles(), ids=lambda style: style.name)
def test_it_is_in_sync_whatever_ditio_answers_like(database: Database, clock: Clock, style: Style):
    """Every documented form of answers; what a form does not show is unknown, not different (C2)."""
    world = World(database, clock, style=style)
    people = hires(world)
    world.changes(people[1], account_enabled=False)
    clock.passes(hours=1)

    assert (reconcile(world).told, reconcile(world, apply=True).exit) == ([], 0)


def test_a_value_edited_in_ditio_is_found_and_repaired(world: World, kari: EntraUser):
    """Q1, Q2: `field`, edited in Ditio; the report sends nothing, `--apply` sends that field alone."""
    world.employee("1001").work_title = "Sjef"

    found = reconcile(world)

    (item,) = found.items
    assert found.exit == 2
    assert found.told == [("field", "1001", "workTitle", "edited-in-ditio")]
    assert (item.wanted, item.found, item.acknowledged) == ("Maskinfører", "Sjef", "Maskinfører")
    assert item.user_name == "person1001@contractor.example"
    assert world.ditio.writes() == []

    applied = reconcile(world, apply=True)

    assert (applied.exit, applied.report.applied) == (0, 1)
    assert world.sent() == [("PATCH", "/1001", {"workTitle": "Maskinfører"})]
    world.clock.passes(hours=1)
    assert reconcile(world).told == []
    assert world.state(kari) == ("delivered", None)


def test_login_and_employment_are_drift(world: World, kari: EntraUser):
    """C4, Q2: where only Ditio differs it is drift: a login closed by hand is opened, an ended employment too."""
    world.employee("1001").disabled = True
    world.employee("1002").employments[0].end = date(2026, 3, 1)

    found = reconcile(world)

    assert found.told == [
        ("should-be-active", "1001", "disabled", "edited-in-ditio"),
        ("should-be-active", "1002", "startDate", "edited-in-ditio"),
    ]
    assert [(item.wanted, item.found) for item in found.items] == [(False, True), (date(2026, 3, 2), None)]
    assert reconcile(world, apply=True, plan_id=found.report.run.id).exit == 0
    assert world.employee("1001").disabled is False
    assert world.employee("1002").employment.start == date(2026, 3, 2)
    assert world.employee("1002").employment.department == "Anlegg"
    world.clock.passes(hours=1)
    assert reconcile(world).told == []


@pytest.mark.parametrize("author", [BY_SCHEDULE, Author(Actor(ActorKind.operator, "1000"))])
def test_a_login_that_was_closed_by_hand_is_opened_only_on_review(world: World, kari: EntraUser, author: Author):
    """Q2: never by a plain or scheduled `--apply`; it stays listed, is no skipped row, and the rest is repaired."""
    world.employee("1001").disabled = True
    world.employee("1001").work_title = "Sjef"

    applied = reconcile(world, apply=True, author=author)

    assert world.employee("1001").disabled
    assert world.employee("1001").work_title == "Maskinfører"
    assert (applied.exit, applied.report.applied, applied.skipped) == (2, 1, [])
    world.clock.passes(hours=1)
    again = reconcile(world, apply=True, author=author)
    assert again.told == [("should-be-active", "1001", "disabled", "edited-in-ditio")]
    assert (again.exit, again.report.applied, again.skipped) == (2, 0, [])
    assert world.employee("1001").disabled


def test_a_login_that_was_closed_by_hand_is_opened_by_its_kind(world: World, kari: EntraUser):
    """Q2: or by `--only should-be-active` alone; another kind opens none."""
    world.employee("1001").disabled = True
    assert reconcile(world, apply=True, only=Kind.field).exit == 0
    assert reconcile(world, apply=True, only=Kind.missing).exit == 0
    assert reconcile(world, apply=True, person="1001").exit == 2
    assert world.employee("1001").disabled
    assert reconcile(world, only=Kind.should_be_active).exit == 2

    applied = reconcile(world, apply=True, only=Kind.should_be_active)
    assert (applied.exit, applied.report.applied) == (0, 1)
    assert not world.employee("1001").disabled


@pytest.mark.parametrize(
    ("wanted", "exit"), [("unmanaged", 0), ("should-be-active", 0), ("field", 0), ("should-be-inactive", 2)]
)
@pytest.mark.parametrize("apply", [False, True])
def test_what_is_only_listed_is_exit_0_but_for_a_leaver(
    world: World, kari: EntraUser, wanted: str, exit: int, apply: bool
):
    """Q2: only-listed rows alone are exit 0, except `should-be-inactive` (and `stuck-delivery`): exit 2."""
    if wanted == "should-be-inactive":
        world.changes(kari, account_enabled=False)
        world.clock.passes(hours=1)
    with world.database.write("default") as s:
        record = s.people.linked_to(EmployeeNumber("1001"))
        assert record is not None
        s.hands_offs.set(record.person.id, HandsOff())
    match wanted:
        case "unmanaged":
            world.ditio.plant("77", "Siv", "Dahl", "+4790000077")
        case "field":
            world.employee("1001").work_title = "Sjef"
        case _:
            world.employee("1001").disabled = wanted == "should-be-active"

    found = reconcile(world, apply=apply)
    assert [kind for kind, *_ in found.told] == [wanted]
    assert (found.exit, found.report.applied, found.skipped) == (exit, 0, [])


@pytest.mark.usefixtures("ends_at_once")
def test_a_leaver_who_is_active_again_is_told_first(world: World):
    """Q2: `should-be-inactive`; design, section 9: shown first."""
    people = hires(world)
    world.changes(people[2], account_enabled=False)
    world.clock.passes(hours=1)
    world.employee("1001").work_title = "Sjef"
    leaver = world.employee("1003")
    leaver.disabled = False
    leaver.employments.append(SandboxEmployment(date(2026, 3, 3), None, "Anlegg"))

    found = reconcile(world)

    assert found.told == [
        ("should-be-inactive", "1003", "endDate", "edited-in-ditio"),
        ("should-be-inactive", "1003", "disabled", "edited-in-ditio"),
        ("field", "1001", "workTitle", "edited-in-ditio"),
    ]
    assert reconcile(world, apply=True).exit == 0
    assert leaver.disabled
    assert leaver.employments[-1].end is not None
    world.clock.passes(hours=1)
    assert reconcile(world).told == []


def test_a_deleted_user_who_is_active_again_is_ended(world: World, kari: EntraUser):
    """L7, Q2: of a deleted user the offboarding is owed, regardless of who undid it."""
    world.deletes(kari)
    world.clock.passes(hours=1)
    world.employee("1001").disabled = False

    found = reconcile(world, apply=True)

    assert found.told == [("should-be-inactive", "1001", "disabled", "edited-in-ditio")]
    assert (found.exit, found.report.applied) == (0, 1)
    assert world.employee("1001").disabled


def test_a_change_that_was_never_delivered(world: World, kari: EntraUser):
    """Q1: F = A, and the document changed since A. He is due already, so he is given no scope: skipped and named."""
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    world.changes(kari, job_title="Formann")
    world.ditio.faults.clear()
    world.clock.passes(hours=1)

    found = reconcile(world)

    assert found.told == [("field", "1001", "workTitle", "never-delivered")]
    assert found.exit == 2
    applied = reconcile(world, apply=True)
    assert applied.exit == 2
    assert applied.skipped == [("workTitle", DUE_ALREADY)]
    assert world.sent() == [], "his own delivery brings it"


def test_a_changed_mapping(world: World, kari: EntraUser):
    """Q1: W ≠ A, F = A, the same document: the mapping changed. It reaches Ditio by reconcile."""
    world.restarts_with(mapping={"fields": {"workTitle": {"from": ["displayName"]}}})

    found = reconcile(world)

    assert {item[2:] for item in found.told} == {("workTitle", "mapping-changed")}
    assert reconcile(world, apply=True).report.applied == 3
    assert world.employee("1001").work_title == "Given1001 Nordmann"


def test_a_mapping_that_changed_after_other_changes(world: World, kari: EntraUser):
    """Q1: a document that changed and was delivered whole is the same document."""
    world.changes(kari, department="Tunnel")
    world.clock.passes(hours=1)
    world.restarts_with(mapping={"fields": {"workTitle": {"from": ["displayName"]}}})

    assert reconcile(world, person="1001").told == [("field", "1001", "workTitle", "mapping-changed")]


def test_what_is_found_as_wanted_is_in_sync_and_acknowledged(world: World, kari: EntraUser):
    """Q1: F = W with W ≠ A is in sync, and A is set."""
    world.restarts_with(delivery={"on_refused": "park"})
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH", times=1))
    world.changes(kari, job_title="Formann")
    assert world.state(kari)[0] == "parked"
    world.employee("1001").work_title = "Formann"
    world.clock.passes(hours=1)

    assert reconcile(world).told == []
    world.employee("1001").work_title = "Sjef"
    assert reconcile(world).told == [("field", "1001", "workTitle", "edited-in-ditio")]


class GaveWay(Exception):
    """What the driver says of the one of two transactions that has to give way."""

    sqlstate = "40P01"


def test_a_comparison_that_gets_into_a_delivery_s_way_is_no_failed_run(
    world: World, kari: EntraUser, monkeypatch: pytest.MonkeyPatch
):
    """Q1: it locks leavers and wakes who waits for them, as a delivery does the other way round; it tries once more."""
    world.restarts_with(delivery={"on_refused": "park"})
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH", times=1))
    world.changes(kari, job_title="Formann")
    world.employee("1001").work_title = "Formann"
    world.clock.passes(hours=1)
    note, tries = compare.acknowledge_agreement, []

    def give_way_once(*arguments: Any) -> None:
        tries.append(True)
        note(*arguments)
        if len(tries) == 1:
            raise DBAPIError("", None, GaveWay())

    monkeypatch.setattr(compare, "acknowledge_agreement", give_way_once)

    assert reconcile(world).exit == 0
    assert len(tries) == 2


def test_an_employee_whom_no_one_claims_is_left_alone(world: World, kari: EntraUser):
    """Q2: `unmanaged` is only listed: exit 0, whatever the flags."""
    world.ditio.plant("77", "Siv", "Dahl", "+4790000077", disabled=False)

    found = reconcile(world, apply=True)

    assert found.told == [("unmanaged", "77", None, "created-outside")]
    assert (found.exit, found.report.applied, found.report.run.in_sync) == (0, 0, 3)
    assert world.ditio.writes() == []


def test_a_person_gone_is_created_only_from_a_reviewed_plan(world: World, kari: EntraUser):
    """P5, Q2: `missing`; a plain `--apply` creates no one, `--apply --plan ID` does."""
    del world.ditio.company.employees["1001"]

    found = reconcile(world, apply=True)

    assert found.told == [("missing", "1001", "employeeNumber", "edited-in-ditio")]
    assert (found.exit, found.report.applied) == (2, 0)
    assert world.ditio.writes() == []

    reviewed = reconcile(world, apply=True, plan_id=found.report.run.id)

    assert (reviewed.exit, reviewed.report.applied) == (0, 1)
    assert world.employee("1001").created_count == 1
    assert world.state(kari)[0] == "delivered"
    world.clock.passes(hours=1)
    assert reconcile(world).told == []


def test_a_person_gone_is_created_where_that_was_asked_for(world: World, kari: EntraUser):
    """P5: `--only missing`."""
    del world.ditio.company.employees["1001"]
    world.changes(kari, job_title="Formann")
    assert world.state(kari)[0] == "parked", "gone"
    world.clock.passes(hours=1)

    assert reconcile(world, apply=True, only=Kind.missing).exit == 0
    assert world.employee("1001").work_title == "Formann"
    assert world.state(kari) == ("delivered", None)


def test_a_person_who_is_there_again_is_not_created(world: World, kari: EntraUser):
    """Q3: rows where Ditio moved are skipped and named."""
    gone = world.ditio.company.employees.pop("1001")
    plan = reconcile(world).report.run.id
    world.ditio.company.employees["1001"] = gone

    found = reconcile(world, apply=True, plan_id=plan)

    assert found.exit == 2
    assert "again" in found.skipped[0][1]
    assert world.sent() == []


def test_a_renumbered_employee_is_only_listed(world: World, kari: EntraUser):
    """P5, Q2: found under another number by phone or e-mail."""
    world.ditio.company.change_number("1001", "9001")

    found = reconcile(world, apply=True)

    assert found.told == [("renumbered", "1001", "employeeNumber", "renumbered")]
    assert found.items[0].found == "9001"
    assert (found.exit, world.sent()) == (0, [])


def test_a_number_that_another_employee_has_now_is_named(world: World, kari: EntraUser):
    """P5, Q2: the person themselves is not found under any number."""
    del world.ditio.company.employees["1001"]
    world.ditio.company.change_number("1002", "1001")

    found = reconcile(world)

    (hers,) = [item for item in found.items if item.kind == "renumbered" and item.employee_number == "1001"]
    (line,) = [line.text for line in lines([hers]) if line.mark]
    assert "1001" in line
    assert "nothing" not in line


def test_one_identity_twice_is_only_listed(world: World, kari: EntraUser):
    """P4, Q2: another employee with the same e-mail address, or the same number but for leading zeros."""
    world.ditio.plant("77", phone="+4790000077", email="person1001@contractor.example")
    world.ditio.plant("01002", phone="+4790000078")

    found = reconcile(world, apply=True)

    assert found.told == [
        ("duplicate-identity", "1001", "email", "duplicate-identity"),
        ("duplicate-identity", "1002", "employeeNumber", "duplicate-identity"),
    ]
    assert [item.found for item in found.items] == ["77", "01002"]
    # Numbers that differ in zeros may be two people's, and so may an address that two share: neither is asserted.
    by_email, by_number = [line.text for line in lines(found.items) if line.mark]
    assert (
        'employee "77" has the same email  (may be one person twice; only listed: one person twice, or two' in by_email
    )
    assert "(may be one person twice; only listed: two people, or one whose number is spelled in two ways" in by_number
    assert (found.exit, world.sent()) == (0, [])


def test_numbers_that_differ_in_zeros_are_never_joined(world: World):
    """P4: a new person whose number is there with a zero in front."""
    world.ditio.plant("01050", phone="+4790000050")
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    world.provisions(person(1050))
    world.ditio.faults.clear()

    assert reconcile(world).told == [("duplicate-identity", "1050", "employeeNumber", "duplicate-identity")]


def test_a_delivery_that_is_stuck_for_a_day_is_told_and_tried(world: World, kari: EntraUser):
    """R3, Q2: `stuck-delivery`, exit 2; for people who are due it is repaired."""
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    world.changes(kari, job_title="Formann")
    world.ditio.faults.clear()
    world.clock.passes(hours=25)

    found = reconcile(world)

    assert found.exit == 2
    assert [item[:3] for item in found.told] == [("field", "1001", "workTitle"), ("stuck-delivery", "1001", None)]
    assert reconcile(world, apply=True).exit == 0
    assert world.employee("1001").work_title == "Formann"


def test_a_parked_person_without_an_employee_is_stuck(world: World):
    """Q2: listed for parked people, with `outbox retry` as the cure: exit 2, and nothing is sent."""
    world.restarts_with(delivery={"on_refused": "park"})
    world.ditio.plant("77", phone="+4791001060")
    world.provisions(person(1060, mobile="+47 910 01 060"))
    world.clock.passes(hours=1)
    world.forget()

    found = reconcile(world, apply=True)

    assert ("stuck-delivery", "1060", None, "never-delivered") in found.told
    assert (found.exit, world.sent()) == (2, [])


def test_a_person_who_waits_for_data_is_only_listed(world: World):
    """Q2: what is itself held is only listed: exit 0."""
    world.provisions(person(1061, mobile=None))

    found = reconcile(world, apply=True)

    assert found.told == [("missing", "1061", "employeeNumber", "never-delivered")]
    assert found.items[0].listed == "held, incomplete: see `outbox list`"
    assert (found.exit, world.sent()) == (0, [])


def test_of_a_parked_person_everything_else_is_repaired(world: World, kari: EntraUser):
    """Q2: the difference that is parked is only listed; that person's other differences are repaired, and he stays
    parked."""
    world.restarts_with(delivery={"on_refused": "park"})
    world.ditio.faults.plan(Fault("status", status=400, method="PATCH", times=1))
    world.changes(kari, job_title="Formann")
    world.clock.passes(hours=1)
    before = world.state(kari)
    world.employee("1001").employment.department = "Kontor"
    world.forget()

    found = reconcile(world, apply=True)

    assert found.told == [
        ("field", "1001", "department", "edited-in-ditio"),
        ("field", "1001", "workTitle", "never-delivered"),
    ]
    assert found.items[1].listed == "parked, refused: see `outbox list`"
    assert (found.exit, found.report.applied) == (0, 1)
    assert world.sent() == [("PATCH", "/1001/update-employment", {"department": "Anlegg"})]
    assert before[0] == "parked"
    assert world.state(kari) == before


@pytest.mark.usefixtures("ends_at_once")
def test_an_ending_that_is_parked_is_loud(world: World, kari: EntraUser):
    """L6, Q2: a payroll-locked ending is only listed, and still exit 2."""
    world.restyle(payroll_locked_until=date(2026, 12, 31))
    world.changes(kari, account_enabled=False)
    world.clock.passes(hours=1)
    world.forget()

    found = reconcile(world, apply=True)

    assert found.told == [("should-be-inactive", "1001", "endDate", "never-delivered")]
    assert (found.exit, world.sent()) == (2, [])


def test_a_leave_date_that_is_over_and_was_not_acted_on(world: World, kari: EntraUser):
    """Q1: a stored day came since A: never delivered."""
    world.changes(kari, leave_date="2026-03-05")
    world.clock.passes(days=5)

    found = reconcile(world, person="1001", apply=True)

    assert found.told == [
        ("should-be-inactive", "1001", "endDate", "never-delivered"),
        ("should-be-inactive", "1001", "disabled", "never-delivered"),
    ]
    assert found.exit == 0
    assert world.employee("1001").employment.end == date(2026, 3, 5)


def test_unowned_fields_are_never_drift(world: World, kari: EntraUser):
    """H5: what is Ditio's, a seed that is there, and a value that the bridge supplied."""
    employee = world.employee("1001")
    employee.birth_date = date(1980, 1, 1)
    employee.employment.payroll = 2
    employee.employment.start = date(2026, 1, 1)

    assert reconcile(world, apply=True).told == []
    assert world.sent() == []


def test_ditios_own_form_of_a_value_is_equal(database: Database, clock: Clock):
    """C2: what Ditio shows after taking our value, and shows again, is its form of it."""
    world = World(database, clock, style=Style(forms={"workTitle": "upper"}))
    people = hires(world, 1)
    for title in ("Formann", "Formann II"):
        world.changes(people[0], job_title=title)
        clock.passes(minutes=5)
        world.changes(people[0], department=title)
        clock.passes(hours=1)

    for _ in range(3):
        reconcile(world, apply=True)
        clock.passes(hours=1)

    assert reconcile(world).told == []
