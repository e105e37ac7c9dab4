"""Filters on one entry of a multi-valued attribute: what stands in brackets (RFC 7644 §3.4.2.2)."""

from typing import Any

from scim2_models import ScimFilter
from scim2_models.path import (
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import ColumnElement, and_, false, not_, or_, true

from scim_bridge.storage.comparisons import compare, is_filled, operand_of, refuse_unstorable
from scim_bridge.storage.json_sql import JsonSql
from scim_bridge.storage.lookups import part_path, value_at


class Logic(FilterVisitor[ColumnElement[bool]]):
    """`and`, `or`, `not`."""

    def visit_not(self, node: Not) -> ColumnElement[bool]:
        return not_(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> ColumnElement[bool]:
        terms = [self.visit(term) for term in node.terms]
        return and_(*terms) if node.op == LogicalOperator.and_ else or_(*terms)


class EntryFilter(Logic):
    """The filter in brackets, on one entry of a multi-valued complex attribute."""

    def __init__(
        self, scim_filter: ScimFilter[Any], attribute: AttrPath, sql: JsonSql, entry: ColumnElement[Any]
    ) -> None:
        self._filter = scim_filter
        self._attribute = attribute
        self._sql = sql
        self._entry = entry

    def visit_comparison(self, node: Comparison) -> ColumnElement[bool]:
        part = self._part(node.attr_path)
        if part is None:
            return false()
        operand = operand_of(part, node.value, node.op)
        actual = value_at(self._sql, self._entry, part_path(part), part)
        return compare(self._sql, actual, node.op, operand, part)

    def visit_present(self, node: Present) -> ColumnElement[bool]:
        part = self._part(node.attr_path)
        if part is None:
            return false()
        return is_filled(value_at(self._sql, self._entry, part_path(part), part), part)

    def visit_value_path(self, node: ValuePath) -> ColumnElement[bool]:
        return false()

    def _part(self, path: AttrPath) -> AttributeBinding | None:
        if path.uri is not None or path.sub_attr is not None:
            return None
        whole = AttrPath(self._attribute.attr, path.attr, self._attribute.uri)
        return self._filter.resolve(whole, strict=False)


class ScalarFilter(Logic):
    """The filter in brackets, on one entry of a list of plain values: `value` means the entry itself.

    :param entry: Its value, to be compared.
    """

    def __init__(self, binding: AttributeBinding, sql: JsonSql, entry: ColumnElement[Any]) -> None:
        self._binding = binding
        self._sql = sql
        self._entry = entry

    def visit_comparison(self, node: Comparison) -> ColumnElement[bool]:
        if not self._is_entry(node.attr_path):
            return false()
        operand = self._binding.comparable(node.value)
        if isinstance(operand, str):
            refuse_unstorable(operand)
        elif operand is not None:
            return true() if node.op == CompareOperator.ne else false()
        return compare(self._sql, self._entry, node.op, operand, self._binding)

    def visit_present(self, node: Present) -> ColumnElement[bool]:
        return is_filled(self._entry, self._binding) if self._is_entry(node.attr_path) else false()

    def visit_value_path(self, node: ValuePath) -> ColumnElement[bool]:
        return false()

    @staticmethod
    def _is_entry(path: AttrPath) -> bool:
        return path.attr.lower() == "value" and not path.sub_attr
