"""`/Bulk` (RFC 7644 §3.7): many operations in one request, each of which succeeds or fails by itself."""

import json

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from scim_bridge.delivery.intake import Ticket
from scim_bridge.domain.employee import Field, Problem
from scim_bridge.domain.outcome import IncompleteRefused
from scim_bridge.domain.person import PersonId
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.tables import quirks
from scim_bridge.web.scim.bounds import MAX_BULK_VALUES, MAX_VALUES
from scim_bridge.web.scim.handler import BULK_SECONDS
from tests.conftest import Clock
from tests.protocol.test_bad_input import ERROR, refused
from tests.world import World, a_user

REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ROOT = "https://bridge.example/scim/v2"


def bulk(scim, *operations, **more):
    """The results of a bulk request."""
    response = scim.send("POST", "/Bulk", json={"schemas": [REQUEST], "Operations": list(operations), **more})
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/scim+json"
    assert response.json["schemas"] == [RESPONSE]
    return response.json["Operations"]


def post(bulk_id, path="/Users", **data):
    return {"method": "POST", "bulkId": bulk_id, "path": path, "data": data}


def patch(path, *operations, **more):
    return {"method": "PATCH", "path": path, "data": {"schemas": [PATCH], "Operations": list(operations)}, **more}


def statuses(results):
    return [result["status"] for result in results]


def failed(result, status, scim_type, *words):
    """The operation failed alone: its result has the status and a SCIM Error."""
    assert result["status"] == str(status), result
    error = result["response"]
    assert error["schemas"] == [ERROR]
    assert error["status"] == str(status)
    assert error.get("scimType") == scim_type
    for word in words:
        assert word in error["detail"], error["detail"]
    for leak in ("pydantic", "validation error", "Input should", "Traceback", "scim2"):
        assert leak not in error["detail"]


def test_results_are_as_in_the_examples_of_the_rfc(scim):
    """RFC 7644 §3.7.3: location, method, bulkId, version and status, in the order of the request."""
    bob, carl = scim.create(userName="bob"), scim.create(userName="carl")

    results = bulk(
        scim,
        post("qwerty", userName="alice"),
        {"method": "PUT", "path": f"/Users/{bob['id']}", "version": 'W/"1"', "data": {"userName": "Bob"}},
        patch(f"/Users/{carl['id']}", {"op": "replace", "path": "title", "value": "New"}, version='W/"1"'),
        {"method": "DELETE", "path": f"/Users/{bob['id']}", "version": 'W/"2"'},
    )

    alice = scim.send("GET", "/Users", query_string={"filter": 'userName eq "alice"'}).json["Resources"][0]
    at = f"{ROOT}/Users"
    assert results == [
        {
            "location": f"{at}/{alice['id']}",
            "method": "POST",
            "bulkId": "qwerty",
            "version": 'W/"1"',
            "status": "201",
        },
        {"location": f"{at}/{bob['id']}", "method": "PUT", "version": 'W/"2"', "status": "200"},
        {"location": f"{at}/{carl['id']}", "method": "PATCH", "version": 'W/"2"', "status": "200"},
        {"location": f"{at}/{bob['id']}", "method": "DELETE", "status": "204"},
    ]
    assert scim.read(carl)["title"] == "New"
    assert scim.send("GET", f"/Users/{bob['id']}").status_code == 404


