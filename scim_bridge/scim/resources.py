"""Stored documents and resources: keys for searches, group members, and attributes that are shown."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache, partial
from typing import Any, cast

from scim2_models import Context, Extension, PatchOp, PatchOperation, Path, Resource, ResponseParameters, ScimProvider
from scim2_models.path import (
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    ValuePath,
)

from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.values import CERTIFICATE, CERTIFICATE_URN, JsonObject, comparable_key
from scim_bridge.scim.provider import DELIVERY_ATTRIBUTES
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.scim.schema import AttributePath, shape_of


@dataclass(frozen=True, slots=True)
class Identity:
    """What the bridge, not the client, says of a resource."""

    id: str
    resource_type: str
    version: int
    """Counts the writes; it never decreases."""

    created_at: datetime
    last_modified_at: datetime

    @property
    def etag(self) -> str:
        """The version as `meta.version` and the ETag show it: weak, as equal JSON may be spelled differently."""
        return f'W/"{self.version}"'


def document_of(resource: Resource[Any]) -> JsonObject:
    """Return what is stored of a resource: all that the client sent, unchanged, and none of the bridge's values."""
    document: JsonObject = resource.model_dump(scim_ctx=Context.DEFAULT)
    for name in ("id", "meta", "password"):
        document.pop(name, None)
    extension = document.get(DITIO_URN)
    if isinstance(extension, dict):
        for name in DELIVERY_ATTRIBUTES:
            extension.pop(name, None)
        if not extension:
            del document[DITIO_URN]
            document["schemas"] = [urn for urn in cast(list[str], document["schemas"]) if urn != DITIO_URN]
    return document


def resource_of(
    model: type[Resource[Any]], provider: ScimProvider, document: JsonObject, identity: Identity
) -> Resource[Any]:
    """Return the resource of a stored document, with its `id` and `meta`."""
    return model.model_validate(_identified(document, identity), scim_provider=provider)


def _identified(document: JsonObject, identity: Identity) -> JsonObject:
    meta = {
        "resourceType": identity.resource_type,
        "created": identity.created_at,
        "lastModified": identity.last_modified_at,
        "version": identity.etag,
    }
    return {**document, "id": identity.id, "meta": meta}


def keys_of(model: type[Resource[Any]], document: JsonObject, identity: Identity) -> JsonObject:
    """Return the folded values of a stored document, its `id` and `meta` included, under their SCIM names.

    They are what a filter compares with. Unassigned values, empty lists and empty complex values are left out (RFC
    7643 §2.5).

    :param document: As `document_of` returns it: every name and value has the form that the model gives it.
    """
    return _keys(_folds(model), _identified(document, identity))


def keys_of_entry(model: type[Resource[Any]], attribute: str, entry: JsonObject) -> JsonObject:
    """Return the folded values of one entry of a multi-valued complex attribute of a stored document."""
    return cast(JsonObject, _folds(model)[attribute](entry))


def folded(model: type[Resource[Any]], path: str, text: str) -> str:
    """Return a text in the form in which the attribute at a path stores its key."""
    return str(comparable_key(_binding(model, path).comparable(text)))


Fold = Callable[[Any], Any]
"""Returns the key of one value of an attribute."""


def _keys(folds: Mapping[str, Fold], values: Mapping[str, Any]) -> JsonObject:
    keys: JsonObject = {}
    for name, value in values.items():
        fold = folds.get(name)
        if fold is None or value is None:
            continue
        if isinstance(value, list):
            key = [each for entry in value if (each := fold(entry)) not in (None, {})]
        else:
            key = fold(value)
        if key not in (None, [], {}):
            keys[name] = key
    return keys


@cache
def _folds(model: type[Resource[Any]]) -> Mapping[str, Fold]:
    return _folds_within(model, "", model)


def _folds_within(inner: type[Any], prefix: str, model: type[Resource[Any]]) -> Mapping[str, Fold]:
    """Return how the values of each attribute are folded, by its SCIM name.

    :param inner: The model itself, one of its extensions, or the model of a complex attribute.
    :param prefix: What stands before the names of `inner` in a path of `model`.
    """
    found: dict[str, Fold] = {}
    for field_name, name, is_extension in _fields(cast(Any, inner)):
        root = inner.get_field_root_type(field_name)
        if hasattr(root, "model_fields"):
            parts = _folds_within(root, f"{name}:" if is_extension else f"{prefix}{name}.", model)
            found[name] = partial(_keys_of_extension, name, parts) if is_extension else partial(_keys, parts)
        elif root is datetime:
            found[name] = _moment
        else:
            found[name] = partial(_folded, _binding(model, f"{prefix}{name}"))
    return found


def _keys_of_extension(urn: str, folds: Mapping[str, Fold], values: Mapping[str, Any]) -> JsonObject:
    # Read into its model, an extension names its schema too, so that a filter can compare it.
    return _keys(folds, {"schemas": [urn], **values})


def _moment(value: datetime | str) -> Any:
    return comparable_key(datetime.fromisoformat(value) if isinstance(value, str) else value)


def _folded(binding: AttributeBinding, value: Any) -> Any:
    return binding.comparable(value) if isinstance(value, str) else comparable_key(value)


def value_of(resource: Resource[Any], name: str) -> Any:
    """Return the value of an attribute by its SCIM name: the library would read the name as a path, each time."""
    return getattr(resource, _names(cast(Any, type(resource)))[name])


@cache
def _names(model: type[Any]) -> dict[str, str]:
    return {name: field_name for field_name, name, _ in _fields(cast(Any, model))}


