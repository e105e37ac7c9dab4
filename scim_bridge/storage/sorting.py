"""The order of a search (RFC 7644 §3.4.2.3): the sort value, missing ones last, and ids where it is equal.

A descending order is the ascending one from behind, missing values first.
"""

from typing import Any

from scim2_models import SearchRequest
from scim2_models.path import AttributeBinding
from sqlalchemy import ColumnElement, case, select

from scim_bridge.storage.filters import Columns, Model
from scim_bridge.storage.json_sql import JsonSql
from scim_bridge.storage.lookups import key_path, part_path, value_at
from scim_bridge.storage.tables import resources


def ordering(
    search_request: SearchRequest[Any], models: dict[str, Model], sql: JsonSql, columns: Columns
) -> list[ColumnElement[Any]]:
    """The order of a search over resource types, whose models are given by name."""
    # An index on the id would be walked to its end for a filter that finds little: where there is a filter,
    # the database is to find first and sort then.
    tie: ColumnElement[Any] = resources.c.id if search_request.filter is None else resources.c.id + ""
    if search_request.sort_by is None:
        return [tie]
    values = []
    for name, model in models.items():
        binding = search_request.sort_binding(model)
        if binding is not None:
            values.append((resources.c.resource_type == name, _sort_value(binding, sql, columns)))
    if not values:
        return [tie]
    value = values[0][1] if len(models) == 1 else case(*values)
    order = [value.is_(None), value, tie]
    if search_request.sort_order == SearchRequest.SortOrder.descending:
        return [each.desc() for each in order]
    return order


def _sort_value(binding: AttributeBinding, sql: JsonSql, columns: Columns) -> ColumnElement[Any]:
    """The value that orders a resource: of several, the primary one's, else the first one's."""
    if binding.urn in columns:
        return columns[binding.urn]
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
