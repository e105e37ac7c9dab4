"""The first day: what an operator decides, and what comes between."""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from threading import Event

import pytest
from sqlalchemy import func, select, update

from scim_bridge.adopt import run
from scim_bridge.adopt.link import CREATING, IN_DELIVERY, MOVED
from scim_bridge.domain.audit import Action, AuditRecord
from scim_bridge.domain.drift import Decision, Misfit
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import Creating, HandsOff
from scim_bridge.errors import CredentialsRefused, UntrustedRoster, WrongDecisions
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.scim.reading import ENTERPRISE_URN
from scim_bridge.storage.admin_tables import adoption_pairs, adoption_runs, snapshot
from scim_bridge.storage.tables import people
from tests.scenarios.test_first_day import (
    OPERATOR,
    Adopted,
    adopt,
    leaves,
    link,
    linked,
    pauses,
    plant,
    resumes,
    sends_everyone,
    skip,
)
from tests.scenarios.test_first_day import paused as paused
from tests.scenarios.test_reconciling import person
from tests.waiting import until_another_waits
from tests.world import World

# Decisions


@pytest.fixture
def stranger(paused: World) -> EntraUser:
    """Employee 1000 has nothing in common with the user but the number and the name."""
    kari = person(1000)
    plant(paused, kari, phone="+4740000000", email="old@x.example", birth_date=date(1980, 1, 1))
    sends_everyone(paused, kari)
    return kari


def test_what_was_decided_is_linked(paused: World, stranger: EntraUser):
    """`link`; what differs is drift, and the file may be read again."""
    for expected in (1, 0):
        done = adopt(paused, decisions=[link("1000", stranger)])
        assert (done.linked, done.disputed) == (expected, {})

    assert linked(paused) == {"1000": stranger.user_principal_name}
    resumes(paused)
    assert paused.ditio.writes() == []
    reconciliation = paused.parts.reconciliations["default"]
    found = {item.field for item in reconciliation.items(reconciliation.run(Request()).run.id)}
    assert found == {"phone", "email"}


def test_what_was_skipped_is_told_no_more(paused: World, stranger: EntraUser):
    """`skip`: also of an exact pair."""
    other = person(1001)
    plant(paused, other)
    sends_everyone(paused, other)

    done = adopt(paused, decisions=[skip("1000", stranger), skip("1001", other, 3)])

    assert done == Adopted([], {}, [], 0)


def test_a_decision_between_two_users(paused: World):
    """P1: the one is linked, and the other stays disputed unless he is skipped."""
    first = person(1000, employee_id=None)
    second = person(1001, employee_id=None, mail="person1000@contractor.example")
    plant(paused, first, number="1000")
    sends_everyone(paused, first, second)
    assert adopt(paused, apply=False, decisions=[skip("1000", first)]).disputed == {"person1001": ["1000"]}

    done = adopt(paused, decisions=[link("1000", second)])

    assert (done.pairs, done.disputed) == ([("1000", "person1001", "decision")], {"person1000": ["1000"]})
    assert linked(paused) == {"1000": second.user_principal_name}


def test_an_accepted_user_is_an_exact_pair(paused: World, stranger: EntraUser):
    """H1: `adopt --accept` counts here too, and is used up."""
    with paused.database.write("default") as s:
        s.at(paused.clock()).permissions.grant(EmployeeNumber("1000"), stranger.user_principal_name)

    assert adopt(paused).pairs == [("1000", "person1000", "decision")]


def test_an_accepted_user_is_no_other_employee(paused: World):
    """H1, P4: also where another number differs only in zeros: the operator said which of the two it is."""
    kari = person(1000)
    plant(paused, kari)
    plant(paused, kari, number="01000", phone="+4740000000")
    sends_everyone(paused, kari)
    assert adopt(paused).disputed == {"person1000": ["01000", "1000"]}
    with paused.database.write("default") as s:
        s.at(paused.clock()).permissions.grant(EmployeeNumber("1000"), kari.user_principal_name)

    assert adopt(paused) == Adopted([("1000", "person1000", "decision")], {}, [], 1)


