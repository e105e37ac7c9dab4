"""Doubt is remembered: a late write does not win, and a lost lease loses no one (rules C5, D1, P6)."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.scenarios.test_hard_cases import calms_down
from tests.scenarios.test_reconciling import hires, reconcile
from tests.world import DITIO, World, a_user, patch

LEASE_SECONDS = 40.0
"""Longer than any lease of a worker or of a request."""


class Interrupted(World):
    """A world in which something happens just before a write reaches Ditio, once."""

    def __init__(self, database: Database, clock: Clock, **options: Any) -> None:
        self.before: tuple[str, Callable[[], None]] | None = None
        super().__init__(database, clock, **options)

    def _session_to_ditio(self) -> requests.Session:
        session = requests.Session()
        session.mount(DITIO, _Wire(self))
        return session

    def stands_still_before(self, path: str, then: Callable[[], None]) -> None:
        """The process that is about to send this stands still past its lease, and something happens meanwhile."""
        self.before = (path, then)


class _Wire(WsgiTransport):
    def __init__(self, world: Interrupted) -> None:
        super().__init__(world.ditio.app)
        self._world = world

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        before = self._world.before
        if before is not None and request.method != "GET" and (request.path_url or "").endswith(before[0]):
            self._world.before = None
            self._world.clock.passes(seconds=LEASE_SECONDS)
            before[1]()
        return super().send(request, *arguments, **options)


@pytest.fixture
def world(database: Database, clock: Clock) -> Interrupted:
    return Interrupted(database, clock)


@pytest.fixture
def kari(world: Interrupted) -> EntraUser:
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(hours=1)
    return kari


def says(world: World, user: EntraUser, path: str, value: object) -> None:
    """Entra's PATCH, sent while an earlier request of its own still waits for its answer."""
    answer = world.scim("PATCH", f"/Users/{_id(world, user)}", patch(path, value))
    assert answer.status_code in (200, 404)


def _id(world: World, user: EntraUser) -> str:
    found = world.scim("GET", f'/Users?filter=userName eq "{user.user_principal_name}"').json()
    return str(found["Resources"][0]["id"])


def is_applied_late(world: World, path: str) -> Callable[[], None]:
    """The next call to this operation times out; the answer of this has Ditio apply it after all."""
    held: list[tuple[str, str]] = []
    apply = world.ditio.company.set_disabled
    world.ditio.faults.plan(Fault(kind="timeout-before", path=path))
    held.append((path, "1042"))

    def later() -> None:
        for name, number in held:
            apply(number, name == "disable")
        held.clear()

    return later


def others_deliver(world: World) -> None:
    """Another process takes over, and a while later looks again."""
    world.worker.run_until_idle()
    world.clock.passes(seconds=6)
    world.worker.run_until_idle()


def is_open(world: World, number: str = "1042") -> bool:
    employee = world.employee(number)
    return not employee.disabled and employee.employment is not None and employee.employment.end is None


# A late write that Ditio applies within the lag


def test_a_leavers_login_is_closed_though_an_earlier_enabling_comes_late(world: Interrupted, kari: EntraUser):
    """C5: the answer of `enable` was lost and it is applied late: no read before that is believed."""
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=2)
    world.worker.run_until_idle()
    later = is_applied_late(world, "enable")
    world.changes(kari, account_enabled=True)
    world.changes(kari, account_enabled=False)
    world.worker.run_until_idle()
    world.clock.passes(seconds=4)
    later()
    calms_down(world)

    assert world.employee("1042").disabled
    assert world.state(kari)[0] == "delivered"


def test_who_came_back_is_open_though_an_earlier_disabling_comes_late(world: Interrupted, kari: EntraUser):
    """C5: the answer of `disable` was lost, the person is active again, and it is applied late."""
    later = is_applied_late(world, "disable")
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)
    world.worker.run_until_idle()
    world.clock.passes(seconds=4)
    later()
    calms_down(world)

    assert is_open(world)
    assert world.state(kari)[0] == "delivered"


def test_a_person_in_doubt_is_due_and_nothing_is_sent(world: Interrupted, kari: EntraUser):
    """C5: until the doubt is over nothing is read or written for the person, whatever asks for it."""
    world.ditio.faults.plan(Fault(kind="timeout-before", path="change-phone-number"))
    world.changes(kari, mobile="+47 987 65 400")
    world.forget()
    world.changes(kari, mobile="+47 987 65 401")
    world.worker.run_until_idle()

    assert world.ditio.requests == []
    assert world.state(kari)[0] == "due"
    world.clock.passes(seconds=8)
    world.worker.run_until_idle()
    assert world.employee("1042").phone == "+4798765401"
    assert world.state(kari)[0] == "delivered"


def test_the_wish_from_before_a_lost_write_is_read_and_not_believed(world: Interrupted, kari: EntraUser):
    """C5, A5: back to what was acknowledged, while a lost write may still come: only a later read settles it."""
    phone = world.employee("1042").phone
    world.ditio.faults.plan(Fault(kind="timeout-before", path="change-phone-number"))
    world.changes(kari, mobile="+47 987 65 400")
    world.changes(kari, mobile=phone)
    world.employee("1042").phone = "+4798765400"  # It comes late.
    calms_down(world)

    assert world.employee("1042").phone == phone


