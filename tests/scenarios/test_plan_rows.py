"""The rows of a plan: which are skipped and why, the limits of a run, and runs about one person (rules Q1-Q5)."""

import pytest

from scim_bridge.domain.audit import Action
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import HandsOff
from scim_bridge.errors import NotFound, TransientError
from scim_bridge.operator.audit import audited
from scim_bridge.reconcile import compare
from scim_bridge.reconcile.apply import DELIVERED, ENTRA_MOVED, TRIED
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.scenarios.test_reconciling import Found, hires, person, reconcile
from tests.scenarios.test_reconciling import kari as kari
from tests.world import DITIO, World, a_user


def test_rows_of_a_person_who_was_delivered_meanwhile_say_so(world: World, kari: EntraUser):
    """Q3: an operator had him tried again; Entra has said nothing, and is not named."""
    world.employee("1001").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    makes_due(world, "1001")
    world.clock.passes(hours=1)
    found = reconcile(world, apply=True, plan_id=plan)
    assert found.skipped == [("workTitle", DELIVERED)]

    world.employee("1002").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    world.ditio.faults.plan(Fault("status", status=422, method="PATCH", path="/employees/1002", times=1))
    makes_due(world, "1002")
    found = reconcile(world, apply=True, plan_id=plan)
    assert found.skipped == [("workTitle", TRIED)]


def makes_due(world: World, number: str) -> None:
    with world.database.write("default") as s:
        record = s.people.find(number)
        assert record is not None
        s.outbox.mark_due(record.person.id)
    world.worker.run_until_idle()


def test_rows_of_another_mapping_are_skipped(world: World, kari: EntraUser):
    """Q3: it is the settings that want something else, and not Entra."""
    world.employee("1001").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    world.restarts_with(mapping={"fields": {"workTitle": {"from": ["displayName"], "owner": "entra"}}})

    found = reconcile(world, apply=True, plan_id=plan)
    assert found.skipped == [
        ("workTitle", "something else is wanted now, by the settings or because a day has come: make a new plan")
    ]


def test_rows_where_entra_moved_are_skipped(world: World, kari: EntraUser):
    """Q3: the plan saw another desired employee."""
    world.employee("1001").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    world.changes(kari, department="Tunnel")
    world.clock.passes(hours=1)
    world.employee("1001").work_title = "Sjef"
    world.forget()

    found = reconcile(world, apply=True, plan_id=plan)

    assert found.exit == 2
    assert found.skipped == [("workTitle", ENTRA_MOVED)]
    assert world.sent() == []


def test_rows_where_the_mapping_moved_are_skipped(world: World, kari: EntraUser):
    """Q3: no one said anything since, and something else is wanted all the same: what the plan showed is not sent."""
    world.employee("1001").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    world.restarts_with(mapping={"fields": {"workTitle": {"from": ["displayName"]}}})

    found = reconcile(world, apply=True, plan_id=plan)

    why = "something else is wanted now, by the settings or because a day has come: make a new plan"
    assert (found.exit, found.skipped) == (2, [("workTitle", why)])
    assert world.sent() == []


def test_rows_where_ditio_moved_are_skipped(world: World, kari: EntraUser):
    """Q3: a person edited it again; the other rows of the person are repaired."""
    world.employee("1001").work_title = "Sjef"
    world.employee("1001").last_name = "Hansen"
    plan = reconcile(world).report.run.id
    world.employee("1001").work_title = "Bas"

    found = reconcile(world, apply=True, plan_id=plan)

    assert (found.exit, found.report.applied) == (2, 1)
    assert found.skipped == [("workTitle", "Ditio moved: it shows something else now")]
    assert world.sent() == [("PATCH", "/1001", {"lastName": "Nordmann"})]


def test_a_live_change_drops_the_scope(world: World, kari: EntraUser):
    """Q3: while Ditio is away the rows stay marked; a live change then delivers the person as a whole."""
    world.employee("1001").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    world.ditio.faults.plan(Fault("status", status=503, times=None))

    unsettled = reconcile(world, apply=True, plan_id=plan)

    assert unsettled.exit == 2
    assert "did not settle" in unsettled.skipped[0][1]
    world.ditio.faults.clear()
    world.changes(kari, department="Tunnel")
    assert world.employee("1001").employment.department == "Tunnel"
    assert world.employee("1001").work_title == "Maskinfører"
    assert world.state(kari) == ("delivered", None)


