"""Filters and names in a search: one that can't be read or could never match is 400, never "0 results" (rule A7)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from inspect import isclass
from typing import Any

from scim2_models import BaseModel, InvalidFilterException, InvalidValueException, Resource, ScimFilter
from scim2_models.path import (
    STRING_OPERATORS,
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    Not,
    Present,
    ValuePath,
    coerce_value,
)
from scim2_server.service import SEARCH_REQUEST_PARAMETERS

from scim_bridge.scim.schema import COMMON, ResourceSchema, extension_of, qualified, shape_of
from scim_bridge.scim.values import shown
from scim_bridge.web.scim.wording import reworded

Model = type[Resource[Any]]
Objection = Callable[[AttributeBinding], str | None]

_DATE = re.compile(r"\d{4}-\d\d-\d\dT", re.IGNORECASE)
_EQUALITY = (CompareOperator.eq, CompareOperator.ne)
_NOT_KEPT = {
    "meta.location": "it is made for each answer: ask for the id",
    "groups": "it is not stored with a user: ask for the group, as in /Groups?filter=members.value eq the user's id",
}
"""Attributes that no stored resource has, and what to ask for instead."""


def refuse_meaningless(scim_filter: ScimFilter[Any], models: Sequence[Model]) -> None:
    """Refuse a filter with a condition that no resource of these types can meet.

    :raises InvalidFilterException: naming the attribute and what to do.
    """
    _Meaning(scim_filter, models).visit(scim_filter.ast)


class _Meaning(FilterVisitor[None]):
    """Checks each condition. `within` is the attribute before the brackets around it."""

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
        """Raise an objection if every type that has the attribute gives one."""
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
    # The library would read a text of digits as seconds since 1970.
    is_date = isinstance(node.value, str) and _DATE.match(node.value)
    instant = coerce_value(binding, node.value, node.op) if is_date else None
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        return (
            f"the filter compares {name} with {shown(node.value)}, which is not a full date and time: "
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
    """Return the part to compare instead: the one that stands for the whole, else the first."""
    model: Any = binding.target_type
    names = [model._scim_name(field) for field in model.model_fields]
    return str(next((each for each in ("value", "givenName", "resourceType") if each in names), names[0]))


def _name(binding: AttributeBinding) -> str:
    """Return an attribute's name in a filter: with its URN only where it is needed."""
    schema = getattr(binding.model, "__schema__", None)
    is_extension = not issubclass(binding.model, Resource)
    return binding.urn if is_extension or not schema else binding.urn.removeprefix(f"{schema}:")


def _unknown(path: AttrPath, models: Sequence[Model], within: AttrPath | None) -> str:
    """Return what is wrong with a name that no type has."""
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


EXAMPLE = 'userName eq "x"'
MAX_WORD = 40
"""How many characters of the wrong word a message shows."""

_SINGLE_QUOTES = "'‘’‚“”„`´"
_VALUE, _OPERATOR, _NAME = "STRING", "COMPARE_OP", "ATTR_PATH"


def parsed_filter(text: str) -> ScimFilter[Any]:
    """Return the parsed filter, whatever attributes it names.

    :raises InvalidFilterException: when it can't be read; the detail says where, why and what to write.
    """
    if not text.strip():
        raise InvalidFilterException(detail=f"the filter is empty and can't be read: write one, as in {EXAMPLE}")
    try:
        return ScimFilter(text)
    except InvalidFilterException as exc:
        raise InvalidFilterException(detail=_syntax_error(text, exc)) from exc


def _syntax_error(text: str, exc: InvalidFilterException) -> str:
    cause: Any = exc.__cause__
    start = getattr(cause, "pos_in_stream", None)
    if start is None:
        # This is no syntax error: the filter nests too deep, or has a number that is too large.
        return reworded(exc.detail)
    expected = set(getattr(cause, "expected", None) or getattr(cause, "allowed", None) or ())
    if getattr(getattr(cause, "token", None), "type", None) == "$END":
        return f"the filter can't be read: {_at_the_end(text, expected)}"
    before = text[:start].split()
    if before and before[-1].lower() in ("and", "or") and _VALUE not in expected:
        return (
            f"the filter can't be read from column {start + 1} on: a condition is missing beside "
            f'"{before[-1]}"; write {EXAMPLE} {before[-1]} title pr'
        )
    return f"the filter can't be read from column {start + 1} on: {_at_a_word(text[start:], expected)}"


def _at_the_end(text: str, expected: set[str]) -> str:
    if _VALUE in expected:
        return f"it ends where a value should stand; write it as in {EXAMPLE}, with the value in double quotes"
    if _OPERATOR in expected:
        return f"it ends after a name or a value; write name, operator and value, as in {EXAMPLE}"
    if expected & {"_RPAR", "_RBRACKET"}:
        return f'a bracket "{_open_bracket(text)}" is not closed; close it where its condition ends'
    return f"it ends where a condition should stand; write one, as in {EXAMPLE}, or take out the last word"


