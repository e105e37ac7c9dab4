"""Held and completed: data that is missing or unusable waits, and nothing is lost."""

from typing import Any

import pytest

from scim_bridge.domain.operations import Answer, CreateEmployee, Operation
from scim_bridge.sandbox.gateway import Fault
from tests.world import World, a_user


def test_a_missing_number_is_held_and_delivered_once_it_arrives(styled: World):
    """H3: 2xx, state `held`, the attribute named; delivered by itself once it arrives."""
    kari = a_user(employee_id=None)
    step = styled.provisions(kari)

    assert step.status == 201
    state, detail = styled.state(kari)
    assert state == "held"
    assert detail is not None
    assert "employeeNumber" in detail
    assert styled.ditio.requests == []

    styled.changes(kari, employee_id="1042")

    assert styled.employee("1042").created_count == 1
    assert styled.state(kari) == ("delivered", None)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mobile": None}, "phone"),
        ({"mobile": "123"}, "123"),
        ({"mobile": "98765432 / 41234567"}, "98765432 / 41234567"),
        ({"employee_id": ".."}, ".."),
        ({"employee_id": "x" * 65}, "64"),
        ({"hire_date": "3/2/2026"}, "FormatDateTime"),
        ({"given_name": None, "display_name": None}, "givenName"),
        ({"given_name": "K" * 300, "display_name": None}, "givenName"),
    ],
)
def test_what_cant_be_used_is_held_and_named(world: World, changes: dict[str, object], named: str):
    """H3, P7, T1: held, never a 500, and the detail names attribute, value and cure."""
    kari = a_user(**changes)
    step = world.provisions(kari)

    assert step.status == 201
    state, detail = world.state(kari)
    assert state == "held"
    assert detail is not None
    assert named in detail
    assert world.sent() == []


def test_refuse_answers_400_and_keeps_nothing(world: World):
    """H3: `DELIVERY__ON_INCOMPLETE` = `refuse`: 400, and nothing half-written stays."""
    world.restarts_with(delivery={"on_incomplete": "refuse"})
    kari = a_user(mobile="123")

    step = world.provisions(kari)

    assert step.status == 400
    assert step.detail is not None
    assert "123" in step.detail
    assert world.scim("GET", "/Users").json()["totalResults"] == 0

    world.changes(kari, mobile="98765432")
    assert world.employee("1042").created_count == 1


def test_what_ditio_wants_besides_is_held_as_incomplete(world: World):
    """H3: an error of Ditio's that names a field we did not send is *incomplete*, not *refused*."""
    world.restyle(birth_date_required=True)
    kari = a_user(birth_date=None)
    world.provisions(kari)

    state, detail = world.state(kari)
    assert state == "held"
    assert detail is not None
    assert "BirthDate" in detail or "birthDate" in detail

    world.changes(kari, birth_date="1990-05-15")
    assert world.state(kari) == ("delivered", None)
    assert world.employee("1042").created_count == 1


def test_two_users_with_one_number_the_second_waits(world: World):
    """P3: the second is held, naming the first; when the first gives the number up, the second goes on."""
    kari = a_user()
    world.provisions(kari)
    per = a_user(
        object_id="5d1f3c0e-0000-4000-8000-00000000beef",
        user_principal_name="per@contractor.example",
        mail="per@contractor.example",
        mobile="41234567",
        given_name="Per",
    )
    world.provisions(per)

    state, detail = world.state(per)
    assert state == "held"
    assert detail is not None
    assert "1042" in detail
    assert "kari.nordmann@contractor.example" in detail

    world.changes(kari, employee_id="1043")
    world.worker.run_until_idle()

    assert world.employee("1043").first_name == "Kari"
    assert world.employee("1042").first_name == "Per"
    assert world.state(per) == ("delivered", None)


def test_a_taken_phone_holds_only_that_value_of_a_linked_person(world: World):
    """P3: of a linked person only that value waits, and everything else flows on."""
    kari = a_user()
    per = a_user(
        object_id="5d1f3c0e-0000-4000-8000-00000000beef",
        user_principal_name="per@contractor.example",
        mail="per@contractor.example",
        mobile="41234567",
        given_name="Per",
        employee_id="1043",
    )
    world.provisions(kari)
    world.provisions(per)
    world.forget()

    world.changes(per, mobile="98765432", job_title="Formann")

    assert world.sent() == [("PATCH", "/1043", {"workTitle": "Formann"})]
    assert world.state(per)[0] == "held"

    world.changes(kari, mobile="90012345")
    world.worker.run_until_idle()
    assert world.employee("1043").phone == "+4798765432"
    assert world.state(per) == ("delivered", None)


