"""However much is asked for at once, the answer is quick, and says which limit was passed and what to do."""

import time

import pytest

from scim_bridge.scim.reading import ENTERPRISE_URN
from scim_bridge.web.scim.bounds import (
    MAX_COMPARED,
    MAX_COMPARISONS,
    MAX_ENTRIES,
    MAX_MEMBERS,
    MAX_PATH_LENGTH,
    MAX_PATHS_LENGTH,
    MAX_VALUES,
)
from scim_bridge.web.scim.searching import MAX_CONDITION_LENGTH, MAX_NAME_LENGTH, MAX_NAMES
from tests.protocol.test_bad_input import refused
from tests.protocol.test_bulk import bulk, failed, patch, post, statuses

OPERATIONS = 70
"""The most operations of one PATCH in these tests."""


LONGEST = 4096
"""The longest text of a body in these tests, in characters."""

QUICK_SECONDS = 3.0
"""Far more than any of these requests takes, and far less than they took before they were bounded."""

SHOUTS = "a" + "\u0301" * 31
"""More marks on one letter than any language writes."""

HIDDEN = "a" + "\u0f73" * 31
"""Characters that are no marks before normalisation, and nothing else after it."""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"title": "x" * (LONGEST + 1)}, ["title has 4097 characters", "4096 are allowed", "shorter"]),
        ({"name": {"givenName": "x" * (LONGEST + 1)}}, ["givenName has 4097 characters"]),
        ({"emails": [{"value": "x" * (LONGEST + 1)}]}, ["value has 4097 characters"]),
        ({"unknown": ["x" * (LONGEST + 1)]}, ["unknown has 4097 characters"]),
        ({"x" * (LONGEST + 1): "a"}, ["the name of an attribute has 4097 characters"]),
        ({"schemas": ["[" * 40_000]}, ["schemas has 40000 characters"]),
        ({"title": SHOUTS}, ["title has more than 30 combining marks"]),
        ({"title": HIDDEN}, ["title has more than 30 combining marks"]),
        ({SHOUTS: "a"}, ["the name of an attribute has more than 30"]),
    ],
)
def test_every_text_of_a_body_is_bounded(scim, body, words):
    """A9: before it is normalised, matched or stored, in every way that a body comes in by."""
    user = scim.create(userName="kari")
    path = f"/Users/{user['id']}"
    refused(scim.send("POST", "/Users", json={"userName": "a", **body}), 400, "invalidValue", *words)
    refused(scim.send("PUT", path, json={"userName": "kari", **body}), 400, "invalidValue", *words)
    refused(scim.patch(user, {"op": "add", "value": body}), 400, "invalidValue", *words)
    refused(scim.send("POST", "/Users/.search", json=body), 400, "invalidValue", *words)
    results = bulk(
        scim, post("a", userName="a", **body), patch(path, {"op": "add", "value": body}), post("b", userName="b")
    )
    assert statuses(results) == ["400", "400", "201"]
    failed(results[0], 400, "invalidValue", *words)
    assert scim.read(user) == user


def test_a_text_at_its_bound_is_taken(scim):
    """A9: and is what it was when it is read."""
    title, marked = "x" * LONGEST, ("a" + "\u0301" * 30) * 100
    user = scim.create(userName="kari", title=title, nickName=marked)
    assert (scim.read(user)["title"], scim.read(user)["nickName"]) == (title, marked)


def test_a_long_value_of_a_patch_is_named_by_its_path(scim):
    """A9: a person who reads Entra's log can tell which attribute it was."""
    user = scim.create(userName="kari")
    response = scim.patch(user, {"op": "replace", "path": "title", "value": "x" * (LONGEST + 1)})
    refused(response, 400, "invalidValue", "title has 4097 characters")


def test_brackets_that_nothing_closes_cost_no_more_than_their_length(scim):
    """A9: as many as a body holds, each within its bound."""
    began = time.monotonic()
    assert scim.send("POST", "/Users", json={"userName": "a", "schemas": ["[" * 4000] * 23}).status_code == 201
    assert time.monotonic() - began < QUICK_SECONDS


def test_a_body_is_looked_at_before_the_transaction_begins(scim):
    """A9: what a PUT brings is refused while no one waits for a lock, whether there is such a user or not."""
    refused(scim.send("PUT", "/Users/nobody", json={"userName": "x" * (LONGEST + 1)}), 400, "invalidValue", "userName")


