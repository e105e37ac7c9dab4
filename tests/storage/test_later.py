"""Statements that wait for the next one: PostgreSQL gets them at once, and no one can tell (rules A1, D7)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import delete, event, insert, select, text
from sqlalchemy.exc import IntegrityError

from scim_bridge.domain.employee import Days, Field
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import Claim, ClaimKind, Person, PersonId
from scim_bridge.domain.values import UserId
from scim_bridge.storage.claims import STANDING
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import NewMark
from scim_bridge.storage.tables import claims, history, people

ROW = {"tenant": "default", "kind": "phone", "value": "+4798765432", "person_id": "kari"}
OTHER = {**ROW, "kind": "employee-number", "value": "1042"}
KARI, OLA = PersonId("kari"), PersonId("ola")


def held(database: Database) -> list[str]:
    with database.read("default") as s:
        return list(s.connection.execute(select(claims.c.value).order_by(claims.c.value)).scalars())


def test_what_waits_is_there_for_the_next_statement(database: Database):
    with database.write("default") as s:
        s.later(insert(claims), ROW)
        s.of("default").later(insert(claims), OTHER)
        assert s.connection.execute(select(claims.c.kind).order_by(claims.c.kind)).scalars().all() == [
            "employee-number",
            "phone",
        ]


def test_the_commit_sends_what_waits(database: Database):
    with database.write("default") as s:
        for row in (ROW, OTHER):
            s.later(insert(claims), row)

    assert held(database) == ["+4798765432", "1042"]


def test_nothing_of_it_stays_if_the_transaction_fails(database: Database):
    with suppress(ZeroDivisionError), database.write("default") as s:
        s.later(insert(claims), ROW)
        raise ZeroDivisionError

    assert held(database) == []


def within_a_savepoint(s: Session) -> None:
    with s.connection.begin_nested():
        s.connection.execute(insert(claims), ROW)


BEGINNINGS: dict[str, Callable[[Session], object]] = {
    "waits": lambda s: s.later(insert(claims), ROW),
    "several wait": lambda s: [s.later(insert(claims), row) for row in (ROW, OTHER)],
    "sent alone": lambda s: s.connection.execute(insert(claims), ROW),
    "sent with what is asked": lambda s: (s.later(insert(claims), ROW), s.answers(((STANDING, {**ROW}),))),
    "after the time": lambda s: (s.now, s.connection.execute(insert(claims), ROW)),
    "of another company": lambda s: s.of("nord").connection.execute(insert(claims), ROW),
    "serialised": lambda s: (s.serialise("claims"), s.connection.execute(insert(claims), ROW)),
    "within a savepoint": within_a_savepoint,
}


@pytest.mark.parametrize("begins", BEGINNINGS.values(), ids=BEGINNINGS)
@pytest.mark.parametrize("is_sent", [False, True])
def test_whatever_comes_first_is_part_of_the_transaction(
    database: Database, begins: Callable[[Session], object], is_sent: bool
):
    """PostgreSQL gets its BEGIN with it, and would keep at once what came before that."""
    with suppress(ZeroDivisionError), database.write("default") as s:
        begins(s)
        if is_sent:
            s.send()
        raise ZeroDivisionError

    assert held(database) == []
    with database.write("default") as s:
        begins(s)
    assert held(database)


def test_a_write_waits_for_the_server_twice(postgresql_url: str, tmp_path: Path):
    """Issue 17: for its statements, BEGIN among them, and for the commit. Each wait is a way to the server and back."""
    database = Database(postgresql_url, pool_size=1)
    try:
        with database.write("default") as s:
            driver = s.connection.connection.driver_connection
        assert driver is not None
        with (tmp_path / "trace").open("w+") as file:
            driver.pgconn.trace(file.fileno())
            with database.write("default") as s:
                for row in (ROW, OTHER):
                    s.later(insert(claims), row)
            driver.pgconn.untrace()
            file.seek(0)
            sides = [word for line in file for word in line.split("\t") if word in ("F", "B")]
        assert len([now for before, now in pairwise(sides) if (before, now) == ("F", "B")]) == 2
        with database.write("default") as s:
            s.connection.execute(delete(claims))
    finally:
        database.close()


@pytest.mark.parametrize("before", [0, 3])
def test_one_that_fails_is_told_as_any_other_and_nothing_stays(database: Database, before: int):
    """Alone it is executed as any statement; with others, all of them are sent at once."""
    with database.write("default") as s:
        s.later(insert(claims), ROW)

    def fails() -> None:
        with database.write("default") as s:
            for number in range(before):
                s.later(insert(claims), {**OTHER, "value": str(number)})
            s.later(insert(claims), ROW)

    with pytest.raises(IntegrityError) as told:
        fails()

    assert getattr(told.value.orig, "sqlstate", "23505") == "23505"
    assert held(database) == ["+4798765432"]
    with database.write("default") as s:
        s.later(insert(claims), OTHER)
    assert held(database) == ["+4798765432", "1042"]


def test_a_newcomer_is_returned_as_they_are_read(database: Database):
    """An inline delivery begins with this record, without reading it."""
    person = Person(id=KARI, user_id=UserId("user-kari"), days=Days(active=True))
    mark = NewMark(State.due, detail="why", request_id="r", lease="lease", lease_seconds=15)
    with database.write("default") as s:
        returned = s.people.add(person, external_id="x", wakes_on=None, mark=mark)
        assert s.people.get(KARI) == returned
    assert returned.lease == "lease"
    assert returned.revision == 2


def test_a_newcomer_gets_what_no_one_has_in_one_statement(database: Database):
    number, phone = Claim(ClaimKind.employee_number, "1042"), Claim(ClaimKind.phone, "+4798765432")
    with database.write("default") as s:
        assert s.claims.take_free(OLA, [phone]) == {phone}
        asked: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
        assert s.claims.take_free(KARI, [number, phone]) == {number}
        assert len(asked) == 1
        s.claims.give_back(KARI, [number])
        assert s.claims.holder(number) is None
        assert s.claims.holder(phone) == OLA


def test_a_connection_that_the_server_has_closed_fails_no_request(postgresql_url: str):
    """D7: it was used a moment ago, so it is not asked first; but its end shows."""
    database = Database(postgresql_url, pool_size=1)
    try:
        with database.read() as s:
            first = s.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other = Database(postgresql_url, pool_size=1)
        with other.write() as s:
            s.connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
        other.close()
        with database.read() as s:
            assert s.connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != first
    finally:
        database.close()


def test_rows_of_the_history_that_wait_keep_their_order(database: Database):
    moment = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    with database.write("default") as s:
        for what in ("one", "two"):
            s.at(moment).history.add(KARI, Entry(what, "done"))
        assert s.connection.execute(select(history.c.what).order_by(history.c.id)).scalars().all() == ["one", "two"]


Result = TypeVar("Result")


def after_a_wait(postgresql_url: str, work: Callable[[Session], Result]) -> tuple[Result, datetime]:
    """What a transaction returns that had to wait for Kari's row; and when the other one gave it up."""
    database, other = Database(postgresql_url), Database(postgresql_url)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    person = Person(id=KARI, user_id=UserId("user-of-kari"), days=Days(active=True))
    mark = NewMark(State.due, request_id="r", lease="lease", lease_seconds=15)
    try:
        with database.write("default") as s:
            s.people.add(person, external_id=None, wakes_on=None, mark=mark)
        with ThreadPoolExecutor(1) as pool:
            with database.write("default") as s:
                assert s.people.get(KARI, lock=True) is not None
                change = pool.submit(other.transact, "default", work)
                while not s.connection.execute(waiting).scalar_one():
                    pass
                released_at = s.connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            return change.result(timeout=10), released_at
    finally:
        with database.write("default") as s:
            s.forget(KARI)
            s.connection.execute(text("DELETE FROM people"))
        database.close()
        other.close()


