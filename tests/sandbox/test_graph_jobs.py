"""What the simulated Graph shows of the provisioning job: its state, its mapping, its links, its log."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scim_bridge.sandbox.graph.service import SERVICE_PRINCIPAL
from scim_bridge.sandbox.job import JOB_ID, REASONS, AttributeMapping, Clause, Job

from .graph_world import DITIO, GRAPH, GraphWorld

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
NEVER = "0001-01-01T00:00:00Z"
SYNC = f"/servicePrincipals/{SERVICE_PRINCIPAL.object_id}/synchronization"
JOB = f"{SYNC}/jobs/{JOB_ID}"
LOG = "/auditLogs/provisioning"
WRITER = "Synchronization.ReadWrite.All"


@pytest.fixture
def world() -> GraphWorld:
    return GraphWorld()


def styled(world: GraphWorld, **changes) -> None:
    world.graph.style = replace(world.graph.style, **changes)


@pytest.mark.parametrize("never", [NEVER, "", None])
def test_a_job_that_never_ran_reads_as_failed(world, never):
    styled(world, never=never, progress=False)
    status = world.the_job()["status"]

    assert status["code"] == "NotRun"
    assert status["lastExecution"]["state"] == "Failed"
    assert status["lastExecution"]["error"]["code"] == "None"
    assert status["lastExecution"]["timeEnded"] == status["steadyStateLastAchievedTime"] == never
    assert status["lastSuccessfulExecution"] is None
    assert "progress" not in status


def test_a_healthy_job(world):
    world.adds_many(2)
    world.entra.cycle()
    world.clock.passes(minutes=40)
    world.entra.cycle()

    job = world.the_job()

    assert (job["id"], job["templateId"], job["schedule"]["interval"]) == (JOB_ID, "scim", "PT40M")
    assert (job["schedule"]["state"], job["status"]["code"], job["status"]["quarantine"]) == ("Active", "Active", None)
    last = job["status"]["lastExecution"]
    assert (last["state"], last["timeBegan"], last["countEntitled"]) == ("Succeeded", "2026-11-24T08:40:00Z", 2)
    assert job["status"]["lastSuccessfulExecution"]["timeBegan"] == NEVER, "Microsoft's example has it so"
    assert job["status"]["synchronizedEntryCountByType"][0]["value"] == 2


def test_entries_do_not_go_down(world):
    user = world.adds()
    world.entra.cycle()
    world.directory.hard_delete(user.object_id)
    world.entra.cycle()

    assert world.the_job()["status"]["synchronizedEntryCountByType"][0]["value"] == 1


@pytest.mark.parametrize("state", ["Succeeded", "EntryLevelErrors"])
def test_a_run_with_escrows(world, state):
    styled(world, escrow_state=state)
    world.adds()
    world.endpoint.refusals["POST", "/Users"] = 409
    world.entra.cycle()
    world.job.escrows_pruned = True
    status = world.the_job()["status"]
    last = status["lastExecution"]
    assert (last["state"], last["countEscrowed"], status["escrowsPruned"]) == (state, 1, True)

    world.entra.cycle()
    assert world.the_job()["status"]["lastExecution"]["countEscrowed"] == 0


def test_a_refused_secret_quarantines_and_a_good_one_frees(world):
    world.adds()
    world.endpoint.refusals["GET", "/Users"] = 401
    world.entra.cycle()
    quarantine = world.the_job()["status"]["quarantine"]
    assert (quarantine["reason"], quarantine["seriesCount"]) == ("EncounteredQuarantineException", 1)
    assert quarantine["nextAttempt"] == "2026-11-25T08:00:00Z"
    assert world.the_job()["status"]["lastExecution"]["state"] == "Failed"

    world.clock.passes(days=1)
    world.signs_in()
    world.endpoint.refusals["GET", "/Users"] = 401
    world.entra.cycle()
    quarantine = world.the_job()["status"]["quarantine"]
    assert (quarantine["seriesBegan"], quarantine["currentBegan"]) == ("2026-11-24T08:00:00Z", "2026-11-25T08:00:00Z")

    world.entra.cycle()
    assert world.the_job()["status"]["code"] == "Active"


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_of_a_quarantine_stops_the_job(world, reason):
    world.adds()
    world.job.quarantines(reason, world.clock.now)

    assert world.entra.cycle().steps == []
    assert world.the_job()["status"]["code"] == "Quarantine"
    assert world.the_job()["status"]["quarantine"]["reason"] == reason

    world.entra.restart()
    assert [step.action for step in world.entra.cycle().steps] == ["create"]


def test_entering_and_leaving_quarantine_is_audited(world):
    world.may_only("AuditLog.Read.All")
    world.job.quarantines("QuarantinedOnDemand", world.clock.now)
    world.clock.passes(minutes=10)
    world.entra.restart()
    path = "/auditLogs/directoryAudits?$filter=loggedByService eq 'Account Provisioning'"

    newest, oldest = world.rows(path)

    assert "QuarantinedOnDemand" in oldest["resultReason"]
    assert newest["activityDateTime"] == "2026-11-24T08:10:00Z"
    assert world.rows(f"{path} and activityDateTime gt 2026-11-24T08:05:00Z") == [newest]


def test_a_paused_job_does_nothing(world):
    world.adds()
    world.job.pause()
    assert world.entra.cycle().steps == []
    assert (world.the_job()["status"]["code"], world.the_job()["schedule"]["state"]) == ("Paused", "Paused")

    world.job.start()
    assert len(world.entra.cycle().steps) == 1


def test_a_job_that_is_not_configured_does_nothing(world):
    world.adds()
    world.job.configured = False

    assert world.entra.cycle().steps == []
    assert world.the_job()["status"]["code"] == "NotConfigured"


def test_after_four_weeks_of_quarantine_a_job_is_disabled(world):
    world.adds()
    world.job.quarantines("EncounteredQuarantineException", world.clock.now, by_itself=True)
    world.clock.passes(days=28)
    world.signs_in()

    assert world.entra.cycle().steps == []
    assert (world.the_job()["status"]["code"], world.the_job()["schedule"]["state"]) == ("Quarantine", "Disabled")


def test_there_may_be_no_job_or_two(world):
    world.graph.jobs.append(Job(id="second", template_id="another"))
    assert [job["templateId"] for job in world.reads(f"{SYNC}/jobs")["value"]] == ["scim", "another"]
    assert world.reads(f"{SYNC}/jobs/second")["id"] == "second"

    world.graph.jobs.clear()
    assert world.reads(f"{SYNC}/jobs")["value"] == []
    styled(world, no_job="404")
    assert world.asks(f"{SYNC}/jobs").status_code == 404
    assert world.asks(JOB).status_code == 404


def test_the_application_id_is_not_the_object_id(world):
    path = f"/servicePrincipals/{SERVICE_PRINCIPAL.app_id}/synchronization/jobs"

    assert world.asks(path).status_code == 404


def mappings(world: GraphWorld) -> dict[str, dict]:
    (rule,) = world.reads(f"{JOB}/schema")["synchronizationRules"]
    users = rule["objectMappings"][0]
    return {each["targetAttributeName"]: each for each in users["attributeMappings"]}


def test_the_schema_has_provisionings_names(world):
    world.directory.sources[f"{DITIO}:payroll"] = "extensionAttribute2"
    found = mappings(world)

    assert found['phoneNumbers[type eq "mobile"].value']["source"]["name"] == "mobile"
    assert found["externalId"]["source"]["expression"] == "[objectId]"
    assert found[f"{DITIO}:payroll"]["source"]["name"] == "extensionAttribute2"
    assert found[f"{DITIO}:employmentEndDate"]["source"]["name"] == "FormatDateTime"
    assert [target for target, each in found.items() if each["matchingPriority"]] == ["userName"]
    parameters = {each["key"]: each["value"]["name"] for each in found["active"]["source"]["parameters"]}
    assert (parameters["source"], parameters["key1"], parameters["value1"]) == ("IsSoftDeleted", "False", "True")


def test_each_mapped_attribute_is_declared(world):
    source, target = world.reads(f"{JOB}/schema")["directories"]
    declared = {each["name"]: each for each in target["objects"][0]["attributes"]}

    assert mappings(world).keys() <= declared.keys()
    assert declared[f"{ENTERPRISE}:manager"]["type"] == "Reference"
    assert "employeeLeaveDateTime" in {each["name"] for each in source["objects"][0]["attributes"]}


def test_the_schema_shows_what_an_administrator_changed(world):
    styled(world, target_object="User")
    job = world.job
    job.flow_types.discard("Delete")
    job.scope = [[Clause("department", "EQUALS", ("Anlegg",)), Clause("mobile", "IS NOT NULL")]]
    job.input_filter = [[Clause("userType", "EQUALS", ("Member",))]]
    del job.mappings["title"]
    job.mappings["active"] = AttributeMapping("active", expression='"True"', flow_type="ObjectAddOnly")
    job.mappings["displayName"].default_value = "-"

    (rule,) = world.reads(f"{JOB}/schema")["synchronizationRules"]
    users = rule["objectMappings"][0]

    assert (users["flowTypes"], users["targetObjectName"]) == ("Add, Update", "User")
    (group,) = users["scope"]["groups"]
    assert [(each["sourceOperandName"], each["operatorName"]) for each in group["clauses"]] == [
        ("department", "EQUALS"),
        ("mobile", "IS NOT NULL"),
    ]
    assert users["scope"]["inputFilterGroups"][0]["clauses"][0]["targetOperand"] == {"values": ["Member"]}
    found = mappings(world)
    assert "title" not in found
    assert (found["active"]["flowType"], found["active"]["source"]["type"]) == ("ObjectAddOnly", "Constant")
    assert found["displayName"]["defaultValue"] == "-"


def test_secrets_show_settings_and_no_secret(world):
    world.job.sync_all = world.job.skip_out_of_scope_deletions = True
    world.job.delete_threshold = 17
    found = {each["key"]: each["value"] for each in world.reads(f"{SYNC}/secrets")["value"]}

    assert found["BaseAddress"] == "https://bridge.example/scim"
    assert (found["SyncAll"], found["SkipOutOfScopeDeletions"], found["SecretToken"]) == ("true", "True", "*")
    assert json.loads(found["SyncNotificationSettings"])["DeleteThresholdValue"] == 17
    styled(world, secrets="refused")
    assert world.asks(f"{SYNC}/secrets").status_code == 403


def test_a_link_is_found_by_either_id(world):
    user = world.adds()
    beta = f"{GRAPH}/beta{JOB}/objectConnections"
    assert world.asks(f"{beta}('{user.object_id}')").status_code == 404

    world.entra.cycle()
    found = world.reads(f"{beta}('{user.object_id}')")

    assert (found["sourceAnchor"], found["targetAnchor"]) == (user.object_id, "u1")
    assert world.reads(f"{beta}('u1')")["objectId"] == user.object_id
    assert world.asks(beta).status_code == 400, "there is no list"
    assert world.asks(f"{JOB}/objectConnections('u1')").status_code == 404, "only in beta"
    styled(world, connections=False)
    assert world.asks(f"{beta}('u1')").status_code == 404


def test_the_log_says_what_became_of_a_person(world):
    user, other = world.adds_many(2)
    world.entra.cycle()
    world.clock.passes(minutes=40)
    user.account_enabled = False
    world.entra.cycle()

    newest, oldest = world.rows(f"{LOG}?$filter=sourceIdentity/id eq '{user.object_id}' and jobId eq '{JOB_ID}'")

    assert [row["provisioningAction"] for row in (oldest, newest)] == ["create", "disable"]
    assert (newest["targetIdentity"]["id"], newest["provisioningStatusInfo"]["status"]) == ("u1", "success")
    changed = {"displayName": "active", "oldValue": None, "newValue": "False"}
    assert newest["modifiedProperties"] == [changed]
    assert world.rows(f"{LOG}?$filter=targetIdentity/id eq 'u2'")[0]["sourceIdentity"]["id"] == other.object_id
    assert world.rows(f"{LOG}?$filter=sourceIdentity/id eq '{user.object_id.upper()}'") == [], "by case"


def test_a_failure_quotes_the_answer(world):
    world.adds()
    world.endpoint.refusals["POST", "/Users"] = 409
    world.entra.cycle()

    (row,) = world.rows(f"{LOG}?$filter=provisioningStatusInfo/status eq 'failure'&$top=500")

    error = row["provisioningStatusInfo"]["errorInformation"]
    assert error["errorCode"] == "uniqueness"
    assert "409" in error["reason"]
    assert "taken" in error["reason"]


def test_who_is_disabled_is_skipped_in_the_log(world):
    world.adds(account_enabled=False)
    world.entra.cycle()

    (row,) = world.rows(LOG)

    assert (row["provisioningAction"], row["provisioningStatusInfo"]["status"]) == ("other", "skipped")
    assert row["provisioningSteps"][0]["details"]["SkipReason"] == "NotEffectivelyEntitled"


def test_the_log_forgets_and_is_ordered(world):
    first = world.adds()
    world.entra.cycle()
    world.clock.passes(days=7)
    second = world.adds()
    world.entra.cycle()
    world.signs_in()

    def people(query: str = "") -> list[str]:
        return [row["sourceIdentity"]["id"] for row in world.rows(LOG + query)]

    assert people() == [second.object_id, first.object_id]
    assert people("?$orderby=activityDateTime asc") == [first.object_id, second.object_id]
    world.clock.passes(days=23)
    world.signs_in()
    assert people() == [second.object_id], "30 days with P1"


@pytest.mark.parametrize("query", ["$filter=name eq 'x'", "$filter=id", "$orderby=jobId"])
def test_a_query_that_is_not_understood_is_refused(world, query):
    assert world.asks(f"{LOG}?{query}").status_code == 400


def test_the_log_has_two_forms(world):
    world.adds()
    world.entra.cycle()
    styled(world, log_form="list")

    (row,) = world.rows(LOG)

    assert row["servicePrincipal"][0]["id"] == SERVICE_PRINCIPAL.object_id
    assert row["initiatedBy"]["initiatingType"] == "system"
    assert row["provisioningSteps"][0]["provisioningStepType"] == "Export"


def test_writing_needs_a_permission_of_its_own(world):
    for call in ("restart", "start", "pause", "validateCredentials", "provisionOnDemand"):
        assert world.asks(f"{JOB}/{call}", "POST", json={}).status_code == 401


def test_the_portals_buttons(world):
    world.may_only("Synchronization.ReadWrite.All")
    assert world.asks(f"{JOB}/pause", "POST").status_code == 204
    assert world.the_job()["status"]["code"] == "Paused"
    assert world.asks(f"{JOB}/start", "POST").status_code == 204
    assert world.asks(f"{JOB}/validateCredentials", "POST", json={"useSavedCredentials": True}).status_code == 204
    world.endpoint.refusals["GET", "/Users"] = 401
    assert world.asks(f"{JOB}/validateCredentials", "POST", json={"useSavedCredentials": True}).status_code == 400

    world.job.quarantines("TooManyDeletes", world.clock.now)
    restart = {"criteria": {"resetScope": "ForceDeletes"}}
    assert world.asks(f"{JOB}/restart", "POST", json=restart).status_code == 204
    assert world.job.deletes_allowed


@pytest.mark.parametrize("enabled", [True, False])
def test_on_demand_is_200_whatever_happens(world, enabled):
    world.may_only("Synchronization.ReadWrite.All")
    user = world.adds(account_enabled=enabled)
    (rule,) = world.reads(f"{JOB}/schema")["synchronizationRules"]
    subject = {"objectId": user.object_id, "objectTypeName": "User"}
    body = {"parameters": [{"ruleId": rule["id"], "subjects": [subject]}]}

    answer = world.reads(f"{JOB}/provisionOnDemand", method="POST", json=body)

    assert json.loads(answer["key"])["result"] == ("Success" if enabled else "Skipped")
    assert json.loads(answer["value"])["provisioningSteps"]
    assert world.asks(f"{JOB}/provisionOnDemand", "POST", json={}).status_code == 400
    styled(world, on_demand="constant")
    world.clock.passes(seconds=10)
    other = world.reads(f"{JOB}/provisionOnDemand", method="POST", json=body)
    assert not other["key"].startswith("{")
    assert isinstance(json.loads(other["value"]), list)


def test_on_demand_has_a_limit_of_its_own(world):
    world.may_only("Synchronization.ReadWrite.All")

    answers = [world.asks(f"{JOB}/provisionOnDemand", "POST", json={}).status_code for _ in range(6)]

    assert answers == [400] * 5 + [429]
