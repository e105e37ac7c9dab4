"""How fast calls follow one another."""

import threading

import pytest

from scim_bridge.errors import BudgetSpent
from scim_bridge.http.limiter import Limiter
from tests.ditio.conftest import KARI, Clock, World


def test_calls_start_at_even_distances(clock: Clock):
    """D2: `DITIO__REQUESTS_PER_SECOND`."""
    pace = Limiter(1, 4.0, monotonic=clock.monotonic, sleep=clock.passes)
    started = []
    for _ in range(5):
        pace.keep_pace(until=None)
        started.append(clock.seconds)

    assert started == [0, 0.25, 0.5, 0.75, 1.0]


def test_idle_time_is_not_saved_up(clock: Clock):
    """After a quiet hour calls don't come in a burst."""
    pace = Limiter(1, 2.0, monotonic=clock.monotonic, sleep=clock.passes)
    pace.keep_pace(until=None)
    clock.passes(3600)
    pace.keep_pace(until=None)
    pace.keep_pace(until=None)

    assert clock.seconds == 3600.5


def test_without_a_limit_no_one_waits(clock: Clock):
    pace = Limiter(1, monotonic=clock.monotonic, sleep=lambda seconds: pytest.fail("nobody waits"))
    for _ in range(100):
        pace.keep_pace(until=None)


def test_a_request_that_has_no_time_for_it_takes_no_place(clock: Clock):
    """A4: its time is its own; a worker goes on."""
    pace = Limiter(1, 1.0, monotonic=clock.monotonic, sleep=clock.passes)
    pace.keep_pace(until=None)
    with pytest.raises(BudgetSpent):
        pace.keep_pace(until=clock.monotonic() + 0.5)
    pace.keep_pace(until=clock.monotonic() + 1.0)

    assert clock.seconds == 1.0


def test_threads_share_it():
    """All threads of a process together; each gets a place of its own."""
    slept: list[float] = []
    pace = Limiter(1, 1.0, monotonic=lambda: 0.0, sleep=slept.append)
    threads = [threading.Thread(target=pace.keep_pace, kwargs={"until": None}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(slept) == [1, 2, 3, 4, 5, 6, 7]


def test_the_client_keeps_it(world: World, clock: Clock):
    """Every exchange counts, the one for a token too."""
    client = world.client(requests_per_second=1.0)
    client.get(KARI)
    client.get(KARI)

    assert (world.tokens_fetched, world.api_calls) == (1, 2)
    assert clock.seconds == 2.0


def test_two_clients_of_a_company_keep_it_together(world: World, clock: Clock):
    """D2: its lists may be at another address, and count all the same."""
    client = world.client(requests_per_second=1.0)
    world.client(limiter=client.limiter).get(KARI)
    client.get(KARI)

    assert clock.seconds == 3.0
