"""`RETENTION__DAYS`: history does not grow for ever."""

from scim_bridge.delivery import worker
from scim_bridge.delivery.worker import forget_old
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.database import Database
from scim_bridge.storage.history import Entry
from tests.conftest import Clock
from tests.world import World

SOMEBODY = PersonId("somebody")


def remember(database: Database, what: str, *, tenant: str = "default", times: int = 1) -> None:
    with database.write(tenant) as s:
        history = s.history
        history.add(SOMEBODY, *[Entry(what, "done") for _ in range(times)])


def remembered(database: Database, tenant: str = "default") -> list[str]:
    with database.read(tenant) as s:
        return [entry.what for entry in s.history.of(SOMEBODY)]


def test_what_is_older_goes_and_the_rest_stays(database: Database, clock: Clock):
    """D5: history is append-only; the only thing that removes a row is its age."""
    remember(database, "old")
    remember(database, "another company's", tenant="other")
    clock.passes(days=365)
    remember(database, "young")

    assert forget_old(database, "default", 365, 30) == 0
    clock.passes(seconds=1)
    assert forget_old(database, "default", 365, 30) == 1

    assert remembered(database) == ["young"]
    assert remembered(database, "other") == ["another company's"]


def test_a_lot_goes_in_short_transactions(database: Database, clock: Clock, monkeypatch):
    """A person who writes at the same time waits for a thousand rows, not for a year of them."""
    monkeypatch.setattr(worker, "BATCH", 2)
    remember(database, "old", times=7)
    clock.passes(days=2)

    assert forget_old(database, "default", 1, 1) == 7
    assert remembered(database) == []


def test_a_worker_forgets_once_an_hour(database: Database, clock: Clock):
    """`RETENTION__DAYS` is read from the settings; a worker that runs for months gets to it, not at every glance."""
    worker = World(database, clock, settings={"retention": {"days": 1}}).worker
    seen: list[list[str]] = []

    def half_an_hour_passes() -> None:
        seen.append(remembered(database))
        clock.passes(minutes=30)

    remember(database, "old")
    clock.passes(hours=23, minutes=45)
    worker.run(lambda: len(seen) == 4, half_an_hour_passes)

    assert seen == [["old"], ["old"], [], []]


def test_until_idle_forgets_once(database: Database, clock: Clock):
    """`worker --until-idle`, started by a timer, is all that some installations run."""
    world = World(database, clock)
    remember(database, "old")
    clock.passes(days=31)
    world.worker.run_until_idle()
    assert remembered(database) == ["old"]

    world.restarts_with(retention={"days": 30})
    world.worker.run_until_idle()
    assert remembered(database) == []
