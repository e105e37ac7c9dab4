"""Membership by delta: of a large group, a PATCH is applied to the members that it names, and to no others.

The library's cost grows with the members that a resource holds, times the operations. What the operations mean
is still the library's business (RFC 7644 §3.5.2); this only chooses which of the stored members it is shown.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from scim2_models import Context, PatchOp, PatchOperation, Path, Resource
from scim2_models.path import AttrPath, CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator, ValuePath

from scim_bridge.domain.documents import JsonObject
from scim_bridge.scim.keys import folded, keys_of_entry

MEMBERS = "members"
"""The attribute of a Group (RFC 7643 §4.2)."""

CHUNK = 50
"""How many members of one operation the library is shown at once."""

_BY_ENTRY = ("add", "remove")
"""The operations that mean each listed entry by itself; `replace` means the list as a whole."""


class Membership:
    """The members of a stored group: how the client sent them, and their keys. Each is there once.

    :param members: The entries of the stored document.
    :param keys: The same entries folded, as `keys_of` gives them for the whole resource.
    """

    def __init__(
        self,
        model: type[Resource[Any]],
        members: list[JsonObject],
        keys: list[JsonObject],
        *,
        chunk: int = CHUNK,
    ) -> None:
        self._chunk = chunk
        self._model = model
        self._members = dict(enumerate(members))
        if len(keys) != len(members):
            # An entry without a single value has no key: then they are made again.
            keys = [self._keys(self._resource_entry(each)) for each in members]
        self._folded = dict(enumerate(keys))
        self._next = len(members)
        self._named: set[int] = set()
        self._places: dict[str, list[int]] = {}
        for place, key in list(self._folded.items()):
            if key.get("value") is not None and str(key["value"]) in self._places:
                # A group that was stored while a member could be listed twice.
                del self._members[place], self._folded[place]
                continue
            self._places.setdefault(str(key.get("value")), []).append(place)

    @property
    def members(self) -> list[JsonObject]:
        """The entries as they are now, in the order in which they came."""
        return list(self._members.values())

    @property
    def keys(self) -> list[JsonObject]:
        """Their folded values, as the whole resource would give them."""
        return [key for key in self._folded.values() if key]

    @property
    def is_named(self) -> bool:
        """Whether the operations named every member that there is: telling them costs no more than reading them did."""
        return self._members.keys() <= self._named

    def apply(self, resource: Resource[Any], patch_op: "PatchOp[Any]") -> bool:
        """Apply operations to a group that is shown without its members. Whether anything changed.

        :raises SCIMException: as the library does; the group and these members are of no use then.
        """
        changed = False
        for operation in patch_op.operations or []:
            path = Path.__class_getitem__(self._model)(str(operation.path or "")).ast
            if not _is_about_members(path):
                changed |= patch_op.model_copy(update={"operations": [operation]}).patch(resource)
                continue
            for part in _parts(operation, self._chunk):
                alone = patch_op.model_copy(update={"operations": [part]})
                changed |= self._apply_to(resource, alone, self._shown(path, part))
        return changed

    def _apply_to(self, resource: Resource[Any], patch_op: "PatchOp[Any]", places: list[int]) -> bool:
        entries = [self._resource_entry(self._members[place]) for place in places]
        before = {id(entry): place for entry, place in zip(entries, places, strict=True)}
        resource[MEMBERS] = entries or None
        changed = patch_op.patch(resource)
        if changed:
            left = resource[MEMBERS] or []
            gone = set(before.values()) - {before.get(id(entry)) for entry in left}
            for place in gone:
                self._forget(place)
            kept = [self._keep(before.get(id(entry)), entry) for entry in left]
            # To the library it is a change if a member is added that is there already, and described in another way.
            changed = (patch_op.operations or [])[0].op != PatchOperation.Op.add or bool(gone) or any(kept)
        resource[MEMBERS] = None
        return changed

    def _keep(self, place: int | None, entry: Any) -> bool:
        """Keep an entry as it is now. Whether it is another than before; a member that is there already is not."""
        member: JsonObject = entry.model_dump(scim_ctx=Context.DEFAULT)
        if place is not None and self._members[place] == member:
            return False
        key = self._keys(entry)
        others = [each for each in self._places.get(str(key.get("value")), ()) if each != place]
        if others and key.get("value") is not None:
            if place is not None:
                self._forget(place)
            return place is not None
        if place is None:
            place, self._next = self._next, self._next + 1
        else:
            self._places[str(self._folded[place].get("value"))].remove(place)
        self._members[place], self._folded[place] = member, key
        self._named.add(place)
        self._places.setdefault(str(key.get("value")), []).append(place)
        return True

    def _forget(self, place: int) -> None:
        self._places[str(self._folded.pop(place).get("value"))].remove(place)
        del self._members[place]

    def _shown(self, path: Any, operation: Any) -> list[int]:
        """The places of the members that an operation is about, all of them where it doesn't name any."""
        named = None
        if isinstance(path, ValuePath):
            named = _named(path.val_filter)
        elif path.sub_attr is None and operation.op in _BY_ENTRY:
            named = _listed(operation.value)
        if named is None:
            return list(self._members)
        found = (self._places.get(folded(self._model, f"{MEMBERS}.value", value), ()) for value in named)
        shown = {place for places in found for place in places}
        self._named |= shown
        return sorted(shown)

    def _resource_entry(self, member: JsonObject) -> Any:
        return Path.__class_getitem__(self._model)(MEMBERS).resolve().target_type.model_validate(member)

    def _keys(self, entry: Any) -> JsonObject:
        return keys_of_entry(self._model, MEMBERS, entry)


def once_each(entries: list[Any]) -> list[Any]:
    """Return members without those whose id came before: a member is listed once, however often it was sent."""
    found: dict[str, Any] = {}
    for position, entry in enumerate(entries):
        value = entry.get("value") if isinstance(entry, dict) else None
        found.setdefault(f"id {value}" if isinstance(value, str) else f"no id {position}", entry)
    return list(found.values())


def _is_about_members(path: Any) -> bool:
    attribute = path.attr_path if isinstance(path, ValuePath) else path
    return isinstance(attribute, AttrPath) and attribute.attr.lower() == MEMBERS


def _parts(operation: Any, chunk: int) -> Iterator[Any]:
    """An operation that lists many members as several that list a few."""
    values = operation.value
    if operation.op not in _BY_ENTRY or _listed(values) is None or len(values) <= chunk:
        yield operation
        return
    for start in range(0, len(values), chunk):
        yield operation.model_copy(update={"value": values[start : start + chunk]})


def _named(node: FilterNode) -> set[str] | None:
    """The ids that a filter in brackets can select; None where it may select any."""
    match node:
        case Comparison(AttrPath(attribute, None, None), CompareOperator.eq, str(value)) if (
            attribute.lower() == "value"
        ):
            return {value}
        case LogicalExpr(operator, terms):
            named = [_named(term) for term in terms]
            if operator == LogicalOperator.and_:
                return next((each for each in named if each is not None), None)
            return None if None in named else {value for each in named if each for value in each}
    return None


def _listed(values: Any) -> set[str] | None:
    """The ids of listed members; None where one has none."""
    if not isinstance(values, list):
        return None
    found = set()
    for entry in values:
        named = entry if isinstance(entry, Mapping) else {}
        value = next((item for key, item in named.items() if str(key).lower() == "value"), None)
        if not isinstance(value, str):
            return None
        found.add(value)
    return found
