"""Searches over documents, certificates and both, by page number or by cursor."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from scim2_models import ScimFilter, SearchRequest
from scim2_models.path import AttributeBinding, CompareOperator, Comparison, Present, ValuePath
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    and_,
    cast,
    false,
    func,
    literal,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.sql import visitors

from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.values import CERTIFICATE, CERTIFICATE_URN
from scim_bridge.storage.comparisons import compare, is_complex, is_filled, operand_of
from scim_bridge.storage.engine import Transaction
from scim_bridge.storage.filters import Logic, Model, ScalarFilter, bounded
from scim_bridge.storage.json_sql import Columns, JsonSql
from scim_bridge.storage.ledger import counting, entry_in
from scim_bridge.storage.paging import MAX_SORTED_CHARACTERS, Order, Place, Window
from scim_bridge.storage.resources import StoredResource, joined, stored_in, with_delivery
from scim_bridge.storage.tables import certificate_entries as entries
from scim_bridge.storage.tables import exact_text, people, resources

_NOTHING = cast(null(), exact_text())

_COLUMNS: Columns = {
    "id": entries.c.id,
    "externalId": entries.c.external_id,
    "employeeNumber": entries.c.employee_number,
    "certificateType": entries.c.type,
    "certificateNumber": cast(entries.c.number, exact_text()),
    "issuedDateTime": entries.c.issued,
    "validUntilDateTime": entries.c.valid_until,
    "notes": cast(entries.c.notes, exact_text()),
    "meta.resourceType": cast(literal(CERTIFICATE), exact_text()),
    "meta.created": entries.c.created_at,
    "meta.lastModified": entries.c.last_modified_at,
    "meta.location": _NOTHING,
    "meta.version": cast(literal('W/"') + cast(entries.c.version, Text) + '"', exact_text()),
}
"""The column of each attribute, by the attribute's path."""


def certificate_condition(scim_filter: ScimFilter[Any], model: Model, sql: JsonSql) -> ColumnElement[bool]:
    """Return the condition that an entry of the ledger must meet.

    :raises InvalidFilterException: when the filter has too many conditions, or a value of another type.
    """
    bound = bounded(scim_filter, model)
    return _EntryFilter(bound, sql).visit(bound.ast)


def certificate_order(search_request: SearchRequest[Any], model: Model) -> Order:
    """Return the order of a search; see `paging.order_of`."""
    # With a filter that finds little, the database would read all of the index on the id.
    tie: ColumnElement[Any] = entries.c.id if search_request.filter is None else entries.c.id + ""
    binding = search_request.sort_binding(model) if search_request.sort_by is not None else None
    is_descending = search_request.sort_order == SearchRequest.SortOrder.descending
    return Order(
        _sort_value(binding) if binding is not None else None,
        tie,
        is_descending and search_request.sort_by is not None,
    )


def _sort_value(binding: AttributeBinding) -> ColumnElement[Any]:
    if binding.is_multivalued:
        return _schema(binding)
    column = _column(binding)
    if isinstance(column.type, Text):
        return cast(func.substr(column, 1, MAX_SORTED_CHARACTERS), exact_text())
    return column


def _column(binding: AttributeBinding) -> ColumnElement[Any]:
    return _COLUMNS[binding.urn.removeprefix(f"{CERTIFICATE_URN}:")]


class _EntryFilter(Logic):
    """A filter on entries of the ledger. The only multi-valued attribute is `schemas`, which has one value."""

    def __init__(self, scim_filter: ScimFilter[Any], sql: JsonSql) -> None:
        self._filter = scim_filter
        self._sql = sql

    def visit_comparison(self, node: Comparison) -> ColumnElement[bool]:
        binding = self._filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:
            return false()
        operand = operand_of(binding, node.value, node.op)
        if is_complex(binding):
            # The only complex attribute is `meta`, which every certificate has.
            return true() if node.op == CompareOperator.ne else false()
        actual = _schema(binding) if binding.is_multivalued else _column(binding)
        return compare(self._sql, actual, node.op, operand, binding)

    def visit_present(self, node: Present) -> ColumnElement[bool]:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        if is_complex(binding) or binding.is_multivalued:
            return true()
        return is_filled(_column(binding), binding)

    def visit_value_path(self, node: ValuePath) -> ColumnElement[bool]:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None or not binding.is_multivalued:
            return false()
        return ScalarFilter(binding, self._sql, _schema(binding)).visit(node.val_filter)


def _schema(binding: AttributeBinding) -> ColumnElement[Any]:
    return cast(literal(binding.comparable(CERTIFICATE_URN)), exact_text())


Found = TypeVar("Found")

MAX_PAGE_SIZE = 2 * 1024 * 1024
"""The total size of the documents of one page, in stored characters. The first document is always included."""