def test_a_group_may_have_members_that_are_created_after_it(scim):
    """RFC 7644 §3.7.2: a reference forward, from a group to its members, and from a user to his manager."""
    results = bulk(
        scim,
        post("team", "/Groups", displayName="Team", members=[{"type": "User", "value": "bulkId:kari"}]),
        {
            "method": "post",
            "bulkId": "kari",
            "path": "/Users",
            "data": {"userName": "kari", ENTERPRISE_URN: {"manager": {"value": "bulkId:ola"}}},
        },
        post("ola", userName="ola"),
        patch("/Groups/bulkId:team", {"op": "add", "path": "members", "value": [{"value": "bulkId:ola"}]}),
        {"method": "PUT", "path": "/Users/bulkId:ola", "data": {"userName": "ola", "title": "Boss"}},
    )

    assert statuses(results) == ["201", "201", "201", "200", "200"]
    assert [result.get("bulkId") for result in results] == ["team", "kari", "ola", None, None]
    assert results[1]["method"] == "POST"
    team, kari, ola = (scim.send("GET", result["location"].removeprefix(ROOT)).json for result in results[:3])
    assert {member["value"] for member in team["members"]} == {kari["id"], ola["id"]}
    assert kari[ENTERPRISE_URN]["manager"]["value"] == ola["id"]
    assert ola["title"] == "Boss"
    assert results[3]["location"] == team["meta"]["location"]
    assert (results[3]["version"], results[4]["version"]) == ('W/"2"', 'W/"2"')


def test_references_that_nothing_can_come_of_are_409(scim):
    """RFC 7644 §3.7.1: a circle; a reference to what failed, and to what isn't there. Others go on."""
    results = bulk(
        scim,
        post("a", "/Groups", displayName="A", members=[{"value": "bulkId:b"}]),
        post("b", "/Groups", displayName="B", members=[{"value": "bulkId:a"}]),
        post("bad", userName=""),
        post("c", "/Groups", displayName="C", members=[{"value": "bulkId:bad"}]),
        patch("/Users/bulkId:none", {"op": "remove", "path": "title"}),
        post("d", userName="d"),
        post("d", userName="e"),
    )

    assert statuses(results) == ["409", "409", "400", "409", "409", "201", "400"]
    failed(results[1], 409, None, "circle", '"a"', "PATCH afterwards")
    failed(results[3], 409, None, '"bad"', "no resource was created")
    failed(results[4], 409, None, '"none"')
    assert results[4]["location"] == f"{ROOT}/Users/bulkId:none"
    failed(results[6], 400, "invalidValue", '"d"', "of its own")
    assert scim.rows() == 1


BAD = [
    (post("x", userName="a\x00b"), 400, "invalidValue", ["userName", "NUL"]),
    (post("x", userName="a\ud800"), 400, "invalidValue", ["surrogate"]),
    (post("x\x00", userName="a"), 400, "invalidValue", ["bulkId", "NUL"]),
    (post("x", "/Users\x00", userName="a"), 400, "invalidValue", ["path", "NUL"]),
    (post("x", userName="a", **{"na\x00me": 1}), 400, "invalidValue", ["NUL"]),
    (post("x", userName="a", title=json.loads("[" * 40 + "]" * 40)), 400, "invalidSyntax", ["32 levels"]),
    (post("x", userName="a", active="maybe"), 400, "invalidValue", ["active", '"maybe"', "true or false"]),
    (post("x", userName=" "), 400, "invalidValue", ["userName is empty"]),
    (post("x"), 400, "invalidValue", ["userName", "missing"]),
    (post("x", userName="TAKEN"), 409, "uniqueness", ["userName", "TAKEN", "already used"]),
    (post("x", "/Nothing", userName="a"), 404, None, ["/Nothing", "/Users"]),
    (post("x", "/Nothing/y", userName="a"), 404, None, ["/Nothing/y"]),
    (post("x", "/Users/y", userName="a"), 405, None, ["POST", "/Users/y", "DELETE"]),
    (post("x", "/Me", userName="a"), 400, "invalidValue", ["/Me", "/Users"]),
    (post("x", "/Bulk"), 400, "invalidValue", ["/Bulk"]),
    (post("x", "/Users/.search"), 400, "invalidValue", [".search"]),
    (post(None, userName="a"), 400, "invalidValue", ["bulkId is missing"]),
    (post(5, userName="a"), 400, "invalidValue", ["bulkId is 5", "a text"]),
    ({"method": "POST", "bulkId": "x", "path": "/Users"}, 400, "invalidValue", ["data is null", "object"]),
    ({"method": "POST", "bulkId": "x", "path": "/Users", "data": []}, 400, "invalidValue", ["data is a list"]),
    ({"method": "DELETE", "path": "/Users"}, 405, None, ["DELETE", "GET or POST"]),
    ({"method": "DELETE", "path": "/Users/none"}, 404, None, ["none"]),
    ({"method": "DELETE", "path": "/Users/{id}", "version": 'W/"7"'}, 412, None, ['W/"1"', "read it again"]),
    ({"method": "DELETE", "path": "/Users/{id}", "version": 7}, 400, "invalidValue", ["version is 7"]),
    ({"method": "DELETE", "path": "/Users/{id}", "version": "x" * 2000}, 400, "invalidValue", ["2000", "1000"]),
    ({"method": "GET", "path": "/Users/{id}"}, 400, "invalidValue", ['method is "GET"', "POST or PUT"]),
    ({"path": "/Users/{id}"}, 400, "invalidValue", ["method is null"]),
    ({"method": "DELETE"}, 400, "invalidValue", ["path is null", "/Users"]),
    ({"method": "DELETE", "path": ""}, 400, "invalidValue", ['path is ""']),
    (patch("/Users/{id}", {"op": "replace", "path": "emails[type eq", "value": "x"}), 400, "invalidPath", ["column"]),
    (patch("/Users/{id}", {"op": "remove", "path": "userName"}), 400, "mutability", ["userName"]),
    ({"method": "PATCH", "path": "/Users/{id}", "data": {}}, 400, "invalidValue", ["Operations is missing"]),
    ({"method": "PUT", "path": "/Users/{id}", "data": [{"userName": "x"}]}, 400, "invalidValue", ["data is a list"]),
    ({"method": "PUT", "path": "/Users/{id}", "data": {}}, 400, "invalidValue", ["userName"]),
    ("nothing", 400, "invalidSyntax", ["a text", "an object"]),
    (None, 400, "invalidSyntax", ["null"]),
]


