"""More people are in hand than may be called for: what waits keeps its lease, its budget and its place in the row."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import pytest
import requests
from sqlalchemy import select

from scim_bridge.bootstrap import open_database
from scim_bridge.delivery.attempt import Attempt
from scim_bridge.delivery.worker import MAX_PLACES, places_for, threads_for
from scim_bridge.ditio.client import DitioClient
from scim_bridge.http import limiter as module
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.tables import history, people
from tests.conftest import Clock
from tests.world import World, a_user

PATIENCE_SECONDS = 30.0
Meanwhile = Callable[[], object]


@pytest.fixture
def world(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> World:
    """No one is due yet; a person who waits looks after his lease all the time, and not every second."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.001)
    return World(database, clock, settings={"delivery": {"inline_seconds": 0}})


def due(world: World, how_many: int) -> None:
    for number in range(how_many):
        world.entra.directory.add(numbered(number))
    world.cycle()


def numbered(number: int) -> Any:
    return a_user(
        object_id=f"object-{number}",
        user_principal_name=f"{number}@contractor.example",
        mail=f"{number}@contractor.example",
        mobile=f"+47 9876543{number}",
        employee_id=f"104{number}",
    )


def ditio_of(world: World) -> DitioClient:
    ditio = world.parts.tenants["default"].ditio
    assert isinstance(ditio, DitioClient)
    return ditio


def rows(world: World) -> list[Any]:
    with world.database.read() as s:
        return list(s.connection.execute(select(people)))


class Line:
    """The line to Ditio: how many calls are on it, and when it lets the first of them through."""

    def __init__(self, world: World) -> None:
        self.is_open, self.is_busy = threading.Event(), threading.Event()
        self.most = self.now = 0
        self._lock = threading.Lock()
        session_to_ditio = world._session_to_ditio

        def session() -> requests.Session:
            made = session_to_ditio()
            through = partial(self._call, made.send)
            made.send = through  # type: ignore[method-assign]  # The line is this one session's alone.
            return made

        world._session_to_ditio = session  # type: ignore[method-assign]  # The line lies in this one world.

    def _call(self, send: Any, *arguments: Any, **options: Any) -> Any:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.is_busy.set()
        try:
            assert self.is_open.wait(PATIENCE_SECONDS)
            return send(*arguments, **options)
        finally:
            with self._lock:
                self.now -= 1


def a_call_waits(ditio: DitioClient) -> threading.Event:
    """Set once a person waits for others' calls to end."""
    permit, waits = ditio.permit, threading.Event()

    def told(*, within: float | None, meanwhile: Meanwhile) -> Any:
        def tell() -> None:
            waits.set()
            meanwhile()

        return permit(within=within, meanwhile=tell)

    ditio.permit = told  # type: ignore[method-assign, assignment]  # Of this one client.
    return waits


def test_no_more_calls_at_a_time_than_the_setting_allows(world: World):
    """D2: `DITIO__MAX_CONCURRENCY` counts calls: of three people in hand two are called for."""
    line = Line(world)
    due(world, 6)
    world.restarts_with(ditio={"max_concurrency": 2})
    third = a_call_waits(ditio_of(world))
    with ThreadPoolExecutor(1) as pool:
        delivering = pool.submit(world.parts.worker().run_until_idle)
        assert third.wait(PATIENCE_SECONDS)
        line.is_open.set()
        assert delivering.result(PATIENCE_SECONDS) == 6

    assert line.most == 2
    assert {row.state for row in rows(world)} == {"delivered"}
    assert {employee.created_count for employee in world.ditio.company.employees.values()} == {1}


def test_a_request_that_finds_no_call_free_in_its_time_is_answered_as_due(world: World):
    """A4, D2: deliveries of requests and of the worker count together; nothing is sent, and the worker goes on."""
    line = Line(world)
    due(world, 1)
    world.restarts_with(ditio={"max_concurrency": 1}, delivery={"inline_seconds": 0.1})
    with ThreadPoolExecutor(1) as pool:
        delivering = pool.submit(world.parts.worker().run_until_idle)
        assert line.is_busy.wait(PATIENCE_SECONDS)
        step = world.provisions(numbered(1))
        try:
            assert step.status == 201
            assert world.state(numbered(1))[0] == "due"
            assert line.most == 1
        finally:
            line.is_open.set()
        assert delivering.result(PATIENCE_SECONDS) == 2

    assert line.most == 1
    assert world.state(numbered(1)) == ("delivered", None)


