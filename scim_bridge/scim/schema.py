"""What a resource type declares, in a form in which Entra's keys and paths are looked up.

A key or a path is one of `userName`, `name.givenName`, `emails[type eq "work"].value`, or one of these after
a schema URN and a colon; Entra also writes a dot after the URN. Names compare regardless of case.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from typing import Any, TypeVar

from scim2_models import Attribute, InvalidPathException, Mutability, Path, Required, Resource, Schema
from scim2_models.path import AttrPath, CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator, ValuePath

from scim_bridge.scim.provider import DELIVERY_ATTRIBUTES
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN, Condition, SourcePath

T = TypeVar("T")

Kind = Attribute.Type

_NEEDED = {
    CORE_URN: frozenset({"userName", "active", "name", "displayName", "title", "emails", "phoneNumbers"}),
    ENTERPRISE_URN: frozenset({"employeeNumber", "department"}),
}
"""The user attributes that make the employee; of schemas not listed here all are needed."""

COMMON = ("id", "externalId", "meta")
"""The attributes that every resource has, whatever its schema (RFC 7643 §3.1)."""

_NEVER_NEEDED = ("primary", "display")
"""Parts that only decorate a value."""

KNOWN_KEYS, LONGEST_KNOWN = 2000, 200
"""How many keys and paths are looked up only once, and their longest. Entra sends the same few with every user."""

_NAME = r"\$?[A-Za-z][A-Za-z0-9$_-]*"
_PATH = re.compile(rf"(?P<name>{_NAME})(?:\[(?P<selection>.*)\])?(?:\.(?P<part>{_NAME}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AttributeSchema:
    """An attribute as its schema declares it."""

    name: str
    kind: Kind
    multi_valued: bool = False
    read_only: bool = False
    required: bool = False
    is_uri: bool = False
    """Whether its values are URIs, and not references to a resource of the bridge."""

    is_needed: bool = True
    """Whether the employee depends on it: then a value of another type is refused, otherwise left out."""

    parts: Mapping[str, "AttributeSchema"] | None = None
    """The sub-attributes of a complex attribute by lower-case name; None for any other."""

    @property
    def stands_for_value(self) -> bool:
        """Return whether a bare value means the `value` part: RFC 7643 §2.4, and `manager` as Entra sends it."""
        return self.parts is not None and "value" in self.parts


@dataclass(frozen=True, slots=True)
class AttributePath:
    """What a key or a path points at."""

    urn: str | None
    """The extension; None for an attribute of the resource itself."""

    shape: AttributeSchema
    part: AttributeSchema | None = None
    selection: str | None = None
    """The filter in brackets, which selects entries of a multi-valued attribute."""

    is_short: bool = False
    """Whether the extension was not named, as it alone declares the attribute (rule A7)."""

    @property
    def path(self) -> str:
        """Return the path in its canonical spelling (RFC 7644 §3.10)."""
        urn = f"{self.urn}:" if self.urn else ""
        selection = f"[{self.selection}]" if self.selection is not None else ""
        part = f".{self.part.name}" if self.part else ""
        return f"{urn}{self.shape.name}{selection}{part}"

    @property
    def target(self) -> AttributeSchema:
        """The attribute that is written: the part, where the path names one."""
        return self.part or self.shape

    @property
    def is_list(self) -> bool:
        """Whether the path means all entries of a multi-valued attribute."""
        return self.shape.multi_valued and self.part is None and self.selection is None

    @property
    def stands_for_whole(self) -> bool:
        """Whether it is a manager's `value`: without it there is no manager."""
        is_value = self.part is not None and self.part.name == "value"
        return is_value and not self.shape.multi_valued

    @property
    def read_only(self) -> bool:
        """Whether a client may not write it."""
        return self.shape.read_only or self.target.read_only

    @property
    def is_delivery(self) -> bool:
        """Whether it is one of the bridge's own delivery attributes (rule A6)."""
        return self.urn == DITIO_URN and self.shape.name in DELIVERY_ATTRIBUTES


def _looked_up_once(look: Callable[["ResourceSchema", str], T]) -> Callable[["ResourceSchema", str], T]:
    """Remember what was found for a key."""
    once = lru_cache(KNOWN_KEYS)(look)

    @wraps(look)
    def looked(shape: "ResourceSchema", key: str) -> T:
        return once(shape, key) if len(key) <= LONGEST_KNOWN else look(shape, key)

    return looked


