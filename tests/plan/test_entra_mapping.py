"""Entra's mapping beside the settings: each thing that is missing or breaks leaving is found, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from scim_bridge.certificates.reading import slots_from
from scim_bridge.plan.entra_mapping import Level, check, direct_sources, folded, object_mapping
from scim_bridge.plan.entra_schema import schema_of, unplaced
from scim_bridge.scim.mapping import DEFAULT_RULES, rules_from
from scim_bridge.scim.reading import DITIO_URN

SLOTS = slots_from(
    (
        {"type": "Byggekort", "packed": "byggekort"},
        {"type": "Kranførerbevis", "issued": "kranIssuedAt", "valid_until": "kranValidUntil"},
    )
)
SOURCES = {
    f"{DITIO_URN}:birthDate": "extensionAttribute1",
    f"{DITIO_URN}:byggekort": "extensionAttribute2",
    f"{DITIO_URN}:kranIssuedAt": "extensionAttribute3",
    f"{DITIO_URN}:kranValidUntil": "extensionAttribute4",
}

Mapping = dict[str, Any]


def a_schema() -> dict[str, Any]:
    return copy.deepcopy(schema_of(DEFAULT_RULES, SLOTS, SOURCES))


def users(schema: dict[str, Any]) -> Mapping:
    mapping: Mapping = schema["synchronizationRules"][0]["objectMappings"][0]
    return mapping


def row(mapping: Mapping, target: str) -> Mapping:
    return next(each for each in mapping["attributeMappings"] if each["targetAttributeName"] == target)


def without(target: str) -> Callable[[Mapping], None]:
    def change(mapping: Mapping) -> None:
        mapping["attributeMappings"].remove(row(mapping, target))

    return change


def faults(schema: dict[str, Any]) -> set[str]:
    return {each.rule for each in check(schema, DEFAULT_RULES, SLOTS) if each.level is Level.fault}


def test_what_the_settings_generate_passes_their_own_check():
    assert faults(a_schema()) == set()


def test_it_is_json_and_generated_twice_it_is_the_same():
    assert json.dumps(a_schema()) == json.dumps(a_schema())


def _set(target: str, **changes: object) -> Callable[[Mapping], None]:
    def change(mapping: Mapping) -> None:
        row(mapping, target).update(changes)

    return change


def _source(kind: str, name: str, expression: str) -> dict[str, object]:
    return {"type": kind, "name": name, "expression": expression, "parameters": []}


END = f"{DITIO_URN}:employmentEndDate"


def _dates(form: str) -> Callable[[Mapping], None]:
    expression = f'FormatDateTime([employeeLeaveDateTime], , "yyyy-MM-ddTHH:mm:ssZ", "{form}")'
    return _set(END, source=_source("Function", "FormatDateTime", expression))


BREAKS: dict[str, tuple[str, Callable[[Mapping], None]]] = {
    "switched off": ("enabled", lambda mapping: mapping.update(enabled=False)),
    "no update": ("flow-types", lambda mapping: mapping.update(flowTypes="Add, Delete")),
    "no delete": ("flow-types", lambda mapping: mapping.update(flowTypes="Add,Update")),
    "no add": ("flow-types", lambda mapping: mapping.update(flowTypes="Update, Delete")),
    "no active": ("active", without("active")),
    "active is constant": ("active", _set("active", source=_source("Constant", "True", '"True"'))),
    "active at creation only": ("active", _set("active", flowType="ObjectAddOnly")),
    "another externalId": ("external-id", _set("externalId", source=_source("Attribute", "mailNickname", "[x]"))),
    "no externalId": ("external-id", without("externalId")),
    "nothing matched": ("matching", _set("userName", matchingPriority=0)),
    "two matched": ("matching", _set("externalId", matchingPriority=2)),
    "matched by what may be empty": ("matching", _set("userName", source=_source("Attribute", "mail", "[mail]"))),
    "matched by an expression": ("matching", _set("userName", source=_source("Function", "ToLower", "ToLower([x])"))),
    "no phone": (
        "mapped",
        lambda mapping: (
            [without(f'phoneNumbers[type eq "{kind}"].value')(mapping) for kind in ("mobile", "work")] and None
        ),
    ),
    "no number": ("mapped", without("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber")),
    "a date with slashes": ("date", _dates("MM/dd/yyyy")),
    "no slot": ("slots", without(f"{DITIO_URN}:byggekort")),
    "half a slot": ("slots", without(f"{DITIO_URN}:kranValidUntil")),
    "a default": ("default-value", _set("title", defaultValue="Employee")),
    "mapped twice": ("twice", lambda mapping: mapping["attributeMappings"].append(row(mapping, "title"))),
    "filtered by group": ("group-filter", lambda mapping: mapping.update(scope={"inputFilterGroups": [{"x": 1}]})),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_each_fault_is_found_and_no_other(broken: str):
    rule, change = BREAKS[broken]
    schema = a_schema()

    change(users(schema))

    assert faults(schema) == {rule}


@pytest.mark.parametrize("form", ["yyyy-MM-dd", "dd.MM.yyyy", "yyyy-MM-ddTHH:mm:ssZ"])
def test_a_date_that_is_read_is_no_fault(form: str):
    schema = a_schema()

    _dates(form)(users(schema))

    assert faults(schema) == set()


def test_an_unknown_expression_is_not_judged():
    schema = a_schema()
    _set(END, source=_source("Function", "IIF", 'IIF(IsNullOrEmpty([x]), "", [x])'))(users(schema))

    found = check(schema, DEFAULT_RULES, SLOTS)

    assert faults(schema) == set()
    assert [each.level for each in found if each.rule == "expression"] == [Level.information]


def test_without_a_mapping_of_users_nothing_is_sent():
    assert faults({"synchronizationRules": []}) == {"users"}
    assert faults({}) == {"users"}


def test_the_mapping_is_found_by_its_source_not_by_its_name():
    """Facts, section 6: the target's name differs from application to application."""
    schema = a_schema()
    users(schema).update(targetObjectName="User", name="Whatever")

    assert faults(schema) == set()


