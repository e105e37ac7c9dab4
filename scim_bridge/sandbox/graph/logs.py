"""The logs of the simulated Graph: what provisioning did, and what happened to its job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Flask, Response, request

from scim_bridge.sandbox.directory import JsonObject
from scim_bridge.sandbox.graph.access import Access
from scim_bridge.sandbox.graph.answers import GraphRefusal, Pages, bad_request, conditions, moment
from scim_bridge.sandbox.graph.assignments import EnterpriseApp
from scim_bridge.sandbox.graph.schema import SOURCE_DIRECTORY, TARGET_DIRECTORY
from scim_bridge.sandbox.graph.style import GraphStyle
from scim_bridge.sandbox.job import Audit, Event, Job

_PATHS = (
    "id",
    "jobId",
    "cycleId",
    "changeId",
    "activityDateTime",
    "provisioningAction",
    "provisioningStatusInfo/status",
    "sourceIdentity/id",
    "sourceIdentity/displayName",
    "targetIdentity/id",
    "targetIdentity/displayName",
    "tenantId",
)
_AUDIT_PATHS = ("loggedByService", "activityDateTime", "activityDisplayName", "category")


class LogsApi:
    """`/auditLogs`.

    :ivar premium: Whether the tenant has P1 or P2; without, the provisioning log is refused.
    :ivar kept: How long rows are kept: 7 days, 30 with P1 or P2.
    """

    def __init__(
        self,
        jobs: Callable[[], list[Job]],
        app: EnterpriseApp,
        tenant: str,
        access: Access,
        pages: Pages,
        style: Callable[[], GraphStyle],
        now: Callable[[], datetime],
    ) -> None:
        self.premium = True
        self.kept = timedelta(days=30)
        self._jobs = jobs
        self._app = app
        self._tenant = tenant
        self._access = access
        self._pages = pages
        self._style = style
        self._now = now

    def register(self, app: Flask, prefix: str) -> None:
        app.add_url_rule(f"{prefix}/auditLogs/provisioning", "logs_provisioning", self._provisioning)
        app.add_url_rule(f"{prefix}/auditLogs/directoryAudits", "logs_audits", self._audits)

    def _require(self, *permissions: str) -> None:
        if not self._access.has(*permissions):
            message = f"Calling principal does not have required MSGraph permissions {permissions[-1]}"
            raise GraphRefusal(403, "Authentication_MSGraphPermissionMissing", message)
        if not self.premium:
            message = "Neither tenant is B2C or tenant doesn't have premium license"
            raise GraphRefusal(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", message)

    def _provisioning(self) -> Response:
        self._require("ProvisioningLog.Read.All", "AuditLog.Read.All")

        def rows() -> list[JsonObject]:
            asked = conditions(_PATHS)
            oldest = self._now() - self.kept
            found = [
                self._row(job, number, event)
                for job in self._jobs()
                for number, event in enumerate(job.events)
                if event.at > oldest
            ]
            found = [row for row in found if all(test.holds(_at(row, test.path)) for test in asked)]
            return _ordered(found)

        return self._pages.page(rows, most=1000).answer("auditLogs/provisioning", lambda row: row)

    def _audits(self) -> Response:
        self._require("AuditLog.Read.All")

        def rows() -> list[JsonObject]:
            asked = conditions(_AUDIT_PATHS)
            found = [self._audit(number, audit) for job in self._jobs() for number, audit in enumerate(job.audits)]
            return _ordered([row for row in found if all(test.holds(row[test.path]) for test in asked)])

        return self._pages.page(rows).answer("auditLogs/directoryAudits", lambda row: row)

    def _row(self, job: Job, number: int, event: Event) -> JsonObject:
        older = self._style().log_form == "list"
        principal: JsonObject = {"id": self._app.object_id, "displayName": self._app.display_name}
        step = {
            "name": "EntryExport",
            "provisioningStepType": "Export" if older else "export",
            "status": event.status,
            "description": event.reason or f"User '{event.name}': {event.action} in {TARGET_DIRECTORY}",
            "details": {"SkipReason": "NotEffectivelyEntitled"} if event.status == "skipped" else {},
        }
        return {
            "id": f"{event.run}.{number}",
            "activityDateTime": moment(event.at),
            "tenantId": self._tenant,
            "jobId": job.id,
            "cycleId": event.run,
            "changeId": f"{event.run}.{number}",
            "provisioningAction": event.action,
            "durationInMilliseconds": 812,
            "servicePrincipal": [principal] if older else principal,
            "sourceSystem": {"id": "s1", "displayName": SOURCE_DIRECTORY, "details": {}},
            "targetSystem": {
                "id": "t1",
                "displayName": TARGET_DIRECTORY,
                "details": {
                    "ApplicationId": self._app.app_id,
                    "ServicePrincipalId": self._app.object_id,
                    "ServicePrincipalDisplayName": self._app.display_name,
                },
            },
            "initiatedBy": {
                "id": "",
                "displayName": "Azure AD Provisioning Service",
                "initiatingType" if older else "initiatorType": "system",
            },
            "sourceIdentity": {
                "id": event.object_id,
                "displayName": event.name,
                "identityType": "User",
                "details": {"userPrincipalName": event.user_principal_name},
            },
            "targetIdentity": {
                "id": event.target_id,
                "displayName": event.user_principal_name if event.target_id else "",
                "identityType": self._style().target_object,
                "details": {},
            },
            "provisioningStatusInfo": {"status": event.status, "errorInformation": _error(event)},
            "provisioningSteps": [step],
            "modifiedProperties": [
                {"displayName": target, "oldValue": None, "newValue": value} for target, value in event.changes
            ],
        }

    def _audit(self, number: int, audit: Audit) -> JsonObject:
        return {
            "id": f"x{number}",
            "category": "ProvisioningManagement",
            "activityDisplayName": audit.activity,
            "activityDateTime": moment(audit.at),
            "result": "success",
            "resultReason": audit.reason,
            "loggedByService": "Account Provisioning",
            "initiatedBy": {"app": {"displayName": "Azure AD Cloud Sync"}, "user": None},
            "targetResources": [
                {
                    "id": self._app.object_id,
                    "displayName": self._app.display_name,
                    "type": "ServicePrincipal",
                    "modifiedProperties": [],
                }
            ],
        }


def _error(event: Event) -> JsonObject | None:
    if event.status == "success":
        return None
    failed = event.status == "failure"
    return {
        "errorCode": event.code if failed else None,
        "reason": event.reason if failed else None,
        "additionalDetails": None,
        "errorCategory": "nonServiceFailure" if failed else None,
        "recommendedAction": None,
    }


def _at(row: JsonObject, path: str) -> object:
    value: object = row
    for name in path.split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _ordered(rows: list[JsonObject]) -> list[JsonObject]:
    """Return the rows as `$orderby` wants them: by time, the newest first if it is not said."""
    field, _, direction = request.args.get("$orderby", "activityDateTime desc").partition(" ")
    if field != "activityDateTime" or direction not in ("", "asc", "desc"):
        raise bad_request(f"The orderby clause is not supported: {field}.")
    return sorted(rows, key=lambda row: str(row[field]), reverse=direction == "desc")
