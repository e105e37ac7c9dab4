"""What a client gets wrong is told to it: the right SCIM error, never a 500, and nothing half written."""

import json

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from scim_bridge.domain.employee import Field, Problem
from scim_bridge.domain.outcome import IncompleteRefused
from scim_bridge.scim.reading import ENTERPRISE_URN

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
SCIM_JSON = "application/scim+json"


def refused(response, status, scim_type, *words):
    """The answer is a SCIM Error with this status and type, and its detail has these words."""
    body = response.get_json(force=True)
    assert response.status_code == status, body
    assert response.headers["Content-Type"] == SCIM_JSON
    assert body["schemas"] == [ERROR]
    assert body["status"] == str(status)
    assert body.get("scimType") == scim_type
    for word in words:
        assert word in body["detail"], body["detail"]
    for leak in ("pydantic", "validation error", "Input should", "Traceback", "scim2"):
        assert leak not in body["detail"]


@pytest.mark.parametrize(
    ("data", "scim_type", "words"),
    [
        (b'{"userName": "a",}', "invalidSyntax", ["line 1, column"]),
        (b'{\n"userName" "a"}', "invalidSyntax", ["line 2, column 12"]),
        (b"", "invalidSyntax", ["isn't JSON"]),
        (b'{"userName": "\xff"}', "invalidSyntax", ["UTF-8"]),
        (b"[]", "invalidSyntax", ["a list", "JSON object"]),
        (b'"x"', "invalidSyntax", ["a text"]),
        (b"null", "invalidSyntax", ["null"]),
        (b'{"userName": NaN}', "invalidSyntax", ["NaN"]),
        (b'{"userName": 1e999}', "invalidValue", ["userName", "too large"]),
        (b'{"userName": ' + b"9" * 5000 + b"}", "invalidSyntax", ["too long"]),
        (b'{"userName": "a", "x": ' + b"[" * 40 + b"]" * 40 + b"}", "invalidSyntax", ["32 levels"]),
        (b"[" * 90_000, "invalidSyntax", ["32 levels"]),
        (b'{"userName": "a\\u0000b"}', "invalidValue", ["userName", "NUL"]),
        (b'{"userName": "a", "na\\u0000me": 1}', "invalidValue", ["NUL"]),
        (b'{"userName": "a", "name": {"givenName": "\\ud800"}}', "invalidValue", ["givenName", "surrogate"]),
        (b"{}", "invalidValue", ["userName", "missing", "send a value"]),
        (b'{"userName": ""}', "invalidValue", ["userName is empty"]),
        (b'{"userName": "  "}', "invalidValue", ["userName is empty"]),
        (b'{"userName": null}', "invalidValue", ["userName"]),
        (b'{"userName": {"a": 1}}', "invalidValue", ["userName", '{"a": 1}', "send"]),
        (b'{"userName": "a", "active": "maybe"}', "invalidValue", ["active", '"maybe"', "true or false"]),
        (b'{"userName": "a", "name": "Kari"}', "invalidValue", ["name", '"Kari"', "an object"]),
        (b'{"userName": "a", "emails": [{"value": ["x", "y"]}]}', "invalidValue", ["emails[0].value"]),
    ],
)
def test_a_body_that_cannot_be_used_is_400(scim, data, scim_type, words):
    """A7: the detail names attribute, value and cure."""
    refused(scim.send("POST", "/Users", data=data), 400, scim_type, *words)
    assert scim.rows() == 0
    assert scim.intake.told == []


def test_the_media_type_must_be_json(scim):
    """RFC 7644 §3.8: JSON, with or without a media type."""
    body = json.dumps({"userName": "a"})
    response = scim.send("POST", "/Users", data=body, content_type="text/xml")
    refused(response, 415, None, "text/xml", SCIM_JSON, "application/json")
    assert scim.rows() == 0
    for number, accepted in enumerate((SCIM_JSON, "application/json; charset=utf-8", "")):
        body = json.dumps({"userName": f"user-{number}"})
        assert scim.send("POST", "/Users", data=body, content_type=accepted).status_code == 201


