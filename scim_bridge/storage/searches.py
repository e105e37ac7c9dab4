"""Searches among the resources of a tenant: a page by number, or from a place in their order on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, select
from sqlalchemy.sql import visitors

from scim_bridge.storage.paging import Order, Place, Window
from scim_bridge.storage.resources import StoredResource, joined, stored_in, with_delivery
from scim_bridge.storage.tables import people, resources


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a search."""

    total: int
    """How many resources match on all pages."""

    found: list[StoredResource]

    next: Place | None = None
    """Where the page after this one begins; None on the last page, and where it was asked for by number."""

    previous: Place | None = None
    """Where the page before this one ends; None on the first page, and where it was asked for by number."""


class Search:
    """The resources of some types of one tenant that meet a condition, in an order."""

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        resource_types: Sequence[str],
        condition: ColumnElement[bool],
        order: Order,
    ) -> None:
        of_types = resources.c.resource_type.in_(list(resource_types))
        self._connection = connection
        self._order = order
        self._where = and_(resources.c.tenant == tenant, of_types, condition)

    def by_number(self, offset: int, limit: int | None) -> Page:
        """The page after the first `offset` resources."""
        if limit == 0:
            return Page(self._total(), [])
        page = with_delivery().where(self._where).order_by(*self._order.columns()).offset(offset).limit(limit)
        found = [stored_in(row) for row in self._connection.execute(page)]
        if (found or offset == 0) and (limit is None or len(found) < limit):
            return Page(offset + len(found), found)
        return Page(self._total(), found)

    def from_place(self, place: Place | None, limit: int | None) -> Page:
        """The page from a place on, or up to it; the first page without one.

        One statement tells the page, whether there is more on both sides, and how many there are.
        """
        if limit == 0:
            return Page(self._total(), [])
        window = Window(self._order, place, limit)
        others = select(literal(1)).select_from(joined()).where(self._where)
        total = self._count().correlate(None).scalar_subquery()
        page = with_delivery(one_by_one=not self._asks_people()).where(self._where)
        rows = self._connection.execute(window.statement(page, others, total)).all()
        if not rows:
            # Nobody is left there, and no row to tell the total: the client has come to the end.
            return Page(self._total() if place is not None else 0, [])
        shown, following, preceding = window.turned(rows)
        return Page(rows[0].total, [stored_in(row) for row in shown], following, preceding)

    def _total(self) -> int:
        return int(self._connection.execute(self._count()).scalar_one())

    def _count(self) -> Select[Any]:
        """How many match. Joined only where it matters: an index alone can count what isn't looked at."""
        return select(func.count()).select_from(joined() if self._asks_people() else resources).where(self._where)

    def _asks_people(self) -> bool:
        """Whether the condition looks at the delivery."""
        return any(getattr(each, "table", None) is people for each in visitors.iterate(self._where))
