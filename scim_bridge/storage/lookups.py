"""Where the keys of a resource hold an attribute."""

from typing import Any

from scim2_models import Extension
from scim2_models.path import AttributeBinding
from sqlalchemy import ColumnElement

from scim_bridge.storage.comparisons import is_complex, is_number
from scim_bridge.storage.json_sql import JsonSql, Path


def key_path(binding: AttributeBinding) -> Path:
    """Where the keys hold the head attribute of a binding."""
    name = binding.model._scim_name(binding.field_name)
    return (str(binding.model.__schema__), name) if issubclass(binding.model, Extension) else (name,)


def part_path(binding: AttributeBinding) -> Path:
    """Where the head attribute holds the part that is compared; empty if it is compared itself."""
    if binding.sub_field_name is None or binding.target_model is None:
        return ()
    return (binding.target_model._scim_name(binding.sub_field_name),)


def value_at(sql: JsonSql, source: ColumnElement[Any], path: Path, binding: AttributeBinding) -> ColumnElement[Any]:
    """The compared value, looked up in `source`."""
    if is_complex(binding):
        return sql.node(source, path) if path else source
    return sql.number(source, path) if is_number(binding) else sql.text(source, path)
