"""Searches of a tenant: a page by number, or from a place in an order on."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal, select
from sqlalchemy.sql import visitors

from scim_bridge.storage.paging import Order, Place, Window
from scim_bridge.storage.resources import StoredResource, joined, stored_in, with_delivery
from scim_bridge.storage.tables import people, resources

Found = TypeVar("Found")

MAX_PAGE_SIZE = 2 * 1024 * 1024
"""How large the documents of one page may be together, in characters as they are stored; the first is always there."""

_FEW_AT_A_TIME = 8
"""How many rows of a page a database sends ahead, of which no more may be wanted."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Found]):
    """A page of a search."""

    total: int
    """How many match on all pages."""

    found: list[Found]

    next: Place | None = None
    """Where the page after this one begins; None on the last page, and where it was asked for by number."""

    previous: Place | None = None
    """Where the page before this one ends; None on the first page, and where it was asked for by number."""


class Search(ABC, Generic[Found]):
    """What one tenant has that meets a condition, in an order."""

    def __init__(self, connection: Connection, order: Order) -> None:
        self._connection = connection
        self._order = order

    @abstractmethod
    def _matching(self, *, one_by_one: bool = False) -> Select[Any]:
        """What matches, on all pages, as `_read` reads it. :param one_by_one: Each is looked at, a page is needed."""

    @abstractmethod
    def _others(self) -> Select[Any]:
        """The same, of which nothing is read."""

    @abstractmethod
    def _count(self) -> Select[Any]:
        """How many match."""

    @abstractmethod
    def _read(self, rows: Sequence[Row[Any]]) -> list[Found]:
        """What some rows are."""

    def by_number(self, offset: int, limit: int | None) -> Page[Found]:
        """The page after the first `offset` that match."""
        if limit == 0:
            return Page(self._total(), [])
        page = self._matching().order_by(*self._order.columns()).offset(offset).limit(limit)
        rows, is_cut = self._fitting(page)
        found = self._read(rows)
        if (found or offset == 0) and (limit is None or len(found) < limit) and not is_cut:
            return Page(offset + len(found), found)
        return Page(self._total(), found)

    def from_place(self, place: Place | None, limit: int | None) -> Page[Found]:
        """The page from a place on, or up to it; the first page without one.

        One statement tells the page, whether there is more on both sides, and how many there are.
        """
        if limit == 0:
            return Page(self._total(), [])
        window = Window(self._order, place, limit)
        total = self._count().correlate(None).scalar_subquery()
        page = window.statement(self._matching(one_by_one=True), self._others(), total)
        rows, is_cut = self._fitting(page)
        if not rows:
            # Nobody is left there, and no row to tell the total: the client has come to the end.
            return Page(self._total() if place is not None else 0, [])
        shown, following, preceding = window.turned(rows, is_cut=is_cut)
        return Page(rows[0].total, self._read(shown), following, preceding)

    def _fitting(self, page: Select[Any]) -> tuple[list[Row[Any]], bool]:
        """The rows of a page that are small enough together, and whether there are more of it (rule A9)."""
        # Not all at once: a page of large documents would be in memory before anybody could tell.
        few = page.execution_options(stream_results=True, max_row_buffer=_FEW_AT_A_TIME)
        with self._connection.execute(few) as rows:
            return fitting((row, len(row._mapping.get("document", ""))) for row in rows)

    def _total(self) -> int:
        return int(self._connection.execute(self._count()).scalar_one())


def fitting(sized: Iterable[tuple[Row[Any], int]]) -> tuple[list[Row[Any]], bool]:
    """The first of some rows, as many as are small enough together, and whether that leaves some out."""
    taken: list[Row[Any]] = []
    together = 0
    for row, size in sized:
        together += size
        if taken and together > MAX_PAGE_SIZE:
            return taken, True
        taken.append(row)
    return taken, False


class ResourceSearch(Search[StoredResource]):
    """The resources of some types that are kept as documents."""

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        resource_types: Sequence[str],
        condition: ColumnElement[bool],
        order: Order,
    ) -> None:
        super().__init__(connection, order)
        of_types = resources.c.resource_type.in_(list(resource_types))
        self._where = and_(resources.c.tenant == tenant, of_types, condition)

    def _matching(self, *, one_by_one: bool = False) -> Select[Any]:
        return with_delivery(one_by_one=one_by_one and not self._asks_people()).where(self._where)

    def _others(self) -> Select[Any]:
        return select(literal(1)).select_from(joined()).where(self._where)

    def _count(self) -> Select[Any]:
        """How many match. Joined only where it matters: an index alone can count what isn't looked at."""
        return select(func.count()).select_from(joined() if self._asks_people() else resources).where(self._where)

    def _read(self, rows: Sequence[Row[Any]]) -> list[StoredResource]:
        return [stored_in(row) for row in rows]

    def _asks_people(self) -> bool:
        """Whether the condition looks at the delivery."""
        return any(getattr(each, "table", None) is people for each in visitors.iterate(self._where))
