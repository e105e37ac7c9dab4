"""Deliveries of a tenant are paused (rule D4)."""

from typing import Any

import pytest
from sqlalchemy import event, insert, select

from scim_bridge.certificates.sending import PAUSED
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.operator.actions import take_up_all
from scim_bridge.reconcile.report import Request
from scim_bridge.storage.outbox import BATCH
from scim_bridge.storage.tables import claims, people
from tests.scenarios.test_reconciling import hires
from tests.world import World, a_user


def pause(world: World) -> int:
    with world.database.write("default") as s:
        return s.pauses.pause()


def resume(world: World) -> int:
    with world.database.write("default") as s:
        return s.pauses.resume()


def reasons(world: World) -> list[tuple[str, str | None]]:
    with world.database.read() as s:
        return [(row.state, row.reason) for row in s.connection.execute(select(people.c.state, people.c.reason))]


def test_while_it_is_paused_nothing_is_sent_and_all_is_accepted(world: World):
    """D4: writes are accepted, mapped and claimed; neither a request nor a worker calls Ditio; then all flows."""
    pause(world)
    kari = a_user()
    step = world.provisions(kari)
    world.worker.run_until_idle()

    assert step.status == 201
    assert world.ditio.requests == []
    assert reasons(world) == [("held", Reason.paused)]
    assert world.state(kari)[0] == "held"
    with world.database.read() as s:
        assert {row.kind for row in s.connection.execute(select(claims.c.kind))} == {"employee-number", "phone"}

    assert resume(world) == 1
    world.worker.run_until_idle()
    assert world.state(kari)[0] == "delivered"
    assert not world.employee("1042").disabled


def test_endings_wait_as_well(world: World):
    """D4: also a DELETE; the day of the ending is the day on which Entra said it."""
    kari = a_user()
    world.provisions(kari)
    pause(world)
    world.forget()
    world.changes(kari, account_enabled=False)
    world.deletes(kari)
    world.worker.run_until_idle()
    assert world.ditio.requests == []

    resume(world)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled


def test_a_change_that_is_taken_back_meanwhile_settles(world: World):
    """D4, A5: what equals the acknowledged state asks nothing of Ditio."""
    kari = a_user()
    world.provisions(kari)
    pause(world)
    world.forget()
    world.changes(kari, job_title="Formann")
    assert reasons(world) == [("held", Reason.paused)]
    world.changes(kari, job_title="Maskinfører")

    assert world.state(kari)[0] == "delivered"
    assert resume(world) == 0
    assert world.ditio.requests == []


def test_a_person_who_was_due_is_held_and_never_settled_unread(world: World):
    """D4, R4: an answer may have been lost before the pause, so what equals the acknowledged state proves nothing."""
    kari = a_user()
    world.provisions(kari)
    world.restarts_with(delivery={"inline_seconds": 0})
    world.changes(kari, job_title="Formann")
    assert pause(world) == 1
    world.changes(kari, job_title="Maskinfører")

    assert reasons(world) == [("held", Reason.paused)]


def test_the_setting_pauses_and_its_end_makes_everyone_due(world: World):
    """D4: who was due before is held by the worker; once neither setting nor command pauses, all are delivered."""
    world.restarts_with(delivery={"inline_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    world.restarts_with(delivery={"paused": True})
    world.worker.run_until_idle()
    assert reasons(world) == [("held", Reason.paused)]
    assert world.ditio.requests == []

    world.restarts_with(delivery={"paused": False})
    world.worker.run_until_idle()
    assert world.state(kari)[0] == "delivered"


@pytest.mark.usefixtures("ends_at_once")
def test_a_pause_stops_a_person_who_is_in_hand_before_his_next_write(world: World, monkeypatch: pytest.MonkeyPatch):
    """D4: a call that is under way is finished, no other begins, and nothing is lost by it."""
    kari = a_user()
    world.provisions(kari)
    world.forget()
    ditio = world.parts.tenants["default"].ditio
    send = ditio.send

    def pausing(*call: Any, **options: Any) -> Any:
        pause(world)
        return send(*call, **options)

    monkeypatch.setattr(type(ditio), "send", lambda _, *call, **options: pausing(*call, **options))
    assert world.changes(kari, account_enabled=False).status in (200, 204)
    monkeypatch.undo()

    assert [path for _, path, _ in world.sent()] == ["/1042/end-employment"]
    assert reasons(world) == [("held", Reason.paused)]
    world.worker.run_until_idle()
    assert not world.employee("1042").disabled
    resume(world)
    world.worker.run_until_idle()
    assert world.employee("1042").disabled
    assert [path for _, path, _ in world.sent()].count("/1042/end-employment") == 1


def test_many_are_resumed_without_keeping_others_waiting(world: World):
    """D4: the write lock is given back between batches, and a batch is a few statements, however many it is of."""
    many, began = 2 * BATCH + 1, world.clock()
    rows = [
        {
            "tenant": "default",
            "id": f"{number:06}",
            "user_id": f"{number:06}",
            "active": True,
            "state": State.held,
            "reason": Reason.paused,
            "state_since": began,
            "created_at": began,
        }
        for number in range(many)
    ]
    with world.database.write() as s:
        s.connection.execute(insert(people), rows)
    said: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *about: said.append(about[2]))
    event.listen(world.database.engine, "commit", lambda _: said.append("COMMIT"))

    assert resume(world) + take_up_all(world.database, "default") == many

    assert reasons(world) == [("due", None)] * many
    assert said.count("COMMIT") >= 3
    assert sum(statement.startswith("UPDATE people") for statement in said) == 3


def test_the_paused_again_stay_held(world: World):
    """D4: of two operators the one who pauses counts; what was not made due yet is not."""
    pause(world)
    world.provisions(a_user())

    assert take_up_all(world.database, "default") == 0
    assert reasons(world) == [("held", Reason.paused)]


def test_a_pause_in_the_middle_of_a_repair_leaves_the_rest_as_they_are(world: World):
    """D4, Q3: who is next is not made due: their rows stay rows of the plan, and are skipped."""
    staff = hires(world, 2)
    for number in ("1001", "1002"):
        world.employee(number).work_title = "Lærling"

    def progress(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("repairing", 1):
            with world.database.write("default") as s:
                s.pauses.pause()

    report = world.parts.reconciliations["default"].run(Request(apply=True), progress)

    assert sorted(report.outcomes.values(), key=str) == [None, PAUSED]
    assert [world.state(each) for each in staff] == [("delivered", None)] * 2
    assert sorted(world.employee(number).work_title or "" for number in ("1001", "1002")) == ["Lærling", "Maskinfører"]
