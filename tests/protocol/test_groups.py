"""Groups are kept and served, large ones too: a PATCH costs what it changes, not what the group holds."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scim2_models import Context, PatchOp

from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.resources import CHUNK, Identity, Membership, document_of, keys_of
from tests.storage.filter_cases import START
from tests.thorough import either

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
PROVIDER = build_provider(max_page_size=50)
GROUP = PROVIDER.model_for("Group")
IDENTITY = Identity("a-group", "Group", 1, START, START)
IDS = ["a", "A", "b", "c", "Å", "å", "d e", 'f"g']

members = st.fixed_dictionaries(
    {"value": st.sampled_from(IDS)}, optional={"display": st.sampled_from(["x", "y"]), "type": st.just("User")}
)
different = st.lists(members, max_size=4, unique_by=lambda each: each["value"])
quoted = st.sampled_from(IDS).map(lambda text: text.replace('"', '\\"'))
# The library compares whole entries, and would list a member twice that is described in two ways: see `added_once`.
operations = st.one_of(
    st.builds(
        lambda values: {"op": "add", "path": "members", "value": values},
        different,
    ),
    st.builds(lambda values: {"op": "replace", "path": "members", "value": values}, different),
    st.builds(
        lambda values: {"op": "remove", "path": "members", "value": values},
        st.lists(st.builds(lambda text: {"value": text}, st.sampled_from(IDS)), max_size=4),
    ),
    st.builds(lambda text: {"op": "remove", "path": f'members[value eq "{text}"]'}, quoted),
    st.builds(lambda text: {"op": "remove", "path": f'members[value eq "{text}" or display eq "x"]'}, quoted),
    st.builds(lambda text: {"op": "remove", "path": f'members[value eq "{text}" and type eq "User"]'}, quoted),
    st.builds(lambda text: {"op": "remove", "path": f'members[not (value eq "{text}")]'}, quoted),
    st.builds(lambda text: {"op": "remove", "path": f'members[value eq "{text}"].display'}, quoted),
    st.builds(lambda text: {"op": "replace", "path": f'members[value eq "{text}"].display', "value": "z"}, quoted),
    st.just({"op": "remove", "path": "members"}),
    st.builds(lambda text: {"op": "replace", "path": "displayName", "value": text}, st.sampled_from(["one", "two"])),
)


def ids(group):
    return [member["value"] for member in group.get("members", [])]


def members_of(scim, group):
    return ids(scim.send("GET", f"/Groups/{group['id']}").json)


def patched(scim, group, *wanted, **more):
    body = {"schemas": [PATCH_SCHEMA], "Operations": list(wanted)}
    return scim.send("PATCH", f"/Groups/{group['id']}", json=body, **more)


@settings(max_examples=either(300, 100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(different, st.lists(operations, min_size=1, max_size=5), st.sampled_from([2, CHUNK]))
def test_by_delta_the_members_become_what_they_become_as_a_whole(found, wanted, chunk):
    """RFC 7644 §3.5.2: shown in part, a group ends as it does when the library is shown all of it."""
    with PROVIDER:
        start = GROUP.model_validate({"displayName": "Crane drivers", "members": found or None})
        patch = PatchOp[GROUP].model_validate({"operations": wanted}, scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        document = document_of(start)
        keys = keys_of(GROUP, document, IDENTITY)
        membership = Membership(GROUP, document.pop("members", []), keys.get("members", []), chunk=chunk)
        parted = GROUP.model_validate(document)
        whole, whole_error = outcome(lambda: (added_once(patch, start), start))
        delta, delta_error = outcome(lambda: (membership.apply(parted, copy.deepcopy(patch)), parted))

        assert delta_error == whole_error
        if whole is None:
            return
        assert delta[0] == whole[0]
        expected = document_of(whole[1])
        expected_keys = keys_of(GROUP, expected, IDENTITY)
        assert same(membership.members) == same(expected.pop("members", []))
        assert document_of(delta[1]) == expected
        assert same(membership.keys) == same(expected_keys.get("members", []))


def added_once(patch, group):
    """Apply operations one by one, as the library does, each add without the members that are there by their ids."""
    changed = False
    for operation in patch.operations:
        if operation.op == "add" and operation.path == "members":
            known = {member.value for member in group["members"] or []}
            operation.value = [each for each in operation.value if each["value"] not in known]
        changed |= patch.model_copy(update={"operations": [operation]}).patch(group)
    return changed


def same(entries):
    return sorted(sorted(entry.items()) for entry in entries)


def outcome(act):
    try:
        return act(), None
    except Exception as exc:
        return None, type(exc)


def test_members_come_and_go_by_delta(scim):
    """entra/README: groups are patched by adding and removing members; those that aren't named stay as they are."""
    group = scim.send(
        "POST", "/Groups", json={"displayName": "All", "members": [{"value": f"id-{n}"} for n in range(2000)]}
    ).json

    joined = [{"value": f"new-{n}", "type": "User"} for n in range(120)]
    answer = patched(scim, group, {"op": "Add", "path": "members", "value": joined})
    assert answer.status_code == 200
    assert members_of(scim, group) == [f"id-{n}" for n in range(2000)] + [f"new-{n}" for n in range(120)]

    left = [{"op": "Remove", "path": f'members[value eq "id-{n}"]'} for n in range(0, 30, 2)]
    also = {"op": "Remove", "path": "members", "value": [{"value": f"id-{n}"} for n in range(600) if n % 2 or n >= 30]}
    answer = patched(scim, group, *left, also)
    assert answer.status_code == 200, answer.text
    assert members_of(scim, group) == [f"id-{n}" for n in range(600, 2000)] + [f"new-{n}" for n in range(120)]


