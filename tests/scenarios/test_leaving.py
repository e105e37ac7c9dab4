"""Left, came back, deleted: the employment ends and begins again; nothing is ever deleted in Ditio."""

import pytest

from scim_bridge.sandbox.gateway import Fault
from tests.world import World, a_user, day, patch

pytestmark = pytest.mark.usefixtures("ends_at_once")

LEFT_OVER = "employmentStartDate 2026-03-01 is left over from an earlier employment: ignored"
"""L3: Entra still says the old start, which is ignored and named."""

PER = {
    "object_id": "5d1f3c0e-0000-4000-8000-00000000beef",
    "user_principal_name": "per@contractor.example",
    "mail": "per@contractor.example",
    "mobile": "41234567",
    "given_name": "Per",
    "surname": "Hansen",
    "employee_id": "2042",
}


def test_deactivation_in_entra_ends_the_employment(styled: World):
    """L2: `active` false: disabled at once, ended today."""
    kari = a_user()
    styled.provisions(kari)
    styled.forget()

    styled.changes(kari, account_enabled=False)

    assert styled.employee("1042").disabled
    assert styled.employee("1042").employment.end == day("2026-03-02")
    assert styled.sent()[0] == ("PATCH", "/1042/end-employment", {"endDate": "2026-03-02"})
    assert styled.state(kari) == ("delivered", None)


def test_leaving_twice_sends_nothing_more(styled: World):
    """L7: where the ending is acknowledged already, DELETE sends nothing."""
    kari = a_user()
    styled.provisions(kari)
    styled.changes(kari, account_enabled=False)
    styled.forget()

    styled.deletes(kari)

    assert styled.ditio.requests == []
    assert styled.scim("GET", f"/Users/{styled.entra.scim_id(kari.object_id) or 'gone'}").status_code == 404


def test_a_deleted_user_leaves_and_the_employee_stays(styled: World):
    """L7, P1: DELETE is an ending; the user is 404 at once, the employee is never deleted."""
    kari = a_user()
    styled.provisions(kari)
    user_id = styled.entra.scim_id(kari.object_id)
    styled.forget()

    styled.deletes(kari)

    assert styled.scim("GET", f"/Users/{user_id}").status_code == 404
    assert styled.employee("1042").disabled
    assert styled.employee("1042").employment.end == day("2026-03-02")
    assert {method for method, _, _ in styled.sent()} == {"PATCH"}


def test_a_person_who_comes_back_gets_a_new_employment(styled: World):
    """L4: enable, then create-employment, for the same employee; department follows."""
    kari = a_user()
    styled.provisions(kari)
    styled.changes(kari, account_enabled=False)
    styled.clock.passes(days=30)
    styled.forget()

    styled.changes(kari, account_enabled=True)

    employee = styled.employee("1042")
    assert not employee.disabled
    assert [(e.start, e.end) for e in employee.employments] == [
        (day("2026-03-01"), day("2026-03-02")),
        (day("2026-04-01"), None),
    ]
    assert employee.employment.department == "Anlegg"
    assert employee.employment.payroll == 1
    assert [path for _, path, _ in styled.sent()] == [
        "/1042/enable",
        "/1042/create-employment",
        "/1042/update-employment",
    ]
    assert employee.created_count == 1
    assert styled.state(kari) == ("delivered", LEFT_OVER)


def test_coming_back_on_the_day_of_leaving_starts_the_day_after(world: World):
    """L4: if the last day is today, the new employment starts the day after it."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)

    assert world.employee("1042").employment.start == day("2026-03-03")


def test_a_new_start_date_is_the_start_of_the_return(world: World):
    """L4: the new employment starts on `employmentStartDate` if that is after the last end."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=30)

    world.changes(kari, account_enabled=True, hire_date="2026-05-04")

    assert world.employee("1042").employment.start == day("2026-05-04")


def test_a_leave_date_that_lies_ahead_is_acted_on_after_that_day(world: World):
    """L2: nothing is sent until the day is over, then both steps, by the worker."""
    kari = a_user()
    world.provisions(kari)
    world.forget()

    world.changes(kari, leave_date="2026-03-31")
    world.worker.run_until_idle()
    assert world.sent() == []

    world.clock.passes(days=29)  # 31 March: the last day is worked
    world.worker.run_until_idle()
    assert world.sent() == []

    world.clock.passes(days=1)
    world.worker.run_until_idle()
    assert world.employee("1042").employment.end == day("2026-03-31")
    assert world.employee("1042").disabled
    assert world.state(kari) == ("delivered", None)


