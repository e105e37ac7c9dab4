"""`reconcile --with-entra`: each kind and cause, what is pending, each guard, and the repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scim_bridge.domain.drift import Cause, Kind
from scim_bridge.errors import EntraError, WrongUsage
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.directory import EntraGroup
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.assignments import Principal
from scim_bridge.sandbox.job import AttributeMapping, Clause
from scim_bridge.storage.admin_tables import entra_people
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.graph.story import OPERATOR, EntraWorld, person

GROUP = "bbbbbbbb-0000-4000-8000-000000000001"
INNER = "bbbbbbbb-0000-4000-8000-000000000003"


@pytest.fixture
def world(database: Database, clock: Clock) -> EntraWorld:
    return EntraWorld(database, clock)


def test_nothing_differs_where_entra_sent_everything(world: EntraWorld):
    world.hires(3)

    assert world.found() == set()


# -- left-without-notice -----------------------------------------------------


def test_what_keeps_entra_from_sending_leavers_is_named_beside_them(world: EntraWorld):
    """By two settings of Entra, as the job shows them; without a leaver they explain nothing."""
    kari, _ = world.hires(2)
    world.entra.job.skip_out_of_scope_deletions = True
    world.entra.job.mappings["active"] = AttributeMapping("active", expression='"True"')
    assert "SkipOutOfScopeDeletions" not in str(world.compares().notes)
    kari.assigned = False
    world.cycle_passes()
    assert world.user(kari)["active"] is True

    (row,) = world.looks()

    assert row.cause is Cause.unassigned
    told = str(world.compares().notes)
    assert "SkipOutOfScopeDeletions" in told
    assert "`active` does not come from IsSoftDeleted" in told
    world.entra.job.skip_out_of_scope_deletions = False
    assert "SkipOutOfScopeDeletions" not in str(world.compares().notes)


def test_a_user_who_is_unassigned_without_notice_is_found_and_repaired(world: EntraWorld):
    """The event is lost: Entra never says it, and the login stays open."""
    kari, ola = world.hires(2)
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    world.cycle_passes()
    assert not world.employee("3000").disabled

    (row,) = world.looks()
    assert (row.kind, row.cause, row.employee_number) == (Kind.left_without_notice, Cause.unassigned, "3000")
    assert (row.wanted, row.found) == ("unassigned", "active")

    report = world.repairs()

    assert (report.exit, report.applied) == (0, 1)
    assert world.user(kari)["active"] is False
    assert world.employee("3000").disabled
    assert not world.employee("3001").disabled
    assert world.user(ola)["active"] is True
    assert world.found() == set()


@pytest.mark.parametrize("by_hand", ["the login was closed", "the employee was removed"])
def test_who_left_without_notice_is_neither_opened_nor_created_first(world: EntraWorld, by_hand: str):
    """Ditio was corrected by hand, which looks like a difference until Entra's side is repaired."""
    kari, _ola = world.hires(2)
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    world.clock.passes(hours=1)
    if by_hand == "the login was closed":
        world.employee("3000").disabled = True
    else:
        del world.ditio.company.employees["3000"]
    kinds = {row.kind for row in world.looks()}
    assert Kind.left_without_notice in kinds
    assert kinds & {Kind.should_be_active, Kind.missing}
    world.forget()

    world.repairs()

    calls = [(method, path) for method, path, _ in world.sent()]
    assert ("POST", "") not in calls
    assert ("PATCH", "/3000/enable") not in calls
    assert not world.user(kari)["active"]


def test_it_is_never_repaired_without_a_plan_that_was_read(world: EntraWorld):
    """Nor by a schedule, nor by `--only`."""
    kari, _ = world.hires(2)
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    world.looks()

    for options in ({"apply": True}, {"apply": True, "only": Kind.left_without_notice}):
        report = world.compares(**options)
        assert (report.exit, report.applied) == (2, 0)
    assert not world.employee("3000").disabled


def _unassigns(world: EntraWorld, user: Any) -> None:
    user.assigned = False