@pytest.mark.parametrize("path", ["/Users", "/"])
def test_a_page_is_bounded_by_what_it_holds(scim, monkeypatch, path):
    """A9: by number it is shorter than was asked for, by cursor too, and no one is left out; one is always told."""
    monkeypatch.setattr("scim_bridge.storage.search.MAX_PAGE_SIZE", 10_000)
    large = [scim.create(userName=f"user {number}", title="x" * 4000)["id"] for number in range(7)]
    huge = scim.create(userName="user 7", title="x" * 4000, nickName="x" * 4000, locale="x" * 4000)["id"]
    found = [page_of(scim, path, startIndex=start, count=50) for start in (1, 3, 5, 7, 8)]
    assert [len(page["Resources"]) for page in found] == [2, 2, 2, 1, 1]
    assert all(page["totalResults"] == 8 and page["itemsPerPage"] <= 2 for page in found)
    assert sorted(each["id"] for page in found for each in page["Resources"]) == sorted([*large, huge])

    told, cursor = [], ""
    while cursor is not None:
        page = page_of(scim, path, cursor=cursor, count=50)
        assert page["totalResults"] == 8
        told += [each["id"] for each in page["Resources"]]
        last, cursor = page, page.get("nextCursor")
    assert sorted(told) == sorted([*large, huge])

    back = [each["id"] for each in last["Resources"]]
    while previous := last.get("previousCursor"):
        last = page_of(scim, path, cursor=previous, count=50)
        back = [each["id"] for each in last["Resources"]] + back
    assert back == told


def page_of(scim, path, **asked):
    response = scim.send("GET", path, query_string={"sortBy": "userName", **asked})
    assert response.status_code == 200, response.text
    return response.json


def titles(count):
    return [{"op": "replace", "path": "title", "value": str(number)} for number in range(count)]


def test_the_operations_of_a_patch_are_bounded_as_they_are_sent(scim):
    """A7: the limit is within it, and one more is 413."""
    user = scim.create(userName="kari")
    assert scim.patch(user, *titles(OPERATIONS)).json["title"] == "69"

    response = scim.patch(user, *titles(OPERATIONS + 1))

    refused(response, 413, None, "71 operations", "70 are allowed", "several requests")
    assert scim.read(user)["title"] == "69"


def test_the_operations_of_a_patch_are_bounded_once_they_are_taken_apart(scim):
    """A7: an operation without a path counts once for each attribute in its value."""
    user = scim.create(userName="kari")
    names = ["title", "nickName", "displayName", "locale", "timezone", "userType", "preferredLanguage"]
    value = dict.fromkeys(names, "x")
    assert scim.patch(user, *[{"op": "add", "value": value}] * 10).status_code == 200

    response = scim.patch(user, *[{"op": "add", "value": value}] * 11)

    refused(response, 413, None, "77 operations", "once for each attribute")


FILTERED = "emails[" + " or ".join(['type eq "x"'] * 80) + "].value"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PATCH", {"Operations": [{"op": "add", "path": FILTERED, "value": "x"}]}),
        ("PATCH", {"Operations": [{"op": "add", "path": f"unknown{FILTERED}", "value": "x"}]}),
        ("PATCH", {"Operations": [{"op": "add", "value": {FILTERED: "x"}}]}),
        ("PATCH", {"Operations": [{"op": "add", "value": {ENTERPRISE_URN: {FILTERED: "x"}}}]}),
        ("PATCH", {"Operations": [{"op": "add", "path": "x" * 1001, "value": "x"}]}),
        ("PUT", {"userName": "kari", FILTERED: "x"}),
        ("PUT", {"userName": "kari", ENTERPRISE_URN: {FILTERED: "x"}}),
        ("POST", {"userName": "other", FILTERED: "x"}),
    ],
)
def test_a_filter_in_a_path_or_a_key_is_bounded(scim, method, body):
    """A7: the filter in a path costs as much as one in a query."""
    user = scim.create(userName="kari")
    path = "/Users" if method == "POST" else f"/Users/{user['id']}"

    refused(scim.send(method, path, json=body), 400, "invalidPath", f"{MAX_PATH_LENGTH} are allowed", "shorter")
    assert scim.read(user) == user


