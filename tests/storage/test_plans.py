"""Stored plans: immutable, but for erasure and age; and what is new in each (rule Q5)."""

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from scim_bridge.delivery.worker import forget_old
from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.database import Database
from scim_bridge.storage.plans import PlanItems, blank_person
from tests.conftest import Clock
from tests.thorough import either


def row(kind: Kind, number: str, field: str | None = None, **changes: Any) -> Drift:
    return Drift(kind, Cause.never_delivered, number, "kari", field, **changes)


def store(database: Database, clock: Clock, plan: str, *rows: Drift, is_whole: bool = True) -> None:
    with database.write("default") as s:
        runs = s.runs
        runs.begin(plan, plan, is_whole=is_whole)
        s.plan(plan).add(rows, 0)
        runs.finish(plan, exit=2)
    clock.passes(minutes=1)


def test_rows_come_back_as_they_were(database: Database, clock: Clock):
    """Values keep their type: text, a day, yes or no, nothing."""
    kept = row(Kind.field, "1", "startDate", wanted=date(2026, 3, 1), found=None, person_id=PersonId("p"), revision=7)
    login = row(Kind.should_be_active, "2", "disabled", wanted=False, found=True, listed="held")
    store(database, clock, "a", kept, login)

    with database.read() as s:
        found = {item.employee_number: item for item in s.of("default").plan("a").all()}
        assert list(s.of("other").plan("a").all()) == []
    assert (found["1"].wanted, found["1"].found, found["1"].revision) == (date(2026, 3, 1), None, 7)
    assert (found["2"].wanted, found["2"].found, found["2"].listed) == (False, True, "held")
    assert found["2"].wanted is False


def test_rows_are_grouped_by_person_leavers_first(database: Database, clock: Clock):
    """Design, section 9: a leaver still active is shown first, with whatever else is his."""
    p1, p2 = PersonId("p1"), PersonId("p2")
    store(
        database,
        clock,
        "a",
        row(Kind.unmanaged, "0"),
        row(Kind.field, "1", "email", person_id=p1),
        row(Kind.field, "2", "email", person_id=p2),
        row(Kind.should_be_inactive, "2", "disabled", person_id=p2),
    )

    with database.read("default") as s:
        items = s.plan("a")
        told = [(item.employee_number, item.kind) for item in items.all()]
        assert items.by_kind() == {"should-be-inactive": 1, "field": 2, "unmanaged": 1}
    assert told == [
        ("2", Kind.should_be_inactive),
        ("2", Kind.field),
        ("1", Kind.field),
        ("0", Kind.unmanaged),
    ]


people = st.sampled_from([("p1", "1"), ("p2", "2"), ("p3", "2"), ("p4", None), (None, "2"), (None, "3"), (None, None)])


