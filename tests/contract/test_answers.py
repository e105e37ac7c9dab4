"""What Entra really sends and the bridge really answers is what the file says.

The fixture `answers` collects everything that goes over the wire, and checks it when the story is over.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from scim_bridge.sandbox.entra import EntraGroup, SandboxEntra
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.scim.reading import DITIO_URN
from tests.contract.conftest import PUBLIC
from tests.protocol.exchanges import Exchange
from tests.world import BRIDGE, TOKEN, World, a_user

DIALECTS = ("default", "aadOptscim062020")
EXCHANGES = json.loads((Path(__file__).parents[1] / "samples" / "entra-exchanges.json").read_text())
ADDRESSES = (f"{BRIDGE}/scim/v2", f"{BRIDGE}/tenants/default/scim/v2")

Answers = list[requests.Response]


@pytest.fixture(params=ADDRESSES, ids=["default", "tenant"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=DIALECTS)
def entra(request: pytest.FixtureRequest, world: World, address: str) -> SandboxEntra:
    """Entra in both dialects, with either of the addresses that a company has."""
    world.entra = SandboxEntra(world.http, address, TOKEN, dialect=request.param)
    return world.entra


def statuses(answers: Answers) -> set[tuple[str, int]]:
    """Which methods were answered how."""
    return {(str(answer.request.method), answer.status_code) for answer in answers}


def test_a_user_from_test_connection_to_the_end(world: World, entra: SandboxEntra, answers: Answers):
    """Matched, created, changed, cleared, disabled, enabled, removed."""
    kari, ola = a_user(), a_user(object_id="5d1f3c0e-0000-4000-8000-000000001043", user_principal_name="ola@x.example")
    ola.employee_id, ola.mobile, ola.mail = "1043", "+47 912 34 567", "ola@x.example"

    assert entra.test_connection().ok
    world.provisions(kari)
    world.provisions(ola)
    world.changes(kari, surname="Hansen", department="Tunnel", mobile="+47 900 11 222", leave_date="2026-08-31")
    world.changes(kari, manager=ola.object_id)
    entra.clears(kari, "jobTitle")
    world.changes(kari, account_enabled=False)
    world.changes(kari, account_enabled=True, job_title="Anleggsleder")
    entra.provision(kari)
    world.user(kari)
    world.changes(ola, assigned=False)
    world.deletes(kari)

    assert statuses(answers) == {("GET", 200), ("POST", 201), ("PATCH", 200), ("DELETE", 204)}
    assert len(answers) > 15


def test_a_group_from_its_match_to_the_end(world: World, entra: SandboxEntra, answers: Answers):
    """Matched, created without members, filled, renamed, emptied, removed."""
    kari = a_user()
    group = EntraGroup("8aa1a0c0-e4c3-4bc0-b4a5-2ef676900159", "Anlegg Nord", [kari.object_id])
    entra.directory.add_group(group)
    world.provisions(kari)
    group.display_name = "Anlegg Sør"
    world.cycle()
    world.scim("GET", "/Groups?sortBy=displayName")
    world.scim("GET", "")
    group.members.clear()
    world.cycle()
    entra.directory.hard_delete(group.object_id)
    world.cycle()

    assert statuses(answers) == {("GET", 200), ("POST", 201), ("PATCH", 200), ("DELETE", 204)}


def test_people_whose_delivery_waits_or_failed(world: World, answers: Answers):
    """D3: `held`, `due` and `parked` are answered in the shape of `delivered`."""
    world.restarts_with(delivery={"on_refused": "park"})
    held = a_user(employee_id=None)
    world.provisions(held)
    parked = a_user(object_id="parked", user_principal_name="parked", mobile="+47 900 11 222", employee_id="1043")
    world.ditio.faults.plan(Fault(kind="status", status=422, method="POST", path="/employees"))
    world.provisions(parked)
    due = a_user(object_id="due", user_principal_name="due", mobile="+47 912 34 567", employee_id="1044")
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.provisions(due)

    assert [world.state(user)[0] for user in (held, parked, due)] == ["held", "parked", "due"]
    world.scim("GET", f'/Users?filter={DITIO_URN}:deliveryState eq "held"')
    assert answers[-1].json()["totalResults"] == 1


def test_published_exchanges(world: World, answers: Answers, subtests: pytest.Subtests):
    """Real traffic: a scenario's `title` says what it is about. Each begins with no one there."""

    def send(request: dict[str, Any]) -> tuple[int, Any, Any]:
        body = request.get("body")
        answer = world.http.request(
            request["method"],
            ADDRESSES[0] + request["path"],
            params=request.get("raw_query") or request.get("query"),
            headers=request.get("headers"),
            data=None if body is None else json.dumps(body),
        )
        return answer.status_code, answer.json() if answer.text else None, answer.headers

    for exchange in EXCHANGES:
        with subtests.test(exchange["id"]):
            Exchange(exchange, send).run()
        for left in world.scim("GET", "").json()["Resources"]:
            world.scim("DELETE", left["meta"]["location"].removeprefix(f"{PUBLIC}/scim/v2"))

    assert len(answers) > 100


