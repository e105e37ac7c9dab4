"""A person who has not moved since the last comparison is in sync without a look: only if that is certain (rule Q1)."""

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.delivery.guard import clear_hands_off, set_hands_off
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import HandsOff
from scim_bridge.errors import NotFound
from scim_bridge.reconcile.facts import basis_of
from scim_bridge.reconcile.load import RosterLoading
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.style import Style, documented_styles
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.storage.admin_tables import in_sync
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import certificate_ledger, people
from tests.conftest import Clock
from tests.scenarios.test_any_life import LIKE_EACH_TIME
from tests.scenarios.test_reconciling import hires, reconcile
from tests.world import World, patch

CRANE = {
    "employeeNumber": "1001",
    "certificateType": "Kranførerbevis",
    "issuedDateTime": "2026-01-15T00:00:00Z",
    "validUntilDateTime": "2031-01-15T00:00:00Z",
}
SLOT = {"type": "Varme arbeider", "packed": "certificate1"}


def looked_at(world: World) -> int:
    """How many people the next comparison would look at, if Ditio shows what it showed: all but the unmoved."""
    tenant, run_id = world.parts.tenants["default"], "a-look"
    today = tenant.today(world.clock())
    roster = world.parts.reconciliations["default"].roster(today)
    RosterLoading(tenant, run_id, today).load(roster, lambda _: None)
    with world.database.write("default") as s:
        unmoved = s.in_sync(basis_of(tenant))
        searches = s.certificate_searches(tenant.certificates.missing_expiry)
        scan = unmoved.scan(run_id, today, searches.may_owe(), after="", limit=100)
        s.snapshot(run_id).drop()
    return sum(each.is_at_work is None for each in scan)


@pytest.fixture
def kari(world: World) -> EntraUser:
    """One of three who were found in sync."""
    staff = hires(world)
    assert looked_at(world) == 3
    assert reconcile(world).exit == 0
    assert looked_at(world) == 0
    return staff[0]


def test_a_person_who_has_not_moved_is_counted_without_a_look(world: World, kari: EntraUser):
    """Q1; design, section 9: the second run says the same of everyone, and looks at no one's document."""
    run = reconcile(world).report.run

    assert (run.people, run.in_sync, run.at_work, run.linked) == (3, 3, 3, 3)


