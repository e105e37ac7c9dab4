"""Hard cases: answers that were lost, data that turned unusable, and people who are easily confused."""

from typing import Any

import pytest
from sqlalchemy import select

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.values import JsonObject
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.tables import people
from tests.world import World, a_user, day, patch

pytestmark = pytest.mark.usefixtures("ends_at_once")

PER = {
    "object_id": "5d1f3c0e-0000-4000-8000-00000000beef",
    "user_principal_name": "per@contractor.example",
    "mail": "per@contractor.example",
    "mobile": "41234567",
    "given_name": "Per",
    "surname": "Hansen",
    "employee_id": "2042",
    "birth_date": "1980-01-01",
}


def calms_down(world: World, rounds: int = 6) -> None:
    """Ditio answers again, and hours pass."""
    world.ditio.faults.clear()
    for _ in range(rounds):
        world.clock.passes(hours=2)
        world.worker.run_until_idle()


def retry(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()


def the_state(world: World, user: Any) -> str:
    return world.state(user)[0]


def test_a_leave_date_that_cant_be_read_undoes_no_ending(world: World):
    """T1, L2: unusable is not cleared: who has left stays left, and the date is held with its cure."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-10")
    calms_down(world)
    world.clock.passes(days=20)
    world.worker.run_until_idle()
    world.changes(kari, leave_date="3/10/2026")

    assert world.employee("1042").disabled
    assert len(world.employee("1042").employments) == 1
    state, detail = world.state(kari)
    assert state == "held"
    assert "FormatDateTime" in str(detail)


def test_a_leave_date_that_cant_be_read_keeps_the_one_before(world: World):
    """T1, L2: the day that was understood last is acted on."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-31")
    world.changes(kari, leave_date="31/03/2026")
    world.clock.passes(days=60)
    world.worker.run_until_idle()

    assert world.employee("1042").employment.end == day("2026-03-31")
    assert world.employee("1042").disabled


@pytest.mark.parametrize("phone", ["41111111", "98765432"])
def test_a_number_that_changes_while_a_creation_is_uncertain_hires_once(world: World, phone: str):
    """P6, R4: the employee of the lost answer is ours, whatever Entra changed since; reads may lag."""
    world.restyle(read_lag=3)
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/employees"))
    kari = a_user(mail=None, user_principal_name="kari")
    world.provisions(kari)
    world.changes(kari, employee_id="2042", mobile=phone)
    calms_down(world, rounds=12)

    assert list(world.ditio.company.employees) == ["2042"]
    assert the_state(world, kari) == "delivered"


def test_a_lost_renumbering_never_overwrites_a_person_who_has_the_old_number_now(world: World):
    """P6: with a renumbering under way both numbers are read, and only who matches is ours."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="reset-after", path="change-employee-number"))
    world.changes(kari, employee_id="2042", job_title="Formann")
    world.ditio.plant("1042", "Ola", "Hansen", "+4740000000", email="ola@elsewhere.example")
    calms_down(world)

    assert world.employee("1042").first_name == "Ola"
    assert world.employee("2042").work_title == "Formann"
    assert the_state(world, kari) == "delivered"


def test_a_lagging_read_after_a_lost_renumbering_is_not_believed(world: World):
    """R4, R1: 404 on an operation is `no-operation` only while the employee can be read."""
    world.restyle(read_lag=1)
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="reset-after", path="change-employee-number"))
    world.changes(kari, employee_id="2042")
    calms_down(world)

    assert the_state(world, kari) == "delivered"
    assert world.employee("2042").phone == "+4798765432"


def test_a_refused_renumbering_gives_its_claim_up(world: World):
    """P3: a number that is wanted no more is free for others."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.plant("2042", "Ola", "Hansen", "+4740000000")
    assert world.changes(kari, employee_id="2042").status == 409
    assert the_state(world, kari) == "delivered"
    kari.employee_id = "1042"
    del world.ditio.company.employees["2042"]

    per = a_user(**PER)
    world.provisions(per)
    calms_down(world)
    assert the_state(world, per) == "delivered"


def test_no_one_is_linked_to_an_employee_of_another(world: World):
    """P1, P3: the wanted number needs its claim, and one person who can't go on stops no one else."""
    kari, per = a_user(), a_user(**{**PER, "employee_id": "1043"})
    world.provisions(kari)
    world.provisions(per)
    world.employee("1043").email = "kari.nordmann@contractor.example"
    del world.ditio.company.employees["1042"]
    world.restarts_with(delivery={"inline_seconds": 0})
    world.changes(kari, employee_id="1043")
    third = a_user(**{**PER, "object_id": "third", "user_principal_name": "third", "mobile": "90012345", "mail": None})
    world.provisions(third)
    calms_down(world)

    assert world.employee("2042").created_count == 1
    assert the_state(world, kari) in {"parked", "held"}