def _at_a_word(rest: str, expected: set[str]) -> str:
    word = _word(rest)
    if rest[0] in ")]":
        return f'there is no bracket that "{rest[0]}" could close here; take it out, or write what is missing before it'
    if _VALUE in expected:
        return _about_the_value(rest, word)
    if _OPERATOR in expected:
        return f'"{word}" is no operator; use eq, ne, co, sw, ew, gt, ge, lt, le or pr, as in {EXAMPLE}'
    if _NAME in expected:
        return f'"{word}" is no name of an attribute; a condition is name, operator and value, as in {EXAMPLE}'
    if expected == {"_LPAR"}:
        return f'after "not" a bracket should stand; write it as in not ({EXAMPLE})'
    return (
        f'"{word}" stands where "and", "or" or the end should; a value with spaces or quotes is one text in double '
        'quotes, with \\" for a quote within it'
    )


def _about_the_value(rest: str, word: str) -> str:
    if rest[0] in _SINGLE_QUOTES:
        return f"the value stands in quotes of another kind ({rest[0]}); write it in double quotes, as in {EXAMPLE}"
    if rest[0] == '"':
        return (
            "the text that begins here is not closed, or has a lone backslash; close it with a double quote, "
            'and write \\\\ for a backslash and \\" for a quote within it'
        )
    return f'the value "{word}" is not in double quotes; write it as in {EXAMPLE}'


def _open_bracket(text: str) -> str:
    """Return the innermost bracket that stays open."""
    left: list[str] = []
    for each in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        if each in "([":
            left.append(each)
        elif each in ")]" and left:
            left.pop()
    return left[-1] if left else "("


def _word(rest: str) -> str:
    match = re.match(r'"[^"]*"|\S+', rest)
    return (match[0] if match else rest)[:MAX_WORD].strip('"')


_PARAMETERS = {name.lower(): name for name in SEARCH_REQUEST_PARAMETERS}
_NAMES = ("attributes", "excludedAttributes")


def canonical_parameters(sent: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the parameters of a search under the names of RFC 7644 §3.4.2, whatever their case.

    :raises InvalidValueException: one of them was sent twice with different values.
    """
    found: dict[str, Any] = {}
    for name, value in sent:
        known = _PARAMETERS.get(name.lower(), name)
        if known in _PARAMETERS.values() and found.get(known, value) != value:
            raise InvalidValueException(detail=f"the request has {known} twice, with different values: send it once")
        found.setdefault(known, value)
    return found


def with_schemas(payload: Any, models: Sequence[Model]) -> Any:
    """Return the parameters of a search with the schema before each attribute's name. `models` are searched.

    What can't be read stays as it is: it is refused later.

    :raises InvalidValueException: see `canonical_parameters`.
    """
    if not isinstance(payload, Mapping):
        return payload
    shapes = [shape_of(each) for each in models]
    asked = canonical_parameters([(str(name), value) for name, value in payload.items()])
    text, sort_by = asked.get("filter"), asked.get("sortBy")
    if isinstance(text, str):
        asked["filter"] = _filter(text, shapes)
    if isinstance(sort_by, str):
        asked["sortBy"] = qualified(sort_by, shapes)
    for name in _NAMES:
        if name in asked:
            asked[name] = _attributes(asked[name], shapes, is_excluding=name == "excludedAttributes")
    return asked


def _attributes(value: Any, shapes: Sequence[ResourceSchema], *, is_excluding: bool) -> Any:
    if isinstance(value, str):
        names: list[Any] = value.split(",")
    elif isinstance(value, list):
        names = [name for each in value for name in (each.split(",") if isinstance(each, str) else [each])]
    else:
        return value
    named = [each.strip() if isinstance(each, str) else each for each in names]
    if is_excluding:
        # The protocol server knows the URN of an extension here, but not that of the resource itself.
        named = [name for each in named for name in _of_schema(each, shapes)]
    return [qualified(each, shapes) if isinstance(each, str) else each for each in named if each != ""]


def _of_schema(name: Any, shapes: Sequence[ResourceSchema]) -> list[Any]:
    """Return the attributes of the resource whose URN this is, and any other name as it is."""
    own = next((each for each in shapes if str(name).lower() == each.urn.lower()), None)
    return [name] if own is None else [each.name for each in own.attributes.values() if each.name not in COMMON]


def _filter(text: str, shapes: Sequence[ResourceSchema]) -> str:
    try:
        node = ScimFilter(text).ast
    except InvalidFilterException:
        return text
    named = _named(node, shapes)
    return text if named == node else str(ScimFilter(named))


def _named(node: FilterNode, shapes: Sequence[ResourceSchema]) -> FilterNode:
    match node:
        case Not(expr):
            return Not(_named(expr, shapes))
        case LogicalExpr(operator, terms):
            return LogicalExpr(operator, tuple(_named(term, shapes) for term in terms))
        case Comparison(path, _, value):
            found = _path(path, shapes)
            # Whether there is a manager at all is a question about the whole attribute.
            return replace(node, attr_path=found if value is None else _compared(found, shapes))
        case Present(path) | ValuePath(path):
            return replace(node, attr_path=_path(path, shapes))
    return node


def _path(path: AttrPath, shapes: Sequence[ResourceSchema]) -> AttrPath:
    urn = extension_of(path.attr, shapes) if path.uri is None else None
    return path if urn is None else replace(path, uri=urn)


def _compared(path: AttrPath, shapes: Sequence[ResourceSchema]) -> AttrPath:
    """Return the part that stands for a single complex attribute; for a list the protocol server knows it."""
    place = next((found for each in shapes if (found := each.place(str(path))) is not None), None)
    is_whole = place is not None and place.part is None and not place.shape.multi_valued
    if place is None or not is_whole or not place.shape.stands_for_value:
        return path
    return replace(path, sub_attr="value")