def test_a_marked_person_is_delivered_by_a_worker_if_the_run_dies(world: World, kari: EntraUser):
    """Q3, D1: the mark is in the database; only the rows of the plan are sent."""
    world.employee("1001").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    world.ditio.faults.plan(Fault("status", status=503, times=1))
    reconcile(world, apply=True, plan_id=plan)
    world.employee("1001").last_name = "Hansen"
    world.clock.passes(minutes=10)
    world.forget()

    world.worker.run_until_idle()

    assert world.employee("1001").work_title == "Maskinfører"
    assert world.sent() == [("PATCH", "/1001", {"workTitle": "Maskinfører"})]
    assert world.employee("1001").last_name == "Hansen", "nobody asked for that"


def test_the_same_row_is_repaired_once(world: World, kari: EntraUser):
    """Q5: a plan may be applied again: what is done is done."""
    world.employee("1001").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    reconcile(world, apply=True, plan_id=plan)
    world.forget()

    again = reconcile(world, apply=True, plan_id=plan)

    assert (again.exit, again.report.applied, world.sent()) == (0, 0, [])


# The guards (rule Q4)


def test_an_empty_answer_stops_the_run(world: World, kari: EntraUser):
    """Q4: exit 3 with or without `--apply`, whatever the size of the company."""
    world.ditio.company.employees.clear()

    for apply in (False, True):
        found = reconcile(world, apply=apply)
        assert found.exit == 3
        assert found.report.stopped is not None
        assert "no employee at all" in found.report.stopped
    assert world.ditio.writes() == []


def test_half_an_answer_stops_the_run(world: World):
    """Q4: fewer than half of the last complete read, which an answer that was not believed never becomes."""
    hires(world, 5)
    assert reconcile(world).exit == 0
    kept = dict(world.ditio.company.employees)
    for number in ("1001", "1002", "1003"):
        del world.ditio.company.employees[number]

    assert [reconcile(world).exit, reconcile(world, apply=True).exit] == [3, 3]
    world.ditio.company.employees.update(kept)
    assert reconcile(world).exit == 0


def test_too_many_endings_stop_the_run_until_it_is_forced(world: World):
    """Q4: more than RECONCILE__MAX_ENDED_FRACTION; the plan is stored, and only --plan ID --force goes on."""
    people = hires(world, 24)
    for each in people[:5]:
        world.changes(each, account_enabled=False)
    world.clock.passes(hours=1)
    world.forget()
    for number in range(1001, 1006):
        world.employee(str(number)).disabled = False

    found = reconcile(world, apply=True)

    assert found.exit == 3
    assert "5 of 24 people at work would be ended" in (found.report.stopped or "")
    assert world.sent() == []
    plan = found.report.run.id
    assert reconcile(world, apply=True, plan_id=plan).exit == 3
    assert reconcile(world, apply=True, plan_id=plan, force=True).exit == 0
    assert world.employee("1001").disabled


def test_under_twenty_people_a_share_does_not_count(database: Database, clock: Clock):
    """Q4: three of five may be ended; the hourly guard of the live stream (L8) is another."""
    world = World(database, clock, settings={"delivery": {"max_ended_fraction": 1.0}})
    people = hires(world, 5)
    for each in people[:3]:
        world.changes(each, account_enabled=False)
        world.employee(str(each.employee_id)).disabled = False
        world.clock.passes(hours=1)  # The live guard lets one of five go within an hour.

    assert reconcile(world, apply=True).exit == 0


def test_too_many_changes_stop_the_run(database: Database, clock: Clock):
    """Q4: RECONCILE__MAX_CHANGES."""
    world = World(database, clock, settings={"reconcile": {"max_changes": 2}})
    hires(world, 3)
    for number in ("1001", "1002", "1003"):
        world.employee(number).work_title = "Sjef"

    found = reconcile(world)

    assert found.exit == 3
    assert found.report.stopped == "3 differences would be repaired, more than RECONCILE__MAX_CHANGES (2) allows"


# Reading


def test_ditio_out_of_reach_is_an_error_and_leaves_no_lock(
    world: World, kari: EntraUser, monkeypatch: pytest.MonkeyPatch
):
    """Q5: a run that fails is told by `reconcile runs`, and the next one is none the worse."""
    monkeypatch.setattr("scim_bridge.ditio.roster.PATIENCE_SECONDS", 0.0)
    world.ditio.faults.plan(Fault("refused-connection", times=None))
    with pytest.raises(TransientError):
        reconcile(world)
    world.ditio.faults.clear()

    assert reconcile(world).exit == 0