MISFITS = {
    "Ditio shows no employee 999": lambda user, _: [link("999", user)],
    "but 01001: a spreadsheet may have dropped zeros": lambda user, _: [link("1001", user)],
    'no user is called "nobody@x.example"': lambda *_: [
        Decision(2, EmployeeNumber("1000"), "nobody@x.example", is_link=True)
    ],
    "is employee 5 already: take this decision out": lambda _, known: [link("1000", known)],
    'employee 5 is "person5@contractor.example" already': lambda user, _: [link("5", user)],
    "take one of them out": lambda user, _: [link("1000", user), skip("1000", user, 3)],
    "skip of the same two": lambda user, _: [skip("1000", user), link("1000", user, 3)],
    "another decision links this user to employee 1000": lambda user, _: [link("1000", user), link("77", user, 3)],
    'Entra gives the number 1002 to "person1002@contractor.example"': lambda user, _: [link("1002", user)],
    "Entra gives this user the number 1000, which is another employee": lambda user, _: [link("77", user)],
    'employee 5 is "person5@contractor.example" already: take this decision': lambda _, known: [skip("5", known)],
    "line 9: what the file says": lambda *_: [Misfit(9, "what the file says")],
}


def test_a_line_that_does_not_fit_is_named_and_nothing_is_linked(paused: World, stranger: EntraUser):
    """With the line's number and the cure; the lines that fit are not followed either."""
    known, exact = person(5), person(1002)
    plant(paused, known)
    sends_everyone(paused, known)
    adopt(paused)
    plant(paused, exact)
    paused.ditio.plant("77", "Siv", "Dahl", "+4790000077")
    paused.ditio.plant("01001", "Liv", "Dal", "+4790000078")
    sends_everyone(paused, exact)

    for told, decisions in MISFITS.items():
        with pytest.raises(WrongDecisions) as raised:
            adopt(paused, decisions=decisions(stranger, known))
        assert told in str(raised.value)
        assert "line " in str(raised.value)
        assert list(linked(paused)) == ["5"]


# What comes between


def test_a_person_who_is_being_delivered_is_left_to_the_next_run(paused: World):
    """D1: a person in another's hands is not touched; whose lease ran out is taken over for good."""
    kari = person(1000)
    plant(paused, kari)
    sends_everyone(paused, kari)
    moment = paused.clock() + timedelta(seconds=30)
    with paused.database.write() as s:
        s.connection.execute(update(people).values(lease="a worker", leased_until=moment))

    assert adopt(paused) == Adopted([], {"person1000": ["1000"]}, [IN_DELIVERY], 0)
    paused.clock.passes(minutes=1)
    assert adopt(paused).linked == 1
    with paused.database.write("default") as s:
        record = s.people.linked_to(EmployeeNumber("1000"))
        assert record is not None
        assert not s.at(paused.clock()).renew(record.person.id, "a worker", 30)


def test_whom_entra_changes_meanwhile_is_left_to_the_next_run(paused: World):
    """Nothing is linked by what was said before."""
    kari = person(1000)
    plant(paused, kari)
    sends_everyone(paused, kari)
    adoption = paused.parts.adoption("default")

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "comparing":
            paused.changes(kari, employee_id="1001")

    with adoption.run(apply_for=OPERATOR, progress=progress) as found:
        assert (found.linked, [pair.proposal.why for pair in found.disputed()]) == (
            0,
            [MOVED],
        )
    assert linked(paused) == {}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_whom_entra_changes_at_that_moment_is_waited_for(paused: World):
    """D1, A1: the link waits for the change, sees it, and settles nothing over it."""
    kari = person(1000)
    plant(paused, kari)
    sends_everyone(paused, kari)
    is_changed = Event()

    def changes() -> None:
        with paused.database.write() as s:
            s.connection.execute(update(people).values(revision=people.c.revision + 1))
            is_changed.set()
            until_another_waits(paused.database)

    with ThreadPoolExecutor(1) as pool:
        changing: list[Future[None]] = []

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage == "comparing" and not changing:
                changing.append(pool.submit(changes))
                assert is_changed.wait(60)

        with paused.parts.adoption("default").run(apply_for=OPERATOR, progress=progress) as found:
            assert (found.linked, [pair.proposal.why for pair in found.disputed()]) == (0, [MOVED])
        changing[0].result(timeout=60)
    assert linked(paused) == {}