@pytest.mark.parametrize("kind", ["timeout-after", "reset-after", "timeout-before", "reset-before"])
def test_an_answer_that_is_lost_hires_no_one_twice(world: World, kind: str):
    """R4, P6: after an ambiguous answer the next attempt reads first; the employee is created once."""
    world.ditio.faults.plan(Fault(kind=kind, method="POST", path="/employees"))
    kari = a_user()
    step = world.provisions(kari)
    assert step.status == 201

    world.clock.passes(hours=1)
    world.worker.run_until_idle()

    assert world.employee("1042").created_count == 1
    assert world.state(kari) == ("delivered", None)


@pytest.mark.parametrize("status", [400, 409])
def test_a_duplicate_that_is_our_own_is_ours(world: World, status: int):
    """R4: a POST refused as a duplicate is read again before it is believed: it may be our own, applied late."""
    world.restyle(duplicates=str(status), read_lag=3)
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    for _ in range(6):
        world.clock.passes(hours=1)
        world.worker.run_until_idle()
        _retry_parked(world)

    assert world.employee("1042").created_count == 1
    assert world.state(kari) == ("delivered", None)


def test_a_creation_that_something_in_between_repeated_is_ours(world: World, monkeypatch: pytest.MonkeyPatch):
    """R4: a proxy sent our POST twice, and answers with the second one's refusal: read again before it is believed."""
    ditio = world.parts.tenants["default"].ditio
    send = ditio.send

    def send_twice(operation: Operation, number: Any, **options: Any) -> Answer:
        if isinstance(operation, CreateEmployee):
            send(operation, number, **options)
        return send(operation, number, **options)

    monkeypatch.setattr(ditio, "send", send_twice)
    kari = a_user()
    step = world.provisions(kari)

    assert step.status == 201
    assert world.state(kari) == ("delivered", None)
    assert world.employee("1042").created_count == 1


@pytest.mark.usefixtures("ends_at_once")
def test_a_person_who_left_before_the_lost_answer_was_learned_is_still_offboarded(world: World):
    """H2: while *creating* is stored, an inactive person is read first, linked and offboarded."""
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.changes(kari, account_enabled=False)
    world.ditio.faults.clear()

    world.clock.passes(hours=1)
    world.worker.run_until_idle()

    assert world.employee("1042").disabled
    assert world.employee("1042").employment.end is not None


def _retry_parked(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()


@pytest.mark.parametrize("ends", ["leaves", "is deleted", "stays"])
@pytest.mark.usefixtures("ends_at_once")
def test_whom_a_lost_creation_made_is_found_under_the_wanted_number_too(world: World, ends: str):
    """H2, P6: read under the stored number and every wanted one; who matches is linked, and offboarded if he left.

    A person in Ditio gave the employee the number that Entra wants by now.
    """
    world.ditio.faults.plan(Fault(kind="reset-after", method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    world.ditio.company.change_number("1042", "2042")
    world.restarts_with(delivery={"inline_seconds": 0})
    world.changes(kari, employee_id="2042", account_enabled=ends != "leaves")
    if ends == "is deleted":
        world.deletes(kari)
    for _ in range(3):
        world.clock.passes(hours=1)
        world.worker.run_until_idle()

    assert list(world.ditio.company.employees) == ["2042"]
    assert world.employee("2042").disabled == (ends != "stays")
    assert (world.employee("2042").employment.end is None) == (ends == "stays")
    with world.database.read("default") as s:
        assert s.outbox.waiting() == []


def test_a_stranger_under_the_wanted_number_is_not_whom_we_created(world: World):
    """H2, P6: only a person who matches; of a stranger nothing is touched."""
    world.ditio.plant("2042", "Ola", "Hansen", "+4741111111")
    world.ditio.faults.plan(Fault(kind="reset-before", method="POST", path="/employees"))
    kari = a_user()
    world.provisions(kari)
    world.restarts_with(delivery={"inline_seconds": 0})
    world.changes(kari, employee_id="2042", account_enabled=False)
    for _ in range(3):
        world.clock.passes(hours=1)
        world.worker.run_until_idle()

    assert not world.employee("2042").disabled
    assert world.employee("2042").employment.end is None
    assert world.state(kari)[0] == "delivered"
