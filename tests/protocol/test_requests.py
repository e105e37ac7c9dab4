"""Addresses, tenants and headers of requests."""

import logging

import pytest

from scim_bridge.domain.values import CERTIFICATE_URN
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.entra_calls import Tally

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("/scim/v2", "/Users/"),
        ("/scim/v2", "//Users"),
        ("/scim//v2/", "//Users//"),
        ("/tenants/default/scim/v2", "/Users"),
        ("/tenants/default//scim/v2", "/Users/"),
    ],
)
def test_doubled_and_trailing_slashes_are_accepted(scim, base, path):
    """A6: a redirect would lose the body of a POST."""
    response = scim.send("POST", path, base=base, json={"userName": "kari"})
    assert response.status_code == 201
    assert scim.send("GET", f"{path}/{response.json['id']}/", base=base).status_code == 200


def test_the_root_and_discovery_are_served(scim):
    """RFC 7644 §4, and a search of all resource types."""
    scim.create(userName="kari")
    for path in ("", "/"):
        assert scim.send("GET", path).json["totalResults"] == 1
    assert [each["id"] for each in scim.send("GET", "/Schemas").json["Resources"]] == [
        CORE_URN,
        "urn:ietf:params:scim:schemas:core:2.0:Group",
        CERTIFICATE_URN,
        ENTERPRISE_URN,
        DITIO_URN,
    ]
    schema = scim.send("GET", f"/Schemas/{DITIO_URN}").json
    assert [each["name"] for each in schema["attributes"] if each["mutability"] == "readOnly"] == [
        "deliveryState",
        "deliveryDetail",
        "deliveredAt",
    ]
    endpoints = [each["endpoint"] for each in scim.send("GET", "/ResourceTypes").json["Resources"]]
    assert endpoints == ["/Users", "/Groups", "/Certificates"]
    config = scim.send("GET", "/ServiceProviderConfig").json
    assert config["filter"] == {"supported": True, "maxResults": 50}
    assert config["meta"]["location"] == "https://bridge.example/scim/v2/ServiceProviderConfig"


def test_one_tenant_never_sees_anothers_resources(scim):
    """Another tenant's id is 404, and its names are free."""
    user = scim.create(userName="kari")
    other = "/tenants/other/scim/v2"

    assert scim.send("GET", f"/Users/{user['id']}", base=other).status_code == 404
    assert scim.send("DELETE", f"/Users/{user['id']}", base=other).status_code == 404
    assert scim.send("GET", "/Users", base=other, query_string={"filter": "userName pr"}).json["totalResults"] == 0
    created = scim.send("POST", "/Users", base=other, json={"userName": "KARI"})
    assert created.headers["Location"].startswith("https://bridge.example/tenants/other/scim/v2/Users/")


def test_addresses_come_from_the_settings(scim):
    """A6: never from `Host`."""
    response = scim.send("POST", "/Users", json={"userName": "kari"}, headers={"Host": "evil.example"})
    assert response.headers["Location"] == f"https://bridge.example/scim/v2/Users/{response.json['id']}"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("space", ["+", "%20"])
def test_a_space_in_a_filter_is_written_in_two_ways(scim, space):
    """And parameters that no one knows are ignored."""
    user = scim.create(userName="kari nordmann")
    query = f'filter=userName{space}eq{space}"Kari{space}Nordmann"&aadOptscim062020&other=1'
    assert scim.send("GET", "/Users", query_string=query).json["Resources"] == [user]


@pytest.mark.parametrize("name", ["filter", "Filter", "FILTER"])
def test_a_parameter_in_another_case_means_what_it_says(scim, name):
    """A7: a filter that is overlooked lists everyone, and Entra takes the first for the user that it looks for."""
    kari, _ = scim.create(userName="kari"), scim.create(userName="ola")

    found = scim.send("GET", "/Users", query_string={name: 'userName eq "kari"'})
    assert found.json["Resources"] == [kari]
    assert scim.send("GET", "/Users", query_string={name: 'shoeSize eq "42"'}).status_code == 400
    assert scim.send("GET", "/Schemas", query_string={name: "id pr"}).status_code == 403


