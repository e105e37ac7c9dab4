"""Resources over HTTP: what is sent comes back, and what Entra does to it is done."""

import json

import pytest
from sqlalchemy import select

from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.tables import resources

MANAGER = f"{ENTERPRISE_URN}:manager"


def without(resource, *names):
    """A resource without some attributes."""
    return {name: value for name, value in resource.items() if name not in names}


def test_values_come_back_as_they_were_sent(scim):
    """A6."""
    sent = {
        "schemas": [CORE_URN, ENTERPRISE_URN, DITIO_URN],
        "userName": "Kåre.Ås@FIRMA.local",
        "externalId": " A-1 ",
        "displayName": "A\u030ase \U0001f600",
        "title": "",
        "active": True,
        "name": {"givenName": " Kåre", "familyName": "Ås"},
        "emails": [
            {"value": "Kari@FIRMA.Local", "type": "Work", "primary": True},
            {"value": "not an address", "type": "home"},
            {"value": "", "type": "other"},
        ],
        "phoneNumbers": [{"value": "+47 987 65 432", "type": "mobile"}, {"value": "tel: 1", "type": "work"}],
        "roles": [{"value": '{"id":"1"}', "type": "x"}],
        ENTERPRISE_URN: {"employeeNumber": "0042", "department": "Anlegg", "manager": {"value": "id-1"}},
        DITIO_URN: {"birthDate": "15.05.1990", "employmentEndDate": "2022-09-30T23:59:59Z", "payroll": "01"},
    }
    answered = scim.create(**sent)

    assert without(answered, "id", "meta") == sent
    assert scim.read(answered) == answered
    assert answered["meta"]["location"] == f"https://bridge.example/scim/v2/Users/{answered['id']}"
    assert answered["meta"]["version"] == 'W/"1"'


def test_the_stored_document_has_nothing_of_the_bridges_own(scim):
    """A7: a password is never stored; id, meta and delivery are not the document's."""
    user = scim.create(userName="kari", password="secret", id="x", **{DITIO_URN: {"deliveryState": "held"}})

    assert "password" not in user
    assert DITIO_URN not in user["schemas"]
    with scim.database.read() as s:
        row = s.connection.execute(select(resources)).one()
    assert json.loads(row.document) == {"schemas": [CORE_URN], "userName": "kari"}
    assert "secret" not in str(row)
    assert scim.patch(user, {"op": "replace", "path": "password", "value": "secret"}).json == user


def test_put_replaces_the_whole_resource(scim):
    """RFC 7644 §3.5.1: what is left out is cleared; `id` and `meta` stay the bridge's."""
    user = scim.create(userName="kari", title="Old", **{ENTERPRISE_URN: {"department": "x"}})

    response = scim.send("PUT", f"/Users/{user['id']}", json={"id": "other", "userName": "Kari", "nickName": "K"})

    assert response.status_code == 200
    assert without(response.json, "meta") == {
        "schemas": [CORE_URN],
        "id": user["id"],
        "userName": "Kari",
        "nickName": "K",
    }
    assert response.json["meta"]["version"] == 'W/"2"'
    assert response.headers["ETag"] == 'W/"2"'
    assert scim.read(user) == response.json


def test_entras_patches_are_applied(scim):
    """Many shapes, one after the other; the whole resource is answered."""
    user = scim.create(userName="kari", emails=[{"value": "old@x.no", "type": "work", "primary": True}])

    answered = scim.patch(
        user,
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "1"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].primary', "value": "True"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "New@x.no"},
        {"op": "Add", "path": MANAGER, "value": "id-1"},
        {"op": "Add", "path": f"{ENTERPRISE_URN}:employeeNumber", "value": 1042},
        {"op": "Add", "path": f"{DITIO_URN}:birthDate", "value": "1990-05-15"},
        {"op": "replace", "value": {"name.givenName": "Kari", f"{ENTERPRISE_URN}:department": "Anlegg"}},
        {"op": "Add", "path": "shoeSize", "value": 44},
        query_string="aadOptscim062020",
    )

    assert answered.status_code == 200
    assert answered.json == scim.read(user)
    assert without(answered.json, "id", "meta") == {
        "schemas": [CORE_URN, ENTERPRISE_URN, DITIO_URN],
        "userName": "kari",
        "active": False,
        "name": {"givenName": "Kari"},
        "emails": [{"value": "New@x.no", "type": "work", "primary": True}],
        "phoneNumbers": [{"value": "1", "type": "mobile", "primary": True}],
        ENTERPRISE_URN: {"employeeNumber": "1042", "department": "Anlegg", "manager": {"value": "id-1"}},
        DITIO_URN: {"birthDate": "1990-05-15"},
    }


