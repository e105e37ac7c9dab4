"""What departs from the RFCs is tolerated **and** counted, and what no employee depends on costs no one his job."""

from typing import Any

import pytest

from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.entra_calls import Counted
from tests.protocol.conftest import Scim

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
KARI = {"schemas": [CORE_URN], "userName": "kari"}


def counts(scim: Scim, tenant: str = "default") -> dict[tuple[str, str], int]:
    """How often each kind and name was counted."""
    return {(each.kind, each.name): each.count for each in listed(scim, tenant)}


def listed(scim: Scim, tenant: str = "default") -> list[Counted]:
    with scim.database.read(tenant) as s:
        return s.quirks.list()


# -- Counting ----------------------------------------------------------


def test_each_write_that_is_committed_counts_once(scim: Scim):
    """A7: "ignored and counted by name", whichever method carried it; a repeated name within a write is one."""
    user = scim.create(**KARI, shoeSize=44)
    scim.send("PUT", f"/Users/{user['id']}", json={**KARI, "shoeSize": 45})
    twice = [{"op": "add", "path": "shoeSize", "value": number} for number in (46, 47)]
    scim.patch(user, *twice, {"op": "replace", "path": "title", "value": "x"})

    assert counts(scim) == {("unknown-attribute", "shoeSize"): 2, ("unknown-path", "shoeSize"): 1}


def test_a_patch_that_changes_nothing_counts_too(scim: Scim):
    """A7, A5: all that it named was left out, and the client is told 200."""
    user = scim.create(**KARI)

    assert scim.patch(user, {"op": "add", "path": "shoeSize", "value": 44}).json == user
    assert counts(scim) == {("unknown-path", "shoeSize"): 1}


def test_what_is_refused_is_not_counted(scim: Scim):
    """A2, A7: nothing of a request stays that was answered 4xx, whether it was read, applied or stored in vain."""
    user = scim.create(**KARI)
    other = scim.create(schemas=[CORE_URN], userName="ola")
    outdated = {"If-Match": 'W/"7"'}
    unknown = {"op": "add", "path": "shoeSize", "value": 44}

    answers = [
        scim.send("POST", "/Users", json={**KARI, "shoeSize": 44}),
        scim.send("POST", "/Users", json={"schemas": [CORE_URN], "userName": "", "shoeSize": 44}),
        scim.send("POST", "/Users", json={"schemas": [CORE_URN], "userName": "x", "active": "maybe", "shoeSize": 44}),
        scim.send("PUT", f"/Users/{other['id']}", json={**KARI, "shoeSize": 44}),
        scim.patch(user, unknown, headers=outdated),
        scim.patch(user, unknown, {"op": "replace", "path": "active", "value": "maybe"}),
        scim.patch({"id": "nobody"}, unknown),
    ]

    assert [answer.status_code for answer in answers] == [409, 400, 400, 409, 412, 400, 404]
    assert counts(scim) == {}
    # Nor is it counted with the next request.
    scim.patch(user, {"op": "replace", "path": "title", "value": "x"})
    assert counts(scim) == {}


def test_each_operation_of_a_bulk_request_counts_by_itself(scim: Scim):
    """A7 for `/Bulk`: what the operations that succeed departed in, and not what those that fail did."""
    user = scim.create(**KARI)
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "1", "data": {**KARI, "failed": 1}},
        {"method": "POST", "path": "/Users", "bulkId": "2", "data": {**KARI, "userName": "ola", "shoeSize": 1}},
        {"method": "PUT", "path": f"/Users/{user['id']}", "data": {**KARI, "shoeSize": 2}},
        {
            "method": "PATCH",
            "path": f"/Users/{user['id']}",
            "data": {"schemas": [PATCH], "Operations": [{"op": "Add", "path": "shoeSize", "value": 3}]},
        },
    ]

    answer = scim.send("POST", "/Bulk", json={"schemas": [BULK], "Operations": operations})

    assert [each["status"] for each in answer.json["Operations"]] == ["409", "201", "200", "200"]
    assert counts(scim) == {
        ("unknown-attribute", "shoeSize"): 2,
        ("unknown-path", "shoeSize"): 1,
        ("capital-operation", "Add"): 1,
    }