def test_the_reporting_api_is_a_second_source(database: Database, clock: Clock):
    """RECONCILE__SOURCE: it shows no phone and no birth date, which are unknown then, and not different."""
    settings = {"reconcile": {"source": "reporting"}, "ditio": {"reporting_url": f"{DITIO}/reporting"}}
    world = World(database, clock, settings=settings)
    people = hires(world)
    world.changes(people[2], account_enabled=False)
    clock.passes(hours=1)
    assert reconcile(world).told == []
    world.employee("1001").work_title = "Sjef"
    world.employee("1003").disabled = False
    world.ditio.plant("1002b", phone="+4790000099", start=None)

    found = reconcile(world, apply=True)

    assert found.told == [
        ("should-be-inactive", "1003", "disabled", "edited-in-ditio"),
        ("field", "1001", "workTitle", "edited-in-ditio"),
        ("unmanaged", "1002b", None, "created-outside"),
    ]
    assert (found.exit, found.report.applied) == (0, 2)


def test_a_person_delivered_just_now_is_not_judged_by_an_old_read(world: World):
    """C5: for a while after a write the acknowledged values stand in for what is read."""
    world.provisions(a_user())
    world.employee("1042").work_title = "older"

    assert reconcile(world).told == []


def test_a_person_put_aside_is_listed_and_left_alone(world: World, kari: EntraUser):
    """D6, Q2: hands off a person: listed by reconcile, not applied."""
    with world.database.write("default") as s:
        record = s.people.linked_to(EmployeeNumber("1001"))
        assert record is not None
        s.hands_offs.set(record.person.id, HandsOff())
    world.employee("1001").work_title = "Sjef"

    found = reconcile(world, apply=True)

    assert found.told == [("field", "1001", "workTitle", "edited-in-ditio")]
    assert "`people hands-off" in (found.items[0].listed or "")
    assert (found.exit, world.sent()) == (0, [])


def test_while_it_is_paused_nothing_is_sent_and_no_one_is_marked(world: World, kari: EntraUser):
    """D4: the plan shows what would be; `--apply` skips its rows and names the pause; afterwards it can be applied."""
    world.employee("1001").work_title = "Sjef"
    with world.database.write("default") as s:
        s.pauses.pause()

    found = reconcile(world, apply=True)

    assert found.told == [("field", "1001", "workTitle", "edited-in-ditio")]
    assert (found.exit, found.skipped) == (2, [("workTitle", "deliveries are paused: `outbox resume` first")])
    assert world.state(kari) == ("delivered", None)
    assert plans_applied(world) == []  # Every night's run would leave a row of the trail, and nothing would be sent.
    with world.database.write("default") as s:
        assert s.pauses.resume() == 0
    assert reconcile(world, apply=True, plan_id=found.report.run.id).exit == 0
    assert plans_applied(world) == [found.report.run.id]
    assert world.employee("1001").work_title == "Maskinfører"


def plans_applied(world: World) -> list[str | None]:
    trail = audited(world.database, "default")
    return [row.deed.resource_id for row in trail if row.deed.action is Action.applied]


def test_a_plan_that_was_not_made_to_its_end_is_none(world: World, monkeypatch: pytest.MonkeyPatch):
    """Q4, Q5: of half a plan no guard can tell how much it would end."""
    hires(world)
    world.employee("1001").work_title = "Sjef"
    monkeypatch.setattr(compare, "BATCH", 1)
    reconciliation = world.parts.reconciliations["default"]

    def dies(stage: str, done: int, total: int | None) -> None:
        if stage == "comparing" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconciliation.run(Request(), dies)
    with world.database.read("default") as s:
        (run,) = s.runs.list()

    with pytest.raises(NotFound, match="was never finished"):
        reconcile(world, apply=True, plan_id=run.id, force=True)
    assert (run.exit, world.sent()) == (1, [])
    assert reconcile(world).exit == 2


def test_one_person_is_read_alone(world: World, kari: EntraUser):
    """`--person` asks for one employee; Ditio's list is not read, and nothing is concluded about the company."""
    world.employee("1001").work_title = "Sjef"
    world.ditio.plant("77", email="person1001@contractor.example", phone="+4790000077")

    found = reconcile(world, person="1001", apply=True)

    assert found.told == [("field", "1001", "workTitle", "edited-in-ditio")]
    assert (found.exit, found.report.run.people) == (0, 1)
    assert [call for call in world.ditio.calls("GET") if call.path.endswith("/employees")] == []
    assert world.employee("1001").work_title == "Maskinfører"
    world.ditio.company.employees.pop("1002")
    assert reconcile(world, person="1002").told == [("missing", "1002", "employeeNumber", "edited-in-ditio")]


