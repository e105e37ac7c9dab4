"""The synchronization schema that the settings need: Entra's attribute mapping and attribute list, to paste there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from scim_bridge.domain.certificate import Slot
from scim_bridge.domain.employee import REQUIRED, Field, Owner
from scim_bridge.domain.values import JsonObject
from scim_bridge.plan.entra_mapping import GROUP, USER, folded, read_paths, slot_paths
from scim_bridge.scim.mapping import Rules
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN

SOURCE, TARGET = "Azure Active Directory", "customappsso"
"""The directories: Entra's own, and that of every application that is not in the gallery."""

TARGET_OBJECT = ENTERPRISE_URN
ACTIVE = 'Switch([IsSoftDeleted], , "False", "True", "True", "False")'

KNOWN: Mapping[str, str] = {
    folded(path): source
    for path, source in {
        "userName": "userPrincipalName",
        "externalId": "objectId",
        "displayName": "displayName",
        "title": "jobTitle",
        "name.givenName": "givenName",
        "name.familyName": "surname",
        'emails[type eq "work"].value': "mail",
        'phoneNumbers[type eq "mobile"].value': "mobile",
        'phoneNumbers[type eq "work"].value': "telephoneNumber",
        f"{ENTERPRISE_URN}:employeeNumber": "employeeId",
        f"{ENTERPRISE_URN}:department": "department",
        f"{DITIO_URN}:employmentStartDate": "employeeHireDate",
        f"{DITIO_URN}:employmentEndDate": "employeeLeaveDateTime",
    }.items()
}
"""SCIM attribute → the Entra attribute for it, by Entra's names in provisioning, which are not Graph's."""

FALLBACKS = frozenset({folded("displayName"), folded('phoneNumbers[type eq "work"].value')})
"""Mapped as Entra proposes it, although another attribute comes first."""


def unplaced(rules: Rules, slots: Sequence[Slot], sources: Mapping[str, str]) -> list[str]:
    """Return the attributes that the settings read and for which no Entra attribute is known.

    Sources that only take the place of another one are left out.

    :param sources: SCIM attribute → Entra attribute, as the operator names them.
    """
    wanted = [_first(rules, field) for field in rules.by_field] + list(slot_paths(slots))
    named = {folded(path) for path in sources}
    # Payroll has a default of the bridge.
    left = [path for path in wanted if path and folded(path) not in KNOWN and folded(path) not in named]
    return [path for path in dict.fromkeys(left) if folded(path) != folded(f"{DITIO_URN}:payroll")]


def _first(rules: Rules, field: Field) -> str | None:
    rule = rules.by_field[field]
    return None if rule.owner is Owner.ditio else rule.sources[0].text


def schema_of(rules: Rules, slots: Sequence[Slot], sources: Mapping[str, str]) -> JsonObject:
    """Return the schema, in the form in which Graph and Entra's portal show one.

    :param sources: See `unplaced`; a path that the settings do not read is mapped too.
    """
    rows = list(_rows(rules, slots, sources))
    mapped = {folded(str(row["targetAttributeName"])) for row in rows}
    others = [path for path in declared(rules, slots) if folded(path) not in mapped]
    return {
        "synchronizationRules": [
            {
                "id": str(uuid5(NAMESPACE_URL, "scim-bridge/synchronization-rule")),
                "name": "USER_OUTBOUND_USER",
                "priority": 1,
                "editable": True,
                "metadata": [],
                "sourceDirectoryName": SOURCE,
                "targetDirectoryName": TARGET,
                "objectMappings": [
                    _objects("Provision Microsoft Entra ID Users", USER, TARGET_OBJECT, rows, is_enabled=True),
                    _objects(
                        "Provision Microsoft Entra ID Groups",
                        GROUP,
                        "urn:ietf:params:scim:schemas:core:2.0:Group",
                        [],
                        is_enabled=False,
                    ),
                ],
            }
        ],
        "directories": [
            _directory(SOURCE, USER, [_source_name(row) for row in rows], is_read_only=True),
            _directory(
                TARGET,
                TARGET_OBJECT,
                ["id", *(str(row["targetAttributeName"]) for row in rows), *others],
                is_read_only=False,
            ),
        ],
    }


@dataclass(frozen=True, slots=True)
class Mapped:
    """One row of the attribute mapping, for a person to read."""

    source: str
    """An attribute of Entra, or an expression."""

    target: str
    """The SCIM attribute."""

    is_required: bool
    """Whether no employee can be created without it."""

    is_matching: bool
    """Whether Entra finds users again by it."""


