"""Shapes that only Entra sends, and what becomes of them. Pure: JSON in, JSON out."""

import re
from typing import Any

import pytest

from scim_bridge.scim.entra_patch import NOTHING, PATCH_URN, rewrite_patch
from scim_bridge.scim.entra_resource import rewrite_resource
from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.quirks import LONGEST_NAME, MOST_NAMES, OTHERS, QuirkKind, Tolerated
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.scim.schema import shape_of
from scim_bridge.scim.values import UnfitValue

PROVIDER = build_provider(max_page_size=10)
USER = shape_of(PROVIDER.model_for("User"))
GROUP = shape_of(PROVIDER.model_for("Group"))
MANAGER = f"{ENTERPRISE_URN}:manager"


def created(**body: Any) -> Any:
    """What a POST with these attributes becomes."""
    return rewrite_resource(USER, body).body


def patched(*operations: Any, shape=USER) -> Any:
    """What a PATCH with these operations becomes."""
    return rewrite_patch(shape, {"Operations": list(operations)}).body["Operations"]


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        ("id-1", {"value": "id-1"}),
        (17, {"value": "17"}),
        ("", None),
        (None, None),
        ({"value": ""}, None),
        ({"value": None}, None),
        ({"value": "id-1", "displayName": "read-only"}, {"value": "id-1"}),
        ([{"value": "id-1"}], {"value": "id-1"}),
    ],
)
def test_a_manager_may_be_a_bare_id(manager, expected):
    """Entra sends `manager` as a bare id, and clears it with an empty text."""
    assert created(**{ENTERPRISE_URN: {"manager": manager}}) == {ENTERPRISE_URN: {"manager": expected}}
    assert created(**{MANAGER: manager}) == {ENTERPRISE_URN: {"manager": expected}}
    if not isinstance(manager, dict | list):
        for value in (manager, [manager]):
            assert created(**{f"{MANAGER}.value": value}) == {ENTERPRISE_URN: {"manager": expected}}
    for operation in (
        {"op": "Replace", "path": MANAGER, "value": manager},
        {"op": "Replace", "value": {MANAGER: manager}},
        {"op": "Replace", "value": {ENTERPRISE_URN: {"manager": manager}}},
        {"op": "Replace", "path": ENTERPRISE_URN, "value": {"manager": manager}},
    ):
        if expected is None:
            assert patched(operation) == [{"op": "remove", "path": MANAGER}]
        else:
            # A new manager doesn't keep the reference to the earlier one.
            assert patched(operation) == [{"op": "Replace", "path": MANAGER, "value": {**expected, "$ref": None}}]


def test_the_id_of_a_manager_cleared_by_itself_clears_the_manager():
    """A manager can't be without `value`."""
    assert patched({"op": "Replace", "path": f"{MANAGER}.value", "value": ""}) == [{"op": "remove", "path": MANAGER}]
    assert patched({"op": "Remove", "path": f"{MANAGER}.value"}) == [{"op": "remove", "path": MANAGER}]


def test_a_number_becomes_the_text_that_is_declared():
    """`employeeNumber: 1042`; a text stays as it is."""
    body = created(
        userName=5,
        externalId=7,
        emails=[{"value": 1, "type": "work"}],
        **{ENTERPRISE_URN: {"employeeNumber": 1042, "costCenter": "007"}, DITIO_URN: {"payroll": 1}},
    )
    assert body["userName"] == "5"
    assert body["externalId"] == "7"
    assert body["emails"] == [{"value": "1", "type": "work"}]
    assert body[ENTERPRISE_URN] == {"employeeNumber": "1042", "costCenter": "007"}
    assert body[DITIO_URN] == {"payroll": "1"}
    assert patched({"op": "add", "path": f"{ENTERPRISE_URN}:employeeNumber", "value": 1042}) == [
        {"op": "add", "path": f"{ENTERPRISE_URN}:employeeNumber", "value": "1042"}
    ]


def test_a_boolean_may_be_text():
    """Today's jobs send `"False"`."""
    assert created(active="False", emails=[{"primary": "True"}]) == {"active": False, "emails": [{"primary": True}]}
    assert patched({"op": "Replace", "path": "active", "value": "False"})[0]["value"] is False
    assert patched({"op": "Replace", "value": {"active": "true"}})[0]["value"] is True
    with pytest.raises(UnfitValue, match='active is "maybe"'):
        created(active="maybe")


