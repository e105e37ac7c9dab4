"""What PATCH means, written a second time: plain dictionaries, and nothing of the bridge's own code.

Sources: RFC 7644 §3.5.2 (what an operation does), RFC 7643 §2.4, §2.5 and §3.1 (`primary`, what counts as
unassigned, when values are equal), and the facts of Entra's provisioning: a filtered path whose entry is
missing creates it, `""` and null clear, a remove may list what it removes, unknown attributes are ignored.
"""

import copy
import json
import unicodedata
from dataclasses import dataclass
from typing import Any

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DITIO = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"

Document = dict[str, Any]
Entry = dict[str, Any]


class Refused(Exception):
    """The operation is invalid: the request that has it is 400, and changes nothing (RFC 7644 §3.5.2)."""


class Ambiguous(Exception):
    """It makes several entries primary at once, which no reading of the RFC allows for."""


@dataclass(frozen=True)
class At:
    """A single-valued attribute, or a part of one: `title`, `name.givenName`, an extension's `department`."""

    name: str
    part: str | None = None
    urn: str | None = None


@dataclass(frozen=True)
class Set:
    """A single value is added or replaced: text or a boolean."""

    at: At
    value: str | bool


@dataclass(frozen=True)
class Clear:
    """A single value, a whole complex attribute or a whole list goes."""

    at: At


@dataclass(frozen=True)
class Merge:
    """Some parts of a complex attribute are written; the others stay (§3.5.2.3)."""

    name: str
    parts: Entry


@dataclass(frozen=True)
class SetManager:
    """Another manager, by the id."""

    id: str


@dataclass(frozen=True)
class ClearExtension:
    """All attributes of an extension go."""

    urn: str


@dataclass(frozen=True)
class SetPart:
    """A part of every entry that a filter selects; where it selects none, of a new entry that it describes."""

    name: str
    selection: Entry
    part: str
    value: str | bool


@dataclass(frozen=True)
class WriteEntry:
    """Every entry that a filter selects becomes another, of which all parts are told."""

    name: str
    selection: Entry
    entry: Entry


@dataclass(frozen=True)
class ClearPart:
    """A part of the entries that a filter selects goes."""

    name: str
    selection: Entry
    part: str


@dataclass(frozen=True)
class DropEntries:
    """The entries that a filter selects go."""

    name: str
    selection: Entry


@dataclass(frozen=True)
class SetList:
    """All entries are replaced."""

    name: str
    entries: list[Entry]


@dataclass(frozen=True)
class AddEntries:
    """Entries are added, those that are there already left alone."""

    name: str
    entries: list[Entry]


@dataclass(frozen=True)
class RemoveListed:
    """The entries that equal any of the listed ones, in what these say, go."""

    name: str
    listed: list[Entry]


@dataclass(frozen=True)
class Unknown:
    """An attribute that no one declares, or one that only the bridge writes: ignored (rules A6, A7)."""

    path: str
    value: Any


Change = (
    Set
    | Clear
    | Merge
    | SetManager
    | ClearExtension
    | SetPart
    | WriteEntry
    | ClearPart
    | DropEntries
    | SetList
    | AddEntries
    | RemoveListed
    | Unknown
)

REQUIRED = {CORE: "userName", GROUP: "displayName"}
"""What a resource can't be without."""


def applied(document: Document, change: Change) -> Document:
    """The document after one change.

    :raises Refused: when the change is invalid.
    :raises Ambiguous: when it is not to be asked what it means.
    """
    after = copy.deepcopy(document)
    match change:
        case Set(at, value):
            _holder(after, at)[at.part or at.name] = value
        case Clear(at):
            _clear(after, at)
        case Merge(name, parts):
            after.setdefault(name, {}).update(parts)
        case SetManager(manager):
            after.setdefault(ENTERPRISE, {})["manager"] = {"value": manager}
        case ClearExtension(urn):
            after.pop(urn, None)
        case SetPart(name, selection, part, value):
            _write(after, name, selection, {part: value})
        case WriteEntry(name, selection, entry):
            _write(after, name, selection, entry)
        case ClearPart(name, selection, part):
            for entry in _selected(after, name, selection):
                entry.pop(part, None)
        case DropEntries(name, selection):
            _drop(after, name, [selection])
        case RemoveListed(name, listed):
            _drop(after, name, listed)
        case SetList(name, entries):
            after[name] = _sent(name, entries)
            _settle_primary(after, name, after[name])
        case AddEntries(name, entries):
            _add(after, name, entries)
    return tidied(after)


