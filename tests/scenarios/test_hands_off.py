"""A person is put aside by an operator (rule D6)."""

from datetime import date

import pytest

from scim_bridge.delivery.guard import clear_hands_off, set_hands_off
from scim_bridge.domain.person import HandsOff
from tests.world import World, a_user, day

pytestmark = pytest.mark.usefixtures("ends_at_once")


def aside(world: World, until: date | None = None, name: str = "1042") -> None:
    with world.database.write("default") as s:
        set_hands_off(s, name, HandsOff(until))


def cleared(world: World) -> bool:
    with world.database.write("default") as s:
        return clear_hands_off(s, "1042")


def test_nothing_is_sent_and_nothing_is_read_endings_included(world: World):
    """D6: neither a change nor an ending nor a DELETE; the state says so at once."""
    kari = a_user()
    world.provisions(kari)
    aside(world)
    assert world.state(kari)[0] == "held"
    assert "`people hands-off NUMBER --clear`" in str(world.state(kari)[1])
    world.ditio.forget_requests()

    world.changes(kari, job_title="Formann")
    world.changes(kari, job_title="Maskinfører")
    assert world.state(kari)[0] == "held"
    world.changes(kari, account_enabled=False)
    world.worker.run_until_idle()
    assert world.state(kari)[0] == "held"
    world.deletes(kari)
    world.worker.run_until_idle()
    assert world.ditio.requests == []

    assert cleared(world)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled
    assert world.employee("1042").employment.end == day("2026-03-02")
    assert not cleared(world)


def test_the_end_of_the_day_makes_him_due(world: World):
    """D6: up to the end of DATE, in the company's time zone; what Entra said meanwhile is delivered then."""
    kari = a_user()
    world.provisions(kari)
    aside(world, day("2026-03-04"))
    assert "2026-03-04" in str(world.state(kari)[1])
    world.changes(kari, job_title="Formann")
    world.clock.passes(days=2)
    world.worker.run_until_idle()
    assert world.employee("1042").work_title == "Maskinfører"

    world.clock.passes(days=1)
    world.worker.run_until_idle()
    assert world.employee("1042").work_title == "Formann"
    assert world.state(kari) == ("delivered", None)


@pytest.mark.parametrize("hands_off_until", ["2026-03-05", "2026-03-20"])
def test_a_leave_date_that_comes_meanwhile_is_acted_on_afterwards(world: World, hands_off_until: str):
    """D6, L1, L2: the day that intake decided is kept, and is the last day, whenever it is sent."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, leave_date="2026-03-10")
    aside(world, day(hands_off_until))
    world.clock.passes(days=12)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled == (hands_off_until < "2026-03-14")

    world.clock.passes(days=10)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled
    assert world.employee("1042").employment.end == day("2026-03-10")
    assert world.state(kari)[0] == "delivered"


def test_what_entra_says_is_taken_in_all_the_same(world: World):
    """D6, A1, P3: mapped and claimed, so that no one else gets what is his."""
    kari = a_user()
    world.provisions(kari)
    aside(world)
    world.changes(kari, mobile="41234567")
    per = a_user(object_id="per", user_principal_name="per@x.example", mail=None, mobile="41234567", employee_id="2042")
    world.provisions(per)

    assert world.state(per)[0] == "held"
    assert "kari.nordmann@contractor.example" in str(world.state(per)[1])


def test_a_retry_does_not_take_him_up(world: World):
    """D3: `outbox retry` leaves alone who is held for `hands-off`."""
    kari = a_user()
    world.provisions(kari)
    aside(world)
    with world.database.write("default") as s:
        assert s.outbox.retry() == 0


def test_a_person_not_yet_hired_is_put_aside_by_user_name(world: World):
    """D6: NUMBER may be a user name; no one is created meanwhile."""
    world.restarts_with(delivery={"inline_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    aside(world, name="KARI.nordmann@contractor.example")
    world.worker.run_until_idle()
    assert world.ditio.requests == []

    cleared(world)
    world.worker.run_until_idle()
    assert world.employee("1042").created_count == 1


def test_a_delivery_in_hand_sees_it_at_its_next_round(world: World):
    """D6, D1: a person who is being delivered goes round again, and is held then."""
    world.restarts_with(delivery={"inline_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    with world.database.write("default") as s:
        leased = s.outbox.lease_next("elsewhere", 30)
        assert leased is not None
    aside(world)
    assert world.state(kari)[0] == "due"
    world.clock.passes(minutes=1)
    world.worker.run_until_idle()
    assert world.state(kari)[0] == "held"
    assert world.ditio.requests == []