def waits(world: World, wait: Callable[[Meanwhile], None]) -> None:
    """A person who wants to call Ditio, and has no permit yet, has to wait in this way."""
    has_one = [False]

    @contextmanager
    def after_waiting(*, within: float | None, meanwhile: Meanwhile) -> Iterator[None]:
        has_it, has_one[0] = has_one[0], True
        if not has_it:
            wait(meanwhile)
        try:
            yield
        finally:
            has_one[0] = has_it

    ditio_of(world).permit = after_waiting  # type: ignore[method-assign, assignment]  # Of this one client.


def is_taken_by_another(world: World, now: datetime) -> bool:
    with world.database.write("default") as s:
        return s.at(now).outbox.lease_next("thief", 60) is not None


def test_who_waits_for_others_calls_keeps_his_lease(world: World):
    """D1: however long that takes, no one else takes the person."""
    due(world, 1)

    def wait(meanwhile: Meanwhile) -> None:
        for _ in range(70):
            world.clock.passes(seconds=1)
            meanwhile()
            assert not is_taken_by_another(world, world.clock())

    waits(world, wait)
    world.worker.run_until_idle()

    assert world.employee("1040").created_count == 1
    assert rows(world)[0].state == "delivered"


def test_who_lost_his_lease_in_the_wait_calls_no_one(world: World):
    """D1: looked at when the wait is over; the other delivery goes on."""
    due(world, 1)

    def wait(meanwhile: Meanwhile) -> None:
        world.clock.passes(seconds=31)
        assert is_taken_by_another(world, world.clock())

    waits(world, wait)
    world.worker.run_until_idle()

    assert world.ditio.requests == []
    assert [(row.state, row.lease) for row in rows(world)] == [("due", "thief")]


@pytest.mark.parametrize("seconds", [0, 8, 9.5, 20, 29])
def test_a_call_ends_before_its_lease_does(world: World, seconds: float):
    """D1: with its token and its repetition, whatever the wait before it; and it has its whole time-out."""
    due(world, 1)
    ditio, ends = ditio_of(world), []
    waits(world, lambda meanwhile: world.clock.passes(seconds=seconds))

    def noted(call: Callable[..., Any]) -> Callable[..., Any]:
        def with_time(*arguments: Any, within: float, **options: Any) -> Any:
            assert within >= 20
            ends.append((rows(world)[0].leased_until - world.clock()).total_seconds() - within)
            return call(*arguments, within=within, **options)

        return with_time

    for name in ("get", "search", "send"):
        setattr(ditio, name, noted(getattr(ditio, name)))
    world.worker.run_until_idle()

    assert len(ends) == 4
    assert min(ends) >= 1
    assert world.employee("1040").created_count == 1


def test_a_renewal_that_waits_for_the_row_is_not_longer_for_it(world: World, monkeypatch: pytest.MonkeyPatch):
    """D1: a lease counts from when the time was read; a write of Entra's may have the row locked just then."""
    due(world, 1)
    ditio, renew, ends = ditio_of(world), Session.renew, []
    waits(world, lambda meanwhile: world.clock.passes(seconds=25))

    def renew_late(*arguments: Any) -> bool:
        world.clock.passes(seconds=4)
        return renew(*arguments)

    def get_noting(*arguments: Any, within: float) -> Any:
        ends.append((rows(world)[0].leased_until - world.clock()).total_seconds() - within)
        return get(*arguments, within=within)

    get, ditio.get = ditio.get, get_noting  # type: ignore[method-assign]  # Of this one client.
    monkeypatch.setattr(Session, "renew", renew_late)
    world.worker.run_until_idle()

    assert ends
    assert min(ends) >= 1


