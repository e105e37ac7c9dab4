"""What Entra sends that the libraries leave over: one story each, over HTTP.

Cited are `entra/README.md` (facts about Entra) and `libraries.md` ("Left over for `scim/entra.py`").
"""

import json
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.tables import resources
from tests.protocol.conftest import Scim

MANAGER = f"{ENTERPRISE_URN}:manager"
GROUP_URN = "urn:ietf:params:scim:schemas:core:2.0:Group"


def sent_part(resource: Any) -> dict[str, Any]:
    """A resource without what the bridge says of it."""
    return {name: value for name, value in resource.items() if name not in ("schemas", "id", "meta")}


def counted(scim: Scim) -> set[tuple[str, str]]:
    """The kinds and names that were counted."""
    with scim.database.read("default") as s:
        return {(each.kind, each.name) for each in s.quirks.list()}


# -- The manager -------------------------------------------------------


@pytest.mark.parametrize("manager", ["id-1", {"value": "id-1"}, [{"value": "id-1"}], ["id-1"]])
def test_a_manager_arrives_bare_or_complex_and_is_returned_as_a_complex_value(scim: Scim, manager: Any):
    """README: "arrives as a bare id string, as {"value":…}"; "returned as a complex value, never as a string"."""
    created = scim.create(userName="kari", **{ENTERPRISE_URN: {"manager": manager}})
    assert created[ENTERPRISE_URN] == {"manager": {"value": "id-1"}}

    other = scim.create(userName="ola")
    patched = scim.patch(other, {"op": "Add", "path": MANAGER, "value": manager})
    assert patched.json[ENTERPRISE_URN] == {"manager": {"value": "id-1"}}
    assert scim.read(other) == patched.json


@pytest.mark.parametrize("no_one", ["", None, {"value": ""}, {"value": None}, []])
def test_a_manager_is_cleared_with_nothing(scim: Scim, no_one: Any):
    """README: "is cleared with `""`"; the extension then has no trace of him, and a POST may say it at once."""
    assert ENTERPRISE_URN not in scim.create(userName="ola", **{ENTERPRISE_URN: {"manager": no_one}})
    kari = scim.create(userName="kari", **{ENTERPRISE_URN: {"manager": "id-1", "department": "Anlegg"}})

    cleared = scim.patch(kari, {"op": "Replace", "path": MANAGER, "value": no_one})

    assert cleared.status_code == 200
    assert cleared.json[ENTERPRISE_URN] == {"department": "Anlegg"}
    assert scim.read(kari) == cleared.json


def test_a_new_manager_keeps_nothing_of_the_earlier_one(scim: Scim):
    """libraries.md: "`manager` without `$ref`"; the reference of the earlier manager would name the wrong person."""
    reference = "https://x.example/Users/id-1"
    kari = scim.create(userName="kari", **{ENTERPRISE_URN: {"manager": {"value": "id-1", "$ref": reference}}})
    assert kari[ENTERPRISE_URN]["manager"]["$ref"] == reference

    changed = scim.patch(kari, {"op": "Replace", "path": MANAGER, "value": "id-2"})

    assert changed.json[ENTERPRISE_URN] == {"manager": {"value": "id-2"}}


# -- Keys that are paths -----------------------------------------------


def test_a_filtered_path_is_a_key_of_a_value_without_a_path(scim: Scim):
    """libraries.md: "a filtered path as a key of a path-less value (200, and silently dropped)"."""
    kari = scim.create(userName="kari", emails=[{"type": "home", "value": "home@x.no"}])

    patched = scim.patch(
        kari,
        {
            "op": "replace",
            "value": {
                'emails[type eq "work"].value': "kari@x.no",
                'phoneNumbers[type eq "mobile"].value': "+47 987 65 432",
                "name.givenName": "Kari",
            },
        },
    )

    assert sent_part(patched.json) == {
        "userName": "kari",
        "emails": [{"type": "home", "value": "home@x.no"}, {"type": "work", "value": "kari@x.no"}],
        "phoneNumbers": [{"type": "mobile", "value": "+47 987 65 432"}],
        "name": {"givenName": "Kari"},
    }
    assert ("filtered-key", "emails[].value") in counted(scim)