@given(rows=st.lists(st.tuples(st.sampled_from(Kind), people), max_size=12), size=st.integers(1, 5))
@settings(max_examples=either(60, 20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_follow_each_other_as_one_long_list_does(database: Database, rows: list[Any], size: int):
    """Each row once, whatever kinds the plan has; of one kind, those of the list."""
    plan = str(uuid.uuid4())
    stored = [replace(row(kind, ""), employee_number=number, person_id=person) for kind, (person, number) in rows]
    with database.write("default") as s:
        s.plan(plan).add(stored, 0)

    def walked(items: PlanItems, kind: Kind | None) -> list[Drift]:
        found: list[Drift] = []
        while page := items.page(kind, skip=len(found), limit=size):
            found += page
        return found

    with database.read("default") as s:
        items = s.plan(plan)
        whole = list(items.all())
        assert walked(items, None) == whole
        assert len(whole) == len(rows)
        for kind in Kind:
            of_kind = [each for each in whole if each.kind is kind]
            assert sorted(each.position or 0 for each in walked(items, kind)) == sorted(
                each.position or 0 for each in of_kind
            )


@given(rows=st.lists(st.tuples(st.sampled_from(Kind), people, st.booleans(), st.booleans()), max_size=12))
@settings(max_examples=either(60, 20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_left_of_a_plan_is_counted_as_row_by_row(database: Database, rows: list[Any]):
    """What may be repaired and was neither tried nor approved; a row that was repaired may have been blanked since."""
    plan = str(uuid.uuid4())
    stored = [
        replace(row(kind, ""), employee_number=number, person_id=person, listed="held" if is_listed else None)
        for kind, (person, number), is_listed, _ in rows
    ]
    with database.write("default") as s:
        items = s.plan(plan)
        items.add(stored, 0)
        tried = [place for place, each in enumerate(rows) if each[3]]
        items.settle([(each.position or 0, None) for each in items.of(tried) if each.may_be_repaired(reviewed=True)])
        blank_person(s, PersonId("p1"))

    with database.read("default") as s:
        outcomes = s.plan(plan).outcomes()
        left = [each for each in s.plan(plan).all() if each.may_be_repaired(reviewed=True)]
        assert s.plan(plan).count_left() == len([each for each in left if each.position not in outcomes])


def plan_of(database: Database, asks: Callable[[PlanItems], object]) -> list[str]:
    """How the database finds the places of the rows of a page."""
    sent: list[tuple[str, Any]] = []
    with database.write("default") as s:
        s.connection.exec_driver_sql("ANALYZE plan_items")
    with database.read("default") as s:
        event.listen(s.connection, "before_cursor_execute", lambda *told: sent.append((told[2], told[3])))
        asks(s.plan("a"))
        if not database.is_sqlite:
            # So few rows are read faster without an index.
            s.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            s.connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        ((statement, values),) = [each for each in sent if "OFFSET" in each[0]]
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        return [str(each[-1]) for each in s.connection.exec_driver_sql(f"{explain} {statement}", values)]


def test_a_page_is_read_from_an_index(database: Database, clock: Clock):
    """However long the plan is: nothing is sorted that is in the index already, and no row before the page is read."""
    fields = [row(Kind.field, f"{n}", "email", person_id=PersonId(f"{n}")) for n in range(500)]
    store(database, clock, "a", *fields, row(Kind.should_be_inactive, "x", person_id=PersonId("x")))

    of_kind = " ".join(plan_of(database, lambda items: items.page(Kind.field, skip=400, limit=50)))
    of_all = plan_of(database, lambda items: items.page(None, skip=400, limit=50))

    assert "ix_plan_items_order" in of_kind
    assert not re.search("TEMP B-TREE|Sort", of_kind)
    if database.is_sqlite:
        left, right = of_all.index("LEFT"), of_all.index("RIGHT")
        assert not any("TEMP B-TREE" in step for step in of_all[left:right]), of_all
        assert all("COVERING INDEX ix_plan_items_order" in step for step in of_all if "plan_items " in step), of_all


def test_a_page_is_shown_although_age_removes_its_rows_meanwhile(database: Database, clock: Clock):
    """Q5: a page reads which rows it has, and then the rows: some may be gone by then."""
    store(database, clock, "a", *(row(Kind.field, f"{n}", "email", person_id=PersonId(f"{n}")) for n in range(3)))

    def removes(*told: Any) -> None:
        if "OFFSET" in told[2]:
            with database.write() as s:
                s.connection.execute(text("DELETE FROM plan_items WHERE employee_number = '1'"))

    with database.read("default") as s:
        event.listen(s.connection, "after_cursor_execute", removes)
        shown = [each.employee_number for each in s.plan("a").page(None, skip=0, limit=10)]

    assert shown in (["0", "2"], ["0", "1", "2"])
    with database.read("default") as s:
        assert [each.employee_number for each in s.plan("a").all()] == ["0", "2"]


def test_the_rows_of_an_old_plan_go_and_one_line_stays(database: Database, clock: Clock):
    """Q5: RECONCILE__KEEP_DAYS, then one line a run until RETENTION__DAYS; what became of the rows goes with them."""
    rows = [row(Kind.field, str(n), "email", wanted="a@b.c", person_id=PersonId(str(n))) for n in range(2500)]
    store(database, clock, "old", *rows)
    store(database, clock, "other", row(Kind.field, "1", "email"))
    with database.write("default") as s:
        s.plan("old").settle([(0, None), (1, "moved")])
    clock.passes(days=29)
    store(database, clock, "new", row(Kind.field, "1", "email", wanted="a@b.c"))
    assert forget_old(database, "default", 365, 30) == 0
    clock.passes(days=1)

    assert forget_old(database, "default", 365, 30) == 2500 + 2 + 1
    with database.read("default") as s:
        assert not s.plan("old").has_rows()
        assert s.plan("old").outcomes() == {}
        assert s.plan("new").has_rows()
        assert [run.id for run in s.runs.list()] == ["old", "other", "new"]
    assert forget_old(database, "default", 365, 30) == 0


def test_the_line_of_a_run_goes_with_the_history_but_not_what_the_next_is_measured_by(database: Database, clock: Clock):
    """Q5, Q4: RETENTION__DAYS; the last believed read and the last comparison stay, however old."""
    store(database, clock, "believed")
    with database.write("default") as s:
        s.runs.note("believed", is_believed=True, shown=100)
    store(database, clock, "forgotten", is_whole=False)
    store(database, clock, "compared")
    clock.passes(days=400)
    store(database, clock, "part", is_whole=False)

    assert forget_old(database, "default", 365, 30) == 1
    with database.read("default") as s:
        runs = s.runs
        assert [run.id for run in runs.list()] == ["believed", "compared", "part"]
        assert runs.shown_before() == 100


def test_one_persons_values_are_erased_from_every_plan(database: Database, clock: Clock):
    """G1: the values inside stored plans."""
    for plan in ("a", "b"):
        rows = [row(Kind.field, name, "email", wanted="x", person_id=PersonId(name)) for name in ("p", "q")]
        store(database, clock, plan, *rows)
    with database.write("default") as s:
        blank_person(s, PersonId("p"))

    with database.read("default") as s:
        for plan in ("a", "b"):
            erased, kept = s.plan(plan).all()
            assert (erased.wanted, kept.wanted) == (None, "x")


def test_new_is_what_the_whole_plan_before_did_not_have(database: Database, clock: Clock):
    """Design, section 5: `new` of `reconcile runs`; a run about a part is no measure."""
    store(database, clock, "a", row(Kind.field, "1", "email"), row(Kind.unmanaged, "7"))
    store(database, clock, "part", row(Kind.unmanaged, "8"), is_whole=False)
    store(database, clock, "b", row(Kind.field, "1", "email"), row(Kind.field, "1", "phone"), row(Kind.unmanaged, "8"))

    with database.read("default") as s:
        assert s.runs.count_new("b") == 2


def test_what_was_there_before_is_not_new_without_a_number_either(database: Database, clock: Clock):
    """A person who waits for his employee number: told in every run, and new in the first alone."""
    waits, other = (row(Kind.missing, "", "employeeNumber", person_id=PersonId(each)) for each in ("p1", "p2"))
    waits, other = replace(waits, employee_number=None), replace(other, employee_number=None)
    store(database, clock, "a", waits)
    store(database, clock, "b", waits, other)

    with database.read("default") as s:
        assert s.runs.count_new("b") == 1


@pytest.mark.parametrize("column", ["kind", "cause"])
def test_rows_that_only_a_newer_version_understands_are_left_out(database: Database, clock: Clock, column: str):
    """Going back: the plan of a newer version is shown and repaired as far as this version knows its rows."""
    store(database, clock, "a", row(Kind.field, "1", "email"), row(Kind.certificate, "2", "Byggekort"))
    with database.write() as s:
        s.connection.execute(text(f"UPDATE plan_items SET {column} = 'of-tomorrow' WHERE employee_number = '2'"))

    with database.read("default") as s:
        items = s.plan("a")
        assert [item.employee_number for item in items.all()] == ["1"]
        assert [item.employee_number for item in items.page(None, skip=0, limit=10)] == ["1"]
        assert [item.employee_number for item in items.of([0, 1])] == ["1"]
        assert items.by_kind() == {"field": 1}
    with database.write() as s:
        s.connection.execute(text("UPDATE plan_items SET kind = 'of-tomorrow'"))
    with database.read("default") as s:
        assert [*s.plan("a").all()] == []
        assert s.plan("a").has_rows(), "they were not removed by age"
    with database.write("default") as s:
        assert s.plan("a").forget(limit=10) == 2