def test_no_value_is_kept(scim: Scim):
    """A7: "their values not kept": not what was ignored, and not what a filter in a path compares with."""
    secret = "kari.hemmelig@x.no"
    user = scim.create(**KARI, shoeSize=secret, **{f'emails[value eq "{secret}"].nothing': secret})
    scim.patch(user, {"op": "Replace", "path": f'emails[value eq "{secret}"].nothing', "value": secret})
    scim.patch(user, {"op": "Remove", "path": "emails", "value": [{"value": secret}]})

    assert ("unknown-path", "emails[].nothing") in counts(scim)
    assert secret not in str(listed(scim))


def test_a_tenant_counts_for_itself(scim: Scim):
    scim.send("POST", "/Users", base="/tenants/other/scim/v2", json={**KARI, "shoeSize": 44})

    assert counts(scim) == {}
    assert counts(scim, "other") == {("unknown-attribute", "shoeSize"): 1}


# -- Nobody is refused for the sake of a link --------------------------


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("profileUrl", "www.firma.no/kari", "text-for-reference"),
        ("profileUrl", "ikke oppgitt", "text-for-reference"),
        ("photos", [{"value": "kari.jpg", "type": "photo"}], "text-for-reference"),
        ("x509Certificates", [{"value": "-----BEGIN CERTIFICATE-----\nMIIB\n"}], "text-for-binary"),
        ("x509Certificates", [{"value": "A A="}], "text-for-binary"),
        ("preferredLanguage", "norsk bokmål", None),
        ("locale", "nb_NO.UTF-8", None),
        ("timezone", "W. Europe Standard Time", None),
        ("addresses", [{"country": "Norge", "postalCode": "0150", "type": "Hjemme"}], None),
        ("ims", [{"value": "kari", "type": "teams"}], None),
        ("entitlements", [{"value": '{"a": 1}', "type": "x", "primary": True}], None),
        (DITIO_URN, {"employmentEndDate": "30.09.2026 12:00:00", "birthDate": "2026-09-30T23:59:59.9999999Z"}, None),
    ],
)
def test_a_value_comes_back_as_it_was_sent_whatever_it_is_good_for(scim: Scim, name: str, value: Any, kind: str | None):
    """A6, and A7 where it departs: in a POST, in a PATCH, and after it was read from the database."""
    created = scim.create(schemas=[CORE_URN, DITIO_URN], userName="kari", **{name: value})
    other = scim.create(schemas=[CORE_URN], userName="ola")
    patched = scim.patch(other, {"op": "replace", "path": name, "value": value})

    assert patched.status_code == 200, patched.text
    assert created[name] == patched.json[name] == scim.read(created)[name] == scim.read(other)[name] == value
    assert {each for each, _ in counts(scim)} - {"schema-path"} == ({kind} if kind else set())


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("preferredLanguage", ["nb", "en"], None),
        ("locale", {"country": "NO"}, None),
        ("timezone", ["Europe/Oslo", "UTC"], None),
        ("profileUrl", {"a": 1}, None),
        ("addresses", "Storgata 1, 0150 Oslo", None),
        ("addresses", ["Storgata 1", {"locality": "Oslo"}], [{"locality": "Oslo"}]),
        ("addresses", [{"locality": {"name": "Oslo"}, "country": "NO"}], [{"country": "NO"}]),
        ("x509Certificates", [{"value": {"pem": "x"}, "display": "x"}], [{"display": "x"}]),
        ("ims", [{"value": ["a", "b"], "type": "teams"}], [{"type": "teams"}]),
        ("entitlements", [{"value": "x", "primary": "kanskje"}], [{"value": "x"}]),
        ("emails", [{"value": "a@x.no", "primary": "kanskje"}], [{"value": "a@x.no"}]),
        ("phoneNumbers", [{"value": "1", "display": {"a": 1}}], [{"value": "1"}]),
    ],
)
def test_a_value_that_cannot_be_used_is_left_out_instead_of_the_person(scim: Scim, name: str, value: Any, left: Any):
    """A7: no employee depends on it, so he is served without it, and it is counted; a PATCH changes nothing else."""
    created = scim.create(**KARI, **{name: value})
    assert created.get(name) == left
    other = scim.create(schemas=[CORE_URN], userName="ola", title="x")

    patched = scim.patch(
        other, {"op": "replace", "path": name, "value": value}, {"op": "replace", "path": "title", "value": "y"}
    )

    assert patched.status_code == 200, patched.text
    assert (patched.json.get(name), patched.json["title"]) == (left, "y")
    assert {kind for kind, _ in counts(scim)} - {"single-for-list"} == {"unusable-value"}


