"""A large company as the pages of the console show it: delivered people, some who wait, and a plan with a row each."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

from sqlalchemy import ColumnElement, insert, literal, null, select, text, update

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import GuardedChange, PersonId, Verdict
from scim_bridge.storage.admin_tables import plan_items, plan_outcomes
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.runs import ProcessKind, beat
from scim_bridge.storage.tables import guarded, people

PLAN = "5d1f3c0e-0000-4000-8000-000000000000"
"""The id of the plan. Each person has a row in it."""

REPAIRED = "5d1f3c0e-0000-4000-8000-000000000001"
"""The id of a plan with the same rows, all of which were repaired."""

WAIT: tuple[tuple[str, State, Reason | None, str | None], ...] = (
    ("1", State.due, None, None),
    ("2", State.held, Reason.incomplete, "birthDate is missing: map an attribute to it, and fill it in for this user"),
    ("03", State.held, Reason.guard, "the ending is held by the guard"),
    ("04", State.parked, Reason.refused, "employee 7: patch: Ditio refused it (400, request r-1): not now"),
)
"""Who waits for what, by how their number ends; all others are delivered."""

CHUNK = 2000


def dress(database: Database, advance: Callable[[int], None]) -> None:
    """Let some of the delivered people wait, and store a run of `reconcile` that found a difference for each person.

    :param advance: Told how many more people have a row in the plan.
    """
    with database.write("default") as s:
        _let_wait(s)
        beat(s, ProcessKind.worker, "one", "bridge-1")
    with database.read("default") as s:
        query = select(people.c.id, people.c.employee_number, people.c.revision).order_by(people.c.id)
        rows = s.connection.execute(query).all()
    items = (_drift(place, *row) for place, row in enumerate(rows))
    with database.write("default") as s:
        s.runs.begin(PLAN, PLAN, is_whole=True)
        for first, chunk in _chunks(items):
            s.plan(PLAN).add(chunk, first)
            advance(len(chunk))
        s.runs.note(PLAN, people=len(rows), in_sync=0, by_kind=s.plan(PLAN).by_kind(), new=len(rows), at_work=len(rows))
        s.runs.finish(PLAN, exit=2)
    with database.write("default") as s:
        _repair_all(s, len(rows))
    if not database.is_sqlite:
        with database.engine.connect().execution_options(single=True) as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _let_wait(s: Session) -> None:
    for end, state, reason, detail in WAIT:
        values = {"state": state, "reason": reason, "detail": detail, "state_since": s.now - timedelta(hours=1)}
        if state is State.due:
            values |= {"due_since": s.now, "due_at": s.now}
        s.connection.execute(update(people).where(_ends(end)).values(**values))
    held = s.connection.execute(select(people.c.id).where(_ends("03"))).scalars().all()
    common = {"tenant": s.tenant, "kind": GuardedChange.ending, "said_at": s.now, "verdict": Verdict.held}
    common |= {"decided_at": s.now}
    if held:
        s.connection.execute(insert(guarded), [{**common, "person_id": each} for each in held])
        s.connection.execute(update(people).where(_ends("03")).values(ending_said_at=s.now))


def _repair_all(s: Session, people: int) -> None:
    s.runs.begin(REPAIRED, REPAIRED, is_whole=True)
    values = {"plan_id": literal(REPAIRED)}
    rows = select(*(values.get(each.name, each) for each in plan_items.c)).where(plan_items.c.plan_id == PLAN)
    s.connection.execute(insert(plan_items).from_select(list(plan_items.c), rows))
    values |= {"at": literal(s.now, plan_outcomes.c.at.type), "skipped": null()}
    done = select(*(values.get(each.name, plan_items.c.get(each.name)) for each in plan_outcomes.c))
    s.connection.execute(
        insert(plan_outcomes).from_select(list(plan_outcomes.c), done.where(plan_items.c.plan_id == PLAN))
    )
    s.runs.note(REPAIRED, people=people, in_sync=0, by_kind=s.plan(REPAIRED).by_kind(), new=0, at_work=people)
    s.runs.finish(REPAIRED, exit=0)


def _ends(end: str) -> ColumnElement[bool]:
    return people.c.employee_number.endswith(end)


def _drift(place: int, person_id: str, number: str, revision: int) -> Drift:
    common = {"employee_number": number, "person_id": PersonId(person_id), "revision": revision}
    common |= {"user_name": f"person{number}@contractor.example", "position": place}
    if place % 100 == 0:
        return Drift(Kind.should_be_inactive, Cause.edited_in_ditio, field="disabled", wanted=None, **common)  # type: ignore[arg-type]
    values = {"wanted": "Maskinfører", "found": "Formann", "acknowledged": "Maskinfører"}
    return Drift(Kind.field, Cause.edited_in_ditio, field="workTitle", **values, **common)  # type: ignore[arg-type]


def _chunks(items: Iterator[Drift]) -> Iterator[tuple[int, list[Drift]]]:
    first = 0
    while chunk := list(islice(items, CHUNK)):
        yield first, chunk
        first += len(chunk)
