"""Never the wrong person: the employee under the linked number is ours only while the identity agrees (rule P5)."""

from typing import Any

import pytest

from scim_bridge.domain.certificate import Source
from scim_bridge.domain.drift import Kind
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import Style
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, kept
from tests.scenarios.test_certificate_drift import at_rest
from tests.scenarios.test_hard_cases import calms_down, retry
from tests.scenarios.test_reconciling import reconcile
from tests.world import World, a_user

STRANGER = {"first_name": "Ola", "last_name": "Fremmed", "phone": "+4740000001", "email": "ola@elsewhere.example"}


@pytest.fixture(params=["id", "companyProfileId"])
def world(request: pytest.FixtureRequest, database: Database, clock: Clock) -> World:
    return World(database, clock, style=Style(profile_key=request.param))


@pytest.fixture
def kari(world: World) -> EntraUser:
    kari = a_user()
    world.provisions(kari)
    assert world.state(kari)[0] == "delivered"
    world.ditio.plant("9001", "Annen", "Person", "+4740009001")
    world.clock.passes(hours=1)
    return kari


def is_replaced_by_a_stranger(world: World, number: str = "1042", **changes: object) -> None:
    """The employee is removed by hand, and another person gets the number."""
    world.ditio.company.employees.pop(number)
    world.ditio.plant(number, **{**STRANGER, **changes})
    world.forget()


def is_untouched(world: World, number: str = "1042") -> bool:
    stranger = world.employee(number)
    return (
        world.sent() == []
        and (stranger.first_name, stranger.phone) == ("Ola", STRANGER["phone"])
        and not stranger.disabled
        and stranger.employment is not None
        and stranger.employment.end is None
    )


@pytest.mark.parametrize(
    "change", [{"job_title": "Anleggsleder"}, {"mobile": "+47 987 65 433"}, {"mail": "k@contractor.example"}]
)
def test_a_change_is_not_written_to_a_stranger(world: World, kari: EntraUser, change: dict[str, str]):
    """P5: another person has that number in Ditio now: nothing is written, parked as `stranger`, naming both."""
    is_replaced_by_a_stranger(world)
    world.changes(kari, **change)
    calms_down(world)

    assert is_untouched(world)
    state, detail = world.state(kari)
    assert state == "parked"
    assert "1042" in str(detail)
    assert "Ola Fremmed" in str(detail)
    assert "adopt --accept 1042" in str(detail)


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_an_ending_does_not_end_a_stranger(world: World, kari: EntraUser, how: str):
    """P5, L6: the leaver's ending ends no one else; it is said that the leaver may still be active."""
    is_replaced_by_a_stranger(world)
    if how == "disabled":
        world.changes(kari, account_enabled=False)
    else:
        world.deletes(kari)
    world.clock.passes(days=2)
    calms_down(world)

    assert is_untouched(world)
    with world.database.read("default") as s:
        waiting = s.outbox.waiting()
    assert [(row.state, row.reason) for row in waiting] == [("parked", "stranger")]


def test_one_who_shares_only_the_last_name_is_a_stranger(world: World, kari: EntraUser):
    """P5: a brother with the number has neither phone, e-mail nor birth date in common."""
    is_replaced_by_a_stranger(world, last_name="Nordmann")
    world.changes(kari, job_title="Anleggsleder")

    assert world.sent() == []
    assert world.state(kari)[0] == "parked"


def test_who_was_edited_by_hand_is_still_ours(world: World, kari: EntraUser):
    """P5: phone, or e-mail, or birth date and last name is enough, as acknowledged or as wanted."""
    world.employee("1042").phone = "+4740000009"
    world.employee("1042").email = "other@contractor.example"
    world.changes(kari, job_title="Anleggsleder")

    assert world.employee("1042").work_title == "Anleggsleder"
    assert world.state(kari)[0] == "delivered"


def test_reconcile_lists_a_stranger_as_renumbered_and_repairs_nothing(world: World, kari: EntraUser):
    """P5, Q2: reconcile lists the person as `renumbered`, and `--apply` writes nothing to the stranger."""
    is_replaced_by_a_stranger(world)
    reconcile(world, apply=True)
    found = reconcile(world)

    assert is_untouched(world)
    assert [each[:2] for each in found.told] == [(Kind.renumbered, "1042"), (Kind.unmanaged, "9001")]


def test_a_plan_made_before_the_stranger_came_writes_nothing(world: World, kari: EntraUser):
    """P5, Q3: applied later, the rows of the plan are skipped and named."""
    world.employee("1042").work_title = "Edited by hand"
    plan = reconcile(world).report.run.id
    is_replaced_by_a_stranger(world, work_title="Edited by hand")
    found = reconcile(world, apply=True, plan_id=plan)

    assert is_untouched(world)
    assert [name for name, _ in found.skipped] == ["workTitle"]


