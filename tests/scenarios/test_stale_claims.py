"""A holder is read in Ditio, and something happens meanwhile: claims change hands when a delivery settles (rule P3)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select, update

from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.tables import people
from tests.scenarios.test_reconciling import person
from tests.scenarios.test_swaps import PHONES, hires, renumbered_by_hand, retry, settle, turn
from tests.waiting import until_another_waits
from tests.world import World, a_user

pytestmark = pytest.mark.usefixtures("ends_at_once")

BY_HAND = "+4799999999"


@pytest.fixture
def queued(world: World) -> World:
    """Only the worker delivers: what Entra says in the middle of a delivery waits for it."""
    world.restarts_with(delivery={"inline_seconds": 0})
    return world


def a_leaver_whose_phone_is_free_by_hand(world: World) -> tuple[EntraUser, EntraUser]:
    """Kari has left, and an operator of Ditio gave her another phone; Per waits for the one that she had."""
    kari, per = hires(world, 2)
    settle(world)
    world.changes(kari, account_enabled=False)
    settle(world)
    world.changes(per, mobile=PHONES[0])
    settle(world)
    assert world.state(per)[0] == "held"
    world.employee("1000").phone = BY_HAND
    return kari, per


def a_newcomer(world: World) -> EntraUser:
    """A user with the number of a leaver, who is another person."""
    user = a_user(object_id="new", user_principal_name="new@x.no", mail="new@x.no", given_name="Siv",
                  mobile=BY_HAND, employee_id="1000", birth_date="1980-01-01")  # fmt: skip
    world.provisions(user)
    assert world.state(user)[0] == "held"
    return user


def while_the_holder_is_read(world: World, monkeypatch: pytest.MonkeyPatch, step: Callable[[], object]) -> None:
    """Do something once, after Ditio has shown employee 1000, and before the bridge concludes anything from it."""
    ditio = world.parts.tenants["default"].ditio
    get, left = ditio.get, [step]

    def getting(number: Any, **options: Any) -> Any:
        found = get(number, **options)
        if number == "1000" and left:
            left.pop()()
        return found

    monkeypatch.setattr(ditio, "get", getting)


def is_retried(world: World, user: EntraUser) -> None:
    """One attempt of the worker, for this person alone."""
    with world.database.write("default") as s:
        record = s.people.find(user.user_principal_name)
        assert record is not None
        s.outbox.retry(record.person.id)
    world.worker.run_until_idle()


def lease(world: World, name: str | None, until: Any = None) -> None:
    with world.database.write("default") as s:
        s.connection.execute(
            update(people).where(people.c.employee_number == "1000").values(lease=name, leased_until=until)
        )


def test_a_holder_who_is_being_delivered_gives_nothing_up(queued: World, monkeypatch: pytest.MonkeyPatch):
    """P3, D1: what that delivery is about to write is not known; the waiter comes again, and then it is free."""
    _, per = a_leaver_whose_phone_is_free_by_hand(queued)
    later = queued.clock().replace(year=2027)
    while_the_holder_is_read(queued, monkeypatch, lambda: lease(queued, "another process", later))
    is_retried(queued, per)

    assert queued.state(per)[0] == "due"
    assert queued.employee("1001").phone == PHONES[1]
    with queued.database.read() as s:
        assert s.connection.execute(select(people.c.lease).where(people.c.employee_number == "1000")).one() == (
            "another process",
        )

    lease(queued, None)
    settle(queued)
    assert queued.employee("1001").phone == PHONES[0]
    assert queued.state(per) == ("delivered", None)
    with queued.database.read("default") as s:
        kari = s.people.linked_to(EmployeeNumber("1000"))
        assert kari is not None
        assert kari.person.acknowledged.phone is None, "what is another's by now identifies no one"


def test_a_holder_who_returns_meanwhile_keeps_what_they_want(queued: World, monkeypatch: pytest.MonkeyPatch):
    """P3, L4: Entra says active again while Ditio is read: the phone is theirs, and the waiter goes on waiting."""
    kari, per = a_leaver_whose_phone_is_free_by_hand(queued)
    while_the_holder_is_read(queued, monkeypatch, lambda: queued.changes(kari, account_enabled=True))
    is_retried(queued, per)
    settle(queued)

    assert queued.employee("1000").phone == PHONES[0]
    assert not queued.employee("1000").disabled
    assert queued.state(kari)[0] == "delivered"
    assert queued.employee("1001").phone == PHONES[1]
    assert queued.state(per)[0] == "held"


def test_a_value_that_was_sent_without_an_answer_is_not_given_up(queued: World):
    """P3, R4: Ditio may have the phone already, or apply it late, though it shows the old one."""
    kari, per = hires(queued, 2)
    settle(queued)
    for method in ("POST", "PATCH", "PUT"):
        queued.ditio.faults.plan(Fault("status", status=503, method=method, path="/employees/1000", times=None))
    queued.changes(kari, mobile=BY_HAND)
    queued.worker.run_until_idle()
    queued.changes(per, mobile=BY_HAND)
    queued.changes(kari, account_enabled=False)
    queued.worker.run_until_idle()
    assert (queued.state(kari)[0], queued.state(per)[0]) == ("due", "held")

    is_retried(queued, per)
    assert queued.employee("1001").phone == PHONES[1]
    assert queued.state(per)[0] == "held"

    queued.ditio.faults.clear()
    settle(queued)
    assert queued.employee("1000").disabled
    assert queued.employee("1000").phone != queued.employee("1001").phone


def test_a_holder_who_was_linked_just_now_is_not_taken_for_absent(world: World):
    """P3, R4: Ditio may not show them yet. Their number is not given to a newcomer for that."""
    kari = person(1000)
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    newcomer = a_newcomer(world)
    world.restyle(out_of_reach=frozenset({"1000"}))
    is_retried(world, newcomer)

    with world.database.read() as s:
        found = s.connection.execute(select(people.c.employee_number, people.c.active)).all()
    assert set(found) == {("1000", False), (None, True)}
    world.restyle(out_of_reach=frozenset())
    settle(world)
    assert world.employee("1000").first_name == "Given1000"
    assert world.employee("1000").disabled
    assert world.state(newcomer)[0] == "held"


def shows(world: World, monkeypatch: pytest.MonkeyPatch, **phone: str | None) -> None:
    """From now on Ditio shows employee 1000 with this phone, or without any."""
    ditio = world.parts.tenants["default"].ditio
    get = ditio.get

    def getting(number: Any, **options: Any) -> Any:
        found = get(number, **options)
        if found is None or number != "1000":
            return found
        others = {name: value for name, value in found.values.items() if name is not Field.phone}
        return replace(found, values={**others, **{Field(name): value for name, value in phone.items()}})

    monkeypatch.setattr(ditio, "get", getting)


def test_an_answer_without_a_phone_proves_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    """P3, C2: a field that is absent from an answer is unknown. The phone stays the leaver's."""
    _, per = a_leaver_whose_phone_is_free_by_hand(world)
    shows(world, monkeypatch)
    is_retried(world, per)
    settle(world)

    assert world.employee("1001").phone == PHONES[1]
    assert world.state(per)[0] == "held"


