"""Forms that only Entra sends, rewritten into the RFC's: JSON in, JSON out.

What the library's policy tolerates by itself (`provider.POLICY`) is not repaired here. Every key is looked up in what
the resource type declares. A key that isn't declared is left out, and its name reported (rule A7).
Sources: Microsoft's provisioning documentation, and reports of real traffic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scim2_models import SCIMException, ScimFilter
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator

from scim_bridge.scim.quirks import Quirk, QuirkKind, Tolerated
from scim_bridge.scim.schema import AttributePath, ResourceSchema
from scim_bridge.scim.values import EMPTY, UNUSABLE, conform, conform_entry, demote_primary


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A body in the RFC's form."""

    body: Any
    tolerated: tuple[Quirk, ...] = ()
    """Its quirks, by kind and name, including all that was left out."""


def rewrite_resource(shape: ResourceSchema, body: Any) -> Rewritten:
    """Return the rewritten body of a POST or PUT."""
    if not isinstance(body, dict):
        return Rewritten(body)
    tolerated = Tolerated()
    found: dict[str, Any] = {}
    _collect(shape, body, None, found, tolerated)
    for name, value in found.items():
        if isinstance(value, list):
            demote_primary(value, tolerated, name)
    listed = next((value for key, value in body.items() if key.lower() == "schemas"), None)
    _note_unlisted(shape, listed, found, tolerated)
    return Rewritten(found, tolerated.found)


def _collect(
    shape: ResourceSchema, body: Mapping[str, Any], urn: str | None, found: dict[str, Any], tolerated: Tolerated
) -> None:
    """Write the content of `body` into `found`. `urn` is the extension to which the keys belong."""
    for key, value in body.items():
        schema = shape.schema_at(key)
        if urn is None and key.lower() == "schemas":
            found["schemas"] = known_schemas(shape, value, tolerated)
        elif urn is None and schema is not None:
            if schema == shape.urn:
                tolerated.add(QuirkKind.core_schema_key, schema)
            if isinstance(value, dict):
                _collect(shape, value, None if schema == shape.urn else schema, found, tolerated)
            elif value is not None:
                found[schema] = value
        else:
            place = shape.place(f"{urn}:{key}" if urn else key)
            if place is None:
                note_unknown(f"{urn}:{key}" if urn else key, value, tolerated)
            elif not place.read_only:
                note_key(shape, key, place, tolerated)
                _put(place, value, found, tolerated)


def note_unknown(key: str, value: Any, tolerated: Tolerated) -> None:
    """Note a key that isn't declared, and is left out."""
    is_schema = isinstance(value, dict) and key.lower().startswith("urn:")
    tolerated.add(QuirkKind.unknown_schema if is_schema else QuirkKind.unknown_attribute, key)


def note_key(shape: ResourceSchema, key: str, place: AttributePath, tolerated: Tolerated) -> None:
    """Note a key that is a path, where the RFC has only the attribute's name."""
    separator = shape.separator(key)
    if place.is_short:
        tolerated.add(QuirkKind.short_name, place.path)
    if place.selection is not None:
        tolerated.add(QuirkKind.filtered_key, place.path)
    elif separator == ".":
        tolerated.add(QuirkKind.dotted_urn, place.path)
    elif separator is not None:
        tolerated.add(QuirkKind.qualified_key, place.path)
    elif place.part is not None:
        tolerated.add(QuirkKind.dotted_key, place.path)


def _note_unlisted(shape: ResourceSchema, listed: Any, found: Mapping[str, Any], tolerated: Tolerated) -> None:
    named = {urn.lower() for urn in (listed if isinstance(listed, list) else [listed]) if isinstance(urn, str)}
    for urn in (shape.urn, *(urn for urn in shape.extensions if found.get(urn))):
        if urn.lower() not in named:
            tolerated.add(QuirkKind.unlisted_schema, urn)


def _put(place: AttributePath, value: Any, found: dict[str, Any], tolerated: Tolerated) -> None:
    """Write one value where its key points, beside what other keys wrote into the same attribute."""
    holder = found if place.urn is None else found.setdefault(place.urn, {})
    if not isinstance(holder, dict):
        # The extension itself has an impossible type: it is refused later.
        return
    if place.selection is None and place.part is None:
        _put_whole(place, value, holder, tolerated)
    else:
        _put_inside(place, value, holder, tolerated)


