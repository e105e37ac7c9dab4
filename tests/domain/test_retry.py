"""When to try again, and whose fault it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.outcome import CAP_SECONDS, LONGEST_QUIET_SECONDS, Fault, decide, delay_seconds
from scim_bridge.errors import (
    BudgetSpent,
    CredentialsRefused,
    DeliveryError,
    NotYet,
    RateLimited,
    TransientError,
    Unreached,
)

ATTEMPTS = st.integers(0, 10_000)
JITTER = st.floats(0, 1)
ASKED = st.none() | st.floats(0, 1e9)


def errors(asked: float | None) -> list[DeliveryError]:
    return [
        TransientError("503", status=503, retry_after_seconds=asked),
        RateLimited("429", retry_after_seconds=asked),
        Unreached("no connection", retry_after_seconds=asked),
        NotYet("too early"),
        CredentialsRefused("403"),
        BudgetSpent("no time"),
    ]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TransientError("503", status=503), Fault.of_person),
        (TransientError("the connection broke", ambiguous=True), Fault.of_person),
        (TransientError("no answer in time", ambiguous=True), Fault.of_person),
        (TransientError("no answer in half a second", cut_short=True), Fault.none),
        (Unreached("no connection could be made"), Fault.of_all),
        (CredentialsRefused("403, and the cheap read too", status=403), Fault.of_all),
        (RateLimited("429", retry_after_seconds=9.0), Fault.none),
        (RateLimited("429", retry_after_seconds=None), Fault.none),
        (NotYet("too early to tell"), Fault.none),
        (BudgetSpent("the request's time is up"), Fault.none),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}" if isinstance(value, DeliveryError) else None,
)
def test_whose_fault_it_is(error: DeliveryError, fault: Fault):
    """R3: a reset of an established connection is one person's fault, one that could not be made everyone's;
    429 is none. R2: a refused client is everyone's.
    """
    assert decide(error, 0, 0.5).fault is fault


@given(attempts=ATTEMPTS, jitter=JITTER, asked=ASKED)
def test_the_wait_is_bounded(attempts: int, jitter: float, asked: float | None):
    """R3: back-off is capped at an hour, whatever Ditio asks for; a person is never dropped."""
    for error in errors(asked):
        decision = decide(error, attempts, jitter)
        assert 0 <= decision.after_seconds <= CAP_SECONDS
        assert 0 <= decision.quiet_seconds <= CAP_SECONDS
        assert decision.is_failure is not isinstance(error, BudgetSpent)
        assert decision.after_seconds > 0 or isinstance(error, BudgetSpent)


@given(attempts=ATTEMPTS, jitter=JITTER, asked=st.floats(0, CAP_SECONDS))
def test_what_ditio_asks_for_is_waited(attempts: int, jitter: float, asked: float):
    """R3: 429 is obeyed, for everyone; a 503 with `Retry-After` is for the person."""
    limited = decide(RateLimited("429", retry_after_seconds=asked), attempts, jitter)
    busy = decide(TransientError("503", status=503, retry_after_seconds=asked), attempts, jitter)

    assert limited.after_seconds >= asked
    assert limited.quiet_seconds == limited.after_seconds
    assert busy.after_seconds >= asked
    assert busy.quiet_seconds == 0


@given(attempts=ATTEMPTS, jitter=JITTER)
def test_a_429_that_says_nothing_stops_everyone_for_a_moment_only(attempts: int, jitter: float):
    decision = decide(RateLimited("429", retry_after_seconds=None), attempts, jitter)

    assert 0 < decision.quiet_seconds <= LONGEST_QUIET_SECONDS


def test_the_back_off_grows():
    delays = [delay_seconds(TransientError("no"), attempts, 1.0) for attempts in range(5)]

    assert delays == [2, 4, 8, 16, 32]
    assert delay_seconds(TransientError("no"), 11, 1.0) == CAP_SECONDS


@given(attempts=st.integers(4, 100), jitter=JITTER)
def test_the_jitter_is_full(attempts: int, jitter: float):
    """A crowd does not come back at once: any moment up to the ceiling."""
    ceiling = delay_seconds(TransientError("no"), attempts, 1.0)

    assert delay_seconds(TransientError("no"), attempts, 0.0) < 1
    assert delay_seconds(TransientError("no"), attempts, jitter) <= ceiling


def test_a_request_that_ran_out_of_time_costs_no_wait():
    """A4: nothing failed; a worker goes on at once."""
    assert delay_seconds(BudgetSpent("no time"), 3, 1.0) == 0
