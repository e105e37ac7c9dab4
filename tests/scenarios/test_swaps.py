"""Values that others have: who waits for whom, what he is told, and how it comes free (rules P2, P3)."""

from typing import Any

import pytest

from scim_bridge.sandbox.gateway import Fault
from tests.world import World, a_user

pytestmark = pytest.mark.usefixtures("ends_at_once")

NAMES = ("kari", "per", "ola", "siv")
PHONES = ("+4798765432", "+4741234567", "+4790012345", "+4793333333")


def hires(world: World, count: int, *, with_e_mail: bool = True) -> list[Any]:
    """So many people, employees 1000, 1001, …, with their phones, all delivered."""
    users = [
        a_user(
            object_id=f"object-{name}",
            user_principal_name=f"{name}@contractor.example" if with_e_mail else name,
            mail=f"{name}@contractor.example" if with_e_mail else None,
            given_name=name.title(),
            mobile=PHONES[index],
            employee_id=str(1000 + index),
        )
        for index, name in enumerate(NAMES[:count])
    ]
    for user in users:
        world.provisions(user)
    world.clock.passes(minutes=1)
    return users


def turn(world: World, users: list[Any], attribute: str) -> None:
    """In Entra everyone gets the next one's value, in one cycle, and the last one the first's."""
    values = [getattr(user, attribute) for user in users]
    for user, value in zip(users, [*values[1:], values[0]], strict=True):
        setattr(user, attribute, value)
    world.entra.cycle()
    world.worker.run_until_idle()


