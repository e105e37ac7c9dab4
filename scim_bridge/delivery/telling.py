"""What is told of an attempt: its row of the history, and its line of the log (rule D5)."""

from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.outcome import Outcome, TryAgain
from scim_bridge.logs import get_logger
from scim_bridge.storage.history import Entry

log = get_logger(__name__)


def entry_of(errand: Errand, outcome: Outcome) -> Entry:
    """The row of the history."""
    if isinstance(outcome, TryAgain):
        return Entry(
            "delivery",
            "try-again",
            cause=errand.cause,
            status=outcome.error.status,
            request_id=errand.request_id,
            ditio_request_id=outcome.error.request_id,
        )
    return Entry("delivery", outcome.reason or outcome.state, cause=errand.cause, request_id=errand.request_id)


def log_retry(errand: Errand, outcome: TryAgain) -> None:
    """The line of an attempt that is made again."""
    log.warning(
        "delivery.retry",
        person_id=errand.person.id,
        error=type(outcome.error).__name__,
        status=outcome.error.status,
        retry_in_seconds=round(outcome.retry.after_seconds, 1),
    )