def test_discovery(world: World, answers: Answers, address: str):
    """RFC 7644 §4; each resource names its own address, made from the public one (rule A6)."""
    world.http.get(f"{address}/ServiceProviderConfig")
    for collection in ("ResourceTypes", "Schemas"):
        for resource in world.http.get(f"{address}/{collection}").json()["Resources"]:
            own = world.http.get(f"{address}/{collection}/{resource['id']}")
            assert own.json() == resource
            assert own.headers["Content-Location"] == resource["meta"]["location"]
            assert resource["meta"]["location"] == f"{PUBLIC}{own.request.path_url}"

    assert statuses(answers) == {("GET", 200)}


def test_parts_of_resources(world: World, answers: Answers):
    """RFC 7644 §3.4.2.5 and §3.9: only what was asked for."""
    kari = world.scim("POST", "/Users", {"userName": "kari", "title": "x", "name": {"givenName": "Kari"}}).json()["id"]
    for query in ("attributes=userName,name.givenName", "excludedAttributes=meta,title", "attributes=meta"):
        for path in ("/Users", f"/Users/{kari}", ""):
            assert world.scim("GET", f"{path}?{query}").ok
    for query in ("startIndex=2", "count=0", "startIndex=-1&count=1&sortBy=userName&sortOrder=descending"):
        assert world.scim("GET", f"/Users?{query}").ok

    assert len(answers) == 13


def test_pages_by_cursor(world: World, answers: Answers):
    """RFC 9865 §2: there and back again, with a query and with a body."""
    for name in ("kari", "ola"):
        world.scim("POST", "/Users", {"userName": name})
    for path in ("/Users", ""):
        first = world.scim("GET", f"{path}?cursor=&count=1&sortBy=userName").json()
        asked = {"count": 1, "sortBy": "userName", "cursor": first["nextCursor"]}
        second = world.scim("POST", f"{path}/.search", asked).json()
        again = world.scim("GET", f"{path}?count=1&sortBy=userName&cursor={second['previousCursor']}").json()
        assert again["Resources"] == first["Resources"]
        assert world.scim("GET", f"{path}?count=2&sortBy=userName&cursor={first['nextCursor']}").status_code == 400

    assert len(answers) == 10


def test_a_bulk_request(world: World, answers: Answers):
    """RFC 7644 §3.7: results of every kind."""
    user = {"method": "POST", "bulkId": "x", "path": "/Users", "data": {"userName": "kari"}}
    circle = {"method": "POST", "path": "/Groups"}
    operations = [
        user,
        user,
        {**user, "bulkId": "y"},
        {**circle, "bulkId": "a", "data": {"displayName": "A", "members": [{"value": "bulkId:b"}]}},
        {**circle, "bulkId": "b", "data": {"displayName": "B", "members": [{"value": "bulkId:a"}]}},
        {"method": "PUT", "path": "/Users/bulkId:x", "data": {"userName": "Kari", "active": "True"}},
        {"method": "PATCH", "path": "/Users/bulkId:x", "data": {"Operations": [{"op": "Remove", "path": "active"}]}},
        {"method": "DELETE", "path": "/Users/bulkId:x", "version": 'W/"1"'},
        {"method": "DELETE", "path": "/Users/bulkId:x", "version": 'W/"3"'},
        {"method": "DELETE", "path": "/Users"},
        {"method": "DELETE", "path": "/Nothing/ \x00"},
        {"method": "PUT", "path": "/Nothing/x", "data": {}},
    ]
    results = world.scim("POST", "/Bulk", {"Operations": operations}).json()["Operations"]

    expected = ["201", "400", "409", "409", "409", "200", "200", "412", "204", "405", "400", "404"]
    assert [result["status"] for result in results] == expected


