"""When to try again."""

from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.delivery.retry import CAP_SECONDS, delay_seconds
from scim_bridge.errors import BudgetSpent, RateLimited, TransientError


@given(attempts=st.integers(0, 10_000), jitter=st.floats(0, 1))
def test_the_back_off_is_bounded(attempts: int, jitter: float):
    """R3: one person's endless trouble backs off, capped at an hour."""
    assert 0 < delay_seconds(TransientError("no"), attempts, jitter) <= CAP_SECONDS


def test_the_back_off_grows():
    delays = [delay_seconds(TransientError("no"), attempts, 1.0) for attempts in range(5)]

    assert delays == [2, 4, 8, 16, 32]


def test_ditios_own_wish_is_obeyed():
    """R3: 429 is obeyed."""
    assert delay_seconds(RateLimited("slow", retry_after_seconds=120), 0, 0.0) == 120


def test_a_request_that_ran_out_of_time_costs_no_wait():
    """A4: nothing failed; a worker goes on at once."""
    assert delay_seconds(BudgetSpent("no time"), 3, 1.0) == 0
