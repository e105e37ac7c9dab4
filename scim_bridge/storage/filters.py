"""SCIM filters as one SQL condition over the keys of resources."""

from collections.abc import Callable
from typing import Any

from scim2_models import BaseModel, Extension, InvalidFilterException, Resource, ScimFilter
from scim2_models.path import (
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import ColumnElement, and_, exists, false, literal, not_, or_, select, true

from scim_bridge.domain.values import SEVERAL, indexed
from scim_bridge.storage.comparisons import (
    compare,
    is_complex,
    is_filled,
    is_number,
    null_matches,
    operand_of,
    refuse_unstorable,
)
from scim_bridge.storage.json_sql import Columns, JsonPath, JsonSql
from scim_bridge.storage.tables import resources


def key_path(binding: AttributeBinding) -> JsonPath:
    """Return the path in the keys of a binding's head attribute."""
    name = binding.model._scim_name(binding.field_name)
    return (str(binding.model.__schema__), name) if issubclass(binding.model, Extension) else (name,)


def part_path(binding: AttributeBinding) -> JsonPath:
    """Return the path in the head attribute of the part that is compared; empty if the attribute itself is compared."""
    if binding.sub_field_name is None or binding.target_model is None:
        return ()
    return (binding.target_model._scim_name(binding.sub_field_name),)


def value_at(sql: JsonSql, source: ColumnElement[Any], path: JsonPath, binding: AttributeBinding) -> ColumnElement[Any]:
    """Return the compared value, looked up in `source`."""
    if is_complex(binding):
        return sql.node(source, path) if path else source
    return sql.number(source, path) if is_number(binding) else sql.text(source, path)


class Logic(FilterVisitor[ColumnElement[bool]]):
    """The operators `and`, `or` and `not`."""

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

    :param entry: The value of the entry.
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


MAX_CONDITIONS = 200
"""How many conditions a filter may have."""

MAX_COMPARISONS = 800
"""How many comparisons these may become in SQL; SQLite refuses expressions deeper than 1,000."""

Model = type[Resource[Any]]

_INDEXED: Columns = {
    "id": resources.c.id,
    "user_name": resources.c.user_name_key,
    "external_id": resources.c.external_id_key,
    "display_name": resources.c.display_name_key,
}


def condition(scim_filter: ScimFilter[Any], model: Model, sql: JsonSql, columns: Columns) -> ColumnElement[bool]:
    """Return the condition that a resource of one type must meet.

    :raises InvalidFilterException: when the filter has too many conditions, or a value of another type.
    """
    bound = bounded(scim_filter, model)
    return _ResourceFilter(bound, sql, columns).visit(bound.ast)


def bounded(scim_filter: ScimFilter[Any], model: Model) -> ScimFilter[Any]:
    """Return a filter bound to one resource type, after checking its size.

    :raises InvalidFilterException: when it has too many conditions.
    """
    bound: ScimFilter[Any] = ScimFilter.__class_getitem__(model)(scim_filter.ast)
    count = _count(bound.ast, lambda _: 1)
    if count > MAX_CONDITIONS:
        raise InvalidFilterException(
            detail=f"the filter has {count} conditions, {MAX_CONDITIONS} are allowed: send several requests"
        )
    count = _count(bound.ast, lambda path: _parts(bound.resolve(path, strict=False)))
    if count > MAX_COMPARISONS:
        raise InvalidFilterException(
            detail=f"the filter has {count} conditions, because pr looks at each part of an attribute with parts; "
            f"{MAX_COMPARISONS} are allowed: send several requests"
        )
    return bound


class _ResourceFilter(Logic):
    """A filter on resources of one type."""

    def __init__(self, scim_filter: ScimFilter[Any], sql: JsonSql, columns: Columns) -> None:
        self._filter = scim_filter
        self._sql = sql
        self._columns = columns

    def visit_comparison(self, node: Comparison) -> ColumnElement[bool]:
        binding = self._filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:
            return false()
        operand = operand_of(binding, node.value, node.op)
        if binding.is_multivalued:
            return self._compare_entries(binding, node.op, operand)
        column = _indexed_column(binding)
        if column is not None and node.op == CompareOperator.eq:
            if operand is None:
                return column.is_(None)
            return and_(column.is_not(None), column == indexed(operand))
        return compare(self._sql, self._value(binding), node.op, operand, binding)

    def _compare_entries(self, binding: AttributeBinding, op: CompareOperator, operand: Any) -> ColumnElement[bool]:
        path, part = key_path(binding), part_path(binding)

        def matches(entry: ColumnElement[Any]) -> ColumnElement[bool]:
            return compare(self._sql, value_at(self._sql, entry, part, binding), op, operand, binding)

        if op == CompareOperator.ne:
            none_equal = not_(self._any(path, lambda entry: not_(matches(entry))))
            return none_equal if operand is not None else and_(none_equal, not_(self._is_missing(path)))
        any_matches = self._any(path, matches)
        return or_(any_matches, self._is_missing(path)) if null_matches(op, operand) else any_matches

    def visit_present(self, node: Present) -> ColumnElement[bool]:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        if not binding.is_multivalued:
            return self._is_present(binding, resources.c["keys"], key_path(binding) + part_path(binding))
        return self._any(key_path(binding), lambda entry: self._is_present(binding, entry, part_path(binding)))

    def _is_present(self, binding: AttributeBinding, source: ColumnElement[Any], path: JsonPath) -> ColumnElement[bool]:
        if not is_complex(binding):
            if binding.urn in self._columns:
                return is_filled(self._columns[binding.urn], binding)
            return is_filled(value_at(self._sql, source, path, binding), binding)
        # RFC 7644: "a non-empty node for complex attributes", so one of its parts has a value.
        model = binding.target_type
        assert model is not None
        assert issubclass(model, BaseModel)
        return or_(*(self._is_part_present(binding, source, path, model, name) for name in model.model_fields))

    def _is_part_present(
        self,
        binding: AttributeBinding,
        source: ColumnElement[Any],
        path: JsonPath,
        model: type[BaseModel],
        field_name: str,
    ) -> ColumnElement[bool]:
        name = model._scim_name(field_name)
        part = self._filter.resolve(_attr_path(binding, name), strict=False)
        assert part is not None
        return is_filled(value_at(self._sql, source, (*path, name), part), part)

    def visit_value_path(self, node: ValuePath) -> ColumnElement[bool]:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None or not binding.is_multivalued:
            return false()

        def matches(entry: ColumnElement[Any]) -> ColumnElement[bool]:
            if not is_complex(binding):
                return ScalarFilter(binding, self._sql, value_at(self._sql, entry, (), binding)).visit(node.val_filter)
            return EntryFilter(self._filter, node.attr_path, self._sql, entry).visit(node.val_filter)

        found = self._any(key_path(binding), matches)
        address = _work_address(binding, node.val_filter)
        if address is None:
            return found
        # The index only narrows the search; the entries decide.
        folded = operand_of(_value_of(self._filter, node.attr_path), address, CompareOperator.eq)
        return and_(resources.c.work_email_key.in_([indexed(folded), SEVERAL]), found)

    def _value(self, binding: AttributeBinding) -> ColumnElement[Any]:
        column = self._columns.get(binding.urn)
        if column is not None:
            return column
        return value_at(self._sql, resources.c["keys"], key_path(binding) + part_path(binding), binding)

    def _any(self, path: JsonPath, matches: Callable[[ColumnElement[Any]], ColumnElement[bool]]) -> ColumnElement[bool]:
        entries = self._sql.entries(resources.c["keys"], path)
        return exists(select(literal(1)).select_from(entries.rows).where(matches(entries.entry)))

    def _is_missing(self, path: JsonPath) -> ColumnElement[bool]:
        return self._sql.node(resources.c["keys"], path).is_(None)


def _count(node: FilterNode, weight: Callable[[AttrPath], int]) -> int:
    """Return how many conditions there are. :param weight: How many conditions a `pr` on an attribute counts for."""
    match node:
        case Not(expr):
            return _count(expr, weight)
        case LogicalExpr(_, terms):
            return sum(_count(term, weight) for term in terms)
        case ValuePath():
            return _count(node.val_filter, weight)
        case Present(attr_path):
            return weight(attr_path)
    return 1


def _parts(binding: AttributeBinding | None) -> int:
    """Return how many comparisons a `pr` on an attribute takes."""
    model: Any = binding.target_type if binding is not None and is_complex(binding) else None
    return len(model.model_fields) if model is not None else 1


def _indexed_column(binding: AttributeBinding) -> ColumnElement[Any] | None:
    if binding.sub_field_name is not None or issubclass(binding.model, Extension):
        return None
    return _INDEXED.get(binding.field_name)


def _attr_path(binding: AttributeBinding, part: str) -> AttrPath:
    name = binding.model._scim_name(binding.field_name)
    uri = str(binding.model.__schema__) if issubclass(binding.model, Extension) else None
    return AttrPath(name, part, uri)


def _value_of(scim_filter: ScimFilter[Any], attribute: AttrPath) -> AttributeBinding:
    binding = scim_filter.resolve(AttrPath(attribute.attr, "value", attribute.uri))
    assert binding is not None
    return binding


def _work_address(binding: AttributeBinding, node: FilterNode) -> str | None:
    """Return the address that `emails[type eq "work" and value eq "x"]` asks for; None for any other filter."""
    if binding.field_name != "emails" or issubclass(binding.model, Extension):
        return None
    if not isinstance(node, LogicalExpr) or node.op != LogicalOperator.and_:
        return None
    asked = {
        term.attr_path.attr.lower(): term.value
        for term in node.terms
        if isinstance(term, Comparison) and term.op == CompareOperator.eq
    }
    kind, address = asked.get("type"), asked.get("value")
    return address if isinstance(kind, str) and kind.lower() == "work" and isinstance(address, str) else None