MOVES: dict[str, Callable[[World, EntraUser], object]] = {
    "edited in Ditio": lambda world, _: setattr(world.employee("1001"), "work_title", "Sjef"),
    "locked out in Ditio": lambda world, _: setattr(world.employee("1001"), "disabled", True),
    "gone from Ditio": lambda world, _: world.ditio.company.employees.pop("1001"),
    "changed in Entra": lambda world, kari: world.changes(kari, job_title="Formann"),
    "a leave date": lambda world, kari: (
        world.changes(kari, leave_date=(world.clock().date() + timedelta(days=3)).isoformat()),
        world.worker.run_until_idle(),
        reconcile(world),
        world.clock.passes(days=5),
    ),
    "a certificate": lambda world, _: world.scim("POST", "/Certificates", CRANE),
    "a new link": lambda world, _: world.ditio.company.change_number("1001", "2001"),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_person_who_has_moved_is_looked_at(world: World, kari: EntraUser, move: str):
    """Q1: whatever happens on either side, or with the days, brings that one person to a closer look."""
    world.delivers_inline_with(lambda ticket: None)
    MOVES[move](world, kari)

    assert looked_at(world) == 1


def test_a_day_that_has_come_is_enough_although_no_one_was_woken(world: World, kari: EntraUser):
    """L2, Q1: a person who ought to have been woken and was not is found by a comparison, and by nothing else."""
    world.changes(kari, leave_date=(world.clock().date() + timedelta(days=3)).isoformat())
    world.worker.run_until_idle()
    world.clock.passes(hours=1)
    reconcile(world)
    with world.database.write() as s:
        s.connection.execute(people.update().values(wakes_on=None))
    assert looked_at(world) == 0

    world.clock.passes(days=4)

    assert looked_at(world) == 1
    assert ("should-be-inactive", "1001") in {row[:2] for row in reconcile(world).told}


def test_every_process_comes_to_the_same_basis(world: World):
    """Q1: nothing in it is in an order, or at a place, that differs from process to process."""
    world.restarts_with(certificates={"slots": [SLOT]})
    tenant = world.parts.tenants["default"]
    text = repr((tenant.rules, tenant.policy, tenant.slots, tenant.certificates))

    assert " at 0x" not in text
    assert "set(" not in text
    assert not re.search(r"\{[^{}:]+\}", text)


def test_of_a_person_who_is_forgotten_nothing_stays(world: World, kari: EntraUser):
    """P2: a tombstone that gave up its employee, and is removed, leaves no row behind."""
    with world.database.write("default") as s:
        person = s.people.linked_to(EmployeeNumber("1001"))
        assert person is not None
        s.people.set_user(person.person.id, None, external_id=None)
        s.unlink(person.person.id)
        s.forget(person.person.id)
        left = s.connection.execute(in_sync.select().where(in_sync.c.person_id == person.person.id)).all()
        others = s.connection.execute(in_sync.select()).all()

    assert (len(left), len(others)) == (0, 2)


MARKS = {
    "another number": people.update().values(employee_number="2001"),
    "another revision": people.update().values(revision=people.c.revision + 1),
    "another state": people.update().values(state_since=datetime(2020, 1, 1, tzinfo=UTC)),
    "is due": people.update().values(due_since=people.c.created_at),
    "a certificate that is to be sent again": certificate_ledger.update().values(is_stale=True),
}


@pytest.mark.parametrize("mark", MARKS)
def test_each_mark_alone_is_enough(world: World, kari: EntraUser, mark: str):
    """Q1: no one is skipped whose person, or whose certificates, differ in anything from what was compared."""
    of_hers = people.c.employee_number == "1001"
    if "certificate" in mark:
        of_hers = certificate_ledger.c.acknowledged_under == "1001"
        world.scim("POST", "/Certificates", CRANE)
        world.worker.run_until_idle()
        world.clock.passes(hours=1)
        reconcile(world)
    assert looked_at(world) == 0

    with world.database.write() as s:
        s.connection.execute(MARKS[mark].where(of_hers))

    assert looked_at(world) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"mapping": {"fields": {"workTitle": {"from": ["displayName"]}}}},
        {"mapping": {"fields": {"workTitle": {"owner": "ditio"}}}},
        {"mapping": {"phone_region": "SE"}},
        {"certificates": {"slots": [SLOT]}},
        {"certificates": {"missing_expiry": "2040-01-01"}},
        {"mapping": {"payroll": 2}},
        {"ditio": {"time_zone": "Atlantic/Azores"}},
        {"delivery": {"offboarding": ["disable"]}},
        {"delivery": {"rehiring": ["enable"]}},
    ],
    ids=str,
)
def test_other_settings_have_everyone_looked_at(world: World, kari: EntraUser, settings: dict[str, Any]):
    """Q1: a changed mapping is a cause of its own; what was found under another one proves nothing."""
    world.restarts_with(**settings)

    assert looked_at(world) == 3


def test_a_person_who_has_a_slot_that_cannot_be_read_is_looked_at_each_time(world: World):
    """K1: what can't be read today may be readable another day."""
    world.restarts_with(certificates={"slots": [SLOT]})
    kari, _, _ = hires(world)
    unreadable = patch(f"{DITIO_URN}:certificate1", "7;long ago;2031-01-01;")
    world.scim("PATCH", f"/Users/{world.entra.scim_id(kari.object_id)}", unreadable)
    world.worker.run_until_idle()
    world.clock.passes(hours=1)

    reconcile(world)

    assert looked_at(world) == 1


def test_one_person_is_looked_at_whether_or_not_he_has_moved(world: World, kari: EntraUser):
    """Q1: who asks about one person gets a fresh answer."""
    world.employee("1001").work_title = "Sjef"

    assert reconcile(world, person="1001").told == [("field", "1001", "workTitle", "edited-in-ditio")]


SETTINGS: list[dict[str, Any]] = [
    {"mapping": {}, "ditio": {}},
    {"mapping": {"fields": {"workTitle": {"owner": "ditio"}}}},
    {"mapping": {"fields": {"birthDate": {"owner": "entra"}}}},
    {"ditio": {"time_zone": "Pacific/Auckland"}},
    {"ditio": {"time_zone": "Atlantic/Azores"}},
]

