"""The new crane driver starts on Monday and is not in Ditio: the console says why, and what to do."""

from datetime import timedelta

import pytest

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import ProcessKind, beat
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, person_id
from tests.world import World, a_user


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock, settings=CONSOLE)


def test_of_a_person_who_was_never_sent_the_search_says_where_to_look(world: World, signs_in: SignsIn):
    kari = signs_in()

    page = kari.get("people?q=crane+driver").text
    of_a_state = kari.get("people?q=crane+driver&state=due").text

    assert "Provision on demand" in page
    assert 'href="/console/default/connect"' in page.split("<main", 1)[1]
    assert "Provision on demand" not in of_a_state


def test_who_is_not_active_in_entra_has_no_employee_for_that_reason(world: World, signs_in: SignsIn):
    """Entra sent them without a phone, and their account is disabled until Monday."""
    world.provisions(a_user(mobile=None))
    (driver,) = world.entra.directory.users.values()
    world.changes(driver, account_enabled=False)
    kari = signs_in()
    path = f"people/{person_id(world, driver.user_principal_name)}"

    page = kari.get(path).text
    world.changes(driver, account_enabled=True, mobile="+47 987 65 432")

    assert "because the user is not active in Entra" in page
    assert "is not active in Entra" not in kari.get(path).text
    assert world.ditio.company.employees


def test_whose_last_day_is_over_has_no_employee_for_that_reason(world: World, signs_in: SignsIn, clock: Clock):
    world.provisions(a_user(mobile=None, leave_date=(clock.now + timedelta(days=1)).date().isoformat()))
    clock.passes(days=5)
    (driver,) = world.entra.directory.users.values()
    world.changes(driver, mobile="+47 987 65 432")

    page = signs_in().get(f"people/{person_id(world, driver.user_principal_name)}").text

    assert "because the last day in Entra is over" in page
    assert not world.ditio.company.employees


def test_who_waits_for_a_worker_is_told_so(world: World, signs_in: SignsIn, clock: Clock):
    """The page of the person has the same detail as the list of all who wait."""
    with world.database.write("default") as s:
        beat(s, ProcessKind.worker, "one", "bridge-1")
    clock.passes(hours=1)
    world.ditio.faults.plan(Fault("refused-connection", times=None))
    world.provisions(a_user())
    kari = signs_in()

    page = kari.get(f"people/{person_id(world, 'kari.nordmann@contractor.example')}").text

    assert "no worker since" in page
    assert "no worker since" in kari.get("waiting").text
