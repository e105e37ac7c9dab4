"""What Graph's answers mean: errors with their cures, jobs, and entries of the log. All is read tolerantly."""

import json
import re
from datetime import UTC, datetime, timedelta

from scim_bridge.domain.entra import Execution, Job, LogEntry, Permission, Quarantine, ServicePrincipal
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import EntraError
from scim_bridge.http.exchange import Received

LONGEST = 300
"""How many characters of Graph's words are passed on."""

NO_LICENCE = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
MARK_LOST = ("syncStateNotFound", "resyncRequired", "SyncStateInvalid")


class MarkLost(EntraError):
    """A mark of a delta query is no longer known: everything has to be read anew."""


def error_of(received: Received, what: str, permission: Permission | None) -> EntraError:
    """Return the error for an answer other than 2xx.

    :param what: What was being done, as the beginning of a sentence.
    :param permission: The application permission that the call needs.
    """
    status, (code, words) = received.status, _error(received)
    said = f"{what}: Graph answered {status}{f' {code}' if code else ''} (request {received.request_id})"
    if status == 410 or code in MARK_LOST:
        return MarkLost(f"{said}: the mark is no longer known", status=status, code=code, is_passing=True)
    if code == NO_LICENCE:
        cure = (
            "the tenant needs Microsoft Entra ID P1 for it. Microsoft's check also fails now and then: try again later"
        )
        return EntraError(f"{said}: {cure}", status=status, code=code, is_passing=True)
    # The synchronization API answers 401 with an empty message where the permission is missing, whatever the token.
    is_forbidden = status == 403 or (status == 401 and (code == "UnknownError" or not words))
    if is_forbidden and permission is not None:
        cure = f"the application permission {permission} is not granted, or an administrator has not consented to it"
        return EntraError(f"{said}: {cure}", status=status, code=code, permission=permission)
    if status == 401:
        cure = "Graph refuses the token: check that ENTRA__GRAPH_URL and ENTRA__LOGIN_URL are of one cloud"
        return EntraError(f"{said}. {cure}", status=status, code=code)
    if status == 429 or status >= 500:
        return EntraError(said, status=status, code=code, is_passing=True)
    return EntraError(f"{said}{f': {words}' if words else ''}", status=status, code=code)


def _error(received: Received) -> tuple[str | None, str]:
    """Return Graph's word for an error, and its message on one line."""
    try:
        document: object = json.loads(received.body)
    except (ValueError, RecursionError):
        return None, ""
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return None, ""
    code, message = error.get("code"), error.get("message")
    words = " ".join(message.split())[:LONGEST] if isinstance(message, str) else ""
    is_word = isinstance(code, str) and re.fullmatch(r"[\w.-]{1,100}", code) is not None
    return (str(code) if is_word else None), "".join(each for each in words if each.isprintable())


def object_of(received: Received, what: str) -> JsonObject:
    """Return the JSON object in an answer. :raises EntraError: there is none."""
    try:
        document = received.document()
    except ValueError as exc:
        raise EntraError(f"{what}: Graph's answer is not JSON (request {received.request_id})") from exc
    if not isinstance(document, dict):
        raise EntraError(f"{what}: Graph's answer is no object (request {received.request_id})")
    return document


_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(\.\d+)?(Z|[+-]\d\d:\d\d)?")


def moment_of(value: object) -> datetime | None:
    """Return an instant; None for an empty text and for the year 1, which both mean never."""
    found = _INSTANT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[1] + (found[3] or "Z").replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.year > 1 else None


_SPAN = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?")
NEVER_DAYS = 3650
"""An interval longer than ten years, as Graph writes it for a job that does not run by itself."""


def span_of(value: object) -> timedelta | None:
    """Return an ISO 8601 duration such as PT40M; None where there is none, or it means never."""
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    if days > NEVER_DAYS:
        return None
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return span if span > timedelta() else None


def job_of(document: JsonObject) -> Job:
    status, schedule = object_in(document, "status"), object_in(document, "schedule")
    success = status.get("lastSuccessfulExecution")
    return Job(
        id=_text(document, "id") or "",
        template_id=_text(document, "templateId"),
        code=_text(status, "code") or "",
        schedule=_text(schedule, "state") or "",
        interval=span_of(schedule.get("interval")),
        last=_execution(object_in(status, "lastExecution")),
        last_success=_execution(success) if isinstance(success, dict) else None,
        quarantine=_quarantine(status.get("quarantine")),
        escrows_pruned=status.get("escrowsPruned") is True,
    )


def _execution(document: JsonObject) -> Execution:
    code, words = _nested_error(document)
    return Execution(
        state=_text(document, "state") or "",
        began_at=moment_of(document.get("timeBegan")),
        ended_at=moment_of(document.get("timeEnded")),
        escrowed=_count(document.get("countEscrowed")),
        error_code=None if code == "None" else code,
        error=words,
    )


def _quarantine(document: object) -> Quarantine | None:
    if not isinstance(document, dict) or not document:
        return None
    code, words = _nested_error(document)
    return Quarantine(
        reason=_text(document, "reason") or "Unknown",
        began_at=moment_of(document.get("seriesBegan")) or moment_of(document.get("currentBegan")),
        next_attempt_at=moment_of(document.get("nextAttempt")),
        error_code=code,
        error=words,
    )


def _nested_error(document: JsonObject) -> tuple[str | None, str | None]:
    error = object_in(document, "error")
    words = _text(error, "message")
    return _text(error, "code"), " ".join(words.split())[:LONGEST] if words else None


def principal_of(document: JsonObject) -> ServicePrincipal:
    """Return an application in the tenant."""
    return ServicePrincipal(
        id=_text(document, "id") or "",
        app_id=_text(document, "appId"),
        name=_text(document, "displayName"),
        is_enabled=document.get("accountEnabled") is not False,
    )


def entry_of(document: JsonObject) -> LogEntry | None:
    """Return an entry of the provisioning log; None without a time."""
    at = moment_of(document.get("activityDateTime"))
    if at is None:
        return None
    info = object_in(document, "provisioningStatusInfo") or object_in(document, "statusInfo")
    error = object_in(info, "errorInformation")
    changed = document.get("modifiedProperties")
    names = [each.get("displayName") for each in changed if isinstance(each, dict)] if isinstance(changed, list) else []
    code, reason = _text(error, "errorCode"), _text(error, "reason") or _text(error, "additionalDetails")
    if reason is None:
        code, reason = _skipped(document, code)
    return LogEntry(
        at=at,
        action=_text(document, "provisioningAction") or _text(document, "action") or "unknown",
        status=_text(info, "status") or "unknown",
        source_id=_text(object_in(document, "sourceIdentity"), "id"),
        target_id=_text(object_in(document, "targetIdentity"), "id"),
        error_code=code,
        reason=reason,
        changed=tuple(str(name) for name in names if name),
        job_id=_text(document, "jobId"),
    )


def _skipped(document: JsonObject, code: str | None) -> tuple[str | None, str | None]:
    """Return why a user was skipped, or what failed, as the last step tells that is no success."""
    steps = document.get("provisioningSteps")
    for step in reversed(steps if isinstance(steps, list) else []):
        if isinstance(step, dict) and str(step.get("status")).lower() not in ("success", "none"):
            details = object_in(step, "details")
            return code or _text(details, "SkipReason") or _text(details, "ErrorCode"), _text(step, "description")
    return code, None


def object_in(document: JsonObject, key: str) -> JsonObject:
    """Return an object inside another; an empty one where there is none."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _text(document: JsonObject, key: str) -> str | None:
    found = document.get(key)
    return found if isinstance(found, str) and found.strip() else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