@pytest.mark.parametrize("separator", [":", "."])
def test_a_key_has_its_schema_before_it_in_a_post(scim: Scim, separator: str):
    """libraries.md: "URN-dotted keys in a POST (dropped)"."""
    created = scim.create(
        userName="kari",
        **{
            f"{ENTERPRISE_URN}{separator}employeeNumber": "1042",
            f"{ENTERPRISE_URN}{separator}manager.value": "id-1",
            f"{DITIO_URN}{separator}birthDate": "1990-05-15",
            f"{CORE_URN}{separator}name.givenName": "Kari",
            "name.familyName": "Nordmann",
        },
    )

    assert created[ENTERPRISE_URN] == {"employeeNumber": "1042", "manager": {"value": "id-1"}}
    assert created[DITIO_URN] == {"birthDate": "1990-05-15"}
    assert created["name"] == {"givenName": "Kari", "familyName": "Nordmann"}
    assert set(created["schemas"]) == {CORE_URN, ENTERPRISE_URN, DITIO_URN}


@pytest.mark.parametrize("separator", [":", "."])
@pytest.mark.parametrize("is_key", [True, False])
def test_a_key_or_path_has_its_schema_before_it_in_a_patch(scim: Scim, separator: str, is_key: bool):
    """README: paths "such as urn:…:enterprise:2.0:User:employeeNumber", and "keys … dotted or URN-qualified"."""
    kari = scim.create(userName="kari")
    path = f"{ENTERPRISE_URN}{separator}employeeNumber"
    operation = {"op": "replace", "value": {path: "1042"}} if is_key else {"op": "Add", "path": path, "value": "1042"}

    assert scim.patch(kari, operation).json[ENTERPRISE_URN] == {"employeeNumber": "1042"}
    if separator == ".":
        assert ("dotted-urn", f"{ENTERPRISE_URN}:employeeNumber") in counted(scim)


# -- Types -------------------------------------------------------------


def test_a_number_arrives_where_text_is_declared(scim: Scim):
    """libraries.md: "a number where a string is declared (`employeeNumber: 1042` → 400)"."""
    kari = scim.create(userName="kari", **{ENTERPRISE_URN: {"employeeNumber": 1042}, DITIO_URN: {"payroll": 1}})
    assert kari[ENTERPRISE_URN] == {"employeeNumber": "1042"}
    assert kari[DITIO_URN] == {"payroll": "1"}

    path = f"{ENTERPRISE_URN}:employeeNumber"
    assert scim.patch(kari, {"op": "Replace", "path": path, "value": 1043}).json[ENTERPRISE_URN] == {
        "employeeNumber": "1043"
    }
    assert ("number-for-text", path) in counted(scim)


def test_a_list_of_one_stands_around_a_single_value(scim: Scim):
    """libraries.md: "one-element lists around a scalar"."""
    kari = scim.create(userName=["kari"], displayName=[{"value": "Kari"}], active=["True"])
    assert sent_part(kari) == {"userName": "kari", "displayName": "Kari", "active": True}

    patched = scim.patch(kari, {"op": "Replace", "path": "title", "value": ["Fører"]})
    assert patched.json["title"] == "Fører"
    assert {("list-for-single", "userName"), ("list-for-single", "title")} <= counted(scim)


@pytest.mark.parametrize(("text", "meant"), [("True", True), ("False", False), ("true", True), ("FALSE", False)])
def test_a_boolean_arrives_as_text(scim: Scim, text: str, meant: bool):
    """README: "`active` as the **string** "False"/"True""; it is answered as a boolean."""
    assert scim.create(userName="ola", active=text)["active"] is meant
    kari = scim.create(userName="kari", active=not meant)

    assert scim.patch(kari, {"op": "Replace", "path": "active", "value": text}).json["active"] is meant
    found = scim.send("GET", "/Users", query_string={"filter": f"active eq {str(meant).lower()}"}).json
    assert found["totalResults"] == 2


# -- Schemas -----------------------------------------------------------


def test_schemas_that_are_not_served_are_taken_out(scim: Scim):
    """libraries.md: "unknown URNs echoed in `schemas` (strip them)"; Entra's groups name one of Active Directory's."""
    unknown = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
    group = scim.send("POST", "/Groups", json={"schemas": [GROUP_URN, unknown], "displayName": "Crew"}).json
    assert group["schemas"] == [GROUP_URN]

    user = scim.create(schemas=[CORE_URN, "urn:other:2.0:User"], userName="kari")
    assert user["schemas"] == [CORE_URN]
    assert scim.patch(user, {"op": "add", "path": "schemas", "value": ["urn:other"]}).json["schemas"] == [CORE_URN]
    assert {("unknown-schema", unknown), ("unknown-schema", "urn:other:2.0:User")} <= counted(scim)