def test_the_person_is_due_once_their_own_number_is_back(world: World, kari: EntraUser):
    """P5: every reconcile looks again; what is ours again is due."""
    own = world.employee("1042")
    is_replaced_by_a_stranger(world)
    world.changes(kari, job_title="Anleggsleder")
    assert world.state(kari)[0] == "parked"
    world.ditio.company.employees["1042"] = own
    world.clock.passes(hours=1)
    reconcile(world)
    world.worker.run_until_idle()

    assert world.employee("1042").work_title == "Anleggsleder"
    assert world.state(kari)[0] == "delivered"


def test_an_operator_may_say_that_the_stranger_is_the_person(world: World, kari: EntraUser):
    """P5, H1: `adopt --accept` of the number that the detail names links the two again."""
    is_replaced_by_a_stranger(world)
    world.changes(kari, job_title="Anleggsleder")
    with world.database.write("default") as s:
        s.permissions.grant(EmployeeNumber("1042"), kari.user_principal_name)
    retry(world)

    employee = world.employee("1042")
    assert (employee.first_name, employee.work_title) == ("Kari", "Anleggsleder")
    assert world.state(kari)[0] == "delivered"


def test_a_profile_id_tells_a_stranger_with_the_same_phone(database: Database, clock: Clock):
    """P5: where Ditio shows companyProfileId, it decides."""
    world = World(database, clock, style=Style(profile_key="companyProfileId"))
    kari = a_user()
    world.provisions(kari)
    clock.passes(hours=1)
    phone = world.employee("1042").phone
    is_replaced_by_a_stranger(world, phone=phone)
    world.changes(kari, job_title="Anleggsleder")

    assert world.sent() == []
    assert world.state(kari)[0] == "parked"


def test_a_profile_id_tells_the_person_whatever_was_edited(database: Database, clock: Clock):
    """P5: the same companyProfileId is the same employee, whatever was edited by hand."""
    world = World(database, clock, style=Style(profile_key="companyProfileId"))
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, department="Betong")
    clock.passes(hours=1)
    for name, value in STRANGER.items():
        setattr(world.employee("1042"), name, value)
    world.changes(kari, job_title="Anleggsleder")

    assert world.employee("1042").first_name == "Kari"
    assert world.state(kari)[0] == "delivered"


# Two witnesses before anybody is gone


def test_a_gateways_404_parks_no_one(world: World, kari: EntraUser):
    """P5: a gateway's page is no answer of Ditio's: the ending stays due, and is delivered when the gateway is well."""
    world.ditio.faults.plan(Fault(kind="html", status=404, method="GET", path="/employees", times=None))
    world.changes(kari, account_enabled=False)
    assert world.state(kari)[0] == "due"
    calms_down(world)

    assert world.employee("1042").disabled
    assert world.state(kari)[0] == "delivered"


def test_a_404_that_the_search_contradicts_parks_no_one(world: World, kari: EntraUser):
    """P5: the read finds no one, the search shows the person under the same number: trouble, not an absence."""
    world.ditio.faults.plan(Fault(kind="status", status=404, method="GET", path="/employees/1042", times=2))
    world.changes(kari, account_enabled=False)
    assert world.state(kari)[0] == "due"
    calms_down(world)

    assert world.employee("1042").disabled


def test_a_404_counts_only_while_something_else_can_be_read(world: World, kari: EntraUser):
    """P5: neither witness, no conclusion."""
    world.ditio.company.employees.pop("1042")
    world.ditio.faults.plan(Fault(kind="status", status=500, method="GET", path="/employees/search", times=None))
    world.changes(kari, job_title="Anleggsleder")
    assert world.state(kari)[0] == "due"
    calms_down(world)

    assert world.state(kari)[0] == "parked"


def test_who_was_renumbered_by_hand_is_named_with_the_new_number(world: World, kari: EntraUser):
    """P5: gone from under the number, seen under another: the detail names it."""
    moved = world.ditio.company.employees.pop("1042")
    moved.employee_number = "7777"
    world.ditio.company.employees["7777"] = moved
    world.changes(kari, job_title="Anleggsleder")

    state, detail = world.state(kari)
    assert state == "parked"
    assert "7777" in str(detail)
    assert moved.work_title == "Maskinfører"
    world.changes(kari, employee_id="7777")
    assert world.employee("7777").work_title == "Anleggsleder"
    assert world.state(kari)[0] == "delivered"


