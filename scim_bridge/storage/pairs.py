"""The pairs that one run of `adopt` has found, in the database: memory does not grow with the company."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from scim_bridge.domain.drift import By, Pair, Proposal
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.admin_tables import adoption_pairs as pairs
from scim_bridge.storage.admin_tables import adoption_runs as runs
from scim_bridge.storage.engine import upsert

SKIP = "skip"
"""Stands where an operator said that they are not one person."""

_AT_ONCE = 500
"""Rows that are held in memory at a time."""


class Pairs:
    """The pairs of one run of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str, run_id: str) -> None:
        self._connection = connection
        self._tenant = tenant
        self._run_id = run_id

    def begin(self, *, now: datetime) -> None:
        """A run begins."""
        self._connection.execute(insert(runs).values(tenant=self._tenant, id=self._run_id, started_at=now))

    def end(self) -> None:
        """Forget all of it."""
        self._connection.execute(delete(pairs).where(self._mine()))
        self._connection.execute(delete(runs).where(runs.c.tenant == self._tenant, runs.c.id == self._run_id))

    def add(self, found: Sequence[Pair]) -> None:
        """Store pairs; one that is there already is replaced."""
        upsert(self._connection, pairs, [self._row(pair) for pair in found])

    def dispute_contended(self, why: str) -> None:
        """Whoever is asked for by several users is linked to none of them unasked."""
        asked_for = (
            select(pairs.c.employee_number)
            .where(self._mine(), pairs.c.contends)
            .group_by(pairs.c.employee_number)
            .having(func.count() > 1)
        )
        self._dispute(pairs.c.employee_number.in_(asked_for), why)

    def dispute(self, pair: Pair, why: str) -> None:
        """This pair was not linked."""
        self._dispute(self._is(pair), why)

    def decide(self, pair: Pair, *, why_not_others: str) -> None:
        """An operator said that they are one person: the user is nobody else, and nobody else is this employee."""
        others = and_(pairs.c.person_id == pair.person_id, pairs.c.by.not_in([SKIP]))
        self._connection.execute(delete(pairs).where(self._mine(), others))
        self._dispute(pairs.c.employee_number == pair.employee_number, why_not_others)
        self.add([pair])

    def skip(self, pair: Pair) -> None:
        """An operator said that they are not one person."""
        self.add([pair])
        self._connection.execute(update(pairs).where(self._mine(), self._is(pair)).values(by=SKIP, contends=False))

    def is_skipped(self, person_id: PersonId, number: str) -> bool:
        """Whether an operator said that they are not one person."""
        query = select(pairs.c.by).where(
            self._mine(), pairs.c.person_id == person_id, pairs.c.employee_number == number, pairs.c.by == SKIP
        )
        return self._connection.execute(query).first() is not None

    def of_person(self, person_id: PersonId) -> list[Pair]:
        """What a user may be, or was decided to be."""
        return list(self._pairs(select(pairs).where(self._told(), pairs.c.person_id == person_id)))

    def decided_for(self, number: str) -> Pair | None:
        """Whom an employee was decided to be."""
        query = select(pairs).where(
            self._told(), pairs.c.employee_number == number, pairs.c.by == By.decision, pairs.c.why.is_(None)
        )
        return next(self._pairs(query.limit(1)), None)

    def exact_after(self, after: str, limit: int) -> list[Pair]:
        """The next exact pairs, in the order of their people's ids."""
        query = select(pairs).where(self._told(), pairs.c.why.is_(None), pairs.c.person_id > after)
        return list(self._pairs(query.order_by(pairs.c.person_id).limit(limit)))

    def count_exact(self) -> int:
        """How many pairs are exact."""
        query = select(func.count()).select_from(pairs).where(self._told(), pairs.c.why.is_(None))
        return self._connection.execute(query).scalar_one()

    def exact(self) -> Iterator[Pair]:
        """Every exact pair, by employee number; read as it is asked for."""
        query = select(pairs).where(self._told(), pairs.c.why.is_(None))
        yield from self._pairs(query.order_by(pairs.c.employee_number, pairs.c.person_id))

    def disputed(self) -> Iterator[Pair]:
        """Every other pair, the pairs of a user together; read as it is asked for."""
        query = select(pairs).where(self._told(), pairs.c.why.is_not(None))
        yield from self._pairs(query.order_by(pairs.c.user_name, pairs.c.person_id, pairs.c.employee_number))

    def is_any_disputed(self) -> bool:
        """Whether somebody has to decide anything."""
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


def forget_abandoned(connection: Connection, tenant: str, before: datetime) -> None:
    """Forget what runs left behind that died: those that began before this moment."""
    old = select(runs.c.id).where(runs.c.tenant == tenant, runs.c.started_at < before)
    connection.execute(delete(pairs).where(pairs.c.tenant == tenant, pairs.c.run_id.in_(old)))
    connection.execute(delete(runs).where(runs.c.tenant == tenant, runs.c.started_at < before))


def _pair(row: Row[Any]) -> Pair:
    number = EmployeeNumber(row.employee_number)
    proposal = Proposal(number, By(row.by), row.why, row.contends)
    return Pair(PersonId(row.person_id), row.user_name, row.revision, proposal)
