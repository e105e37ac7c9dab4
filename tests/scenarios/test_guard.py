"""Too much at once: the guard on the live stream (rule L8)."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from scim_bridge.delivery import guard
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.person import PersonId
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.tables import claims, guarded
from tests.conftest import Clock
from tests.waiting import until_another_waits
from tests.world import World, a_user

pytestmark = pytest.mark.usefixtures("ends_at_once")


@dataclass
class Company:
    """A few people in a world whose guard lets one change of each kind pass in an hour."""

    world: World
    staff: list[EntraUser] = field(default_factory=list)

    def hires(self, count: int) -> None:
        for index in range(len(self.staff), len(self.staff) + count):
            self.staff.append(
                a_user(
                    object_id=f"object-{index}",
                    user_principal_name=f"person{index}@contractor.example",
                    mail=f"person{index}@contractor.example",
                    mobile=f"+47987650{index:02}",
                    employee_id=f"1{index:02}",
                )
            )
            self.world.entra.directory.add(self.staff[-1])
        self.world.cycle()

    def ends(self, *which: int) -> None:
        for index in which:
            self.world.changes(self.staff[index], account_enabled=False)

    def state(self, index: int) -> tuple[str, str | None]:
        return self.world.state(self.staff[index])

    def is_ended(self, index: int) -> bool:
        employee = self.world.employee(f"1{index:02}")
        assert employee.disabled == (employee.employment.end is not None)
        return employee.disabled

    def ended(self) -> list[int]:
        return [index for index in range(len(self.staff)) if self.is_ended(index)]

    def decides(self, decide: Any, index: int | None = None) -> int:
        """What the operator decides, and a worker comes by."""
        with self.world.database.write("default") as s:
            count: int = decide(s, None if index is None else [self._person(s, index)])
        self.world.worker.run_until_idle()
        return count

    def _person(self, s: Session, index: int) -> PersonId:
        record = s.people.find(f"1{index:02}")
        assert record is not None
        return record.person.id

    def waiting(self) -> list[tuple[str, str | None]]:
        with self.world.database.read("default") as s:
            return [(row.state, row.reason) for row in s.outbox.waiting()]

    def reconciles(self, **request: Any) -> list[Drift]:
        """What `reconcile` finds."""
        self.world.clock.passes(minutes=1)
        reconciliation = self.world.parts.reconciliations["default"]
        report = reconciliation.run(Request(**request))
        return list(reconciliation.items(report.run.id))


LIMITS: dict[str, Any] = {"max_ended_per_hour": 1, "max_ended_fraction": 0.0}


@pytest.fixture
def company(database: Database, clock: Clock) -> Company:
    return a_company(database, clock)


def a_company(database: Database, clock: Clock, count: int = 4, **delivery: Any) -> Company:
    company = Company(World(database, clock, settings={"delivery": {**LIMITS, **delivery}}))
    company.hires(count)
    company.world.forget()
    return company


def test_what_is_too_much_within_an_hour_is_held(company: Company):
    """L8: Entra is answered 2xx; the detail names the settings, count and limit, and the cure; nothing is sent."""
    company.ends(0)
    step = company.world.changes(company.staff[1], account_enabled=False)

    assert step.status in (200, 204)
    assert company.ended() == [0]
    state, detail = company.state(1)
    assert state == "held"
    assert detail is not None
    assert detail.startswith("should-be-inactive: the ending is held by the guard: it would make 2 endings")
    assert "DELIVERY__MAX_ENDED_PER_HOUR (1, and with fewer than 15 people a third of them)" in detail
    assert "DELIVERY__MAX_ENDED_FRACTION (0 of 4 people at work)" in detail
    assert "`outbox release`" in detail
    assert "`outbox drop`" in detail
    assert company.waiting() == [("held", "guard")]


def test_by_default_five_are_ended_an_hour(database: Database, clock: Clock):
    """L8: `DELIVERY__MAX_ENDED_PER_HOUR` is 5, `DELIVERY__MAX_ENDED_FRACTION` 0.05: of 29 people 10 were too many."""
    company = Company(World(database, clock, settings={"delivery": {"inline_seconds": 0, "max_ended_fraction": 0.05}}))
    company.hires(29)
    company.world.worker.run_until_idle()
    for user in company.staff:
        user.account_enabled = False
    company.world.cycle()
    company.world.worker.run_until_idle()

    assert len(company.ended()) == 5
    assert company.waiting() == [("held", "guard")] * 24


@pytest.mark.parametrize(("count", "per_hour", "ended"), [(2, 5, 1), (12, 5, 4), (14, 5, 4), (15, 5, 5), (12, 2, 2)])
def test_a_small_company_loses_a_third_an_hour(database: Database, clock: Clock, count: int, per_hour: int, ended: int):
    """L8: with fewer than 15 people at work the first number is a third of them, at least one, if that is less."""
    company = a_company(database, clock, count, max_ended_per_hour=per_hour, max_ended_fraction=0.05, inline_seconds=0)
    company.world.worker.run_until_idle()
    for user in company.staff:
        user.account_enabled = False
    company.world.cycle()
    company.world.worker.run_until_idle()

    assert len(company.ended()) == ended
    assert company.waiting() == [("held", "guard")] * (count - ended)
    (held, *_) = [detail for state, detail in map(company.state, range(count)) if state == "held"]
    assert ("fewer than 15" in str(held)) is (count < 15)


def test_people_who_were_hired_within_the_hour_are_at_work_too(database: Database, clock: Clock):
    """L8: linked and active when the hour began, or now with those ended in it, if that is more."""
    company = a_company(database, clock, 3, max_ended_per_hour=5, max_ended_fraction=0.0)
    clock.passes(hours=2)
    company.hires(3)
    company.ends(0, 1, 2)

    assert company.ended() == [0, 1]
    assert "of 6 people at work" in str(company.state(2)[1])


def test_a_leave_date_that_was_stored_a_day_before_is_no_surprise(database: Database, clock: Clock):
    """L8: many contracts end on one day; those known for a day are neither held, nor do they count for the others."""
    company = a_company(database, clock, 9, end_employment="at-once")
    for user in company.staff[:6]:
        company.world.changes(user, leave_date="2026-03-31")
    clock.passes(days=29)
    for user in company.staff[6:8]:
        company.world.changes(user, leave_date="2026-03-31")
    clock.passes(days=1)
    company.world.worker.run_until_idle()

    assert len(company.ended()) == 7, "six of them were announced, and one passes"
    assert set(range(6)) < set(company.ended())
    assert counted(company.world) == 1


def test_a_person_who_is_blocked_on_the_announced_last_day_is_no_surprise(database: Database, clock: Clock):
    """L8: directories block the account on the last day itself; before it the ending is another, and counts."""
    company = a_company(database, clock, 6)
    for user in company.staff:
        company.world.changes(user, leave_date="2026-03-31")
    company.ends(0, 1)
    assert company.ended() == [0]
    clock.passes(days=29)
    company.ends(2, 3, 4)

    assert company.ended() == [0, 2, 3, 4]
    assert counted(company.world) == 1


def test_a_leave_date_that_is_said_again_stays_announced(database: Database, clock: Clock):
    """L8: another change on the last day says no new date; another date that day does."""
    company = a_company(database, clock, 4)
    for user in company.staff:
        company.world.changes(user, leave_date="2026-03-31")
    clock.passes(days=29)
    for user in company.staff[:2]:
        company.world.changes(user, job_title="Formann")
    for user in company.staff[2:]:
        company.world.changes(user, leave_date="2026-03-30")
    clock.passes(days=1)
    company.world.worker.run_until_idle()

    assert company.ended() == [0, 1, 2]
    assert company.waiting() == [("held", "guard")]


def test_a_share_of_the_company_may_go(database: Database, clock: Clock):
    """L8: of the people who were at work when the hour began, those who have gone since among them."""
    company = a_company(database, clock, 4, max_ended_fraction=0.5)
    company.ends(0, 1, 2)

    assert company.ended() == [0, 1]
    assert company.state(2)[0] == "held"
    assert "0.5 of 4 people at work" in str(company.state(2)[1])


def test_another_hour_is_another_matter(company: Company):
    """L8: the hour rolls."""
    company.ends(0)
    company.world.clock.passes(minutes=59)
    company.ends(1)
    company.world.clock.passes(minutes=1)
    company.ends(2)

    assert company.ended() == [0, 2]


def test_counted_is_the_hour_of_the_write_not_of_the_sending(database: Database, clock: Clock):
    """L8: endings hours apart are not held because all of them are sent at once; endings at once are."""
    company = a_company(database, clock, 4, inline_seconds=0)
    company.world.worker.run_until_idle()
    company.ends(0)
    clock.passes(hours=2)
    company.ends(1)
    clock.passes(hours=2)
    company.ends(2)
    clock.passes(seconds=1)  # Of two who are due at the same instant either may come first.
    company.ends(3)
    clock.passes(days=3)
    company.world.worker.run_until_idle()

    assert company.ended() == [0, 1, 2]
    assert company.waiting() == [("held", "guard")]


def test_a_person_who_was_counted_late_counts_all_the_same(company: Company):
    """L8: an hour does not become too full because the one who left first is sent last."""
    company.world.ditio.faults.plan(Fault("status", status=503, path="employees/100", times=None))
    company.ends(0)
    company.world.clock.passes(minutes=30)
    company.ends(1)
    company.world.ditio.faults.clear()
    company.world.clock.passes(hours=5)
    company.world.worker.run_until_idle()

    assert company.ended() == [1]
    assert company.state(0)[0] == "held"


def test_a_leave_date_counts_on_the_day_after(database: Database, clock: Clock):
    """L8: "or the day ended", wherever in the day the worker comes to it; said on the day itself, it is a surprise."""
    company = a_company(database, clock, 3)
    for user in company.staff[:2]:
        company.world.changes(user, leave_date="2026-03-02")
    clock.passes(days=1)
    company.world.changes(company.staff[2], leave_date="2026-03-03")
    clock.passes(days=9)
    company.world.worker.run_until_idle()

    assert len(company.ended()) == 2
    assert company.is_ended(2)
    assert company.waiting() == [("held", "guard")]


def test_a_retry_counts_once(company: Company):
    """L8: an ending that Ditio fails on is one ending, however often it is tried."""
    company.world.ditio.faults.plan(Fault("status", status=503, path="end-employment", times=3))
    company.ends(0)
    for _ in range(5):
        company.world.clock.passes(minutes=5)
        company.world.worker.run_until_idle()

    assert company.ended() == [0]
    assert company.world.scim("DELETE", f"/Users/{company.world.entra.scim_id('object-0')}").status_code == 204
    assert counted(company.world) == 1


def counted(world: World) -> int:
    with world.database.read() as s:
        return sum(row.verdict == "counted" for row in s.connection.execute(select(guarded.c.verdict)))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_who_leave_at_once_one_passes(company: Company, monkeypatch: pytest.MonkeyPatch):
    """L8: counting and deciding is one transaction; the other delivery waits for it, and counts it."""
    world = company.world
    world.restarts_with(delivery={**LIMITS, "inline_seconds": 0})
    company.ends(0, 1)
    decide, other = Guard.decide, list[Future[int]]()
    with ThreadPoolExecutor(1) as pool:

        def deciding(self: Guard, *change: Any) -> None:
            if not other:
                other.append(pool.submit(world.worker.run_until_idle))
                until_another_waits(world.database)
            decide(self, *change)

        monkeypatch.setattr(Guard, "decide", deciding)
        world.worker.run_until_idle()
        other[0].result(timeout=60)

    assert len(company.ended()) == 1
    assert company.waiting() == [("held", "guard")]


def test_a_person_who_leaves_twice_counts_twice(company: Company):
    """L8: leaving, returning and leaving again within an hour are two endings."""
    company.ends(0)
    company.world.clock.passes(minutes=1)
    company.world.changes(company.staff[0], account_enabled=True)
    company.world.clock.passes(minutes=1)
    company.ends(0)

    assert not company.is_ended(0)
    assert company.waiting() == [("held", "guard")]


def test_all_else_of_a_held_person_is_delivered(company: Company):
    """L8: "other changes of a held person are delivered"."""
    company.ends(0, 1)
    company.world.changes(company.staff[1], job_title="Formann", mobile="+47 400 00 000")

    assert company.world.employee("101").work_title == "Formann"
    assert company.world.employee("101").phone.endswith("40000000")
    assert not company.is_ended(1)
    assert company.state(1)[0] == "held"


def test_it_dissolves_when_entra_says_active_again(company: Company):
    """L8: nothing was sent, and nothing is; what the operator releases afterwards is nothing."""
    company.ends(0, 1)
    company.world.forget()
    company.world.changes(company.staff[1], account_enabled=True)

    assert company.state(1) == ("delivered", None)
    assert company.decides(guard.release) == 0
    assert company.world.sent() == []
    assert company.ended() == [0]


def test_release_sends_and_counts(company: Company):
    """L8: "`outbox release` sends"; "a released ending counts", in the hour of its write."""
    company.ends(0, 1, 2)
    assert company.decides(guard.release, 1) == 1
    assert company.ended() == [0, 1]
    company.world.clock.passes(minutes=61)
    company.ends(3)
    assert company.ended() == [0, 1, 3]

    assert company.decides(guard.release) == 1
    assert company.ended() == [0, 1, 2, 3]
    assert company.waiting() == []
    assert counted(company.world) == 4


def test_drop_withdraws_until_entra_changes_it(company: Company):
    """L8: the person is `delivered`, "kept by the operator", whatever else Entra changes; then it meets the guard."""
    company.ends(0, 1)
    assert company.decides(guard.drop) == 1
    assert company.state(1) == ("delivered", "kept by the operator")
    company.world.clock.passes(hours=2)
    company.world.changes(company.staff[1], job_title="Formann")
    assert company.world.employee("101").work_title == "Formann"
    assert company.state(1) == ("delivered", "kept by the operator")
    assert company.ended() == [0]

    company.world.changes(company.staff[1], account_enabled=True)
    assert company.state(1) == ("delivered", None)
    company.ends(1)
    assert company.ended() == [0, 1]


def test_a_delete_says_a_dropped_ending_anew(company: Company):
    """L8: "or a DELETE, which meets the guard anew"."""
    company.ends(0, 1, 2)
    company.decides(guard.drop)
    company.world.deletes(company.staff[1])
    assert company.ended() == [0]
    assert company.waiting() == [("held", "guard")]

    company.world.clock.passes(hours=2)
    company.world.deletes(company.staff[2])
    assert company.ended() == [0, 2]


def test_a_dropped_leave_date_is_said_anew_by_active_alone(company: Company):
    """L8: "for an ending `active`": another date in the past is none."""
    for user in company.staff[:2]:
        company.world.changes(user, leave_date="2026-03-01")
    assert company.decides(guard.drop) == 1
    company.world.clock.passes(days=2)
    company.world.changes(company.staff[1], leave_date="2026-03-02")
    assert company.ended() == [0]
    assert company.state(1)[0] == "delivered"

    company.ends(1)
    assert company.ended() == [0, 1]


@pytest.mark.parametrize(("name", "values"), [("mobile", "+4740000{}00"), ("employee_id", "B-{}")])
def test_logins_and_numbers_are_guarded_each_apart(company: Company, name: str, values: str):
    """L8: the same pair of limits; endings do not count there. Claims stay with who has them, and who wants them."""
    company.ends(3)
    for index in range(2):
        company.world.changes(company.staff[index], **{name: values.format(index)})

    assert company.state(0) == ("delivered", None)
    state, detail = company.state(1)
    assert state == "held"
    assert "DELIVERY__MAX_ENDED_PER_HOUR (1" in str(detail)
    assert "should-be-inactive" not in str(detail)
    with company.world.database.read() as s:
        kept = set(s.connection.execute(select(claims.c.value)).scalars())
    assert {"101", "+4798765001"} <= kept
    assert values.format(1) in kept

    assert company.decides(guard.release) == 1
    assert company.state(1) == ("delivered", None)
    assert company.world.employee("101" if name == "mobile" else "B-1").created_count == 1


def test_a_dropped_phone_is_said_anew_by_another(company: Company):
    """L8: "that value is not sent until Entra changes it", and then it is sent like any other."""
    for index in range(2):
        company.world.changes(company.staff[index], mobile=f"+4740000{index}00")
    company.decides(guard.drop)
    company.world.clock.passes(hours=2)
    company.world.changes(company.staff[1], job_title="Formann")
    assert company.state(1) == ("delivered", "kept by the operator")
    assert company.world.employee("101").phone.endswith("98765001")

    company.world.changes(company.staff[1], mobile="+4740000900")
    assert company.state(1) == ("delivered", None)
    assert company.world.employee("101").phone.endswith("40000900")


def test_a_value_that_ditio_has_by_now_is_no_longer_held(company: Company):
    """L8: done by hand in Ditio, it is delivered, and the next change is another."""
    for index in range(2):
        company.world.changes(company.staff[index], mobile=f"+4740000{index}00")
    company.world.employee("101").phone = "+4740000100"
    company.world.clock.passes(minutes=5)
    company.world.changes(company.staff[1], job_title="Formann")

    assert company.state(1) == ("delivered", None)
    assert company.decides(guard.release) == 0


def test_an_ending_that_was_done_by_hand_is_no_longer_held(company: Company):
    """L6, L8: what is found ended is acknowledged; whom Ditio opens again is drift that is repaired."""
    company.ends(0, 1)
    company.world.employee("101").disabled = True
    company.world.employee("101").employment.end = company.world.clock().date()
    company.world.clock.passes(minutes=5)
    company.world.changes(company.staff[1], job_title="Formann")
    assert company.state(1) == ("delivered", None)

    company.world.employee("101").disabled = False
    (row,) = company.reconciles(apply=True)
    assert (row.kind, row.listed) == (Kind.should_be_inactive, None)
    assert company.world.employee("101").disabled


@pytest.mark.parametrize("decision", [None, guard.drop])
def test_what_was_done_by_hand_is_settled_by_the_next_comparison(company: Company, decision: Any):
    """L8, Q1: a person who is seen ended waits for nothing any more, and `reconcile` alone sends nothing for it."""
    company.ends(0, 1)
    if decision is not None:
        company.decides(decision)
    company.world.employee("101").disabled = True
    company.world.employee("101").employment.end = company.world.clock().date()
    company.world.forget()
    assert company.reconciles() == []

    assert company.state(1) == ("delivered", None)
    assert company.decides(guard.release) == 0
    assert company.world.sent() == []
    company.world.employee("101").disabled = False
    (row,) = company.reconciles()
    assert (row.kind, row.listed) == (Kind.should_be_inactive, None)


def test_half_of_an_ending_done_by_hand_settles_nothing(company: Company):
    """L8: the login is open still, and the guard holds that."""
    company.ends(0, 1)
    company.world.employee("101").employment.end = company.world.clock().date()
    company.reconciles()

    assert company.waiting() == [("held", "guard")]
    assert company.decides(guard.release) == 1
    assert company.is_ended(1)


def test_of_several_things_that_are_held_the_rest_stays_so(company: Company):
    """L8, Q1: a phone that was changed by hand is no longer held, a number is."""
    company.world.changes(company.staff[0], mobile="+4740000000", employee_id="B-0")
    company.world.changes(company.staff[1], mobile="+4740000100", employee_id="B-1")
    company.world.employee("101").phone = "+4740000100"
    company.reconciles()

    state, detail = company.state(1)
    assert state == "held"
    assert str(detail).startswith("the change of employee number is held")
    assert "the change of phone" not in str(detail)


def test_what_else_is_said_of_a_person_is_told_anew(company: Company):
    """L8, Q1: his own delivery says what is left once the guard holds nothing of him any more."""
    company.ends(0)
    company.world.changes(company.staff[1], account_enabled=False, hire_date="03/02/2026")
    assert "FormatDateTime" in str(company.state(1)[1])
    company.world.employee("101").disabled = True
    company.world.employee("101").employment.end = company.world.clock().date()
    company.reconciles()
    company.world.worker.run_until_idle()

    assert company.waiting() == [("held", "incomplete")]
    assert "guard" not in str(company.state(1)[1])