def test_a_phone_that_was_sent_a_moment_ago_is_theirs_whatever_is_shown(world: World, monkeypatch: pytest.MonkeyPatch):
    """P3, C5: a read may lag behind the leaver's new phone."""
    kari, per = hires(world, 2)
    settle(world)
    world.changes(kari, account_enabled=False)
    settle(world)
    world.changes(kari, mobile=BY_HAND)
    assert world.employee("1000").phone == BY_HAND
    world.changes(per, mobile=BY_HAND)
    shows(world, monkeypatch, phone=PHONES[0])
    is_retried(world, per)

    assert world.employee("1001").phone == PHONES[1]
    assert world.state(per)[0] == "held"


def test_ditio_s_own_form_of_a_phone_is_that_phone(world: World):
    """P3, C2: it is the value that the leaver has, though it looks like another one."""
    _, per = a_leaver_whose_phone_is_free_by_hand(world)
    with world.database.write("default") as s:
        record = s.people.find("1000")
        assert record is not None
        sent = record.person.acknowledged.sent_values[Field.phone]
        s.acknowledged.learn(record.person.id, {Field.phone: replace(sent, form=BY_HAND, is_confirmed=True)})
    is_retried(world, per)
    settle(world)

    assert world.employee("1001").phone == PHONES[1]
    assert world.state(per)[0] == "held"