def test_the_filters_of_one_body_are_bounded_together(scim):
    """A7: in number and in length."""
    user = scim.create(userName="kari")
    keys = {f'emails[type eq "{number}"].value': "x" for number in range(OPERATIONS + 1)}
    refused(scim.send("POST", "/Users", json={"userName": "a", **keys}), 413, None, "71 attributes", "70 are allowed")

    long = [f'emails[type eq "{number}{"x" * 900}"].value' for number in range(66)]
    response = scim.patch(user, *({"op": "add", "path": path, "value": "x"} for path in long))
    refused(response, 413, None, f"{MAX_PATHS_LENGTH} are allowed", "several requests")
    response = scim.send("POST", "/Users", json={"userName": "a", **dict.fromkeys(long, "x")})
    refused(response, 413, None, f"{MAX_PATHS_LENGTH} are allowed")


@pytest.mark.parametrize(
    "junk",
    [
        {"schemas": ["a"] * MAX_VALUES},
        {f"unknown{number}": 1 for number in range(MAX_VALUES)},
        {"emails": ["a"] * MAX_VALUES},
        {"emails": [{}] * MAX_VALUES},
        {"roles": [{f"unknown{number}": 1 for number in range(MAX_VALUES)}]},
        {ENTERPRISE_URN: {f"unknown{number}": 1 for number in range(MAX_VALUES)}},
    ],
)
def test_the_values_of_a_body_are_bounded(scim, junk):
    """A7: what a body costs grows with its values, far more than with its bytes."""
    user = scim.create(userName="kari")
    words = [f"more than {MAX_VALUES} values", "fewer"]
    refused(scim.send("POST", "/Users", json={"userName": "a", **junk}), 413, None, *words)
    refused(scim.send("PUT", f"/Users/{user['id']}", json={"userName": "kari", **junk}), 413, None, *words)
    refused(scim.patch(user, {"op": "add", "value": junk}), 413, None, *words)
    assert scim.read(user) == user


@pytest.mark.parametrize("member", [1, "a", {}, {"value": "a"}], ids=["number", "text", "nothing", "member"])
def test_the_members_of_one_body_are_bounded(scim, member):
    """A9: each of them costs far more than its two bytes, which held the server for 66 seconds."""
    group = scim.send("POST", "/Groups", json={"displayName": "g"}).json
    members = [member] * (MAX_MEMBERS + 1)
    path, words = f"/Groups/{group['id']}", [f"{MAX_MEMBERS} are allowed", "several requests"]
    refused(scim.send("POST", "/Groups", json={"displayName": "h", "members": members}), 413, None, *words)
    refused(scim.send("PUT", path, json={"displayName": "g", "Members": members}), 413, None, *words)
    for operation in ({"path": "members", "value": members}, {"value": {"members": members}}):
        half = {**operation, "op": "add"}
        refused(scim.send("PATCH", path, json={"Operations": [half]}), 413, None, *words)
    assert scim.send("GET", path).json == group


def test_additions_to_many_entries_are_bounded(scim):
    """A9: each one is compared with all entries before it, in their normalised form."""
    user = scim.create(userName="kari")
    many = [{"op": "add", "path": "roles", "value": [{"value": str(number)}]} for number in range(65)]
    assert scim.patch(user, *many).status_code == 200
    assert scim.patch(user, *many, {**many[0], "value": [{"value": str(n)} for n in range(100)]}).status_code == 413

    long = [{"op": "add", "path": "roles", "value": [{"value": "\u0301a" * 200 + str(number)}]} for number in range(65)]
    other = scim.create(userName="ola", roles=[{"value": "x" * 4000 + str(number)} for number in range(20)])
    refused(scim.patch(other, *long), 413, None, f"{MAX_COMPARED} characters", "several requests")


def test_the_members_of_a_group_are_not_counted_as_values(scim):
    """Groups are large: in a POST, and in a PATCH with and without a path."""
    members = [{"value": str(number)} for number in range(MAX_VALUES)]
    group = scim.send("POST", "/Groups", json={"displayName": "g", "members": members})
    assert group.status_code == 201
    more = [{"value": f"more {number}"} for number in range(MAX_VALUES)]
    for operation in ({"path": "members", "value": more[:1500]}, {"value": {"members": more}}):
        path = f"/Groups/{group.json['id']}"
        response = scim.send("PATCH", path, json={"Operations": [{"op": "Add", **operation}]})
        assert response.status_code == 200, response.text
    assert len(scim.send("GET", path).json["members"]) == 2 * MAX_VALUES