def test_whom_ditio_may_be_creating_by_now_is_left_to_their_delivery(paused: World):
    """P6: the answer was lost after the pair was made. What was sent is not forgotten over a link."""
    kari = person(1000)
    plant(paused, kari)
    sends_everyone(paused, kari)
    creating = Creating(EmployeeNumber("1000"), "+4798765432", None, paused.clock())

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "comparing":
            with paused.database.write("default") as s:
                record = s.people.of_user_name(kari.user_principal_name)
                assert record is not None
                s.people.set_creating(record.person.id, creating)

    with paused.parts.adoption("default").run(apply_for=OPERATOR, progress=progress) as found:
        assert (found.linked, [pair.proposal.why for pair in found.disputed()]) == (0, [CREATING])
    assert linked(paused) == {}


def test_a_person_who_may_have_been_created_is_left_to_his_delivery(world: World):
    """P6: a POST whose answer was lost: his own delivery looks for what it made."""
    world.ditio.faults.plan(Fault("reset-after", method="POST", path="/employees"))
    kari = person(1000)
    world.provisions(kari)
    pauses(world)
    world.clock.passes(minutes=10)

    assert adopt(world) == Adopted([], {}, [], 0)
    resumes(world)
    assert (world.employee("1000").created_count, world.state(kari)[0]) == (1, "delivered")


def test_a_person_who_was_put_aside_is_linked_and_stays_aside(paused: World):
    """D6: nothing is sent for him."""
    kari = person(1000)
    plant(paused, kari, work_title="Lærling")
    sends_everyone(paused, kari)
    with paused.database.write("default") as s:
        record = s.people.of_user_name(kari.user_principal_name)
        assert record is not None
        s.hands_offs.set(record.person.id, HandsOff())

    assert adopt(paused).linked == 1
    resumes(paused)
    assert paused.ditio.writes() == []
    assert paused.state(kari)[0] == "held"


def test_half_a_roster_links_no_one(world: World):
    """Q4: fewer than half of those who are linked: of half a company anybody may look like the only one."""
    users = [person(1000 + number) for number in range(3)]
    sends_everyone(world, *users)
    world.ditio.company.employees.pop("1001")
    world.ditio.company.employees.pop("1002")

    with pytest.raises(UntrustedRoster, match="fewer than half of the 3"):
        adopt(world)


def test_an_error_leaves_nothing_behind(paused: World, stranger: EntraUser):
    """Q5: what was loaded is forgotten, and the next run is none the worse."""
    paused.ditio.faults.plan(Fault("status", status=400, times=None))
    with pytest.raises(CredentialsRefused):
        adopt(paused)
    paused.ditio.faults.clear()
    adopt(paused)

    with paused.database.read() as s:
        for table in (adoption_runs, adoption_pairs, snapshot):
            assert s.connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_a_run_that_died_is_forgotten_and_one_that_goes_on_is_not(paused: World):
    """Q5: `reconcile` and `adopt` throw away what is a day old, and nothing of a run that goes on beside them."""
    kari = person(1000)
    plant(paused, kari)
    sends_everyone(paused, kari)
    with paused.parts.adoption("default").run(apply_for=None) as found:
        paused.parts.reconciliations["default"].run(Request())
        assert [pair.employee_number for pair in found.pairs()] == ["1000"]
        assert adopt(paused, apply=False).pairs == [("1000", "person1000", "number")]
        assert len(list(found.disputes())) == 0
        assert len(list(found.pairs())) == 1
        paused.clock.passes(days=2)
        paused.parts.reconciliations["default"].run(Request())
        assert list(found.pairs()) == []