def test_without_a_lag_nothing_waits(database: Database, clock: Clock):
    """C5: DITIO__READ_LAG_SECONDS = 0 believes every read."""
    world = Interrupted(database, clock, settings={"ditio": {"read_lag_seconds": 0}})
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="timeout-after", path="change-phone-number"))
    world.changes(kari, mobile="+47 987 65 400")
    clock.passes(seconds=3)
    world.worker.run_until_idle()

    assert world.state(kari)[0] == "delivered"


# A process that stands still past its lease just before a call


def test_a_disabling_that_lost_its_lease_is_put_right(world: Interrupted, kari: EntraUser):
    """C5, D1: another process settled the return meanwhile; the late `disable` is seen, and undone."""

    def comes_back() -> None:
        says(world, kari, "active", True)
        others_deliver(world)
        assert world.state(kari)[0] == "delivered"

    world.stands_still_before("/disable", comes_back)
    says(world, kari, "active", False)
    calms_down(world)

    assert is_open(world)
    assert world.state(kari)[0] == "delivered"


def test_an_enabling_that_lost_its_lease_leaves_no_login_open(world: Interrupted, kari: EntraUser):
    """C5, D1: an open login of a leaver above all."""
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=2)
    world.worker.run_until_idle()

    def leaves_again() -> None:
        says(world, kari, "active", False)
        others_deliver(world)

    world.stands_still_before("/enable", leaves_again)
    says(world, kari, "active", True)
    world.clock.passes(days=2)
    calms_down(world)

    assert world.employee("1042").disabled
    assert world.state(kari)[0] == "delivered"


def test_a_phone_that_lost_its_lease_is_put_right(world: Interrupted, kari: EntraUser):
    """C5, D1: fields are compared again too."""
    hires(world, 6)  # The guard lets a small company change a third of its phones within an hour.

    def changes_again() -> None:
        says(world, kari, 'phoneNumbers[type eq "mobile"].value', "+47 987 65 499")
        others_deliver(world)

    world.stands_still_before("/change-phone-number", changes_again)
    says(world, kari, 'phoneNumbers[type eq "mobile"].value', "+47 987 65 400")
    calms_down(world)

    assert world.employee("1042").phone == "+4798765499"
    assert world.state(kari)[0] == "delivered"


@pytest.mark.usefixtures("ends_at_once")
def test_a_renumbering_that_lost_its_lease_moves_the_link(world: Interrupted, kari: EntraUser):
    """C5, P6: deleted and offboarded meanwhile; the employee is under another number now, and the person knows it."""

    def is_deleted() -> None:
        assert world.scim("DELETE", f"/Users/{_id(world, kari)}").status_code == 204
        others_deliver(world)

    number = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"
    world.stands_still_before("/change-employee-number", is_deleted)
    says(world, kari, number, "2042")
    calms_down(world)

    assert world.employee("2042").disabled
    with world.database.read("default") as s:
        assert s.people.linked_to(EmployeeNumber("2042")) is not None


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_creation_that_lost_its_lease_keeps_its_person(world: Interrupted, is_lost: bool):
    """D1, C5, P6: deleted meanwhile and forgotten; the employee it makes all the same is linked, and offboarded."""
    kari = a_user()

    def is_deleted() -> None:
        if is_lost:
            world.ditio.faults.plan(Fault(kind="timeout-after", method="POST", path="/employees"))
        assert world.scim("DELETE", f"/Users/{_id(world, kari)}").status_code == 204
        for _ in range(3):
            world.clock.passes(minutes=5)
            world.worker.run_until_idle()

    world.stands_still_before("/employees", is_deleted)
    world.provisions(kari)
    world.clock.passes(days=2)
    calms_down(world)

    assert world.employee("1042").disabled
    assert world.employee("1042").employment.end is not None  # type: ignore[union-attr]
    found = reconcile(world)
    assert found.told == []


def test_a_creation_that_lost_its_lease_makes_no_one_twice(world: Interrupted):
    """D1, P6: another process created the same person meanwhile."""
    kari = a_user()
    world.stands_still_before("/employees", lambda: others_deliver(world))
    world.provisions(kari)
    calms_down(world)

    assert [each.created_count for each in world.ditio.company.employees.values()] == [1]
    assert is_open(world)
    assert world.state(kari)[0] == "delivered"


def test_who_takes_a_lease_over_that_ran_out_waits_for_what_its_holder_sent(world: Interrupted, kari: EntraUser):
    """C5: a process is killed while its call is under way, and Ditio applies that late."""
    world.delivers_inline_with(lambda ticket: None)  # It dies with its lease.
    world.changes(kari, mobile="+47 987 65 400")
    world.changes(kari, mobile="+47 987 65 432")
    world.clock.passes(seconds=16)
    world.forget()
    world.worker.run_until_idle()
    assert world.ditio.requests == []
    world.employee("1042").phone = "+4798765400"
    world.clock.passes(seconds=6)
    world.worker.run_until_idle()

    assert world.employee("1042").phone == "+4798765432"


def test_what_is_acknowledged_is_in_no_doubt(world: Interrupted, kari: EntraUser):
    """C5: after deliveries that went well, whatever they sent, nothing waits."""
    world.changes(kari, employee_id="2042", mobile="+47 987 65 400", job_title="Formann", department="Betong")
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True)
    with world.database.read("default") as s:
        record = s.people.linked_to(EmployeeNumber("2042"))

    assert record is not None
    assert record.person.doubted_at is None
    assert world.state(kari)[0] == "delivered"