def test_all_parameters_are_known_in_another_case(scim):
    """A7: of a list, of one resource, and in the body of a search."""
    for name in ("kari", "ola"):
        scim.create(userName=name, title="x")
    query = {"SortBy": "userName", "sortorder": "descending", "STARTINDEX": 2, "Count": 1, "Attributes": "userName"}

    page = scim.send("GET", "/Users", query_string=query).json
    assert [each["userName"] for each in page["Resources"]] == ["kari"]
    assert "title" not in page["Resources"][0]
    assert (page["startIndex"], page["totalResults"]) == (2, 2)
    assert scim.send("POST", "/Users/.search", json=query).json["Resources"] == page["Resources"]
    path = f"/Users/{page['Resources'][0]['id']}"
    assert "title" not in scim.send("GET", path, query_string={"excludedattributes": "title"}).json


@pytest.mark.parametrize(
    "query", ['filter=userName eq "kari"&Filter=userName eq "ola"', 'filter=title eq "x"&filter=title eq "y"']
)
def test_a_parameter_that_contradicts_itself_is_refused(scim, query):
    """A7: 400 rather than one of the two."""
    answer = scim.send("GET", "/Users", query_string=query)

    assert (answer.status_code, answer.json["scimType"]) == (400, "invalidValue")
    assert scim.send("GET", "/Users", query_string='filter=title eq "x"&Filter=title eq "x"').status_code == 200
    body = {"filter": 'userName eq "kari"', "Filter": 'userName eq "ola"'}
    assert scim.send("POST", "/Users/.search", json=body).status_code == 400


def test_a_head_request_is_a_get_without_its_body(scim):
    """Health checks ask so."""
    response = scim.send("HEAD", "/Users")
    assert (response.status_code, response.data) == (200, b"")


def test_a_search_by_post_writes_nothing(scim):
    """RFC 7644 §3.4.3, on a type and at the root."""
    user = scim.create(userName="kari")
    body = {"filter": 'userName eq "KARI"', "attributes": ["userName"]}
    for path in ("/Users/.search", "/.search"):
        found = scim.send("POST", path, json=body).json["Resources"]
        assert found == [{"schemas": [CORE_URN], "id": user["id"], "userName": "kari"}]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/.search", "/Users/.search", "/Groups/.search/"])
def test_a_search_takes_a_post_only(scim, method, path):
    """RFC 7644 §3.4.3: 405 with `Allow`; no resource has the id `.search`."""
    answer = scim.send(method, path, json=None if method in ("GET", "HEAD") else {})

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/Users/a%0Ab", "/%0A", "/Users%0A", "/Nothing%0Ahere/x"])
def test_a_path_with_a_line_feed_is_answered_as_any_other(scim, path):
    """A2, A3: a SCIM Error, not Flask's page; and 401 to a client without a credential."""
    answer = scim.send("GET", path)
    assert (answer.status_code, answer.json["schemas"]) == (404, [ERROR])
    scim.token = None
    for base in ("/scim/v2", "/tenants/default/scim/v2"):
        answer = scim.send("GET", path, base=base)
        assert (answer.status_code, answer.json["schemas"]) == (401, [ERROR])


def test_what_is_tolerated_is_logged_by_name_alone(scim, caplog):
    """A7: kinds and names, never values."""
    with caplog.at_level(logging.INFO):
        scim.create(userName="kari", shoeSize="a secret value", password="another")

    (line,) = [record.getMessage() for record in caplog.records if "scim.tolerated" in record.getMessage()]
    assert "unknown-attribute shoeSize" in line
    assert "secret value" not in caplog.text
    assert "another" not in caplog.text


def test_what_nearly_every_write_has_is_logged_once_in_a_while(scim, caplog):
    """A7: a line for each write of Entra's would hide all others; all are counted."""
    scim.tally = Tally(lambda: scim.seconds, 30.0)
    with caplog.at_level(logging.INFO):
        for name, seconds in (("kari", 0.0), ("ola", 20.0), ("per", 40.0)):
            scim.seconds = seconds
            scim.create(userName=name, shoeSize="42")
        scim.create(userName="eva", shoeSize="42", hatSize="7")

    lines = [record.getMessage() for record in caplog.records if "scim.tolerated" in record.getMessage()]
    assert [line.count("shoeSize") for line in lines] == [1, 1, 0]
    assert "hatSize" in lines[-1]
    with scim.database.write() as s:
        scim.tally.store(s, scim.tally.to_store())
    with scim.database.read("default") as s:
        counted = {each.name: each.count for each in s.quirks.list()}
    assert (counted["shoeSize"], counted["hatSize"]) == (4, 1)
