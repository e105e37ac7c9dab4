"""A holder is read in Ditio, and something happens meanwhile: claims change hands when a delivery settles (rule P3)."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.storage.tables import people
from tests.scenarios.test_swaps import PHONES, hires, settle
from tests.world import World

pytestmark = pytest.mark.usefixtures("ends_at_once")

BY_HAND = "+4799999999"


@pytest.fixture
def queued(world: World) -> World:
    """Only the worker delivers: what Entra says in the middle of a delivery waits for it."""
    world.restarts_with(delivery={"inline_seconds": 0})
    return world


def a_leaver_whose_phone_is_free_by_hand(world: World) -> tuple[EntraUser, EntraUser]:
    """Kari has left, and somebody gave her another phone in Ditio; Per waits for the one that she had."""
    kari, per = hires(world, 2)
    settle(world)
    world.changes(kari, account_enabled=False)
    settle(world)
    world.changes(per, mobile=PHONES[0])
    settle(world)
    assert world.state(per)[0] == "held"
    world.employee("1000").phone = BY_HAND
    return kari, per


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