def test_one_person_who_was_renumbered_is_found(world: World, kari: EntraUser):
    """P5: by phone or e-mail, where he is under neither number."""
    world.ditio.company.change_number("1001", "9001")

    found = reconcile(world, person="person1001@contractor.example")

    assert found.told == [("renumbered", "1001", "employeeNumber", "renumbered")]
    assert found.items[0].found == "9001"


def test_one_person_who_is_linked_to_no_one_is_read_by_the_wanted_number(world: World):
    """P5, H1: an employee with his number whom he was not linked to."""
    world.ditio.plant("1070", "Ola", "Li", "+4740000000")
    world.restarts_with(delivery={"on_refused": "park"})
    world.provisions(person(1070))
    world.clock.passes(hours=1)

    assert ("unmanaged", "1070", None, "created-outside") in reconcile(world, person="1070").told


def test_live_provisioning_goes_on_between_reading_and_repairing(world: World, monkeypatch: pytest.MonkeyPatch):
    """Q3: what Entra says meanwhile reaches Ditio, and no older plan undoes it; the rows of others are repaired."""
    people = hires(world, 4)
    for number in ("1001", "1002", "1003"):
        world.employee(number).work_title = "Sjef"
    newcomer = person(1050)

    def meanwhile(stage: str, done: int, total: int | None) -> None:
        if stage == "reading Ditio":
            world.provisions(newcomer)  # Hired when the list was read already.
            world.changes(people[3], department="Tunnel")
        if stage == "repairing" and done == 1:
            world.changes(people[1], job_title="Formann")
            world.changes(people[2], account_enabled=False)

    reconciliation = world.parts.reconciliations["default"]
    report = reconciliation.run(Request(apply=True), meanwhile)

    skipped = [why for why in report.outcomes.values() if why]
    assert (report.applied, skipped) == (1, [ENTRA_MOVED] * 2)
    assert [world.employee(str(1001 + n)).work_title for n in range(3)] == ["Maskinfører", "Formann", "Maskinfører"]
    assert world.employee("1003").disabled
    assert world.employee("1004").employment.department == "Tunnel"
    assert world.employee("1050").created_count == 1
    world.clock.passes(hours=1)
    assert reconcile(world).told == []


def test_a_plan_that_is_applied_twice_at_once_is_repaired_once(world: World, kari: EntraUser):
    """Q5: what the other run has repaired is repaired, and no skipped row of either."""
    for number in ("1001", "1002"):
        world.employee(number).work_title = "Sjef"
    plan = reconcile(world).report.run.id
    others: list[Found] = []

    def meanwhile(stage: str, done: int, total: int | None) -> None:
        if stage == "repairing" and done == 1:
            others.append(reconcile(world, apply=True, plan_id=plan))

    report = world.parts.reconciliations["default"].run(Request(apply=True, plan_id=plan), meanwhile)

    assert [(each.exit, each.report.applied) for each in others] == [(0, 1)]
    assert (report.exit, set(report.outcomes.values())) == (0, {None})
    assert len(world.sent()) == 2


def test_a_person_who_was_repaired_is_free_at_once(world: World, kari: EntraUser):
    """D1, Q3: the lease is given back with the last row, so that Entra's next change waits for no one."""
    world.employee("1001").work_title = "Sjef"
    assert reconcile(world, apply=True).exit == 0

    world.changes(kari, department="Tunnel")

    assert world.state(kari) == ("delivered", None)
    assert world.employee("1001").employment.department == "Tunnel"


def test_a_plan_whose_rows_are_gone_is_refused(world: World):
    """Q5: it would seem to be repaired, and nothing would be sent; make another."""
    world.provisions(a_user())
    world.clock.passes(minutes=1)
    world.employee("1042").work_title = "Sjef"
    plan = reconcile(world).report.run.id
    world.clock.passes(days=31)
    world.parts.worker(places=1).forget()

    with pytest.raises(NotFound, match="RECONCILE__KEEP_DAYS"):
        reconcile(world, apply=True, plan_id=plan)