def test_a_body_that_is_too_large_is_413(scim):
    """Bodies are bounded; the detail says the limit."""
    body = {"userName": "a", "title": "x" * 100_001}
    refused(scim.send("POST", "/Users", json=body), 413, None, "100000 bytes")
    assert scim.rows() == 0


@pytest.mark.parametrize(
    ("query", "scim_type", "words"),
    [
        ({"filter": 'nickname2 eq "x"'}, "invalidFilter", ["nickname2", "/Schemas"]),
        ({"filter": 'emails[foo eq "x"]'}, "invalidFilter", ["foo"]),
        ({"filter": 'password eq "x"'}, "invalidFilter", ["password"]),
        ({"filter": 'name.foo eq "x"'}, "invalidFilter", ["name.foo", 'no part "foo"']),
        ({"filter": 'userName.foo eq "x"'}, "invalidFilter", ["userName.foo"]),
        ({"filter": 'emails[type eq "work"].foo eq "x"'}, "invalidFilter", ["foo", "emails"]),
        ({"filter": 'urn:other:2.0:User:x eq "x"'}, "invalidFilter", ['schema "urn:other:2.0:User"', "/Schemas"]),
        ({"filter": f'{ENTERPRISE_URN}:foo eq "x"'}, "invalidFilter", [f"{ENTERPRISE_URN}:foo"]),
        ({"filter": f'{ENTERPRISE_URN}.department eq "x"'}, "invalidFilter", [f'as in "{ENTERPRISE_URN}:department"']),
        ({"filter": 'name co "x"'}, "invalidFilter", ["name as a whole", 'name.givenName co "x"']),
        ({"filter": 'addresses eq "x"'}, "invalidFilter", ["addresses as a whole"]),
        ({"filter": 'schemas[foo eq "x"]'}, "invalidFilter", ["foo", "schemas"]),
        ({"filter": "groups.value pr"}, "invalidFilter", ["groups", "/Groups?filter=members"]),
        ({"filter": 'meta.location eq "x"'}, "invalidFilter", ["meta.location", "id"]),
        ({"filter": "userName co 5"}, "invalidFilter", ['"co" for 5', "double quotes"]),
        ({"filter": "userName gt null"}, "invalidFilter", ["null", "eq and ne"]),
        ({"filter": "userName eq 5"}, "invalidFilter", ["userName with 5", "/Schemas"]),
        ({"filter": 'meta.created gt "2026-03-02"'}, "invalidFilter", ["meta.created", "date and time", "zone"]),
        ({"filter": 'meta.created gt "2026-03-02T08:00:00"'}, "invalidFilter", ["date and time", "zone"]),
        ({"filter": 'meta.created gt "2026"'}, "invalidFilter", ["date and time"]),
        ({"filter": "meta.created gt 5"}, "invalidFilter", ["date and time"]),
        ({"filter": 'meta.created sw "2026"'}, "invalidFilter", ["sw", "meta.created", "gt"]),
        ({"filter": "displayName eq 1e400"}, "invalidFilter", ["1e400", "too large"]),
        ({"filter": "userName eq x"}, "invalidFilter", ["column 13", '"x"', "double quotes"]),
        ({"filter": "userName eq 'x'"}, "invalidFilter", ["column 13", "(')", "double quotes"]),
        ({"filter": "userName eq “x”"}, "invalidFilter", ["column 13", "(“)", "double quotes"]),
        ({"filter": 'userName eq "x'}, "invalidFilter", ["column 13", "not closed"]),
        ({"filter": 'userName eq "a"b"'}, "invalidFilter", ["column 16", '\\"']),
        ({"filter": 'userName = "x"'}, "invalidFilter", ["column 10", '"=" is no operator', "eq, ne"]),
        ({"filter": 'userName like "x"'}, "invalidFilter", ['"like" is no operator']),
        ({"filter": "userName eq"}, "invalidFilter", ["ends where a value"]),
        ({"filter": "userName"}, "invalidFilter", ["ends after a name"]),
        ({"filter": '"x"'}, "invalidFilter", ['"x" is no name of an attribute']),
        ({"filter": 'userName eq "x" y'}, "invalidFilter", ["column 17", '"y"', '"and"']),
        ({"filter": 'userName eq "x" and'}, "invalidFilter", ["ends where a condition"]),
        ({"filter": 'and userName eq "x"'}, "invalidFilter", ['missing beside "and"']),
        ({"filter": 'userName eq "x" or or title pr'}, "invalidFilter", ['missing beside "or"']),
        ({"filter": 'not userName eq "x"'}, "invalidFilter", ['after "not"', "not (userName"]),
        ({"filter": '(userName eq "x"'}, "invalidFilter", ['"(" is not closed']),
        ({"filter": 'emails[type eq "work"'}, "invalidFilter", ['"[" is not closed']),
        ({"filter": 'userName eq "x")'}, "invalidFilter", ["column 16", '")"']),
        ({"filter": 'emails.type[value eq "x"]'}, "invalidFilter", ['"emails.type"', "brackets"]),
        ({"filter": ""}, "invalidFilter", ["is empty", "can't be read"]),
        ({"filter": "active gt true"}, "invalidFilter", ["active", "gt", "eq"]),
        ({"filter": 'active eq "maybe"'}, "invalidFilter", ["active", "'maybe'"]),
        ({"filter": 'title[type eq "x"]'}, "invalidFilter", ["title", "brackets"]),
        ({"filter": 'userName eq "' + "x" * 1000 + '"'}, "invalidFilter", ["1014 characters, 1000 are allowed"]),
        ({"filter": "not (" * 40 + "title pr" + ")" * 40}, "invalidFilter", ["32"]),
        ({"filter": 'userName eq "\\u0000"'}, "invalidFilter", ["NUL"]),
        ({"filter": "userName eq \x00"}, "invalidValue", ["filter", "NUL"]),
        ({"sortBy": "nothing"}, "invalidPath", ["nothing"]),
        ({"sortBy": "name"}, "invalidPath", ["sortBy", "name.familyName"]),
        ({"attributes": 'emails[type eq "x"]'}, "invalidPath", ["attributes", "filter", "emails.value"]),
        ({"excludedAttributes": "a b"}, "invalidPath", ["excludedAttributes", "column"]),
        ({"sortOrder": "up"}, "invalidValue", ["sortOrder", '"up"', "ascending"]),
        ({"count": "many"}, "invalidValue", ["count", '"many"', "number"]),
    ],
)
def test_a_search_that_cannot_be_understood_is_400(scim, query, scim_type, words):
    """A7: never "0 results", which would make Entra create a duplicate."""
    refused(scim.send("GET", "/Users", query_string=query), 400, scim_type, *words)
    if "\x00" not in query.get("filter", ""):
        refused(scim.send("POST", "/Users/.search", json=query), 400, scim_type, *words)


