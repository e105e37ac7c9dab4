"""How many calls are under way at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TypeVar

import pytest

from scim_bridge.errors import BudgetSpent
from scim_bridge.http import limiter as module
from scim_bridge.http.limiter import Limiter
from tests.ditio.conftest import KARI, World

T = TypeVar("T")
TODAY = date(2026, 3, 2)
PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who waits looks after things all the time, and not every second."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.001)


def elsewhere(work: Callable[[], T]) -> T:
    """Do something in another thread, to which nothing of this one belongs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(PATIENCE_SECONDS)


def is_free(permits: Limiter) -> bool:
    def took() -> bool:
        try:
            with permits.permit(within=0):
                return True
        except BudgetSpent:
            return False

    return elsewhere(took)


def test_so_many_threads_have_one_at_a_time_and_no_more():
    """D2: `DITIO__MAX_CONCURRENCY`; and as many as that do: each waits for two others inside."""
    permits, together, lock, inside, most = Limiter(3), threading.Barrier(3), threading.Lock(), [0], [0]

    def call() -> None:
        with permits.permit():
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            together.wait(PATIENCE_SECONDS)
            with lock:
                inside[0] -= 1
            together.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(9) as pool:
        for each in [pool.submit(call) for _ in range(9)]:
            each.result(PATIENCE_SECONDS)

    assert most == [3]
    assert is_free(permits)


def test_one_that_is_given_back_is_whose_who_waits_first():
    """No one who comes later takes it from under his nose: a list that waits is read, however much is delivered."""
    permits, waits, may_go = Limiter(1), threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with permits.permit(meanwhile=waits.set):
            may_go.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(1) as pool:
        with permits.permit():
            waiting = pool.submit(wait_for_it)
            assert waits.wait(PATIENCE_SECONDS)
        assert not is_free(permits)
        may_go.set()
        waiting.result(PATIENCE_SECONDS)

    assert is_free(permits)


def test_a_thread_that_has_one_needs_no_other():
    """What belongs to a call, its token for one, never waits for a permit: no one could give it back."""
    permits = Limiter(1)
    with permits.permit():
        with permits.permit(within=0):
            pass
        assert not is_free(permits)

    assert is_free(permits)


def test_whose_time_is_up_waits_no_longer():
    """A4: a request's time is its own; the row is left, and no permit is lost."""
    permits = Limiter(1)
    with permits.permit(), pytest.raises(BudgetSpent):
        elsewhere(lambda: permits.permit(within=0.01).__enter__())

    assert is_free(permits)


def test_what_goes_wrong_during_the_wait_ends_it():
    """D1: a lease that is lost, for one; no permit is lost with it."""
    permits = Limiter(1)

    def lose() -> None:
        raise LookupError

    with permits.permit(), pytest.raises(LookupError):
        elsewhere(lambda: permits.permit(meanwhile=lose).__enter__())

    assert is_free(permits)


def test_one_that_comes_at_the_last_moment_is_passed_on():
    """A caller that gives up just then leaves it to others."""
    permits = Limiter(1)
    held = permits.permit()
    held.__enter__()

    def give_up_as_it_comes() -> None:
        turn = permits._waiting[0]
        permits._give_back()
        assert turn.is_set()
        raise LookupError

    with pytest.raises(LookupError):
        elsewhere(lambda: permits.permit(meanwhile=give_up_as_it_comes).__enter__())

    assert is_free(permits)


def test_every_call_takes_one(world: World):
    """D2: whatever it is, and without being told to; nothing is sent while others call."""
    client = world.client(max_concurrency=1)
    calls: list[Callable[[], object]] = [
        lambda: client.get(KARI, within=0.06),
        lambda: client.search("x", within=0.06),
        lambda: client.check(within=0.06),
        lambda: client.post_certificates([], within=0.06),
        lambda: client.sign_in(within=0.06),
    ]
    with client.permit():
        for call in calls:
            with pytest.raises(BudgetSpent, match="are under way"):
                elsewhere(call)
    assert world.sent == []

    assert client.get(KARI, within=0.06) is None
    assert (world.tokens_fetched, world.api_calls) == (1, 1)


def test_a_list_that_is_being_read_is_a_call_under_way(world: World):
    """D2: until its last row is taken, or a person who reads it stops."""
    for number in ("1", "2"):
        world.ditio.plant(number)
    client = world.client(max_concurrency=1)
    rows = client.roster(TODAY)
    next(rows)

    with pytest.raises(BudgetSpent):
        elsewhere(lambda: client.get(KARI, within=0.06))
    rows.close()
    assert elsewhere(lambda: client.get(KARI, within=0.06)) is None


def test_a_list_that_another_thread_stops_reading_leaves_nothing_behind(world: World):
    """D2: a list that was given up is closed by the code that tidies up; its reader needs a new permit."""
    for number in ("1", "2"):
        world.ditio.plant(number)
    client = world.client(max_concurrency=1)
    with ThreadPoolExecutor(1) as reader:
        rows = reader.submit(client.roster, TODAY).result(PATIENCE_SECONDS)
        reader.submit(next, rows).result(PATIENCE_SECONDS)
        rows.close()
        with client.permit(), pytest.raises(BudgetSpent):
            reader.submit(client.get, KARI, within=0.06).result(PATIENCE_SECONDS)


def test_two_clients_of_a_company_share_them(world: World):
    """D2: its lists may be at another address, and count all the same."""
    client = world.client(max_concurrency=1)
    other = world.client(max_concurrency=1, limiter=client.limiter)

    with client.permit(), pytest.raises(BudgetSpent):
        elsewhere(lambda: other.get(KARI, within=0.06))
