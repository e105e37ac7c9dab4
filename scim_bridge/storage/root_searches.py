"""Searches from the root (RFC 7644 §3.4.2.1): resources that are kept as documents, and certificates, in one order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.values import CERTIFICATE
from scim_bridge.storage.certificate_listing import counting
from scim_bridge.storage.certificate_rows import entry_in
from scim_bridge.storage.certificate_tables import certificate_entries as entries
from scim_bridge.storage.paging import Order
from scim_bridge.storage.resources import StoredResource, joined, stored_in, with_delivery
from scim_bridge.storage.searches import Search, fitting
from scim_bridge.storage.tables import resources


@dataclass(frozen=True, slots=True)
class Branch:
    """What is asked of one of the two tables."""

    condition: ColumnElement[bool]
    order: Order


class RootSearch(Search[StoredResource | Entry]):
    """The resources of some types, and the certificates, of one tenant."""

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        resource_types: Sequence[str],
        documents: Branch,
        certificates: Branch,
    ) -> None:
        self._tenant = tenant
        of_types = resources.c.resource_type.in_(list(resource_types))
        values = [documents.order.value, certificates.order.value]
        kind = next((value.type for value in values if value is not None), None)
        sorted_by = [cast(null(), kind) if value is None and kind is not None else value for value in values]
        self._all = union_all(
            select(resources.c.id, resources.c.resource_type, _labelled(sorted_by[0]))
            .select_from(joined())
            .where(resources.c.tenant == tenant, of_types, documents.condition),
            select(entries.c.id, literal(CERTIFICATE).label("resource_type"), _labelled(sorted_by[1])).where(
                counting(tenant), certificates.condition
            ),
        ).subquery("found")
        value = self._all.c.value if kind is not None else None
        super().__init__(connection, Order(value, self._all.c.id, documents.order.is_descending))

    @property
    def order(self) -> Order:
        """The order of both."""
        return self._order

    def _matching(self, *, one_by_one: bool = False) -> Select[Any]:
        return select(self._all.c.id, self._all.c.resource_type)

    def _others(self) -> Select[Any]:
        return select(literal(1)).select_from(self._all)

    def _count(self) -> Select[Any]:
        return select(func.count()).select_from(self._all)

    def _fitting(self, page: Select[Any]) -> tuple[list[Row[Any]], bool]:
        rows = self._connection.execute(page).all()
        size = func.length(resources.c.document).label("size")
        of_page = and_(resources.c.tenant == self._tenant, resources.c.id.in_([row.id for row in rows]))
        sizes = {row.id: row.size for row in self._connection.execute(select(resources.c.id, size).where(of_page))}
        return fitting((row, sizes.get(row.id, 0)) for row in rows)

    def _read(self, rows: Sequence[Row[Any]]) -> list[StoredResource | Entry]:
        ids = [row.id for row in rows]
        stored = with_delivery().where(resources.c.tenant == self._tenant, resources.c.id.in_(ids))
        said = select(entries).where(and_(entries.c.tenant == self._tenant, entries.c.id.in_(ids)))
        read: dict[tuple[str, str], StoredResource | Entry] = {}
        for row in self._connection.execute(stored):
            read[row.resource_type, row.id] = stored_in(row)
        for row in self._connection.execute(said):
            read[CERTIFICATE, row.id] = entry_in(row)
        # One that was deleted meanwhile is left out.
        return [read[key] for row in rows if (key := (row.resource_type, row.id)) in read]


def _labelled(value: ColumnElement[Any] | None) -> ColumnElement[Any]:
    return (null() if value is None else value).label("value")