def test_an_extension_is_sent_without_being_listed(scim: Scim):
    """README: "A custom extension's URN is **not** listed in `schemas` although its attributes are sent"."""
    sent = {"schemas": [CORE_URN, ENTERPRISE_URN], "userName": "kari", DITIO_URN: {"birthDate": "1990-05-15"}}

    created = scim.create(**sent)

    assert created[DITIO_URN] == {"birthDate": "1990-05-15"}
    assert DITIO_URN in created["schemas"]
    assert counted(scim) == {("unlisted-schema", DITIO_URN)}


# -- Refusals ----------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"userName": {"a": 1}},
        {"userName": "a", "active": "maybe"},
        {"userName": "a", "name": "Kari"},
        {"userName": "a", "emails": [5.5, ["x", "y"]]},
        {"userName": "a", "externalId": ["x", "y"]},
        {"userName": "a", ENTERPRISE_URN: "x"},
        {"userName": "a", DITIO_URN: ["x"]},
        {"schemas": [CORE_URN]},
    ],
)
def test_a_refusal_speaks_to_the_administrator(scim: Scim, body: dict[str, Any]):
    """libraries.md: "raw pydantic text in `detail`"; README: it "says which attribute, which value, and what to do"."""
    user = scim.create(userName="there already")
    answers = [scim.send("POST", "/Users", json=body)]
    values = {name: value for name, value in body.items() if name not in ("schemas", "userName")}
    answers += [scim.patch(user, {"op": "replace", "value": values})] if values else []

    for answer in answers:
        detail = answer.get_json(force=True)["detail"]
        assert answer.status_code == 400
        assert ": " in detail, detail
        for leak in ("Input should", "pydantic", "validation error", "type=", "Traceback", "scim2"):
            assert leak not in detail
    assert counted(scim) == {("unlisted-schema", CORE_URN)}


def test_a_taken_name_is_refused_by_attribute_and_value(scim: Scim):
    """libraries.md: "a 409 that names nothing"; README: "409 carries `scimType: uniqueness`"."""
    scim.create(userName="Kari@firma.no")

    answer = scim.send("POST", "/Users", json={"userName": "kari@FIRMA.no"})

    error = answer.get_json(force=True)
    assert (answer.status_code, error["scimType"]) == (409, "uniqueness")
    assert 'userName "kari@FIRMA.no"' in error["detail"]


def test_what_only_the_bridge_may_set_is_ignored(scim: Scim):
    """libraries.md: "A PATCH of a `readOnly` attribute is 400 (rule A6 wants it ignored)"."""
    kari = scim.create(userName="kari", **{DITIO_URN: {"deliveryState": "held"}})
    state = f"{DITIO_URN}:deliveryState"

    for operation in (
        {"op": "Replace", "path": state, "value": "delivered"},
        {"op": "Remove", "path": state},
        {"op": "replace", "value": {state: "delivered", "id": "other", "meta": {}, "groups": [{"value": "x"}]}},
        {"op": "replace", "path": DITIO_URN, "value": {"deliveryDetail": "x"}},
    ):
        assert scim.patch(kari, operation).json == kari
    assert {("read-only", state), ("read-only", "id"), ("read-only", "groups")} <= counted(scim)


def test_a_patch_without_operations_changes_nothing(scim: Scim):
    """A7: an empty list is tolerated and counted; the user, the version included, stays as it was."""
    kari = scim.create(userName="kari")

    answer = scim.patch(kari)

    assert (answer.status_code, answer.json) == (200, kari)
    assert scim.read(kari) == kari
    assert counted(scim) >= {("no-operations", "Operations")}
    assert scim.intake.told[-1][0] == "repeated"
    bulk = {"method": "PATCH", "path": f"/Users/{kari['id']}", "data": {"Operations": []}}
    assert scim.send("POST", "/Bulk", json={"Operations": [bulk]}).json["Operations"][0]["status"] == "200"


# -- Entries of lists --------------------------------------------------


@pytest.mark.parametrize("op", ["Add", "Replace"])
@pytest.mark.parametrize("listed", [True, False])
def test_an_entry_that_is_selected_may_come_in_a_list_of_one(scim: Scim, op: str, listed: bool):
    """A7: as for a single value; a list of several is no entry."""
    kari = scim.create(userName="kari", emails=[{"type": "home", "value": "home@x.no"}])
    work = 'emails[type eq "work"]'
    entry = {"type": "work", "value": "kari@x.no"}

    patched = scim.patch(kari, {"op": op, "path": work, "value": [entry] if listed else entry})
    assert patched.status_code == 200, patched.text
    assert patched.json["emails"] == [{"type": "home", "value": "home@x.no"}, entry]
    assert (("list-for-single", "emails[]") in counted(scim)) is listed
    same = scim.patch(kari, {"op": "replace", "value": {work: [entry] if listed else entry}})
    assert (same.status_code, same.json) == (200, patched.json)
    assert scim.patch(kari, {"op": op, "path": work, "value": [entry, entry]}).status_code == 400


