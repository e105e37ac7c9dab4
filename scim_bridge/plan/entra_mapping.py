"""Entra's attribute mapping: what is missing for the settings, what breaks leaving, which users it lets through."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scim_bridge.domain.certificate import Slot
from scim_bridge.domain.employee import REQUIRED, Field, Owner
from scim_bridge.domain.entra import DirectoryUser
from scim_bridge.domain.values import JsonObject
from scim_bridge.scim.mapping import Rules
from scim_bridge.scim.reading import CORE_URN, DITIO_URN

USER, GROUP = "User", "Group"
ALWAYS = "Always"
FLOWS = ("Add", "Update", "Delete")
NEVER_EMPTY = frozenset({"userprincipalname", "objectid", "mailnickname"})
"""Attributes that every user has, in lower case: a user without the matching attribute is never sent."""

DATES = frozenset({Field.start_date, Field.end_date, Field.birth_date})
READABLE_DAYS = re.compile(r"yyyy-MM-dd(['T ].*)?|dd\.MM\.yyyy")
"""The forms of a day that the bridge reads (rule T1), as Entra writes formats."""


class Level(StrEnum):
    """How much a finding matters."""

    fault = "fault"
    information = "information"


@dataclass(frozen=True, slots=True)
class MappingFinding:
    """One thing about the mapping that an administrator should know."""

    rule: str
    level: Level
    attribute: str | None
    """The SCIM attribute, as Entra's mapping writes it."""

    detail: str
    cure: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the attribute mapping."""

    target: str
    type: str
    """Attribute, Constant or Function."""

    source: str | None
    """The Entra attribute of a direct row; the function of an expression."""

    expression: str
    matching_priority: int = 0
    flow_type: str = ALWAYS
    default: str | None = None

    @property
    def is_direct(self) -> bool:
        """Whether the attribute is sent as it is, so that an empty one means an empty value."""
        return self.type == "Attribute" and self.source is not None

    @property
    def has_source(self) -> bool:
        """Whether it can ever send a value."""
        return bool(self.source if self.is_direct else self.expression.strip(' "'))


@dataclass(frozen=True, slots=True)
class ObjectMapping:
    """The mapping of users, or of groups."""

    name: str
    is_enabled: bool
    flows: tuple[str, ...]
    rows: tuple[Row, ...]
    has_scoping_filter: bool
    has_group_filter: bool

    def row(self, path: str) -> Row | None:
        """Return the row of a SCIM attribute; None if it is not mapped."""
        wanted = folded(path)
        return next((row for row in self.rows if folded(row.target) == wanted), None)


def folded(path: str) -> str:
    """Return a SCIM path for comparing: `[primary eq "True"]` is `[primary eq true]`, and core needs no URN."""
    plain = re.sub(r"\s+", " ", path.strip()).casefold().replace('"', "")
    return plain.removeprefix(f"{CORE_URN.casefold()}:")


def object_mapping(schema: JsonObject, source: str) -> ObjectMapping | None:
    """Return the mapping of users or groups, an enabled one before others. It is found by its source, not by its name.

    :param source: `USER` or `GROUP`.
    """
    found = [
        _object_mapping(each, rule)
        for rule in _objects(schema.get("synchronizationRules"))
        for each in _objects(rule.get("objectMappings"))
        if str(each.get("sourceObjectName")).casefold() == source.casefold()
    ]
    return next((each for each in found if each.is_enabled), found[0] if found else None)


def _object_mapping(document: JsonObject, rule: JsonObject) -> ObjectMapping:
    flows = document.get("flowTypes")
    words = flows if isinstance(flows, list) else str(flows or "").split(",")
    scope = document.get("scope")
    groups = scope.get("groups") if isinstance(scope, dict) else None
    return ObjectMapping(
        name=str(document.get("name") or document.get("sourceObjectName")),
        is_enabled=document.get("enabled") is True,
        flows=tuple(str(each).strip() for each in words if str(each).strip()),
        rows=tuple(_row(each) for each in _objects(document.get("attributeMappings"))),
        has_scoping_filter=any(_objects(each.get("clauses")) for each in _objects(groups)),
        has_group_filter=any(_has_groups(each) for each in (scope, rule.get("groupFilter"))),
    )


def _has_groups(document: object) -> bool:
    if not isinstance(document, dict):
        return False
    named = (document.get(key) for key in ("inputFilterGroups", "included"))
    return any(isinstance(each, list) and each for each in named)


def _row(document: JsonObject) -> Row:
    source = document.get("source")
    known = source if isinstance(source, dict) else {}
    priority, default = document.get("matchingPriority"), document.get("defaultValue")
    name = known.get("name")
    return Row(
        target=str(document.get("targetAttributeName") or ""),
        type=str(known.get("type") or ""),
        source=str(name) if name else None,
        expression=str(known.get("expression") or ""),
        matching_priority=priority if isinstance(priority, int) and not isinstance(priority, bool) else 0,
        flow_type=str(document.get("flowType") or ALWAYS),
        default=str(default) if default not in (None, "") else None,
    )


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def check(schema: JsonObject, rules: Rules, slots: Sequence[Slot]) -> list[MappingFinding]:
    """Return what differs between the configured mapping and what the settings need; faults first."""
    users = object_mapping(schema, USER)
    if users is None:
        detail = "the job has no mapping of users, so nothing is sent"
        return [_fault("users", None, detail, "set up *Provision Microsoft Entra ID Users* in the mappings")]
    found = [
        *_of_object(users),
        *of_active(users),
        *_of_external_id(users),
        *_of_matching(users),
        *_of_fields(users, rules),
        *_of_slots(users, slots),
        *_of_rows(users, rules, slots),
        *_of_groups(object_mapping(schema, GROUP)),
    ]
    return sorted(found, key=lambda each: each.level is not Level.fault)


def _fault(rule: str, attribute: str | None, detail: str, cure: str) -> MappingFinding:
    return MappingFinding(rule, Level.fault, attribute, detail, cure)


def _information(rule: str, attribute: str | None, detail: str, cure: str | None = None) -> MappingFinding:
    return MappingFinding(rule, Level.information, attribute, detail, cure)


def _of_object(users: ObjectMapping) -> Iterator[MappingFinding]:
    if not users.is_enabled:
        yield _fault("enabled", None, "the mapping of users is switched off: nothing is sent", "enable it")
    for flow in FLOWS:
        if flow.casefold() not in (each.casefold() for each in users.flows):
            what = {"Add": "no new user is sent", "Update": "no change and no leaver is sent"}.get(flow)
            detail = f"{flow} is not among the target object actions: {what or 'no leaver is sent'}"
            yield _fault("flow-types", None, detail, f"tick {flow} under *Target Object Actions*")
    if users.has_group_filter:
        detail = "users are filtered by groups (`inputFilterGroups`): users who fall out of them are not disabled"
        yield _fault("group-filter", None, detail, "assign the groups to the application instead")
    if users.has_scoping_filter:
        yield _information("scoping-filter", None, "a scoping filter decides which assigned users are sent")


def of_active(users: ObjectMapping) -> Iterator[MappingFinding]:
    """Yield why the mapping of `active` sends no leaver, or not every one."""
    row = users.row("active")
    cure = 'map `Switch([IsSoftDeleted], , "False", "True", "True", "False")` to `active`, applied always'
    if row is None:
        yield _fault("active", "active", "`active` is not mapped: no leaver is ever sent", cure)
    elif "[issoftdeleted]" not in row.expression.casefold() and (row.source or "").casefold() != "issoftdeleted":
        detail = "`active` does not come from IsSoftDeleted: users who are unassigned or deleted may stay active"
        yield _fault("active", "active", detail, cure)
    elif row.flow_type.casefold() != ALWAYS.casefold():
        detail = f"`active` is applied {row.flow_type}, and not {ALWAYS}: no leaver is ever sent"
        yield _fault("active", "active", detail, cure)


def _of_external_id(users: ObjectMapping) -> Iterator[MappingFinding]:
    row = users.row("externalId")
    if row is None or not row.is_direct or (row.source or "").casefold() != "objectid":
        detail = "`externalId` does not come from objectId, so users can't be compared with Entra's own"
        yield _fault("external-id", "externalId", detail, "map `objectId` to `externalId`")


def _of_matching(users: ObjectMapping) -> Iterator[MappingFinding]:
    matching = [row for row in users.rows if row.matching_priority > 0]
    cure = "match by `userName` from `userPrincipalName`, precedence 1, and by nothing else"
    if not matching:
        yield _fault("matching", None, "no attribute is matched: users are not found again", cure)
    if len(matching) > 1:
        named = " and ".join(row.target for row in matching)
        yield _fault("matching", None, f"{named} are matched: the second finds a user that the first does not", cure)
    for row in matching[:1]:
        if not row.is_direct:
            yield _fault("matching", row.target, f"{row.target} is matched by an expression", cure)
        elif (row.source or "").casefold() not in NEVER_EMPTY:
            detail = f"{row.target} is matched by {row.source}: a user who has none is never sent"
            yield _fault("matching", row.target, detail, cure)


def _of_fields(users: ObjectMapping, rules: Rules) -> Iterator[MappingFinding]:
    for field, rule in rules.by_field.items():
        if rule.owner is Owner.ditio:
            continue
        mapped = [row for source in rule.sources if (row := users.row(source.text)) is not None and row.has_source]
        first = rule.sources[0].text
        if not mapped and field in REQUIRED:
            detail = f"no source of {field} is mapped, and no employee can be created without it"
            yield _fault("mapped", first, detail, f"map an attribute to {first}")
        elif not mapped:
            yield _information("mapped", first, f"no source of {field} is mapped: Ditio gets none from Entra")
        for row in mapped:
            yield from _of_default(row)
            if field in DATES:
                yield from _of_date(row)


def _of_default(row: Row) -> Iterator[MappingFinding]:
    if row.default is not None:
        detail = f"{row.target} has a default value, which takes the place of a cleared one"
        yield _fault("default-value", row.target, detail, "remove the default value")


_FORMAT = re.compile(r"FormatDateTime\(\s*\[([^\]]+)\]\s*,[^,]*,[^,]*,\s*\"([^\"]*)\"\s*\)", re.IGNORECASE)


def _of_date(row: Row) -> Iterator[MappingFinding]:
    if row.is_direct:
        return  # The bridge reads Entra's instants, as a day of the company's time zone.
    found = _FORMAT.fullmatch(row.expression.strip())
    if found is None:
        yield _information("expression", row.target, f"the expression of {row.target} was not judged")
    elif not READABLE_DAYS.fullmatch(found[2]):
        cure = 'write "yyyy-MM-dd" as the last argument of FormatDateTime, or map the attribute directly'
        yield _fault("date", row.target, f'{row.target} is written as "{found[2]}", which is not read as a day', cure)


def slot_paths(slots: Sequence[Slot]) -> Iterator[str]:
    """Yield the SCIM attributes of the certificate slots."""
    for slot in slots:
        yield from (f"{DITIO_URN}:{name}" for name in slot.attributes)


def _of_slots(users: ObjectMapping, slots: Sequence[Slot]) -> Iterator[MappingFinding]:
    for path in slot_paths(slots):
        row = users.row(path)
        if row is None or not row.has_source:
            detail = f"{path} is an attribute of CERTIFICATES__SLOTS and is not mapped: no such certificate comes"
            yield _fault("slots", path, detail, "map the attribute, or remove the slot from the settings")


def _of_rows(users: ObjectMapping, rules: Rules, slots: Sequence[Slot]) -> Iterator[MappingFinding]:
    """Yield what is mapped twice, and what is mapped and not used."""
    used = {folded(path) for path in read_paths(rules, slots)} | {"active", "externalid", "username", "displayname"}
    seen: set[str] = set()
    for row in users.rows:
        if folded(row.target) in seen:
            yield _fault("twice", row.target, f"{row.target} is mapped twice", "keep one row")
        seen.add(folded(row.target))
        if folded(row.target) not in used:
            yield _information("unused", row.target, f"{row.target} is mapped, and the settings do not read it")


def read_paths(rules: Rules, slots: Sequence[Slot]) -> Collection[str]:
    """Return the SCIM attributes that the settings read."""
    return [*(source.text for rule in rules.by_field.values() for source in rule.sources), *slot_paths(slots)]


def _of_groups(groups: ObjectMapping | None) -> Iterator[MappingFinding]:
    if groups is not None and groups.is_enabled:
        detail = "groups are provisioned too: the bridge keeps them, and Ditio gets nothing of them"
        yield _information("groups", None, detail, "switch the mapping of groups off, unless another system reads them")


def formatted_dates(users: ObjectMapping) -> Mapping[str, str]:
    """Return the Entra attribute of each SCIM attribute that is a formatted date of it.

    An empty date gives no text, so it is cleared like a direct one. The keys are folded paths.
    """
    found = {folded(row.target): _FORMAT.fullmatch(row.expression.strip()) for row in users.rows if _is_plain(row)}
    return {path: match[1] for path, match in found.items() if match is not None}


def _is_plain(row: Row) -> bool:
    return row.default is None and row.flow_type.casefold() == ALWAYS.casefold()


def direct_sources(users: ObjectMapping) -> Mapping[str, str]:
    """Return the Entra attribute of each SCIM attribute that is mapped directly, always and without a default.

    The keys are folded paths. Only for these does an empty attribute in Entra mean that the value was cleared.
    """
    return {folded(row.target): row.source for row in users.rows if row.is_direct and row.source and _is_plain(row)}


Clause = tuple[str, str, tuple[str, ...]]
"""An attribute, an operator, and values."""

Scope = tuple[tuple[Clause, ...], ...]
"""A scoping filter: one of its groups has to hold, and of a group every clause."""

_UNKNOWN: Clause = ("", "", ())
"""A clause that can't be judged."""