_FEW_AT_A_TIME = 8
"""How many rows the database sends ahead; the page may end before them."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Found]):
    """A page of a search."""

    total: int
    """How many match on all pages."""

    found: list[Found]

    next: Place | None = None
    """Where the next page begins; None on the last page, and for a page requested by number."""

    previous: Place | None = None
    """Where the previous page ends; None on the first page, and for a page requested by number."""


class Search(ABC, Generic[Found]):
    """A search in one tenant's data, by a condition and in an order."""

    def __init__(self, s: Transaction, order: Order) -> None:
        self._connection = s.connection
        self._order = order

    @abstractmethod
    def _matching(self, *, one_by_one: bool = False) -> Select[Any]:
        """Select all matches, for `_read`. :param one_by_one: Only a page is needed: see `joined`."""

    @abstractmethod
    def _others(self) -> Select[Any]:
        """Select all matches, without any columns to read."""

    @abstractmethod
    def _count(self) -> Select[Any]:
        """Select how many match."""

    @abstractmethod
    def _read(self, rows: Sequence[Row[Any]]) -> list[Found]:
        """Return the resources of some rows."""

    def by_number(self, offset: int, limit: int | None) -> Page[Found]:
        """Return the page after the first `offset` matches."""
        if limit == 0:
            return Page(self._total(), [])
        page = self._matching().order_by(*self._order.columns()).offset(offset).limit(limit)
        rows, is_cut = self._fitting(page)
        found = self._read(rows)
        if (found or offset == 0) and (limit is None or len(found) < limit) and not is_cut:
            return Page(offset + len(found), found)
        return Page(self._total(), found)

    def from_place(self, place: Place | None, limit: int | None) -> Page[Found]:
        """Return the page after a place, or before it; the first page without a place.

        One statement reads the page, whether there are more on both sides, and the total.
        """
        if limit == 0:
            return Page(self._total(), [])
        window = Window(self._order, place, limit)
        total = self._count().correlate(None).scalar_subquery()
        page = window.statement(self._matching(one_by_one=True), self._others(), total)
        rows, is_cut = self._fitting(page)
        if not rows:
            # Nothing is left there, so no row has the total: the client has reached the end.
            return Page(self._total() if place is not None else 0, [])
        shown, following, preceding = window.turned(rows, is_cut=is_cut)
        return Page(rows[0].total, self._read(shown), following, preceding)

    def _fitting(self, page: Select[Any]) -> tuple[list[Row[Any]], bool]:
        """Return the rows that fit in a page by size, and whether that leaves some out (rule A9)."""
        # Read in small steps, because a page of large documents must not be in memory as a whole.
        few = page.execution_options(stream_results=True, max_row_buffer=_FEW_AT_A_TIME)
        with self._connection.execute(few) as rows:
            return fitting((row, len(row._mapping.get("document", ""))) for row in rows)

    def _total(self) -> int:
        return int(self._connection.execute(self._count()).scalar_one())


def fitting(sized: Iterable[tuple[Row[Any], int]]) -> tuple[list[Row[Any]], bool]:
    """Return the first rows that fit in a page by size, and whether that leaves some out."""
    taken: list[Row[Any]] = []
    together = 0
    for row, size in sized:
        together += size
        if taken and together > MAX_PAGE_SIZE:
            return taken, True
        taken.append(row)
    return taken, False


class ResourceSearch(Search[StoredResource]):
    """A search over resources of some types that are stored as documents."""

    def __init__(
        self,
        s: Transaction,
        resource_types: Sequence[str],
        condition: ColumnElement[bool],
        order: Order,
    ) -> None:
        super().__init__(s, order)
        of_types = resources.c.resource_type.in_(list(resource_types))
        self._where = and_(resources.c.tenant == s.tenant, of_types, condition)

    def _matching(self, *, one_by_one: bool = False) -> Select[Any]:
        return with_delivery(one_by_one=one_by_one and not self._asks_people()).where(self._where)

    def _others(self) -> Select[Any]:
        return select(literal(1)).select_from(joined()).where(self._where)

    def _count(self) -> Select[Any]:
        """Select how many match. People are joined only if needed, because an index alone can count the rest."""
        return select(func.count()).select_from(joined() if self._asks_people() else resources).where(self._where)

    def _read(self, rows: Sequence[Row[Any]]) -> list[StoredResource]:
        return [stored_in(row) for row in rows]

    def _asks_people(self) -> bool:
        """Return whether the condition is about the delivery."""
        return any(getattr(each, "table", None) is people for each in visitors.iterate(self._where))


class CertificateSearch(Search[Entry]):
    """A search over the certificates of one tenant."""

    def __init__(self, s: Transaction, condition: ColumnElement[bool], order: Order) -> None:
        super().__init__(s, order)
        self._where = and_(counting(s.tenant), condition)

    def _matching(self, *, one_by_one: bool = False) -> Select[Any]:
        return select(entries).where(self._where)

    def _others(self) -> Select[Any]:
        return select(literal(1)).select_from(entries).where(self._where)

    def _count(self) -> Select[Any]:
        return select(func.count()).select_from(entries).where(self._where)

    def _read(self, rows: Sequence[Row[Any]]) -> list[Entry]:
        return [entry_in(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Branch:
    """The condition and the order for one of the two tables."""

    condition: ColumnElement[bool]
    order: Order


class RootSearch(Search[StoredResource | Entry]):
    """A search over resources of some types and certificates of one tenant together."""

    def __init__(
        self,
        s: Transaction,
        resource_types: Sequence[str],
        documents: Branch,
        certificates: Branch,
    ) -> None:
        self._tenant = s.tenant
        of_types = resources.c.resource_type.in_(list(resource_types))
        values = [documents.order.value, certificates.order.value]
        kind = next((value.type for value in values if value is not None), None)
        sorted_by = [cast(null(), kind) if value is None and kind is not None else value for value in values]
        self._all = union_all(
            select(resources.c.id, resources.c.resource_type, _labelled(sorted_by[0]))
            .select_from(joined())
            .where(resources.c.tenant == s.tenant, of_types, documents.condition),
            select(entries.c.id, literal(CERTIFICATE).label("resource_type"), _labelled(sorted_by[1])).where(
                counting(s.tenant), certificates.condition
            ),
        ).subquery("found")
        value = self._all.c.value if kind is not None else None
        super().__init__(s, Order(value, self._all.c.id, documents.order.is_descending))

    @property
    def order(self) -> Order:
        """The order of both together."""
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
        # A resource that was deleted in the meantime is left out.
        return [read[key] for row in rows if (key := (row.resource_type, row.id)) in read]


def _labelled(value: ColumnElement[Any] | None) -> ColumnElement[Any]:
    return (null() if value is None else value).label("value")
