"""The first day with a company that is in Ditio already: `adopt` says who is whom (rules D4, H1, H5, P1, P4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from scim_bridge.domain.audit import Actor, ActorKind, Author
from scim_bridge.domain.drift import Decision, Misfit
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.reconcile.apply import CREATED
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.style import Style, documented_styles
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people
from tests.conftest import Clock
from tests.scenarios.test_reconciling import person
from tests.world import World

OPERATOR = Author(Actor(ActorKind.operator, "1000"))


@dataclass
class Adopted:
    """What one run said."""

    pairs: list[tuple[str, str, str]]
    disputed: dict[str, list[str]]
    why: list[str | None]
    linked: int


def adopt(world: World, *, apply: bool = True, decisions: Iterable[Decision | Misfit] = ()) -> Adopted:
    with world.parts.adoption("default").run(apply_for=OPERATOR if apply else None, decisions=decisions) as found:
        disputed: dict[str, list[str]] = {}
        for pair in found.disputed():
            disputed.setdefault(pair.user_name.split("@")[0], []).append(pair.employee_number)
        pairs = [
            (str(pair.employee_number), pair.user_name.split("@")[0], pair.proposal.by.value) for pair in found.pairs()
        ]
        return Adopted(pairs, disputed, [pair.proposal.why for pair in found.disputed()], found.linked)


def link(number: str, user: EntraUser, line: int = 2) -> Decision:
    return Decision(line, EmployeeNumber(number), user.user_principal_name, is_link=True)


def skip(number: str, user: EntraUser, line: int = 2) -> Decision:
    return Decision(line, EmployeeNumber(number), user.user_principal_name, is_link=False)


def plant(world: World, user: EntraUser, **changes: Any) -> None:
    """The employee that this user is in Ditio already."""
    known: dict[str, Any] = {
        "number": user.employee_id,
        "first_name": user.given_name,
        "last_name": user.surname,
        "phone": "+47" + str(user.mobile).removeprefix("+47").replace(" ", ""),
        "email": user.mail,
        "work_title": user.job_title,
        "department": user.department,
        "start": date(2020, 1, 1),
        "birth_date": date(1990, 5, 15),
    }
    world.ditio.plant(**{**known, **changes})


def pauses(world: World) -> None:
    with world.database.write("default") as s:
        s.pauses.pause()


def resumes(world: World) -> None:
    with world.database.write("default") as s:
        s.pauses.resume()
    world.worker.run_until_idle()


def sends_everyone(world: World, *users: EntraUser) -> None:
    """Entra's initial cycle."""
    for each in users:
        world.entra.directory.add(each)
    world.cycle()
    world.clock.passes(minutes=10)


def leaves(world: World, user: EntraUser) -> None:
    """The account is blocked after the initial cycle, which does not send blocked ones."""
    world.changes(user, account_enabled=False)
    world.clock.passes(minutes=10)


def linked(world: World) -> dict[str, str]:
    """Employee number by user name."""
    with world.database.read("default") as s:
        return {
            str(record.person.employee_number): name
            for name in [each.user_principal_name for each in world.entra.directory.users.values()]
            if (record := s.people.of_user_name(name)) and record.person.employee_number
        }


@pytest.fixture
def paused(world: World) -> World:
    pauses(world)
    return world


@pytest.mark.usefixtures("ends_at_once")
def test_the_first_day(paused: World):
    """D4, H5: pause, initial cycle, adopt, reconcile, resume: what adopt has counted as acknowledged is never sent."""
    alike, edited, leaver, shut = (person(1000 + number) for number in range(4))
    stranger, newcomer = person(1004), person(1005)
    plant(paused, alike)
    plant(paused, edited, work_title="Lærling", department="Kontor")
    plant(paused, leaver)
    plant(paused, shut, disabled=True, end=date(2025, 6, 30))
    plant(paused, stranger, first_name="Ola", last_name="Li", phone="+4740000000", email="ola@x.example")
    paused.ditio.plant("77", "Siv", "Dahl", "+4790000077")
    sends_everyone(paused, alike, edited, leaver, shut, stranger, newcomer)
    leaves(paused, leaver)
    assert paused.ditio.requests == []

    shown = adopt(paused, apply=False)
    assert (linked(paused), shown.linked) == ({}, 0)
    done = adopt(paused)

    assert done.pairs == shown.pairs == [(str(1000 + n), f"person{1000 + n}", "number") for n in range(4)]
    assert (done.disputed, done.linked) == ({"person1004": ["1004"]}, 4)
    assert sorted(linked(paused)) == ["1000", "1001", "1002", "1003"]
    reconciliation = paused.parts.reconciliations["default"]
    plan = reconciliation.run(Request()).run
    told = {(item.kind.value, item.employee_number, item.field) for item in reconciliation.items(plan.id)}
    assert told == {
        ("should-be-inactive", "1002", "endDate"),
        ("should-be-inactive", "1002", "disabled"),
        ("should-be-active", "1003", "startDate"),
        ("should-be-active", "1003", "disabled"),
        ("field", "1001", "department"),
        ("field", "1001", "workTitle"),
        ("unmanaged", "1004", None),
        ("missing", "1005", "employeeNumber"),
        ("unmanaged", "77", None),
    }
    causes = {item.employee_number: item.cause.value for item in reconciliation.items(plan.id) if item.person_id}
    assert [causes[number] for number in ("1001", "1002", "1003")] == ["differed-when-linked"] * 3
    assert paused.ditio.writes() == []

    resumes(paused)

    created = [body["employeeNumber"] for method, _, body in paused.sent() if method == "POST"]
    assert (created, len(paused.sent())) == (["1005"], 1)
    assert paused.state(stranger)[0] == "parked"
    assert not paused.employee("1002").disabled
    paused.clock.passes(hours=1)
    report = reconciliation.run(Request(apply=True, plan_id=plan.id))
    assert report.applied == 6
    # What did happen: nobody at Entra's end has said anything since.
    assert [why for why in report.outcomes.values() if why] == [CREATED]
    assert paused.employee("1001").work_title == "Maskinfører"
    assert (paused.employee("1002").disabled, paused.employee("1003").disabled) == (True, False)
    assert paused.employee("1002").employment.end == date(2026, 3, 2)
    assert paused.employee("1003").employment.start == date(2026, 3, 1)