def test_moving_a_leave_date_before_it_comes_costs_nothing(world: World):
    """L2: changing or clearing the date before costs nothing."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-31")
    world.changes(kari, leave_date="2026-06-30")
    world.forget()

    world.clock.passes(days=60)
    world.worker.run_until_idle()

    assert world.sent() == []
    assert world.employee("1042").employment.end is None


@pytest.mark.parametrize("start", [None, "2020-01-01"])
@pytest.mark.parametrize("found", ["nobody", "ended", "at work"])
def test_a_person_first_seen_with_a_leave_date_that_has_passed_is_held(world: World, start: str | None, found: str):
    """L3: neither hired, nor enabled, nor ended; the detail names the date; the next word from Entra decides."""
    if found != "nobody":
        kari = world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", email="kari.nordmann@contractor.example")
        if found == "ended":
            kari.disabled, kari.employment.end = True, day("2025-12-31")
    user = a_user(leave_date="2025-12-31", hire_date=start)
    world.provisions(user)
    world.worker.run_until_idle()

    state, detail = world.state(user)
    assert state == "held"
    assert "2025-12-31" in str(detail)
    assert world.sent() == []

    world.changes(user, hire_date="2026-03-16")
    employee = world.employee("1042")
    assert not employee.disabled
    assert employee.employment.end is None


def test_a_person_who_is_held_for_an_old_leave_date_may_be_blocked(world: World):
    """L3, H2: `active` false is clear; nothing is created."""
    user = a_user(leave_date="2025-12-31", hire_date=None)
    world.provisions(user)
    world.changes(user, account_enabled=False)

    assert world.state(user)[0] == "delivered"
    assert world.sent() == []


def test_a_start_after_the_old_leave_date_makes_it_an_old_one(world: World):
    """L3: hired from that start; the date is left over from an earlier employment."""
    user = a_user(leave_date="2025-12-31", hire_date="2026-03-01")
    world.provisions(user)

    assert world.employee("1042").employment.end is None
    assert "2025-12-31 is left over" in str(world.state(user)[1])


@pytest.mark.parametrize("never", ["1601-01-01T00:00:00Z", "9999-12-31", "9223372036854775807", "2099-12-31"])
def test_a_never_clears_an_earlier_leave_date(world: World, never: str):
    """T1: the directory's "never" is no end; before the leave date has come, clearing it costs nothing."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-31")
    world.changes(kari, leave_date=never)
    world.forget()
    world.clock.passes(days=60)
    world.worker.run_until_idle()

    assert world.sent() == []
    assert world.state(kari) == ("delivered", None)


def test_a_never_after_the_leave_date_was_acted_on_is_a_return(world: World):
    """T1, L2: it clears the date, and clearing one that was acted on is a return."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-31")
    world.clock.passes(days=30)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled

    world.changes(kari, leave_date="9999-12-31T23:59:59Z")
    assert not world.employee("1042").disabled
    assert world.employee("1042").employment.end is None


def test_moving_a_leave_date_ahead_after_it_was_acted_on_is_a_return(world: World):
    """L2: once acted on, moving the date ahead while `active` is true is a return."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-31")
    world.clock.passes(days=31)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled

    world.changes(kari, leave_date="2026-12-31")

    assert not world.employee("1042").disabled
    assert world.employee("1042").employment.start == day("2026-04-02")
    assert world.employee("1042").employment.end is None


def test_an_old_leave_date_does_not_end_a_new_employment(world: World):
    """L3: a leave date not after the last end is left over: Entra does not send cleared values."""
    kari = a_user(leave_date="2026-03-31")
    world.provisions(kari)
    world.clock.passes(days=40)
    world.changes(kari, account_enabled=False)
    assert world.employee("1042").employment.end == day("2026-03-31")

    world.clock.passes(days=40)
    world.changes(kari, account_enabled=True)
    world.clock.passes(days=40)
    world.worker.run_until_idle()

    assert world.employee("1042").employment.end is None
    assert not world.employee("1042").disabled


def test_leaving_before_the_start_ends_on_the_start(world: World):
    """L2: never before its own start: then on its start."""
    kari = a_user(hire_date="2026-05-01")
    world.provisions(kari)

    world.changes(kari, account_enabled=False)

    assert world.employee("1042").employment.end == day("2026-05-01")
    assert world.employee("1042").disabled


def test_a_late_delivery_keeps_the_day_of_leaving(world: World):
    """L1: the day is decided at intake, not when Ditio is back."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=5)
    world.ditio.faults.clear()
    world.worker.run_until_idle()

    assert world.employee("1042").employment.end == day("2026-03-02")


def test_a_locked_payroll_does_not_keep_the_login_alive(world: World):
    """L6: each step is tried whatever became of the others; the refused one is parked with Ditio's words."""
    kari = a_user()
    world.provisions(kari)
    world.restyle(payroll_locked_until=day("2026-03-31"))

    step = world.changes(kari, account_enabled=False)

    assert step.status == 200
    assert world.employee("1042").disabled
    assert world.employee("1042").employment.end is None
    assert world.state(kari)[0] == "parked"