@dataclass(frozen=True, slots=True, eq=False)
class ResourceSchema:
    """A resource type: its attributes by lower-case name, and those of its extensions by URN."""

    urn: str
    attributes: Mapping[str, AttributeSchema]
    extensions: Mapping[str, Mapping[str, AttributeSchema]]

    @_looked_up_once
    def schema_at(self, key: str) -> str | None:
        """Return the URN that a key is, in its canonical spelling; None for any other key."""
        return next((urn for urn in (self.urn, *self.extensions) if urn.lower() == key.lower()), None)

    @_looked_up_once
    def place(self, key: str) -> AttributePath | None:
        """Return what a key or a path points at; None for what isn't declared, or isn't a path."""
        urn, rest = self._split(key.strip())
        match = _PATH.fullmatch(rest)
        if match is None:
            return None
        alone = extension_of(match["name"], [self]) if self._urn_before(key.strip()) is None else None
        urn = urn or alone
        declared = self.attributes if urn is None else self.extensions[urn]
        shape = declared.get(match["name"].lower())
        if shape is None or (match["selection"] is not None and not shape.multi_valued):
            return None
        if match["part"] is None:
            return AttributePath(urn, shape, None, match["selection"], alone is not None)
        part = (shape.parts or {}).get(match["part"].lower())
        return AttributePath(urn, shape, part, match["selection"], alone is not None) if part else None

    @_looked_up_once
    def separator(self, key: str) -> str | None:
        """Return the character between a schema's URN and the rest of a key: a colon, or Entra's dot; else None."""
        urn = self._urn_before(key.strip())
        return key.strip()[len(urn)] if urn is not None else None

    def _split(self, key: str) -> tuple[str | None, str]:
        """Return the extension's URN, if any, and the rest of a key."""
        urn = self._urn_before(key)
        if urn is None:
            return None, key
        return (None if urn == self.urn else urn), key[len(urn) + 1 :]

    def _urn_before(self, key: str) -> str | None:
        urns = (self.urn, *self.extensions)
        return next((urn for urn in urns if re.match(re.escape(urn) + "[:.]", key, re.IGNORECASE)), None)


@cache
def _demanded(shape: ResourceSchema) -> tuple[tuple[str | None, str, str | None], ...]:
    """Return what is required: the extension, the attribute, and its part; None for those that are not meant."""
    places: list[tuple[str | None, AttributeSchema]] = [(None, each) for each in shape.attributes.values()]
    places += [(urn, each) for urn, declared in shape.extensions.items() for each in declared.values()]
    inner = [(urn, each.name, part) for urn, each in places for part in (each.parts or {}).values()]
    whole = [(urn, each.name, None) for urn, each in places if each.required]
    parts = [(urn, name, part.name) for urn, name, part in inner if part.required]
    return (*whole, *parts)


def is_complete(shape: ResourceSchema, body: Mapping[str, Any]) -> bool:
    """Return whether a body in the RFC's form has all that is required in what it has."""
    for urn, name, part in _demanded(shape):
        holder = body if urn is None else body.get(urn)
        if holder is None:
            continue
        value = holder.get(name) if isinstance(holder, dict) else None
        if part is None and value in (None, []):
            return False
        for entry in value if isinstance(value, list) else (value,):
            if part is not None and entry is not None and (not isinstance(entry, dict) or entry.get(part) is None):
                return False
    return True


def extension_of(name: str, shapes: Sequence[ResourceSchema]) -> str | None:
    """Return the URN of the one extension that declares an attribute, where no resource type does so itself."""
    folded = name.lower()
    if any(folded in each.attributes for each in shapes):
        return None
    found = {urn for each in shapes for urn, declared in each.extensions.items() if folded in declared}
    return found.pop() if len(found) == 1 else None


def qualified(path: str, shapes: Sequence[ResourceSchema]) -> str:
    """Return a path with the URN of the extension that alone declares its attribute; any other as it is."""
    match = _PATH.fullmatch(path.strip())
    urn = extension_of(match["name"], shapes) if match is not None else None
    return path if urn is None else f"{urn}:{path.strip()}"


@cache
def shape_of(model: type[Resource[Any]]) -> ResourceSchema:
    """Return the schema of a resource model, its extensions included."""
    common = {
        "id": AttributeSchema("id", Kind.string, read_only=True),
        "externalid": AttributeSchema("externalId", Kind.string),
    }
    common["meta"] = AttributeSchema("meta", Kind.complex, read_only=True, parts={})
    schema = model.to_schema()
    return ResourceSchema(
        urn=str(schema.id),
        attributes=common | _shapes(schema),
        extensions={str(urn): _shapes(each.to_schema()) for urn, each in model.get_extension_models().items()},
    )


def _shapes(schema: Schema) -> dict[str, AttributeSchema]:
    needed = _NEEDED.get(str(schema.id))
    return {
        str(each.name).lower(): _shape(each, is_needed=needed is None or each.name in needed)
        for each in schema.attributes or []
    }


def _shape(attribute: Attribute, *, is_needed: bool) -> AttributeSchema:
    assert attribute.name is not None
    assert attribute.type is not None
    parts = {
        str(each.name).lower(): _shape(each, is_needed=is_needed and each.name not in _NEVER_NEEDED)
        for each in attribute.sub_attributes or []
    }
    return AttributeSchema(
        name=attribute.name,
        kind=attribute.type,
        multi_valued=bool(attribute.multi_valued),
        read_only=attribute.mutability == Mutability.read_only,
        required=attribute.required == Required.true,
        is_uri=attribute.type == Kind.reference and not set(attribute.reference_types or ()) - {"external", "uri"},
        is_needed=is_needed,
        parts=parts if attribute.type == Kind.complex else None,
    )


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
