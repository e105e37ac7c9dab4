"""D7: when Entra last called, as all processes of the bridge know it together."""

from datetime import UTC, datetime

import pytest

from scim_bridge.storage.database import Database
from scim_bridge.storage.entra_calls import STORED_EVERY_SECONDS, LastRequests, last_request
from tests.conftest import Clock

EIGHT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def stores(database: Database, requests: LastRequests, *, at_end: bool = False) -> list[str]:
    """What a heartbeat does; the companies whose times it stores."""
    times = requests.to_store(at_end=at_end)
    database.transact("", lambda s: requests.store(s, times))
    requests.mark_stored(times)
    return sorted(times)


def known(database: Database, tenant: str = "nord") -> datetime | None:
    with database.read(tenant) as s:
        return last_request(s)


@pytest.fixture
def requests(clock: Clock) -> LastRequests:
    return LastRequests(clock.monotonic)


def test_it_is_the_time_of_the_request(database: Database, clock: Clock, requests: LastRequests):
    """Not that of the heartbeat, which comes later; and each company has its own."""
    assert known(database) is None
    requests.note("nord")
    clock.passes(seconds=20)

    assert stores(database, requests) == ["nord"]
    assert known(database) == EIGHT
    assert known(database, "sor") is None


def test_it_is_stored_every_five_minutes_at_most(database: Database, clock: Clock, requests: LastRequests):
    stored = []
    for _ in range(20):
        requests.note("nord")
        clock.passes(seconds=30)
        stored += stores(database, requests)

    assert len(stored) == 1 + 20 * 30 // STORED_EVERY_SECONDS - 1
    clock.passes(hours=1)
    assert (len(stores(database, requests)), len(stores(database, requests))) == (1, 0), "once without a new request"
    assert known(database) == datetime(2026, 3, 2, 8, 9, 30, tzinfo=UTC)


def test_a_process_that_ends_leaves_its_latest(database: Database, clock: Clock, requests: LastRequests):
    requests.note("nord")
    stores(database, requests)
    clock.passes(minutes=1)
    requests.note("nord")

    assert stores(database, requests) == []
    assert stores(database, requests, at_end=True) == ["nord"]
    assert known(database) == datetime(2026, 3, 2, 8, 1, tzinfo=UTC)


def test_the_latest_of_all_processes_counts(database: Database, clock: Clock, requests: LastRequests):
    """Each stores what it has seen, in any order."""
    another = LastRequests(clock.monotonic)
    requests.note("nord")
    clock.passes(minutes=1)
    another.note("nord")
    stores(database, another)
    stores(database, requests)

    assert known(database) == datetime(2026, 3, 2, 8, 1, tzinfo=UTC)


def test_a_clock_that_was_ahead_hides_no_silence(database: Database, clock: Clock, requests: LastRequests):
    """D1: the time is the database's, and that may be set back."""
    clock.passes(days=3)
    requests.note("nord")
    stores(database, requests)
    clock.now = EIGHT
    clock.passes(minutes=10)
    requests.note("nord")
    stores(database, requests)

    assert known(database) == datetime(2026, 3, 2, 8, 10, tzinfo=UTC)