def tidied(document: Document) -> Document:
    """Without what is unassigned: null, empty lists and empty complex values (RFC 7643 §2.5)."""
    tidy: Document = {}
    for name, value in document.items():
        if isinstance(value, dict):
            value = tidied(value)
        elif isinstance(value, list):
            value = [tidied(entry) if isinstance(entry, dict) else entry for entry in value]
            value = [entry for entry in value if entry != {}]
        if value is not None and value != {} and value != []:
            tidy[name] = value
    return tidy


def normal(document: Document) -> str:
    """A form in which equal documents are equal: the order of entries and names says nothing (RFC 7643 §2.4)."""
    return json.dumps(_unordered(tidied(document)), sort_keys=True)


def folded(value: Any) -> Any:
    """How a filter compares a value that isn't caseExact (RFC 7643 §2.2)."""
    if not isinstance(value, str):
        return value
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).lower())


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unordered(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((_unordered(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _holder(document: Document, at: At) -> Document:
    holder = document if at.urn is None else document.setdefault(at.urn, {})
    return holder if at.part is None else holder.setdefault(at.name, {})


def _clear(document: Document, at: At) -> None:
    if at.part is None and at.urn is None and at.name in REQUIRED.values():
        kind = CORE if "userName" in document else GROUP
        if REQUIRED[kind] == at.name:
            raise Refused
    _holder(document, at).pop(at.part or at.name, None)


def _matches(entry: Entry, selection: Entry) -> bool:
    return all(name in entry and folded(entry[name]) == folded(value) for name, value in selection.items())


def _selected(document: Document, name: str, selection: Entry) -> list[Entry]:
    return [entry for entry in document.get(name, []) if _matches(entry, selection)]


def _write(document: Document, name: str, selection: Entry, parts: Entry) -> None:
    written = _selected(document, name, selection)
    if len(written) > 1 and parts.get("primary") is True:
        raise Ambiguous
    for entry in written:
        entry.update(parts)
    if not written:
        described = {**selection, **parts}
        if not _matches(described, selection):
            raise Refused
        document.setdefault(name, []).append(described)
        written = [described]
    _settle_primary(document, name, written)


def _drop(document: Document, name: str, selections: list[Entry]) -> None:
    document[name] = [
        entry for entry in document.get(name, []) if not any(_matches(entry, selection) for selection in selections)
    ]


def _add(document: Document, name: str, entries: list[Entry]) -> None:
    present = document.setdefault(name, [])
    before, added = list(present), []
    for entry in _sent(name, entries):
        if entry not in added and not any(_is_same(name, entry, other) for other in before):
            added.append(entry)
    present += added
    _settle_primary(document, name, added)


def _is_same(name: str, one: Entry, other: Entry) -> bool:
    """Whether two entries are the same value: a member by its id alone, whatever else is said of it."""
    return one.get("value") == other.get("value") if name == "members" else equal(one, other)


def _sent(name: str, entries: list[Entry]) -> list[Entry]:
    """Entries of one value: of several that are primary, the first is taken to be it; a member is there once."""
    sent: list[Entry] = copy.deepcopy(entries)
    if name == "members":
        sent = [each for at, each in enumerate(sent) if all(each["value"] != other["value"] for other in sent[:at])]
    for entry in [each for each in sent if each.get("primary") is True][1:]:
        entry["primary"] = False
    return sent


def equal(one: Entry, other: Entry) -> bool:
    """Whether two entries are the same value: text regardless of case, as a filter compares it."""
    return {name: folded(value) for name, value in one.items()} == {
        name: folded(value) for name, value in other.items()
    }


def _settle_primary(document: Document, name: str, written: list[Entry]) -> None:
    """An entry that is written as primary takes it from the others (§3.5.2); of several written, the first has it."""
    marked = [entry for entry in written if entry.get("primary") is True]
    for entry in document[name]:
        if marked and entry is not marked[0] and entry.get("primary") is True:
            entry["primary"] = False