def test_a_resource_does_not_grow_without_end(scim):
    """A7: each PATCH is small, and the sum of them is bounded too."""
    user = scim.create(userName="kari", roles=[{"value": str(number)} for number in range(900)])
    response = scim.patch(user, {"op": "add", "path": "roles", "value": [{"value": f"r{n}"} for n in range(101)]})

    refused(response, 413, None, "roles would have 1001 entries", f"{MAX_ENTRIES} are allowed", "remove")
    assert scim.read(user) == user


def test_filters_over_many_entries_are_bounded(scim):
    """A7: operations times conditions times entries."""
    user = scim.create(userName="kari", roles=[{"value": str(number)} for number in range(900)])
    several = " or ".join(f'value eq "{number}"' for number in range(2))
    few = [{"op": "replace", "path": f"roles[{several}].display", "value": "x"}]
    assert scim.patch(user, *few).status_code == 200

    response = scim.patch(user, *few * 15)

    refused(response, 413, None, f"{MAX_COMPARISONS} comparisons", "several requests")


@pytest.mark.parametrize(
    ("query", "scim_type", "words"),
    [
        ({"filter": 'userName eq "' + "x" * 1000 + '"'}, "invalidFilter", ["1014 characters", "1000 are allowed"]),
        ({"filter": " or ".join(["not (" * 33 + "title pr" + ")" * 33])}, "invalidFilter", ["32"]),
        ({"sortBy": "x" * 501}, "invalidPath", ["sortBy", "501", f"{MAX_NAME_LENGTH} are allowed"]),
        ({"attributes": "x" * 501}, "invalidPath", ["attributes", "501"]),
        ({"excludedAttributes": "x," * MAX_NAMES + "x"}, "invalidPath", ["excludedAttributes has 201 names", "fewer"]),
        ({"count": "9" * 5000}, "invalidValue", ["count"]),
    ],
)
def test_what_a_search_asks_for_is_bounded(scim, query, scim_type, words):
    """A7: whatever the case of the parameter's name, which a body's is read without regard to."""
    refused(scim.send("GET", "/Users", query_string=query), 400, scim_type, *words)
    refused(scim.send("POST", "/Users/.search", json=query), 400, scim_type, *words)
    if "count" not in query:
        refused(scim.send("POST", "/Users/.search", json={k.upper(): v for k, v in query.items()}), 400, scim_type)


def test_the_names_of_an_answer_are_bounded_too(scim):
    """A7: `attributes` of a single resource."""
    user = scim.create(userName="kari")
    for method in ("GET", "PUT"):
        path, query = f"/Users/{user['id']}", {"attributes": "x," * MAX_NAMES + "x"}
        response = scim.send(method, path, query_string=query, json={"userName": "kari"})
        refused(response, 400, "invalidPath", "201 names")


@pytest.mark.parametrize("number", [-(2**70), -1, 0, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**200])
def test_no_page_is_too_far_away(scim, number):
    """RFC 7644 §3.4.2.4: less than 1 means 1, less than 0 means 0; more than there is, is an empty page."""
    scim.create(userName="kari")
    for base in ("/Users", ""):
        query = {"startIndex": number}
        for page in (
            scim.send("GET", base, query_string=query),
            scim.send("POST", f"{base}/.search", json=query),
        ):
            assert page.status_code == 200, page.text
            assert page.json["totalResults"] == 1
            assert page.json["itemsPerPage"] == (1 if number <= 1 else 0)
        query = {"count": number}
        for page in (
            scim.send("GET", base, query_string=query),
            scim.send("POST", f"{base}/.search", json=query),
        ):
            assert page.status_code == 200, page.text
            assert page.json["totalResults"] == 1
            assert page.json["itemsPerPage"] == (1 if number > 0 else 0)


def test_a_page_is_cut_to_the_largest_that_there_is(scim):
    """RFC 7644 §3.4.2.4: fewer than were asked for."""
    for number in range(52):
        scim.create(userName=f"user {number}")
    page = scim.send("GET", "/Users", query_string={"count": 1000}).json
    assert (page["totalResults"], page["itemsPerPage"]) == (52, 50)


def test_a_version_to_compare_with_is_bounded(scim):
    """A7: `If-Match` of no length in which a version could hide."""
    user = f"/Users/{scim.create(userName='kari')['id']}"
    for name in ("If-Match", "If-None-Match"):
        headers = {name: "a" + " " * 2000 + "b"}
        refused(scim.send("DELETE", user, headers=headers), 400, "invalidValue", name, f"{MAX_CONDITION_LENGTH} are")
        refused(scim.send("GET", user, headers=headers), 400, "invalidValue", name)
