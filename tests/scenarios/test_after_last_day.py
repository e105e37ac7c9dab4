"""`after-last-day`, the default: the login closes at once, the employment ends when its last day is over."""

from typing import Any

import pytest

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World, a_user, day

WAITS = "the employment ends when 2026-03-02, its last day, is over"
LEFT_OVER = "employmentStartDate 2026-03-01 is left over from an earlier employment: ignored"
ENDED = ("PATCH", "/1042/end-employment", {"endDate": "2026-03-02"})


@pytest.fixture
def patient(database: Database, clock: Clock) -> World:
    """A world in which employments end after their last day: that is the default."""
    return World(database, clock)


def paths(world: World) -> list[str]:
    return [path for _, path, _ in world.sent()]


def days_pass(world: World, days: int) -> None:
    world.clock.passes(days=days)
    world.worker.run_until_idle()


def employments(world: World) -> list[tuple[Any, Any]]:
    return [(each.start, each.end) for each in world.employee("1042").employments]


def test_the_login_closes_at_once_and_the_employment_ends_when_the_day_is_over(patient: World):
    """L5: `after-last-day`: disabled at once, ended when the day is over, by the worker."""
    kari = a_user()
    patient.provisions(kari)
    patient.forget()
    patient.changes(kari, account_enabled=False)
    patient.worker.run_until_idle()

    assert paths(patient) == ["/1042/disable"]
    assert patient.employee("1042").disabled
    assert patient.state(kari) == ("delivered", WAITS)

    days_pass(patient, 1)
    assert paths(patient) == ["/1042/disable", "/1042/end-employment"]
    assert patient.sent()[-1] == ENDED
    assert patient.state(kari) == ("delivered", None)

    days_pass(patient, 30)
    assert len(patient.sent()) == 2


@pytest.mark.usefixtures("ends_at_once")
def test_at_once_is_a_setting(world: World):
    """L5: `at-once`."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)

    assert world.employee("1042").employment.end == day("2026-03-02")


def test_a_flap_leaves_no_trace_in_payroll(patient: World):
    """L5: a return before the day is over costs enable and nothing else."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.forget()
    patient.changes(kari, account_enabled=True)
    days_pass(patient, 3)

    assert paths(patient) == ["/1042/enable"]
    assert employments(patient) == [(day("2026-03-01"), None)]
    assert not patient.employee("1042").disabled
    assert patient.state(kari) == ("delivered", None)


def test_a_return_after_the_day_is_a_new_employment(patient: World):
    """L5, L4: once the day is over and the ending delivered, a return starts anew."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    days_pass(patient, 10)
    patient.changes(kari, account_enabled=True)

    assert employments(patient) == [(day("2026-03-01"), day("2026-03-02")), (day("2026-03-12"), None)]
    assert patient.state(kari) == ("delivered", LEFT_OVER)


def test_leaving_again_after_a_flap_ends_on_the_later_day(patient: World):
    """L5, L1: the day is the one on which he left last."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.changes(kari, account_enabled=True)
    days_pass(patient, 5)
    patient.changes(kari, account_enabled=False)
    days_pass(patient, 1)

    assert employments(patient) == [(day("2026-03-01"), day("2026-03-07"))]


def test_a_deleted_user_is_ended_when_the_day_is_over(patient: World):
    """L5, L7: DELETE is an ending too; the tombstone wakes by itself, and nothing is sent twice."""
    kari = a_user()
    patient.provisions(kari)
    patient.forget()
    patient.deletes(kari)
    assert paths(patient) == ["/1042/disable"]

    days_pass(patient, 1)
    assert patient.sent()[1:] == [ENDED]
    days_pass(patient, 30)
    assert len(patient.sent()) == 2