def _blocks(world: EntraWorld, user: Any) -> None:
    user.account_enabled = False


def _bins(world: EntraWorld, user: Any) -> None:
    user.soft_deleted = True


def _purges(world: EntraWorld, user: Any) -> None:
    world.entra.directory.hard_delete(user.object_id)


def _filters(world: EntraWorld, user: Any) -> None:
    world.entra.job.scope = [[Clause("department", "EQUALS", ("Anlegg",))]]
    user.department = "Bygg"


LEAVES: dict[Cause, Callable[[EntraWorld, Any], None]] = {
    Cause.unassigned: _unassigns,
    Cause.disabled_in_entra: _blocks,
    Cause.deleted_in_entra: _bins,
    Cause.out_of_scope: _filters,
}


@pytest.mark.parametrize("cause", LEAVES)
def test_each_way_of_leaving_without_notice_has_its_cause(world: EntraWorld, cause: Cause):
    kari, _ = world.hires(2)
    world.compares()
    LEAVES[cause](world, kari)
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert (row.kind, row.cause) == (Kind.left_without_notice, cause)
    assert world.repairs().applied == 1
    assert world.employee("3000").disabled


def test_a_user_who_was_deleted_for_good_is_found(world: EntraWorld):
    kari, _ = world.hires(2)
    world.compares()
    _purges(world, kari)
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert (row.kind, row.cause, row.wanted) == (Kind.left_without_notice, Cause.deleted_in_entra, "deleted")


def test_a_user_who_was_never_seen_in_entra_was_not_deleted(world: EntraWorld):
    """Another `externalId` proves nothing: the user is not known, and no verdict falls."""
    kari, _ola = world.hires(2)
    del world.entra.directory.users[kari.object_id]

    assert world.found() == set()


def test_the_day_of_a_deletion_is_told(world: EntraWorld, clock: Clock):
    kari, _ = world.hires(2)
    world.compares()
    _bins(world, kari)
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert row.wanted == f"deleted {clock.now:%Y-%m-%d}"


# -- What is pending is not drift --------------------------------------------


def test_what_entra_may_still_send_is_not_drift(world: EntraWorld, clock: Clock):
    """Seen once, or before a cycle has passed: nothing is reported, and the exit code is 0."""
    kari, _ = world.hires(2)
    kari.assigned = False
    world.entra.overlook(kari.object_id)

    first = world.compares()
    assert (first.exit, world.rows(first)) == (0, [])
    again = world.compares()
    assert (again.exit, world.rows(again)) == (0, [])
    assert any("do not count yet" in note for note in again.notes)
    clock.passes(minutes=10)
    world.entra.cycle()
    assert world.rows(world.compares()) == []
    clock.passes(minutes=30)
    world.entra.cycle()

    assert [row.kind for row in world.rows(world.compares())] == [Kind.left_without_notice]