def test_keys_may_be_paths_in_a_body():
    """Dotted, URN-qualified and filtered keys, in any order and beside the attribute itself."""
    body = created(
        **{
            "name.givenName": "Kari",
            "name": {"familyName": "Nordmann"},
            'emails[type eq "work"].value': "kari@x.no",
            'emails[type eq "work"].primary': "True",
            "emails": [{"type": "home", "value": "home@x.no"}],
            'addresses[type eq "work"].streetAddress': "Gate 1",
            f"{ENTERPRISE_URN}:department": "Anlegg",
            f"{ENTERPRISE_URN}.division": "Bygg",
            ENTERPRISE_URN.upper(): {"EMPLOYEENUMBER": "1042"},
            f"{CORE_URN}:title": "Fører",
            CORE_URN: {"nickName": "K"},
        }
    )
    assert body == {
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "emails": [
            {"type": "home", "value": "home@x.no"},
            {"type": "work", "value": "kari@x.no", "primary": True},
        ],
        "addresses": [{"type": "work", "streetAddress": "Gate 1"}],
        ENTERPRISE_URN: {"department": "Anlegg", "division": "Bygg", "employeeNumber": "1042"},
        "title": "Fører",
        "nickName": "K",
    }


def test_a_value_without_a_path_becomes_an_operation_for_each_key():
    """With `aadOptscim062020` Entra sends one path-less replace whose keys are paths."""
    operation = {
        "op": "replace",
        "value": {
            "displayName": "Kari",
            "name.givenName": "Kari",
            'emails[type eq "work"].value': "kari@x.no",
            f"{ENTERPRISE_URN}:department": "Anlegg",
            f"{ENTERPRISE_URN}.division": "Bygg",
            ENTERPRISE_URN: {"employeeNumber": 1042},
            CORE_URN: {"title": "Fører"},
            "schemas": [CORE_URN],
            "id": "ignored",
        },
    }
    assert patched(operation) == [
        {"op": "replace", "path": "displayName", "value": "Kari"},
        {"op": "replace", "path": "name.givenName", "value": "Kari"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "kari@x.no"},
        {"op": "replace", "path": f"{ENTERPRISE_URN}:department", "value": "Anlegg"},
        {"op": "replace", "path": f"{ENTERPRISE_URN}:division", "value": "Bygg"},
        {"op": "replace", "path": f"{ENTERPRISE_URN}:employeeNumber", "value": "1042"},
        {"op": "replace", "path": "title", "value": "Fører"},
    ]


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize("op", ["Add", "Replace"])
@pytest.mark.parametrize(
    "path",
    ["title", "active", "name", "emails", 'emails[type eq "work"].value', f"{ENTERPRISE_URN}:department"],
)
def test_an_attribute_is_cleared_with_nothing(op, path, empty):
    """Validators clear attributes with `""` and null, and check that they are gone."""
    assert patched({"op": op, "path": path, "value": empty}) == [{"op": "remove", "path": path}]
    assert patched({"op": op, "value": {path: empty}}) == [{"op": "remove", "path": path}]


def test_an_extension_is_cleared_with_nothing():
    """A whole extension, named by its URN."""
    for operation in (
        {"op": "replace", "path": ENTERPRISE_URN, "value": None},
        {"op": "remove", "path": ENTERPRISE_URN},
    ):
        assert patched(operation) == [{"op": "remove", "path": ENTERPRISE_URN}]


def test_an_empty_text_in_a_body_is_kept_where_it_is_a_value():
    """A6: values come back as they were sent; where "" is no value of the type, there is none."""
    body = created(title="", profileUrl="", active="", name="", emails=[{"value": ""}, ""], roles=[])
    assert body == {
        "title": "",
        "profileUrl": None,
        "active": None,
        "name": None,
        "emails": [{"value": ""}],
        "roles": [],
    }


def test_a_single_value_may_stand_in_a_list():
    """Older jobs put a list and `{"value": …}` around single values."""
    for value in (["Kari"], [{"value": "Kari"}], [{"$ref": None, "value": "Kari"}], {"value": "Kari"}):
        assert created(displayName=value) == {"displayName": "Kari"}
        assert patched({"op": "replace", "path": "displayName", "value": value})[0]["value"] == "Kari"
    assert patched({"op": "replace", "path": "displayName", "value": []}) == [{"op": "remove", "path": "displayName"}]