def test_more_than_fit_into_one_batch(paused: World, monkeypatch: pytest.MonkeyPatch):
    """Memory does not grow with the company: pairs are linked in batches, and each once."""
    monkeypatch.setattr(run, "BATCH", 2)
    monkeypatch.setattr(run, "BATCH", 2)
    users = [person(1000 + number) for number in range(5)]
    for user in users:
        plant(paused, user)
    sends_everyone(paused, *users)

    assert adopt(paused).linked == len(linked(paused)) == 5


def test_a_leaver_claims_what_ditio_shows_of_him(paused: World):
    """P3: a user who was inactive from the start claims number and phone once he is linked; another waits."""
    kari, second = person(1000), person(1001, mobile="+47 90001000")
    plant(paused, kari)
    body = {
        "userName": kari.user_principal_name,
        "active": False,
        "name": {"givenName": kari.given_name, "familyName": kari.surname},
        "phoneNumbers": [{"type": "mobile", "value": kari.mobile}],
        ENTERPRISE_URN: {"employeeNumber": "1000"},
    }
    assert paused.scim("POST", "/Users", body).status_code == 201
    assert adopt(paused).linked == 1
    resumes(paused)

    sends_everyone(paused, second)

    assert "phone +4790001000 still belongs to" in str(paused.state(second)[1])
    assert paused.ditio.writes() == []


def test_what_was_counted_as_acknowledged_is_not_sent_by_a_later_change_either(paused: World):
    """H5, C4: login and employment follow Entra's edges, and linking was none; other fields converge."""
    leaver, shut = person(1000), person(1001)
    plant(paused, leaver)
    plant(paused, shut, disabled=True, end=date(2025, 6, 30))
    sends_everyone(paused, leaver, shut)
    leaves(paused, leaver)
    adopt(paused)
    resumes(paused)

    paused.changes(leaver, job_title="Formann")
    paused.changes(shut, job_title="Formann")

    assert paused.sent() == [("PATCH", "/1000", {"workTitle": "Formann"}), ("PATCH", "/1001", {"workTitle": "Formann"})]
    paused.forget()
    paused.changes(leaver, account_enabled=True)
    assert paused.sent() == [], "he was never ended"


def test_while_one_value_waits_for_its_holder_the_others_are_repaired(paused: World):
    """Q2, P3: only the difference that is itself held is only listed."""
    kari, second = person(1000), person(1001, mobile="+47 90001000")
    plant(paused, kari)
    plant(paused, second, phone="+4740000001", work_title="Lærling")
    sends_everyone(paused, kari, second)
    assert adopt(paused).linked == 2
    resumes(paused)
    assert "90001000" in str(paused.state(second)[1])

    reconciliation = paused.parts.reconciliations["default"]
    report = reconciliation.run(Request(apply=True))

    assert (report.applied, report.exit) == (1, 0)
    assert {item.field: item.listed for item in reconciliation.items(report.run.id)} == {
        "phone": "another person has this value: see `outbox list`",
        "workTitle": None,
    }
    assert (paused.employee("1001").work_title, paused.state(second)[0]) == ("Maskinfører", "held")


def test_every_link_is_in_the_audit_trail(world: World):
    """Who linked whom, by ids; and nothing where nothing is linked."""
    paused = world
    paused.restarts_with(delivery={"paused": True})
    kari = person(1000)
    plant(paused, kari)
    paused.provisions(kari)
    adopt(paused, apply=False)

    with paused.database.read("default") as s:
        assert [each for each in s.audit.page(since=None, until=None) if _is_link(each)] == []
    adopt(paused)

    with paused.database.read("default") as s:
        (linked,) = [each for each in s.audit.page(since=None, until=None) if _is_link(each)]
    assert (linked.author, linked.deed.resource_id) == (OPERATOR, "1000")
    assert linked.deed.person_id is not None


def _is_link(audited: AuditRecord) -> bool:
    return audited.deed.action is Action.linked