@pytest.mark.parametrize("per_second", [0.1, 0.125, 0.5])
def test_a_slow_pace_delays_everyone_and_stops_no_one(world: World, per_second: float):
    """D2: the turn of a call comes before its lease ends, or it would be begun anew for ever."""
    due(world, 2)
    world.restarts_with(ditio={"requests_per_second": per_second, "timeout_seconds": 5})
    # In the place of `time.sleep`.
    ditio_of(world).limiter._sleep = lambda seconds: world.clock.passes(seconds=seconds)
    rounds = iter(range(30))
    world.worker.run(lambda: next(rounds, None) is None, lambda: None)

    assert [row.state for row in rows(world)] == ["delivered", "delivered"]
    with world.database.read() as s:
        told = s.connection.execute(select(history.c.outcome).where(history.c.what == "delivery")).scalars().all()
    assert told == ["delivered", "delivered"], "nobody was begun twice"


def test_from_the_end_of_the_wait_it_counts_when_a_person_was_created(world: World):
    """P6, R4: or a POST would be thought over that has only just been sent, and another one be sent beside it."""
    due(world, 1)
    ditio, stored = ditio_of(world), []
    send = ditio.send
    waits(world, lambda meanwhile: world.clock.passes(seconds=25))

    def send_noting(*arguments: Any, **options: Any) -> Any:
        stored.append((rows(world)[0].creating["at"], world.clock().isoformat()))
        return send(*arguments, **options)

    ditio.send = send_noting  # type: ignore[method-assign]  # Of this one client.
    world.worker.run_until_idle()

    assert [at == sent_at for at, sent_at in stored] == [True]


@pytest.mark.parametrize("slow", ["_stop_if_paused", "write"])
def test_a_creation_ends_before_it_is_thought_over(world: World, monkeypatch: pytest.MonkeyPatch, slow: str):
    """P6, R4: however slow the database is between what is stored and the POST: no lease is renewed in between."""
    due(world, 1)
    ditio, work, over = ditio_of(world), getattr(Attempt, slow), []
    send = ditio.send

    def slowly(*arguments: Any) -> Any:
        done = work(*arguments)
        world.clock.passes(seconds=15)
        return done

    def send_noting(*arguments: Any, within: float) -> Any:
        age = world.clock() - datetime.fromisoformat(rows(world)[0].creating["at"])
        over.append(age.total_seconds() + within)
        return send(*arguments, within=within)

    monkeypatch.setattr(Attempt, slow, slowly)
    ditio.send = send_noting  # type: ignore[method-assign]  # Of this one client.
    world.worker.run_until_idle()

    assert over
    assert max(over) < world.parts.tenants["default"].lease_seconds
    assert world.employee("1040").created_count == 1


def test_a_pause_during_the_wait_counts(world: World):
    """D4: no write begins after it."""
    due(world, 1)
    so_far = [0]

    def wait(meanwhile: Meanwhile) -> None:
        so_far[0] += 1
        if so_far[0] == 4:  # A read and two searches came before; this is the creation.
            with world.database.write("default") as s:
                s.pauses.pause()

    waits(world, wait)
    world.worker.run_until_idle()

    assert so_far == [4]
    assert world.ditio.writes() == []


@pytest.mark.parametrize(
    ("calls", "per_second", "places"), [(1, None, 2), (2, None, 3), (8, None, 12), (8, 1.0, 5), (8, 0.1, 1)]
)
def test_half_as_many_again_are_in_hand(calls: int, per_second: float | None, places: int):
    """D2: Ditio is busy while others commit; a slow pace has no more in hand than it lets through in time."""
    assert places_for(calls, per_second) == places


def test_a_process_has_not_more_threads_than_it_can_use():
    assert threads_for([12]) == 12
    assert threads_for([12] * 20) == MAX_PLACES
    assert threads_for([1] * 100) == 100


@pytest.mark.parametrize("url", ["sqlite:///never-opened.db", "postgresql://never:opened@127.0.0.1/never"])
def test_each_thread_finds_a_connection(url: str):
    """No one waits for a connection whose lease grows old meanwhile."""
    database = open_database(Settings.model_validate({"database": {"url": url}, "ditio": {"max_concurrency": 30}}))

    assert database.engine.pool.size() >= 45  # type: ignore[attr-defined]  # All that are made here have a size.