def test_who_is_found_again_is_due_at_the_next_reconcile(world: World, kari: EntraUser):
    """P5: "every reconcile looks again: found, the person is due"; an ending above all."""
    own = world.ditio.company.employees.pop("1042")
    world.changes(kari, account_enabled=False)
    calms_down(world)
    assert world.state(kari)[0] == "parked"
    world.ditio.company.employees["1042"] = own
    world.clock.passes(hours=1)
    reconcile(world)
    calms_down(world)

    assert world.employee("1042").disabled
    assert world.state(kari)[0] == "delivered"


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_one_404_forgets_no_creation_whose_answer_was_lost(world: World, how: str):
    """P5, P6: the employee exists, and the reads show no one for a while; nothing is forgotten, and they are closed."""
    world.ditio.faults.plan(Fault(kind="timeout-after", method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="status", status=404, method="GET", path="/employees/1042", times=8))
    if how == "disabled":
        world.changes(kari, account_enabled=False)
    else:
        world.deletes(kari)
    world.clock.passes(days=2)
    calms_down(world)

    assert world.employee("1042").disabled
    employment = world.employee("1042").employment
    assert employment is not None
    assert employment.end is not None


@pytest.fixture
def made_and_moved(world: World) -> EntraUser:
    """A creation whose answer was lost; the employee got another number by hand before anybody could read them."""
    world.ditio.faults.plan(Fault(kind="timeout-after", method="POST", path="/employees"))
    kari = a_user(mail=None, user_principal_name="kari")
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.ditio.by_hand.renumbers("1042", "H-1")
    return kari


@pytest.mark.parametrize("how", ["disabled", "deleted"])
@pytest.mark.parametrize("number_is", ["free", "a stranger's"])
@pytest.mark.parametrize("found_by", ["retry", "reconcile"])
def test_whom_a_lost_creation_made_is_not_forgotten_under_another_number(
    world: World, made_and_moved: EntraUser, how: str, number_is: str, found_by: str
):
    """P6, H2: "only a certain absence settles": the search shows whom the creation made, with a number not ours."""
    if how == "disabled":
        world.changes(made_and_moved, account_enabled=False)
    else:
        world.deletes(made_and_moved)
    if number_is != "free":
        world.ditio.plant("1042", **STRANGER)
    calms_down(world)
    [waits] = waiting(world)
    assert (waits.state, waits.reason) == ("parked", "gone")
    assert "H-1" in waits.detail
    if number_is != "free":
        world.ditio.by_hand.renumbers("1042", "S-1")
    world.ditio.by_hand.renumbers("H-1", "1042")
    if found_by == "retry":
        retry(world)
    else:
        reconcile(world)
    calms_down(world)

    assert world.employee("1042").disabled
    assert waiting(world) == []


def test_whom_a_lost_creation_made_is_not_created_again_beside_another_number(world: World, made_and_moved: EntraUser):
    """P4, P6: the phone changed since, so only the search for what was sent tells that they are there."""
    world.changes(made_and_moved, mobile="+47 987 65 433")
    calms_down(world)

    assert list(world.ditio.company.employees) == ["H-1"]
    [waits] = waiting(world)
    assert waits.state == "parked"
    world.ditio.by_hand.renumbers("H-1", "1042")
    retry(world)
    assert world.employee("1042").phone == "+4798765433"
    assert world.state(made_and_moved)[0] == "delivered"


def waiting(world: World) -> list[Any]:
    with world.database.read("default") as s:
        return s.outbox.waiting()


# Other spellings


@pytest.mark.parametrize(("ours", "theirs"), [("a-42", "A-42"), ("0042", "42")])
@pytest.mark.parametrize("how", ["changed", "left"])
def test_the_cure_of_another_spelling_cures(database: Database, clock: Clock, ours: str, theirs: str, how: str):
    """P5, P4: Ditio spells the number in its own way; writing it so in Entra delivers the person."""
    world = World(database, clock, style=Style(numbers="folded"))
    kari = a_user(employee_id=ours)
    world.provisions(kari)
    employee = world.ditio.company.employees.pop(ours)
    employee.employee_number = theirs
    world.ditio.company.employees[theirs] = employee
    clock.passes(hours=1)
    if how == "left":
        world.changes(kari, account_enabled=False)
    else:
        world.changes(kari, job_title="Anleggsleder")
    clock.passes(days=1)
    world.worker.run_until_idle()
    assert theirs in str(world.state(kari)[1])
    world.changes(kari, employee_id=theirs)
    clock.passes(days=1)
    world.worker.run_until_idle()

    assert world.state(kari)[0] == "delivered"
    if how == "left":
        assert employee.disabled
    else:
        assert employee.work_title == "Anleggsleder"


