"""The day on which an employment ends, leave dates, and what is done by hand meanwhile (rules L2-L7, T1)."""

import dataclasses

import pytest

from scim_bridge.sandbox.gateway import Fault
from tests.scenarios.test_leaving import LEFT_OVER, PER, ends_sent
from tests.world import World, a_user, day, patch

pytestmark = pytest.mark.usefixtures("ends_at_once")


def test_the_end_date_is_not_compared_afterwards(world: World):
    """L6: once ended, whatever day Ditio shows, and whatever leave date Entra says then, nothing is sent."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=1)
    world.employee("1042").employment.end = day("2026-02-20")
    world.forget()
    world.changes(kari, leave_date="2026-03-01")
    world.changes(kari, surname="Hansen")

    assert ends_sent(world) == []
    assert world.employee("1042").employment.end == day("2026-02-20")


def test_the_day_found_is_acknowledged_and_a_return_starts_after_it(world: World):
    """L6, L4: the day on which it was found ended is the last end: the new employment starts after it."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.employee("1042").employment.end = day("2026-03-02")
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)

    assert world.employee("1042").employment.start == day("2026-03-03")


def test_a_later_delete_keeps_the_day_that_was_stored(world: World):
    """L1: a retry and a later DELETE read the day; none derives it again."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=4)
    world.worker.run_until_idle()
    world.deletes(kari)
    world.ditio.faults.clear()
    world.clock.passes(days=2)
    world.worker.run_until_idle()

    assert world.employee("1042").employment.end == day("2026-03-02")


def test_the_day_of_leaving_is_the_companys(world: World):
    """L1: "today" is decided in `DITIO__TIME_ZONE`: 23:30 UTC on 2 March is the 3rd in Oslo."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(hours=15, minutes=30)
    world.changes(kari, account_enabled=False)

    assert world.employee("1042").employment.end == day("2026-03-03")


def test_the_time_zone_is_a_setting(world: World):
    """L1: the same moment is still 2 March in New York."""
    world.restarts_with(ditio={"time_zone": "America/New_York"})
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(hours=15, minutes=30)
    world.changes(kari, account_enabled=False)

    assert world.employee("1042").employment.end == day("2026-03-02")


def test_a_leave_date_ahead_of_the_day_of_leaving_does_not_delay_it(world: World):
    """L2: on the leave date if that is not after `inactive_since`, else on `inactive_since`."""
    kari = a_user(leave_date="2026-06-30")
    world.provisions(kari)
    world.changes(kari, account_enabled=False)

    assert world.employee("1042").employment.end == day("2026-03-02")
    assert world.employee("1042").disabled


def test_clearing_a_leave_date_before_it_comes_costs_nothing(world: World):
    """L2: changing or clearing the date before costs nothing."""
    kari = a_user(leave_date="2026-03-31")
    world.provisions(kari)
    world.forget()
    world.entra.clears(kari, "employeeLeaveDateTime")
    world.clock.passes(days=60)
    world.worker.run_until_idle()

    assert world.sent() == []
    assert world.employee("1042").employment.end is None


def test_clearing_a_leave_date_that_was_acted_on_is_a_return(world: World):
    """L2, L4: once acted on, clearing it while `active` is true is a return."""
    kari = a_user(leave_date="2026-03-31")
    world.provisions(kari)
    world.clock.passes(days=35)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled
    world.entra.clears(kari, "employeeLeaveDateTime")

    assert not world.employee("1042").disabled
    assert world.employee("1042").employment.start == day("2026-04-06")
    assert world.employee("1042").employment.end is None


def test_a_stale_leave_date_is_named(world: World):
    """L3: not after the last ended employment's end: ignored, and named in `deliveryDetail`."""
    kari = a_user(leave_date="2026-03-31")
    world.provisions(kari)
    world.clock.passes(days=40)
    world.worker.run_until_idle()
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=40)
    world.changes(kari, account_enabled=True)

    state, detail = world.state(kari)
    assert state == "delivered"
    assert "employmentEndDate 2026-03-31 is left over from an earlier employment: ignored" in str(detail)
    assert LEFT_OVER in str(detail)


def test_a_leave_date_before_the_open_employment_is_stale_and_named(world: World):
    """L3: a leave date before the open employment's start is ignored and named: a new user with an old date."""
    kari = a_user(leave_date="2026-02-15")
    world.provisions(kari)
    world.clock.passes(days=5)
    world.worker.run_until_idle()

    assert world.employee("1042").employment.end is None
    state, detail = world.state(kari)
    assert state == "delivered"
    assert "employmentEndDate 2026-02-15" in str(detail)


def test_a_start_that_moves_past_the_leave_date_makes_it_stale(world: World):
    """L3: a leave date before the open employment's start, whichever of the two was said last."""
    kari = a_user(hire_date="2026-04-01", leave_date="2026-04-20")
    world.provisions(kari)
    world.changes(kari, hire_date="2026-05-01")
    assert world.employee("1042").employment.start == day("2026-05-01")
    world.clock.passes(days=55)
    world.worker.run_until_idle()

    assert not world.employee("1042").disabled
    assert world.employee("1042").employment.end is None
    assert "employmentEndDate 2026-04-20" in str(world.state(kari)[1])


