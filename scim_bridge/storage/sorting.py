"""The order of a search (RFC 7644 §3.4.2.3): the sort value, missing ones last, and ids where it is equal.

A descending order is the ascending one from behind, missing values first. Text is ordered by its first
characters alone: a cursor carries the sort value in a URL, and pages by index follow the same order.
"""

from typing import Any

from scim2_models import SearchRequest
from scim2_models.path import AttributeBinding
from sqlalchemy import ColumnElement, Float, case, cast, func, select

from scim_bridge.storage.comparisons import is_number
from scim_bridge.storage.filters import Columns, Model
from scim_bridge.storage.json_sql import JsonSql
from scim_bridge.storage.lookups import key_path, part_path, value_at
from scim_bridge.storage.paging import Order
from scim_bridge.storage.tables import resources
from scim_bridge.storage.types import UtcDateTime, exact_text

MAX_SORTED_CHARACTERS = 100
"""How much of a text orders it. At worst, all of it characters beyond U+FFFF, a cursor has 1,900 characters then."""


def order_of(search_request: SearchRequest[Any], models: dict[str, Model], sql: JsonSql, columns: Columns) -> Order:
    """The order of a search over resource types, whose models are given by name."""
    # An index on the id would be walked to its end for a filter that finds little: where there is a filter,
    # the database is to find first and sort then.
    tie: ColumnElement[Any] = resources.c.id if search_request.filter is None else resources.c.id + ""
    if search_request.sort_by is None:
        return Order(None, tie)
    values = []
    for name, model in models.items():
        binding = search_request.sort_binding(model)
        if binding is not None:
            values.append((resources.c.resource_type == name, _sort_value(binding, sql, columns)))
    is_descending = search_request.sort_order == SearchRequest.SortOrder.descending
    if not values:
        return Order(None, tie, is_descending)
    return Order(values[0][1] if len(models) == 1 else case(*values), tie, is_descending)


def _sort_value(binding: AttributeBinding, sql: JsonSql, columns: Columns) -> ColumnElement[Any]:
    """The value that orders a resource, as text, number or instant."""
    value = columns[binding.urn] if binding.urn in columns else _value(binding, sql)
    if isinstance(value.type, UtcDateTime):
        return value
    if is_number(binding):
        # SQLite would give whole numbers, and PostgreSQL never does.
        return cast(value, Float)
    # Characters, not bytes: half a character is no text. Compared byte by byte, as Python orders text.
    return cast(func.substr(value, 1, MAX_SORTED_CHARACTERS), exact_text())


def _value(binding: AttributeBinding, sql: JsonSql) -> ColumnElement[Any]:
    """The value in the keys: of several, the primary one's, else the first one's."""
    path, part = key_path(binding), part_path(binding)
    if not binding.is_multivalued:
        return value_at(sql, resources.c["keys"], path + part, binding)
    entries = sql.entries(resources.c["keys"], path)
    order = [entries.position]
    if binding.sub_field_name is not None:
        is_primary = sql.text(entries.entry, ("primary",)) == "true"
        order = [case((is_primary, 0), else_=1), entries.position]
    value = select(value_at(sql, entries.entry, part, binding)).select_from(entries.rows)
    return value.order_by(*order).limit(1).scalar_subquery()