@pytest.mark.parametrize(
    ("operation", "scim_type", "words"),
    [
        ({"op": "replace", "path": "userName", "value": ""}, "invalidValue", ["userName is empty"]),
        ({"op": "replace", "path": "userName", "value": None}, "invalidValue", ["userName is empty"]),
        ({"op": "remove", "path": "userName"}, "mutability", ["userName", "can't be removed"]),
        ({"op": "replace", "path": "active", "value": "maybe"}, "invalidValue", ["active", '"maybe"', "true or false"]),
        ({"op": "replace", "path": "emails[type eq", "value": "x"}, "invalidPath", ["column"]),
        ({"op": "replace", "path": 'emails[foo eq "x"].value', "value": "x"}, "invalidFilter", ["foo"]),
        ({"op": "replace", "path": 'userName eq "x"', "value": "x"}, "invalidPath", ["userName", "is a filter"]),
        ({"op": "replace", "path": 'emails[type sw "x"].value', "value": "x"}, "noTarget", ["emails"]),
        ({"op": "replace", "path": "id", "value": "x"}, "mutability", ["id", "read-only"]),
        ({"op": "merge", "path": "title", "value": "x"}, "invalidValue", ["merge", "replace"]),
        ({"op": "replace", "path": "title"}, "invalidValue", ["replace", "no value"]),
        ({"op": "remove"}, "noTarget", ["path"]),
        ({"op": "replace", "path": 5, "value": "x"}, "invalidValue", ["path"]),
        ({"op": "replace", "value": "x"}, "invalidValue", []),
        ({"op": "replace", "path": "title", "value": "\x00"}, "invalidValue", ["NUL"]),
        ({"op": "add", "path": 'emails[type eq "\\u0000"].value', "value": "x"}, "invalidValue", ["type", "NUL"]),
        ("nothing", "invalidValue", ["Operations[1]", '"nothing"']),
    ],
)
def test_an_operation_that_cannot_be_applied_is_400_and_changes_nothing(scim, operation, scim_type, words):
    """RFC 7644 §3.5.2: a PATCH is applied as a whole, or not at all."""
    user = scim.create(userName="kari", title="Old")
    told = len(scim.intake.told)

    response = scim.patch(user, {"op": "replace", "path": "title", "value": "New"}, operation)

    refused(response, 400, scim_type, *words)
    assert scim.read(user) == user
    assert len(scim.intake.told) == told


