"""What keeps the simulated Entra from sending: scope, settings of the job, lost events, lost links."""

from __future__ import annotations

import pytest

from scim_bridge.sandbox.directory import EntraGroup
from scim_bridge.sandbox.job import AttributeMapping, Clause

from .graph_world import GraphWorld


@pytest.fixture
def world() -> GraphWorld:
    return GraphWorld()


def actions(world: GraphWorld) -> list[str]:
    return [step.action for step in world.entra.cycle().steps]


def test_a_direct_member_of_an_assigned_group_is_in_scope(world):
    direct, below, other = (world.adds(assigned=False) for _ in range(3))
    world.directory.add_group(EntraGroup("outer", "Outer", [direct.object_id, "inner"]))
    world.directory.add_group(EntraGroup("inner", "Inner", [below.object_id], assigned=False))
    world.directory.add_group(EntraGroup("mail", "Mail", [other.object_id], security_enabled=False))
    world.job.groups_enabled = False
    assert actions(world) == ["create"]

    world.directory.groups["outer"].members.remove(direct.object_id)
    assert actions(world) == ["disable"]
    world.directory.groups["inner"].assigned = True
    assert actions(world) == ["create"]


def test_a_purged_member_of_a_group_is_deleted(world):
    user = world.adds(assigned=False)
    world.directory.add_group(EntraGroup("g", "Group", [user.object_id]))
    world.job.groups_enabled = False
    world.entra.cycle()
    world.directory.hard_delete(user.object_id)

    assert actions(world) == ["delete"]


def test_with_sync_all_no_one_needs_an_assignment(world):
    world.adds(assigned=False)
    assert actions(world) == []

    world.job.sync_all = True
    assert actions(world) == ["create"]


def test_leaving_sync_all_without_a_restart_disables_no_one(world):
    world.job.sync_all = True
    user = world.adds(assigned=False)
    world.entra.cycle()
    world.job.sync_all, world.job.delete_threshold = False, 0
    assert actions(world) == actions(world) == []
    world.job.delete_threshold = None

    user.job_title = "Bas"
    assert actions(world) == ["disable"]


def test_leaving_sync_all_with_a_restart_disables(world):
    world.job.sync_all = True
    world.adds(assigned=False)
    world.entra.cycle()
    world.job.sync_all = False
    world.entra.restart()

    assert actions(world) == ["disable"]


@pytest.mark.parametrize(
    ("clause", "passes"),
    [
        (Clause("department", "EQUALS", ("Anlegg",)), True),
        (Clause("department", "EQUALS", ("Vei",)), False),
        (Clause("department", "NOT EQUALS", ("Vei",)), True),
        (Clause("department", "IN", ("Vei", "Anlegg")), True),
        (Clause("mobile", "IS NULL"), True),
        (Clause("mobile", "IS NOT NULL"), False),
        (Clause("userType", "EQUALS", ("Guest",)), False),
        (Clause("department", "REGEX MATCH", ("x",)), True),
    ],
)
def test_a_scoping_filter_keeps_users_out_and_disables(world, clause, passes):
    user = world.adds(department="Anlegg")
    world.job.scope = [[clause]]
    assert actions(world) == (["create"] if passes else [])

    world.job.scope = [[Clause("department", "EQUALS", ("Bygg",)), clause], [Clause("objectId", "EQUALS", ("no",))]]
    assert actions(world) == (["disable"] if passes else [])
    assert user.department == "Anlegg"


def test_who_falls_out_of_the_input_filter_stays(world):
    user = world.adds(department="Anlegg")
    world.job.input_filter = [[Clause("department", "EQUALS", ("Anlegg",))]]
    assert actions(world) == ["create"]

    user.department, user.account_enabled = "Vei", False
    assert actions(world) == []


def test_an_event_is_lost_until_the_next_change(world):
    user, other = world.adds_many(2)
    world.entra.cycle()
    user.assigned = other.assigned = False
    world.entra.overlook(user.object_id)
    assert [step.object_id for step in world.entra.cycle().steps] == [other.object_id]
    assert actions(world) == []

    user.assigned = True
    assert actions(world) == [], "and it is as it was"
    user.account_enabled = False
    assert actions(world) == ["disable"]


def test_a_lost_assignment_and_a_lost_deletion(world):
    never, gone = world.adds_many(2)
    world.entra.overlook(never.object_id)
    assert actions(world) == ["create"]

    world.directory.hard_delete(gone.object_id)
    world.entra.overlook(gone.object_id)
    assert actions(world) == []
    assert world.endpoint.resources.keys() == {"u1"}


def test_a_restart_finds_what_was_lost(world):
    user = world.adds()
    world.entra.cycle()
    user.account_enabled = False
    world.entra.overlook(user.object_id)
    assert actions(world) == []

    world.entra.restart()
    assert actions(world) == ["disable"]