def test_a_delete_while_the_day_is_awaited_keeps_it(patient: World):
    """L5, L1, L7: a later DELETE reads the stored day, and sends nothing before it is over."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.clock.passes(hours=3)
    patient.forget()
    patient.deletes(kari)
    assert patient.sent() == []

    days_pass(patient, 4)
    assert patient.sent() == [ENDED]


def test_a_deletion_after_the_day_that_no_worker_saw_keeps_the_day(patient: World):
    """L5, L1: the worker was down for days; the ending has the stored day all the same."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.clock.passes(days=6)
    patient.deletes(kari)

    assert employments(patient) == [(day("2026-03-01"), day("2026-03-02"))]


def test_created_again_before_the_day_is_over(patient: World):
    """L5, P2: the take-over cancels the ending that is awaited; it costs only enable."""
    kari = a_user()
    patient.provisions(kari)
    patient.deletes(kari)
    patient.forget()
    again = a_user(object_id="5d1f3c0e-0000-4000-8000-00000000beef")
    patient.provisions(again)
    days_pass(patient, 3)

    assert paths(patient) == ["/1042/enable"]
    assert employments(patient) == [(day("2026-03-01"), None)]


def test_a_stranger_waits_for_the_number_until_the_ending_is_delivered(patient: World):
    """L5, P2: where the ending is not delivered the newcomer is held until it is; then H1 decides."""
    kari = a_user()
    patient.provisions(kari)
    patient.deletes(kari)
    per = a_user(
        object_id="5d1f3c0e-0000-4000-8000-00000000beef",
        user_principal_name="per@contractor.example",
        mail="per@contractor.example",
        mobile="41234567",
        given_name="Per",
        surname="Hansen",
        birth_date="1980-01-01",
    )
    patient.provisions(per)
    assert patient.state(per)[0] == "held"

    days_pass(patient, 1)
    assert employments(patient) == [(day("2026-03-01"), day("2026-03-02"))]
    assert patient.state(per)[0] == "parked"
    assert patient.employee("1042").first_name == "Kari"


def test_a_leave_date_that_is_over_needs_no_second_day(patient: World):
    """L5, L2: the leave date's own day is over when it is acted on: both steps at once."""
    kari = a_user(leave_date="2026-03-31")
    patient.provisions(kari)
    patient.forget()
    days_pass(patient, 29)
    assert patient.sent() == []

    days_pass(patient, 1)
    assert paths(patient) == ["/1042/end-employment", "/1042/disable"]
    assert patient.employee("1042").employment.end == day("2026-03-31")


def test_an_earlier_leave_date_of_a_leaver_is_over_already(patient: World):
    """L5, L2: `active` false with a leave date before: ended on that day, at once."""
    kari = a_user(hire_date="2026-01-01")
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False, leave_date="2026-02-27")

    assert employments(patient) == [(day("2026-01-01"), day("2026-02-27"))]


def test_a_leave_date_that_is_sent_while_the_day_is_awaited(patient: World):
    """L5, L2: the leave date decides once it is not after the day of leaving: it is over already."""
    kari = a_user(hire_date="2026-01-01")
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.changes(kari, leave_date="2026-02-27")

    assert employments(patient) == [(day("2026-01-01"), day("2026-02-27"))]


def test_leaving_before_the_start_waits_for_the_start(patient: World):
    """L5, L2: never before its own start, and when that day is over; a return before it costs only enable."""
    kari = a_user(hire_date="2026-03-10")
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    assert patient.employee("1042").disabled
    days_pass(patient, 5)
    assert employments(patient) == [(day("2026-03-10"), None)]
    patient.forget()
    patient.changes(kari, account_enabled=True)
    assert paths(patient) == ["/1042/enable"]

    patient.changes(kari, account_enabled=False)
    days_pass(patient, 30)
    assert employments(patient) == [(day("2026-03-10"), day("2026-03-10"))]


