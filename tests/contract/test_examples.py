"""The examples of the file are true: what is sent is taken, what is answered are the bridge's own words."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from scim_bridge.certificates.sources import CertificateSources, Stored
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.certificate import Certificate, Source, type_of
from scim_bridge.domain.employee import EmployeeNumber
from tests.contract.broken import answered_by, with_a_fault, without_database
from tests.contract.openapi import JSON, Operation, read
from tests.world import BRIDGE, World, day

# The words are the same on both databases, which the stories of `test_answers` show.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CONTRACT = read()
SENT = [(operation, name) for operation in CONTRACT.operations() for name in CONTRACT.bodies(operation)]
CREATE, CREATE_GROUP, CREATE_CERTIFICATE = (
    next(operation for operation in CONTRACT.operations() if str(operation) == f"POST /scim/v2/{collection}")
    for collection in ("Users", "Groups", "Certificates")
)
CREATE_IN = {"Users": CREATE, "Groups": CREATE_GROUP, "Certificates": CREATE_CERTIFICATE}
FILTERS = [
    (collection, name, each["value"])
    for collection, parameter in (("Users", "Filter"), ("Groups", "GroupFilter"), ("Certificates", "CertificateFilter"))
    for name, each in CONTRACT.at(f"#/components/parameters/{parameter}")["examples"].items()
]


def created(world: World, operation: Operation, name: str) -> requests.Response:
    """The answer to an example of a new resource."""
    return world.scim("POST", operation.path.removeprefix("/scim/v2"), CONTRACT.bodies(operation)[name])


@pytest.mark.parametrize(("operation", "name"), SENT, ids=[f"{operation} {name}" for operation, name in SENT])
def test_what_is_sent_is_taken(world: World, operation: Operation, name: str):
    """A request that is copied from the file succeeds."""
    path = operation.path.removeprefix("/scim/v2")
    if path.endswith("{id}"):
        create = CREATE_IN[path.split("/")[1]]
        path = path.replace("{id}", created(world, create, next(iter(CONTRACT.bodies(create)))).json()["id"])
        assert world.scim("GET", path).ok

    answer = world.scim(operation.method, path, CONTRACT.bodies(operation)[name])

    assert answer.ok, answer.text
    assert CONTRACT.problems(answer) == []


@pytest.mark.parametrize(("collection", "name", "text"), FILTERS, ids=[f"{each[0]} {each[1]}" for each in FILTERS])
def test_a_filter_finds_what_it_says(world: World, collection: str, name: str, text: str):
    """Matching finds the example's user, group or certificate; Test Connection finds no one."""
    new = [(CREATE, "newUser"), (CREATE, "incomplete"), (CREATE_GROUP, "newGroup")]
    for operation, example in (*new, (CREATE_CERTIFICATE, "newCertificate")):
        created(world, operation, example)

    found = world.http.get(f"{BRIDGE}/scim/v2/{collection}", params={"filter": text}).json()

    assert found["totalResults"] == (0 if name == "testConnection" else 1)


@pytest.mark.parametrize(
    ("operation", "sent", "answered"),
    [
        (CREATE, "newUser", "delivered"),
        (CREATE, "incomplete", "held"),
        (CREATE_GROUP, "newGroup", "created"),
        (CREATE_CERTIFICATE, "newCertificate", "created"),
    ],
    ids=["delivered", "held", "group", "certificate"],
)
def test_a_new_resource_is_answered_as_the_example_says(world: World, operation: Operation, sent: str, answered: str):
    """Word for word, but for the id."""
    example = operation.document["responses"]["201"]["content"][JSON]["examples"][answered]["value"]

    answer = created(world, operation, sent).json()

    assert json.loads(json.dumps(answer).replace(answer["id"], example["id"])) == example


def test_a_bulk_request_is_answered_as_the_example_says(world: World):
    """Word for word, but for the ids of what was created."""
    operation = next(each for each in CONTRACT.operations() if each.path.endswith("/Bulk"))
    example = operation.document["responses"]["200"]["content"][JSON]["examples"]["teamAndMember"]["value"]

    answer = world.scim("POST", "/Bulk", CONTRACT.bodies(operation)["teamAndMember"]).json()

    for result, shown in zip(answer["Operations"], example["Operations"], strict=True):
        kept = shown["location"].rpartition("/")
        result["location"] = f"{result['location'].rpartition('/')[0]}/{kept[2]}"
    assert answer == example


