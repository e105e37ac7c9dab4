"""Threads are shared out among companies: one that sends without end is not before everyone else."""

import pytest

from scim_bridge.web.patient_worker import OPEN, OTHERS, Lanes, lane_of

TENANTS = ("default", "nord")


@pytest.mark.parametrize(
    ("request_line", "lane"),
    [
        (b"GET /scim/v2/Users HTTP/1.1", "default"),
        (b"GET /tenants/default/scim/v2/Users HTTP/1.1", "default"),
        (b"GET //tenants//nord//scim/v2/Users HTTP/1.1", "nord"),
        (b"GET /tenants/made-up/scim/v2/Users HTTP/1.1", OTHERS),
        (b"GET /tenants/\xff/scim/v2/Users HTTP/1.1", OTHERS),
        (b"POST /oauth/token HTTP/1.1", OTHERS),
        (b"GET /healthz HTTP/1.1", OPEN),
        (b"GET /metrics?x=y HTTP/1.1", OPEN),
        (b"nonsense", OTHERS),
        (b"", OTHERS),
    ],
)
def test_a_request_is_among_those_of_its_company(request_line: bytes, lane: str):
    assert lane_of(request_line, TENANTS) == lane


def test_a_company_has_half_of_the_threads_and_turns_go_round():
    """A9: the next free thread is for a person who has had none the longest."""
    lanes: Lanes[str] = Lanes(4, companies=2)
    for number in range(9):
        lanes.add("busy", f"busy {number}", is_large=False)
    lanes.add("other", "other", is_large=False)
    lanes.add(OPEN, "healthz", is_large=False)

    assert [lanes.next() for _ in range(5)] == ["busy 0", "other", "healthz", "busy 1", None]
    lanes.done("other", was_large=False)
    assert lanes.next() is None
    lanes.done("busy", was_large=False)
    assert lanes.next() == "busy 2"


def test_one_large_request_of_a_company_runs_at_a_time_and_small_ones_pass_it():
    """A9: what takes the processor is not done twice at once for the same company."""
    lanes: Lanes[str] = Lanes(8, companies=2)
    for number in range(2):
        lanes.add("busy", f"large {number}", is_large=True)
    lanes.add("busy", "small", is_large=False)

    assert [lanes.next() for _ in range(3)] == ["large 0", "small", None]
    lanes.done("busy", was_large=False)
    assert lanes.next() is None
    lanes.done("busy", was_large=True)
    assert lanes.next() == "large 1"


def test_a_company_that_is_alone_leaves_one_thread_for_the_rest():
    lanes: Lanes[str] = Lanes(2, companies=1)
    for number in range(2):
        lanes.add("default", f"request {number}", is_large=False)
    lanes.add(OPEN, "healthz", is_large=False)
    assert [lanes.next() for _ in range(3)] == ["request 0", "healthz", None]