def test_the_data_of_a_patch_may_be_the_operations_alone(scim):
    """RFC 7644 §3.7.3: so it stands in its own example, `"data": [{"op": "add", …}]`."""
    kari = scim.create(userName="kari")
    operations = [
        {"op": "Replace", "path": "title", "value": "Formann"},
        {"op": "Add", "path": "employeeNumber", "value": "1042"},
    ]

    (result,) = bulk(scim, {"method": "PATCH", "path": f"/Users/{kari['id']}", "data": operations})

    assert result["status"] == "200", result
    assert scim.read(kari)["title"] == "Formann"
    assert scim.read(kari)[ENTERPRISE_URN] == {"employeeNumber": "1042"}


def test_what_the_operations_alone_refer_to_is_known(scim):
    """RFC 7644 §3.7.2: a reference to what another operation creates."""
    crew = scim.send("POST", "/Groups", json={"displayName": "Crew"}).json
    joined = [{"op": "add", "path": "members", "value": [{"value": "bulkId:ola"}]}]

    patching = {"method": "PATCH", "path": f"/Groups/{crew['id']}", "data": joined}
    results = bulk(scim, patching, post("ola", userName="ola"))

    assert statuses(results) == ["200", "201"]
    (member,) = scim.send("GET", f"/Groups/{crew['id']}").json["members"]
    assert results[1]["location"].endswith(member["value"])


@pytest.mark.parametrize(("operation", "status", "scim_type", "words"), BAD)
def test_a_bad_operation_fails_alone_and_in_words(scim, operation, status, scim_type, words):
    """RFC 7644 §3.7.3, A7: with the error that it would have as a single request; the others go on."""
    taken = scim.create(userName="taken")
    if isinstance(operation, dict) and operation.get("path"):
        operation = {**operation, "path": operation["path"].replace("{id}", taken["id"])}

    first, result, last = bulk(scim, post("one", userName="one"), operation, post("two", userName="two"))

    assert (first["status"], last["status"]) == ("201", "201")
    failed(result, status, scim_type, *words)
    if result.get("method") != "POST":
        assert result["location"].startswith(ROOT)
    assert scim.rows() == 3
    assert scim.read(taken) == taken