@pytest.mark.parametrize("path", ["/scim/v2/ServiceProviderConfig", "/scim/v2/ResourceTypes"])
def test_discovery_is_answered_as_the_example_says(world: World, path: str):
    """Word for word, with the default settings."""
    content = CONTRACT.document["paths"][path]["get"]["responses"]["200"]["content"][JSON]

    assert world.http.get(BRIDGE + path).json() == content["example"]


Asks = Callable[[World], requests.Response]


def posts(body: object) -> Asks:
    return lambda world: world.scim("POST", "/Users", body)


def patches(body: object) -> Asks:
    return lambda world: world.scim("PATCH", f"/Users/{created(world, CREATE, 'newUser').json()['id']}", body)


def bulk(body: object) -> Asks:
    return lambda world: world.scim("POST", "/Bulk", body)


def asks(path: str, **headers: Any) -> Asks:
    return lambda world: world.scim("GET", path, **headers)


def refused_as_incomplete(world: World) -> requests.Response:
    world.restarts_with(delivery={"on_incomplete": "refuse"})
    return created(world, CREATE, "incomplete")


def created_twice(world: World) -> requests.Response:
    created(world, CREATE, "newUser")
    return created(world, CREATE, "newUser")


def refused_by_ditio(world: World) -> requests.Response:
    world.restyle(payroll_locked_until=day("2026-03-31"))
    return created(world, CREATE, "newUser")


def stranger_in_ditio(world: World) -> requests.Response:
    world.ditio.plant("1042", "Ola", "Hansen", "+4741111111", email="ola.hansen@contractor.example")
    return created(world, CREATE, "newUser")


def phone_taken_in_ditio(world: World) -> requests.Response:
    world.ditio.plant("77", phone="+4741234567")
    phone = {"op": "Replace", "path": 'phoneNumbers[type eq "mobile"].value', "value": "41234567"}
    return patches({"Operations": [phone]})(world)


def with_another_count(world: World) -> requests.Response:
    created(world, CREATE, "newUser")
    created(world, CREATE, "incomplete")
    first = world.scim("GET", "/Users?cursor=&count=1").json()
    return world.scim("GET", f"/Users?cursor={first['nextCursor']}&count=2")


def of_another_version(world: World) -> requests.Response:
    kari = created(world, CREATE, "newUser").json()["id"]
    return world.scim("DELETE", f"/Users/{kari}", **{"If-Match": 'W/"7"'})


def too_large(world: World) -> requests.Response:
    return world.http.post(f"{BRIDGE}/scim/v2/Users", data=b" " * 1_048_577)


def without_its_database(world: World) -> requests.Response:
    with answered_by(world, without_database(world)):
        return created(world, CREATE, "newUser")


def failing(world: World) -> requests.Response:
    with answered_by(world, with_a_fault(world)):
        return world.scim("GET", "/Users", **{"X-Request-Id": "1ff09021912d4b94b2da61cc2de40b97"})


def without_json(world: World) -> requests.Response:
    return world.http.post(f"{BRIDGE}/scim/v2/Users", data=b"", headers={"Content-Type": JSON})


def without_a_token(world: World) -> requests.Response:
    del world.http.headers["Authorization"]
    return world.scim("GET", "/Users")


def too_often_wrong(world: World) -> requests.Response:
    world.restarts_with(auth={"max_failures_per_minute": 1})
    asks("/Users", Authorization="Bearer guessed")(world)
    return asks("/Users", Authorization="Bearer guessed too")(world)


def certified(**changes: str) -> Asks:
    """A certificate is sent that differs from the example in something."""
    whole = {**CONTRACT.bodies(CREATE_CERTIFICATE)["newCertificate"], **changes}
    return lambda world: world.scim("POST", "/Certificates", whole)


def certified_twice(world: World) -> requests.Response:
    first = certified()(world).json()["id"]
    answer = certified()(world)
    answer._content = answer.content.replace(first.encode(), b"6f1c2a50-93e5-4d0b-8f43-1f6b7c0f4e21")
    return answer