def retry(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()
    settle(world)


def settle(world: World) -> None:
    for _ in range(4):
        world.worker.run_until_idle()
        world.clock.passes(minutes=30)


def renumbered_by_hand(world: World, number: str, new: str) -> None:
    world.ditio.company.change_number(number, new)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("attribute", ["mobile", "employee_id"])
def test_a_swap_is_held_and_told_to_each_of_the_ring(world: World, count: int, attribute: str):
    """P3: two, or a ring, who wait for each other's value are held, each is told, and nothing is sent."""
    users = hires(world, count)
    world.forget()
    turn(world, users, attribute)

    assert world.sent() == []
    for user in users:
        state, detail = world.state(user)
        assert state == "held"
        what = "phone numbers" if attribute == "mobile" else "employee numbers"
        assert str(detail).startswith(f"these swap {what}, ")
        assert str(detail).endswith(": change one in Ditio, then `outbox retry`")
        for n, name in enumerate(NAMES[:count]):
            assert f"{name}@contractor.example (employee {1000 + n})" in str(detail)


@pytest.mark.parametrize("count", [2, 3])
def test_a_swap_of_phones_is_undone_by_changing_one_in_ditio(world: World, count: int):
    """P3: `outbox retry` reads the holder first; what is no longer shown there is given up, and all go on."""
    users = hires(world, count)
    turn(world, users, "mobile")
    world.employee("1000").phone = "+4799999999"
    retry(world)

    assert [world.employee(str(1000 + n)).phone for n in range(count)] == [*PHONES[1:count], PHONES[0]]
    assert [world.state(user) for user in users] == [("delivered", None)] * count


@pytest.mark.parametrize("count", [2, 3])
def test_a_swap_of_numbers_is_undone_by_changing_one_in_ditio(world: World, count: int):
    """P3, P5: the one who was renumbered by hand is found by phone or e-mail, and keeps his employee."""
    users = hires(world, count)
    turn(world, users, "employee_id")
    renumbered_by_hand(world, "1000", "tmp")
    retry(world)

    assert sorted(world.ditio.company.employees) == [str(1000 + n) for n in range(count)]
    for n, user in enumerate(users):
        assert world.employee(user.employee_id).first_name == NAMES[n].title()
        assert world.state(user) == ("delivered", None)
    assert all(employee.created_count == 1 for employee in world.ditio.company.employees.values())


@pytest.mark.parametrize("with_e_mail", [True, False])
def test_numbers_that_were_exchanged_by_hand_mix_no_one_up(world: World, with_e_mail: bool):
    """P3, P5: who has the number of one is seen to be the other: nothing of one is sent to the other."""
    users = hires(world, 2, with_e_mail=with_e_mail)
    turn(world, users, "employee_id")
    for number, new in (("1000", "tmp"), ("1001", "1000"), ("tmp", "1001")):
        renumbered_by_hand(world, number, new)
    world.forget()
    retry(world)

    assert world.sent() == []
    assert (world.employee("1000").first_name, world.employee("1001").first_name) == ("Per", "Kari")
    assert [world.state(user) for user in users] == [("delivered", None)] * 2


@pytest.mark.parametrize("attribute", ["mobile", "employee_id"])
def test_reads_that_lag_mix_no_one_up(world: World, attribute: str):
    """P3, R4, C5: what was given up a moment ago may still be shown as the other's."""
    users = hires(world, 2)
    turn(world, users, attribute)
    if attribute == "mobile":
        world.employee("1000").phone = "+4799999999"
    else:
        renumbered_by_hand(world, "1000", "tmp")
    world.restyle(read_lag=1)
    retry(world)

    assert [world.state(user) for user in users] == [("delivered", None)] * 2
    for user, name in zip(users, NAMES, strict=False):
        assert world.employee(user.employee_id).first_name == name.title()
        assert world.employee(user.employee_id).phone == user.mobile.replace(" ", "")


def test_phones_that_were_exchanged_by_hand_are_acknowledged(world: World):
    """P3: both sides agree then, and nothing is sent."""
    users = hires(world, 2)
    turn(world, users, "mobile")
    world.employee("1000").phone, world.employee("1001").phone = PHONES[1], PHONES[0]
    world.forget()
    retry(world)

    assert world.sent() == []
    assert [world.state(user) for user in users] == [("delivered", None)] * 2


def test_a_number_that_another_got_by_hand_is_not_written_to(world: World):
    """P5: the employee under Kari's number is Per: parked, and Per keeps his name."""
    kari, _ = hires(world, 2)
    del world.ditio.company.employees["1000"]
    renumbered_by_hand(world, "1001", "1000")
    world.changes(kari, job_title="Formann")

    assert world.employee("1000").first_name == "Per"
    assert world.employee("1000").work_title == "Maskinfører"
    assert world.state(kari)[0] == "parked"


def test_a_retry_of_one_looks_at_himself_too(world: World):
    """P3: he who was changed by hand is retried alone: what he no longer has is free for the other."""
    kari, per = hires(world, 2)
    turn(world, [kari, per], "mobile")
    world.employee("1000").phone = "+4799999999"
    with world.database.write("default") as s:
        record = s.people.find("1000")
        assert record is not None
        assert s.outbox.retry(record.person.id) == 1
    settle(world)

    assert (world.employee("1000").phone, world.employee("1001").phone) == (PHONES[1], PHONES[0])
    assert [world.state(each) for each in (kari, per)] == [("delivered", None)] * 2


def test_without_a_change_in_ditio_a_retry_changes_nothing(world: World):
    """P3: what is still shown stays the holder's."""
    users = hires(world, 2)
    turn(world, users, "mobile")
    world.forget()
    retry(world)

    assert world.sent() == []
    assert all("these swap" in str(world.state(user)[1]) for user in users)


def test_only_a_retry_looks_at_the_holder(world: World):
    """A5, P3: a repeated write of Entra's reads no one else."""
    kari, per = hires(world, 2)
    turn(world, [kari, per], "mobile")
    world.forget()
    world.changes(per, job_title="Formann")

    assert world.ditio.calls("GET", "/employees/1000") == []


def test_an_active_holder_keeps_what_entra_wants_for_him(world: World):
    """P3: a phone that was edited by hand is still his whom Entra gives it to; one who doesn't wait keeps it."""
    _, per = hires(world, 2)
    world.changes(per, mobile=PHONES[0])
    world.employee("1000").phone = "+4799999999"
    retry(world)

    assert world.employee("1001").phone == PHONES[1]
    assert world.state(per)[0] == "held"
    assert "correct one of the two in Entra" in str(world.state(per)[1])


def test_a_waiter_is_told_that_the_holder_has_left_and_the_cure(world: World):
    """P3: an inactive person keeps what Ditio shows; once it is changed there, the waiter gets it, and he does not."""
    kari, per = hires(world, 2)
    world.changes(kari, account_enabled=False)
    world.clock.passes(minutes=1)
    world.changes(per, mobile=PHONES[0])
    detail = str(world.state(per)[1])
    assert "kari@contractor.example (employee 1000), who has left" in detail
    assert ": change it there in Ditio, then `outbox retry`" in detail

    world.employee("1000").phone = "+4799999999"
    retry(world)
    assert world.employee("1001").phone == PHONES[0]
    assert world.state(per) == ("delivered", None)

    world.changes(kari, job_title="Formann")
    settle(world)
    assert world.employee("1000").phone == "+4799999999"
    assert world.employee("1000").work_title == "Formann"


def test_who_has_left_by_his_leave_date_has_left(world: World):
    """P3, L2: the dates decide too, not `active` alone."""
    kari, per = hires(world, 2)
    world.changes(kari, leave_date="2026-03-05")
    world.clock.passes(days=10)
    world.worker.run_until_idle()
    world.changes(per, mobile=PHONES[0])

    assert "who has left" in str(world.state(per)[1])


def test_the_number_of_a_leaver_who_was_renumbered_by_hand_is_free(world: World):
    """P3, P5: the link follows the employee; the newcomer is hired, and the return of the other is no new employee."""
    (kari,) = hires(world, 1)
    world.changes(kari, account_enabled=False)
    world.clock.passes(minutes=1)
    per = a_user(
        object_id="newcomer",
        user_principal_name="per@contractor.example",
        mail="per@contractor.example",
        given_name="Per",
        mobile=PHONES[1],
        employee_id="1000",
        birth_date="1980-01-01",
    )
    world.provisions(per)
    assert world.state(per)[0] == "held"

    renumbered_by_hand(world, "1000", "1000-old")
    retry(world)

    assert world.employee("1000").first_name == "Per"
    assert world.state(per) == ("delivered", None)
    assert world.employee("1000-old").first_name == "Kari"
    world.changes(kari, account_enabled=True)
    settle(world)
    assert sorted(world.ditio.company.employees) == ["1000", "1000-old"]
    assert not world.employee("1000-old").disabled
    assert world.state(kari)[0] == "held"


def test_a_leaver_who_was_deleted_in_ditio_gives_his_number_up(world: World):
    """P3: nothing is owed to him and he is nowhere: the newcomer is hired."""
    (kari,) = hires(world, 1)
    world.changes(kari, account_enabled=False)
    world.clock.passes(minutes=1)
    per = a_user(
        object_id="newcomer", user_principal_name="per@x.example", mail="per@x.example", mobile=PHONES[1],
        given_name="Per", employee_id="1000", birth_date="1980-01-01",
    )  # fmt: skip
    world.provisions(per)
    del world.ditio.company.employees["1000"]
    retry(world)

    assert world.employee("1000").first_name == "Per"
    assert world.state(per) == ("delivered", None)


def test_a_leaver_who_is_not_found_keeps_the_number_while_their_ending_is_owed(world: World):
    """P3, L6: Ditio shows them again later, and then they are ended."""
    (kari,) = hires(world, 1)
    world.restyle(out_of_reach=frozenset({"1000"}))
    world.changes(kari, account_enabled=False)
    per = a_user(
        object_id="newcomer", user_principal_name="per@x.example", mail="per@x.example", mobile=PHONES[1],
        given_name="Per", employee_id="1000", birth_date="1980-01-01",
    )  # fmt: skip
    world.provisions(per)
    retry(world)
    assert world.state(per)[0] == "held"

    world.restyle(out_of_reach=frozenset())
    retry(world)

    assert world.employee("1000").disabled
    assert world.employee("1000").employment.end is not None
    assert world.employee("1000").first_name == "Kari"


def test_no_ending_waits_for_a_claim(world: World):
    """P3, L6: two who swap leave like anybody else."""
    users = hires(world, 2)
    turn(world, users, "mobile")
    for user in users:
        world.changes(user, account_enabled=False)

    assert all(world.employee(number).disabled for number in ("1000", "1001"))
    assert all(world.employee(number).employment.end is not None for number in ("1000", "1001"))
    assert all(world.state(user)[0] == "delivered" for user in users)


def test_a_holder_who_cant_be_read_stops_nothing_else(world: World):
    """P3, R3: of a linked person only the value waits, and it is tried again."""
    kari, per = hires(world, 2)
    turn(world, [kari, per], "mobile")
    world.employee("1000").phone = "+4799999999"
    world.restarts_with(delivery={"inline_seconds": 0})
    world.changes(per, job_title="Formann")
    world.ditio.faults.plan(Fault("status", status=503, path="/employees/1000", times=None))
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()

    assert world.employee("1001").work_title == "Formann"
    assert world.state(per)[0] == "due"
    world.ditio.faults.clear()
    settle(world)
    assert world.employee("1001").phone == PHONES[0]
    assert world.state(per) == ("delivered", None)


@pytest.mark.parametrize("returns", [True, False])
def test_the_earlier_user_of_a_person_ends_no_one_and_its_return_is_held(world: World, returns: bool):
    """P2: a soft-deleted account that is purged, or restored, after another person continued its person."""
    (kari,) = hires(world, 1)
    world.changes(kari, account_enabled=False)
    again = a_user(
        object_id="again", user_principal_name="kari2@contractor.example", mail="kari@contractor.example",
        given_name="Kari", mobile=PHONES[0], employee_id="1000",
    )  # fmt: skip
    world.provisions(again)
    assert not world.employee("1000").disabled
    world.forget()

    if returns:
        world.changes(kari, account_enabled=True)
        state, detail = world.state(kari)
        assert state == "held"
        assert "kari2@contractor.example" in str(detail)
    earlier = world.entra.scim_id(kari.object_id)
    world.deletes(kari)
    settle(world)

    assert world.scim("GET", f"/Users/{earlier}").status_code == 404
    assert world.sent() == []
    assert world.state(again)[0] == "delivered"


def test_a_newcomer_waits_for_an_ending_that_is_not_delivered(world: World):
    """P2: where the tombstone's ending is not delivered, the newcomer is held until it is."""
    (kari,) = hires(world, 1)
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    world.deletes(kari)
    per = a_user(
        object_id="newcomer", user_principal_name="per@x.example", mail="per@x.example", mobile=PHONES[1],
        given_name="Per", surname="Hansen", employee_id="1000", birth_date="1980-01-01",
    )  # fmt: skip
    world.provisions(per)
    world.worker.run_until_idle()
    state, detail = world.state(per)
    assert state == "held"
    assert "it becomes free once the ending is delivered" in str(detail)

    world.ditio.faults.clear()
    world.clock.passes(hours=2)
    settle(world)

    assert world.employee("1000").disabled
    assert world.employee("1000").first_name == "Kari"
    # H1 decides now: a stranger does not become her.
    assert world.state(per)[0] == "parked"
