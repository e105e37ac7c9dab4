"""When to try again, and whose fault it was: a pure function of what happened and how often it was tried (rule R3)."""

from dataclasses import dataclass
from enum import StrEnum

from scim_bridge.domain.outcome import CAP_SECONDS
from scim_bridge.errors import (
    BudgetSpent,
    CredentialsRefused,
    DeliveryError,
    NotYet,
    Paused,
    RateLimited,
    TransientError,
    Unreached,
)

BASE_SECONDS = 2.0
LEAST_SECONDS = 0.25

LONGEST_QUIET_SECONDS = 30.0
"""How long nobody is delivered after a 429 that does not say how long to wait."""


class Fault(StrEnum):
    """What a failure tells of Ditio as a whole."""

    none = ""
    """Nothing."""

    of_person = "of-person"
    """Perhaps something: the breaker opens when it happens to different people."""

    of_all = "of-all"
    """Nobody gets through: the breaker opens."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows from a try that did not come to its end."""

    after_seconds: float
    """When this person is tried again."""

    fault: Fault = Fault.none
    is_failure: bool = True
    """Whether it counts as a try that failed; running out of a request's time does not."""

    quiet_seconds: float = 0.0
    """For how long nobody is delivered, because Ditio asked for it; that is obeyed, and no fault."""


def decide(error: DeliveryError, attempts: int, jitter: float) -> Retry:
    """What to do after a failure that may pass. A refused client was tested before (rule R2): it is everybody's.

    :param attempts: How many tries have failed before this one.
    :param jitter: A random number, 0.0-1.0: full jitter, so that a crowd does not come back at once.
    """
    delay = delay_seconds(error, attempts, jitter)
    match error:
        case BudgetSpent() | Paused():
            return Retry(delay, is_failure=False)
        case RateLimited(retry_after_seconds=None):
            return Retry(delay, quiet_seconds=min(LONGEST_QUIET_SECONDS, delay))
        case RateLimited():
            return Retry(delay, quiet_seconds=delay)
        case CredentialsRefused() | Unreached():
            return Retry(delay, Fault.of_all)
        case NotYet(retry_after_seconds=float()):
            return Retry(delay, is_failure=False)  # It is known for how long there is nothing to try.
        case NotYet() | TransientError(cut_short=True):
            return Retry(delay)
        case TransientError():
            return Retry(delay, Fault.of_person)
        case _:
            return Retry(delay)


def delay_seconds(error: DeliveryError, attempts: int, jitter: float) -> float:
    """Seconds until the next try of the same person; `decide` explains the parameters."""
    if isinstance(error, BudgetSpent | Paused):
        return 0.0  # Nothing failed: the request ran out of time, or nobody is delivered; a worker goes on at once.
    if isinstance(error, TransientError) and error.retry_after_seconds is not None:
        wanted = error.retry_after_seconds + jitter * min(error.retry_after_seconds + 1.0, BASE_SECONDS)
    else:
        wanted = jitter * BASE_SECONDS * 2.0 ** min(attempts, 30)
    # One person's endless trouble is tried once an hour, and never dropped (rule R3).
    return min(CAP_SECONDS, max(LEAST_SECONDS, wanted))