def test_a_member_that_is_there_is_not_added_again(scim):
    """RFC 7644 §3.5.2.1: a value that exists already changes nothing, not even the version."""
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": [{"value": "a"}]}).json

    answer = patched(scim, group, {"op": "Add", "path": "members", "value": [{"value": "a"}]})

    assert members_of(scim, group) == ["a"]
    assert answer.json["meta"]["version"] == group["meta"]["version"]


def test_a_group_is_found_by_a_member_that_came_by_delta(scim):
    """RFC 7644 §3.4.2.2: what was patched is what filters see."""
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": [{"value": "a"}, {"value": "b"}]}).json
    left = {"op": "Remove", "path": 'members[value eq "a"]'}
    joined = {"op": "Add", "path": "members", "value": [{"value": "Ångström"}]}
    assert ids(patched(scim, group, left, joined, query_string={"attributes": "members"}).json) == ["b", "Ångström"]

    def found(text):
        return scim.send("GET", "/Groups", query_string={"filter": text}).json["totalResults"]

    assert found('members.value eq "Ångström"') == 1
    assert found('members[value eq "b"]') == 1
    assert found('members.value eq "a"') == 0


@pytest.mark.parametrize("patch_status", [200, 204])
def test_the_answer_shows_the_members_it_is_asked_for(scim, patch_status):
    """RFC 7644 §3.5.2, §3.9: what `attributes` names; unasked, one change does not bring all members along."""
    scim.patch_status = patch_status
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": [{"value": "a"}]}).json
    added = {"op": "Add", "path": "members", "value": [{"value": "b"}]}
    renamed = {"op": "Replace", "path": "displayName", "value": "Many"}

    answer = patched(scim, group, added)
    assert answer.status_code == patch_status
    assert answer.headers["ETag"] == 'W/"2"'
    assert patch_status == 204 or answer.json["displayName"] == "Few"
    assert b"members" not in answer.data
    answer = patched(scim, group, renamed, query_string={"excludedAttributes": "members"})
    assert answer.json["displayName"] == "Many"
    assert "members" not in answer.json
    answer = patched(scim, group, renamed, query_string={"attributes": "members"})
    assert ids(answer.json) == ["a", "b"]


@pytest.mark.parametrize("query", [{"excludedAttributes": "members"}, {"attributes": "displayName"}])
def test_a_group_may_be_read_without_its_members(scim, query):
    """entra/README: Entra looks for a group with `displayName eq` and `excludedAttributes=members`."""
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": [{"value": "a"}]}).json

    by_id = scim.send("GET", f"/Groups/{group['id']}", query_string=query).json
    by_name = scim.send("GET", "/Groups", query_string={"filter": 'displayName eq "few"', **query}).json["Resources"]

    assert [by_id] == by_name
    assert "members" not in by_id
    assert by_id["displayName"] == "Few"