def mapped(rules: Rules, slots: Sequence[Slot]) -> list[Mapped]:
    """Return the rows of the mapping that `schema_of` has, those that are required first."""
    required = {folded(first) for field in REQUIRED if field in rules.by_field and (first := _first(rules, field))}
    rows = [
        Mapped(
            source=str(source["name"] if source["type"] == "Attribute" else source["expression"]),
            target=str(row["targetAttributeName"]),
            is_required=folded(str(row["targetAttributeName"])) in required,
            is_matching=bool(row["matchingPriority"]),
        )
        for row in _rows(rules, slots, {})
        if isinstance(source := row["source"], dict)
    ]
    return sorted(rows, key=lambda each: not each.is_required)


def declared(rules: Rules, slots: Sequence[Slot]) -> list[str]:
    """Return the attributes of the Ditio extension: Entra knows one only if its attribute list has it."""
    own = [path for path in read_paths(rules, slots) if folded(path).startswith(f"{folded(DITIO_URN)}:")]
    return list(dict.fromkeys(own))


def _rows(rules: Rules, slots: Sequence[Slot], sources: Mapping[str, str]) -> Iterator[JsonObject]:
    yield _row("userName", _attribute("userPrincipalName"), matching_priority=1)
    yield _row("externalId", _attribute("objectId"))
    yield _row("active", {"type": "Function", "name": "Switch", "expression": ACTIVE, "parameters": []})
    done = {folded(path) for path in ("userName", "externalId", "active")}
    named = {folded(path): source for path, source in sources.items()}
    for path in (*_read_first(rules), *slot_paths(slots), *sources):
        source = named.get(folded(path)) or KNOWN.get(folded(path))
        if source is not None and folded(path) not in done:
            done.add(folded(path))
            yield _row(path, _attribute(source))


def _read_first(rules: Rules) -> Iterator[str]:
    """Yield the first source of each field, and those further ones that Entra proposes too."""
    for rule in rules.by_field.values():
        if rule.owner is not Owner.ditio:
            yield rule.sources[0].text
            yield from (source.text for source in rule.sources[1:] if folded(source.text) in FALLBACKS)


def _attribute(name: str) -> JsonObject:
    return {"type": "Attribute", "name": name, "expression": f"[{name}]", "parameters": []}


def _row(target: str, source: JsonObject, *, matching_priority: int = 0) -> JsonObject:
    return {
        "targetAttributeName": target,
        "source": source,
        "matchingPriority": matching_priority,
        "flowType": "Always",
        "flowBehavior": "FlowWhenChanged",
        "defaultValue": None,
        "exportMissingReferences": False,
    }


def _objects(name: str, source: str, target: str, rows: list[JsonObject], *, is_enabled: bool) -> JsonObject:
    return {
        "name": name,
        "enabled": is_enabled,
        "flowTypes": "Add, Update, Delete",
        "sourceObjectName": source,
        "targetObjectName": target,
        "scope": None,
        "metadata": [],
        "attributeMappings": rows,
    }


def _source_name(row: JsonObject) -> str:
    source = row["source"]
    assert isinstance(source, dict)
    return str(source["name"]) if source["type"] == "Attribute" else "IsSoftDeleted"


def _directory(name: str, kind: str, attributes: list[str], *, is_read_only: bool) -> JsonObject:
    return {
        "id": str(uuid5(NAMESPACE_URL, f"scim-bridge/directory/{name}")),
        "name": name,
        "readOnly": is_read_only,
        "objects": [
            {
                "name": kind,
                "metadata": [],
                "supportedApis": [],
                "attributes": [_declared(each, kind) for each in dict.fromkeys(attributes)],
            }
        ],
    }


def _declared(name: str, kind: str) -> JsonObject:
    is_anchor = name == ("objectId" if kind == USER else "id")
    return {
        "name": name,
        "type": "Boolean" if name == "active" else "String",
        "anchor": is_anchor,
        "required": is_anchor or (kind != USER and name == "userName"),
        "caseExact": False,
        "multivalued": False,
        "mutability": "ReadWrite",
        "flowNullValues": False,
        "defaultValue": None,
        "metadata": [],
        "referencedObjects": [],
        "apiExpressions": [],
    }