@cache
def _fields(model: type[Any]) -> tuple[tuple[str, str, bool], ...]:
    """Return the fields of a model: name in Python, name or URN in SCIM, and whether it is an extension."""
    found = []
    for name in model.model_fields:
        root = model.get_field_root_type(name)
        is_extension = isinstance(root, type) and issubclass(root, Extension)
        found.append((name, str(root.__schema__) if is_extension else model._scim_name(name), is_extension))
    return tuple(found)


@cache
def _binding(model: type[Resource[Any]], path: str) -> AttributeBinding:
    binding = Path.__class_getitem__(model)(path).resolve()
    assert isinstance(binding, AttributeBinding)
    return binding


MEMBERS = "members"
"""The attribute of a Group (RFC 7643 §4.2)."""

CHUNK = 50
"""How many members of one operation the library gets at once."""

_BY_ENTRY = ("add", "remove")
"""The operations that act on each listed entry; `replace` acts on the list as a whole."""


class Membership:
    """The members of a stored group: as the client sent them, and their keys. Each is listed once.

    :param members: The entries of the stored document.
    :param keys: The same entries folded, as `keys_of` gives them for the whole resource.
    """

    def __init__(
        self, model: type[Resource[Any]], members: list[JsonObject], keys: list[JsonObject], *, chunk: int = CHUNK
    ) -> None:
        self._chunk = chunk
        self._model = model
        self._members = dict(enumerate(members))
        if len(keys) != len(members):
            # An entry without a single value has no key: then all keys are made again.
            keys = [self._keys(each) for each in members]
        self._folded = dict(enumerate(keys))
        self._next = len(members)
        self._named: set[int] = set()
        self._places: dict[str, list[int]] = {}
        for place, key in list(self._folded.items()):
            if key.get("value") is not None and str(key["value"]) in self._places:
                # An old stored group may list a member twice.
                del self._members[place], self._folded[place]
                continue
            self._places.setdefault(str(key.get("value")), []).append(place)

    @property
    def members(self) -> list[JsonObject]:
        """Return the entries as they are now, in the order in which they came."""
        return list(self._members.values())

    @property
    def keys(self) -> list[JsonObject]:
        """Return their folded values, as the whole resource would give them."""
        return [key for key in self._folded.values() if key]

    @property
    def is_named(self) -> bool:
        """Whether the operations named every member: then answering with all costs no more than reading them did."""
        return self._members.keys() <= self._named

    def apply(self, resource: Resource[Any], patch_op: "PatchOp[Any]") -> bool:
        """Apply operations to a group that is given without its members. Return whether anything changed.

        :raises SCIMException: as the library does; then the group and these members must not be used.
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
            # For the library, adding a member that is present with another description is a change.
            changed = (patch_op.operations or [])[0].op != PatchOperation.Op.add or bool(gone) or any(kept)
        resource[MEMBERS] = None
        return changed

    def _keep(self, place: int | None, entry: Any) -> bool:
        """Keep an entry as it is now. Return whether it has changed; adding a member again is no change."""
        member: JsonObject = entry.model_dump(scim_ctx=Context.DEFAULT)
        if place is not None and self._members[place] == member:
            return False
        key = self._keys(member)
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
        """Return the positions of the members that an operation names; all of them where it names none."""
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

    def _keys(self, entry: JsonObject) -> JsonObject:
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
    """Yield an operation that lists many members as several operations that list a few."""
    values = operation.value
    if operation.op not in _BY_ENTRY or _listed(values) is None or len(values) <= chunk:
        yield operation
        return
    for start in range(0, len(values), chunk):
        yield operation.model_copy(update={"value": values[start : start + chunk]})


def _named(node: FilterNode) -> set[str] | None:
    """Return the ids that a filter in brackets can select; None where it may select any."""
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
    """Return the ids of listed members; None where one has none."""
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


def unasked(model: type[Resource[Any]], parameters: ResponseParameters[Any] | None) -> frozenset[str]:
    """Return the multi-valued attributes, such as a group's `members`, that the answer leaves out as a whole.

    Entra asks for groups with `excludedAttributes=members`.
    """
    if parameters is None:
        return frozenset()
    shape = shape_of(model)
    several = {each.name for each in shape.attributes.values() if each.multi_valued}
    if parameters.attributes:
        if any(str(path).lower() == shape.urn.lower() for path in parameters.attributes):
            return frozenset()
        asked = _places(model, parameters.attributes)
        return frozenset(several - {place.shape.name for place in asked if place.urn is None})
    excluded = _places(model, parameters.excluded_attributes or [])
    return frozenset(several & {place.shape.name for place in excluded if place.urn is None and place.part is None})


def _places(model: type[Resource[Any]], paths: list[Any]) -> list[AttributePath]:
    found = (shape_of(model).place(str(path)) for path in paths)
    return [place for place in found if place is not None]


def certificate_resource(model: type[Resource[Any]], provider: ScimProvider, entry: Entry) -> Resource[Any]:
    """Return the SCIM resource of a ledger entry; it has no resource if the person has no employee number."""
    said = entry.certificate
    values = {
        "externalId": entry.external_id,
        "employeeNumber": entry.employee_number,
        "certificateType": said.type,
        "certificateNumber": said.number,
        "issuedDateTime": midnight(said.issued),
        "validUntilDateTime": midnight(said.valid_until) if said.valid_until else None,
        "notes": said.notes,
    }
    document = {"schemas": [CERTIFICATE_URN], **{name: value for name, value in values.items() if value is not None}}
    return resource_of(model, provider, cast(dict[str, object], document), identity_of_entry(entry))


def identity_of_entry(entry: Entry) -> Identity:
    """Return what the bridge says of a certificate."""
    return Identity(entry.id, CERTIFICATE, entry.version, entry.created_at, entry.last_modified_at)


def midnight(day: date) -> datetime:
    """Return a day as it is sent: that day, unshifted, in UTC (rule K6)."""
    return datetime.combine(day, time(), UTC)