def test_the_time_of_a_change_is_later_than_its_wait_for_the_person(postgresql_url: str):
    """R4: by the server's clock, although user, person, breaker and time are asked for at once."""

    def changes(s: Session) -> tuple[datetime, PersonId | None]:
        s.lock_user(UserId("user-of-kari"))
        record, same = s.person_of(UserId("user-of-kari"))
        return same.now, record.person.id if record is not None else None

    (now, found), released_at = after_a_wait(postgresql_url, changes)
    assert found == KARI
    assert now >= released_at


def test_the_time_after_a_wait_is_known_without_asking_and_never_ahead(postgresql_url: str):
    """D1: the server told the time once, and this machine counts what has passed since."""

    def reads(s: Session) -> tuple[datetime, datetime, datetime]:
        first = s.now
        assert s.people.get(KARI, lock=True) is not None
        return first, s.now_again, s.connection.execute(text("SELECT clock_timestamp()")).scalar_one()

    (first, again, later), released_at = after_a_wait(postgresql_url, reads)
    assert first < released_at
    assert first < again <= later


def test_the_time_of_an_attempt_is_earlier_than_its_wait_for_the_person(postgresql_url: str):
    """D1, C5: the attempt measures its lease and the lag of its writes from the moment at which it began to wait."""

    def renews(s: Session) -> tuple[bool, datetime, datetime]:
        is_ours = s.renew(KARI, "lease", 30)
        return is_ours, s.now, s.connection.execute(select(people.c.leased_until)).scalar_one()

    (is_ours, now, until), released_at = after_a_wait(postgresql_url, renews)
    assert is_ours
    assert now < released_at
    assert until == now + timedelta(seconds=30)