@pytest.mark.parametrize("op", ["Add", "Replace"])
def test_an_entry_that_is_missing_is_created_and_filled(scim: Scim, op: str):
    """README: "a filtered path whose element is missing **creates** it; several ops with the same filter fill one"."""
    kari = scim.create(userName="kari", addresses=[{"type": "home", "locality": "Bergen"}])
    work = 'addresses[type eq "work"]'

    patched = scim.patch(
        kari,
        {"op": op, "path": f"{work}.streetAddress", "value": "Gate 1"},
        {"op": op, "path": f"{work}.locality", "value": "Oslo"},
        {"op": op, "path": f"{work}.country", "value": "NO"},
    )

    assert patched.json["addresses"] == [
        {"type": "home", "locality": "Bergen"},
        {"type": "work", "streetAddress": "Gate 1", "locality": "Oslo", "country": "NO"},
    ]
    assert ("entry-created", "addresses[]") in counted(scim)
    with scim.database.read("default") as s:
        rows = {each.kind: each.count for each in s.quirks.list()}
    assert rows["entry-created"] == 1


def test_a_remove_with_values_removes_only_those(scim: Scim):
    """README: "A Remove that carries a value list removes only those members"."""
    members = [{"value": each} for each in ("a", "b", "c")]
    group = scim.send("POST", "/Groups", json={"schemas": [GROUP_URN], "displayName": "Crew", "members": members}).json
    removal = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "b"}]}

    assert scim.send("PATCH", f"/Groups/{group['id']}", json={"Operations": [removal]}).status_code == 200

    left = scim.send("GET", f"/Groups/{group['id']}").json["members"]
    assert [each["value"] for each in left] == ["a", "c"]
    assert ("value-with-remove", "members") in counted(scim)


def test_roles_come_in_three_ways(scim: Scim):
    """README: "`roles[primary eq "True"].value`, or JSON text inside `value`, or a whole-list replace"."""
    kari = scim.create(userName="kari", roles=[])

    first = scim.patch(kari, {"op": "Add", "path": 'roles[primary eq "True"].value', "value": "Admin"})
    assert first.json["roles"] == [{"value": "Admin", "primary": True}]
    text = json.dumps({"id": "1", "value": "User", "displayName": "Bruker"})
    second = scim.patch(kari, {"op": "Replace", "path": 'roles[primary eq "True"].value', "value": text})
    assert second.json["roles"] == [{"value": text, "primary": True}]
    whole = [{"value": "a", "primary": "True"}, {"value": "b", "primary": "False"}]
    third = scim.patch(kari, {"op": "Replace", "path": "roles", "value": whole})
    assert third.json["roles"] == [{"value": "a", "primary": True}, {"value": "b", "primary": False}]
    assert ("text-for-boolean", "roles[].primary") in counted(scim)


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize("way", ["path", "key"])
def test_what_is_cleared_is_gone(scim: Scim, empty: str | None, way: str):
    """README: "Validators clear attributes with `""` and with `null`, and check that they are gone"."""
    kari = scim.create(
        userName="kari",
        title="x",
        active=True,
        nickName="y",
        profileUrl="https://x.no",
        **{DITIO_URN: {"payroll": "1"}},
    )
    paths = ("title", "active", "nickName", "profileUrl", f"{DITIO_URN}:payroll")

    operations = (
        [{"op": "Replace", "path": path, "value": empty} for path in paths]
        if way == "path"
        else [{"op": "replace", "value": dict.fromkeys(paths, empty)}]
    )

    assert sent_part(scim.patch(kari, *operations).json) == {"userName": "kari"}
    assert sent_part(scim.read(kari)) == {"userName": "kari"}


# -- Reading -----------------------------------------------------------


