"""The rows of stored plans, the outcome of each, and people who are due for some of them (rules Q3, Q5)."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Row,
    Select,
    Table,
    and_,
    delete,
    desc,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from scim_bridge.domain.drift import REPAIRED, REPAIRED_FROM_PLAN, REPAIRED_ON_REVIEW, Cause, Drift, Kind
from scim_bridge.domain.outcome import Reason, State, reason_of
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.admin_tables import IS_LISTED, PLAN_TABLES, plan_items, plan_outcomes
from scim_bridge.storage.engine import Repository, Transaction, upsert
from scim_bridge.storage.people import NOT_DUE, PersonRecord
from scim_bridge.storage.plan_order import RANK, WHO, Counted, Rows
from scim_bridge.storage.tables import from_stored, people, to_stored

_KINDS, _CAUSES = frozenset(Kind), frozenset(Cause)
"""What this version understands: a newer one may know more."""

_AT_ONCE = 500
"""Rows that are held in memory at a time."""

APPROVED = "approved in the console: the repair has not come to it yet"
"""Stands in place of an outcome from the approval of a row until its repair."""

_IS_OUTCOME = or_(plan_outcomes.c.skipped.is_(None), plan_outcomes.c.skipped != APPROVED)


_CAN_BE_REPAIRED = REPAIRED | REPAIRED_ON_REVIEW | REPAIRED_FROM_PLAN


class PlanItems(Repository):
    """The rows of one plan, within one transaction. They change only by erasure, which blanks them, and by age."""

    def __init__(self, s: Transaction, plan_id: str) -> None:
        super().__init__(s)
        self._plan_id = plan_id

    def add(self, items: Sequence[Drift], first: int) -> None:
        """Append rows. :param first: The position of the first row."""
        if items:
            self._connection.execute(
                insert(plan_items), [self._row(item, first + place) for place, item in enumerate(items)]
            )

    def all(self) -> Iterator[Drift]:
        """Yield every row, grouped by person, with leavers who are still active first."""
        yield from self._drifts(self._by_person())

    def of_people(self, positions: Collection[int]) -> Iterator[Drift]:
        """Yield all rows of the people who have one of these rows, in the order of `all`."""
        named = select(WHO).where(self._of_plan(), plan_items.c.position.in_(list(positions)))
        yield from self._drifts(self._by_person().where(WHO.in_(named)))

    def repaired(self) -> Iterator[Drift]:
        """Yield the rows that were repaired, by position."""
        is_repaired = select(plan_outcomes.c.position).where(self._noted(), plan_outcomes.c.skipped.is_(None))
        query = select(plan_items).where(self._of_plan(), plan_items.c.position.in_(is_repaired))
        yield from self._drifts(query.order_by(plan_items.c.position))

    def page(
        self, kind: Kind | None, *, skip: int, limit: int, counts: Mapping[str, Counted] | None = None
    ) -> list[Drift]:
        """Return some rows in the order of `all`.

        :param kind: Only rows of this kind; None for all.
        :param counts: What `counts` returned, if the caller has it.
        """
        counts = self.counts() if counts is None else counts
        total = sum(each.rows for name, each in counts.items() if kind in (None, name))
        limit = min(limit, total - skip)
        if limit <= 0:
            return []
        known = Rows(self._mine(), is_postgresql=self._s.dialect == "postgresql")
        query, order = known.in_order(counts) if kind is None else known.of_kind(kind)
        # Rows before a page take time: one in the last half is looked for from the end.
        is_from_end = skip > total // 2
        ordered = query.order_by(*(map(desc, order) if is_from_end else order))
        page = ordered.offset(total - skip - limit if is_from_end else skip).limit(limit)
        places = [row.position for row in self._connection.execute(page)]
        found = {each.position: each for each in self._drifts(self._at(places))}
        # Rows that were removed by age between the statements are left out.
        return [found[each] for each in (reversed(places) if is_from_end else places) if each in found]

    def counts(self) -> dict[str, Counted]:
        """Return how many rows there are, by kind."""
        kind, person_id = plan_items.c.kind, plan_items.c.person_id
        query = select(kind, func.count(), func.count(person_id)).where(self._mine()).group_by(kind)
        return {row[0]: Counted(row[1], row[2]) for row in self._connection.execute(query)}

    def count_left(self, counts: Mapping[str, Counted] | None = None) -> int:
        """Return how many rows can be repaired and have no outcome yet; see `Drift.may_be_repaired`.

        Most plans have few rows that are only listed: these are counted, instead of all others.

        :param counts: What `counts` returned, if the caller has it.
        """
        counts = self.counts() if counts is None else counts
        can_be = sum(
            each.rows if name == Kind.certificate else each.of_people
            for name, each in counts.items()
            if name in _CAN_BE_REPAIRED
        )
        is_listed = and_(
            self._mine(),
            IS_LISTED,
            plan_items.c.kind.in_(sorted(_CAN_BE_REPAIRED)),
            or_(plan_items.c.person_id.is_not(None), plan_items.c.kind == Kind.certificate),
        )
        listed, noted = self._connection.execute(
            select(
                select(func.count()).select_from(plan_items).where(is_listed).scalar_subquery(),
                select(func.count()).select_from(plan_outcomes).where(self._noted()).scalar_subquery(),
            )
        ).one()
        if listed and noted:
            # Only a row that could be repaired has an outcome; it may have been blanked since.
            both = plan_outcomes.join(plan_items, plan_outcomes.c.position == plan_items.c.position)
            twice = select(func.count()).select_from(both).where(self._noted(), is_listed)
            noted -= self._connection.execute(twice).scalar_one()
        return max(0, int(can_be - listed - noted))

    def _by_person(self) -> Select[Any]:
        best = func.min(RANK).over(partition_by=WHO)
        order = best, plan_items.c.employee_number, plan_items.c.person_id, RANK, plan_items.c.position
        return select(plan_items).where(self._of_plan()).order_by(*order)

    def _at(self, positions: Sequence[int]) -> Select[Any]:
        return select(plan_items).where(self._of_plan(), plan_items.c.position.in_(positions))

    def of(self, positions: Iterable[int]) -> list[Drift]:
        """Return the rows at these positions, without the blanked ones."""
        query = self._at(list(positions)).where(plan_items.c.is_blank.is_(False))
        return list(self._drifts(query.order_by(plan_items.c.position)))

    def by_kind(self) -> dict[str, int]:
        """Return how many rows there are of each kind, in the order in which kinds are reported."""
        counts = self.counts()
        return {kind.value: counts[kind.value].rows for kind in Kind if kind.value in counts}

    def settle(self, outcomes: Iterable[tuple[int, str | None]]) -> None:
        """Store the outcomes of rows: None for a repaired row, or else why it was skipped.

        A row that another run of the same plan has repaired stays repaired.
        """
        noted = dict(outcomes)
        done = {position for position, skipped in self.outcomes_of(list(noted)).items() if skipped is None}
        common = {"tenant": self._tenant, "plan_id": self._plan_id, "at": self._now}
        rows = [{**common, "position": place, "skipped": why} for place, why in noted.items() if place not in done]
        upsert(self._s, plan_outcomes, rows)

    def outcomes(self) -> dict[int, str | None]:
        """Return the outcomes of all rows that have one."""
        query = select(plan_outcomes.c.position, plan_outcomes.c.skipped).where(self._noted(), _IS_OUTCOME)
        return {row.position: row.skipped for row in self._connection.execute(query)}

    def count_outcomes(self) -> tuple[int, int]:
        """Return how many rows were repaired, and how many were skipped."""
        query = select(func.count(), func.count(plan_outcomes.c.skipped)).where(self._noted(), _IS_OUTCOME)
        noted, skipped = self._connection.execute(query).one()
        return noted - skipped, skipped

    def outcomes_of(self, positions: Sequence[int]) -> dict[int, str | None]:
        """Return the outcomes of some rows; rows without an outcome are left out."""
        query = select(plan_outcomes.c.position, plan_outcomes.c.skipped).where(
            self._noted(), plan_outcomes.c.position.in_(positions), _IS_OUTCOME
        )
        return {row.position: row.skipped for row in self._connection.execute(query)}

    def approve(self, positions: Sequence[int]) -> None:
        """Store that rows are approved. A row that has been repaired stays so."""
        for first in range(0, len(positions), _AT_ONCE):
            self.settle([(place, APPROVED) for place in positions[first : first + _AT_ONCE]])

    def approved(self) -> frozenset[int]:
        """Return the positions of the approved rows that the repair has not come to yet."""
        query = select(plan_outcomes.c.position).where(self._noted(), plan_outcomes.c.skipped == APPROVED)
        return frozenset(self._connection.execute(query).scalars())

    def still_approved(self, rows: Sequence[Drift]) -> list[Drift]:
        """Return those of some rows that are approved, and wait for their repair."""
        approved = self.is_approved([row.position for row in rows if row.position is not None])
        return [row for row in rows if row.position in approved]

    def is_approved(self, positions: Sequence[int]) -> frozenset[int]:
        """Return which of these rows are approved, and wait for their repair."""
        query = select(plan_outcomes.c.position).where(
            self._noted(), plan_outcomes.c.position.in_(positions), plan_outcomes.c.skipped == APPROVED
        )
        return frozenset(self._connection.execute(query).scalars())

    def withdraw(self) -> int:
        """Withdraw the approval of the rows that the repair has not come to yet. Return how many."""
        return self._connection.execute(
            delete(plan_outcomes).where(self._noted(), plan_outcomes.c.skipped == APPROVED)
        ).rowcount

    def progress(self) -> tuple[int, int]:
        """Return how many rows have an outcome since the approval, and how many of the approved have none yet."""
        approved = (self._noted(), plan_outcomes.c.skipped == APPROVED)
        left, since = self._connection.execute(
            select(func.count(), func.min(plan_outcomes.c.at)).where(*approved)
        ).one()
        if since is None:
            return 0, 0
        query = select(func.count()).where(self._noted(), _IS_OUTCOME, plan_outcomes.c.at >= since)
        return self._connection.execute(query).scalar_one(), left

    def has_rows(self) -> bool:
        """Return whether the plan has any row, of whatever kind."""
        query = select(plan_items.c.position).where(self._of_plan())
        return self._connection.execute(query.limit(1)).first() is not None

    def forget(self, *, limit: int) -> int:
        """Remove rows and their outcomes, at most `limit` of each. Return how many."""
        return sum(self._forget(table, limit) for table in PLAN_TABLES)

    def _forget(self, table: Table, limit: int) -> int:
        mine = (table.c.tenant == self._tenant) & (table.c.plan_id == self._plan_id)
        some = select(table.c.position).where(mine).limit(limit)
        return self._connection.execute(delete(table).where(mine, table.c.position.in_(some))).rowcount

    def _drifts(self, query: Select[Any]) -> Iterator[Drift]:
        """Yield the rows that this version understands."""
        with self._connection.execute(query.execution_options(yield_per=_AT_ONCE)) as rows:
            for row in rows:
                if row.kind in _KINDS and row.cause in _CAUSES:
                    yield _drift(row)

    def _noted(self) -> ColumnElement[bool]:
        return (plan_outcomes.c.tenant == self._tenant) & (plan_outcomes.c.plan_id == self._plan_id)

    def _mine(self) -> ColumnElement[bool]:
        """Return the condition for rows that this version understands."""
        return self._of_plan() & plan_items.c.kind.in_(sorted(_KINDS)) & plan_items.c.cause.in_(sorted(_CAUSES))

    def _of_plan(self) -> ColumnElement[bool]:
        return (plan_items.c.tenant == self._tenant) & (plan_items.c.plan_id == self._plan_id)

    def _row(self, item: Drift, position: int) -> dict[str, object]:
        return {
            "tenant": self._tenant,
            "plan_id": self._plan_id,
            "position": position,
            "kind": item.kind.value,
            "cause": item.cause.value,
            "person_id": item.person_id,
            "revision": item.revision,
            "employee_number": item.employee_number,
            "field": item.field,
            "listed": item.listed,
            "user_name": item.user_name,
            "wanted": to_stored(item.wanted),
            "found": to_stored(item.found),
            "acknowledged": to_stored(item.acknowledged),
        }


def blank_person(s: Transaction, person_id: PersonId) -> None:
    """Blank the values of one person in every plan (rule G1)."""
    s.connection.execute(
        update(plan_items).where(plan_items.c.tenant == s.tenant, plan_items.c.person_id == person_id).values(**_BLANK)
    )


_BLANK = {"user_name": None, "wanted": None, "found": None, "acknowledged": None, "is_blank": True}


def _drift(row: Row[Any]) -> Drift:
    return Drift(
        kind=Kind(row.kind),
        cause=Cause(row.cause),
        employee_number=row.employee_number,
        user_name=row.user_name,
        field=row.field,
        wanted=from_stored(row.wanted),
        found=from_stored(row.found),
        acknowledged=from_stored(row.acknowledged),
        person_id=PersonId(row.person_id) if row.person_id else None,
        revision=row.revision,
        listed="its values were blanked" if row.is_blank and row.listed is None else row.listed,
        position=row.position,
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of a drift mark: the rows that a person is due for."""

    plan_id: str
    items: tuple[Drift, ...]
    """The rows as the plan stored them, without those that were blanked since."""

    positions: tuple[int, ...]
    state: State
    """The state before the mark: a person who was held or parked stays so."""

    reason: Reason | None
    detail: str | None