def test_a_repeated_write_settles_and_loses_no_day(patient: World):
    """L5, A5: what changes nothing while the day is awaited calls no one, and the day still comes."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.clock.passes(minutes=1)
    patient.forget()
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": "nickName", "value": "K"}],
    }
    patient.scim("PATCH", f"/Users/{patient.entra.scim_id(kari.object_id)}", body)
    assert patient.ditio.requests == []
    assert patient.state(kari) == ("delivered", WAITS)

    days_pass(patient, 1)
    assert patient.sent() == [ENDED]


def test_a_leavers_profile_flows_while_the_day_is_awaited(patient: World):
    """L5, L7: profile and phone are kept in step; the ending neither comes early nor is lost."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.forget()
    patient.changes(kari, surname="Hansen", mobile="41234567")
    assert paths(patient) == ["/1042/change-phone-number", "/1042"]

    days_pass(patient, 1)
    assert patient.sent()[-1] == ENDED


def test_ended_by_hand_while_the_day_is_awaited_counts(patient: World):
    """L5, L6: found ended, on whatever day, counts as ended."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.employee("1042").employment.end = day("2026-03-01")
    patient.forget()
    days_pass(patient, 3)

    assert patient.sent() == []
    assert patient.state(kari) == ("delivered", None)


def test_a_start_that_was_moved_by_hand_is_waited_for(patient: World):
    """L5, L2: never before its own start as Ditio shows it, which is looked at each time."""
    kari = a_user()
    patient.provisions(kari)
    patient.clock.passes(minutes=1)
    patient.employee("1042").employment.start = day("2026-03-09")
    patient.changes(kari, account_enabled=False)
    days_pass(patient, 7)
    assert employments(patient) == [(day("2026-03-09"), None)]

    days_pass(patient, 1)
    assert employments(patient) == [(day("2026-03-09"), day("2026-03-09"))]


def test_a_locked_month_parks_the_ending_when_its_day_is_over(patient: World):
    """L5, L6: refused when it is sent, not before; the login is closed, and the same day is sent again."""
    kari = a_user()
    patient.provisions(kari)
    patient.restyle(payroll_locked_until=day("2026-03-31"))
    patient.changes(kari, account_enabled=False)
    assert patient.state(kari) == ("delivered", WAITS)

    days_pass(patient, 1)
    state, detail = patient.state(kari)
    assert state == "parked"
    assert str(detail).startswith("should-be-inactive: ")
    assert patient.sent()[-1] == ENDED


def test_trouble_on_the_awaited_day_is_tried_again(patient: World):
    """L5, R3: Ditio is down when the day comes; the ending has its day all the same."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    days_pass(patient, 1)
    patient.ditio.faults.clear()
    days_pass(patient, 2)

    assert employments(patient) == [(day("2026-03-01"), day("2026-03-02"))]
    assert patient.state(kari) == ("delivered", None)


def test_the_setting_can_be_changed_while_a_day_is_awaited(patient: World):
    """L5: back to `at-once`: a person who is woken by his day, or delivered before it, is ended."""
    kari = a_user()
    patient.provisions(kari)
    patient.changes(kari, account_enabled=False)
    patient.restarts_with(delivery={"end_employment": "at-once"})
    days_pass(patient, 1)

    assert employments(patient) == [(day("2026-03-01"), day("2026-03-02"))]


def test_an_ending_whose_creation_was_never_answered_waits_too(patient: World):
    """L5, H2: found, linked and disabled; ended when the day is over."""
    patient.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/employees"))
    kari = a_user()
    patient.provisions(kari)
    patient.ditio.faults.plan(Fault(kind="refused-connection", times=1))
    patient.changes(kari, account_enabled=False)
    patient.ditio.faults.clear()
    patient.clock.passes(hours=1)
    patient.worker.run_until_idle()
    assert patient.employee("1042").disabled
    assert employments(patient) == [(day("2026-03-01"), None)]

    days_pass(patient, 1)
    assert employments(patient) == [(day("2026-03-01"), day("2026-03-02"))]
