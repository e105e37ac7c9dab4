"""What a person does in Ditio by hand, and what is told of every write: who it was about."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests

from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import Style

from .conftest import a_person

STRANGER = SandboxEmployee("", "Per", "Hansen", "+4740000001")


def test_a_number_is_given_to_a_stranger(client, ditio):
    client.employees("POST", "", a_person())
    kari = ditio.employee("1042").id

    stranger = ditio.by_hand.reuses("1042", STRANGER, moves_to="9001")
    client.employees("PATCH", "/1042", {"workTitle": "Leder"})
    client.employees("PATCH", "/9001", {"workTitle": "Formann"})

    assert client.employees("GET", "/1042").json()["firstName"] == "Per"
    assert [(each.what, each.employee_id) for each in ditio.company.written] == [
        ("create", kari),
        ("patch", stranger.id),
        ("patch", kari),
    ]
    assert ditio.company.written[2].before.work_title == "Maskinfører"


def test_a_number_is_changed_removed_and_swapped(client, ditio):
    ditio.plant("1")
    ditio.plant("2", "Per")
    ditio.by_hand.swaps("1", "2")
    assert (ditio.employee("1").first_name, ditio.employee("2").employee_number) == ("Per", "2")

    ditio.by_hand.renumbers("1", "3")
    with pytest.raises(ValueError, match="taken"):
        ditio.by_hand.renumbers("3", "2")
    ditio.by_hand.removes("2")

    assert client.employees("GET", "/1").status_code == 404
    assert [each["employeeNumber"] for each in client.employees("GET", "").json()] == ["3"]
    assert ditio.company.written == []


@pytest.mark.parametrize(("sent", "shown"), [("a-42", "A-42"), ("0042", "42")])
def test_a_number_is_spelled_otherwise(client, ditio, sent, shown):
    ditio.style = Style(numbers="folded", profile_key="companyProfileId")
    client.employees("POST", "", a_person(employeeNumber=sent))

    ditio.by_hand.renumbers(sent, shown)

    found = client.employees("GET", f"/{sent}").json()
    assert (found["employeeNumber"], found["companyProfileId"]) == (shown, ditio.employee(shown).id)
    assert client.employees("PATCH", f"/{sent}/disable").status_code == 200
    assert client.employees("POST", "", a_person(employeeNumber=sent, phone="+4741234567")).status_code == 409
    answer = client.employees("PATCH", f"/{sent}/change-employee-number", {"employeeNumber": sent})
    assert (answer.status_code, list(ditio.company.employees)) == (200, [sent])


def test_a_certificate_says_whom_it_is_of(client, ditio):
    ditio.plant("1042")
    certificate = {
        "employeeNumber": "1042",
        "certificateType": "Byggekort",
        "issuedDateTime": "2026-01-15T00:00:00Z",
        "validUntilDateTime": "2028-01-15T00:00:00Z",
    }

    client.sends("POST", "/core/api/v4/integration/certificates", [certificate])

    assert [(each.what, each.employee_id) for each in ditio.company.written] == [
        ("certificates", ditio.employee("1042").id)
    ]


def test_a_write_is_applied_late(client, ditio, clock):
    """It is applied on the sandbox's clock, whatever became of its token, and in its turn."""
    ditio.faults.plan(Fault("timeout-late", method="POST", late_seconds=3))
    with pytest.raises(requests.ReadTimeout):
        client.employees("POST", "", a_person())

    assert client.employees("GET", "/1042").status_code == 404
    clock.now += timedelta(seconds=2.9)
    assert client.employees("GET", "/1042").status_code == 404
    ditio.revoke_tokens()
    client.signs_in()
    clock.now += timedelta(seconds=0.1)
    assert client.employees("GET", "/1042").status_code == 200
    assert ditio.employee("1042").created_count == 1


def test_what_is_still_to_come_late_comes_when_it_is_asked_for(client, ditio):
    ditio.plant("1042")
    ditio.faults.plan(Fault("timeout-late", method="PATCH", late_seconds=60))
    with pytest.raises(requests.ReadTimeout):
        client.employees("PATCH", "/1042/disable")

    assert (ditio.apply_late(all=True), ditio.employee("1042").disabled, ditio.apply_late(all=True)) == (1, True, 0)


def test_a_gateway_answers_for_a_while(client, ditio, clock):
    ditio.plant("1042")
    ditio.faults.plan(Fault("html", status=404, times=None, path="/employees", lasts_seconds=60))

    for _ in range(2):
        answer = client.employees("GET", "/1042")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html")
        clock.now += timedelta(seconds=30)

    assert client.employees("GET", "/1042").status_code == 200