@pytest.mark.parametrize("number", ["\x00", "\ud800"])
def test_what_ditio_shows_cant_stop_the_worker(world: World, monkeypatch: pytest.MonkeyPatch, number: str):
    """R3: text that a database can't hold is one person's trouble, and no one else's."""
    world.restarts_with(delivery={"inline_seconds": 0})
    world.ditio.plant("1042", f"Ola{number}", "Hansen", "+4740000000")
    kari, per = a_user(), a_user(**PER)
    world.provisions(kari)
    world.provisions(per)
    world.worker.run_until_idle()

    assert the_state(world, kari) == "parked"
    assert the_state(world, per) == "delivered"


@pytest.mark.parametrize("status", [401, 403])
def test_a_forbidden_ending_does_not_keep_the_login_alive(world: World, status: int):
    """L6: each step is tried whatever became of the others."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="status", status=status, path="end-employment", times=None))
    world.changes(kari, account_enabled=False)

    assert world.employee("1042").disabled


def test_an_old_leave_date_keeps_no_one_from_being_hired(world: World):
    """H2, L3: a leave date before the start is stale for a person who was inactive at first, too."""
    kari = a_user(leave_date="2025-12-31")
    answer = world.scim("POST", "/Users", _document(kari, active=False))
    world.scim("PATCH", f"/Users/{answer.json()['id']}", patch("active", True))

    assert world.employee("1042").created_count == 1


def test_who_left_before_his_leave_date_can_return(world: World):
    """L3, L4: the old leave date lies before the employment that is about to open."""
    kari = a_user(leave_date="2026-03-31")
    world.provisions(kari)
    world.clock.passes(days=8)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=40)
    world.changes(kari, account_enabled=True, hire_date="2026-05-01")

    assert not world.employee("1042").disabled
    assert world.employee("1042").employment.start == day("2026-05-01")


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 429}, {"kind": "refused-connection"}])
def test_a_genuine_refusal_after_a_failed_try_is_believed(world: World, fault: dict[str, Any]):
    """R1, H3: what was certainly not applied leaves no doubt behind."""
    world.restyle(birth_date_required=True)
    world.ditio.faults.plan(Fault(method="POST", path="/employees", **fault))
    kari = a_user(birth_date=None)
    world.provisions(kari)
    calms_down(world)

    assert the_state(world, kari) == "held"


def test_a_refusal_after_a_lost_answer_is_believed_in_the_end(world: World):
    """R4: once an earlier POST would show, the refusal counts."""
    world.restyle(birth_date_required=True)
    world.ditio.faults.plan(Fault(kind="status", status=503, method="POST", path="/employees"))
    kari = a_user(birth_date=None)
    world.provisions(kari)
    calms_down(world)

    assert the_state(world, kari) == "held"
    assert len(world.ditio.writes()) <= 4


def test_a_fixed_term_is_an_employment(world: World):
    """H1, L4: an employment whose end lies ahead is running: nothing is created beside it."""
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", start=day("2020-01-01"), end=day("2026-12-31"))
    kari = a_user()
    world.provisions(kari)
    assert len(world.employee("1042").employments) == 1

    world.changes(kari, account_enabled=False)
    assert world.employee("1042").employment.end == day("2026-03-02")


def test_a_leaver_without_any_employment_owes_only_the_login(world: World):
    """L6: there is nothing to end."""
    world.restyle(employment="employments", already="refuse")
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.employee("1042").employments.clear()
    world.changes(kari, account_enabled=False)

    assert the_state(world, kari) == "delivered"
    assert world.employee("1042").disabled


def test_the_department_follows_a_new_employment_whose_answer_was_lost(world: World):
    """L4: department follows, also when the new employment was only found."""
    world.restyle(omit_empty=True)
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=30)
    world.ditio.faults.plan(Fault(kind="reset-after", path="create-employment"))
    world.changes(kari, account_enabled=True)
    calms_down(world)

    assert world.employee("1042").employment.department == "Anlegg"


def test_a_returning_user_whose_number_comes_later_is_the_same_person(world: World):
    """P2: the take-over happens whenever the number is said."""
    kari = a_user()
    world.provisions(kari)
    world.deletes(kari)
    world.clock.passes(days=10)
    again = a_user(object_id="again", employee_id=None)
    world.provisions(again)
    world.changes(again, employee_id="1042")
    calms_down(world)

    assert the_state(world, again) == "delivered"
    assert not world.employee("1042").disabled
    assert world.employee("1042").created_count == 1


@pytest.mark.parametrize(("wanted", "shown"), [("a-1", "A-1"), ("0042", "42"), ("42", "0042")])
def test_a_number_that_ditio_writes_otherwise_is_not_taken_for_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, wanted: str, shown: str
):
    """P4: two numbers that differ only in case or leading zeros are never joined by themselves."""
    world.ditio.plant(shown, "Kari", "Nordmann", "+4798765432")
    ditio = world.parts.tenants["default"].ditio
    get = ditio.get
    monkeypatch.setattr(ditio, "get", lambda number, **options: get(EmployeeNumber(shown), **options))
    step = world.provisions(a_user(employee_id=wanted))

    assert world.sent() == []
    assert step.status == 400
    assert f"employee {shown}" in str(step.detail)


def test_gone_is_not_forgotten_when_the_wish_returns(world: World):
    """P5, A5: what was acknowledged proves nothing about an employee who vanished."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.restyle(out_of_reach=frozenset({"1042"}))
    world.changes(kari, job_title="Formann")
    world.changes(kari, job_title="Maskinfører")

    assert the_state(world, kari) == "parked"