def scope_of(schema: JsonObject) -> Scope:
    """Return the scoping filter of the mapping of users; empty where there is none."""
    for rule in _objects(schema.get("synchronizationRules")):
        for mapping in _objects(rule.get("objectMappings")):
            if str(mapping.get("sourceObjectName")).casefold() == USER.casefold() and mapping.get("enabled") is True:
                scope = mapping.get("scope")
                groups = _objects(scope.get("groups")) if isinstance(scope, dict) else []
                found = (tuple(map(_clause, _objects(group.get("clauses")))) for group in groups)
                # Which users a group without a clause lets through is not documented.
                return tuple(group or (_UNKNOWN,) for group in found)
    return ()


def _clause(document: JsonObject) -> Clause:
    operand = document.get("targetOperand")
    values = operand.get("values") if isinstance(operand, dict) else None
    return (
        str(document.get("sourceOperandName") or ""),
        str(document.get("operatorName") or "").upper().replace("_", " "),
        tuple(map(str, values)) if isinstance(values, list) else (),
    )


def passes(scope: Scope, user: DirectoryUser) -> bool | None:
    """Return whether a filter lets a user through; None where that can't be judged."""
    if not scope:
        return True
    groups = [_every([_holds(clause, user) for clause in group]) for group in scope]
    return True if True in groups else None if None in groups else False


def _every(held: list[bool | None]) -> bool | None:
    return False if False in held else None if None in held else True


def _holds(clause: Clause, user: DirectoryUser) -> bool | None:
    attribute, operator, values = clause
    if attribute not in user.values:
        return None
    value = user.values[attribute]
    if value in ("true", "false"):
        values = tuple(each.casefold() for each in values)
    match operator:
        case "EQUALS" | "IN":
            return value in values
        case "NOT EQUALS":
            return value not in values
        case "IS NULL":
            return value is None
        case "IS NOT NULL":
            return value is not None
    return None