def test_several_values_may_be_one():
    """A member or an address without its list."""
    assert created(emails={"value": "a@x.no"}) == {"emails": [{"value": "a@x.no"}]}
    operation = {"op": "add", "path": "members", "value": {"value": "id-1"}}
    assert patched(operation, shape=GROUP) == [{"op": "add", "path": "members", "value": [{"value": "id-1"}]}]
    operation = {"op": "add", "path": "members", "value": "id-1"}
    assert patched(operation, shape=GROUP) == [{"op": "add", "path": "members", "value": [{"value": "id-1"}]}]


def test_a_remove_may_list_what_it_removes():
    """Members only: elsewhere its value says nothing."""
    removal = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "id-1", "extra": 1}]}
    assert patched(removal, shape=GROUP) == [{"op": "remove", "path": "members", "value": [{"value": "id-1"}]}]
    assert patched({**removal, "value": "id-1"}, shape=GROUP)[0]["value"] == [{"value": "id-1"}]
    # Nothing listed is nothing removed, not everything.
    assert patched({**removal, "value": []}, shape=GROUP)[0]["value"] == []
    assert patched({"op": "Remove", "path": "title", "value": "Old"}) == [{"op": "remove", "path": "title"}]
    path = 'emails[type eq "work"].value'
    assert patched({"op": "Remove", "path": path, "value": "old@x.no"}) == [{"op": "remove", "path": path}]


def test_unknown_schemas_are_left_out():
    """A Group of Entra's names a schema of Active Directory's; an extension's URN may be missing."""
    assert created(schemas=["urn:other", ENTERPRISE_URN.lower()])["schemas"] == [CORE_URN, ENTERPRISE_URN]
    assert created(schemas=CORE_URN)["schemas"] == [CORE_URN]
    operation = {"op": "add", "path": "schemas", "value": ["urn:other", DITIO_URN]}
    assert patched(operation)[0]["value"] == [CORE_URN, DITIO_URN]


def test_delivery_attributes_are_ignored():
    """A6: what a client sends in them is ignored; other read-only attributes are refused in a PATCH."""
    state = f"{DITIO_URN}:deliveryState"
    assert created(**{state: "held", DITIO_URN: {"deliveryDetail": "x", "payroll": "1"}}) == {
        DITIO_URN: {"payroll": "1"}
    }
    assert patched({"op": "replace", "path": state, "value": "held"}) == [NOTHING]
    assert patched({"op": "remove", "path": state}, {"op": "remove", "path": "title"}) == [
        {"op": "remove", "path": "title"}
    ]
    assert patched({"op": "replace", "value": {state: "held", "title": "x"}}) == [
        {"op": "replace", "path": "title", "value": "x"}
    ]
    assert patched({"op": "replace", "path": "id", "value": "x"}) == [{"op": "replace", "path": "id", "value": "x"}]


def test_what_is_not_declared_is_left_out_and_named():
    """A7: counted by name, the values not kept."""
    rewritten = rewrite_resource(
        USER,
        {
            "userName": "a",
            "password": "secret",
            "urn:other:2.0:User": {"x": 1},
            "name": {"nick": "x"},
            ENTERPRISE_URN: {"other": 1},
            'emails[type sw "w"].value': "x",
            "x" * 500: 1,
        },
    )
    assert rewritten.body == {"userName": "a", "name": {}}
    assert rewritten.tolerated == (
        (QuirkKind.unknown_attribute, "password"),
        (QuirkKind.unknown_schema, "urn:other:2.0:User"),
        (QuirkKind.unknown_attribute, "name.nick"),
        (QuirkKind.unknown_attribute, f"{ENTERPRISE_URN}:other"),
        (QuirkKind.filtered_key, "emails[].value"),
        (QuirkKind.unusable_filter, "emails[].value"),
        (QuirkKind.unknown_attribute, "x" * 200),
        (QuirkKind.unlisted_schema, CORE_URN),
    )
    assert "secret" not in str(rewritten)

    rewritten = rewrite_patch(
        USER,
        {
            "schemas": [PATCH_URN],
            "Operations": [
                {"op": "add", "path": "shoeSize", "value": 44},
                {"op": "add", "path": "urn:other:2.0:User:x", "value": 1},
                {"op": "add", "path": "name.nick", "value": "x"},
                {"op": "add", "value": {"password": "secret"}},
            ],
        },
    )
    assert rewritten.body == {"schemas": [PATCH_URN], "Operations": [NOTHING]}
    assert rewritten.tolerated == (
        (QuirkKind.unknown_path, "shoeSize"),
        (QuirkKind.unknown_path, "urn:other:2.0:User:x"),
        (QuirkKind.unknown_path, "name.nick"),
        (QuirkKind.unknown_attribute, "password"),
    )


