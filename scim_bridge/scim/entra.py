"""Shapes that only Entra sends, rewritten into the RFC's: JSON in, JSON out.

What the library's policy tolerates by itself (`provider.POLICY`) is not repeated here. Every key is looked up
in what the resource type declares; whatever isn't declared is left out, and its name reported (rule A7).
Sources: Microsoft's provisioning documentation, and reports of real traffic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scim2_models import SCIMException, ScimFilter
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator

from scim_bridge.scim.conform import EMPTY, Ignored, conform, conform_entry
from scim_bridge.scim.shapes import Place, ResourceShape


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A body in the RFC's shape."""

    body: Any
    ignored: tuple[str, ...] = ()
    """The names of the attributes and paths that were left out."""


def rewrite_resource(shape: ResourceShape, body: Any) -> Rewritten:
    """The body of a POST or PUT."""
    if not isinstance(body, dict):
        return Rewritten(body)
    ignored = Ignored()
    found: dict[str, Any] = {}
    _collect(shape, body, None, found, ignored)
    return Rewritten(found, ignored.names)


def _collect(
    shape: ResourceShape, body: Mapping[str, Any], urn: str | None, found: dict[str, Any], ignored: Ignored
) -> None:
    """Put what `body` says into `found`. `urn` is the extension that the keys belong to."""
    for key, value in body.items():
        schema = shape.schema_at(key)
        if urn is None and key.lower() == "schemas":
            found["schemas"] = known_schemas(shape, value)
        elif urn is None and schema is not None:
            if isinstance(value, dict):
                _collect(shape, value, None if schema == shape.urn else schema, found, ignored)
            elif value is not None:
                found[schema] = value
        else:
            place = shape.place(f"{urn}:{key}" if urn else key)
            if place is None:
                ignored.add(f"{urn}:{key}" if urn else key)
            elif not place.read_only:
                _put(place, value, found, ignored)


def _put(place: Place, value: Any, found: dict[str, Any], ignored: Ignored) -> None:
    """Write one value where its key points, beside what other keys said of the same attribute."""
    holder = found if place.urn is None else found.setdefault(place.urn, {})
    if not isinstance(holder, dict):
        # The extension itself was sent as something that it can't be: that is what gets refused.
        return
    if place.selection is None and place.part is None:
        _put_whole(place, value, holder, ignored)
    else:
        _put_inside(place, value, holder, ignored)


def _put_whole(place: Place, value: Any, holder: dict[str, Any], ignored: Ignored) -> None:
    name = place.shape.name
    conformed = conform(place.shape, value, ignored, place.path)
    present = holder.get(name)
    if isinstance(present, dict) and isinstance(conformed, dict):
        present.update(conformed)
    elif isinstance(present, list) and isinstance(conformed, list):
        holder[name] = [*conformed, *present]
    elif conformed is not None or name not in holder:
        holder[name] = conformed


def _put_inside(place: Place, value: Any, holder: dict[str, Any], ignored: Ignored) -> None:
    """Write a part of a complex attribute, or into the entry that a filter in brackets describes."""
    name = place.shape.name
    if place.shape.multi_valued:
        entry = _selected_entry(holder, name, place.selection)
    elif isinstance(holder.get(name), dict):
        entry = holder[name]
    else:
        entry = holder[name] = {}
    if entry is None:
        ignored.add(place.path)
    elif place.part is None:
        conformed = conform_entry(place.shape, value, ignored, place.path)
        entry.update(conformed if isinstance(conformed, dict) else {})
    else:
        entry[place.part.name] = conform(place.part, value, ignored, place.path)
        if place.stands_for_whole and entry[place.part.name] in EMPTY:
            holder[name] = None


def _selected_entry(holder: dict[str, Any], name: str, selection: str | None) -> dict[str, Any] | None:
    """The entry that a filter in brackets describes, made where there is none."""
    described = {} if selection is None else _described(selection)
    if described is None:
        return None
    entries = holder.get(name)
    if not isinstance(entries, list):
        entries = holder[name] = []
    for entry in entries:
        if isinstance(entry, dict) and all(_same(entry.get(key), value) for key, value in described.items()):
            return entry
    entries.append(described)
    return described


def _same(one: Any, other: Any) -> bool:
    return str(one).lower() == str(other).lower()


def _described(selection: str) -> dict[str, Any] | None:
    """What `type eq "work" and primary eq true` says of an entry; None for any other filter."""
    try:
        node: FilterNode = ScimFilter(selection).ast
    except SCIMException:
        return None
    is_and = isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_
    terms = node.terms if isinstance(node, LogicalExpr) and is_and else (node,)
    described = {}
    for term in terms:
        if not isinstance(term, Comparison) or term.op != CompareOperator.eq:
            return None
        described[term.attr_path.attr] = term.value
    return described


def known_schemas(shape: ResourceShape, value: Any) -> Any:
    """The schemas of a body without unknown ones, and with the resource's own, which some clients forget."""
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list):
        return value
    known = [shape.schema_at(each) for each in named if isinstance(each, str)]
    return list(dict.fromkeys([shape.urn, *(urn for urn in known if urn)]))