def test_a_value_that_cannot_be_used_does_not_clear_the_one_that_is_there(scim: Scim):
    """A7: ignored is not cleared."""
    user = scim.create(**KARI, timezone="Europe/Oslo", addresses=[{"locality": "Oslo"}])

    patched = scim.patch(
        user,
        {"op": "replace", "path": "timezone", "value": ["a", "b"]},
        {"op": "replace", "value": {"addresses": "Storgata 1"}},
    )

    assert patched.json == user


@pytest.mark.parametrize("name", ["emails", "phoneNumbers", "roles", "addresses"])
def test_of_several_primary_entries_the_first_stays_so(scim: Scim, name: str):
    """RFC 7643 §2.4: one at most; the person is not refused for it, and no entry is lost."""
    part = "locality" if name == "addresses" else "value"
    several = [{part: "a", "primary": True}, {part: "b", "primary": "True"}, {part: "c"}]
    one = [{part: "a", "primary": True}, {part: "b", "primary": False}, {part: "c"}]
    other = scim.create(schemas=[CORE_URN], userName="ola")

    assert scim.create(**KARI, **{name: several})[name] == one
    assert scim.patch(other, {"op": "replace", "path": name, "value": several}).json[name] == one
    assert counts(scim)["several-primary", name] == 2


def test_keys_that_are_paths_mark_one_primary_entry_only(scim: Scim):
    """RFC 7643 §2.4, where each entry is marked by a key of its own."""
    keys = {f'emails[type eq "{kind}"].{part}': value for kind in ("home", "work") for part, value in _marked(kind)}

    assert scim.create(**KARI, **keys)["emails"] == [
        {"type": "home", "value": "home@x.no", "primary": True},
        {"type": "work", "value": "work@x.no", "primary": False},
    ]


def _marked(kind: str) -> list[tuple[str, str]]:
    return [("value", f"{kind}@x.no"), ("primary", "True")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("active", "kanskje"),
        ("name", "Kari"),
        ("title", ["a", "b"]),
        ("emails", [["a@x.no"]]),
        (ENTERPRISE_URN, {"employeeNumber": {"number": 1042}}),
    ],
)
def test_what_an_employee_is_made_of_is_refused_if_it_cannot_be_used(scim: Scim, name: str, value: Any):
    """A7: left out, it would hire a person under no number, or keep a leaver's login: the client is told."""
    answer = scim.send("POST", "/Users", json={**KARI, name: value})

    assert answer.status_code == 400
    assert name.rpartition(":")[2] in answer.get_json(force=True)["detail"] or "employeeNumber" in answer.text
    assert scim.rows() == 0


def test_the_schema_says_what_the_rfc_says(scim: Scim):
    """RFC 7643 §8.7.1: kept as text, declared as a reference and as binary."""
    schema = scim.send("GET", f"/Schemas/{CORE_URN}").json
    attributes = {each["name"]: each for each in schema["attributes"]}
    parts = {
        name: next(each for each in attributes[name]["subAttributes"] if each["name"] == "value")
        for name in ("photos", "x509Certificates")
    }

    assert (attributes["profileUrl"]["type"], attributes["profileUrl"]["referenceTypes"]) == ("reference", ["external"])
    assert (parts["photos"]["type"], parts["photos"]["referenceTypes"]) == ("reference", ["external"])
    assert parts["x509Certificates"]["type"] == "binary"


def test_a_link_is_found_by_what_was_sent(scim: Scim):
    """RFC 7643 §2.3.7: references compare exactly."""
    user = scim.create(**KARI, profileUrl="www.firma.no/Kari")

    for text, found in (("www.firma.no/Kari", [user]), ("www.firma.no/kari", [])):
        answer = scim.send("GET", "/Users", query_string={"filter": f'profileUrl eq "{text}"'})
        assert answer.json.get("Resources", []) == found