MOBILE = 'phoneNumbers[type eq "mobile"]'
NUMBER = f"{ENTERPRISE_URN}:employeeNumber"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ({"phoneNumbers": [{"type": "work", "value": "1"}, {"type": "mobile", "value": {}}]}, f"{MOBILE}.value"),
        ({"phoneNumbers": [{"Type": "mobile", "value": ["1", "2"]}]}, f"{MOBILE}.value"),
        ({"phoneNumbers": [{"value": "1"}, {"value": {}}]}, "phoneNumbers[1].value"),
        ({ENTERPRISE_URN: {"employeeNumber": {}}}, NUMBER),
        ({"employeeNumber": {}}, NUMBER),
        ({"name": {"givenName": {}}}, "name.givenName"),
        ({"name": "Kari"}, "name"),
        ({"displayName": {}}, "displayName"),
        ({"active": "maybe"}, "active"),
    ],
)
def test_a_refused_value_is_named_as_scim_names_it(scim, sent, name):
    """A7: the detail names the attribute as RFC 7644 §3.10 does, in a POST, and in a PATCH as a key or a path."""
    user = scim.create(userName="kari")
    patch = [{"op": "replace", "value": sent}]
    if len(sent) == 1 and name != f"{MOBILE}.value":
        ((key, value),) = sent.items()
        patch.append({"op": "replace", "path": key, "value": value})

    refused(scim.send("POST", "/Users", json={"userName": "ola", **sent}), 400, "invalidValue", f"{name} is ")
    for operation in patch:
        refused(scim.patch(user, operation), 400, "invalidValue", f"{name} is ")
    assert scim.read(user) == user


@pytest.mark.parametrize(
    ("operation", "scim_type", "words"),
    [
        ({"op": "replace", "path": f"{MOBILE}.value", "value": {}}, "invalidValue", f"{MOBILE}.value is "),
        ({"op": "replace", "path": MOBILE, "value": {"value": {}}}, "invalidValue", f"{MOBILE}.value is "),
        ({"op": "replace", "path": "employeeNumber", "value": {}}, "invalidValue", f"{NUMBER} is "),
        ({"op": "replace", "path": "phoneNumbers[type pr].value", "value": "1"}, "noTarget", "phoneNumbers["),
        ({"op": "replace", "path": "x509Certificates[type pr].value", "value": "1"}, "noTarget", "x509Certificates["),
        ({"op": 5, "path": "title", "value": "x"}, "invalidValue", 'op is "5"'),
        ({"path": "title", "value": "a secret"}, "invalidValue", "Operations[0].op is missing"),
    ],
)
def test_a_refused_operation_is_named_as_scim_names_it(scim, operation, scim_type, words):
    """A7: never as Python names it, and without the values of others."""
    user = scim.create(userName="kari")

    answer = scim.patch(user, operation)

    refused(answer, 400, scim_type, words)
    assert "_" not in answer.json["detail"]
    assert "a secret" not in answer.text


