"""The order in which the rows of a plan are shown, as SQLite and PostgreSQL find a page of it soonest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, Select, case, func, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from scim_bridge.domain.drift import ORDER, Kind
from scim_bridge.storage.admin_tables import plan_items

WHO = func.coalesce(plan_items.c.person_id, plan_items.c.employee_number, "")
"""The person or employee whose row it is. Never NULL: `NOT IN` would find nothing."""

RANK: ColumnElement[int] = case(
    {kind.value: place for kind, place in ORDER.items()}, value=plan_items.c.kind, else_=len(ORDER)
)
"""The place of a row's kind in a report."""

_BY = plan_items.c.employee_number, plan_items.c.person_id

Sorted = tuple[Select[Any] | CompoundSelect[Any], Sequence[ColumnElement[Any] | str]]
"""Positions of rows, and the columns to sort them by, or their names."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows a plan has of one kind."""

    rows: int
    of_people: int
    """Those of a person: any other may be repaired only if it is a certificate."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one plan, to be sorted person by person: those with the best kind first."""

    mine: ColumnElement[bool]
    """The condition for them."""

    is_postgresql: bool

    def of_kind(self, kind: str) -> Sorted:
        """Select the rows of one kind; the index has them in order."""
        return self._of_kind(kind), (*_BY, plan_items.c.position)

    def in_order(self, counts: Mapping[str, Counted]) -> Sorted:
        """Select all rows. :param counts: How many there are, by kind; not empty.

        Most people differ in the most frequent kind alone, so only the rows of other people are looked at twice.
        """
        most = max(counts, key=lambda each: counts[each].rows)
        others = [each for each in counts if each != most]
        if not others:
            return self.of_kind(most)
        return self._joined(most, others) if self.is_postgresql else self._merged(most, others)

    def _joined(self, most: str, others: Sequence[str]) -> Sorted:
        """Join all rows with the best kind of each person who has other kinds: PostgreSQL hashes those."""
        of_them = select(WHO.label("who"), func.min(RANK).label("best")).where(self.mine)
        if all(ORDER[Kind(each)] < ORDER[Kind(most)] for each in others):
            of_them = of_them.where(plan_items.c.kind.in_(others))
        else:
            # The most frequent kind of such a person may be their best one.
            of_them = of_them.where(WHO.in_(self._who_has(others)))
        best = of_them.group_by(WHO).subquery()
        rows = select(plan_items.c.position).select_from(plan_items.outerjoin(best, best.c.who == WHO))
        # PostgreSQL's `least` leaves out NULL.
        return rows.where(self.mine), (func.least(RANK, best.c.best), *_BY, RANK, plan_items.c.position)

    def _merged(self, most: str, others: Sequence[str]) -> Sorted:
        """Select the rows of people with the most frequent kind alone, and all other rows; SQLite merges both.

        The index has the first in order: only the others are sorted.
        """
        # `most` is sorted by its name, which the index has. So those before it are digits, which are less than any
        # name, and those after it begin with a tilde, which is greater.
        kind, ranks = plan_items.c.kind, {each: ORDER[Kind(each)] for each in (most, *others)}
        rank = case(
            {each: f"{'~' * (ranks[each] > ranks[most])}{ranks[each]:02}" for each in others}, value=kind, else_=kind
        )
        best, have_others = func.min(rank).over(partition_by=WHO), self._who_has(others)
        mixed = select(best.label("best"), *_BY, rank.label("rank"), plan_items.c.position)
        both: CompoundSelect[Any] = union_all(
            self._of_kind(most).where(WHO.not_in(have_others)), mixed.where(self.mine, WHO.in_(have_others))
        )
        return both, ("best", *(each.name for each in _BY), "rank", "position")

    def _of_kind(self, kind: str) -> Select[Any]:
        of_kind = plan_items.c.kind
        query = select(of_kind.label("best"), *_BY, of_kind.label("rank"), plan_items.c.position)
        return query.where(self.mine, of_kind == kind)

    def _who_has(self, kinds: Sequence[str]) -> Select[Any]:
        return select(WHO).where(self.mine, plan_items.c.kind.in_(kinds))