@pytest.mark.parametrize(
    ("body", "status", "scim_type", "words"),
    [
        (b"", 400, "invalidSyntax", ["isn't JSON"]),
        (b"[]", 400, "invalidSyntax", ["a list", "JSON object"]),
        (b"{}", 400, "invalidValue", ["Operations is missing"]),
        (b'{"Operations": []}', 400, "invalidValue", ["Operations is empty"]),
        (b'{"Operations": {}}', 400, "invalidSyntax", ["Operations is an object", "a list"]),
        (b'{"Operations": [1], "failOnErrors": "one"}', 400, "invalidValue", ['failOnErrors is "one"', "whole number"]),
        (b'{"Operations": [1], "failOnErrors": 0}', 400, "invalidValue", ["failOnErrors is 0", "from 1"]),
        (b'{"Operations": [' + b",".join([b"1"] * 31) + b"]}", 413, None, ["31 operations", "30 are allowed"]),
        (b'{"Operations": [1]}' + b" " * 100_000, 413, None, ["100000 bytes", "several requests"]),
        (b'{"Operations": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "invalidSyntax", ["32 levels"]),
    ],
)
def test_a_request_that_is_wrong_as_a_whole_is_refused_as_a_whole(scim, body, status, scim_type, words):
    """RFC 7644 §3.7.4; nothing is carried out."""
    refused(scim.send("POST", "/Bulk", data=body), status, scim_type, *words)
    assert scim.rows() == 0


def test_the_values_of_a_bulk_request_are_bounded_together(scim):
    """A7: each operation may be within the bounds of a single body, and all of them beyond what is reasonable."""
    operations = [post(str(number), userName=f"user {number}", emails=[1] * 800) for number in range(26)]
    refused(scim.send("POST", "/Bulk", json={"Operations": operations}), 413, None, f"{MAX_BULK_VALUES} values")
    assert scim.rows() == 0


def test_an_operation_has_the_bounds_of_a_single_request(scim):
    """A7: it fails alone."""
    kari = scim.create(userName="kari")
    many = [{"op": "add", "path": "title", "value": "x"}] * 71
    results = bulk(
        scim,
        patch(f"/Users/{kari['id']}", *many),
        post("a", userName="a", emails=["x"] * MAX_VALUES),
        post("b", userName="b"),
    )

    assert statuses(results) == ["413", "413", "201"]
    failed(results[0], 413, None, "71 operations", "70 are allowed")
    failed(results[1], 413, None, f"{MAX_VALUES} values")


def test_what_was_tolerated_is_counted_for_what_succeeded_alone(scim):
    """A7: a refused operation leaves nothing for the next one to be counted with."""
    results = bulk(scim, post("a", userName="", refused="x"), post("b", userName="b", accepted="x"))

    assert statuses(results) == ["400", "201"]
    with scim.database.read() as s:
        counted = set(s.connection.execute(select(quirks.c.name)).scalars())
    assert "accepted" in counted
    assert "refused" not in counted


def test_a_bulk_request_is_json(scim):
    """RFC 7644 §3.8."""
    response = scim.send("POST", "/Bulk", data="x", content_type="text/xml")
    refused(response, 415, None, "text/xml", "application/scim+json", "application/json")


def test_it_ends_after_the_errors_that_the_client_accepts(scim):
    """RFC 7644 §3.7.3: `failOnErrors`; what didn't run has no result."""
    operations = [post("1", userName=""), post("2", userName="b"), post("3", userName=""), post("4", userName="d")]

    assert statuses(bulk(scim, *operations, failOnErrors=1)) == ["400"]
    assert scim.rows() == 0
    assert statuses(bulk(scim, *operations, failOnErrors=2)) == ["400", "201", "400"]
    assert scim.rows() == 1


def test_data_is_read_as_tolerantly_as_a_single_body(scim):
    """A7: Entra's shapes in POST, PUT and PATCH."""
    dotted = {"name.givenName": "Kari", 'emails[type eq "work"].value': "kari@firma.no", "nonsense": 1}
    created, *_ = bulk(scim, post("k", userName="kari", active="True", **dotted))
    path = created["location"].removeprefix(ROOT)
    kari = scim.send("GET", path).json
    assert (kari["active"], kari["name"]["givenName"]) == (True, "Kari")
    assert kari["emails"] == [{"value": "kari@firma.no", "type": "work"}]

    results = bulk(
        scim,
        patch(
            path,
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "Add", "value": {"title": "Boss", f"{ENTERPRISE_URN}:employeeNumber": 1042, "nonsense": "x"}},
            {"op": "Replace", "path": f"{ENTERPRISE_URN}:manager", "value": "a-manager"},
        ),
        {"METHOD": "PATCH", "Path": f"{path}/", "DATA": {"operations": [{"OP": "remove", "PATH": "displayName"}]}},
    )
    assert statuses(results) == ["200", "200"]
    kari = scim.send("GET", path).json
    assert (kari["active"], kari["title"]) == (False, "Boss")
    assert kari[ENTERPRISE_URN] == {"employeeNumber": "1042", "manager": {"value": "a-manager"}}


