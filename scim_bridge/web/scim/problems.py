"""Every exception as a SCIM Error (RFC 7644 §3.12): its status, and words for whoever reads it."""

from http import HTTPStatus

from scim2_models import Error, InvalidValueException, SCIMException, ScimProvider, UniquenessException
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

from scim_bridge.delivery.ticket import IncompleteRefused
from scim_bridge.delivery.undo import UndoUncertain
from scim_bridge.delivery.undone import Undone
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import is_out_of_reach, loggable
from scim_bridge.web.scim.wording import reworded

log = get_logger(__name__)

DATABASE_RETRY_SECONDS = 30


class ServiceUnavailable(SCIMException):
    """503: the bridge can't say now whether the request is right (rule A3).

    :param retry_after_seconds: When to ask again.
    """

    status = 503
    _default_detail = "the bridge can't answer at the moment: try again later"

    def __init__(self, retry_after_seconds: float, *, detail: str | None = None) -> None:
        super().__init__(detail=detail)
        self.retry_after_seconds = retry_after_seconds


class BulkTooLong(ServiceUnavailable):
    """503: an operation of a bulk request whose time was over before it was its turn."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            1.0,
            detail=f"the bulk request has taken {seconds:g} seconds, which is all that there are for one: "
            "send this operation again, in a request with fewer",
        )


class TooManyRequests(SCIMException):
    """429: too many failures from this address (rule A3).

    :param retry_after_seconds: When to ask again.
    """

    status = 429
    _default_detail = "too many requests without a valid credential came from this address: try again later"

    def __init__(self, retry_after_seconds: float, *, detail: str | None = None) -> None:
        super().__init__(detail=detail)
        self.retry_after_seconds = retry_after_seconds


class BodyTooLarge(SCIMException):
    """413: the body is longer than `SCIM__MAX_BODY_BYTES`."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            detail=f"the body is larger than {limit} bytes, which is the limit: send less at once, in several requests"
        )


def refused_by_ditio(undone: Undone) -> SCIMException:
    """The error of a write that Ditio refused, and that was taken back (rule R1)."""
    if undone.is_duplicate:
        return UniquenessException(attribute=undone.attribute, value=undone.value, detail=undone.detail)
    return InvalidValueException(detail=undone.detail)


class _Errors(ScimService):
    """The library's way to answer errors, with the bridge's challenge."""

    def www_authenticate(self, exception: SCIMException) -> str | None:
        return str(getattr(exception, "challenge", 'Bearer realm="scim"'))


def answer_of(exc: Exception, provider: ScimProvider, *, request_id: str) -> ScimResponse:
    """The answer to a request that failed.

    :param request_id: Joins the log's line and the answer that hides the cause.
    """
    answered = scim_exception(exc, request_id)
    # Errors carry no cursor, so there is nothing to seal with the secret that the library insists on.
    response = _Errors(provider, secret=b"").error_response(answered)
    if response.body is not None:
        response.body["detail"] = error_of(answered).detail
    if isinstance(answered, ServiceUnavailable | TooManyRequests):
        response.headers["Retry-After"] = str(max(1, round(answered.retry_after_seconds)))
    return response


def error_of(exc: SCIMException) -> Error:
    """The error of a request, or of one operation of a bulk request, in words with a cure; a refusal is logged."""
    error = exc.to_error()
    error.detail = reworded(exc.detail)
    if exc.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        log.info("scim.refused", status=int(exc.status), scim_type=exc.scim_type or None)
    return error


def scim_exception(exc: Exception, request_id: str) -> SCIMException:
    """What a failure is towards the client; one of our own is logged, and hidden."""
    if isinstance(exc, SCIMException):
        return exc
    if isinstance(exc, IncompleteRefused):
        return InvalidValueException(detail=str(exc))
    if isinstance(exc, UndoUncertain):
        log.error("scim.undo_uncertain", request_id=request_id)
        return ServiceUnavailable(
            DATABASE_RETRY_SECONDS, detail="the bridge lost its database while it took a refused write back: try again"
        )
    if is_out_of_reach(exc):
        log.error("scim.database_out_of_reach", error=type(exc).__name__)
        return ServiceUnavailable(
            DATABASE_RETRY_SECONDS, detail="the bridge can't reach its database: nothing was changed, try again later"
        )
    log.error("scim.failed", request_id=request_id, error=type(exc).__name__, exc_info=loggable(exc))
    failure = SCIMException(detail=f"the bridge failed at this request; its log has the cause under {request_id}")
    failure.status = 500
    return failure