def test_every_attribute(world: World, answers: Answers):
    """RFC 7643 §4.1: all that a user may have, sent and answered; `groups` and `password` are ignored."""
    entry = {"value": "x", "display": "X", "type": "other", "primary": "True"}
    lists = ("emails", "phoneNumbers", "ims", "entitlements", "roles")
    texts = ("displayName", "nickName", "title", "userType", "preferredLanguage", "locale", "timezone")
    names = ("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")
    address = ("formatted", "streetAddress", "locality", "region", "postalCode", "country", "type")
    organisation = ("employeeNumber", "costCenter", "organization", "division", "department")
    work = ("birthDate", "employmentStartDate", "employmentEndDate", "payroll")
    user = {
        "userName": "kari",
        "externalId": "x",
        "password": "secret",
        "active": "False",
        "profileUrl": "https://example.com/kari",
        "name": dict.fromkeys(names, "x"),
        "photos": [{**entry, "value": "https://example.com/kari.png"}],
        "x509Certificates": [{**entry, "value": "QUJD"}],
        "addresses": [{**dict.fromkeys(address, "x"), "primary": True}],
        "groups": [{"value": "x"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            **dict.fromkeys(organisation, "x"),
            "manager": {"value": "x", "$ref": "Users/x"},
        },
        DITIO_URN: {**dict.fromkeys(work, "x"), "deliveryState": "x"},
        **dict.fromkeys(texts, "x"),
        **{name: [entry] for name in lists},
    }

    answer = world.scim("POST", "/Users", user)

    assert answer.status_code == 201
    assert set(user) - set(answer.json()) == {"password", "groups"}
    assert world.scim("PUT", f"/Users/{answer.json()['id']}", {**user, "title": "y"}).ok
    group = {"displayName": "x", "externalId": "x"}
    member = {"value": answer.json()["id"], "type": "User", "display": "x", "$ref": f"Users/{answer.json()['id']}"}
    assert world.scim("POST", "/Groups", {**group, "members": [member]}).status_code == 201


ERRORS: list[tuple[str, str, object, int]] = [
    ("GET", '/Users?filter=nickname2 eq "x"', None, 400),
    ("GET", "/Users?filter=userName eq x", None, 400),
    ("GET", "/Users?sortBy=nothing", None, 400),
    ("GET", "/Users?count=many", None, 400),
    ("GET", "/Users?sortOrder=up", None, 400),
    ("GET", "/Users?attributes=userName&excludedAttributes=title", None, 400),
    ("GET", "/Users/%00", None, 400),
    ("GET", "/Users/none", None, 404),
    ("GET", "/Schemas/none", None, 404),
    ("GET", "/ResourceTypes?filter=x", None, 403),
    ("POST", "/Users", [], 400),
    ("POST", "/Users", {}, 400),
    ("POST", "/Users", {"userName": ""}, 400),
    ("POST", "/Users", {"userName": "x", "active": "maybe"}, 400),
    ("POST", "/Users", {"userName": "x", "name": "Kari"}, 400),
    ("POST", "/Users", {"userName": "x", "emails": [["a@x.no"]]}, 400),
    ("POST", "/Users", {"userName": "x\x00"}, 400),
    ("POST", "/Users", {"userName": "KARI"}, 409),
    ("POST", "/Groups", {}, 400),
    ("PUT", "/Users/none", {"userName": "x"}, 404),
    ("PUT", "/Users/{kari}", {}, 400),
    ("PUT", "/Users/{kari}", {"userName": "ola"}, 409),
    ("PATCH", "/Users/none", {"Operations": [{"op": "remove", "path": "title"}]}, 404),
    ("PATCH", "/Users/{kari}", {}, 400),
    ("PATCH", "/Users/{kari}", {"Operations": [{"op": "remove", "path": "userName"}]}, 400),
    ("PATCH", "/Users/{kari}", {"Operations": [{"op": "remove"}]}, 400),
    ("PATCH", "/Users/{kari}", {"Operations": [{"op": "merge", "path": "title", "value": "x"}]}, 400),
    ("PATCH", "/Users/{kari}", {"Operations": [{"op": "add", "path": "emails[type eq", "value": "x"}]}, 400),
    ("PATCH", "/Users/{kari}", {"Operations": [{"op": "add", "path": 'emails[x eq "y"].value', "value": 1}]}, 400),
    ("PATCH", "/Users/{kari}", {"Operations": [{"op": "Replace", "path": "userName", "value": "OLA"}]}, 409),
    ("DELETE", "/Users/none", None, 404),
    ("POST", "/Users/.search", {"filter": "userName eq x"}, 400),
    ("POST", "/.search", {"cursor": "x"}, 400),
    ("GET", "/Users?cursor=&startIndex=1", None, 400),
    ("POST", "/Bulk", {"Operations": []}, 400),
    ("POST", "/Bulk", {"Operations": [{"method": "DELETE", "path": "/Users/none"}] * 101}, 413),
    ("GET", "/Me", None, 501),
]
"""Requests that go wrong, and their statuses."""


def test_errors(world: World, answers: Answers, subtests: pytest.Subtests):
    """RFC 7644 §3.12: every error is a SCIM Error, with a `detail` for the administrator."""
    kari, _ = (world.scim("POST", "/Users", {"userName": name}).json()["id"] for name in ("kari", "ola"))

    for method, path, body, status in ERRORS:
        with subtests.test(f"{method} {path}", body=body):
            assert world.scim(method, path.replace("{kari}", kari), body).status_code == status


def test_health(world: World, answers: Answers):
    """`/healthz`, and `/readyz` as loopback sees it."""
    world.provisions(a_user(employee_id=None))

    assert world.http.get(f"{BRIDGE}/healthz").ok
    assert world.http.get(f"{BRIDGE}/readyz").json()["outbox"]["default"]["held"] == 1


def test_another_company_is_unknown(world: World, answers: Answers):
    """A3: without a credential of its own, an unknown tenant is 401."""
    world.http.get(f"{BRIDGE}/tenants/other/scim/v2/Users")

    assert statuses(answers) == {("GET", 401)}
