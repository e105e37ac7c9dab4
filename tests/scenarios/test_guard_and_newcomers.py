"""A person wants the number or phone of a leaver whom the guard, or the operator, keeps in Ditio (rules L8, P2, P3)."""

from typing import Any

import pytest

from scim_bridge.delivery import guard
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.scenarios.test_guard import Company, a_company
from tests.world import a_user

pytestmark = pytest.mark.usefixtures("ends_at_once")


@pytest.fixture
def company(database: Database, clock: Clock) -> Company:
    return a_company(database, clock, 3)


def a_newcomer(**changes: Any) -> EntraUser:
    """A new account with person 1's number, and nothing else of hers."""
    stranger = {
        "object_id": "newcomer",
        "user_principal_name": "new@contractor.example",
        "mail": "new@contractor.example",
        "mobile": "+4741234567",
        "given_name": "Per",
        "surname": "Hansen",
        "birth_date": "1980-01-01",
        "employee_id": "101",
    }
    return a_user(**{**stranger, **changes})


def leaves_and_stays(company: Company, *, newcomer: EntraUser | None = None) -> None:
    """Person 1's user is deleted, which is one too many within the hour, and the operator withdraws the ending.

    :param newcomer: Whom Entra creates before it deletes her.
    """
    company.ends(0)
    if newcomer is not None:
        company.world.provisions(newcomer)
    company.world.deletes(company.staff[1])
    assert company.waiting()[0] == ("held", "guard")
    assert company.decides(guard.drop) == 1


def retries(company: Company, newcomer: EntraUser) -> None:
    """What `outbox retry --person` does, and a worker comes by."""
    with company.world.database.write("default") as s:
        record = s.people.of_user_name(newcomer.user_principal_name)
        assert record is not None
        s.at(company.world.clock()).outbox.retry(record.person.id)
    company.world.clock.passes(minutes=1)
    company.world.worker.run_until_idle()


def ends_by_hand(company: Company, number: str) -> None:
    employee = company.world.employee(number)
    employee.disabled, employee.employment.end = True, company.world.clock().date()


@pytest.mark.parametrize("same", [{"mobile": "+4798765001"}, {"mail": "person1@contractor.example"}])
def test_the_same_human_takes_over_once_the_old_account_is_gone(company: Company, same: dict[str, str]):
    """P2, L8: created anew before the old account is deleted, and the deletion is held: it dissolves."""
    again = a_newcomer(**same)
    company.ends(0)
    company.world.provisions(again)
    assert company.world.state(again)[0] == "held"
    company.world.deletes(company.staff[1])
    company.world.worker.run_until_idle()

    assert company.world.state(again) == ("delivered", None)
    assert company.world.employee("101").first_name == "Per"
    assert company.world.employee("101").created_count == 1
    assert company.ended() == [0]
    assert company.decides(guard.release) == 0


def test_a_person_who_agrees_only_later_takes_over_then(company: Company):
    """P2: he is corrected in Entra after the ending was withdrawn."""
    newcomer = a_newcomer()
    leaves_and_stays(company, newcomer=newcomer)
    assert company.world.state(newcomer)[0] == "held"
    company.world.changes(newcomer, mobile="+4798765001")

    assert company.world.state(newcomer) == ("delivered", None)
    assert company.ended() == [0]


def test_a_stranger_is_told_why_the_number_is_not_free_and_what_to_do(company: Company):
    """P2, P3: first that the guard holds the ending, then that the operator withdrew it; nothing is sent for him."""
    newcomer = a_newcomer()
    company.ends(0)
    company.world.deletes(company.staff[1])
    company.world.provisions(newcomer)
    state, detail = company.world.state(newcomer)
    assert state == "held"
    assert "employee number 101 still belongs to a deleted user (employee 101)" in str(detail)
    assert "held by the guard" in str(detail)
    assert "`outbox release`" in str(detail)

    company.decides(guard.drop)
    state, detail = company.world.state(newcomer)
    assert state == "held"
    assert "withdrew" in str(detail)
    assert "phone or e-mail in Entra" in str(detail)
    assert "end employee 101 in Ditio" in str(detail)
    assert "`outbox retry`" in str(detail)
    assert company.ended() == [0]


def test_ended_by_hand_the_number_is_free_after_a_retry(company: Company):
    """P2, P3: `outbox retry` looks at the leaver in Ditio; H1 decides then, and a stranger does not become her."""
    newcomer = a_newcomer()
    leaves_and_stays(company, newcomer=newcomer)
    retries(company, newcomer)
    assert company.world.state(newcomer)[0] == "held"

    ends_by_hand(company, "101")
    retries(company, newcomer)
    state, detail = company.world.state(newcomer)
    assert state == "parked"
    assert "adopt --accept 101 new@contractor.example" in str(detail)
    assert company.world.employee("101").first_name == "Kari"


def test_ended_by_hand_the_number_is_free_after_the_next_comparison(company: Company):
    """P2, Q1: `reconcile` sees it too, and sends nothing."""
    newcomer = a_newcomer()
    leaves_and_stays(company, newcomer=newcomer)
    ends_by_hand(company, "101")
    company.world.clock.passes(minutes=5)
    company.world.forget()
    company.world.parts.reconciliations["default"].run(Request())
    assert company.world.sent() == []
    company.world.worker.run_until_idle()

    assert company.world.state(newcomer)[0] == "parked"
    assert "adopt --accept 101" in str(company.world.state(newcomer)[1])


def test_a_phone_comes_free_once_it_is_changed_in_ditio(company: Company):
    """P3: a newcomer with another number waits for the phone alone, and is hired after a retry."""
    newcomer = a_newcomer(employee_id="1099", mobile="+4798765001")
    leaves_and_stays(company, newcomer=newcomer)
    state, detail = company.world.state(newcomer)
    assert state == "held"
    assert "change it there in Ditio, then `outbox retry`" in str(detail)

    company.world.employee("101").phone = "+4740000000"
    retries(company, newcomer)
    assert company.world.state(newcomer) == ("delivered", None)
    assert company.world.employee("1099").created_count == 1
    assert company.ended() == [0]


def test_who_is_in_hand_while_it_changes_goes_round_again(company: Company):
    """P3, D1: he may be settling by what was true a moment ago, which no one would correct afterwards."""
    newcomer = a_newcomer(mobile="+4798765001")
    company.ends(0)
    company.world.provisions(newcomer)
    with company.world.database.write("default") as s:
        waiter = s.people.of_user_name(newcomer.user_principal_name)
        assert waiter is not None
        outbox = s.at(company.world.clock()).outbox
        assert outbox.mark_due(waiter.person.id, lease="another worker's", lease_seconds=60)
    company.world.deletes(company.staff[1])
    with company.world.database.read("default") as s:
        after = s.people.get(waiter.person.id)

    assert after is not None
    assert (after.lease, after.revision) == ("another worker's", waiter.revision + 2)
    company.world.clock.passes(minutes=5)
    company.world.worker.run_until_idle()
    assert company.world.state(newcomer) == ("delivered", None)