@pytest.mark.parametrize("name", ["filter", "sortBy", "attributes", "excludedAttributes"])
def test_a_parameter_of_a_search_that_is_no_text_is_not_called_a_url(scim, name):
    """A7: what the client sent is told, and what it should be."""
    detail = scim.send("POST", "/Users/.search", json={name: [5]}).json["detail"]

    assert name in detail
    assert "URL" not in detail


@pytest.mark.parametrize("body", [{}, {"Operations": "x"}, {"Operations": None}])
def test_a_patch_needs_operations(scim, body):
    """RFC 7644 §3.5.2: one or more operations."""
    user = scim.create(userName="kari")
    response = scim.send("PATCH", f"/Users/{user['id']}", json=body)
    assert response.status_code == 400
    assert "Operations" in response.get_json(force=True)["detail"]


def test_a_user_name_that_is_taken_is_409_and_named(scim):
    """RFC 7644 §3.3: `uniqueness`; the detail names attribute and value."""
    scim.create(userName="Kåre@firma.no")
    other = scim.create(userName="other")

    refused(scim.send("POST", "/Users", json={"userName": "KÅRE@firma.no"}), 409, "uniqueness", "userName", "KÅRE@")
    response = scim.patch(other, {"op": "replace", "path": "userName", "value": "kåre@FIRMA.no"})
    refused(response, 409, "uniqueness", "userName", "kåre@FIRMA.no", "already used by another user")
    response = scim.send("PUT", f"/Users/{other['id']}", json={"userName": "kåre@firma.no"})
    refused(response, 409, "uniqueness", "userName")
    assert scim.read(other) == other
    assert scim.rows() == 2
    assert [told[0] for told in scim.intake.told] == ["created", "created"]


def test_what_is_not_there_is_404(scim):
    """RFC 7644 §3.12."""
    for method in ("GET", "DELETE"):
        refused(scim.send(method, "/Users/none"), 404, None, "none")
    refused(scim.send("PUT", "/Users/none", json={"userName": "x"}), 404, None, "none")
    refused(scim.patch({"id": "none"}, {"op": "remove", "path": "title"}), 404, None, "none")
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "FOO"):
        refused(scim.send(method, "/Nothing", json={}), 404, None, '"/Nothing"', "/Users", "Tenant URL")
        refused(scim.send(method, "/Nothing/x", json={}), 404, None, '"/Nothing/x"')
        refused(scim.send(method, "/Users/a/b", json={}), 404, None, '"/Users/a/b"')
    refused(scim.send("GET", "/Schemas/none"), 404, None, '"none"', "/Schemas")
    refused(scim.send("GET", "/ResourceTypes/none"), 404, None, '"none"', "/ResourceTypes")
    user = scim.create(userName="a")
    refused(scim.send("GET", f"/Groups/{user['id']}"), 404, None)
    refused(scim.send("GET", "/Users/%00"), 400, "invalidValue", "NUL")


def test_what_is_not_supported_says_so(scim):
    """RFC 7644 §3.12: 405 and 501; a method that SCIM doesn't know too is answered by a SCIM Error."""
    for method in ("PUT", "OPTIONS", "TRACE", "FOO"):
        response = scim.send(method, "/Users", json={})
        refused(response, 405, None, method, '"/Users"', "GET or POST")
        assert response.headers["Allow"] == "GET, POST"
    for method, path in (("POST", "/Schemas"), ("DELETE", "/Users"), ("GET", "/Bulk"), ("FOO", "/"), ("FOO", "")):
        refused(scim.send(method, path, json={}), 405, None, method)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        refused(scim.send(method, "/Me", json={}), 501, None, "/Me", "/Users")


def test_what_the_service_says_of_itself_is_not_filtered(scim):
    """RFC 7644 §4."""
    for path in ("/Schemas", "/ResourceTypes/User", "/ServiceProviderConfig"):
        refused(scim.send("GET", path, query_string={"filter": "x"}), 403, None, "filter", "take")