def test_what_cannot_be_placed_is_left_for_the_library_to_refuse():
    """Malformed paths and odd bodies: the answer is to quote them as they were sent. Values are refused at once."""
    for body in ([], "x", None, {"Operations": "x"}, {}):
        assert rewrite_patch(USER, body).body == body
    for body in ([], "x", None):
        assert rewrite_resource(USER, body).body == body
    for operation in ("x", {"op": "add", "path": "emails[", "value": "x"}, {"op": "add", "path": 5, "value": "x"}):
        assert patched(operation) == [operation]
    for sent, name in ({"name": "Kari"}, "name"), ({"emails": [["x"]]}, "emails[0]"):
        with pytest.raises(UnfitValue, match=re.escape(f"{name} is ")):
            created(**sent)


def test_a_role_may_hold_json_text():
    """Entra's AppRoleAssignmentsComplex: the text is kept as it was sent."""
    text = '{"id":"1","value":"admin"}'
    operation = {"op": "add", "path": 'roles[primary eq "True"].value', "value": text}
    assert patched(operation) == [operation]
    assert patched({"op": "replace", "path": "roles", "value": [{"value": text, "primary": "True"}]}) == [
        {"op": "replace", "path": "roles", "value": [{"value": text, "primary": True}]}
    ]


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        ('emails[value eq "kari@x.no"].type', "emails[].type"),
        ('emails[value eq "]"].type', "emails[].type"),
        ('emails[value eq "kari@x.no', "emails"),
        ('userName eq "kari"', "userName"),
        ("shoe size", "shoe"),
        ("name='Kari'", "name"),
        (" @odata.type ", "@odata.type"),
        ("", "(no name)"),
        ("kari@contractor.example", "kari"),  # An address, in a place for the name of an attribute or a schema.
        ("x" * 500, "x" * LONGEST_NAME),
    ],
)
def test_a_name_is_counted_without_what_may_be_a_value(sent, counted):
    """A7: by name; a filter within a path may hold personal data."""
    tolerated = Tolerated()
    tolerated.add(QuirkKind.unknown_path, sent)
    assert tolerated.found == ((QuirkKind.unknown_path, counted),)


def test_one_request_has_a_bounded_number_of_names():
    """A person who makes names up fills neither the log nor the database."""
    body = {"schemas": [CORE_URN], "userName": "a", **{f"made-up-{number}": 1 for number in range(MOST_NAMES + 50)}}
    found = rewrite_resource(USER, body).tolerated
    assert len(found) == MOST_NAMES + 1
    assert found[-1] == (QuirkKind.unknown_attribute, OTHERS)
    assert len(set(found)) == len(found)


def test_a_request_that_follows_the_rfc_has_nothing_to_tolerate():
    """RFC 7643 §8.2 and RFC 7644 §3.5.2: nothing to count, and no cost."""
    body = {
        "schemas": [CORE_URN, ENTERPRISE_URN, DITIO_URN],
        "id": "read-only",
        "meta": {"resourceType": "User"},
        "userName": "kari",
        "name": {"givenName": "Kari"},
        "active": True,
        "title": None,
        "profileUrl": "https://x.no/kari",
        "photos": [{"value": "/photos/1", "type": "photo", "primary": True}],
        "emails": [{"value": "a@x.no", "primary": True}, {"value": "b@x.no", "primary": False}],
        "x509Certificates": [{"value": "AAEC"}],
        "roles": [],
        ENTERPRISE_URN: {"employeeNumber": "1042", "manager": {"value": "id-1", "displayName": "read-only"}},
        DITIO_URN: {"payroll": "1", "deliveryState": "due"},
    }
    assert rewrite_resource(USER, body).tolerated == ()
    operations = [
        {"op": "add", "path": 'emails[type eq "work" and primary eq true].value', "value": "a@x.no"},
        {"op": "replace", "path": f"{ENTERPRISE_URN}:manager", "value": {"value": "id-1"}},
        {"op": "replace", "path": f"{ENTERPRISE_URN}:manager.value", "value": "id-1"},
        {"op": "replace", "path": "name.givenName", "value": None},
        {"op": "replace", "value": {"active": False, ENTERPRISE_URN: {"department": "x"}}},
        {"op": "remove", "path": 'emails[type eq "home"]'},
    ]
    assert rewrite_patch(USER, {"schemas": [PATCH_URN], "Operations": operations}).tolerated == ()