def test_an_operation_that_fails_leaves_all_members(scim):
    """RFC 7644 §3.5.2: the operations of a request are applied as a whole or not at all."""
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": [{"value": "a"}]}).json
    answer = patched(
        scim,
        group,
        {"op": "Remove", "path": "members"},
        {"op": "Replace", "path": 'members[type eq "User" or type eq "Group"].display', "value": "x"},
    )

    assert answer.status_code == 400
    assert scim.send("GET", f"/Groups/{group['id']}").json == group


SENT_TWICE = [{"value": "a"}, {"value": "b"}, {"value": "a", "display": "Kari"}, {"value": "a"}]


def test_a_member_is_listed_once_however_often_it_was_added(scim):
    """B2: by its id, whatever else is said of it, in a POST, a PUT, and each way of a PATCH."""
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": SENT_TWICE}).json
    assert ids(group) == ["a", "b"]
    put = scim.send("PUT", f"/Groups/{group['id']}", json={"displayName": "Few", "members": SENT_TWICE[1:]})
    assert ids(put.json) == ["b", "a"]

    for operation in (
        {"op": "Replace", "path": "members", "value": SENT_TWICE},
        {"op": "Add", "path": "members", "value": [{"value": "a", "type": "User", "$ref": None}]},
        {"op": "add", "value": {"members": SENT_TWICE}},
        {"op": "add", "path": 'members[value eq "a"]', "value": {"type": "User"}},
    ):
        assert patched(scim, group, operation, operation).status_code == 200
        assert members_of(scim, group) == ["a", "b"]


def test_a_member_that_is_there_changes_nothing_however_it_is_described(scim):
    """RFC 7644 §3.5.2.1: a value that exists is not added, and the version stays."""
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": [{"value": "a", "display": "x"}]}).json

    patched(scim, group, {"op": "Add", "path": "members", "value": [{"value": "a", "display": "y"}]})

    assert scim.send("GET", f"/Groups/{group['id']}").json == group


def test_a_user_who_is_deleted_is_no_member(scim):
    """B2: of no group, whose version then grows; the other members stay, and other companies' groups as they are."""
    kari, ola = scim.create(userName="kari"), scim.create(userName="ola")
    both = [{"value": ola["id"]}, {"value": kari["id"], "type": "User"}]
    crew = scim.send("POST", "/Groups", json={"displayName": "Crew", "members": both}).json
    alone = scim.send("POST", "/Groups", json={"displayName": "Alone", "members": both[1:]}).json
    # Its name is no member.
    others = scim.send("POST", "/Groups", json={"displayName": kari["id"], "members": both[:1]}).json
    elsewhere = "/tenants/other/scim/v2"
    foreign = scim.send("POST", "/Groups", base=elsewhere, json={"displayName": "Crew", "members": both}).json

    assert scim.send("DELETE", f"/Users/{kari['id']}").status_code == 204

    left = scim.send("GET", f"/Groups/{crew['id']}").json
    assert left["members"] == [{"value": ola["id"]}]
    assert (crew["meta"]["version"], left["meta"]["version"]) == ('W/"1"', 'W/"2"')
    assert "members" not in scim.send("GET", f"/Groups/{alone['id']}").json
    assert scim.send("GET", f"/Groups/{others['id']}").json == others
    assert scim.send("GET", f"/Groups/{foreign['id']}", base=elsewhere).json == foreign
    query = {"filter": f'members.value eq "{kari["id"]}"'}
    assert scim.send("GET", "/Groups", query_string=query).json["totalResults"] == 0


@pytest.mark.parametrize("patch_status", [200, 204])
def test_one_change_does_not_bring_all_members_along(scim, patch_status):
    """B2: what a PATCH did not name it does not tell; a client that named all members is told the whole group."""
    scim.patch_status = patch_status
    group = scim.send("POST", "/Groups", json={"displayName": "Few", "members": [{"value": "a"}]}).json

    for operation in (
        {"op": "Add", "path": "members", "value": [{"value": "b"}]},
        {"op": "Remove", "path": 'members[value eq "b"]'},
        {"op": "Replace", "path": "displayName", "value": "Some"},
    ):
        answer = patched(scim, group, operation)
        assert answer.status_code == patch_status
        assert b"members" not in answer.data
    if patch_status == 200:
        named = patched(scim, group, {"op": "Replace", "path": "members", "value": [{"value": "c"}, {"value": "d"}]})
        assert ids(named.json) == ["c", "d"]
        assert "members" not in patched(scim, group, {"op": "Remove", "path": "members"}).json