def test_a_version_that_has_gone_is_412(scim):
    """RFC 7644 §3.14: the detail says the version that there is."""
    user = scim.create(userName="kari")
    for method, body in (("DELETE", None), ("PUT", {"userName": "x"})):
        response = scim.send(method, f"/Users/{user['id']}", json=body, headers={"If-Match": 'W/"7"'})
        refused(response, 412, None, 'W/"1"', "read it again", "If-Match")
    assert scim.read(user) == user


def test_a_nul_is_400_wherever_it_stands(scim):
    """A7."""
    user = f"/Users/{scim.create(userName='kari')['id']}"
    refused(scim.send("GET", user, headers={"If-None-Match": "a\x00"}), 400, "invalidValue", "If-None-Match", "NUL")
    refused(scim.send("DELETE", user, headers={"If-Match": "a\x00"}), 400, "invalidValue", "If-Match", "NUL")
    refused(scim.send("GET", user, query_string={"a\x00": "b"}), 400, "invalidValue", "name of a parameter", "NUL")
    refused(scim.send("GET", user, query_string={"a": "b\x00"}), 400, "invalidValue", "parameter a", "NUL")
    for name in ("attributes", "sortBy"):
        body = {name: "a\x00"}
        refused(scim.send("POST", "/Users/.search", json=body), 400, "invalidValue", name, "NUL")


def test_without_a_credential_nothing_is_told(scim):
    """A3: 401 with a challenge, whatever was asked for."""
    scim.token = None
    for path in ("/Users", "/ServiceProviderConfig", "/Nothing"):
        response = scim.send("GET", path)
        refused(response, 401, None, "token")
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="scim"'
    refused(scim.send("GET", "/Users", base="/tenants/unknown/scim/v2"), 401, None)
    refused(scim.send("POST", "/Users", data="x" * 200_000), 401, None)


def test_incomplete_data_that_is_refused_takes_the_document_back(scim):
    """H3: `refuse` is 400, and the document isn't kept."""
    problem = Problem(Field.phone, "phoneNumbers", "the phone is missing: map mobile to phoneNumbers")
    scim.intake.refusal = IncompleteRefused((problem,))

    refused(scim.send("POST", "/Users", json={"userName": "a"}), 400, "invalidValue", "the phone is missing")
    assert scim.rows() == 0


@pytest.mark.parametrize("failure", [OperationalError("x", {}, Exception("gone")), PoolTimeout("no connection")])
def test_a_database_out_of_reach_is_503_with_retry_after(scim, failure):
    """A3: never 401 or 404, which would quarantine Entra's job."""
    scim.intake.refusal = failure
    response = scim.send("POST", "/Users", json={"userName": "a"})

    refused(response, 503, None, "database")
    assert response.headers["Retry-After"] == "30"
    assert scim.rows() == 0


def test_a_fault_of_our_own_is_500_and_tells_nothing_but_the_request(scim):
    """The cause is in the log."""
    scim.intake.refusal = RuntimeError("a secret detail")
    response = scim.send("POST", "/Users", json={"userName": "a"})

    refused(response, 500, None, "request-1")
    assert "secret" not in response.text
    assert scim.rows() == 0


def test_what_excludes_each_other_is_said_in_words(scim):
    """A7: a rule about the request as a whole is told as it is, not as a wrong URL."""
    response = scim.send("GET", "/Users", query_string={"attributes": "userName", "excludedAttributes": "title"})

    assert response.status_code == 400
    assert response.json["detail"] == "the request has both attributes and excludedAttributes: send one of them"
    assert "URL" not in response.json["detail"]


@pytest.mark.parametrize("op", ["remove", "add", "Replace"])
def test_an_empty_path_is_400(scim, op):
    """A2, A7: a path that names nothing, whatever the operation."""
    user = scim.create(userName="kari", title="x")

    refused(scim.patch(user, {"op": op, "path": ""}), 400, "invalidPath" if op == "remove" else "invalidValue")
