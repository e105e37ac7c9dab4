"""What a hostile or unlucky Entra must not bring about: each of these would have ended or cleared someone wrongly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.entra import Stored
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import EntraError
from scim_bridge.graph import directory
from scim_bridge.plan.entra_side import Believed, differences
from scim_bridge.reconcile import entra_apply
from scim_bridge.reconcile.entra_compare import EntraComparison
from scim_bridge.reconcile.entra_read import terms_of
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.directory import EntraGroup, EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.assignments import Principal
from scim_bridge.sandbox.job import Clause
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.graph.story import ENTRA, OPERATOR, EntraWorld, person
from tests.world import patch

GROUP = "bbbbbbbb-0000-4000-8000-000000000001"


@pytest.fixture
def world(database: Database, clock: Clock) -> EntraWorld:
    return EntraWorld(database, clock)


def test_another_tenant_after_a_good_read_ends_no_one(world: EntraWorld):
    """What the other tenant does not show was not deleted: it is another directory."""
    world.hires(5)
    world.compares()
    world.entra.directory.users.clear()
    for number in range(50, 55):
        world.entra.directory.add(person(number))
    elsewhere = "99999999-0000-4000-8000-000000000001"
    world.graph.access._tenant = elsewhere
    world.restarts_with(entra={**ENTRA, "tenant_id": elsewhere})

    report = world.compares()

    assert report.exit == 3
    assert "ENTRA__TENANT_ID" in str(report.stopped)
    assert not [row for row in world.rows(report) if row.kind is Kind.left_without_notice]


def test_a_plan_is_not_confirmed_by_another_tenant(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.account_enabled = False
    world.entra.overlook(kari.object_id)
    assert len(world.looks()) == 1
    world.entra.directory.users.clear()
    world.entra.directory.add(person(50))
    elsewhere = "99999999-0000-4000-8000-000000000001"
    world.graph.access._tenant = elsewhere
    world.restarts_with(entra={**ENTRA, "tenant_id": elsewhere})

    assert world.repairs().applied == 0
    assert not world.employee("3000").disabled


def test_a_masked_read_that_breaks_off_is_not_believed_later(world: EntraWorld):
    """The mark of the read before is no way on from values that were overwritten without a permission."""
    world.hires(3, leave_date="2026-12-31")
    world.compares()
    world.graph.client.permissions.discard("User-LifeCycleInfo.Read.All")
    world.graph.access.revoke_tokens()
    world.graph.faults.plan(Fault("status", status=400, path="appRoleAssignedTo", times=None))
    with pytest.raises(EntraError):
        world.compares()
    world.graph.faults.clear()
    world.graph.client.permissions.add("User-LifeCycleInfo.Read.All")
    world.graph.access.revoke_tokens()
    world.entra.directory.add(person(9, leave_date="2026-12-31"))
    world.cycle_passes()

    assert world.looks() == []


def test_a_list_of_users_that_is_cut_off_is_no_complete_read(
    world: EntraWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """The share of Graph's count is too rough: of 10,500 users, what follows ten full pages is less than a tenth."""
    monkeypatch.setattr(directory, "PAGE_SIZE", 10)
    world.hires(11)
    world.compares()
    clock.passes(days=7)
    world.graph.style = replace(world.graph.style, ends_early=True)

    with pytest.raises(EntraError, match="10 rows, and then"):
        world.compares()


@pytest.mark.parametrize("name", ["the same name", "another name"])
@pytest.mark.parametrize("when", ["before the plan", "before the repair"])
def test_a_user_made_anew_is_not_ended(world: EntraWorld, when: str, name: str):
    """Deleted, and made again: Entra finds the SCIM user by name, and need not send another `externalId`."""
    kari, _ = world.hires(2)
    world.compares()
    again = made_again(name)
    kari.soft_deleted = True
    world.entra.overlook(kari.object_id)
    if when == "before the plan":
        world.entra.directory.add(again)
        world.entra.overlook(again.object_id)
    (row,) = [row for row in world.looks() if row.kind is Kind.left_without_notice]
    assert row.cause == Cause.deleted_in_entra
    assert bool(row.listed) is (when == "before the plan")
    if when == "before the repair":
        world.entra.directory.add(again)

    report = world.repairs()

    assert (report.exit, report.applied) == (2, 0)
    assert not world.employee("3000").disabled


