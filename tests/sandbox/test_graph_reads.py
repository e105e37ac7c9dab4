"""What the simulated Graph shows of people, groups and assignments, page by page and change by change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from scim_bridge.sandbox.directory import EntraGroup
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.access import GraphClient
from scim_bridge.sandbox.graph.assignments import Principal
from scim_bridge.sandbox.graph.service import SERVICE_PRINCIPAL
from scim_bridge.sandbox.graph.style import GraphStyle, reported_styles
from scim_bridge.sandbox.server import WsgiTransport

from .graph_world import (
    DITIO,
    GRAPH,
    KARI,
    LIV,
    MEMBERS,
    NESTED,
    NESTED_MEMBER,
    OLA,
    PER,
    SECRET_GROUP,
    GraphWorld,
    person,
)

APP = f"/servicePrincipals/{SERVICE_PRINCIPAL.object_id}"
ASSIGNED = f"{APP}/appRoleAssignedTo"
EVENTUAL = {"ConsistencyLevel": "eventual"}


@pytest.fixture
def world() -> GraphWorld:
    return GraphWorld()


@pytest.fixture
def peopled(world) -> GraphWorld:
    world.peoples()
    return world


def styled(world: GraphWorld, **changes) -> None:
    world.graph.style = replace(world.graph.style, **changes)


def test_users_come_in_pages_of_999_at_most(world):
    world.adds_many(1001)

    assert [len(page) for page in world.reads_all("/users?$select=id&$top=999")] == [999, 2]
    assert [len(page) for page in world.reads_all("/users?$select=id")][:2] == [100, 100]
    assert len({row["id"] for row in world.rows("/users?$select=id&$top=400")}) == 1001
    assert world.asks("/users?$top=1000").json()["error"]["code"] == "Request_UnsupportedQuery"


@pytest.mark.parametrize(("style", "pages"), [("none", [2, 2, 1]), ("middle", [2, 0, 2, 1]), ("last", [2, 2, 1, 0])])
def test_an_empty_page_may_still_have_a_next_link(world, style, pages):
    world.adds_many(5)
    styled(world, empty_pages=style)

    assert [len(page) for page in world.reads_all("/users?$select=id&$top=2")] == pages


def test_a_list_may_end_early(world):
    world.adds_many(5)
    styled(world, ends_early=True)

    assert [len(page) for page in world.reads_all("/users?$select=id&$top=2")] == [2]
    assert len(world.reads(ASSIGNED + "?$top=3")["value"]) == 3


def test_a_later_page_may_fail(world):
    world.adds_many(5)
    world.graph.faults.plan(Fault("status", 500, path="/users", query="skiptoken"))
    page = world.reads("/users?$select=id&$top=2")

    assert world.asks(page["@odata.nextLink"]).status_code == 500
    assert world.asks(page["@odata.nextLink"]).status_code == 200


def test_a_link_needs_no_other_query_and_lives_on_when_people_leave(world):
    first, second, third = world.adds_many(3)
    page = world.reads("/users?$select=id&$top=1")
    world.directory.hard_delete(second.object_id)
    world.adds()

    rest = [row["id"] for row in world.rows(page["@odata.nextLink"])]

    assert page["value"] == [{"id": first.object_id}]
    assert rest == [third.object_id]
    assert world.asks(f"{GRAPH}/v1.0/users?$skiptoken=unknown").status_code == 400


@pytest.mark.parametrize("path", ["/users?$select=id&$top=1", "/users/delta?$select=id", f"{ASSIGNED}?$top=1"])
def test_links_may_lead_to_a_foreign_host(world, path):
    world.adds_many(3)
    styled(world, links_to="https://elsewhere.example", delta_page=1)

    assert world.reads(path)["@odata.nextLink"].startswith("https://elsewhere.example/v1.0/")


def test_it_may_stand_below_another_path(world):
    world.adds_many(2)
    session = requests.Session()
    below = DispatcherMiddleware(NotFound(), {"/graph": world.graph.app})
    session.mount("https://proxy.example/", WsgiTransport(below))
    headers = {"Authorization": f"Bearer {world.token}"}

    page = session.get("https://proxy.example/graph/v1.0/users?$top=1&$select=id", headers=headers).json()

    assert page["@odata.nextLink"].startswith("https://proxy.example/graph/v1.0/users?")
    assert len(session.get(page["@odata.nextLink"], headers=headers).json()["value"]) == 1
    batch = {"requests": [{"id": "1", "method": "GET", "url": "/users?$top=1&$select=id"}]}
    inner = session.post("https://proxy.example/graph/v1.0/$batch", json=batch, headers=headers).json()
    assert inner["responses"][0]["body"]["@odata.nextLink"].startswith("https://proxy.example/graph/v1.0/users?")


def test_a_user_has_graphs_names_and_forms(world):
    world.directory.sources[f"{DITIO}:payroll"] = "extensionAttribute2"
    world.directory.sources[f"{DITIO}:cards"] = "extension_8888_cards"
    user = world.adds(
        telephone_number="22334455",
        birth_date="1990-05-15",
        hire_date="2026-03-01",
        leave_date="2026-06-30",
        extra={f"{DITIO}:payroll": 2, f"{DITIO}:cards": "a"},
    )
    asked = "businessPhones,mobilePhone,employeeHireDate,employeeLeaveDateTime,onPremisesExtensionAttributes"

    found = world.reads(f"/users/{user.object_id}?$select={asked},extension_8888_cards,extension_8888_Cards")

    attributes = found.pop("onPremisesExtensionAttributes")
    assert found.pop("@odata.context").endswith("/$entity")
    assert found == {
        "businessPhones": ["22334455"],
        "mobilePhone": None,
        "employeeHireDate": "2026-03-01T00:00:00Z",
        "employeeLeaveDateTime": "2026-06-30T23:59:59Z",
        "extension_8888_cards": "a",
    }
    assert len(attributes) == 15
    assert attributes["extensionAttribute1"] == "1990-05-15"
    assert (attributes["extensionAttribute2"], attributes["extensionAttribute3"]) == ("2", None)


def test_without_a_select_there_are_few_properties(peopled):
    assert "employeeId" not in peopled.reads(f"/users/{KARI}")
    assert peopled.asks(f"/users/{KARI}?$select=mobile").status_code == 400, "provisioning's name for mobilePhone"


def test_a_property_may_be_read_over_silently(peopled):
    styled(peopled, not_read=frozenset({"employeeId"}))

    assert peopled.reads(f"/users/{KARI}?$select=id,employeeId").keys() == {"@odata.context", "id"}


@pytest.mark.parametrize(("style", "managers"), [("yes", [OLA]), ("ignored", [])])
def test_managers_are_expanded_or_not(peopled, style, managers):
    styled(peopled, expand_manager=style)

    rows = peopled.rows("/users?$select=id&$expand=manager($select=id)&$top=999")

    assert [row["manager"]["id"] for row in rows if "manager" in row] == managers


def test_expanding_managers_of_a_list_may_be_refused(peopled):
    styled(peopled, expand_manager="400")

    assert peopled.asks("/users?$expand=manager($select=id)").status_code == 400
    assert peopled.reads(f"/users/{KARI}?$expand=manager($select=id)")["manager"]["id"] == OLA
    assert peopled.reads(f"/users/{KARI}/manager?$select=id")["id"] == OLA
    assert peopled.asks(f"/users/{OLA}/manager").status_code == 404


def test_fifteen_ids_fit_into_a_filter(peopled):
    def asked(count: int) -> str:
        return ",".join(f"'{person(number)}'" for number in range(1, count + 1))

    rows = peopled.rows(f"/users?$select=id&$filter=id in ({asked(15)})")
    assert {row["id"] for row in rows} == {KARI, OLA, LIV, NESTED_MEMBER, person(7), person(9)}
    assert peopled.asks(f"/users?$filter=id in ({asked(16)})").status_code == 400
    assert peopled.asks("/users?$filter=mobilePhone eq 'x'").status_code == 400


def test_a_user_is_also_found_by_principal_name(peopled):
    assert peopled.reads("/users/ola.hansen@contoso.example?$select=id")["id"] == OLA
    assert peopled.reads("/users?$select=id&$filter=employeeId eq '1002'")["value"] == [{"id": OLA}]


def test_a_deleted_user_is_only_in_the_recycle_bin(peopled):
    assert peopled.asks(f"/users/{PER}").json()["error"]["code"] == "Request_ResourceNotFound"
    assert PER not in {row["id"] for row in peopled.rows("/users?$select=id")}

    (deleted,) = peopled.rows("/directory/deletedItems/microsoft.graph.user?$top=999")
    assert (deleted["id"], deleted["deletedDateTime"]) == (PER, "2026-11-24T08:00:00Z")
    assert deleted["userPrincipalName"] == f"{PER.replace('-', '')}per.berg@contoso.example"

    peopled.clock.passes(days=2)
    peopled.signs_in()
    (deleted,) = peopled.rows("/directory/deletedItems/microsoft.graph.user")
    assert deleted["deletedDateTime"] == "2026-11-24T08:00:00Z"
    assert peopled.asks("/directory/deletedItems").status_code == 400

    peopled.directory.users[PER].soft_deleted = False
    assert peopled.reads(f"/users/{PER}?$select=id")["id"] == PER


def test_people_are_counted_from_an_index(peopled):
    assert peopled.asks("/users/$count").status_code == 400, "its header is missing"
    assert peopled.asks("/users/$count", headers=EVENTUAL).text == "6"

    styled(peopled, count_error=-2)
    assert peopled.asks("/users/$count", headers=EVENTUAL).text == "4"


def test_assignments_are_of_people_groups_and_clients(peopled):
    peopled.graph.further.append(Principal("ServicePrincipal", "client", "A client"))

    rows = peopled.rows(f"{ASSIGNED}?$top=999")

    assert [(row["principalType"], row["principalId"]) for row in rows] == [
        ("User", KARI),
        ("Group", MEMBERS),
        ("Group", SECRET_GROUP),
        ("ServicePrincipal", "client"),
    ]
    assert rows[0]["appRoleId"] != rows[1]["appRoleId"] == "00000000-0000-0000-0000-000000000000"


def test_without_a_top_assignments_may_end_early(world):
    world.adds_many(150)
    assert len(world.rows(ASSIGNED)) == 100
    assert len(world.rows(f"{ASSIGNED}?$top=100")) == 150

    styled(world, loses_rows_without_top=False)
    assert len(world.rows(ASSIGNED)) == 150


def test_assignments_lag_behind(world):
    user = world.adds()
    styled(world, assignment_lag=2)
    assert len(world.rows(f"{ASSIGNED}?$top=999")) == 1

    user.assigned = False
    assert [len(world.rows(f"{ASSIGNED}?$top=999")) for _ in range(4)] == [1, 1, 0, 0]


def test_a_service_principal_is_found_by_either_id(peopled):
    peopled.graph.adds(GraphClient("another", "its-object-id"))

    by_id = peopled.reads(f"{APP}?$select=id,appId,displayName")
    assert (
        peopled.reads(f"/servicePrincipals(appId='{SERVICE_PRINCIPAL.app_id}')?$select=id,appId,displayName") == by_id
    )
    assert peopled.rows(f"/servicePrincipals?$filter=appId eq '{SERVICE_PRINCIPAL.app_id}'")[0]["id"] == by_id["id"]
    assert peopled.asks(f"/servicePrincipals/{SERVICE_PRINCIPAL.app_id}").status_code == 404, "an application id"
    assert peopled.reads("/servicePrincipals(appId='another')")["id"] == "its-object-id"
    assert peopled.rows("/servicePrincipals/its-object-id/appRoleAssignedTo?$top=9") == []


def test_a_users_own_assignments_include_those_by_a_direct_group(peopled):
    peopled.directory.groups[MEMBERS].members.append(KARI)
    peopled.may_only("Directory.Read.All")

    assert [row["principalId"] for row in peopled.rows(f"/users/{KARI}/appRoleAssignments")] == [KARI, MEMBERS]
    assert peopled.rows(f"/users/{NESTED_MEMBER}/appRoleAssignments") == []


def test_members_are_direct_and_of_every_kind(peopled):
    rows = peopled.rows(f"/groups/{MEMBERS}/members?$select=id&$top=999")

    assert [(row["@odata.type"].rpartition(".")[2], row["id"][:8]) for row in rows] == [
        ("user", OLA[:8]),
        ("user", LIV[:8]),
        ("group", NESTED[:8]),
        ("device", "dddddddd"),
    ]


def test_a_cast_needs_the_index(peopled):
    direct = f"/groups/{MEMBERS}/members/microsoft.graph.user?$select=id"
    below = f"/groups/{MEMBERS}/transitiveMembers/microsoft.graph.user?$select=id&$top=2"
    assert peopled.asks(f"{direct}&$count=true").status_code == 400
    assert peopled.asks(direct, headers=EVENTUAL).status_code == 400

    assert peopled.rows(f"{direct}&$count=true", headers=EVENTUAL) == [{"id": OLA}, {"id": LIV}]
    first = peopled.reads(f"{below}&$count=true", headers=EVENTUAL)
    assert first["@odata.count"] == 3
    second = peopled.reads(first["@odata.nextLink"], headers=EVENTUAL)
    assert "@odata.count" not in second
    assert second["value"] == [{"id": NESTED_MEMBER}]
    assert peopled.asks(first["@odata.nextLink"]).status_code == 400, "the header must be repeated"


def test_a_group_that_is_gone_may_still_be_assigned(peopled):
    peopled.directory.hard_delete(MEMBERS)
    peopled.graph.further.append(Principal("Group", MEMBERS, "Ditio users"))

    assert MEMBERS in {row["principalId"] for row in peopled.rows(f"{ASSIGNED}?$top=999")}
    assert peopled.asks(f"/groups/{MEMBERS}/members").status_code == 404


def test_groups_in_a_ring_end(peopled):
    peopled.directory.groups[NESTED].members.append(MEMBERS)
    path = f"/groups/{MEMBERS}/transitiveMembers/microsoft.graph.user?$select=id&$count=true"

    assert len(peopled.rows(path, headers=EVENTUAL)) == 3


def latest(world: GraphWorld, select: str = "id,mobilePhone,jobTitle,manager") -> str:
    rows, link = world.changes(f"/users/delta?$select={select}&$deltatoken=latest")
    assert rows == []
    return link


def test_a_delta_shows_null_for_the_cleared_and_nothing_for_the_never_set(world):
    boss = world.adds()
    user = world.adds(mobile="1", manager=boss.object_id)
    link = latest(world)
    user.mobile, user.department, user.manager = None, "Anlegg", None

    rows, link = world.changes(link)

    gone = {"@odata.type": "#microsoft.graph.user", "id": boss.object_id, "@removed": {"reason": "deleted"}}
    assert rows == [{"id": user.object_id, "mobilePhone": None, "manager@delta": [gone]}]
    assert world.changes(link)[0] == []

    user.mobile = "2"
    assert world.changes(link)[0][0]["mobilePhone"] == "2"


@pytest.mark.parametrize(
    ("style", "shown", "cleared"),
    [
        ("delta", {"manager@delta"}, {"manager@delta"}),
        ("object", {"manager"}, {"manager"}),
        ("none", set(), set()),
    ],
)
def test_a_manager_has_several_forms_in_a_delta(world, style, shown, cleared):
    styled(world, delta_manager=style)
    boss = world.adds()
    user = world.adds()
    link = latest(world, "id,manager")
    user.manager = boss.object_id
    rows, link = world.changes(link)
    assert [row.keys() - {"id"} for row in rows] == [shown]

    user.manager = None
    assert [row.keys() - {"id"} for row in world.changes(link)[0]] == [cleared]


def test_who_is_deleted_is_removed_in_two_steps(world):
    user = world.adds()
    link = latest(world)
    user.soft_deleted = True
    rows, link = world.changes(link)
    assert rows == [{"id": user.object_id, "@removed": {"reason": "changed"}}]

    world.directory.hard_delete(user.object_id)
    rows, link = world.changes(link)
    assert rows == [{"id": user.object_id, "@removed": {"reason": "deleted"}}]
    assert world.changes(link)[0] == []


def test_who_is_restored_comes_whole(world):
    user = world.adds(job_title="Bas", soft_deleted=True)
    link = latest(world)
    user.soft_deleted = False

    assert world.changes(link)[0] == [{"id": user.object_id, "jobTitle": "Bas"}]


def test_a_full_delta_shows_all_and_a_mark_remembers_the_select(world):
    users = world.adds_many(3)
    world.adds(soft_deleted=True)
    styled(world, delta_page=2)
    rows, link = world.changes("/users/delta?$select=jobTitle")
    assert rows == [{"id": user.object_id} for user in users]

    for user in users:
        user.job_title = "Bas"
    rows, _ = world.changes(link)
    assert rows == [{"id": user.object_id, "jobTitle": "Bas"} for user in users]


def test_what_changes_while_a_delta_is_paged_comes_in_the_next_round(world):
    users = world.adds_many(3)
    styled(world, delta_page=2)
    first = world.reads("/users/delta?$select=jobTitle")
    users[0].job_title = "Bas"

    rows, link = world.changes(first["@odata.nextLink"])

    assert [row["id"] for row in rows] == [users[2].object_id]
    assert world.changes(link)[0] == [{"id": users[0].object_id, "jobTitle": "Bas"}]


def test_a_mark_lives_seven_days(world):
    link = latest(world)
    world.clock.passes(days=7)
    world.signs_in()

    answer = world.asks(link)
    assert answer.status_code == 410
    rows, _ = world.changes(answer.headers["Location"])
    assert rows == []

    styled(world, delta_expired="400")
    assert world.asks(link).json()["error"]["code"] == "syncStateNotFound"


def test_the_service_may_ask_for_a_new_start(world):
    link = latest(world)
    world.graph.forget_marks()

    assert world.asks(link).status_code == 410
    assert world.asks(f"{GRAPH}/v1.0/users/delta?$deltatoken=unknown").status_code == 400


def test_a_delta_may_repeat_itself(world):
    first, second = world.adds_many(2)
    styled(world, delta_repeats=True)
    link = latest(world, "jobTitle")
    first.job_title = second.job_title = "Bas"

    rows, link = world.changes(link)
    assert [row["id"] for row in rows] == [first.object_id, first.object_id, second.object_id, second.object_id]
    again, _ = world.changes(link)
    assert {row["id"] for row in again} == {second.object_id}


def test_a_delta_may_be_late_but_loses_nothing(world):
    user = world.adds()
    styled(world, delta_lag_seconds=60)
    link = latest(world, "jobTitle")
    user.job_title = "Bas"
    rows, link = world.changes(link)
    assert rows == []

    world.clock.passes(seconds=60)
    assert world.changes(link)[0] == [{"id": user.object_id, "jobTitle": "Bas"}]


@pytest.mark.parametrize("query", ["$top=5", "$orderby=id", "$expand=manager"])
def test_a_delta_takes_fewer_options(world, query):
    assert world.asks(f"/users/delta?{query}").status_code == 400


def test_a_delta_of_fifty_ids(world):
    users = world.adds_many(51)
    wanted = [f"id eq '{user.object_id}'" for user in users]
    rows, link = world.changes(f"/users/delta?$select=jobTitle&$filter={' or '.join(wanted[:2])}")
    assert [row["id"] for row in rows] == [user.object_id for user in users[:2]]

    for user in users:
        user.job_title = "Bas"
    assert len(world.changes(link)[0]) == 2
    assert world.asks(f"/users/delta?$filter={' or '.join(wanted)}").status_code == 400


def test_groups_have_a_delta_of_members(world):
    world.directory.add_group(EntraGroup("g", "Group", ["a", "b"]))
    world.directory.add_group(EntraGroup("h", "Other", ["c"]))
    rows, link = world.changes("/groups/delta?$select=id,members&$filter=id eq 'g'")
    assert [[each["id"] for each in row["members@delta"]] for row in rows] == [["a", "b"]]

    world.directory.groups["g"].members[:] = ["b", "d"]
    world.directory.groups["h"].members.clear()
    (row,), link = world.changes(link)
    assert [(each["id"], each.get("@removed")) for each in row["members@delta"]] == [
        ("a", {"reason": "deleted"}),
        ("d", None),
    ]
    world.directory.hard_delete("g")
    (row,), _ = world.changes(link)
    assert row["@removed"] == {"reason": "deleted"}


@pytest.mark.parametrize("style", reported_styles(), ids=lambda style: style.name)
def test_in_every_style_all_people_are_read(style: GraphStyle):
    world = GraphWorld(style=style)
    users = world.adds_many(7)

    assert {row["id"] for row in world.rows("/users?$select=id&$top=3")} == {user.object_id for user in users}
    assert len(world.rows(f"{ASSIGNED}?$top=3")) == 7
    assert {row["id"] for row in world.changes("/users/delta?$select=id")[0]} == {user.object_id for user in users}
    world.the_job()