def test_each_operation_is_a_transaction_of_its_own(scim):
    """H3: `refuse` is 400 in the result; a fault of our own is 500 there, and its words are in the log alone."""
    refuses = iter(
        [
            None,
            IncompleteRefused((Problem(Field.phone, "phoneNumbers", "the phone is missing: map mobile"),)),
            RuntimeError("a secret detail"),
            None,
        ]
    )
    intake_of = scim.intake.user_created

    def user_created(connection, user_id, document):
        scim.intake.refusal = next(refuses)
        return intake_of(connection, user_id, document)

    scim.intake.user_created = user_created
    results = bulk(scim, *(post(str(number), userName=f"user {number}") for number in range(4)))

    assert statuses(results) == ["201", "400", "500", "201"]
    failed(results[1], 400, "invalidValue", "the phone is missing")
    failed(results[2], 500, None, "request-1")
    assert "secret" not in json.dumps(results)
    assert scim.rows() == 2


def test_a_database_out_of_reach_is_503_and_is_not_asked_again_for_each_operation(scim):
    """A3: as a whole while nothing is changed, so that the client repeats it; afterwards in each result."""
    gone = OperationalError("x", {}, Exception("gone"))
    scim.intake.refusal = gone
    operations = [post(str(number), userName=f"user {number}") for number in range(3)]
    response = scim.send("POST", "/Bulk", json={"Operations": operations})
    refused(response, 503, None, "database", "nothing was changed")
    assert response.headers["Retry-After"] == "30"

    scim.intake.refusal = None
    asked = []
    intake_of = scim.intake.user_created

    def user_created(connection, user_id, document):
        asked.append(document["userName"])
        scim.intake.refusal = gone if len(asked) == 2 else None
        return intake_of(connection, user_id, document)

    scim.intake.user_created = user_created
    results = bulk(scim, *operations)
    assert statuses(results) == ["201", "503", "503"]
    failed(results[2], 503, None, "database", "try again")
    assert asked == ["user 0", "user 1"]
    assert scim.rows() == 1


def test_operations_that_are_left_when_the_time_is_over_are_503_in_their_own_results(scim):
    """A9: one company's request does not go on for as long as it likes; what was done stays, and says so."""
    intake_of = scim.intake.user_created

    def user_created(connection, user_id, document):
        scim.seconds += 4.0
        return intake_of(connection, user_id, document)

    scim.intake.user_created = user_created
    results = bulk(scim, *[post(str(number), userName=f"user {number}") for number in range(5)])

    assert statuses(results) == ["201", "201", "201", "503", "503"]
    failed(results[4], 503, None, f"{BULK_SECONDS:g} seconds", "again")
    assert scim.rows() == 3


def test_the_first_operation_is_always_tried_and_failures_do_not_fail_the_rest(scim):
    """A9: also where none that was tried has succeeded."""
    scim.intake.refusal = IncompleteRefused((Problem(Field.phone, "phoneNumbers", "the phone is missing"),))
    scim.pace = 11.0
    results = bulk(scim, post("a", userName="a"), post("b", userName="b"))
    assert statuses(results) == ["400", "503"]