HAPPENINGS = st.one_of(
    st.tuples(st.just("title"), st.sampled_from(["Formann", "Maskinfører"])),
    st.tuples(st.just("leaves"), st.just(False)),
    st.tuples(st.just("returns"), st.just(True)),
    st.tuples(st.just("leave date"), st.integers(-2, 6)),
    st.tuples(st.just("edited"), st.sampled_from(["Sjef", "Maskinfører"])),
    st.tuples(st.just("disabled"), st.booleans()),
    st.tuples(st.just("days"), st.integers(1, 4)),
    st.tuples(st.just("worker"), st.none()),
    st.tuples(st.just("certificate"), st.sampled_from(["2031-01-15T00:00:00Z", "2032-01-15T00:00:00Z"])),
    st.tuples(st.just("repaired"), st.none()),
    st.tuples(st.just("gone from Ditio"), st.none()),
    st.tuples(st.just("another with the number"), st.none()),
    st.tuples(st.just("as created"), st.none()),
    st.tuples(st.just("deleted"), st.none()),
    st.tuples(st.just("created again"), st.none()),
    st.tuples(st.just("hands off"), st.booleans()),
    st.tuples(st.just("paused"), st.booleans()),
    st.tuples(st.just("phone"), st.sampled_from(["+47 91000001", "+47 91000002"])),
    st.tuples(st.just("number"), st.sampled_from(["1001", "1002", "2001"])),
    st.tuples(st.just("hire date"), st.integers(-2, 6)),
    st.tuples(st.just("settings"), st.sampled_from(SETTINGS)),
)


@given(
    happenings=st.lists(st.tuples(st.integers(0, 2), HAPPENINGS), max_size=8),
    style=st.sampled_from(documented_styles()),
)
@LIKE_EACH_TIME
def test_it_is_never_otherwise_than_a_look_at_everyone(
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    happenings: list[tuple[int, tuple[str, Any]]],
    style: Style,
):
    """Q1: after whatever happened, a plan by what has moved is the plan that a look at everyone makes."""
    clock, folder = Clock(), tmp_path_factory.mktemp("unmoved")
    shutil.copy(sqlite_template, folder / "life.db")
    world = World(Database(f"sqlite:///{folder / 'life.db'}", clock=clock), clock, style=style)
    staff = hires(world)
    for index, (what, value) in happenings:
        _happens(world, staff[index], what, value)
        clock.passes(seconds=30)
        quick = reconcile(world)
        with world.database.write() as s:
            kept = [dict(row) for row in s.connection.execute(in_sync.select()).mappings()]
            s.connection.execute(in_sync.delete())
        thorough = reconcile(world)
        with world.database.write() as s:
            s.connection.execute(in_sync.delete())
            for row in kept:
                s.connection.execute(in_sync.insert().values(**row))
        assert quick.told == thorough.told
        assert _figures(quick.report.run) == _figures(thorough.report.run)
    world.database.close()


def _figures(run: Any) -> tuple[int, ...]:
    return run.people, run.in_sync, run.at_work, run.linked


def _happens(world: World, user: EntraUser, what: str, value: Any) -> None:
    number = user.employee_id or ""
    employees = world.ditio.company.employees
    shown = employees.get(number)
    match what:
        case "title":
            world.changes(user, job_title=value)
        case "leaves" | "returns":
            world.changes(user, account_enabled=value)
        case "leave date":
            world.changes(user, leave_date=(world.clock().date() + timedelta(days=value)).isoformat())
        case "edited" if shown is not None:
            shown.work_title = value
        case "disabled" if shown is not None:
            shown.disabled = value
        case "as created" if shown is not None:
            shown.work_title, shown.disabled = user.job_title, False
        case "gone from Ditio":
            employees.pop(number, None)
        case "another with the number" if shown is not None:
            del employees[number]
            world.ditio.company.put(replace(shown, id="", created_count=0, first_name="Another", birth_date=None))
        case "deleted" if user.object_id in world.entra.directory.users:
            world.deletes(user)
        case "created again":
            world.provisions(user)
        case "hands off":
            _puts_aside(world, number, value)
        case "paused":
            with world.database.write("default") as s:
                pauses = s.pauses
                pauses.pause() if value else pauses.resume()
        case "phone":
            world.changes(user, mobile=value)
        case "number":
            world.changes(user, employee_id=value)
        case "hire date":
            world.changes(user, hire_date=(world.clock().date() + timedelta(days=value)).isoformat())
        case "settings":
            world.restarts_with(**value)
        case "days":
            world.clock.passes(days=value)
        case "worker":
            world.worker.run_until_idle()
        case "certificate":
            world.scim("POST", "/Certificates", {**CRANE, "employeeNumber": number, "validUntilDateTime": value})
        case "repaired":
            reconcile(world, apply=True)


def _puts_aside(world: World, number: str, is_aside: bool) -> None:
    with world.database.write("default") as s, suppress(NotFound):
        if is_aside:
            set_hands_off(s, number, HandsOff(world.clock().date() + timedelta(days=2)))
        else:
            clear_hands_off(s, number)