def test_what_differed_when_linked_and_what_was_edited_since(paused: World):
    """Q1, H5: an edit after the link is one, also of a login that was opened by hand meanwhile."""
    shut, alike = person(1000), person(1001)
    plant(paused, shut, disabled=True, work_title="Lærling")
    plant(paused, alike)
    sends_everyone(paused, shut, alike)
    adopt(paused)
    resumes(paused)
    reconciliation = paused.parts.reconciliations["default"]

    def causes() -> dict[tuple[str | None, str | None], str]:
        paused.clock.passes(hours=1)
        plan = reconciliation.run(Request()).run
        return {(item.employee_number, item.field): item.cause.value for item in reconciliation.items(plan.id)}

    paused.employee("1001").disabled = True
    first = {("1000", "disabled"): "differed-when-linked", ("1000", "workTitle"): "differed-when-linked"}
    assert causes() == {**first, ("1001", "disabled"): "edited-in-ditio"}
    for number in ("1000", "1001"):
        paused.employee(number).disabled = False
    assert causes() == {("1000", "workTitle"): "differed-when-linked"}
    paused.employee("1000").disabled = True
    assert causes()["1000", "disabled"] == "edited-in-ditio"


@pytest.mark.parametrize("said", [{"account_enabled": False}, {"leave_date": "9999-12-31"}])
@pytest.mark.parametrize("is_ended", [True, False])
def test_a_leave_date_that_has_passed_leaves_doubt_on_the_first_day_too(
    paused: World, said: dict[str, Any], is_ended: bool
):
    """L3, H5: linked and held; neither a delivery nor `reconcile` ends or hires before Entra says something else."""
    kari = person(1000)
    kari.leave_date, kari.hire_date = "2025-06-30", None
    plant(paused, kari, disabled=is_ended, end=date(2025, 6, 30) if is_ended else None)
    sends_everyone(paused, kari)
    assert adopt(paused).linked == 1
    resumes(paused)
    paused.parts.reconciliations["default"].run(Request(apply=True))
    assert paused.state(kari)[0] == "held"
    assert "2025-06-30" in str(paused.state(kari)[1])
    assert paused.ditio.writes() == []

    paused.changes(kari, **said)
    is_back = "leave_date" in said
    assert paused.employee("1000").disabled is not is_back
    assert (paused.employee("1000").employment.end is None) is is_back
    assert paused.state(kari)[0] == "delivered"