def test_on_demand_takes_what_was_lost(world):
    user = world.adds()
    world.entra.overlook(user.object_id)

    assert world.entra.provision(user).action == "create"


def test_a_restart_that_loses_the_links_never_mentions_leavers(world):
    leaver, other = world.adds_many(2)
    world.entra.cycle()
    leaver.assigned = False
    world.entra.restart(lose_links=True)

    assert {step.object_id for step in world.entra.cycle().steps} == {other.object_id}
    assert world.entra.scim_id(leaver.object_id) is None


@pytest.mark.parametrize(
    ("field", "gone", "sent"),
    [("assigned", False, []), ("soft_deleted", True, ["disable"]), ("account_enabled", False, ["disable"])],
)
def test_out_of_scope_deletions_may_be_skipped(world, field, gone, sent):
    user = world.adds()
    world.entra.cycle()
    world.job.skip_out_of_scope_deletions = True
    setattr(user, field, gone)

    assert actions(world) == sent


def test_too_many_leavers_are_staged(world):
    users = world.adds_many(4)
    world.entra.cycle()
    world.job.delete_threshold = 2
    users[0].assigned, users[1].account_enabled, users[3].job_title = False, False, "Bas"
    world.directory.hard_delete(users[2].object_id)

    cycle = world.entra.cycle()

    assert [step.action for step in cycle.steps] == ["staged", "staged", "update", "staged"]
    assert cycle.quarantined
    assert world.job.quarantine.reason == "TooManyDeletes"
    staged = world.rows("/auditLogs/provisioning?$filter=provisioningAction eq 'stagedDelete'")
    assert {row["sourceIdentity"]["id"] for row in staged} == {user.object_id for user in users[:3]}
    users[3].job_title = "Formann"
    assert actions(world) == [], "nothing is sent while it stands"

    world.job.allow_deletes(world.clock.now)
    assert sorted(actions(world)) == ["delete", "disable", "disable", "update"]
    assert not world.job.deletes_allowed


def test_as_many_as_the_threshold_may_leave(world):
    users = world.adds_many(2)
    world.entra.cycle()
    world.job.delete_threshold = 2
    for user in users:
        user.assigned = False

    assert actions(world) == ["disable", "disable"]


def test_staged_leavers_who_return_are_not_mentioned(world):
    users = world.adds_many(2)
    world.entra.cycle()
    world.job.delete_threshold = 1
    for user in users:
        user.assigned = False
    world.entra.cycle()
    for user in users:
        user.assigned = True
    world.entra.restart()

    assert actions(world) == []


@pytest.mark.parametrize(
    ("missing", "first", "leaving", "purging"),
    [
        ("Add", ["none"], [], []),
        ("Update", ["create"], [], ["delete"]),
        ("Delete", ["create"], [], []),
    ],
)
def test_a_flow_type_that_is_off_stops_its_part(world, missing, first, leaving, purging):
    user = world.adds()
    world.job.flow_types.discard(missing)
    assert actions(world) == first

    user.soft_deleted = True
    assert actions(world) == leaving
    world.directory.hard_delete(user.object_id)
    assert actions(world) == purging


def test_without_the_mapping_of_active_no_one_leaves(world):
    user = world.adds()
    del world.job.mappings["active"]
    world.entra.cycle()
    user.account_enabled = False
    user.job_title = "Bas"

    (step,) = world.entra.cycle().steps

    assert [operation["path"] for operation in step.body["Operations"]] == ["title"]


def test_active_at_the_creation_only(world):
    user = world.adds()
    world.job.mappings["active"] = AttributeMapping("active", "IsSoftDeleted", flow_type="ObjectAddOnly")
    world.entra.cycle()
    assert world.endpoint.sent("POST")[0]["active"] is True

    user.account_enabled = False
    assert actions(world) == []


def test_a_default_hides_a_clearing(world):
    user = world.adds(job_title="Bas")
    world.job.mappings["title"].default_value = "Ansatt"
    world.entra.cycle()
    user.job_title = None

    (step,) = world.entra.cycle().steps

    assert step.body["Operations"] == [{"op": "Replace", "path": "title", "value": "Ansatt"}]


def test_without_the_mapping_of_manager_none_is_sent(world):
    boss = world.adds()
    world.adds(manager=boss.object_id)
    del world.job.mappings["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"]

    assert actions(world) == ["create", "create"]


def test_a_guests_name_is_stripped(world):
    world.adds(user_principal_name="liv_partner.example#EXT#@contoso.example", user_type="Guest")
    world.entra.cycle()

    assert world.endpoint.sent("POST")[0]["userName"] == "liv_partner.example@contoso.example"
