"""Which error an answer of Ditio's stands for, with a message for whoever has to act."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from scim_bridge.ditio.operation_settings import DEFAULT_OPERATIONS, setting_name
from scim_bridge.ditio.responses import Received
from scim_bridge.ditio.wording import words_of
from scim_bridge.domain.operations import OperationName
from scim_bridge.errors import (
    CredentialsRefused,
    DeliveryError,
    OperationMissing,
    PermanentError,
    RateLimited,
    TransientError,
)

_FIVE_CAUSES = (
    "Ditio refuses a valid token for five causes, and none is cured by a new token. "
    "In Ditio, check that the API client (1) was not deleted, (2) is not disabled, "
    "(3) is not past its ValidUntil, (4) has scopes, among them the one in DITIO__SCOPE, "
    "and (5) has an emulation user that exists, is enabled, is an administrator and belongs to the company. "
    "Then check that DITIO__IDENTITY_URL and DITIO__API_URL are of one environment, production or test"
)


def error_of(
    received: Received, what: str, *, now: datetime, write: bool, operation: OperationName | None = None
) -> DeliveryError:
    """The error that an answer other than 2xx stands for.

    :param what: What was being done, as the beginning of a sentence; it names nobody but by employee number.
    :param now: For a `Retry-After` that is a date.
    :param write: Whether Ditio may have applied something before it failed.
    :param operation: The operation that was called; its 404 or 405 is then a missing operation (rule R1).
    """
    error = _error(received, what, now, write, operation)
    error.seconds = received.seconds
    return error


def unreadable(received: Received, what: str, why: str) -> TransientError:
    """The error for a 2xx to a read that does not hold what was asked for."""
    return TransientError(
        f"{what}: Ditio's answer {why} ({received.status}, request {received.request_id}). "
        "If this lasts, check DITIO__API_URL",
        status=received.status,
        request_id=received.request_id,
        seconds=received.seconds,
    )


def not_ditios(received: Received, what: str) -> TransientError:
    """The error for a 404 that came as a web page: a gateway's word, from which nothing follows (rule P5)."""
    return TransientError(
        f"{what}: a web page came with the {received.status} (request {received.request_id}), so the answer is a "
        "gateway's and not Ditio's. If this lasts, check DITIO__API_URL",
        ambiguous=True,
        status=received.status,
        request_id=received.request_id,
        seconds=received.seconds,
    )


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """How long a `Retry-After` asks to wait (RFC 9110 §10.2.3: seconds, or a date); None if unreadable."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def _error(received: Received, what: str, now: datetime, write: bool, operation: OperationName | None) -> DeliveryError:
    status, request_id = received.status, received.request_id
    said = f"{what}: Ditio answered {status} (request {request_id})"
    match status:
        case 401 | 403:
            twice = ", and again after its token was renewed once" if status == 401 else ""
            return CredentialsRefused(f"{said}{twice}. {_FIVE_CAUSES}", status=status, request_id=request_id)
        case 404 | 405 if operation is not None:
            return missing(operation, said, status=status, request_id=request_id)
        case 429:
            seconds = retry_after_seconds(received.headers.get("Retry-After"), now)
            return RateLimited(said, retry_after_seconds=seconds, request_id=request_id)
        case _ if 400 <= status <= 499:
            return refusal_of(received, what)
        case _ if status >= 500:
            seconds = retry_after_seconds(received.headers.get("Retry-After"), now)
            return TransientError(
                said, ambiguous=write, status=status, request_id=request_id, retry_after_seconds=seconds
            )
        case _:
            cure = "DITIO__API_URL seems wrong: the API itself never redirects"
            return CredentialsRefused(f"{said}. {cure}", status=status, request_id=request_id)


def missing(
    operation: OperationName, said: str, *, status: int | None = None, request_id: str | None = None
) -> OperationMissing:
    """The error for an operation that Ditio does not know, naming the setting that says how it is called."""
    setting = setting_name(operation) if operation in DEFAULT_OPERATIONS else "DITIO__API_URL"
    # Of whoever is to be created there is nothing to read: other employees tell whether the address is right.
    shown = "other employees" if operation is OperationName.create else "the employee"
    return OperationMissing(
        f"{said}. If {shown} can be read, check {setting}",
        operation=operation,
        status=status,
        request_id=request_id,
    )


def refusal_of(received: Received, what: str) -> PermanentError:
    """The error for what Ditio refuses, in its own words."""
    complaint = words_of(received.body, received.headers.get("Content-Type", ""))
    about = f" because of {complaint.field}" if complaint.field else ""
    return PermanentError(
        f"{what}: Ditio refused it{about} ({received.status}, request {received.request_id})",
        words=complaint.words,
        field=complaint.field,
        status=received.status,
        request_id=received.request_id,
    )