@pytest.mark.parametrize("empty", ["", None])
def test_cleared_attributes_are_gone(scim, empty):
    """Validators clear with `""` and null, and check."""
    user = scim.create(
        userName="kari",
        title="x",
        name={"givenName": "Kari", "familyName": "N"},
        emails=[{"value": "a@x.no", "type": "work"}],
        phoneNumbers=[{"value": "1", "type": "work"}],
        **{ENTERPRISE_URN: {"department": "x", "manager": {"value": "id-1"}}},
    )
    answered = scim.patch(
        user,
        {"op": "Replace", "path": "title", "value": empty},
        {"op": "Replace", "path": "name.givenName", "value": empty},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": empty},
        {"op": "Add", "path": "phoneNumbers", "value": empty},
        {"op": "Add", "path": MANAGER, "value": empty},
        {"op": "replace", "value": {f"{ENTERPRISE_URN}:department": empty}},
    ).json

    assert without(answered, "id", "meta", "schemas") == {
        "userName": "kari",
        "name": {"familyName": "N"},
        "emails": [{"type": "work"}],
    }
    found = scim.send("GET", "/Users", query_string={"filter": 'emails[type eq "work"].value eq "a@x.no"'})
    assert found.json["totalResults"] == 0


def test_a_patch_may_be_answered_with_nothing(scim):
    """`SCIM__PATCH_STATUS` 204; attributes that are asked for are answered all the same."""
    scim.patch_status = 204
    user = scim.create(userName="kari")

    response = scim.patch(user, {"op": "add", "path": "title", "value": "x"})
    assert (response.status_code, response.data) == (204, b"")
    assert response.headers["ETag"] == 'W/"2"'
    assert "Content-Type" not in response.headers
    asked = scim.patch(user, {"op": "add", "path": "title", "value": "y"}, query_string={"attributes": "title"})
    assert asked.status_code == 200
    assert asked.json["title"] == "y"


def test_an_outdated_version_changes_nothing(scim):
    """RFC 7644 §3.14: 412 for a write, 304 for a read."""
    user = scim.create(userName="kari")
    scim.patch(user, {"op": "add", "path": "title", "value": "x"})
    old, new = {"If-Match": 'W/"1"'}, {"If-Match": 'W/"2"'}

    assert scim.patch(user, {"op": "add", "path": "title", "value": "y"}, headers=old).status_code == 412
    assert scim.send("DELETE", f"/Users/{user['id']}", headers=old).status_code == 412
    assert scim.send("GET", f"/Users/{user['id']}", headers={"If-None-Match": 'W/"2"'}).status_code == 304
    assert scim.patch(user, {"op": "add", "path": "title", "value": "y"}, headers=new).status_code == 200


def test_a_page_is_bounded_and_counts_all(scim):
    """RFC 7644 §3.4.2.4; `count` is cut to the largest page."""
    for number in range(60):
        scim.create(userName=f"user-{number:02}")

    first = scim.send("GET", "/Users", query_string={"sortBy": "userName", "count": "1000"}).json
    rest = scim.send("GET", "/Users", query_string={"sortBy": "userName", "startIndex": "51"}).json
    assert (first["totalResults"], first["itemsPerPage"], rest["itemsPerPage"]) == (60, 50, 10)
    names = [user["userName"] for user in first["Resources"] + rest["Resources"]]
    assert names == [f"user-{number:02}" for number in range(60)]
    beyond = scim.send("GET", "/Users", query_string={"startIndex": "100"}).json
    assert (beyond["totalResults"], beyond["itemsPerPage"]) == (60, 0)
    assert scim.send("GET", "/Users", query_string={"count": "0"}).json["totalResults"] == 60


def test_a_group_is_kept_and_reaches_no_intake(scim):
    """Groups are kept and served like any resource, and go nowhere."""
    group = scim.send("POST", "/Groups", json={"displayName": "Crew", "members": [{"value": "a"}, {"value": "b"}]}).json
    path = f"/Groups/{group['id']}"
    removal = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "a"}]}

    assert scim.send("PATCH", path, json={"Operations": [removal]}).status_code == 200
    assert scim.send("GET", path).json["members"] == [{"value": "b"}]
    added = {"op": "Add", "path": "members", "value": [{"value": "c", "$ref": "Users/c"}]}
    assert scim.send("PATCH", path, json={"Operations": [added]}).status_code == 200
    members = scim.send("GET", path).json["members"]
    assert members[1] == {"value": "c", "$ref": "https://bridge.example/scim/v2/Users/c"}
    found = scim.send("GET", "/Groups", query_string='filter=displayName+eq+"CREW"&excludedAttributes=members').json
    assert without(found["Resources"][0], "meta") == without(group, "meta", "members")
    assert scim.send("DELETE", path).status_code == 204
    assert scim.intake.told == []