def test_the_intake_is_told_of_every_operation_and_only_queues(scim):
    """A4: `/Bulk` only queues."""
    scim.intake.ticket = Ticket(PersonId("person-1"), None)
    kari = scim.create(userName="kari")
    assert not scim.intake.queues_only
    bulk(scim, patch(f"/Users/{kari['id']}", {"op": "add", "path": "title", "value": "x"}), post("o", userName="ola"))

    assert [told[0] for told in scim.intake.told] == ["created", "changed", "created"]
    assert scim.intake.queues_only


def test_the_limits_are_published(scim):
    """RFC 7643 §5."""
    config = scim.send("GET", "/ServiceProviderConfig").json
    assert config["bulk"] == {"supported": True, "maxOperations": 30, "maxPayloadSize": 100_000}


def test_another_companys_resources_are_not_there(scim):
    """Design, section 10: another tenant's id is 404, whatever the operation."""
    kari = scim.create(userName="kari")
    operations = [
        patch(f"/Users/{kari['id']}", {"op": "add", "path": "title", "value": "x"}),
        {"method": "PUT", "path": f"/Users/{kari['id']}", "data": {"userName": "x"}},
        {"method": "DELETE", "path": f"/Users/{kari['id']}"},
        post("k", userName="kari"),
    ]
    response = scim.send("POST", "/Bulk", base="/tenants/other/scim/v2", json={"Operations": operations})

    assert statuses(response.json["Operations"]) == ["404", "404", "404", "201"]
    assert response.json["Operations"][3]["location"].startswith("https://bridge.example/tenants/other/scim/v2/Users/")
    assert scim.read(kari) == kari


# A whole world: what becomes of the people


def whole(user):
    """A user as Entra would send him."""
    return {
        "userName": user.user_principal_name,
        "externalId": user.object_id,
        "name": {"givenName": user.given_name, "familyName": user.surname},
        "phoneNumbers": [{"type": "mobile", "value": user.mobile}],
        "emails": [{"type": "work", "value": user.mail}],
        ENTERPRISE_URN: {"employeeNumber": user.employee_id},
        DITIO_URN: {"birthDate": "1990-05-15"},
    }


@pytest.fixture
def world(database, clock: Clock) -> World:
    return World(database, clock)


def sent(world, *operations):
    return world.scim("POST", "/Bulk", {"Operations": list(operations)}).json()["Operations"]


def test_nothing_is_sent_to_ditio_during_a_bulk_and_a_worker_need_not_wait(world):
    """A4: no inline delivery, and no lease that keeps a worker away until the request's deadline."""
    kari = a_user()
    ola = a_user(object_id="ola", user_principal_name="ola@x.no", mail="ola@x.no", mobile="+47 912 34 567",
                 employee_id="1043")  # fmt: skip
    results = sent(world, post("k", **whole(kari)), post("o", **whole(ola)))

    assert statuses(results) == ["201", "201"]
    assert world.ditio.requests == []
    path = results[0]["location"].partition("/scim/v2")[2]
    assert world.scim("GET", path).json()[DITIO_URN]["deliveryState"] == "due"

    world.worker.run_until_idle()

    assert world.scim("GET", path).json()[DITIO_URN]["deliveryState"] == "delivered"
    assert (world.employee("1042").last_name, world.employee("1043").phone) == ("Nordmann", "+4791234567")

    world.forget()
    results = sent(world, patch(path, {"op": "replace", "path": "active", "value": False}))
    assert statuses(results) == ["200"]
    assert world.sent() == []
    world.worker.run_until_idle()
    assert world.employee("1042").disabled


def test_incomplete_people_are_refused_in_their_own_results(world):
    """H3: `refuse`; the document isn't kept, the others are."""
    world.restarts_with(delivery={"on_incomplete": "refuse"})
    results = sent(world, post("k", userName="nobody"), post("o", **whole(a_user())))

    failed(results[0], 400, "invalidValue", "employeeNumber is missing")
    assert results[1]["status"] == "201"
    assert world.scim("GET", "/Users").json()["totalResults"] == 1
