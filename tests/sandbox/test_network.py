"""Faults, the in-process transport, and one real socket."""

from __future__ import annotations

import socket

import pytest
import requests
from urllib3.exceptions import NewConnectionError, ProtocolError

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.scim_calls import ScimCalls
from scim_bridge.sandbox.server import running

from .conftest import Client, a_person


@pytest.mark.parametrize(
    ("kind", "raised", "applied"),
    [
        ("timeout-before", requests.ReadTimeout, False),
        ("timeout-after", requests.ReadTimeout, True),
        ("reset-before", requests.ConnectionError, False),
        ("reset-after", requests.ConnectionError, True),
        ("refused-connection", requests.ConnectionError, False),
    ],
)
def test_an_answer_is_lost_before_or_after_the_write(client, ditio, kind, raised, applied):
    ditio.faults.plan(Fault(kind, method="POST", path="employees"))

    with pytest.raises(raised):
        client.employees("POST", "", a_person())

    assert ("1042" in ditio.company.employees) == applied
    assert client.employees("GET", "").status_code == 200


def test_the_exceptions_wrap_what_urllib3_raises(client, ditio):
    ditio.faults.plan(Fault("reset-after"), Fault("refused-connection"))

    with pytest.raises(requests.ConnectionError) as reset:
        client.employees("GET", "")
    with pytest.raises(requests.ConnectionError) as refused:
        client.employees("GET", "")

    assert isinstance(reset.value.args[0], ProtocolError)
    assert isinstance(refused.value.args[0].reason, NewConnectionError)
    assert len(ditio.calls("GET")) == 1, "a refused connection never arrives"


def test_a_lost_call_is_recorded_with_what_became_of_it(client, ditio):
    ditio.faults.plan(Fault("reset-before"), Fault("reset-after"))
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            client.employees("POST", "", a_person())

    assert [call.status for call in ditio.writes()] == [0, 201]


def test_a_status_strikes_as_often_as_planned(client, ditio):
    ditio.faults.plan(Fault("status", status=429, times=2, retry_after="7"))

    answers = [client.employees("GET", "") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"


def test_a_fault_without_a_count_stays_until_cleared(client, ditio):
    ditio.faults.plan(Fault("html", status=503, times=None))

    assert "<h1>503 Service Unavailable</h1>" in client.employees("GET", "").text
    assert client.employees("GET", "").status_code == 503
    ditio.faults.clear()
    assert client.employees("GET", "").status_code == 200


def test_a_fault_strikes_only_the_calls_that_it_names(client, ditio):
    ditio.faults.plan(Fault("status", method="PATCH", path="/1042"))

    assert client.employees("GET", "/1042").status_code == 404
    assert client.employees("PATCH", "/7", {}).status_code == 404
    assert client.employees("PATCH", "/1042", {}).status_code == 500


def test_chance_is_drawn_from_the_sandbox_own_random(client, ditio):
    ditio.faults.plan(Fault("status", times=None, probability=0.5))

    statuses = [client.employees("GET", "").status_code for _ in range(40)]

    assert 5 < statuses.count(500) < 35


def test_a_token_request_can_fail_too(client, ditio):
    ditio.faults.plan(Fault("status", status=503, path="/connect/token"))

    assert client.asks_for_a_token().status_code == 503


def test_slowness_counts_against_the_time_out_without_sleeping(client, ditio):
    ditio.faults.plan(Fault("slow", seconds=30, times=2))

    assert client.employees("GET", "", timeout=60).status_code == 200
    with pytest.raises(requests.ReadTimeout):
        client.employees("GET", "", timeout=(5, 10))


def test_an_unknown_kind_is_a_mistake():
    with pytest.raises(ValueError, match="unknown kind"):
        Fault("sleepy")


@pytest.mark.parametrize(
    ("number", "sent"),
    [("A/B", "A%2FB"), ("50%", "50%25"), ("A%2FB", "A%252FB"), ("Å 1", "%C3%85%201"), ("a+b", "a+b")],
)
def test_an_employee_number_is_one_segment(client, ditio, number, sent):
    ditio.plant(number)

    answer = client.employees("PATCH", f"/{sent}/update-employment", {"department": "Vei"})

    assert answer.status_code == 200
    assert ditio.employee(number).employment.department == "Vei"
    assert ditio.requests[-1].path.endswith(f"/employees/{number}/update-employment")


def test_a_response_can_be_streamed(client, ditio):
    ditio.plant("1042")

    with client.employees("GET", "/1042", stream=True) as answer:
        chunks = list(answer.iter_content(7))

    assert len(chunks) > 1
    assert b'"employeeNumber"' in b"".join(chunks)
    assert client.employees("GET", "/1042", stream=True).raw.read(1) == b"{"


def test_over_a_real_socket(ditio):
    """Keep-alive, the encoded slash, a reset and a time-out behave as they do in process."""
    ditio.plant("A/B")
    with running(ditio.app) as url:
        client = Client(ditio, base=url)
        assert [client.employees("GET", "/A%2FB").status_code for _ in range(3)] == [200, 200, 200]
        assert client.employees("PATCH", "/A%2FB", {"workTitle": "Bas"}).status_code == 200

        ditio.faults.plan(Fault("reset-after", method="POST"), Fault("timeout-before", method="PATCH"))
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            client.employees("POST", "", a_person())
        with pytest.raises(requests.ConnectionError):
            client.employees("PATCH", "/1042", {"workTitle": "Bas"})

        assert ditio.employee("1042").created_count == 1
        assert ditio.employee("1042").work_title == "Maskinfører"


def test_the_back_door(client, ditio):
    """Tests in another process see the state, plan faults and plant employees."""
    planted = client.sends("POST", "/_sandbox/employees", {"employeeNumber": "1042", "endDate": "2025-06-30"})
    assert planted.status_code == 201
    assert client.sends("POST", "/_sandbox/faults", {"kind": "status", "status": 503}).status_code == 204
    assert client.employees("GET", "").status_code == 503
    assert client.sends("POST", "/_sandbox/faults", {"kind": "status", "times": None}).status_code == 204
    assert client.sends("DELETE", "/_sandbox/faults").status_code == 204
    assert client.sends("POST", "/_sandbox/faults", {"colour": "red"}).status_code == 400

    state = client.sends("GET", "/_sandbox/employees").json()["1042"]
    assert state["employments"] == [{"start": "2024-01-01", "end": "2025-06-30", "department": None, "payroll": 1}]
    assert state["createdCount"] == 0
    assert [call["status"] for call in client.sends("GET", "/_sandbox/requests").json()] == [200, 503]
    assert client.sends("DELETE", "/_sandbox/requests").status_code == 204
    assert ditio.requests == []


def test_entra_does_not_wait_for_ever():
    """A server that is overloaded, or hangs, accepts the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, requests.Session() as session:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/scim/v2"
        calls = ScimCalls(session, url, "a-token", flagged=False, timeout_seconds=0.1)

        assert calls.call("GET", "/Users").status == 0
        with pytest.raises(requests.ReadTimeout):
            calls.fetch("/Users")
