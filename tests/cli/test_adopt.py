"""`scim-bridge adopt --accept`: an operator says which user an employee is (rule H1)."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import adoption_permissions
from tests.cli.conftest import Run
from tests.conftest import Clock
from tests.world import World, a_user

KARI = "Kari.Nordmann@contractor.example"


@pytest.fixture
def stranger(world: World) -> World:
    """Ditio has an employee 1042 in whom nothing agrees with Entra's Kari; a worker delivers."""
    world.ditio.plant("1042", "Kari", "Hansen", "+4741111111", email="kari@old.example")
    world.restarts_with(delivery={"inline_seconds": 0})
    # Commands read the machine's clock.
    world.clock.now = datetime.now(UTC)
    return world


def permissions(database: Database) -> int:
    with database.read() as s:
        return s.connection.execute(select(func.count()).select_from(adoption_permissions)).scalar_one()


def delivers(world: World, user: EntraUser) -> str:
    """Entra creates the user, a worker delivers; the state then."""
    world.provisions(user)
    world.clock.passes(minutes=1)
    world.worker.run_until_idle()
    return world.state(user)[0]


def test_a_stored_person_is_due_and_takes_the_employee(run: Run, stranger: World, database: Database):
    """H1: the permission makes a stored person due; linking uses it up; nothing is printed on standard output."""
    kari = a_user()
    assert delivers(stranger, kari) == "parked"

    result = run("adopt", "--accept", "1042", KARI)

    assert (result.exit_code, result.stdout) == (0, "")
    assert "the person is due" in result.stderr
    assert stranger.state(kari)[0] == "due"
    assert permissions(database) == 1
    stranger.clock.passes(minutes=1)
    stranger.worker.run_until_idle()
    assert stranger.state(kari) == ("delivered", None)
    employee = stranger.employee("1042")
    assert (employee.created_count, employee.last_name, employee.phone) == (0, "Nordmann", "+4798765432")
    assert permissions(database) == 0


def test_entras_next_try_uses_it_where_no_one_is_stored(run: Run, stranger: World, database: Database):
    """H1: where the create was undone, Entra's next try is linked, however the name is spelled."""
    result = run("adopt", "--accept", " 1042 ", KARI.upper())
    assert result.exit_code == 0
    assert "Entra's next try" in result.stderr

    assert delivers(stranger, a_user()) == "delivered"
    assert permissions(database) == 0


@pytest.mark.usefixtures("ends_at_once")
def test_it_counts_once(run: Run, stranger: World):
    """H1: one-time. A person who comes later under that name is a stranger again."""
    run("adopt", "--accept", "1042", KARI)
    kari = a_user()
    assert delivers(stranger, kari) == "delivered"
    stranger.deletes(kari)
    stranger.worker.run_until_idle()
    employee = stranger.employee("1042")
    employee.first_name, employee.last_name, employee.phone, employee.email = "Ola", "Li", "+4740000000", "o@x.example"

    later = a_user(object_id="later", mobile="41234567", mail="later@x.example", birth_date=None)
    assert delivers(stranger, later) == "parked"


def test_it_is_for_this_user_only(run: Run, stranger: World):
    """H1: another user with the number is refused all the same."""
    run("adopt", "--accept", "1042", "somebody.else@contractor.example")

    assert delivers(stranger, a_user()) == "parked"
    assert stranger.employee("1042").last_name == "Hansen"


def test_it_runs_out(stranger: World, clock: Clock, database: Database):
    """H1: a permission that no one used is none for ever, and is forgotten when the next is given."""
    with database.write("default") as s:
        until = s.permissions.grant("1042", KARI)
    clock.passes(days=(until - clock()).days + 1)

    assert delivers(stranger, a_user()) == "parked"
    with database.write("default") as s:
        s.permissions.grant("7", "ola@contractor.example")
    assert permissions(database) == 1


def test_it_outweighs_the_setting(run: Run, stranger: World):
    """H1: `DELIVERY__ADOPT` = `never` is about what the bridge concludes, not about what an operator says."""
    stranger.restarts_with(delivery={"adopt": "never", "inline_seconds": 0})
    run("adopt", "--accept", "1042", KARI)

    assert delivers(stranger, a_user()) == "delivered"


def test_another_number_in_entra_is_told(run: Run, stranger: World, database: Database):
    """A slip in the number: nothing is recorded."""
    delivers(stranger, a_user())

    result = run("adopt", "--accept", "1043", KARI)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "has the employee number 1042 in Entra, not 1043" in result.stderr
    assert permissions(database) == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (KARI, "already linked to employee 1042"),
        ("ola@contractor.example", "employee 1042 is already linked to kari.nordmann@contractor.example"),
    ],
)
def test_an_employee_who_is_linked_is_not_given_away(run: Run, world: World, database: Database, name: str, told: str):
    """P2: an employee is linked to one person at most."""
    world.provisions(a_user())

    result = run("adopt", "--accept", "1042", name)

    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr
    assert permissions(database) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--accept"],
        ["--accept", "1042"],
        ["--accept", "1042", "a@b.example", "c"],
        ["--accept", "1042", " "],
        ["--accept", "..", "a@b.example"],
        ["--accept", "", "a@b.example"],
        ["--decisions", "nowhere.csv"],
        ["--format", "csv"],
        ["--accept", "1042", "a@b.example", "--tenant", "nowhere"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_1_and_names_what_to_write(run: Run, database: Database, words: list[str]):
    """Design, section 5: wrong usage of `adopt` is 1."""
    result = run("adopt", *words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "adopt --accept EMPLOYEE_NUMBER USER_NAME" in result.stderr
    assert permissions(database) == 0