def test_running_it_again_changes_nothing(paused: World):
    """Design, section 9: who is linked is left alone."""
    kari = person(1000)
    plant(paused, kari)
    sends_everyone(paused, kari)
    adopt(paused)

    with paused.database.read() as s:
        before = s.connection.execute(select(people)).all()
    again = adopt(paused)

    with paused.database.read() as s:
        assert s.connection.execute(select(people)).all() == before
    assert again == Adopted([], {}, [], 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("style", documented_styles(), ids=lambda style: style.name)
def test_whatever_ditio_answers_like(database: Database, clock: Clock, style: Style):
    """Every documented form of the list; afterwards everyone is in sync, leavers included."""
    world = World(database, clock, style=style)
    pauses(world)
    users = [person(1000 + number) for number in range(3)]
    for user in users[:2]:
        plant(world, user)
    plant(world, users[2], disabled=True, end=date(2025, 6, 30))
    sends_everyone(world, *users)
    leaves(world, users[2])

    assert adopt(world).linked == 3
    world.clock.passes(minutes=10)
    resumes(world)

    found = world.parts.reconciliations["default"].run(Request())
    assert (found.exit, found.run.in_sync, world.ditio.writes()) == (0, 3, [])


@pytest.mark.parametrize(
    ("planted", "is_exact"),
    [
        ({"email": "other@x.example"}, True),
        ({"phone": "+4740000000", "email": "PERSON1000@contractor.example"}, True),
        ({"phone": "+4740000000", "email": None}, True),
        ({"phone": "+4740000000", "email": None, "last_name": "Li"}, False),
        ({"phone": "+4740000000", "email": None, "birth_date": None}, False),
    ],
    ids=["phone", "e-mail", "birth date and last name", "birth date alone", "name alone"],
)
def test_a_number_alone_proves_nothing(paused: World, planted: dict[str, Any], is_exact: bool):
    """H1: a pair by number is exact only if phone, e-mail, or birth date and last name agree."""
    kari = person(1000)
    plant(paused, kari, **planted)
    sends_everyone(paused, kari)

    done = adopt(paused)

    assert (done.linked, done.disputed) == ((1, {}) if is_exact else (0, {"person1000": ["1000"]}))


@pytest.mark.parametrize(
    ("planted", "by"),
    [({"phone": "+4740000000"}, "email"), ({"email": "other@x.example"}, "phone"), ({}, "email")],
    ids=["e-mail", "phone", "both"],
)
def test_without_a_number_e_mail_and_phone_tell(paused: World, planted: dict[str, Any], by: str):
    """Design, section 9: a pair by e-mail or phone only if Entra sends no number; the number is kept from then on."""
    kari = person(1000, employee_id=None)
    plant(paused, kari, **{"number": "77", **planted})
    sends_everyone(paused, kari)

    assert adopt(paused).pairs == [("77", "person1000", by)]
    resumes(paused)
    assert (linked(paused), paused.ditio.writes()) == ({"77": "person1000@contractor.example"}, [])
    assert "employeeNumber is missing" in str(paused.state(kari)[1])


@pytest.mark.parametrize("number", ["1000", ".."], ids=["another number", "one that can't be used"])
def test_with_a_number_a_look_alike_is_disputed(paused: World, number: str):
    """Design, section 9: Entra sends a number, and e-mail and phone are another employee's."""
    kari = person(1000, employee_id=number)
    plant(paused, kari, number="77")
    sends_everyone(paused, kari)

    assert adopt(paused) == Adopted([], {"person1000": ["77"]}, ["Entra sends another employee number"], 0)


def test_two_employees_for_one_user_are_disputed(paused: World):
    """Design, section 9: e-mail and phone are two employees'."""
    kari = person(1000, employee_id=None)
    plant(paused, kari, number="77", phone="+4740000000")
    plant(paused, kari, number="78", email="other@x.example")
    sends_everyone(paused, kari)

    assert adopt(paused).disputed == {"person1000": ["77", "78"]}


def test_two_users_for_one_employee_are_disputed(paused: World):
    """P1: an employee is linked to one person at most."""
    first, second = person(1000), person(1001, employee_id=None, mail="person1000@contractor.example")
    plant(paused, first)
    sends_everyone(paused, first, second)

    done = adopt(paused)

    assert (done.disputed, done.linked) == ({"person1000": ["1000"], "person1001": ["1000"]}, 0)


def test_a_phone_in_common_takes_no_one_from_a_person_who_has_the_number(paused: World):
    """The switchboard's phone: a person who is to be hired shares it with an employee whose number another has."""
    first, newcomer = person(1000), person(1001, mobile="+47 90001000")
    plant(paused, first)
    sends_everyone(paused, first, newcomer)

    done = adopt(paused)

    assert (done.pairs, done.disputed) == ([("1000", "person1000", "number")], {"person1001": ["1000"]})


@pytest.mark.parametrize("also", [False, True], ids=["the other alone", "both"])
def test_numbers_that_differ_in_zeros_are_disputed(paused: World, also: bool):
    """P4: case and leading zeros: listed, and never joined by themselves."""
    kari = person(1000, employee_id="a1000")
    plant(paused, kari, number="0A1000", phone="+4740000000" if also else "+4790001000")
    if also:
        plant(paused, kari)
    sends_everyone(paused, kari)

    assert adopt(paused).disputed == {"person1000": ["0A1000", "a1000"] if also else ["0A1000"]}


def test_users_whose_numbers_differ_in_zeros_are_disputed(paused: World):
    """P4: both ask for the same employee."""
    first, second = person(1000), person(1001, employee_id="01000")
    plant(paused, first)
    sends_everyone(paused, first, second)

    assert adopt(paused).disputed == {"person1000": ["1000"], "person1001": ["1000"]}


def test_an_employee_who_is_linked_is_given_to_no_one_else(world: World):
    """P1: a second user with the number, or the e-mail address, of a person who is linked."""
    kari = person(1000)
    world.provisions(kari)
    pauses(world)
    second, third = person(1001, employee_id="1000"), person(1002, employee_id=None, mail=kari.mail)
    sends_everyone(world, second, third)

    done = adopt(world)

    assert (done.disputed, done.linked) == ({"person1001": ["1000"], "person1002": ["1000"]}, 0)
    assert linked(world) == {"1000": kari.user_principal_name}


def test_no_one_is_paired_who_has_nothing_in_common(paused: World):
    """A person to be hired, and an employee whom no one claims: neither is told."""
    paused.ditio.plant("77", "Siv", "Dahl", "+4790000077")
    sends_everyone(paused, person(1000))

    assert adopt(paused) == Adopted([], {}, [], 0)