def made_again(name: str) -> EntraUser:
    """Kari's new account: with her employee number, and perhaps under another name."""
    again = person(0, object_id="5d1f3c0e-0000-4000-8000-00000000aaaa")
    if name == "another name":
        again.user_principal_name = again.mail = "kari.berg@contractor.example"
    return again


def test_a_guessed_mapping_clears_nothing(world: EntraWorld, clock: Clock):
    """The title comes from another attribute than the settings would have; only the job could tell."""
    kari, _ = world.hires(2)
    world.graph.client.permissions.discard("Synchronization.Read.All")
    kari.job_title = None
    world.looks()
    clock.passes(hours=4)

    report = world.compares(apply=True)

    (row,) = world.rows(report)
    assert (row.kind, report.applied, world.repairs().applied) == (Kind.cleared_in_entra, 0, 0)
    assert "Synchronization.Read.All" in str(row.listed)
    assert world.employee("3000").work_title == "Maskinfører"


def test_a_small_company_is_not_cleared_at_once(world: EntraWorld):
    users = world.hires(10)
    for user in users[:9]:
        user.job_title = None
    world.looks()

    assert world.compares(apply=True).applied == 0
    assert world.employee("3000").work_title == "Maskinfører"


def test_another_source_of_external_id_is_told_and_lists_no_one_as_never_sent(world: EntraWorld):
    """Entra's own default maps `externalId` from mailNickname."""
    for user in world.hires(3):
        nickname = patch("externalId", user.user_principal_name.partition("@")[0])
        assert world.scim("PATCH", f"/Users/{world.user(user)['id']}", nickname).status_code == 200

    report = world.compares()

    assert (report.exit, "externalId" in str(report.stopped)) == (3, True)


def test_a_doubtful_read_does_not_lower_the_figure_of_the_last_good_one(world: EntraWorld):
    users = world.hires(8)
    for user in users[1:]:
        user.assigned = False
    group = EntraGroup(GROUP, "Ditio users", [user.object_id for user in users[1:]])
    world.entra.directory.add_group(group)
    world.compares()
    group.visibility = "HiddenMembership"
    world.graph.client.permissions.discard("Member.Read.Hidden")
    world.compares()
    world.entra.directory.groups.clear()
    for user in users[1:]:
        world.entra.overlook(user.object_id)

    report = world.compares()

    assert (report.exit, "fewer than half" in str(report.stopped)) == (3, True)


def test_a_filter_on_a_switch_is_read_in_any_case(world: EntraWorld):
    world.entra.job.scope = [[Clause("accountEnabled", "EQUALS", ("True",))]]
    world.hires(2)

    assert world.looks() == []


def test_right_before_the_repair_an_empty_list_of_assignments_is_not_believed(world: EntraWorld):
    kari, ola = world.hires(2)
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    assert len(world.looks()) == 1
    ola.assigned = False

    report = world.repairs()

    assert (report.exit, report.applied) == (2, 0)
    assert not world.employee("3000").disabled


def test_a_second_read_at_the_same_time_makes_no_one_leave(world: EntraWorld, monkeypatch: pytest.MonkeyPatch):
    """An operator compares while the schedule does: the users that the other one wrote are not missing."""
    monkeypatch.setattr(directory, "PAGE_SIZE", 2)
    world.hires(25)
    users, begun = directory.GraphDirectory.users, []

    def meanwhile(self: directory.GraphDirectory, attributes: Any) -> Any:
        yield from users(self, attributes)
        if not begun:
            begun.append(True)
            world.graph.faults.plan(Fault("status", status=400, path="v1.0/users", query="skiptoken", times=1))
            with pytest.raises(EntraError, match="another run"):
                world.compares()
            world.graph.faults.clear()

    monkeypatch.setattr(directory.GraphDirectory, "users", meanwhile)

    assert world.looks() == []
    assert begun