def said_in_a_file(world: World) -> str:
    """A file says something newer of the example's certificate; the id of what it says."""
    certificate = Certificate(type_of("Kranførerbevis"), day("2026-02-01"), day("2031-02-01"), "K-18")
    intake = Intake(world.parts.tenants["default"], "request-0", queues_only=True)
    sources = CertificateSources(intake.tenant, intake.certificate_said)
    with world.database.write("default") as s:
        kept = sources.put(s, Source.csv, EmployeeNumber("1042"), certificate)
    assert isinstance(kept, Stored)
    return kept.entry.id


def beaten_by_a_file(world: World) -> requests.Response:
    said_in_a_file(world)
    return certified()(world)


def of_a_file(world: World) -> requests.Response:
    return world.scim("DELETE", f"/Certificates/{said_in_a_file(world)}")


ERRORS: dict[str, Asks] = {
    "BadUser/employeeNumberMissing": refused_as_incomplete,
    "BadUser/userNameMissing": posts({"displayName": "Kari Nordmann"}),
    "BadUser/notABoolean": posts({"userName": "kari", "active": "maybe"}),
    "BadUser/brokenJson": without_json,
    "BadUser/refusedByDitio": refused_by_ditio,
    "BadGroup/displayNameMissing": lambda world: world.scim("POST", "/Groups", {}),
    "BadGroup/brokenJson": without_json,
    "BadCertificate/wrongWayRound": certified(validUntilDateTime="2025-01-15"),
    "BadCertificate/slashes": certified(issuedDateTime="01/02/2026"),
    "BadCertificate/brokenJson": without_json,
    "CertificateConflict/held": certified_twice,
    "CertificateConflict/lost": beaten_by_a_file,
    "CertificateConflict/foreign": of_a_file,
    "BadPatch/readOnly": patches({"Operations": [{"op": "Replace", "path": "id", "value": "x"}]}),
    "BadPatch/noOperations": patches({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}),
    "BadSearch/unknownAttribute": asks('/Users?filter=employeeNo eq "1042"'),
    "BadSearch/wholeName": asks('/Users?filter=name eq "x"'),
    "BadSearch/unreadable": asks("/Users?filter=userName eq kari"),
    "BadSearch/foreignCursor": asks("/Users?cursor=x"),
    "BadSearch/anotherCount": with_another_count,
    "BadText/nul": asks("/Users/%00"),
    "Unauthorized/missing": without_a_token,
    "Unauthorized/wrong": asks("/Users", Authorization="Bearer not-the-token"),
    "NoFilterHere/filter": asks("/Schemas?filter=x"),
    "NotFound/noUser": asks("/Users/2c66e1f0-7a3d-4a0e-9a52-5b0e5f2f9a10"),
    "Conflict/userNameTaken": created_twice,
    "Conflict/strangerInDitio": stranger_in_ditio,
    "Conflict/phoneTakenInDitio": phone_taken_in_ditio,
    "AnotherVersion/changed": of_another_version,
    "BodyTooLarge/tooLarge": too_large,
    "BodyTooLarge/manyOperations": patches({"Operations": [{"op": "remove", "path": "title"}] * 1001}),
    "BadBulk/noOperations": bulk({}),
    "BadBulk/brokenJson": without_json,
    "BulkTooLarge/manyOperations": bulk({"Operations": [{}] * 101}),
    "NotJson/notJson": lambda world: world.scim("POST", "/Users", {}, **{"Content-Type": "text/xml"}),
    "TooMany/tooMany": too_often_wrong,
    "Fault/fault": failing,
    "NotSupported/me": asks("/Me"),
    "Unavailable/databaseOutOfReach": without_its_database,
}
"""How each error of the file comes about."""


DOCUMENTED = [
    f"{response}/{name}"
    for response, answer in CONTRACT.document["components"]["responses"].items()
    for content in answer.get("content", {}).values()
    if content["schema"] == {"$ref": "#/components/schemas/Error"}
    for name in content["examples"]
]


@pytest.mark.parametrize("place", DOCUMENTED)
def test_an_error_is_answered_in_these_words(world: World, place: str):
    """What the administrator reads in Entra's log is what the file says; no error in it is made up."""
    response, _, name = place.partition("/")
    examples = CONTRACT.at(f"#/components/responses/{response}/content/application~1scim+json/examples")

    # Ditio's id of its answer is another each time.
    answer = re.sub(r"request [0-9a-f]{32}\)", "request 7f3a)", ERRORS[place](world).text)
    assert json.loads(answer) == examples[name]["value"]