def test_trouble_with_the_first_step_does_not_stop_the_second(world: World):
    """L6: a transient fault of end-employment leaves the login closed all the same, and is tried again."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="status", status=500, path="end-employment"))

    world.changes(kari, account_enabled=False)
    assert world.employee("1042").disabled
    assert world.state(kari)[0] == "due"

    world.clock.passes(minutes=5)
    world.worker.run_until_idle()
    assert world.employee("1042").employment.end == day("2026-03-02")
    assert world.state(kari) == ("delivered", None)


def test_an_employment_that_ended_by_hand_counts_as_ended(world: World):
    """L6: found ended, on whatever day, counts as ended; no date is moved."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.employee("1042").employment.end = day("2026-02-27")
    world.forget()

    world.changes(kari, account_enabled=False)

    assert [path for _, path, _ in world.sent()] == ["/1042/disable"]
    assert world.employee("1042").employment.end == day("2026-02-27")


def test_what_a_site_manager_disabled_is_not_enabled_live(world: World):
    """C4: where only Ditio differs it is drift, and reconcile's alone."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)  # Until then what was acknowledged stands in for what is read (rule C5).
    world.employee("1042").disabled = True
    world.forget()

    world.changes(kari, job_title="Formann")

    assert [path for _, path, _ in world.sent()] == ["/1042"]
    assert world.employee("1042").disabled


def test_an_employment_that_was_ended_by_hand_is_not_opened_live(world: World):
    """C4: nor is a new one created for a person whose employment only Ditio shows as ended."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(days=10)
    world.employee("1042").employment.end = day("2026-03-05")
    world.forget()

    world.changes(kari, job_title="Formann")

    assert [path for _, path, _ in world.sent()] == ["/1042"]
    assert [each.end for each in world.employee("1042").employments] == [day("2026-03-05")]


def test_of_a_deleted_user_only_the_offboarding_is_sent(world: World):
    """L7: what was edited in Ditio meanwhile is Ditio's."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.employee("1042").last_name = "By hand"
    world.forget()

    world.deletes(kari)
    world.worker.run_until_idle()

    assert [path for _, path, _ in world.sent()] == ["/1042/end-employment", "/1042/disable"]
    assert world.employee("1042").last_name == "By hand"


def test_a_leavers_profile_is_kept_in_step(world: World):
    """L7: while the SCIM user exists, profile and phone are kept in step."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.forget()

    world.scim(
        "PATCH",
        f"/Users/{world.entra.scim_id(kari.object_id)}",
        {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "Replace", "path": "name.familyName", "value": "Hansen"}],
        },
    )

    assert world.sent() == [("PATCH", "/1042", {"lastName": "Hansen"})]


def test_a_disabling_that_needs_the_old_api(world: World):
    """`DITIO__OPERATIONS__DISABLE` = v4: the documented pair by companyProfileId."""
    world.restarts_with(ditio={"operations": {"disable": "v4", "enable": "v4"}})
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    assert world.employee("1042").disabled

    world.changes(kari, account_enabled=True)
    assert not world.employee("1042").disabled


def test_configured_steps_are_the_only_ones(world: World):
    """`DELIVERY__OFFBOARDING` decides which steps are taken."""
    world.restarts_with(delivery={"offboarding": ("disable",), "rehiring": ("enable",)})
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)

    assert world.employee("1042").disabled
    assert world.employee("1042").employment.end is None
    assert world.state(kari) == ("delivered", None)

    world.changes(kari, account_enabled=True)
    assert not world.employee("1042").disabled
    assert len(world.employee("1042").employments) == 1


def test_a_user_created_again_continues_the_former_person(world: World):
    """P2: a create whose number belongs to a tombstone takes that person over, if phone or e-mail agrees."""
    kari = a_user()
    world.provisions(kari)
    world.deletes(kari)
    world.clock.passes(days=30)

    again = a_user(object_id="5d1f3c0e-0000-4000-8000-00000000beef")
    world.provisions(again)

    employee = world.employee("1042")
    assert employee.created_count == 1
    assert not employee.disabled
    assert employee.employment.start == day("2026-04-01")
    assert world.state(again) == ("delivered", LEFT_OVER)


