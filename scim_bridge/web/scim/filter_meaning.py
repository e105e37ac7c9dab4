"""Filters that can be read, but that nothing could ever meet: 400, never "0 results" (rule A7).

An empty answer says "there is no such user", and makes Entra create a duplicate. So every condition has to name
an attribute that is here, and to compare it in a way that could be true of somebody.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from inspect import isclass
from typing import Any

from scim2_models import BaseModel, InvalidFilterException, Resource, ScimFilter
from scim2_models.path import (
    STRING_OPERATORS,
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterVisitor,
    LogicalExpr,
    Not,
    Present,
    ValuePath,
    coerce_value,
)

from scim_bridge.scim.schema import shape_of
from scim_bridge.scim.values import shown

Model = type[Resource[Any]]
Objection = Callable[[AttributeBinding], str | None]

_DATE = re.compile(r"\d{4}-\d\d-\d\dT", re.IGNORECASE)
_EQUALITY = (CompareOperator.eq, CompareOperator.ne)
_NOT_KEPT = {
    "meta.location": "it is made for each answer: ask for the id",
    "groups": "it is not kept with a user: ask for the group, as in /Groups?filter=members.value eq the user's id",
}
"""Attributes that no stored resource has, and what to ask instead."""


def refuse_meaningless(scim_filter: ScimFilter[Any], models: Sequence[Model]) -> None:
    """Refuse a filter of which a condition can't be true of any resource of these types.

    :raises InvalidFilterException: naming the attribute and the cure.
    """
    _Meaning(scim_filter, models).visit(scim_filter.ast)


class _Meaning(FilterVisitor[None]):
    """Looks at each condition. `within` is the attribute before the brackets that it stands in."""

    def __init__(self, scim_filter: ScimFilter[Any], models: Sequence[Model], within: AttrPath | None = None) -> None:
        self._filter = scim_filter
        self._models = models
        self._within = within
        # Binding also refuses values and operators that don't fit the attribute's type.
        self._bound: list[ScimFilter[Any]] = [ScimFilter.__class_getitem__(each)(scim_filter.ast) for each in models]

    def visit_not(self, node: Not) -> None:
        self.visit(node.expr)

    def visit_logical_expr(self, node: LogicalExpr) -> None:
        for term in node.terms:
            self.visit(term)

    def visit_present(self, node: Present) -> None:
        self._check(node.attr_path, _is_not_kept, for_comparison=False)

    def visit_comparison(self, node: Comparison) -> None:
        self._check(node.attr_path, lambda binding: _objection(binding, node), for_comparison=True)

    def visit_value_path(self, node: ValuePath) -> None:
        self._check(node.attr_path, _is_not_kept, for_comparison=False)
        _Meaning(self._filter, self._models, node.attr_path).visit(node.val_filter)

    def _check(self, path: AttrPath, objects: Objection, *, for_comparison: bool) -> None:
        """An objection counts where it is raised for every type that has the attribute."""
        bindings = [each for each in self._bindings(path, for_comparison=for_comparison) if each is not None]
        if not bindings:
            raise InvalidFilterException(detail=_unknown(path, self._models, self._within))
        objections = [objects(each) for each in bindings]
        if all(objections):
            raise InvalidFilterException(detail=objections[0])

    def _bindings(self, path: AttrPath, *, for_comparison: bool) -> list[AttributeBinding | None]:
        if self._within is None:
            return [
                bound.resolve_comparison(path, strict=False) if for_comparison else bound.resolve(path, strict=False)
                for bound in self._bound
            ]
        if path.uri is not None or path.sub_attr is not None:
            return []
        outer = [bound.resolve(self._within, strict=False) for bound in self._bound]
        whole = AttrPath(self._within.attr, path.attr, self._within.uri)
        return [
            binding
            if binding is not None and not _is_complex(binding) and path.attr.lower() == "value"
            else bound.resolve(whole, strict=False)
            for bound, binding in zip(self._bound, outer, strict=True)
        ]


def _objection(binding: AttributeBinding, node: Comparison) -> str | None:
    name, op, value = _name(binding), node.op, node.value
    if value is None:
        if op in _EQUALITY:
            return None
        return f'the filter compares {name} with null by "{op}": only eq and ne can, and pr asks whether there is one'
    if _is_complex(binding):
        return (
            f"the filter compares {name} as a whole, which equals nothing, as it has parts: compare one of them, "
            f"as in {name}.{_first_part(binding)} {op} {shown(value)}"
        )
    if op in STRING_OPERATORS and not isinstance(value, str):
        return f'the filter looks with "{op}" for {shown(value)} in {name}: write the value in double quotes'
    if binding.target_type is datetime:
        return _objection_to_a_date(binding, node)
    return _is_not_kept(binding)


def _objection_to_a_date(binding: AttributeBinding, node: Comparison) -> str | None:
    name = _name(binding)
    if node.op in STRING_OPERATORS:
        return f'the filter uses "{node.op}" on {name}, which is a date with a time: use gt, ge, lt, le, eq or ne'
    # A text of digits would be read as seconds since 1970.
    is_date = isinstance(node.value, str) and _DATE.match(node.value)
    instant = coerce_value(binding, node.value, node.op) if is_date else None
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        return (
            f"the filter compares {name} with {shown(node.value)}, which is no instant: "
            'write date, time and zone, as in "2026-03-01T08:00:00Z"'
        )
    return None


def _is_not_kept(binding: AttributeBinding) -> str | None:
    name = _name(binding)
    cure = _NOT_KEPT.get(name) or _NOT_KEPT.get(name.partition(".")[0])
    return f"the filter asks for {name}, which can't be searched, as {cure}" if cure else None


def _is_complex(binding: AttributeBinding) -> bool:
    return isclass(binding.target_type) and issubclass(binding.target_type, BaseModel)


def _first_part(binding: AttributeBinding) -> str:
    """The part to compare instead: the one that stands for the whole, else the first."""
    model: Any = binding.target_type
    names = [model._scim_name(field) for field in model.model_fields]
    return str(next((each for each in ("value", "givenName", "resourceType") if each in names), names[0]))


def _name(binding: AttributeBinding) -> str:
    """How a filter calls an attribute: with its URN only where it needs it."""
    schema = getattr(binding.model, "__schema__", None)
    is_extension = not issubclass(binding.model, Resource)
    return binding.urn if is_extension or not schema else binding.urn.removeprefix(f"{schema}:")


def _unknown(path: AttrPath, models: Sequence[Model], within: AttrPath | None) -> str:
    """What is wrong with a name that no type has."""
    shapes = [shape_of(each) for each in models]
    named = f'the filter names "{path}", which is no attribute here'
    if within is not None:
        return f'the filter names "{path}" within {within}[…], which has no such part: see /Schemas for its parts'
    if path.sub_attr is not None and any(
        shape.place(str(AttrPath(path.attr, None, path.uri))) is not None for shape in shapes
    ):
        whole = AttrPath(path.attr, None, path.uri)
        return f'{named}: {whole} is, but it has no part "{path.sub_attr}"; see /Schemas for its parts'
    urns = [urn for shape in shapes for urn in (shape.urn, *shape.extensions)]
    if path.uri is not None and path.uri.lower() not in (urn.lower() for urn in urns):
        if f"{path.uri}:{path.attr}".lower() in (urn.lower() for urn in urns):
            example = f"{path.uri}:{path.attr}:{path.sub_attr or 'x'}"
            return f'{named}, but begins with a schema: name an attribute after a colon, as in "{example}"'
        return f'{named}: the schema "{path.uri}" isn\'t served for this resource; see /Schemas for those that are'
    for shape in shapes:
        for urn, attributes in shape.extensions.items():
            if path.uri is None and path.attr.lower() in attributes:
                return f'{named}: it belongs to an extension, so write it with its URN, as in "{urn}:{path}"'
    return f"{named}: see /Schemas for the names; an attribute of an extension needs its URN before it"
