"""People listed page by page, by state and department; and the figures of the console's first page."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from scim_bridge.domain.outcome import Reason, State
from scim_bridge.operator.overview import bars, happened, overview
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.directory import Choice, folded
from scim_bridge.storage.outbox import Cause
from tests.conftest import Clock
from tests.world import World, a_user

DEPARTMENTS = ("Anlegg", "Betong", "kran", None)


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    """Twelve people in four departments, every fourth of them in none; the last two have no phone."""
    world = World(database, clock)
    for number in range(12):
        world.entra.directory.add(
            a_user(
                object_id=f"object-{number:02}",
                user_principal_name=f"user{number:02}@x.no",
                mail=f"user{number:02}@x.no",
                employee_id=f"{number:02}",
                mobile=f"+47987650{number:02}" if number < 10 else None,
                department=DEPARTMENTS[number % 4],
            )
        )
    world.cycle()
    return world


def listed(world: World, choice: Choice, size: int = 5) -> list[list[str]]:
    """The user names, page by page."""
    found: list[list[str]] = []
    with world.database.read("default") as s:
        after = None
        while ids := s.directory.page(choice, size, after=after):
            found.append([str(each.user_name).partition("@")[0][-2:] for each in s.directory.of(ids)])
            after = ids[-1]
    return found


def test_pages_have_everyone_once_in_order(world: World):
    pages = listed(world, Choice())

    assert [len(page) for page in pages] == [5, 5, 2]
    assert [name for page in pages for name in page] == [f"{number:02}" for number in range(12)]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (Choice(state=State.held), ["10", "11"]),
        (Choice(state=State.held, reason=Reason.guard), []),
        (Choice(department="Betong"), ["01", "05", "09"]),
        (Choice(department="BETONG", state=State.held), []),
        (Choice(department="Kran", reason=Reason.incomplete), ["10"]),
        (Choice(department="x"), []),
        (Choice(is_deleted=True), []),
    ],
    ids=str,
)
def test_a_choice_has_those_who_fit(world: World, choice: Choice, names: list[str]):
    assert [name for page in listed(world, choice, 2) for name in page] == names


def test_people_whose_user_is_deleted_are_a_choice_of_their_own(world: World):
    world.entra.directory.hard_delete("object-03")
    world.cycle()

    assert [name for page in listed(world, Choice(is_deleted=True)) for name in page] == ["03"]
    assert "03" not in [name for page in listed(world, Choice()) for name in page]


def test_departments_are_listed_as_entra_writes_them(world: World):
    with world.database.read("default") as s:
        assert s.directory.departments(10) == ["Anlegg", "Betong", "kran"]
        assert s.directory.departments(2) == ["Anlegg", "Betong"]
    with world.database.read("other") as s:
        assert s.directory.departments(10) == []


def plans_of(database: Database, asks: Callable[[Session], object]) -> list[str]:
    """How the database finds what is asked for, statement by statement."""
    statements: list[tuple[str, Any]] = []
    with database.write("default") as s:
        s.connection.execute(text("ANALYZE"))
    with database.read("default") as s:
        if not database.is_sqlite:
            s.connection.execute(text("SET enable_seqscan = off"))
        event.listen(s.connection, "before_cursor_execute", lambda *told: statements.append((told[2], told[3])))
        asks(s)
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        return [str(s.connection.exec_driver_sql(f"{explain} {each}", values).all()) for each, values in statements[:]]


def test_a_page_of_a_department_is_found_in_the_index(world: World):
    """However many people there are, a page costs the same."""
    plan = plans_of(world.database, lambda s: s.directory.page(Choice(department="Kran"), 5))[0]

    assert "ix_resources_department" in plan


def test_a_name_is_looked_for_in_indexes(world: World):
    """Only of the few people whose names are not part of their display name, the names are read."""
    plain, of_others, *_ = plans_of(world.database, lambda s: s.directory.called(["unbekannt"], 5))

    assert "ix_resources_other_names" in of_others
    if world.database.is_sqlite:
        assert plain.count("COVERING INDEX") == 3


@pytest.mark.parametrize(
    "display_name", ["Maskin AS", "Kari", "Kari Nordmann", "kari øst nordmann", "", None, "Kari Nordmann" + "n" * 2000]
)
@pytest.mark.parametrize("given_name", ["Kari", "Øst", None])
def test_people_are_found_by_any_name(database: Database, clock: Clock, display_name: str, given_name: str | None):
    """Whatever Entra sends as the display name: each word may be in another name."""
    world = World(database, clock)
    world.provisions(a_user(display_name=display_name, given_name=given_name))
    names = [each for each in (given_name, "nordmann", display_name and display_name[:9]) if each]
    asked = [[folded(word) for word in text.split()] for text in (*names, " ".join(names), "nord contractor")]

    with world.database.read("default") as s:
        assert [len(s.directory.called(words, 5)) for words in asked] == [1] * len(asked)
        assert s.directory.called(["nordmann", "unbekannt"], 5) == s.directory.called(["x" * 300], 5) == []


def test_causes_are_counted(world: World):
    with world.database.read("default") as s:
        assert s.outbox.causes() == {Cause(State.held, Reason.incomplete): 2}
        assert len(s.outbox.waiting(Cause(State.held, Reason.incomplete))) == 2
        assert len(s.outbox.waiting(Cause(State.held, Reason.incomplete), 1)) == 1
        assert s.outbox.waiting(Cause(State.due, None)) == []


def test_what_happened_is_counted_by_hour_and_day(world: World, clock: Clock):
    """Ten were created, two held; an hour later one changed."""
    clock.passes(hours=1)
    world.changes(world.entra.directory.users["object-00"], job_title="Formann")

    with world.database.read("default") as s:
        counted = happened(s)
    hours = bars(counted, clock.now, timedelta(hours=1), 24)
    days = bars(counted, clock.now, timedelta(days=1), 7)

    assert [(bar.said, bar.sent) for bar in hours[-2:]] == [(12, 10), (1, 1)]
    assert sum(bar.said + bar.sent + bar.refused for bar in hours[:-2]) == 0
    assert (days[-1].said, days[-1].sent) == (13, 11)
    assert hours[-1].begins == clock.now.replace(minute=0)


def test_the_overview_has_the_figures_of_the_outbox(world: World, clock: Clock):
    with world.database.read("default") as s:
        found, status = overview(s, paused_by_setting=False), s.outbox.status()

    assert (found.delivered, found.status) == (10, status)
    assert not found.is_entra_quiet
    assert found.worker.alive == 0
    assert found.drifted is None
    clock.passes(hours=4)
    with world.database.read("default") as s:
        assert overview(s, paused_by_setting=False).is_entra_quiet