def test_a_user_created_again_cancels_an_ending_that_was_not_delivered(world: World):
    """P2: the take-over happens in the transaction of the create, so the ending is never sent."""
    world.restarts_with(delivery={"inline_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    world.worker.run_until_idle()
    world.forget()

    world.deletes(kari)
    world.provisions(a_user(object_id="5d1f3c0e-0000-4000-8000-00000000beef"))
    world.worker.run_until_idle()

    assert world.sent() == []
    assert world.employee("1042").employment.end is None


def test_a_stranger_with_a_leavers_number_does_not_become_him(world: World):
    """P2, H1: nothing agrees, so the number is given up and the employee in Ditio is left alone."""
    kari = a_user()
    world.provisions(kari)
    world.deletes(kari)
    world.forget()

    stranger = a_user(
        object_id="5d1f3c0e-0000-4000-8000-00000000beef",
        user_principal_name="per@contractor.example",
        mail="per@contractor.example",
        mobile="41234567",
        given_name="Per",
        surname="Hansen",
        birth_date="1980-01-01",
    )
    world.provisions(stranger)

    assert world.sent() == []
    assert world.employee("1042").first_name == "Kari"
    assert world.state(stranger)[0] == "parked"


def test_an_ending_whose_answer_was_lost_does_not_lock_out_who_returns(world: World):
    """C4, R4: Ditio took the ending, no one learned it, and Entra wants him back: what Ditio shows decides."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(
        Fault(kind="timeout-after", path="end-employment"), Fault(kind="timeout-after", path="disable")
    )
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)
    world.clock.passes(seconds=10)
    world.worker.run_until_idle()

    assert not world.employee("1042").disabled
    assert world.employee("1042").employment.end is None
    assert world.state(kari)[0] == "delivered"


def ends_sent(world: World) -> list[str]:
    return [body["endDate"] for _, path, body in world.sent() if path.endswith("end-employment")]


def retry(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()


def test_a_refused_ending_is_parked_with_ditios_words_and_never_moved(world: World):
    """L6: parked with Ditio's words, as `should-be-inactive`; a date is never moved to get it accepted."""
    kari = a_user()
    world.provisions(kari)
    world.restyle(payroll_locked_until=day("2026-03-31"))
    world.forget()
    world.changes(kari, account_enabled=False)
    state, detail = world.state(kari)
    assert state == "parked"
    assert str(detail).startswith("should-be-inactive: ")
    assert "Lønnsperioden er låst til og med 31.03.2026." in str(detail)

    for _ in range(3):
        world.clock.passes(days=20)
        retry(world)
    world.restyle(payroll_locked_until=None)
    retry(world)

    assert set(ends_sent(world)) == {"2026-03-02"}
    assert world.employee("1042").employment.end == day("2026-03-02")
    assert world.state(kari) == ("delivered", None)


def test_a_refused_disabling_does_not_keep_the_employment_open(world: World):
    """L6: each step is tried whatever became of the others."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="status", status=400, path="/disable", times=None))
    world.changes(kari, account_enabled=False)

    assert world.employee("1042").employment.end == day("2026-03-02")
    assert str(world.state(kari)[1]).startswith("should-be-inactive: ")


def test_an_ending_without_an_operation_is_shown_as_should_be_inactive(world: World):
    """L6, R1: an ending that is held for `no-operation` is listed as `should-be-inactive`."""
    world.restyle(missing_operations=frozenset({"disable"}))
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)

    state, detail = world.state(kari)
    assert state == "held"
    assert str(detail).startswith("should-be-inactive: ")


def test_a_leaver_whose_profile_is_refused_is_inactive_all_the_same(world: World):
    """L6: only an ending that is owed is shown as `should-be-inactive`."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(minutes=1)
    world.ditio.faults.plan(Fault(kind="status", status=400, method="PATCH", path="/1042"))
    world.changes(kari, surname="Hansen")
    world.scim("PATCH", f"/Users/{world.entra.scim_id(kari.object_id)}", patch("name.familyName", "Hansen"))

    assert "should-be-inactive" not in str(world.state(kari)[1])


def test_a_deleted_user_whose_ending_is_refused_waits_and_is_ended_later(world: World):
    """L6, L7: DELETE is 204 all the same; the tombstone is parked, and no one is forgotten."""
    kari = a_user()
    world.provisions(kari)
    world.restyle(payroll_locked_until=day("2026-03-31"))
    user_id = world.entra.scim_id(kari.object_id)
    world.deletes(kari)
    assert world.scim("GET", f"/Users/{user_id}").status_code == 404
    with world.database.read("default") as s:
        (row,) = s.outbox.waiting()
    assert (row.state, row.reason) == ("parked", "refused")
    assert row.detail.startswith("should-be-inactive: ")

    world.clock.passes(days=40)
    world.restyle(payroll_locked_until=None)
    retry(world)
    assert world.employee("1042").employment.end == day("2026-03-02")