def test_what_a_cycle_sends_in_time_is_forgotten(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.assigned = False
    world.compares()
    world.cycle_passes()

    assert world.rows(world.compares()) == []
    assert world.employee("3000").disabled


def test_a_job_that_does_not_run_never_makes_it_count_by_time(world: EntraWorld):
    """It is shown, with the job as its cause, and repaired only from a plan that was read."""
    kari, ola = world.hires(2)
    world.entra.job.pause()
    kari.assigned = False
    ola.job_title = None

    world.compares()
    world.clock.passes(days=2)
    rows = world.rows(world.compares())

    assert {(row.kind, row.cause) for row in rows} == {
        (Kind.left_without_notice, Cause.job_not_running),
        (Kind.cleared_in_entra, Cause.job_not_running),
    }
    assert world.compares(apply=True).applied == 0
    assert world.repairs().applied == 2
    assert world.employee("3000").disabled
    assert world.employee("3001").work_title is None


def test_entras_own_limit_of_deletions_is_named(world: EntraWorld):
    """Facts: leavers are staged, and nothing is sent."""
    kari, *_ = world.hires(3)
    world.entra.job.delete_threshold = 0
    kari.assigned = False
    world.cycle_passes()
    assert world.entra.job.quarantine is not None

    world.compares()
    world.clock.passes(hours=1)
    rows = world.rows(world.compares())

    assert [(row.kind, row.cause) for row in rows] == [(Kind.left_without_notice, Cause.entra_guard)]


def test_without_the_permission_for_jobs_two_reads_hours_apart_count(world: EntraWorld, clock: Clock):
    kari, _ = world.hires(2)
    world.graph.client.permissions.discard("Synchronization.Read.All")
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    world.compares()
    clock.passes(hours=2)
    assert world.rows(world.compares()) == []
    clock.passes(hours=2)

    assert [row.cause for row in world.rows(world.compares())] == [Cause.unassigned]


# -- cleared-in-entra, differs-from-entra, not-sent, returned ------------------


def test_a_cleared_value_is_found_and_repaired_by_apply(world: EntraWorld):
    """Entra never sends a cleared value."""
    kari, _ = world.hires(2)
    kari.job_title = None
    world.cycle_passes()
    assert world.employee("3000").work_title == "Maskinfører"

    (row,) = world.looks()
    assert (row.kind, row.cause, row.field) == (Kind.cleared_in_entra, Cause.entra_sends_no_nulls, "workTitle")
    assert (row.wanted, row.found) == (None, "Maskinfører")

    report = world.compares(apply=True)

    assert (report.exit, report.applied) == (0, 1)
    assert "title" not in world.user(kari)
    assert world.employee("3000").work_title is None
    assert world.found() == set()


@pytest.mark.parametrize("form", ["direct", "formatted"])
def test_a_cleared_leave_date_is_believed_with_its_permission_only(world: EntraWorld, form: str):
    """Facts, section 4: without it Graph answers 200 and null."""
    if form == "direct":
        end = world.entra.job.mappings[_END]
        end.source, end.expression = "employeeLeaveDateTime", None
    kari, ola = world.hires(2, leave_date="2026-12-31")
    world.graph.client.permissions.discard("User-LifeCycleInfo.Read.All")
    kari.leave_date = None
    ola.leave_date = "2026-12-31"
    assert world.found() == set()

    world.graph.client.permissions.add("User-LifeCycleInfo.Read.All")
    world.graph.access.revoke_tokens()
    (row,) = world.looks()

    assert (row.kind, row.field, row.found) == (Kind.cleared_in_entra, "endDate", "2026-12-31")
    world.compares(apply=True)
    assert "employmentEndDate" not in world.user(kari)[_DITIO]


_DITIO = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_END = f"{_DITIO}:employmentEndDate"


@pytest.mark.parametrize("attribute", ["mobile", "given_name", "employee_id"])
def test_what_ditio_requires_is_only_listed(world: EntraWorld, attribute: str):
    kari, _ = world.hires(2)
    setattr(kari, attribute, None)

    rows = world.looks()

    assert {row.kind for row in rows} == {Kind.cleared_in_entra}
    assert all(row.listed for row in rows)
    assert world.compares(apply=True).applied == 0
    assert world.employee("3000").first_name == "Kari"
    assert world.employee("3000").phone


def test_a_value_that_no_user_has_was_not_read(world: EntraWorld):
    """Facts, section 8: an unsupported property may be ignored; it is not empty."""
    kari, _ = world.hires(2)
    world.graph.style = replace(world.graph.style, not_read=frozenset({"jobTitle"}))
    kari.job_title = None

    assert world.found() == set()


def test_a_default_or_an_expression_proves_nothing(world: EntraWorld):
    kari, _ = world.hires(2)
    world.entra.job.mappings["title"].default_value = "Employee"
    kari.job_title = None

    assert not any(field == "workTitle" for _, _, _, field in world.found())


def test_a_change_that_was_lost_is_listed_with_both_values(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.department = "Bygg"
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert (row.kind, row.cause, row.field) == (Kind.differs_from_entra, Cause.lost_change, "department")
    assert (row.wanted, row.found) == ("Bygg", "Anlegg")
    assert row.listed
    assert world.compares(apply=True).exit == 0
    assert world.user(kari)[_ENTERPRISE]["department"] == "Anlegg"


def test_a_source_that_does_not_serve_is_not_compared(world: EntraWorld):
    """The display name stands in for names that are missing; here it changes nothing in Ditio."""
    kari, _ = world.hires(2)
    kari.display_name, kari.telephone_number = "Kari N.", "22 00 00 00"
    world.entra.overlook(kari.object_id)

    assert world.found() == set()


def test_another_spelling_is_no_difference(world: EntraWorld):
    """Both sides are compared in the bridge's own form."""
    kari, _ = world.hires(2)
    kari.mobile, kari.mail = "41000000", "USER0@contractor.example"
    world.entra.overlook(kari.object_id)

    assert world.found() == set()


def test_a_user_who_was_never_sent_is_drift(world: EntraWorld):
    world.hires(2)
    nina = person(7)
    world.entra.directory.add(nina)
    world.entra.overlook(nina.object_id)

    (row,) = world.looks()

    assert (row.kind, row.cause, row.user_name) == (Kind.not_sent, Cause.never_seen, nina.user_principal_name)
    assert world.compares().exit == 2


def test_a_user_who_was_refused_is_in_escrow(world: EntraWorld):
    world.hires(2)
    nina = person(7)
    world.ditio.faults.plan(Fault("status", status=409, path="employees", method="POST", times=None))
    world.entra.directory.add(nina)

    (row,) = [row for row in world.looks() if row.kind is Kind.not_sent]

    assert row.cause is Cause.in_escrow


@pytest.mark.parametrize("why", ["nested", "filter", "blocked"])
def test_what_entra_leaves_out_on_purpose_is_no_drift(world: EntraWorld, why: str):
    world.hires(2)
    nina = person(7, assigned=why == "filter" or why == "blocked", account_enabled=why != "blocked")
    world.entra.directory.add(nina)
    if why == "nested":
        world.entra.directory.add_group(EntraGroup(INNER, "Inner", [nina.object_id], assigned=False))
        world.entra.directory.add_group(EntraGroup(GROUP, "Ditio users", [INNER]))
    if why == "filter":
        nina.department = "Bygg"
        world.entra.job.scope = [[Clause("department", "EQUALS", ("Anlegg",))]]

    rows = world.looks()

    assert [row.cause for row in rows] == {
        "nested": [Cause.nested_group],
        "filter": [Cause.filter],
        "blocked": [],
    }[why]
    assert not any(row.is_drift for row in rows)


def test_a_user_who_came_back_unnoticed_is_listed(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.assigned = False
    world.cycle_passes()
    kari.assigned = True
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert (row.kind, row.cause) == (Kind.returned, Cause.never_seen)
    assert row.listed
    assert world.employee("3000").disabled


def test_direct_members_of_an_assigned_group_are_assigned(world: EntraWorld):
    kari, ola = world.hires(2)
    for user in (kari, ola):
        user.assigned = False
    world.entra.directory.add_group(EntraGroup(GROUP, "Ditio users", [kari.object_id, ola.object_id]))
    world.entra.cycle()
    assert world.found() == set()

    world.entra.directory.groups[GROUP].members.remove(kari.object_id)
    world.entra.overlook(kari.object_id)

    assert {(kind, cause) for kind, cause, *_ in world.found()} == {("left-without-notice", "unassigned")}


# -- Guards ------------------------------------------------------------------


def stops(world: EntraWorld) -> str:
    """A comparison stops: exit 3, and says why; nothing is sent."""
    world.forget()
    report = world.compares(apply=True)
    assert report.exit == 3
    assert report.stopped
    assert world.sent() == []
    return report.stopped


def test_guard_1_fewer_users_than_graph_counts(world: EntraWorld):
    world.hires(20)
    world.graph.style = replace(world.graph.style, count_error=10)

    assert "20" in stops(world)


def test_guard_1_a_page_that_fails_gives_no_verdict(world: EntraWorld):
    kari, _ = world.hires(2)
    world.compares()
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    world.cycle_passes()
    world.graph.faults.plan(Fault("status", status=500, path="appRoleAssignedTo", times=None))

    with pytest.raises(EntraError):
        world.compares()
    world.graph.faults.clear()

    assert world.rows(world.compares()) == []


def test_guard_2_another_tenant(world: EntraWorld):
    """Or another mapping of `externalId`: no person of ours is known there."""
    world.hires(3)
    others = [person(number) for number in range(50, 53)]
    world.entra.directory.users.clear()
    for each in others:
        world.entra.directory.add(each)

    assert "ENTRA__TENANT_ID" in stops(world)


def test_guard_3_no_assignment_at_all(world: EntraWorld):
    users = world.hires(3)
    world.compares()
    for user in users:
        user.assigned = False
        world.entra.overlook(user.object_id)

    assert "no assignment" in stops(world)


def test_guard_3_fewer_than_half_of_the_assignments(world: EntraWorld):
    users = world.hires(5)
    world.compares()
    for user in users[:3]:
        user.assigned = False
        world.entra.overlook(user.object_id)

    assert "fewer than half" in stops(world)


def test_guard_3_too_many_would_leave(world: EntraWorld):
    """As Q4: the plan is stored, and `--plan ID --force` repairs it."""
    users = world.hires(24)
    for user in users[:4]:
        user.assigned = False
        world.entra.overlook(user.object_id)
    world.compares()
    world.cycle_passes()

    report = world.compares()
    assert report.exit == 3
    assert "RECONCILE__MAX_ENDED_FRACTION" in str(report.stopped)
    assert len(world.rows(report)) == 4

    forced = world.parts.reconciliations["default"].run(
        Request(apply=True, plan_id=report.run.id, force=True, author=OPERATOR)
    )
    assert forced.applied == 4
    assert world.employee("3000").disabled


def test_guard_4_too_many_values_cleared_at_once(world: EntraWorld):
    users = world.hires(24)
    for user in users[:8]:
        user.job_title = None

    assert "workTitle" in stops(world)


@pytest.mark.parametrize("doubt", ["hidden", "paused", "gone"])
def test_guard_5_a_group_that_is_not_known(world: EntraWorld, doubt: str):
    """No user counts as unassigned, whatever group they were in."""
    kari, _ = world.hires(2)
    group = EntraGroup(GROUP, "Ditio users", [kari.object_id])
    world.entra.directory.add_group(group)
    world.compares()
    kari.assigned = False
    if doubt == "hidden":
        group.visibility = "HiddenMembership"
        world.graph.client.permissions.discard("Member.Read.Hidden")
    elif doubt == "paused":
        group.membership_rule, group.membership_rule_processing_state = "user.department -eq 'x'", "Paused"
        group.members.clear()
    else:
        del world.entra.directory.groups[GROUP]
        world.graph.further.append(Principal("Group", GROUP, "Ditio users"))
    world.entra.overlook(kari.object_id)

    assert world.found() == set()
    assert any("no user counts as unassigned" in note for note in world.compares().notes)


@pytest.mark.parametrize("by", ["setting", "job"])
def test_guard_6_where_all_users_are_provisioned_no_one_is_unassigned(database: Database, clock: Clock, by: str):
    world = EntraWorld(database, clock, settings={"entra": {"scope": "all"}} if by == "setting" else None)
    world.entra.job.sync_all = True
    kari, ola = world.hires(2)
    kari.assigned = False
    assert world.found() == set()

    ola.account_enabled = False
    world.entra.overlook(ola.object_id)

    assert {(kind, cause) for kind, cause, *_ in world.found()} == {("left-without-notice", "disabled-in-entra")}


def test_guard_6_a_filter_that_is_not_understood_gives_no_verdict(world: EntraWorld):
    world.entra.job.scope = [[Clause("department", "REGEX MATCH", ("A.*",))]]
    kari, _ = world.hires(2)
    kari.department = "Bygg"
    world.entra.overlook(kari.object_id)

    assert world.found() == set()


def test_guard_8_each_person_is_read_again_right_before(world: EntraWorld):
    """The user was assigned again since the plan was made: the row is skipped, and named."""
    kari, ola = world.hires(2)
    for user in (kari, ola):
        user.account_enabled = False
        world.entra.overlook(user.object_id)
    assert len(world.looks()) == 2
    kari.account_enabled = True

    report = world.repairs()

    assert (report.exit, report.applied) == (2, 1)
    assert not world.employee("3000").disabled
    assert world.employee("3001").disabled


def test_guard_8_what_entra_sent_meanwhile_is_skipped(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.job_title = None
    world.looks()
    kari.department = "Bygg"
    world.cycle_passes()

    report = world.repairs()

    assert (report.exit, report.applied) == (2, 0)


def test_guard_8_without_graph_nothing_is_repaired(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.job_title = None
    world.looks()
    world.graph.faults.plan(Fault("refused-connection", times=None))

    report = world.repairs()

    assert (report.exit, report.applied) == (2, 0)
    assert world.employee("3000").work_title == "Maskinfører"


# -- The read ----------------------------------------------------------------


def test_the_second_read_asks_for_changes_only(world: EntraWorld):
    world.hires(5)
    world.compares()
    world.graph.requests.clear()

    world.compares()

    asked = [each.path for each in world.graph.requests]
    assert any("/users/delta" in path for path in asked)
    assert not any(path.endswith("/users") for path in asked)


@pytest.mark.parametrize("form", ["410", "400"])
def test_a_mark_that_is_lost_starts_anew(world: EntraWorld, form: str):
    kari, _ = world.hires(2)
    world.compares()
    world.graph.style = replace(world.graph.style, delta_expired=form)
    world.graph.forget_marks()
    kari.job_title = None

    assert {kind for kind, *_ in world.found()} == {"cleared-in-entra"}


def test_a_mark_is_thrown_away_after_six_days(world: EntraWorld, clock: Clock):
    world.hires(2)
    world.compares()
    clock.passes(days=6)
    world.graph.requests.clear()

    world.compares()

    assert any(each.path.endswith("/users") for each in world.graph.requests)


def test_another_mapping_asks_for_a_full_read(world: EntraWorld):
    world.hires(2)
    world.compares()
    del world.entra.job.mappings["title"]
    world.graph.requests.clear()

    world.compares()

    assert any(each.path.endswith("/users") for each in world.graph.requests)


def test_a_read_that_breaks_off_says_nothing_of_who_is_gone(world: EntraWorld):
    world.hires(4)
    world.graph.style = replace(world.graph.style, most_users=999)
    world.compares()
    world.clock.passes(days=7)
    world.graph.faults.plan(Fault("status", status=500, path="appRoleAssignedTo", times=None))
    with pytest.raises(EntraError):
        world.compares()
    world.graph.faults.clear()

    assert world.found() == set()


def test_no_value_of_a_person_is_stored(world: EntraWorld):
    world.hires(1, job_title="Sprengningsbas")
    world.compares()

    with world.database.read("default") as s:
        (row,) = s.connection.execute(entra_people.select()).all()
    assert "Sprengningsbas" not in str(row)
    assert "Nordmann" not in str(row)


# -- Who asks, and what is left untouched ------------------------------------


def test_a_scheduled_run_goes_on_without_entra(world: EntraWorld):
    """Ditio is compared all the same, and the report says so."""
    world.hires(2)
    world.graph.faults.plan(Fault("refused-connection", times=None))

    report = world.parts.reconciliations["default"].run(Request(with_entra=True))

    assert report.exit == 0
    assert report.run.people == 2
    assert any("not compared" in note for note in report.notes)


def test_one_person_is_not_compared_with_entra(world: EntraWorld):
    with pytest.raises(WrongUsage):
        world.compares(person="3000")
    with pytest.raises(WrongUsage):
        world.parts.reconciliations["default"].run(Request(only=Kind.not_sent, author=OPERATOR))


def test_the_audit_trail_names_graph(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.job_title = None
    world.looks()
    world.compares(apply=True)

    with world.database.read("default") as s:
        last = [each for each in s.audit.page(since=None, until=None) if each.deed.attributes == ("title",)]
    assert [(each.author.actor.kind.value, each.author.actor.id) for each in last] == [("bridge", "graph")]


def test_erasing_a_person_removes_what_is_stored_of_entra(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.job_title = None
    world.looks()

    with world.database.write("default") as s:
        record = s.people.find("3000")
        assert record is not None
        s.entra.erase(record.external_id, record.person.id)
        assert s.entra.of([kari.object_id]) == {}
        assert s.entra.findings(after="", limit=10) == []


def test_guard_4_without_the_permission_for_users_nothing_is_compared(world: EntraWorld):
    """`User.ReadBasic.All` shows names and mail, and all else as null."""
    world.hires(2)
    world.compares()
    world.graph.client.permissions -= {"User.Read.All", "User-LifeCycleInfo.Read.All"}
    world.graph.client.permissions.add("User.ReadBasic.All")
    world.graph.access.revoke_tokens()

    with pytest.raises(EntraError, match="is not granted") as error:
        world.compares()
    assert error.value.permission == "User.Read.All"


def test_guard_4_a_permission_that_comes_later_asks_for_a_full_read(world: EntraWorld):
    """What was stored without it is empty everywhere, and would be taken for cleared."""
    world.entra.job.mappings[_END].source, world.entra.job.mappings[_END].expression = "employeeLeaveDateTime", None
    world.graph.client.permissions.discard("User-LifeCycleInfo.Read.All")
    _, ola = world.hires(2, leave_date="2026-12-31")
    world.compares()
    world.graph.client.permissions.add("User-LifeCycleInfo.Read.All")
    world.graph.access.revoke_tokens()
    ola.leave_date = "2027-01-31"

    assert not any(kind == "cleared-in-entra" for kind, *_ in world.found())


def test_a_user_without_the_matching_value_is_never_sent(world: EntraWorld):
    world.hires(2)
    world.entra.job.mappings["userName"].matching_priority = 0
    world.entra.job.mappings['emails[type eq "work"].value'].matching_priority = 1
    nina = person(7, mail=None)
    world.entra.directory.add(nina)
    world.entra.overlook(nina.object_id)

    (row,) = world.looks()

    assert (row.kind, row.cause) == (Kind.not_sent, Cause.no_matching_value)
    assert not row.is_drift


def test_where_many_people_differ_it_is_the_mapping(world: EntraWorld):
    for user in world.hires(24):
        user.department = "Bygg"
        world.entra.overlook(user.object_id)

    rows = world.looks()

    assert {(row.kind, row.cause) for row in rows} == {(Kind.differs_from_entra, Cause.mapping_differs)}
    assert len(rows) == 24


def test_a_certificate_is_withdrawn_only_from_a_plan_that_was_read(database: Database, clock: Clock):
    """Not by a schedule, whatever it may repair."""
    slots = {"slots": ({"type": "Byggekort", "packed": "byggekort"},)}
    world = EntraWorld(database, clock, settings={"certificates": slots})
    path = f"{_DITIO}:byggekort"
    world.entra.directory.sources[path] = "extensionAttribute2"
    world.entra.job.mappings[path] = AttributeMapping(path, "extensionAttribute2")
    card = "B-1;2026-01-15;2031-01-15;"
    kari, _ola = world.hires(2, extra={path: card})
    kari.extra = {}
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert (row.kind, row.field, row.found) == (Kind.cleared_in_entra, "byggekort", card)
    assert world.compares(apply=True).applied == 0
    assert world.user(kari)[_DITIO]["byggekort"] == card
    world.compares()
    assert world.repairs().applied == 1
    assert "byggekort" not in world.user(kari)[_DITIO]
