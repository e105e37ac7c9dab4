"""SCIM filters and orders of certificates, over the columns of the ledger.

The meaning is that of `ScimFilter.match` on the resources that the entries are. All text of the ledger is in NFC, and
all its attributes are caseExact: nothing has to be folded, and an index can answer.
"""

from typing import Any

from scim2_models import ScimFilter, SearchRequest
from scim2_models.path import AttributeBinding, CompareOperator, Comparison, Present, ValuePath
from sqlalchemy import ColumnElement, Text, cast, false, func, literal, null, true

from scim_bridge.domain.values import CERTIFICATE, CERTIFICATE_URN
from scim_bridge.storage.certificate_tables import certificate_entries as entries
from scim_bridge.storage.comparisons import compare, is_complex, is_filled, operand_of
from scim_bridge.storage.entry_filters import Logic, ScalarFilter
from scim_bridge.storage.filters import Columns, Model, bounded
from scim_bridge.storage.json_sql import JsonSql
from scim_bridge.storage.paging import Order
from scim_bridge.storage.sorting import MAX_SORTED_CHARACTERS
from scim_bridge.storage.types import exact_text

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
"""Where each attribute is kept, by its path."""


def certificate_condition(scim_filter: ScimFilter[Any], model: Model, sql: JsonSql) -> ColumnElement[bool]:
    """What an entry of the ledger must meet.

    :raises InvalidFilterException: when the filter has too many conditions, or a value of another type.
    """
    bound = bounded(scim_filter, model)
    return _EntryFilter(bound, sql).visit(bound.ast)


def certificate_order(search_request: SearchRequest[Any], model: Model) -> Order:
    """The order of a search; see `sorting.order_of`."""
    # An index on the id would be walked to its end for a filter that finds little.
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
    """A filter on entries of the ledger; the only attribute with several values is `schemas`, which has one."""

    def __init__(self, scim_filter: ScimFilter[Any], sql: JsonSql) -> None:
        self._filter = scim_filter
        self._sql = sql

    def visit_comparison(self, node: Comparison) -> ColumnElement[bool]:
        binding = self._filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:
            return false()
        operand = operand_of(binding, node.value, node.op)
        if is_complex(binding):
            # `meta`, which every certificate has.
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