def test_by_the_servers_clock_too_a_lease_is_renewed_for_its_holder_alone(postgresql_url: str):
    """D1: the statement that asks the server for the time has its own words."""
    database = Database(postgresql_url)
    person = Person(id=KARI, user_id=UserId("user-of-kari"), days=Days(active=True))
    mark = NewMark(State.due, request_id="r", lease="lease", lease_seconds=15)
    try:
        with database.write("default") as s:
            s.people.add(person, external_id=None, wakes_on=None, mark=mark)
            before = s.connection.execute(select(people.c.leased_until)).scalar_one()
        for tenant, person_id, lease in (
            ("default", KARI, "another"),
            ("other", KARI, "lease"),
            ("default", OLA, "lease"),
        ):
            with database.write(tenant) as s:
                assert not s.renew(person_id, lease, 300)
                assert s.connection.execute(select(people.c.leased_until)).scalar_one() == before
        with database.write("default") as s:
            assert s.renew(KARI, "lease", 300)
            assert s.connection.execute(select(people.c.leased_until)).scalar_one() == s.now + timedelta(seconds=300)
    finally:
        with database.write("default") as s:
            s.connection.execute(text("DELETE FROM people"))
        database.close()


def test_a_connection_is_good_again_after_what_waited_has_failed(postgresql_url: str):
    """D7: the last statements go out just before the COMMIT, and their failure rolls the transaction back."""
    database = Database(postgresql_url, pool_size=1)
    try:
        with database.write("default") as s:
            s.later(insert(claims), ROW)
            used = s.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

        def again(s: Session) -> None:
            assert s.connection.execute(text("SELECT 1")).scalar_one()
            s.later(insert(claims), OTHER)
            s.later(insert(claims), ROW)

        with pytest.raises(IntegrityError):
            database.transact("default", again)
        with database.read("default") as s:
            assert s.connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == used
            assert s.connection.execute(select(claims.c.value)).scalars().all() == [ROW["value"]]
    finally:
        with database.write("default") as s:
            s.connection.execute(text("DELETE FROM claims"))
        database.close()


def test_work_is_repeated_whose_last_statements_meet_a_deadlock(postgresql_url: str):
    """D1: two transactions that store values of two people in opposite orders, the second value just before the end."""
    several = [Database(postgresql_url, pool_size=1) for _ in range(2)]
    both = Barrier(2)

    def stores(database: Database, first: PersonId, second: PersonId) -> int:
        tries = 0

        def work(s: Session) -> None:
            nonlocal tries
            tries += 1
            s.acknowledged.add(first, {Field.phone: str(tries)}, revision=1)
            s.connection.execute(text("SELECT 1"))
            if tries == 1:
                both.wait(timeout=30)
            s.acknowledged.add(second, {Field.phone: str(tries)}, revision=1)

        database.transact("default", work)
        return tries

    try:
        with several[0].write("default") as s:
            for person_id in (KARI, OLA):
                s.acknowledged.add(person_id, {Field.phone: "0"}, revision=1)
        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(stores, *each) for each in zip(several, (KARI, OLA), (OLA, KARI), strict=True)]
            assert sorted(each.result(timeout=60) for each in done) == [1, 2]
    finally:
        with several[0].write("default") as s:
            s.connection.execute(text("DELETE FROM acknowledged"))
        for each in several:
            each.close()


def test_several_questions_see_what_waits(database: Database):
    with database.write("default") as s:
        s.later(insert(claims), ROW)
        s.later(insert(claims), OTHER)
        asked = (STANDING, {"tenant": "default", "person_id": "kari"})
        found, again = s.answers([asked, asked])
    assert sorted(row.value for row in found) == sorted(row.value for row in again) == ["+4798765432", "1042"]


def test_claims_that_were_read_with_a_lock_are_read_again_after_a_change(database: Database):
    """P3: what a transaction has read of claims is not believed once it has changed one."""
    number, phone = Claim(ClaimKind.employee_number, "1042"), Claim(ClaimKind.phone, "+4798765432")
    person = Person(id=KARI, user_id=UserId("user-of-kari"), days=Days(active=True))
    with database.write("default") as s:
        s.people.add(person, external_id=None, wakes_on=None)
        assert s.claims.take(KARI, number)
    with database.write("default") as s:
        s.lock_user(UserId("user-of-kari"))
        assert s.claims.standing_of(KARI) == ({number}, frozenset())
        assert s.claims.held_by(KARI) == {number}
        assert s.claims.take(KARI, phone)
        assert s.claims.standing_of(KARI)[0] == {number, phone}
    with database.write("default") as s:
        assert s.settling(KARI) == (s.people.get(KARI), False)
        assert s.claims.held_by(KARI) == {number, phone}
        s.claims.keep_only(KARI, [phone])
        assert s.claims.held_by(KARI) == {phone}
        assert s.claims.holder(number) is None