def test_a_renumbering_of_which_neither_number_is_shown_is_waited_for(world: World, kari: EntraUser):
    """P6, R4: the answer of a renumbering was lost, and neither number is shown for a while: no one is gone."""
    world.ditio.faults.plan(Fault(kind="timeout-after", path="change-employee-number"))
    world.changes(kari, employee_id="2042")
    world.ditio.faults.plan(
        Fault(kind="status", status=404, method="GET", path="/employees/1042", times=3),
        Fault(kind="status", status=404, method="GET", path="/employees/2042", times=3),
    )
    world.clock.passes(seconds=10)
    world.worker.run_until_idle()
    assert world.state(kari)[0] == "due"
    calms_down(world)

    assert world.state(kari)[0] == "delivered"
    assert "2042" in world.ditio.company.employees


def test_a_404_that_the_search_contradicts_creates_no_one(database: Database, clock: Clock):
    """P5, H1: the employee exists, and one read says 404: no one is created, and the two are joined later."""
    world = World(database, clock, style=Style(duplicates="update-all"))
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", email="kari.nordmann@contractor.example")
    world.ditio.faults.plan(Fault(kind="status", status=404, method="GET", path="/employees/1042", times=1))
    kari = a_user()
    world.provisions(kari)
    assert not [call for call in world.ditio.writes() if call.method == "POST" and call.path.endswith("/employees")]
    calms_down(world)

    assert world.state(kari)[0] == "delivered"
    assert world.employee("1042").created_count == 0


@pytest.mark.parametrize("number", ["7777", "1042"])
def test_no_one_is_created_again_on_one_404(world: World, kari: EntraUser, number: str):
    """P5, Q2: a reviewed `missing` row, and the person is there by now, under any number: skipped and named."""
    moved = world.ditio.company.employees.pop("1042")
    world.changes(kari, job_title="Anleggsleder")
    plan = reconcile(world)
    assert ("missing", "1042") in [each[:2] for each in plan.told]
    moved.employee_number = number
    world.ditio.company.employees[number] = moved
    world.forget()
    found = reconcile(world, apply=True, plan_id=plan.report.run.id)

    assert [name for name, _ in found.skipped] == ["employeeNumber"]
    assert sorted(world.ditio.company.employees) == sorted([number, "9001"])
    assert world.sent() == []
    with world.database.read("default") as s:
        assert s.people.linked_to(EmployeeNumber("1042")) is not None


@pytest.fixture
def twins(database: Database, clock: Clock) -> World:
    """Two with one birth date and last name; one plan row of the first is stored, then each number changes owner."""
    world = World(database, clock)
    for name, number, mobile in (("kari", "1000", "98765432"), ("per", "1001", "41234567")):
        world.provisions(
            a_user(
                object_id=name,
                user_principal_name=name,
                mail=None,
                given_name=name.title(),
                employee_id=number,
                mobile=mobile,
            )
        )
    clock.passes(hours=1)
    world.employee("1000").work_title = "Edited by hand"
    return world


def gets_the_number_of(world: World, number: str, other: str) -> None:
    """By hand: the one is removed, and the other gets the number."""
    world.ditio.company.employees.pop(number)
    world.ditio.company.change_number(other, number)
    world.employee(number).work_title = "Edited by hand"
    world.forget()


def test_a_stored_row_is_not_written_to_a_twin(twins: World):
    """P5: whose phone is another person's of ours is a stranger, by the path of a plan as by any other."""
    plan = reconcile(twins).report.run.id
    gets_the_number_of(twins, "1000", "1001")
    found = reconcile(twins, apply=True, plan_id=plan)

    assert twins.sent() == []
    assert [name for name, _ in found.skipped] == ["workTitle"]
    assert twins.employee("1000").first_name == "Per"


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_persons_delivery_sends_no_certificate_to_a_stranger(world: World, kari: EntraUser, is_gone: bool):
    """P5, K2: nor under a number that Ditio does not show."""
    is_replaced_by_a_stranger(world)
    if is_gone:
        world.ditio.company.employees.pop("1042")
    kept(world, Source.csv, a_certificate(), "1042")
    world.worker.run_until_idle()
    world.clock.passes(minutes=10)
    world.worker.run_until_idle()

    assert world.state(kari)[0] == "parked"
    assert [call for call in world.ditio.writes() if "certificates" in call.path] == []


def test_a_certificate_is_not_sent_to_a_twin(twins: World):
    """P5, K2: nor by a batch of certificates."""
    kept(twins, Source.csv, a_certificate(), "1000")
    at_rest(twins)
    plan = reconcile(twins, only=Kind.certificate).report.run.id
    gets_the_number_of(twins, "1000", "1001")
    reconcile(twins, apply=True, plan_id=plan)

    assert dict(twins.ditio.certificates) == {}