def test_the_test_of_a_connection_finds_no_one(scim: Scim):
    """README: it asks for a random GUID, "wants 200 and an empty ListResponse", and probes `/Groups` too."""
    for attribute in ("userName", "externalId"):
        answer = scim.send("GET", "/Users", query_string={"filter": f'{attribute} eq "{uuid4()}"'})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/scim+json"
        assert answer.json["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
        assert (answer.json["totalResults"], answer.json.get("Resources", [])) == (0, [])
    query = {"filter": f'displayName eq "{uuid4()}"', "excludedAttributes": "members"}
    for answer in (scim.send("GET", "/Groups"), scim.send("GET", "/Groups", query_string=query)):
        assert (answer.status_code, answer.json["totalResults"]) == (200, 0)


@pytest.mark.parametrize("parameters", ["aadOptscim062020", "aadOptscim062020=1&x=y&x=z", "api-version=1.0&=&&"])
def test_parameters_that_no_one_knows_are_ignored(scim: Scim, parameters: str):
    """README: "Unknown query parameters are ignored", on every method."""
    user = scim.send("POST", "/Users", json={"userName": "kari"}, query_string=parameters)
    assert user.status_code == 201
    assert (
        scim.patch(user.json, {"op": "add", "path": "title", "value": "x"}, query_string=parameters).status_code == 200
    )
    assert scim.send("GET", f"/Users/{user.json['id']}", query_string=parameters).status_code == 200
    found = scim.send("GET", "/Users", query_string=f'filter=userName+eq+"kari"&{parameters}')
    assert found.json["totalResults"] == 1
    assert scim.send("DELETE", f"/Users/{user.json['id']}", query_string=parameters).status_code == 204


@pytest.mark.parametrize("space", ["+", "%20"])
@pytest.mark.parametrize(
    "text",
    [
        'userName eq "Kari"',
        'USERNAME EQ "kari"',
        'UserName Eq "KARI"',
        'emails[type eq "work"].value eq "Kari@x.no"',
        'emails[TYPE Eq "work"].VALUE eq "kari@X.no"',
        'externalId eq "A-1"',
        'externalid eq "A-1" AND active EQ true',
    ],
)
def test_entras_filters_find_a_user_however_they_are_written(scim: Scim, text: str, space: str):
    """README: the filters in use; "attribute names and `op` are case-insensitive"; "arrives as `+` or `%20`"."""
    kari = scim.create(userName="Kari", externalId="A-1", active=True, emails=[{"type": "work", "value": "Kari@x.no"}])
    scim.create(userName="ola", externalId="a-1", emails=[{"type": "home", "value": "kari@x.no"}])

    found = scim.send("GET", "/Users", query_string=f"filter={text.replace(' ', space)}").json

    assert found["Resources"] == [kari]


def test_a_group_is_found_by_name_without_its_members(scim: Scim):
    """README: "for groups `displayName eq "x"` with `excludedAttributes=members`"."""
    scim.send("POST", "/Groups", json={"displayName": "Crew 1", "members": [{"value": "a"}]})

    found = scim.send("GET", "/Groups", query_string='excludedAttributes=members&filter=displayName+eq+"crew+1"').json

    assert [each["displayName"] for each in found["Resources"]] == ["Crew 1"]
    assert "members" not in found["Resources"][0]


def test_a_disabled_user_stays_readable(scim: Scim):
    """README: "Disabled users stay readable by id and by filter"; GETs carry no Content-Type; ids are strings."""
    kari = scim.create(userName="kari", active=True)
    scim.patch(kari, {"op": "Replace", "path": "active", "value": "False"})

    read = scim.send("GET", f"/Users/{kari['id']}")
    found = scim.send("GET", "/Users", query_string={"filter": 'userName eq "kari"'}).json

    assert "Content-Type" not in read.request.headers
    assert (read.status_code, read.json["active"]) == (200, False)
    assert found["Resources"] == [read.json]
    assert isinstance(read.json["id"], str)


# -- What must not be kept ---------------------------------------------


def test_a_password_is_neither_stored_nor_returned_nor_counted_with_its_value(scim: Scim):
    """A7: "A password is never stored"."""
    secret = "Hemmelig-1042"
    kari = scim.create(userName="kari", password=secret)
    answers = [
        scim.patch(kari, {"op": "Replace", "path": "password", "value": secret}),
        scim.patch(kari, {"op": "replace", "value": {"password": secret}}),
        scim.send("PUT", f"/Users/{kari['id']}", json={"userName": "kari", "password": secret}),
    ]

    assert all(secret not in answer.text and answer.status_code == 200 for answer in answers)
    assert secret not in str(kari)
    with scim.database.read() as s:
        assert secret not in str(s.connection.execute(select(resources)).all())
    assert {("unknown-attribute", "password")} <= counted(scim)
    assert secret not in str(counted(scim))
