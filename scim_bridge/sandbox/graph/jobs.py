"""The provisioning jobs in the simulated Graph: how they stand, their mapping, their links, and starting them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Flask, Response, g, jsonify, request

from scim_bridge.sandbox.directory import JsonObject
from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.graph.access import Access
from scim_bridge.sandbox.graph.answers import GraphRefusal, bad_request, moment, root
from scim_bridge.sandbox.graph.assignments import AssignmentsApi
from scim_bridge.sandbox.graph.schema import RULE_ID, schema
from scim_bridge.sandbox.graph.style import NEVER, GraphStyle
from scim_bridge.sandbox.job import Execution, Job, Quarantine

READERS = ("Synchronization.Read.All", "Synchronization.ReadWrite.All")
WRITERS = ("Synchronization.ReadWrite.All",)
A_DAY = timedelta(days=1)


class JobsApi:
    """`/servicePrincipals/{id}/synchronization`."""

    def __init__(
        self,
        entra: SandboxEntra,
        assignments: AssignmentsApi,
        access: Access,
        style: Callable[[], GraphStyle],
        now: Callable[[], datetime],
    ) -> None:
        self.jobs: list[Job] = [entra.job]
        self._entra = entra
        self._assignments = assignments
        self._access = access
        self._style = style
        self._now = now

    def register(self, app: Flask, prefix: str) -> None:
        jobs = f"{prefix}/servicePrincipals/<segment:key>/synchronization"
        views: list[tuple[str, str, Callable[..., Response]]] = [
            ("GET", "/jobs", self._list),
            ("GET", "/jobs/<segment:job_id>", self._one),
            ("GET", "/jobs/<segment:job_id>/schema", self._schema),
            ("GET", "/jobs/<segment:job_id>/objectConnections", self._connections),
            ("GET", "/jobs/<segment:job_id>/objectConnections('<segment:object_id>')", self._connection),
            ("GET", "/secrets", self._secrets),
            ("POST", "/jobs/<segment:job_id>/restart", self._restart),
            ("POST", "/jobs/<segment:job_id>/start", self._start),
            ("POST", "/jobs/<segment:job_id>/pause", self._pause),
            ("POST", "/jobs/<segment:job_id>/validateCredentials", self._validate),
            ("POST", "/jobs/<segment:job_id>/provisionOnDemand", self._on_demand),
        ]
        for method, rule, view in views:
            app.add_url_rule(jobs + rule, f"jobs{view.__name__}", view, methods=[method])

    def _require(self, key: str, *permissions: str) -> None:
        """Refuse a call without the permission: 401 and no message, though the token is valid (reported)."""
        if not self._access.has(*permissions):
            if self._style().sync_refusal == 403:
                self._access.require(*permissions)
            raise GraphRefusal(401, "UnknownError", "")
        self._assignments.require_app(key, None)

    def _job(self, key: str, job_id: str, *permissions: str) -> Job:
        self._require(key, *permissions)
        for job in self.jobs:
            if job.id == job_id:
                return job
        raise GraphRefusal(404, "ResourceNotFound", f"The job {job_id} does not exist.")

    def _list(self, key: str) -> Response:
        self._require(key, *READERS)
        if not self.jobs and self._style().no_job == "404":
            raise GraphRefusal(404, "ResourceNotFound", "The service principal has no synchronization.")
        context = f"{root()}/$metadata#servicePrincipals('{key}')/synchronization/jobs"
        return jsonify({"@odata.context": context, "value": [self._document(job) for job in self.jobs]})

    def _one(self, key: str, job_id: str) -> Response:
        job = self._job(key, job_id, *READERS)
        context = f"{root()}/$metadata#servicePrincipals('{key}')/synchronization/jobs/$entity"
        return jsonify({"@odata.context": context} | self._document(job))

    def _schema(self, key: str, job_id: str) -> Response:
        job = self._job(key, job_id, *READERS)
        jobs = f"servicePrincipals('{key}')/synchronization/jobs('{job_id}')"
        document = schema(job, self._entra.directory.sources, self._style().target_object)
        return jsonify({"@odata.context": f"{root()}/$metadata#{jobs}/schema/$entity"} | document)

    def _connections(self, key: str, job_id: str) -> Response:
        self._job(key, job_id, *READERS)
        raise bad_request("Object connections are read one by one.")

    def _connection(self, key: str, job_id: str, object_id: str) -> Response:
        """Answer with the link of one user, named by their object id or SCIM id."""
        self._job(key, job_id, *READERS)
        if g.version == "beta" and self._style().connections:
            for user in self._entra.directory.users.values():
                scim_id = self._entra.scim_id(user.object_id)
                if scim_id is not None and object_id in (user.object_id, scim_id):
                    return jsonify(
                        {
                            "@odata.context": f"{root()}/$metadata#objectConnection/$entity",
                            "objectId": user.object_id,
                            "sourceAnchor": user.object_id,
                            "targetAnchor": scim_id,
                            "displayName": user.display_name,
                            "objectTypeName": "user",
                        }
                    )
        raise GraphRefusal(404, "ResourceNotFound", f"No object connection of {object_id}.")

    def _secrets(self, key: str) -> Response:
        if self._style().secrets == "refused":
            self._access.require()
        self._require(key, *READERS)
        job = self._entra.job
        notices = {
            "Enabled": True,
            "Recipients": "it@contoso.example",
            "DeleteThresholdEnabled": job.delete_threshold is not None,
            "DeleteThresholdValue": job.delete_threshold or 0,
            "HumanResourcesLookaheadQueryEnabled": False,
        }
        values = {
            "BaseAddress": self._entra.tenant_url,
            "SecretToken": "*",
            "SyncAll": str(job.sync_all).lower(),
            "SkipOutOfScopeDeletions": str(job.skip_out_of_scope_deletions),
            "SyncNotificationSettings": json.dumps(notices, separators=(",", ":")),
        }
        return jsonify(value=[{"key": name, "value": value} for name, value in values.items()])

    def _restart(self, key: str, job_id: str) -> Response:
        self._job(key, job_id, *WRITERS)
        criteria = (request.get_json(silent=True) or {}).get("criteria") or {}
        scopes = {scope.strip() for scope in str(criteria.get("resetScope", "")).split(",")}
        if "ForceDeletes" in scopes:
            self._entra.job.allow_deletes(self._now())
        self._entra.restart(lose_links=bool(scopes & {"Full", "ConnectorDataStore"}))
        return Response(status=204)

    def _start(self, key: str, job_id: str) -> Response:
        self._job(key, job_id, *WRITERS).start()
        return Response(status=204)

    def _pause(self, key: str, job_id: str) -> Response:
        self._job(key, job_id, *WRITERS).pause()
        return Response(status=204)

    def _validate(self, key: str, job_id: str) -> Response:
        self._job(key, job_id, *WRITERS)
        answer = self._entra.test_connection()
        if not answer.ok:
            message = f"We received this unexpected response from your application: {answer.status_code}"
            raise bad_request(message, "SystemForCrossDomainIdentityManagementCredentialValidationUnavailable")
        return Response(status=204)

    def _on_demand(self, key: str, job_id: str) -> Response:
        """Provision one user; 200 whatever comes of it."""
        self._job(key, job_id, *WRITERS)
        try:
            (parameters,) = request.get_json()["parameters"]
            (subject,) = parameters["subjects"]
            user = self._entra.directory.users[subject["objectId"]]
        except (KeyError, TypeError, ValueError) as exc:
            raise bad_request("One rule and one user of the directory are expected.") from exc
        if parameters.get("ruleId") != RULE_ID:
            raise bad_request("The rule does not exist.")
        step = self._entra.provision(user)
        verdict = "Skipped" if step.ok and step.action == "none" else "Success" if step.ok else "Failure"
        code = {"Skipped": "NotEffectivelyEntitled", "Failure": step.scim_type or f"Http{step.status}"}.get(verdict)
        steps = [{"name": "EntryExport", "type": "Export", "status": verdict, "description": step.detail or ""}]
        if self._style().on_demand == "constant":
            kind = "Microsoft.Identity.Health.CPP.Common.DataContracts.SyncFabric.StatusInfo"
            return jsonify(key=kind, value=json.dumps([{"provisioningSteps": steps}]))
        details = {"errorCode": code, "errorMessage": step.detail or ""}
        return jsonify(
            {
                "@odata.context": f"{root()}/$metadata#microsoft.graph.stringKeyStringValuePair",
                "key": json.dumps({"result": verdict, "details": details}),
                "value": json.dumps(
                    {
                        "action": step.action.title(),
                        "provisioningSteps": steps,
                        "statusInfo": {"status": verdict, "errorCode": code},
                        "sourceIdentity": {"id": user.object_id, "type": "User"},
                        "targetIdentity": {"id": self._entra.scim_id(user.object_id)},
                    }
                ),
            }
        )

    def _document(self, job: Job) -> JsonObject:
        style = self._style()
        object_key = f"User to {style.target_object}"
        status: JsonObject = {
            "code": job.code,
            "countSuccessiveCompleteFailures": job.failures_in_a_row,
            "escrowsPruned": job.escrows_pruned,
            "steadyStateFirstAchievedTime": self._time(job.steady_since),
            "steadyStateLastAchievedTime": self._time(job.last_successful.ended if job.last_successful else None),
            "quarantine": _quarantine(job.quarantine),
            "troubleshootingUrl": None,
            "lastExecution": self._execution(job.last),
            "lastSuccessfulExecution": self._last_successful(job.last_successful),
            "lastSuccessfulExecutionWithExports": None,
            "synchronizedEntryCountByType": [{"key": object_key, "value": job.entries}] if job.entries else [],
        }
        if style.progress:
            status["progress"] = []
        return {
            "id": job.id,
            "templateId": job.template_id,
            "schedule": {"expiration": None, "interval": job.interval, "state": job.state},
            "status": status,
            "synchronizationJobSettings": [
                {"name": "AzureIngestionAttributeOptimization", "value": "False"},
                {"name": "LookaheadQueryEnabled", "value": "False"},
            ],
        }

    def _time(self, at: datetime | None) -> str | None:
        return self._style().never if at is None else moment(at)

    def _execution(self, run: Execution | None) -> JsonObject:
        """Return a run; a job that never ran reads as failed, though nothing failed."""
        if run is None:
            error: JsonObject | None = {"code": "None", "message": "", "tenantActionable": False}
            return _counts(None) | {
                "state": "Failed",
                "error": error,
                "timeBegan": self._time(None),
                "timeEnded": self._time(None),
            }
        state = run.state
        if state == "Succeeded" and run.escrowed:
            state = self._style().escrow_state
        error = None if run.error is None else {"code": run.error, "message": "", "tenantActionable": True}
        return _counts(run) | {
            "state": state,
            "error": error,
            "timeBegan": self._time(run.began),
            "timeEnded": self._time(run.ended),
        }

    def _last_successful(self, run: Execution | None) -> JsonObject | None:
        """Return what Graph shows of the last successful run: when it began, and most counts, are missing."""
        if run is None:
            return None
        counts = _counts(None) | {"countEscrowed": run.escrowed, "countEscrowedRaw": run.escrowed}
        return counts | {
            "activityIdentifier": run.id,
            "countExported": run.exported,
            "state": "Succeeded",
            "error": None,
            "timeBegan": NEVER,
            "timeEnded": self._time(run.ended),
        }


def _counts(run: Execution | None) -> JsonObject:
    entitled, exported, escrowed = (run.entitled, run.exported, run.escrowed) if run is not None else (0, 0, 0)
    return {
        "activityIdentifier": run.id if run is not None else None,
        "countEntitled": entitled,
        "countEntitledForProvisioning": entitled,
        "countEscrowed": escrowed,
        "countEscrowedRaw": escrowed,
        "countExported": exported,
        "countExports": exported,
        "countImported": exported,
        "countImportedDeltas": exported,
        "countImportedReferenceDeltas": 0,
    }


def _quarantine(quarantine: Quarantine | None) -> JsonObject | None:
    if quarantine is None:
        return None
    error = {"code": quarantine.code, "message": quarantine.message, "tenantActionable": True}
    return {
        "currentBegan": moment(quarantine.current_began),
        "nextAttempt": moment(quarantine.current_began + A_DAY),
        "reason": quarantine.reason,
        "seriesBegan": moment(quarantine.series_began),
        "seriesCount": quarantine.count,
        "error": error if quarantine.code is not None else None,
    }