def test_a_read_that_was_thought_dead_gives_way(world: EntraWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    world.hires(2)
    users, begun = directory.GraphDirectory.users, []

    def meanwhile(self: directory.GraphDirectory, attributes: Any) -> Any:
        yield from users(self, attributes)
        if not begun:
            begun.append(True)
            clock.passes(minutes=5)
            world.compares()

    monkeypatch.setattr(directory.GraphDirectory, "users", meanwhile)

    with pytest.raises(EntraError, match="another run"):
        world.compares()
    assert world.looks() == []


def test_the_recycle_bin_only_explains(world: EntraWorld):
    kari, _ = world.hires(2)
    world.compares()
    kari.soft_deleted = True
    world.entra.overlook(kari.object_id)
    world.graph.faults.plan(Fault("status", status=403, path="deletedItems", times=None))

    rows = world.looks()

    assert [row.kind for row in rows] == [Kind.left_without_notice]


def test_no_users_at_all_is_no_complete_read_even_without_a_count(world: EntraWorld, clock: Clock):
    users = world.hires(3)
    world.compares()
    world.graph.faults.plan(Fault("status", status=400, path="users/$count", times=None))
    clock.passes(days=7)
    world.entra.job.sync_all = True  # So that no other guard is in the way.
    for user in users:
        user.soft_deleted = True

    assert "fewer than half of the 3" in str(world.compares().stopped)


def test_a_person_who_is_refused_today_does_not_keep_others_from_their_repair(world: EntraWorld):
    """They were held when the setting said so, and are incomplete; then the setting changed."""
    kari, ola = person(0, mobile=None), person(1)
    for user in (kari, ola, person(2)):
        world.entra.directory.add(user)
    world.entra.cycle()
    world.restarts_with(entra=ENTRA, delivery={"on_incomplete": "refuse"})
    kari.job_title = ola.job_title = None
    assert [row.kind for row in world.looks()].count(Kind.cleared_in_entra) == 2

    report = world.repairs()

    assert (report.exit, report.applied) == (2, 1)
    assert any("phone" in str(why) for why in report.outcomes.values())
    assert world.user(kari)["title"] == "Maskinfører"
    assert world.employee("3001").work_title is None


def test_a_user_without_the_value_that_entra_matches_by_is_no_drift(world: EntraWorld):
    world.hires(2)
    world.entra.job.mappings["userName"].source = "mail"
    nina = person(7, mail=None)
    world.entra.directory.add(nina)
    world.entra.overlook(nina.object_id)

    (row,) = [row for row in world.looks() if row.kind is Kind.not_sent]

    assert (row.cause, row.is_drift) == (Cause.no_matching_value, False)


def test_an_empty_value_needs_each_of_its_proofs(world: EntraWorld):
    """Guard 4: the permission, for a leave date its own, and a user who has a value. Each alone is not enough."""
    tenant = world.parts.tenants["default"]
    assert tenant.entra is not None
    terms = terms_of(tenant, tenant.entra)
    believed = Believed(
        compared=terms.compared,
        rules=tenant.rules,
        hashed=lambda attribute, form: form,
        all_users=False,
        values_proved=True,
        dates_proved=True,
        assignments_known=True,
        present=terms.attributes,
    )
    end = {"employmentEndDate": "2026-12-31"}
    document = {"active": True, "title": "Maskinfører", DITIO_URN: end}
    stored = Stored(True, dict.fromkeys(terms.attributes))

    def cleared(**changes: Any) -> set[str]:
        found = differences(document, stored, True, replace(believed, **changes))
        return {each.field for each in found if each.kind is Kind.cleared_in_entra}

    assert cleared() == {"workTitle", "endDate"}
    assert cleared(dates_proved=False) == {"workTitle"}
    assert cleared(values_proved=False) == set()
    assert cleared(present=frozenset()) == set()


def test_what_may_still_come_is_not_cleared_unattended(world: EntraWorld):
    """The job stands still: Entra may have a new value on its way."""
    kari, _ = world.hires(2)
    world.entra.job.pause()
    kari.job_title = None
    world.looks()

    report = world.compares(apply=True)

    assert [row.cause for row in world.rows(report)] == [Cause.job_not_running]
    assert (report.exit, report.applied) == (2, 0)
    assert world.repairs().applied == 1


def test_an_untrusted_comparison_leaves_no_finding_behind(world: EntraWorld):
    """Once it is trusted again, the first look is the first: what was seen in doubt does not count."""
    users = world.hires(8)
    titles = [user.job_title for user in users]
    for user in users[:6]:
        user.job_title = None
    assert world.compares().exit == 3
    for user, title in zip(users[1:6], titles[1:6], strict=True):
        user.job_title = title
    world.cycle_passes()

    assert world.rows(world.compares()) == []


def test_an_unclear_group_right_before_the_repair_ends_no_one(world: EntraWorld):
    kari, _ = world.hires(2)
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    assert len(world.looks()) == 1
    world.entra.directory.add_group(EntraGroup(GROUP, "Ditio users", [kari.object_id], visibility="HiddenMembership"))
    world.graph.client.permissions.discard("Member.Read.Hidden")

    assert world.repairs().applied == 0
    assert not world.employee("3000").disabled


@pytest.mark.parametrize("kind", ["AgentIdentity", ""])
def test_an_assignment_of_an_unknown_kind_may_stand_for_anyone(world: EntraWorld, kind: str):
    kari, _ = world.hires(2)
    world.compares()
    kari.assigned = False
    world.entra.overlook(kari.object_id)
    world.graph.further.append(Principal(kind, GROUP, "Ditio users"))

    assert world.looks() == []
    assert any("no user counts as unassigned" in note for note in world.compares().notes)


def test_a_filter_on_what_was_not_read_leaves_no_one_out(world: EntraWorld):
    """Graph shows it as empty for all: with a value, they would pass."""
    world.entra.job.scope = [[Clause("department", "IS NOT NULL", ())]]
    users = world.hires(2)
    world.compares()
    for user in users:
        user.department = None
        world.entra.overlook(user.object_id)

    assert not [row for row in world.looks() if row.kind is Kind.left_without_notice]


def test_a_user_whom_a_list_leaves_out_is_asked_for(world: EntraWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """Pages are made while people change; to be on none of them is no proof of being deleted."""
    kari, *_ = world.hires(12)
    world.compares()
    clock.passes(days=7)
    users = directory.GraphDirectory.users

    def leaving_out(self: directory.GraphDirectory, attributes: Any) -> Any:
        for page in users(self, attributes):
            yield [user for user in page if user.object_id != kari.object_id]

    monkeypatch.setattr(directory.GraphDirectory, "users", leaving_out)
    world.entra.cycle()

    assert world.looks() == []


def test_who_is_there_again_with_the_same_number_is_not_ended(world: EntraWorld):
    """With another name, too: the account was deleted, and another made for the same person."""
    kari, _ = world.hires(2)
    world.compares()
    kari.soft_deleted = True
    world.entra.overlook(kari.object_id)
    again = person(
        0, object_id="5d1f3c0e-0000-4000-8000-00000000aaaa", user_principal_name="kari.ny@contractor.example"
    )
    world.entra.directory.add(again)
    world.entra.overlook(again.object_id)

    (row,) = [each for each in world.looks() if each.kind is Kind.left_without_notice]

    assert row.listed
    assert world.repairs().applied == 0
    assert not world.employee("3000").disabled


def assign(world: EntraWorld, users: Iterable[EntraUser], is_assigned: bool) -> None:
    """Assign people to the application, or no longer; Entra's provisioning does not tell the bridge."""
    for user in users:
        user.assigned = is_assigned
        world.entra.overlook(user.object_id)


def test_an_operator_confirms_that_so_few_are_right(world: EntraWorld):
    """Otherwise the bridge would never read Entra again: each read is measured by the last that was believed."""
    users = world.hires(5)
    world.compares()
    assign(world, users[:3], False)
    report = world.compares()
    assert (report.exit, "--force" in str(report.stopped)) == (3, True)
    assert world.compares().exit == 3

    world.parts.reconciliations["default"].run(Request(apply=True, plan_id=report.run.id, force=True, author=OPERATOR))

    assert [row.kind for row in world.looks()] == [Kind.left_without_notice] * 3


def test_what_entra_showed_since_stays_the_measure_when_an_older_plan_is_forced(world: EntraWorld, clock: Clock):
    """A later read was believed: the next one is measured by that, and not by nothing."""
    users = world.hires(5)
    world.compares()
    assign(world, users[:3], False)
    older = world.compares()
    assert older.exit == 3
    assign(world, users[:3], True)
    clock.passes(minutes=5)
    assert world.compares().stopped is None
    with world.database.read("default") as s:
        marked = s.entra.marked()
    assert marked is not None
    assert marked.assigned == 5

    world.parts.reconciliations["default"].run(Request(apply=True, plan_id=older.run.id, force=True, author=OPERATOR))

    with world.database.read("default") as s:
        assert s.entra.marked() == marked


def test_a_comparison_that_was_thought_dead_gives_way(world: EntraWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """Two at a time would count as two looks."""
    world.hires(2)
    look, begun = EntraComparison._look_for_unsent, []

    def meanwhile(self: EntraComparison) -> None:
        if not begun:
            begun.append(True)
            clock.passes(minutes=5)
            world.compares()
        look(self)

    monkeypatch.setattr(EntraComparison, "_look_for_unsent", meanwhile)

    with pytest.raises(EntraError, match="another run"):
        world.compares()
    assert world.looks() == []


def test_during_a_long_repair_the_assignments_are_read_again(
    world: EntraWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    kari, ola, *_ = world.hires(6)
    for user in (kari, ola):
        user.assigned = False
        world.entra.overlook(user.object_id)
    assert len(world.looks()) == 2
    deliver = entra_apply.deliver_person

    def slowly(*given: Any, **named: Any) -> Any:
        clock.passes(minutes=10)
        kari.assigned = ola.assigned = True
        return deliver(*given, **named)

    monkeypatch.setattr(entra_apply, "deliver_person", slowly)

    assert world.repairs().applied == 1


def test_a_graph_in_trouble_is_not_asked_for_each_person_of_a_plan(world: EntraWorld):
    users = world.hires(8)
    for user in users[:4]:
        user.job_title = None
    assert len(world.looks()) == 4
    world.graph.faults.plan(Fault("status", status=400, path="/users/", times=None))
    world.graph.requests.clear()

    report = world.repairs()

    assert (report.exit, report.applied, len(report.outcomes)) == (2, 0, 4)
    assert len([each for each in world.graph.requests if "/users/" in each.path]) == 3


def test_a_leave_date_that_is_over_is_cleared_from_a_plan_that_was_read_only(world: EntraWorld, clock: Clock):
    """It would open a login again, unattended: as `should-be-active`, that needs a reader."""
    kari, _ = world.hires(2, leave_date="2026-03-10")
    clock.passes(days=10)
    world.worker.run_until_idle()
    assert world.employee("3000").disabled
    kari.leave_date = None

    (row,) = world.looks()
    assert (row.kind, row.field) == (Kind.cleared_in_entra, "endDate")
    assert world.compares(apply=True).applied == 0
    assert world.employee("3000").disabled

    world.compares()
    assert world.repairs().applied == 1
    assert not world.employee("3000").disabled


def test_a_second_account_of_a_person_does_not_keep_a_leaver(world: EntraWorld):
    """An administrator's account has the same employee number, and is not assigned: no one is provisioned by it."""
    kari, _ = world.hires(2)
    other = person(0, object_id="5d1f3c0e-0000-4000-8000-00000000aaaa", user_principal_name="adm@contractor.example")
    other.assigned = False
    world.entra.directory.add(other)
    world.compares()
    kari.soft_deleted = True
    world.entra.overlook(kari.object_id)

    (row,) = world.looks()

    assert not row.listed
    assert world.repairs().applied == 1


def test_a_company_in_which_most_would_leave_at_once_is_asked_twice(world: EntraWorld):
    """*Sync all users and groups* looks so, where the settings of the job may not be read; also in a small company."""
    users = world.hires(9)
    for user in users[2:]:
        user.assigned = False
        world.entra.overlook(user.object_id)

    world.compares()
    world.cycle_passes()
    report = world.compares()

    assert (report.exit, "ENTRA__SCOPE" in str(report.stopped)) == (3, True)


def test_a_filter_with_a_group_without_a_clause_is_not_judged(world: EntraWorld):
    world.entra.job.scope = [[Clause("department", "EQUALS", ("Bygg",))], []]
    world.hires(2)

    assert not [row for row in world.looks() if row.kind is Kind.left_without_notice]


def test_one_look_is_not_enough_where_the_job_stands_still(world: EntraWorld):
    kari, _ = world.hires(2)
    world.entra.job.pause()
    kari.assigned = False
    world.entra.overlook(kari.object_id)

    assert world.rows(world.compares()) == []
    assert [row.cause for row in world.rows(world.compares())] == [Cause.job_not_running]


def test_a_certificate_is_withdrawn_from_a_plan_that_was_read_only():
    cleared = Drift(
        kind=Kind.cleared_in_entra,
        cause=Cause.entra_sends_no_nulls,
        person_id=PersonId("5d1f3c0e-8a52-4f0e-9a39-0c1f6f1f7a11"),
        field="byggekort",
    )

    assert not cleared.may_be_repaired(reviewed=False)
    assert cleared.may_be_repaired(reviewed=True)
    assert replace(cleared, field="workTitle").may_be_repaired(reviewed=False)
