"""Parsing a source path of the setting. It takes a large library, which a mapping without a setting does without."""

from collections.abc import Iterator
from typing import Any

from scim2_models import InvalidPathException, Path
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    ValuePath,
)

from scim_bridge.scim.reading import CORE_URN, Condition, SourcePath


def source_path(text: str) -> SourcePath:
    """Parse a path.

    :raises ValueError: when it isn't a path, or names something that no single value can be read from.
    """
    text = text.strip()
    try:
        node = Path[Any](text).ast
    except InvalidPathException as exc:
        raise ValueError(f'"{text}" is not a SCIM attribute path: {exc.detail}') from exc
    match node:
        case AttrPath():
            return _of(text, node, node.sub_attr, ())
        case ValuePath(attr_path, val_filter, str(sub_attribute)):
            return _of(text, attr_path, sub_attribute, tuple(_conditions(text, val_filter)))
        case ValuePath():
            raise ValueError(f'"{text}" selects whole elements: name a part, as in "{text}.value"')
    raise ValueError('a source is empty: write a SCIM attribute path such as "userName"')


def _of(text: str, path: AttrPath, sub: str | None, conditions: tuple[Condition, ...]) -> SourcePath:
    if path.uri is not None and path.attr.casefold() == "user":
        raise ValueError(f'"{text}" is a schema: name an attribute of it, as in "{text}:employeeNumber"')
    urn = None if path.uri is None or path.uri.casefold() == CORE_URN.casefold() else path.uri
    return SourcePath(text, urn, path.attr, sub, conditions)


def _conditions(text: str, node: FilterNode) -> Iterator[Condition]:
    match node:
        case Comparison(AttrPath(attribute, None, None), CompareOperator.eq, str() | bool() | int() | float() as value):
            yield Condition(attribute, value)
        case LogicalExpr(LogicalOperator.and_, terms):
            for term in terms:
                yield from _conditions(text, term)
        case _:
            raise ValueError(f'"{text}" has a filter that is not supported: only "eq" and "and" are')