def test_groups_and_what_is_not_read_are_information():
    schema = a_schema()
    schema["synchronizationRules"][0]["objectMappings"][1]["enabled"] = True
    extra = dict(row(users(schema), "title"), targetAttributeName="nickName")
    users(schema)["attributeMappings"].append(extra)

    found = {each.rule: each.level for each in check(schema, DEFAULT_RULES, SLOTS)}

    assert faults(schema) == set()
    assert found["groups"] is Level.information
    assert found["unused"] is Level.information


def test_the_example_of_the_facts_is_read():
    """Written from Microsoft's documentation, and not by this bridge: titles and slots are missing in it."""
    mapping = users(a_schema())
    mapping["scope"] = {"groups": [{"clauses": [{"operatorName": "EQUALS"}]}]}
    schema = {"synchronizationRules": [{"objectMappings": [mapping]}]}

    found = object_mapping(schema, "User")

    assert found is not None
    assert found.has_scoping_filter
    assert not found.has_group_filter


def test_only_a_direct_row_proves_that_an_empty_attribute_was_cleared():
    """A default or an expression may send something else; `ObjectAddOnly` sends nothing later."""
    schema = a_schema()
    _set("title", defaultValue="x")(users(schema))
    _set("name.givenName", flowType="ObjectAddOnly")(users(schema))
    _dates("yyyy-MM-dd")(users(schema))
    found = object_mapping(schema, "User")
    assert found is not None

    direct = direct_sources(found)

    assert direct[folded("name.familyName")] == "surname"
    assert not {folded("title"), folded("name.givenName"), folded(END), "active"} & set(direct)


def test_attributes_without_a_known_source_are_named_and_declared():
    left = unplaced(DEFAULT_RULES, SLOTS, {})

    assert left == list(SOURCES)
    schema = schema_of(DEFAULT_RULES, SLOTS, {})
    declared = {each["name"] for each in schema["directories"][1]["objects"][0]["attributes"]}  # type: ignore[index]
    assert set(SOURCES) <= declared


def test_a_field_that_ditio_owns_is_not_asked_for():
    rules = rules_from({"birthDate": {"owner": "ditio"}})

    assert f"{DITIO_URN}:birthDate" not in unplaced(rules, (), {})


def test_a_field_read_from_elsewhere_is_mapped_there():
    rules = rules_from({"employeeNumber": {"from": ["externalId"]}})
    schema = schema_of(rules, (), {})
    targets = {each["targetAttributeName"] for each in users(schema)["attributeMappings"]}

    assert "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber" not in targets


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('phoneNumbers[primary eq "True"].value', "phoneNumbers[primary eq true].value"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:title", "Title"),
    ],
)
def test_paths_are_compared_as_entra_writes_them(one: str, other: str):
    assert folded(one) == folded(other)