def test_the_employee_of_a_lost_answer_is_linked_though_data_went_missing(world: World):
    """P6: what was created is found before anything else is asked."""
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.entra.clears(kari, "mobile")
    calms_down(world)

    with world.database.read() as s:
        assert s.connection.execute(select(people.c.employee_number)).scalar_one() == "1042"


def test_a_leavers_phone_is_not_given_away_while_ditio_shows_it(world: World):
    """P2, P3: a tombstone makes room for a person who wants its number, not for a person who wants its phone."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.deletes(kari)
    per = a_user(**{**PER, "mobile": "98765432"})
    world.provisions(per)
    calms_down(world)

    assert the_state(world, per) == "held"
    assert world.employee("1042").disabled


def test_a_put_without_active_hires_no_leaver_again(world: World):
    """H5: `active` absent counts as true in a POST; in a PUT it says nothing."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    document = _document(kari)
    del document["active"]
    world.scim("PUT", f"/Users/{world.entra.scim_id(kari.object_id)}", document)

    assert world.employee("1042").disabled


def test_hired_when_first_active_starts_on_that_day(world: World):
    """H2, H4: the day of provisioning of an inactive person is the day on which he is hired."""
    kari = a_user(hire_date=None)
    answer = world.scim("POST", "/Users", _document(kari, active=False))
    world.clock.passes(days=30)
    world.scim("PATCH", f"/Users/{answer.json()['id']}", patch("active", True))

    assert world.employee("1042").employment.start == day("2026-04-01")


def test_everyone_whose_day_has_come_is_woken(world: World):
    """L2: `worker --until-idle` leaves no one for the next run."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-10")
    with world.database.write() as s:
        row = dict(s.connection.execute(select(people)).mappings().one())
        copies = [{**row, "id": f"p{n}", "user_id": f"u{n}", "employee_number": None} for n in range(600)]
        s.connection.execute(people.insert(), copies)
    world.clock.passes(days=30)

    assert world.worker.wake() == 601


def test_a_person_adopted_after_a_flap_is_employed(world: World):
    """H1, L4: an employment that ended before it began is none: the login is not opened without one."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)
    world.deletes(kari)
    other = a_user(**{**PER, "employee_id": "1042", "surname": "Nordmann", "birth_date": "1990-05-15"})
    world.provisions(other)

    assert the_state(world, other) == "delivered"
    assert not world.employee("1042").disabled
    assert world.employee("1042").employments[-1].end is None


def _document(user: Any, *, active: bool = True) -> JsonObject:
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": user.user_principal_name,
        "active": active,
        "name": {"givenName": user.given_name, "familyName": user.surname},
        "phoneNumbers": [{"type": "mobile", "value": user.mobile}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": user.employee_id},
        "urn:ietf:params:scim:schemas:extension:ditio:2.0:User": {
            name: value
            for name, value in (("employmentStartDate", user.hire_date), ("employmentEndDate", user.leave_date))
            if value
        },
    }