@pytest.mark.parametrize("returns", [True, False])
def test_a_holder_who_is_gone_but_to_work_keeps_their_link(world: World, returns: bool):
    """P3, P5: they were linked, so no other employee is created for them, and their number is no other's yet."""
    kari, per = hires(world, 2)
    settle(world)
    if returns:
        world.changes(kari, account_enabled=False)
        settle(world)
        kari.account_enabled = True
    del world.ditio.company.employees["1000"]
    kari.employee_id, per.employee_id = "2000", "1000"
    world.entra.cycle()
    settle(world)
    world.forget()
    is_retried(world, per)
    settle(world)

    assert world.sent() == []
    assert world.state(kari)[0] == "parked"
    assert world.state(per)[0] == "held"


def test_a_leaver_whose_phone_another_employee_has_now_is_absent(world: World):
    """P3, P2: that employee is linked to another person, and is not the leaver who was renumbered."""
    kari, ola = hires(world, 2)
    settle(world)
    world.changes(kari, account_enabled=False)
    settle(world)
    del world.ditio.company.employees["1000"]
    world.employee("1001").phone = PHONES[0]
    newcomer = a_newcomer(world)
    is_retried(world, newcomer)
    settle(world)

    assert world.employee("1000").first_name == "Siv"
    assert world.employee("1001").first_name == "Per"
    assert world.state(newcomer) == ("delivered", None)
    assert world.state(ola)[0] == "delivered"


def test_an_exchange_needs_both_to_be_who_they_are(world: World):
    """P3, P5: the holder has the waiter's number, but a stranger has the holder's: no one is linked to the stranger."""
    users = hires(world, 2)
    turn(world, users, "employee_id")
    renumbered_by_hand(world, "1001", "9001")
    renumbered_by_hand(world, "1000", "1001")
    world.ditio.plant("1000", first_name="Ola", last_name="Fremmed", phone="+4741111111", email="ola@other.example")
    linked: list[str | None] = []
    ditio = world.parts.tenants["default"].ditio
    get = ditio.get

    def getting(number: Any, **options: Any) -> Any:
        with world.database.read("default") as s:
            per = s.people.of_user_name(users[1].user_principal_name)
            linked.append(per.person.employee_number if per is not None else None)
        return get(number, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ditio, "get", getting)
        is_retried(world, users[1])
        retry(world)

    assert set(linked) == {"1001", "9001"}
    assert [world.employee(each).first_name for each in ("1000", "1001", "9001")] == ["Ola", "Kari", "Per"]
    assert [world.state(each)[0] for each in users] == ["delivered", "parked"]


def test_a_leaver_who_may_be_either_of_two_employees_gives_nothing_up(world: World):
    """P3, P4: an administrator has to decide who is who."""
    (kari,) = hires(world, 1)
    settle(world)
    world.changes(kari, account_enabled=False)
    settle(world)
    del world.ditio.company.employees["1000"]
    world.ditio.plant("5001", phone=PHONES[0], email="5001@other.example")
    world.ditio.plant("5002", phone="+4741111111", email="kari@contractor.example")
    newcomer = a_newcomer(world)
    is_retried(world, newcomer)
    settle(world)

    assert world.state(newcomer)[0] == "held"
    assert "1000" not in world.ditio.company.employees


def test_a_leaver_who_was_renumbered_by_hand_keeps_the_phone_that_is_shown(world: World):
    """P3, P5: it is theirs under any number."""
    kari, per = hires(world, 2)
    settle(world)
    world.changes(kari, account_enabled=False)
    settle(world)
    world.changes(per, mobile=PHONES[0])
    renumbered_by_hand(world, "1000", "9000")
    is_retried(world, per)
    settle(world)

    assert world.state(per)[0] == "held"
    assert world.employee("1001").phone == PHONES[1]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_holder_who_is_leased_at_this_moment_is_waited_for(queued: World, monkeypatch: pytest.MonkeyPatch):
    """P3, D1: the claim is released under a lock on the holder, so no delivery begins in between."""
    _, per = a_leaver_whose_phone_is_free_by_hand(queued)
    later, is_locked = queued.clock().replace(year=2027), Event()

    def leases() -> None:
        with queued.database.write("default") as s:
            number = people.c.employee_number == "1000"
            s.connection.execute(update(people).where(number).values(lease="another", leased_until=later))
            is_locked.set()
            until_another_waits(queued.database)

    with ThreadPoolExecutor(1) as pool:
        leasing: list[Any] = []

        def begins() -> None:
            leasing.append(pool.submit(leases))
            assert is_locked.wait(60)

        while_the_holder_is_read(queued, monkeypatch, begins)
        is_retried(queued, per)
        leasing[0].result(timeout=60)

    assert queued.state(per)[0] == "due"
    assert queued.employee("1001").phone == PHONES[1]
