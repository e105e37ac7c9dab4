"""Names without a schema: Microsoft's documents write `manager`, where RFC 7644 §3.10 wants the extension's URN."""

from typing import Any

import pytest

from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN
from tests.protocol.conftest import Scim
from tests.protocol.test_left_overs import counted

BOSS = "5d2a3a0e-0000-4000-8000-000000000001"


def found(scim: Scim, text: str, path: str = "/Users") -> list[str]:
    answer = scim.send("GET", path, query_string={"filter": text})
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json["Resources"]]


@pytest.mark.parametrize("manager", [BOSS, {"value": BOSS}, {"$ref": f"../Users/{BOSS}", "value": BOSS}])
@pytest.mark.parametrize("is_list", [False, True])
def test_the_path_manager_means_the_one_that_the_enterprise_extension_declares(scim: Scim, manager: Any, is_list: bool):
    """A7: as Microsoft's documents write it; an object, a bare id, or an array of one reference."""
    kari = scim.create(userName="kari")

    patched = scim.patch(kari, {"op": "Add", "path": "manager", "value": [manager] if is_list else manager})

    assert patched.status_code == 200, patched.text
    assert patched.json[ENTERPRISE_URN]["manager"]["value"] == BOSS
    assert ("short-name", f"{ENTERPRISE_URN}:manager") in counted(scim)
    assert ("unknown-path", "manager") not in counted(scim)
    removed = scim.patch(kari, {"op": "Remove", "path": "manager"})
    assert ENTERPRISE_URN not in removed.json


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Replace", "path": "employeeNumber", "value": "1042"},
        {"op": "replace", "value": {"EmployeeNumber": "1042"}},
    ],
)
def test_a_path_and_a_key_without_a_schema_mean_the_one_that_declares_them(scim: Scim, operation: Any):
    """A7: in a PATCH, whether as a path or as a key that is one."""
    kari = scim.create(userName="kari")

    assert scim.patch(kari, operation).json[ENTERPRISE_URN] == {"employeeNumber": "1042"}


def test_a_key_of_a_post_without_a_schema_means_the_one_that_declares_it(scim: Scim):
    """A7: a number is not lost for want of a URN; what only the bridge writes stays ignored."""
    created = scim.create(userName="kari", employeeNumber="1042", birthDate="1990-05-15", deliveryState="delivered")

    assert created[ENTERPRISE_URN] == {"employeeNumber": "1042"}
    assert created[DITIO_URN] == {"birthDate": "1990-05-15"}


def test_what_no_schema_declares_stays_unknown(scim: Scim):
    """A7: ignored and counted by name, in a path; 400 in a filter."""
    kari = scim.create(userName="kari")

    assert scim.patch(kari, {"op": "Add", "path": "shoeSize", "value": "42"}).json == kari
    assert ("unknown-path", "shoeSize") in counted(scim)
    assert scim.send("GET", "/Users", query_string={"filter": 'shoeSize eq "42"'}).status_code == 400
    within = scim.send("GET", "/Users", query_string={"filter": 'emails[employeeNumber eq "42"]'})
    assert within.status_code == 400


@pytest.mark.parametrize("name", ["manager", "Manager", f"{ENTERPRISE_URN}:manager", "manager.value"])
def test_a_user_is_found_by_the_manager(scim: Scim, name: str):
    """A7: `id eq "…" and manager eq "…"`, with which Entra asks whether a reference is there."""
    kari = scim.create(userName="kari", **{ENTERPRISE_URN: {"manager": {"value": BOSS}}})
    scim.create(userName="ola")

    assert found(scim, f'{name} eq "{BOSS}"') == [kari["id"]]
    assert found(scim, f'id eq "{kari["id"]}" and {name} eq "{BOSS}"') == [kari["id"]]
    assert found(scim, f'id eq "{kari["id"]}" and {name} eq "another"') == []
    assert found(scim, f'not ({name} ne "{BOSS}")', path="/") == [kari["id"]]
    assert found(scim, f"{name} pr") == [kari["id"]]
    assert scim.send("POST", "/Users/.search", json={"filter": f'{name} eq "{BOSS}"'}).json["totalResults"] == 1


def test_at_the_root_a_name_belongs_to_a_person_who_declares_it_without_a_schema(scim: Scim):
    """A7: `employeeNumber` is a certificate's own; of users it needs the URN where both are searched."""
    scim.create(userName="kari", **{ENTERPRISE_URN: {"employeeNumber": "1042"}})

    assert len(found(scim, 'employeeNumber eq "1042"')) == 1
    assert found(scim, 'employeeNumber eq "1042"', path="/") == []


def test_users_are_sorted_and_shown_by_a_name_without_a_schema(scim: Scim):
    """A7: `sortBy`, `attributes` and `excludedAttributes` name attributes too."""
    for name, number in (("kari", "2"), ("ola", "1")):
        scim.create(userName=name, **{ENTERPRISE_URN: {"employeeNumber": number, "department": "Anlegg"}})

    page = scim.send("GET", "/Users", query_string={"sortBy": "employeeNumber", "attributes": "userName,department"})

    assert [each["userName"] for each in page.json["Resources"]] == ["ola", "kari"]
    assert [each[ENTERPRISE_URN] for each in page.json["Resources"]] == [{"department": "Anlegg"}] * 2
    one = scim.send(
        "GET", f"/Users/{page.json['Resources'][0]['id']}", query_string={"excludedAttributes": "department"}
    )
    assert one.json[ENTERPRISE_URN] == {"employeeNumber": "1"}