def test_an_earlier_leave_date_after_the_ending_is_named(world: World):
    """L3: not after the last end, said after it: ignored, no one is hired by it, and it is named."""
    kari = a_user(leave_date="2026-03-31", hire_date="2026-01-01")
    world.provisions(kari)
    world.clock.passes(days=40)
    world.worker.run_until_idle()
    world.clock.passes(days=1)
    world.forget()
    world.changes(kari, leave_date="2026-03-15")

    assert world.sent() == []
    assert world.employee("1042").disabled
    assert "employmentEndDate 2026-03-15" in str(world.state(kari)[1])


def test_leaving_again_before_the_new_start_ends_it_on_its_own_start(world: World):
    """L4: back on the day of leaving, and gone again: the new employment ends on its own start."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)
    world.changes(kari, account_enabled=False)

    assert [(e.start, e.end) for e in world.employee("1042").employments] == [
        (day("2026-03-01"), day("2026-03-02")),
        (day("2026-03-03"), day("2026-03-03")),
    ]
    world.changes(kari, account_enabled=True)
    assert world.employee("1042").employment.start == day("2026-03-04")


def test_a_return_while_the_last_day_lies_ahead_starts_the_day_after_it(world: World):
    """L4: if the last day is today or later, the day after it."""
    kari = a_user(hire_date="2026-05-01")
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)

    assert [(e.start, e.end) for e in world.employee("1042").employments] == [
        (day("2026-05-01"), day("2026-05-01")),
        (day("2026-05-02"), None),
    ]
    assert not world.employee("1042").disabled


def test_a_return_that_ditio_has_already_costs_only_enable(world: World):
    """L4: create-employment if none is open: a site manager has opened one."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=10)
    employments = world.employee("1042").employments
    employments.append(dataclasses.replace(employments[0], start=day("2026-03-10"), end=None))
    world.forget()
    world.changes(kari, account_enabled=True)

    assert [path for _, path, _ in world.sent()] == ["/1042/enable"]


def test_what_was_ended_by_hand_is_not_rehired_live(world: World):
    """C4: enable, disable, end- and create-employment follow Entra's edges: what only Ditio changed is drift."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(days=1)
    world.employee("1042").employment.end = day("2026-03-02")
    world.forget()
    world.changes(kari, job_title="Formann")

    assert [path for _, path, _ in world.sent()] == ["/1042"]


def test_a_leaver_who_was_enabled_by_hand_is_not_disabled_live(world: World):
    """C4: the ending was acknowledged; what a site manager did since is drift."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=1)
    world.employee("1042").disabled = False
    world.forget()
    world.changes(kari, surname="Hansen")

    assert [path for _, path, _ in world.sent()] == ["/1042"]


def test_a_leavers_new_phone_is_sent(world: World):
    """L7: a leaver's phone is kept in step while the SCIM user exists, and claimed when it is about to be sent."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(minutes=1)
    world.forget()
    world.changes(kari, mobile="41234567")
    world.scim(
        "PATCH",
        f"/Users/{world.entra.scim_id(kari.object_id)}",
        patch('phoneNumbers[type eq "mobile"].value', "41234567"),
    )

    assert world.sent() == [("PATCH", "/1042/change-phone-number", {"phone": "+4741234567"})]
    assert world.state(kari) == ("delivered", None)


def test_a_leavers_new_phone_that_a_person_has_is_not_sent(world: World):
    """L7: only if no one claims it or waits for it; the leaver keeps the old one, and waits for nothing."""
    kari, per = a_user(), a_user(**PER)
    world.provisions(kari)
    world.provisions(per)
    world.changes(kari, account_enabled=False)
    world.clock.passes(minutes=1)
    world.forget()
    world.changes(kari, mobile="41234567")
    world.scim(
        "PATCH",
        f"/Users/{world.entra.scim_id(kari.object_id)}",
        patch('phoneNumbers[type eq "mobile"].value', "41234567"),
    )

    assert world.sent() == []
    state, detail = world.state(kari)
    assert state == "delivered"
    assert "a leaver keeps the old one" in str(detail)


def test_of_a_deleted_user_only_the_offboarding_is_owed(world: World):
    """L7: the last change of a user who is deleted before it was delivered is not sent any more."""
    world.restarts_with(delivery={"inline_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    world.worker.run_until_idle()
    world.forget()
    world.changes(kari, surname="Hansen", mobile="41234567")
    world.deletes(kari)
    world.worker.run_until_idle()

    assert [path for _, path, _ in world.sent()] == ["/1042/end-employment", "/1042/disable"]


def test_a_leave_date_before_the_adoption_ends_an_adopted_employee(world: World):
    """L2, L3: stale is what lies before the employment's start, not before the day on which the bridge met him."""
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", start=day("2020-01-01"))
    kari = a_user(hire_date=None)
    world.provisions(kari)
    world.changes(kari, leave_date="2026-02-20")

    assert world.employee("1042").employment.end == day("2026-02-20")
    assert world.employee("1042").disabled
