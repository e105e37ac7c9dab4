"""What the guard on the live stream keeps (rule L8)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import select, text

from scim_bridge.delivery.worker import forget_old
from scim_bridge.domain.employee import Days, EmployeeNumber
from scim_bridge.domain.person import GuardedChange, Person, PersonId, RequestedAt, Verdict
from scim_bridge.domain.values import UserId
from scim_bridge.storage import schema
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.guard import GuardDecision
from scim_bridge.storage.tables import guarded, people
from tests.conftest import Clock
from tests.waiting import until_another_waits

HOUR = timedelta(hours=1)


def add(database: Database, name: str, *, ending: datetime | None = None, linked: bool = True) -> PersonId:
    person = Person(PersonId(name), UserId(name), Days(active=ending is None), occasions=RequestedAt(ending=ending))
    with database.write("default") as s:
        stored = s.people
        stored.add(person, external_id=None, wakes_on=None)
        if linked:
            s.link(person.id, EmployeeNumber(name))
    return person.id


def test_at_work_are_those_who_were_when_the_hour_began(database: Database, clock: Clock):
    """L8: linked and active then, or now; who ended in between is among them, who left before is not."""
    now = clock()
    add(database, "at work")
    add(database, "leaves in a week", ending=now + 7 * HOUR)
    add(database, "left just now", ending=now - HOUR / 2)
    add(database, "left before", ending=now - 2 * HOUR)
    add(database, "not hired yet", linked=False)

    with database.read("default") as s:
        assert s.at(now).guard.at_work(now - HOUR) == 3


def test_a_change_is_counted_once(database: Database, clock: Clock):
    """L8: the key is tenant, kind, person and occasion; the first verdict stays."""
    kari, now = add(database, "kari", ending=clock()), clock()
    with database.write("default") as s:
        guard = s.at(now).guard
        guard.decide(GuardedChange.ending, kari, now, GuardDecision(Verdict.counted))
        guard.decide(GuardedChange.ending, kari, now, GuardDecision(Verdict.held, "too many"))
        guard.decide(GuardedChange.phone, kari, now, GuardDecision(Verdict.counted))

        assert guard.decided(GuardedChange.ending, kari, now) == GuardDecision(Verdict.counted)
        assert guard.moments_around(GuardedChange.ending, now) == [now]
        assert guard.how_many_around(GuardedChange.ending, now + HOUR) == 0
        assert guard.how_many_around(GuardedChange.ending, now + HOUR - timedelta(seconds=1)) == 1


def test_only_what_is_still_to_be_sent_is_released(database: Database, clock: Clock):
    """L8: what was held before Entra said something else is no one's any more."""
    kari, now = add(database, "kari", ending=clock()), clock()
    with database.write("default") as s:
        guard = s.at(now).guard
        guard.decide(GuardedChange.ending, kari, now - HOUR, GuardDecision(Verdict.held))
        guard.decide(GuardedChange.phone, kari, now, GuardDecision(Verdict.held))
        assert guard.release() == []
        guard.decide(GuardedChange.ending, kari, now, GuardDecision(Verdict.held))
        assert guard.release([PersonId("somebody else")]) == []
        assert guard.release() == [kari]


def test_a_change_that_was_requested_anew_is_neither_dated_back_nor_settled(database: Database, clock: Clock):
    """L8: a delivery knows an earlier request; the newer one meets the guard by itself."""
    now = clock()
    kari = add(database, "kari", ending=now)
    with database.write("default") as s:
        guard = s.at(now).guard
        guard.note_occasion(GuardedChange.ending, kari, now - HOUR)
        guard.settle_occasion(GuardedChange.ending, kari, now - HOUR)
        record = s.people.get(kari)
        assert record is not None
        assert record.person.occasions.ending == now

        guard.settle_occasion(GuardedChange.ending, kari, now)
        settled = s.people.get(kari)
        assert settled is not None
        assert settled.person.occasions.ending is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_who_leave_at_once_are_counted_one_after_the_other(database: Database, clock: Clock):
    """L8: the second count sees the first decision, or both would pass as the only one."""
    now = clock()
    kari, per = add(database, "kari", ending=now), add(database, "per", ending=now)

    def around(s: Session) -> int:
        guard = s.at(now).guard
        guard.serialise()
        return guard.how_many_around(GuardedChange.ending, now)

    def second() -> int:
        with database.write("default") as s:
            found = around(s)
            s.at(now).guard.decide(GuardedChange.ending, per, now, GuardDecision(Verdict.held))
        return found

    with ThreadPoolExecutor(1) as pool:
        with database.write("default") as s:
            assert around(s) == 0
            s.at(now).guard.decide(GuardedChange.ending, kari, now, GuardDecision(Verdict.counted))
            counting = pool.submit(second)
            until_another_waits(database)
        assert counting.result(timeout=60) == 1


def test_old_decisions_go_and_present_ones_stay(database: Database, clock: Clock):
    """`RETENTION__DAYS`: a withdrawn ending stays withdrawn, however long ago that was."""
    kari, now = add(database, "kari", ending=clock()), clock()
    with database.write("default") as s:
        guard = s.at(now).guard
        guard.decide(GuardedChange.ending, kari, now, GuardDecision(Verdict.dropped))
        guard.decide(GuardedChange.ending, kari, now - HOUR, GuardDecision(Verdict.counted))
        guard.decide(GuardedChange.creation, PersonId("erased"), now, GuardDecision(Verdict.counted))
    clock.passes(days=31)

    assert forget_old(database, "default", 30) == 2
    with database.read() as s:
        (row,) = s.connection.execute(select(guarded))
    assert (row.kind, row.verdict) == ("ending", "dropped")


def test_an_earlier_database_knows_which_leave_dates_lie_ahead(tmp_path: Path, clock: Clock):
    """D7, L8: they pass at least a day from the upgrade on, so the guard has heard of them in time."""
    database = Database(f"sqlite:///{tmp_path / 'old.db'}", clock=clock)
    row = (
        "INSERT INTO people (tenant, id, active, leave_date, leave_is_stale, state, state_since, created_at)"
        " VALUES ('default', :id, :active, :leave, :stale, 'delivered', '2026-02-01 08:00:00', '2026-01-01 08:00:00')"
    )
    with database.write() as s:
        command.upgrade(schema._config(s.connection), "0014")
        for name, active, leave, stale in (
            ("at work", True, None, False),
            ("left", False, "2199-12-31", False),
            ("has a leave date", True, "2026-03-05", False),
            ("has a stale one", True, "2199-12-31", True),
            ("leaves far ahead", True, "2199-12-31", False),
        ):
            s.connection.execute(text(row), {"id": name, "active": active, "leave": leave, "stale": stale})
    schema.upgrade(database)

    with database.read() as s:
        rows = s.connection.execute(select(people)).all()
    assert [each.id for each in rows if each.ending_is_announced] == ["leaves far ahead"]
    database.close()