def _put_whole(place: AttributePath, value: Any, holder: dict[str, Any], tolerated: Tolerated) -> None:
    name = place.shape.name
    conformed = conform(place.shape, value, tolerated, place.path)
    present = holder.get(name)
    if conformed is UNUSABLE:
        return
    if isinstance(present, dict) and isinstance(conformed, dict):
        present.update(conformed)
    elif isinstance(present, list) and isinstance(conformed, list):
        holder[name] = [*conformed, *present]
    elif conformed is not None or name not in holder:
        holder[name] = conformed


def _put_inside(place: AttributePath, value: Any, holder: dict[str, Any], tolerated: Tolerated) -> None:
    """Write a part of a complex attribute, or into the entry that a filter in brackets describes."""
    conformed = conform_at(place, value, tolerated)
    if conformed is UNUSABLE:
        return
    name = place.shape.name
    if place.shape.multi_valued:
        entry = _selected_entry(place, holder, tolerated)
    elif isinstance(holder.get(name), dict):
        entry = holder[name]
    else:
        entry = holder[name] = {}
    if entry is None:
        tolerated.add(QuirkKind.unusable_filter, place.path)
    elif place.part is None:
        entry.update(conformed if isinstance(conformed, dict) else {})
    else:
        entry[place.part.name] = conformed
        if place.stands_for_whole and conformed in EMPTY:
            holder[name] = None


def conform_at(place: AttributePath, value: Any, tolerated: Tolerated) -> Any:
    """Return a value in the type declared at its path: a list only for a whole multi-valued attribute."""
    if place.is_list or place.part is not None or not place.shape.multi_valued:
        return conform(place.target, value, tolerated, place.path)
    if isinstance(value, list) and len(value) == 1:
        tolerated.add(QuirkKind.list_for_single, place.path)
        (value,) = value
    return conform_entry(place.target, value, tolerated, place.path)


def _selected_entry(place: AttributePath, holder: dict[str, Any], tolerated: Tolerated) -> dict[str, Any] | None:
    """Return the entry that a filter in brackets describes; create it if there is none."""
    sought = {} if place.selection is None else described(place, tolerated)
    if sought is None:
        return None
    entries = holder.get(place.shape.name)
    if not isinstance(entries, list):
        entries = holder[place.shape.name] = []
    for entry in entries:
        if isinstance(entry, dict) and all(_same(entry.get(name), value) for name, value in sought.items()):
            return entry
    entries.append(sought)
    return sought


def _same(one: Any, other: Any) -> bool:
    return str(one).lower() == str(other).lower()


def described(place: AttributePath, tolerated: Tolerated) -> dict[str, Any] | None:
    """Return what the filter `type eq "work" and primary eq true` says of an entry; None for any other filter."""
    try:
        node: FilterNode = ScimFilter(str(place.selection)).ast
    except SCIMException:
        return None
    is_and = isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_
    terms = node.terms if isinstance(node, LogicalExpr) and is_and else (node,)
    values = {}
    for term in terms:
        if not isinstance(term, Comparison) or term.op != CompareOperator.eq:
            return None
        part = (place.shape.parts or {}).get(term.attr_path.attr.lower())
        if part is None:
            return None
        values[part.name] = conform(part, term.value, tolerated, f"{place.shape.name}[].{part.name}")
    return values


def known_schemas(shape: ResourceSchema, value: Any, tolerated: Tolerated) -> Any:
    """Return a body's schemas without unknown ones, and with the resource's own, which some clients forget."""
    if isinstance(value, str):
        tolerated.add(QuirkKind.single_for_list, "schemas")
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list):
        return value
    texts = [each for each in named if isinstance(each, str)]
    known = [shape.schema_at(each) for each in texts]
    for each, urn in zip(texts, known, strict=True):
        if urn is None:
            tolerated.add(QuirkKind.unknown_schema, each)
    return list(dict.fromkeys([shape.urn, *(urn for urn in known if urn)]))