class Scopes(Repository):
    """The drift marks of one tenant, within one transaction."""

    def mark(self, record: PersonRecord, plan_id: str, items: Sequence[Drift], lease: str, seconds: float) -> bool:
        """Make a person due for these rows only, leased to the caller. Return whether it was possible.

        A person who is due already, or was changed by Entra since, never gets a scope.
        """
        free = or_(people.c.leased_until.is_(None), people.c.leased_until <= self._now)
        scope = {
            "plan": plan_id,
            "rows": [item.position for item in items],
            "kinds": sorted({item.kind.value for item in items}),
            "fields": sorted({item.field for item in items if item.field}),
            "state": record.state.value,
            "reason": record.reason.value if record.reason else None,
            "detail": record.detail,
        }
        marked = self._connection.execute(
            update(people)
            .where(
                people.c.tenant == self._tenant,
                people.c.id == record.person.id,
                people.c.revision == record.revision,
                people.c.state != State.due,
                free,
            )
            .values(
                scope=scope,
                state=State.due,
                reason=None,
                detail=None,
                state_since=self._now,
                due_since=self._now,
                due_at=self._now,
                attempts=0,
                lease=lease,
                leased_until=self._now + timedelta(seconds=seconds),
            )
        )
        return marked.rowcount == 1

    def settle(
        self, person_id: PersonId, *, state: State, reason: Reason | None, detail: str | None, gives_back: bool
    ) -> None:
        """Remove the mark, store the person's state, and give the lease back if asked."""
        self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, people.c.id == person_id)
            .values(
                scope=null(),
                state=state,
                reason=reason,
                detail=detail,
                state_since=self._now,
                **NOT_DUE,
                **({"lease": None, "leased_until": None} if gives_back else {}),
            )
        )


def scope_of(s: Transaction, stored: Mapping[str, Any]) -> Scope:
    """Return a stored scope, with the rows of its plan."""
    positions = tuple(int(place) for place in stored["rows"])
    return Scope(
        plan_id=stored["plan"],
        items=tuple(PlanItems(s, stored["plan"]).of(positions)),
        positions=positions,
        state=State(stored["state"]),
        reason=reason_of(stored["reason"]),
        detail=stored["detail"],
    )
