"""The mapping of a provisioning job as Graph shows it: the synchronization schema."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scim_bridge.sandbox.directory import MANAGER, JsonObject
from scim_bridge.sandbox.job import AttributeMapping, Job, Scope

RULE_ID = "66666666-0000-4000-8000-000000000006"
SOURCE_DIRECTORY = "Azure Active Directory"
TARGET_DIRECTORY = "customappsso"
GROUP_OBJECT = "urn:ietf:params:scim:schemas:core:2.0:Group"


def schema(job: Job, sources: dict[str, str], target_object: str) -> JsonObject:
    """Return the schema of a job.

    :param sources: Further mappings of the directory: target → attribute.
    :param target_object: The name of the target object.
    """
    further = (AttributeMapping(path, source) for path, source in sources.items() if path not in job.mappings)
    lines = [*job.mappings.values(), *further]
    return {
        "id": job.id,
        "version": "Date:2026-11-01T10:00:00.0000000Z, Sequence:3",
        "synchronizationRules": [_rule(job, lines, target_object)],
        "directories": [
            _directory("d1", SOURCE_DIRECTORY, "User", _source_attributes(lines), read_only=True),
            _directory(
                "d2", TARGET_DIRECTORY, target_object, _target_attributes(lines, target_object), read_only=False
            ),
        ],
    }


def _rule(job: Job, lines: list[AttributeMapping], target_object: str) -> JsonObject:
    users: JsonObject = {
        "enabled": job.enabled,
        "flowTypes": ", ".join(kind for kind in ("Add", "Update", "Delete") if kind in job.flow_types),
        "metadata": [],
        "name": "Provision Microsoft Entra ID Users",
        "scope": _filter(job),
        "sourceObjectName": "User",
        "targetObjectName": target_object,
        "attributeMappings": [_mapping(line) for line in lines],
    }
    groups: JsonObject = {
        "enabled": job.groups_enabled,
        "flowTypes": "Add, Update, Delete",
        "metadata": [],
        "name": "Provision Microsoft Entra ID Groups",
        "scope": None,
        "sourceObjectName": "Group",
        "targetObjectName": GROUP_OBJECT,
        "attributeMappings": [
            _mapping(AttributeMapping("displayName", "displayName", matching_priority=1)),
            _mapping(AttributeMapping("externalId", "objectId")),
            _mapping(AttributeMapping("members", "members")),
        ],
    }
    return {
        "containerFilter": None,
        "editable": True,
        "groupFilter": None,
        "id": RULE_ID,
        "metadata": [],
        "name": "USER_OUTBOUND_USER",
        "priority": 1,
        "sourceDirectoryName": SOURCE_DIRECTORY,
        "targetDirectoryName": TARGET_DIRECTORY,
        "objectMappings": [users, groups],
    }


def _filter(job: Job) -> JsonObject | None:
    if not job.scope and not job.input_filter:
        return None
    return {
        "categoryFilterGroups": [],
        "groups": _filter_groups(job.scope),
        "inputFilterGroups": _filter_groups(job.input_filter),
    }


def _filter_groups(scope: Scope) -> list[JsonObject]:
    return [
        {
            "name": f"Filter {number}",
            "clauses": [
                {
                    "operatorName": clause.operator,
                    "sourceOperandName": clause.attribute,
                    "targetOperand": {"values": list(clause.values)},
                }
                for clause in group
            ],
        }
        for number, group in enumerate(scope, 1)
    ]


def _mapping(line: AttributeMapping) -> JsonObject:
    return {
        "defaultValue": line.default_value,
        "exportMissingReferences": False,
        "flowBehavior": "FlowWhenChanged",
        "flowType": line.flow_type,
        "matchingPriority": line.matching_priority,
        "targetAttributeName": line.target,
        "source": _source(line),
    }


def _source(line: AttributeMapping) -> JsonObject:
    if line.expression is None and line.source is not None:
        return _operand("Attribute", line.source, f"[{line.source}]")
    expression = line.expression or '""'
    if expression.startswith('"'):
        return _operand("Constant", expression.strip('"'), expression)
    source = _operand("Function", expression.partition("(")[0], expression)
    if source["name"] == "Switch":
        source["parameters"] = _switch(expression)
    return source


def _operand(kind: str, name: str, expression: str) -> JsonObject:
    return {"expression": expression, "name": name, "parameters": [], "type": kind}


def _switch(expression: str) -> list[JsonObject]:
    """Return the parameters of `Switch([IsSoftDeleted], , "False", "True", …)`; of other functions there are none."""
    name, *pairs = re.findall(r"\[(\w+)\]|\"([^\"]*)\"", expression)
    parameters: list[JsonObject] = [
        {"key": "source", "value": _operand("Attribute", name[0], f"[{name[0]}]")},
        {"key": "defaultValue", "value": _operand("Constant", "", '""')},
    ]
    for index, (_, text) in enumerate(pairs):
        key = f"{'key' if index % 2 == 0 else 'value'}{index // 2 + 1}"
        parameters.append({"key": key, "value": _operand("Constant", text, f'"{text}"')})
    return parameters


def _directory(key: str, name: str, object_name: str, attributes: list[JsonObject], *, read_only: bool) -> JsonObject:
    metadata = [
        {"key": "PropertyNameAccountEnabled", "value": "accountEnabled"},
        {"key": "PropertyNameSoftDeleted", "value": "IsSoftDeleted"},
    ]
    return {
        "discoverabilities": "" if read_only else "AttributeNames, AttributeDataTypes, ReferenceAttributes",
        "discoveryDateTime": None,
        "id": key,
        "name": name,
        "readOnly": read_only,
        "version": "1" if read_only else "2",
        "objects": [
            {
                "metadata": metadata if read_only else [],
                "name": object_name,
                "supportedApis": [],
                "attributes": attributes,
            }
        ],
    }


def _source_attributes(lines: Iterable[AttributeMapping]) -> list[JsonObject]:
    names = {"objectId": None, "IsSoftDeleted": None, "accountEnabled": None}
    for line in lines:
        text = line.expression or f"[{line.source}]"
        names |= dict.fromkeys(re.findall(r"\[(\w+)\]", text))
    return [_attribute(name, anchor=name == "objectId") for name in names]


def _target_attributes(lines: Iterable[AttributeMapping], target_object: str) -> list[JsonObject]:
    attributes = [_attribute("id", anchor=True)]
    for line in lines:
        kind = {"active": "Boolean", MANAGER: "Reference"}.get(line.target, "String")
        attribute = _attribute(line.target, kind=kind, required=line.target == "userName")
        if kind == "Reference":
            reference = {"referencedObjectName": target_object, "referencedProperty": "id"}
            attribute["referencedObjects"] = [reference]
        attributes.append(attribute)
    return attributes


def _attribute(name: str, *, kind: str = "String", anchor: bool = False, required: bool = False) -> JsonObject:
    return {
        "anchor": anchor,
        "apiExpressions": [],
        "caseExact": False,
        "defaultValue": None,
        "flowNullValues": False,
        "metadata": [],
        "multivalued": False,
        "mutability": "ReadWrite",
        "name": name,
        "required": required or anchor,
        "referencedObjects": [],
        "type": kind,
    }
