"""The pairs that one run of `adopt` has found. They are in the database, so memory does not grow with the company."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from scim_bridge.domain.drift import By, Pair, Proposal
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.admin_tables import adoption_pairs as pairs
from scim_bridge.storage.admin_tables import adoption_runs as runs
from scim_bridge.storage.admin_tables import schedules
from scim_bridge.storage.engine import Repository, Transaction, upsert
from scim_bridge.storage.tables import people

SKIP = "skip"
"""Marks a pair of which an operator said that they are not the same person."""

_KEPT = "pairs"
"""The task of the row in `schedules` that names the run whose pairs are kept, for the console."""

KEPT_FOR = timedelta(days=1)
"""How long pairs are kept for the console, from the beginning of their run."""

_AT_ONCE = 500
"""Rows that are held in memory at a time."""


class Pairs(Repository):
    """The pairs of one run of one tenant, within one transaction."""

    def __init__(self, s: Transaction, run_id: str) -> None:
        super().__init__(s)
        self._run_id = run_id

    def begin(self) -> None:
        """Store that the run begins."""
        self._connection.execute(insert(runs).values(tenant=self._tenant, id=self._run_id, started_at=self._now))

    def end(self) -> None:
        """Remove the run and its pairs."""
        self._connection.execute(delete(pairs).where(self._mine()))
        self._connection.execute(delete(runs).where(runs.c.tenant == self._tenant, runs.c.id == self._run_id))

    def keep(self) -> None:
        """Keep the pairs for the console, without those that are linked by now. They last until `forget_abandoned`."""
        linked = select(people.c.id).where(people.c.tenant == self._tenant, people.c.employee_number.is_not(None))
        self._connection.execute(delete(pairs).where(self._mine(), pairs.c.person_id.in_(linked)))
        row = {"tenant": self._tenant, "task": _KEPT, "started_at": self._now, "holder": self._run_id}
        upsert(self._s, schedules, [row])

    def add(self, found: Sequence[Pair]) -> None:
        """Store pairs; a pair that exists is replaced."""
        upsert(self._s, pairs, [self._row(pair) for pair in found])

    def dispute_contended(self, why: str) -> None:
        """Dispute the pairs of employees that several users ask for, so that an operator decides."""
        asked_for = (
            select(pairs.c.employee_number)
            .where(self._mine(), pairs.c.contends)
            .group_by(pairs.c.employee_number)
            .having(func.count() > 1)
        )
        self._dispute(pairs.c.employee_number.in_(asked_for), why)

    def dispute(self, pair: Pair, why: str) -> None:
        """Dispute one pair, because it was not linked. :param why: Why."""
        self._dispute(self._is(pair), why)

    def decide(self, pair: Pair, *, why_not_others: str) -> None:
        """Store an operator's decision that they are the same person: other pairs of both are removed or disputed."""
        others = and_(pairs.c.person_id == pair.person_id, pairs.c.by.not_in([SKIP]))
        self._connection.execute(delete(pairs).where(self._mine(), others))
        self._dispute(pairs.c.employee_number == pair.employee_number, why_not_others)
        self.add([pair])

    def skip(self, pair: Pair) -> None:
        """Store an operator's decision that they are not the same person."""
        self.add([pair])
        self._connection.execute(update(pairs).where(self._mine(), self._is(pair)).values(by=SKIP, contends=False))

    def is_skipped(self, person_id: PersonId, number: str) -> bool:
        """Return whether an operator decided that they are not the same person."""
        query = select(pairs.c.by).where(
            self._mine(), pairs.c.person_id == person_id, pairs.c.employee_number == number, pairs.c.by == SKIP
        )
        return self._connection.execute(query).first() is not None

    def of_person(self, person_id: PersonId) -> list[Pair]:
        """Return the pairs of a user, possible or decided."""
        return list(self._pairs(select(pairs).where(self._told(), pairs.c.person_id == person_id)))

    def paired(self, person_ids: Sequence[PersonId]) -> frozenset[PersonId]:
        """Return those of some users who have a pair, possible or decided."""
        query = select(pairs.c.person_id).where(self._told(), pairs.c.person_id.in_(person_ids))
        return frozenset(PersonId(each) for each in self._connection.execute(query).scalars())

    def decided_for(self, number: str) -> Pair | None:
        """Return the pair that an operator decided for an employee, or None."""
        query = select(pairs).where(
            self._told(), pairs.c.employee_number == number, pairs.c.by == By.decision, pairs.c.why.is_(None)
        )
        return next(self._pairs(query.limit(1)), None)

    def decided(self) -> list[tuple[Pair, bool]]:
        """Return the pairs that an operator decided, and whether they are one person."""
        query = select(pairs).where(self._mine(), or_(pairs.c.by == SKIP, pairs.c.by == By.decision))
        rows = self._connection.execute(query.order_by(pairs.c.user_name, pairs.c.employee_number)).all()
        return [(_pair(row), row.by != SKIP) for row in rows]

    def counts(self) -> tuple[int, int]:
        """Return how many pairs are exact, and how many users have disputed ones."""
        exact = func.count().filter(pairs.c.why.is_(None))
        disputed = func.count(pairs.c.person_id.distinct()).filter(pairs.c.why.is_not(None))
        row = self._connection.execute(select(exact, disputed).where(self._told())).one()
        return row[0], row[1]

    def exact_after(self, after: str, limit: int, *, among: str | None = None) -> list[Pair]:
        """Return the next exact pairs, in the order of their people's ids.

        :param among: Only pairs that were exact in this run too.
        """
        query = select(pairs).where(self._told(), pairs.c.why.is_(None), pairs.c.person_id > after)
        if among is not None:
            query = query.where(self._is_exact_in(among))
        return list(self._pairs(query.order_by(pairs.c.person_id).limit(limit)))

    def count_exact(self) -> int:
        """Return how many pairs are exact."""
        query = select(func.count()).select_from(pairs).where(self._told(), pairs.c.why.is_(None))
        return self._connection.execute(query).scalar_one()

    def exact(self) -> Iterator[Pair]:
        """Yield every exact pair, by employee number."""
        query = select(pairs).where(self._told(), pairs.c.why.is_(None))
        yield from self._pairs(query.order_by(pairs.c.employee_number, pairs.c.person_id))

    def disputed(self) -> Iterator[Pair]:
        """Yield every disputed pair, with the pairs of one user together."""
        query = select(pairs).where(self._told(), pairs.c.why.is_not(None))
        yield from self._pairs(query.order_by(pairs.c.user_name, pairs.c.person_id, pairs.c.employee_number))

    def is_any_disputed(self) -> bool:
        """Return whether an operator has to decide anything."""
        query = select(pairs.c.person_id).where(self._told(), pairs.c.why.is_not(None)).limit(1)
        return self._connection.execute(query).first() is not None

    def _dispute(self, which: ColumnElement[bool], why: str) -> None:
        self._connection.execute(
            update(pairs).where(self._mine(), which, pairs.c.why.is_(None), pairs.c.by != SKIP).values(why=why)
        )

    def _pairs(self, query: Select[Any]) -> Iterator[Pair]:
        with self._connection.execute(query.execution_options(yield_per=_AT_ONCE)) as rows:
            for row in rows:
                yield _pair(row)

    def _told(self) -> ColumnElement[bool]:
        return and_(self._mine(), pairs.c.by != SKIP)

    def _mine(self) -> ColumnElement[bool]:
        return and_(pairs.c.tenant == self._tenant, pairs.c.run_id == self._run_id)

    def _is_exact_in(self, run_id: str) -> ColumnElement[bool]:
        other = pairs.alias()
        is_same = and_(other.c.person_id == pairs.c.person_id, other.c.employee_number == pairs.c.employee_number)
        is_exact = and_(other.c.why.is_(None), other.c.by != SKIP)
        of_run = and_(other.c.tenant == self._tenant, other.c.run_id == run_id)
        return select(1).where(of_run, is_same, is_exact).correlate(pairs).exists()

    def _is(self, pair: Pair) -> ColumnElement[bool]:
        return and_(pairs.c.person_id == pair.person_id, pairs.c.employee_number == pair.employee_number)

    def _row(self, pair: Pair) -> dict[str, object]:
        return {
            "tenant": self._tenant,
            "run_id": self._run_id,
            "person_id": pair.person_id,
            "employee_number": pair.employee_number,
            "user_name": pair.user_name,
            "revision": pair.revision,
            "by": pair.proposal.by.value,
            "why": pair.proposal.why,
            "contends": pair.proposal.contends,
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """The run of `adopt` whose pairs are kept for the console."""

    run_id: str
    at: datetime
    """When it ended."""


def kept_pairs(s: Transaction) -> Kept | None:
    """Return the run whose pairs are kept; None if there is none, or it is too old by now. Only reads."""
    is_marked = and_(schedules.c.tenant == s.tenant, schedules.c.task == _KEPT)
    is_young = runs.c.started_at >= s.now - KEPT_FOR
    is_there = and_(runs.c.tenant == schedules.c.tenant, runs.c.id == schedules.c.holder, is_young)
    row = s.connection.execute(
        select(schedules.c.holder, schedules.c.started_at).where(is_marked, select(runs.c.id).where(is_there).exists())
    ).first()
    return None if row is None else Kept(row.holder, row.started_at)


def forget_abandoned(s: Transaction, before: datetime) -> None:
    """Remove what crashed runs left behind: runs that began before this moment."""
    old = select(runs.c.id).where(runs.c.tenant == s.tenant, runs.c.started_at < before)
    s.connection.execute(delete(pairs).where(pairs.c.tenant == s.tenant, pairs.c.run_id.in_(old)))
    s.connection.execute(delete(runs).where(runs.c.tenant == s.tenant, runs.c.started_at < before))


def _pair(row: Row[Any]) -> Pair:
    number = EmployeeNumber(row.employee_number)
    by = By.decision if row.by == SKIP else By(row.by)
    proposal = Proposal(number, by, row.why, row.contends)
    return Pair(PersonId(row.person_id), row.user_name, row.revision, proposal)
