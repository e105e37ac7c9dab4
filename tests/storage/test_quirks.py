"""Counting how the client departs from the RFCs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import event

from scim_bridge.storage.database import Database
from scim_bridge.storage.entra_calls import MOST_NAMES, OTHERS, Counted, Tally
from tests.conftest import Clock


def count(database: Database, clock: Clock, *found: tuple[str, str], tenant: str = "default") -> None:
    with database.write(tenant) as s:
        s.quirks.count(found)


def listed(database: Database, tenant: str = "default") -> list[Counted]:
    with database.read(tenant) as s:
        return s.quirks.list()


def test_each_kind_and_name_is_counted_by_itself(database: Database, clock: Clock):
    """A7: by name; when it began, and when it was seen last."""
    began = clock()
    count(database, clock, ("unknown-attribute", "shoeSize"), ("empty-text", "title"))
    clock.passes(days=1)
    count(database, clock, ("unknown-attribute", "shoeSize"), ("unknown-path", "shoeSize"))

    later = began + timedelta(days=1)
    assert listed(database) == [
        Counted("unknown-attribute", "shoeSize", 2, began, later),
        Counted("empty-text", "title", 1, began, began),
        Counted("unknown-path", "shoeSize", 1, later, later),
    ]


def test_one_request_counts_once(database: Database, clock: Clock):
    """The figure is a number of writes, not of attributes."""
    count(database, clock, ("empty-text", "title"), ("empty-text", "title"))

    assert [each.count for each in listed(database)] == [1]


def test_another_company_has_its_own(database: Database, clock: Clock):
    count(database, clock, ("empty-text", "title"))
    count(database, clock, ("empty-text", "title"), tenant="other")

    assert [each.count for each in listed(database)] == [1]
    assert [each.count for each in listed(database, "other")] == [1]


def test_names_are_bounded(database: Database, clock: Clock):
    """A client that makes names up does not fill the database: the rest is counted under one name of each kind."""
    for first in range(0, MOST_NAMES, 200):
        count(database, clock, *[("unknown-attribute", f"name-{first + number:04}") for number in range(200)])
    count(database, clock, ("unknown-attribute", "one-more"), ("unknown-path", "one-more"))
    count(database, clock, ("unknown-attribute", "another"), ("unknown-attribute", "name-0000"))

    counts = {(each.kind, each.name): each.count for each in listed(database)}
    assert len(counts) == MOST_NAMES + 2
    assert counts["unknown-attribute", OTHERS] == 2
    assert counts["unknown-path", OTHERS] == 1
    assert counts["unknown-attribute", "name-0000"] == 2


def test_nothing_tolerated_costs_nothing(database: Database, clock: Clock):
    """Not one statement."""
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with database.write("default") as s:
        statements.clear()
        s.quirks.count([])

        assert statements == []


def test_many_at_once_wait_for_each_other_in_one_order(database: Database, clock: Clock):
    """No count is lost, and no two writers stand in each other's way for good."""
    names = [("unknown-attribute", f"name-{number}") for number in range(20)]

    def write(turn: int) -> None:
        count(database, clock, *(names if turn % 2 else reversed(names)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(24)))

    assert [each.count for each in listed(database)] == [24] * 20


def test_a_write_that_is_rolled_back_is_not_counted(database: Database, clock: Clock):
    """A7: counted are writes that were committed."""
    try:
        with database.write("default") as s:
            s.quirks.count([("empty-text", "title")])
            raise ValueError("refused")
    except ValueError:
        pass

    assert listed(database) == []


SHOE, TITLE = ("unknown-attribute", "shoeSize"), ("empty-text", "title")


def flush(database: Database, tally: Tally) -> None:
    kept = tally.to_store()
    with database.write() as s:
        tally.store(s, kept)
    tally.mark_stored(kept)


def test_what_was_stored_lately_is_kept_and_stored_together(database: Database, clock: Clock):
    """No write waits for the rows that every other write counts in, and no count is lost."""
    tally = Tally(clock.monotonic, 30)
    assert set(tally.due("default", [SHOE, TITLE])) == {SHOE, TITLE}
    count(database, clock, SHOE, TITLE)
    tally.committed("default", [SHOE, TITLE], stored=[SHOE, TITLE])
    for tenant in ("default", "default", "other"):
        stored = tally.due(tenant, [SHOE])
        count(database, clock, *stored, tenant=tenant)
        tally.committed(tenant, [SHOE], stored)
    tally.committed("other", [SHOE], stored=[])
    flush(database, tally)
    flush(database, tally)

    assert [(each.name, each.count) for each in listed(database)] == [("shoeSize", 3), ("title", 1)]
    assert [(each.name, each.count) for each in listed(database, "other")] == [("shoeSize", 2)]
    clock.passes(seconds=30)
    assert tally.due("default", [SHOE, TITLE]) == [SHOE, TITLE]


def test_what_could_not_be_stored_stays_kept(database: Database, clock: Clock):
    """The next heartbeat stores it, with what came meanwhile."""
    tally = Tally(clock.monotonic, 30)
    tally.committed("default", [SHOE], stored=[])
    kept = tally.to_store()
    tally.committed("default", [SHOE], stored=[])
    try:
        with database.write() as s:
            tally.store(s, kept)
            raise ValueError("the disk is full")
    except ValueError:
        pass
    flush(database, tally)

    assert [each.count for each in listed(database)] == [2]


def test_invented_names_do_not_fill_the_memory(clock: Clock):
    """They are stored by their own writes, which the table bounds."""
    tally = Tally(clock.monotonic, 30)
    names = [("unknown-attribute", f"name-{number}") for number in range(3 * MOST_NAMES)]
    for each in names:
        tally.committed("default", [each], tally.due("default", [each]))

    assert tally.to_store() == {}
    assert len(tally.due("default", names)) >= MOST_NAMES
