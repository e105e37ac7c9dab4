"""When to try again: a pure function of what happened and how often it was tried."""

from scim_bridge.errors import BudgetSpent, DeliveryError, RateLimited

BASE_SECONDS = 2.0
CAP_SECONDS = 3600.0
"""One person's endless trouble is tried once an hour, and never dropped (rule R3)."""


def delay_seconds(error: DeliveryError, attempts: int, jitter: float) -> float:
    """Seconds until the next try.

    :param attempts: How many tries have failed before this one.
    :param jitter: A random number, 0.0-1.0: full jitter, so that a crowd does not come back at once.
    """
    if isinstance(error, BudgetSpent):
        return 0.0  # Nothing failed: the request ran out of time, and a worker goes on at once.
    if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
        return min(CAP_SECONDS, error.retry_after_seconds + jitter)
    ceiling = min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(attempts, 30))
    return max(0.25, jitter * ceiling)
