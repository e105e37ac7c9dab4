"""The ways in which a change is said in a PATCH: by Entra today, by Entra with `aadOptscim062020`, by the RFC.

A spelling is a list of operations. What the flag puts under keys of one path-less operation is a `Keyed`:
neighbours are sent as one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from scim2_models import ScimFilter

from tests.protocol import patch_model as model
from tests.protocol.patch_model import At, Change, Entry

Operation = dict[str, Any]


@dataclass(frozen=True)
class Keyed:
    """A key of a path-less value."""

    key: str
    value: Any
    op: str = "replace"


Spelling = list[Operation | Keyed]


def today(change: Change) -> list[Spelling]:
    """Entra without the flag: an operation for each attribute, capitalised, booleans as text."""
    match change:
        case model.Set(at, bool(value)):
            return _paths("Replace", at, str(value)) + _paths("Add", at, str(value)) + _paths("Replace", at, value)
        case model.Set(at, value):
            return [
                *_paths("Add", at, value),
                *_paths("Replace", at, value),
                *_paths("Replace", at, [value]),
                *_paths("Replace", at, {"value": value}),
                *_paths("Replace", at, [{"$ref": None, "value": value}]),
                *(_paths("Add", at, int(value)) if value.isascii() and str(_number(value)) == value else []),
            ]
        case model.Clear(at):
            return [*_emptied("Replace", _path(at)), *_emptied("Add", _path(at)), [{"op": "Remove", "path": _path(at)}]]
        case model.Merge(name, parts):
            return [
                [{"op": "Replace", "path": f"{name}.{part}", "value": value} for part, value in parts.items()],
                [{"op": "Add", "path": name, "value": parts}],
            ]
        case model.SetManager(manager):
            path = f"{model.ENTERPRISE}:manager"
            return [
                [{"op": op, "path": path, "value": value}]
                for op in ("Add", "Replace")
                for value in (manager, [manager], {"value": manager}, [{"value": manager}])
            ] + [[{"op": "Replace", "path": f"{path}.value", "value": manager}]]
        case model.ClearExtension(urn):
            return [[{"op": "Remove", "path": urn}], [{"op": "Replace", "path": urn, "value": None}]]
        case model.SetPart(name, selection, part, value):
            path = f"{name}[{_filter(selection, text_booleans=True)}].{part}"
            said = str(value) if isinstance(value, bool) else value
            return [[{"op": op, "path": path, "value": said}] for op in ("Add", "Replace")]
        case model.WriteEntry(name, selection, entry):
            path = f"{name}[{_filter(selection, text_booleans=True)}]"
            return [[{"op": op, "path": path, "value": _as_text(entry)}] for op in ("Add", "Replace")]
        case model.ClearPart(name, selection, part):
            path = f"{name}[{_filter(selection, text_booleans=True)}].{part}"
            return [*_emptied("Replace", path), [{"op": "Remove", "path": path}], _old_value(path)]
        case model.DropEntries(name, selection):
            path = f"{name}[{_filter(selection)}]"
            return [[{"op": "Remove", "path": path}], *_emptied("Replace", path)]
        case model.SetList(name, entries):
            return [[{"op": "Replace", "path": name, "value": [_as_text(entry) for entry in entries]}]]
        case model.AddEntries(name, entries):
            said = [_as_text({"$ref": None, **entry} if name == "members" else entry) for entry in entries]
            return [[{"op": "Add", "path": name, "value": value}] for value in _one_or_all(said)]
        case model.RemoveListed(name, listed):
            said = [_as_text({"$ref": None, **entry}) for entry in listed]
            return [[{"op": "Remove", "path": name, "value": value}] for value in _one_or_all(said)]
        case model.Unknown(path, value):
            return [[{"op": op, "path": path, "value": value}] for op in ("Add", "Replace", "Remove")]
    raise AssertionError(change)


def flagged(change: Change) -> list[Spelling]:
    """Entra with the flag: lower-case, real booleans, one path-less replace whose keys are paths."""
    match change:
        case model.Set(at, value):
            return [[Keyed(key, value)] for key in _keys(at)] + [[Keyed(*_nested(at, value))]]
        case model.Clear(at):
            keyed: list[Spelling] = [[Keyed(key, empty)] for key in _keys(at) for empty in ("", None)]
            return [*keyed, [Keyed(*_nested(at, None))], [{"op": "remove", "path": _path(at)}]]
        case model.Merge(name, parts):
            return [[Keyed(f"{name}.{part}", value) for part, value in parts.items()], [Keyed(name, parts)]]
        case model.SetManager(manager):
            return [
                *([Keyed(f"{model.ENTERPRISE}:manager", value)] for value in (manager, {"value": manager})),
                [Keyed(f"{model.ENTERPRISE}:manager.value", manager)],
                [Keyed(f"{model.ENTERPRISE}.manager", manager)],
                [Keyed(model.ENTERPRISE, {"manager": manager})],
            ]
        case model.ClearExtension(urn):
            return [[{"op": "remove", "path": urn}], [Keyed(urn, None)]]
        case model.SetPart(name, selection, part, value):
            return [[Keyed(f"{name}[{_filter(selection)}].{part}", value)]]
        case model.WriteEntry(name, selection, entry):
            return [[Keyed(f"{name}[{_filter(selection)}]", entry)]]
        case model.ClearPart(name, selection, part):
            path = f"{name}[{_filter(selection)}].{part}"
            return [[Keyed(path, "")], [Keyed(path, None)], [{"op": "remove", "path": path}]]
        case model.DropEntries(name, selection):
            path = f"{name}[{_filter(selection)}]"
            return [[{"op": "remove", "path": path}], [Keyed(path, None)]]
        case model.SetList(name, entries):
            return [[Keyed(name, entries)]]
        case model.AddEntries(name, entries):
            return [[Keyed(name, entries, "add")], [{"op": "add", "path": name, "value": entries}]]
        case model.RemoveListed(name, listed):
            return [[{"op": "remove", "path": name, "value": value}] for value in _one_or_all(listed)]
        case model.Unknown(path, value):
            return [[Keyed(path, value)]]
    raise AssertionError(change)


def plain(change: Change) -> list[Spelling]:
    """RFC 7644: nothing but what the specification shows."""
    match change:
        case model.Set(at, value):
            key, nested = _nested(at, value)
            spellings = [*_paths("add", at, value), *_paths("replace", at, value)]
            spellings += [[{"op": op, "value": {key: nested}}] for op in ("add", "replace")]
            if at.urn is not None:
                spellings.append([{"op": "add", "path": at.urn, "value": nested}])
            elif at.name not in ("displayName", "externalId"):
                # Groups have these two, under another URN.
                spellings.append([{"op": "add", "path": f"{model.CORE}:{_path(at)}", "value": value}])
            return spellings
        case model.Clear(at):
            return [[{"op": "remove", "path": _path(at)}], [{"op": "replace", "path": _path(at), "value": None}]]
        case model.Merge(name, parts):
            return [
                *([{"op": op, "path": name, "value": parts}] for op in ("add", "replace")),
                *([{"op": op, "value": {name: parts}}] for op in ("add", "replace")),
            ]
        case model.SetManager(manager):
            value = {"value": manager}
            return [
                [{"op": "replace", "path": f"{model.ENTERPRISE}:manager", "value": value}],
                [{"op": "add", "value": {model.ENTERPRISE: {"manager": value}}}],
                [{"op": "replace", "path": model.ENTERPRISE, "value": {"manager": value}}],
            ]
        case model.ClearExtension(urn):
            return [[{"op": "remove", "path": urn}]]
        case model.SetPart(name, selection, part, value):
            path = f"{name}[{_filter(selection)}]"
            return [
                *([{"op": op, "path": f"{path}.{part}", "value": value}] for op in ("add", "replace")),
                [{"op": "add", "path": path, "value": {part: value}}],
            ]
        case model.WriteEntry(name, selection, entry):
            path = f"{name}[{_filter(selection)}]"
            return [[{"op": op, "path": path, "value": entry}] for op in ("add", "replace")]
        case model.ClearPart(name, selection, part):
            return [[{"op": "remove", "path": f"{name}[{_filter(selection)}].{part}"}]]
        case model.DropEntries(name, selection):
            return [[{"op": "remove", "path": f"{name}[{_filter(selection)}]"}]]
        case model.SetList(name, entries):
            return [[{"op": "replace", "path": name, "value": entries}], [{"op": "replace", "value": {name: entries}}]]
        case model.AddEntries(name, entries):
            one_by_one: Spelling = [{"op": "add", "path": name, "value": [entry]} for entry in entries]
            says_the_same = len(entries) < 3 and not any(model.equal(*pair) for pair in combinations(entries, 2))
            says_the_same &= sum(entry.get("primary") is True for entry in entries) < 2
            return [
                [{"op": "add", "path": name, "value": entries}],
                [{"op": "add", "value": {name: entries}}],
                *([one_by_one] if says_the_same else []),
            ]
        case model.RemoveListed(name, listed):
            any_of = " or ".join(f"({_filter(entry)})" for entry in listed)
            one_by_one = [{"op": "remove", "path": f"{name}[{_filter(entry)}]"} for entry in listed]
            return [[{"op": "remove", "path": f"{name}[{any_of}]"}], *([one_by_one] if len(listed) < 3 else [])]
        case model.Unknown(path, value):
            return [[{"op": "add", "path": path, "value": value}], [{"op": "add", "value": {path: value}}]]
    raise AssertionError(change)


DIALECTS: dict[str, Callable[[Change], list[Spelling]]] = {"today": today, "flagged": flagged, "plain": plain}


def operations(spellings: Iterable[Spelling]) -> list[Operation]:
    """The operations of one request; keys that follow each other become one path-less operation."""
    found: list[Operation] = []
    is_open = False
    for item in (item for spelling in spellings for item in spelling):
        if not isinstance(item, Keyed):
            found.append(item)
            is_open = False
        elif is_open and found[-1]["op"] == item.op and item.key not in found[-1]["value"]:
            found[-1]["value"][item.key] = item.value
        else:
            found.append({"op": item.op, "value": {item.key: item.value}})
            is_open = True
    return found


def _path(at: At) -> str:
    part = f".{at.part}" if at.part else ""
    return f"{at.urn}:{at.name}{part}" if at.urn else f"{at.name}{part}"


def _paths(op: str, at: At, value: Any) -> list[Spelling]:
    """The operation at a path, and at the same in other letters: names compare regardless of case (§3.10)."""
    path = _path(at)
    return [[{"op": op, "path": path, "value": value}], [{"op": op, "path": path.swapcase(), "value": value}]]


def _keys(at: At) -> list[str]:
    path = _path(at)
    return [path, path.lower(), *([f"{at.urn}.{at.name}"] if at.urn and not at.part else [])]


def _nested(at: At, value: Any) -> tuple[str, Any]:
    """The key and the value that say the same without a path."""
    inner = {at.part: value} if at.part else value
    return (at.urn, {at.name: inner}) if at.urn else (at.name, inner)


def _emptied(op: str, path: str) -> list[Spelling]:
    return [[{"op": op, "path": path, "value": empty}] for empty in ("", None)]


def _old_value(path: str) -> Spelling:
    """Entra may tell what it removes; it says nothing (README: a Remove of a filtered path)."""
    return [{"op": "Remove", "path": path, "value": "whatever it was"}]


def _filter(selection: Entry, *, text_booleans: bool = False) -> str:
    def literal(value: Any) -> str:
        return ScimFilter.quote(str(value) if text_booleans and isinstance(value, bool) else value)

    return " and ".join(f"{name} eq {literal(value)}" for name, value in selection.items())


def _as_text(entry: Entry) -> Entry:
    """An entry with its booleans as today's jobs send them."""
    return {name: str(value) if isinstance(value, bool) else value for name, value in entry.items()}


def _one_or_all(entries: list[Entry]) -> list[Any]:
    """The list, and where it is of one entry, that entry alone."""
    return [entries, entries[0]] if len(entries) == 1 else [entries]


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) < 15 else None
