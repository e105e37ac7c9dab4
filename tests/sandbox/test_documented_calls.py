"""The calls that Ditio documents, with the bodies that it documents, are accepted."""

from __future__ import annotations

from datetime import date

import pytest

from .conftest import a_person

SMALLEST = {
    "employeeNumber": "1042",
    "firstName": "Ola",
    "lastName": "Nordmann",
    "phone": "+4798765432",
    "birthDate": "1990-05-15",
    "employment": {"startDate": "2025-03-01", "payroll": 1},
}
BYGGEKORT = {
    "employeeNumber": "1042",
    "certificateType": "Byggekort",
    "certificateNumber": "BK-2026-12345",
    "issuedDateTime": "2026-01-15T00:00:00Z",
    "validUntilDateTime": "2028-01-15T00:00:00Z",
    "notes": "Utstedt av opplæringskontoret",
}
KRAN = {
    "employeeNumber": "1042",
    "certificateType": "Kranførerbevis",
    "issuedDateTime": "2025-06-01T00:00:00Z",
    "validUntilDateTime": "2027-06-01T00:00:00Z",
}
CERTIFICATES = "/core/api/v4/integration/certificates"


@pytest.mark.parametrize("body", [a_person(), SMALLEST, a_person(employeeNumber="SAMPLE-2042")])
def test_the_documented_creations_are_accepted(client, ditio, body):
    answer = client.employees("POST", "/", body)

    assert answer.status_code == 201
    employee = ditio.employee(body["employeeNumber"])
    assert (employee.phone, employee.birth_date) == ("+4798765432", date(1990, 5, 15))
    assert (employee.created_count, len(employee.employments)) == (1, 1)


def test_a_patch_leaves_what_is_omitted_and_clears_what_is_null(client, ditio):
    client.employees("POST", "", a_person())

    client.employees("PATCH", "/1042", {"workTitle": "Project Manager", "email": None})

    employee = ditio.employee("1042")
    assert (employee.work_title, employee.email, employee.first_name) == ("Project Manager", None, "Kari")


def test_fields_with_operations_of_their_own_are_ignored_by_a_patch(client, ditio):
    ditio.plant("1042", phone="+4791234567")

    assert client.employees("PATCH", "/1042", {"phone": "+4798765432", "employeeNumber": "7"}).ok
    assert ditio.employee("1042").phone == "+4791234567"


def test_an_employment_is_moved_ended_and_begun_again(client, ditio):
    ditio.plant("1042", start=date(2025, 3, 1), department="Anlegg")

    client.employees("PATCH", "/1042/update-employment", {"department": "Management"})
    client.employees("PATCH", "/1042/end-employment", {"endDate": "2025-06-30"})
    client.employees("POST", "/1042/create-employment", {"startDate": "2025-09-01", "payroll": 1})

    first, second = ditio.employee("1042").employments
    assert (first.department, first.end, second.start) == ("Management", date(2025, 6, 30), date(2025, 9, 1))
    assert ditio.employee("1042").employment is second


def test_the_search_is_free_text_and_not_exact(client, ditio):
    ditio.plant("1042", first_name="Ola")
    ditio.plant("1043", first_name="Viola", phone="+4791000001")
    ditio.plant("1044", first_name="Kari", phone="+4791000002")

    found = client.employees("GET", "/search?query=OLA").json()

    assert [each["employeeNumber"] for each in found] == ["1042", "1043"]


def test_includes_are_opt_in(client, ditio):
    ditio.plant("1042")

    bare = client.employees("GET", "/1042").json()
    full = client.employees("GET", "/1042?include=tags,employment-history,work-time-arrangements").json()

    assert full.keys() - bare.keys() == {"tags", "employmentHistory", "workTimeArrangements"}


def test_subsidiaries_are_listed_only_when_asked_for(client, ditio):
    ditio.plant("1042")
    ditio.plant("2042", company_id="543210", phone="+4791000001")

    assert len(client.employees("GET", "").json()) == 1
    assert len(client.employees("GET", "?includeEmployeesFromSubsidiaries=true").json()) == 2


def test_certificates_are_upserted_by_person_and_type(client, ditio):
    ditio.plant("1042")

    assert client.sends("POST", CERTIFICATES, [BYGGEKORT, KRAN]).status_code == 200
    assert client.sends("POST", CERTIFICATES, [BYGGEKORT | {"certificateNumber": "new"}]).status_code == 200

    assert set(ditio.certificates) == {("1042", "Byggekort"), ("1042", "Kranførerbevis")}
    assert ditio.certificates["1042", "Byggekort"]["certificateNumber"] == "new"


@pytest.mark.parametrize(
    "bad",
    [
        KRAN | {"employeeNumber": "unknown"},
        KRAN | {"validUntilDateTime": None},
        KRAN | {"validUntilDateTime": KRAN["issuedDateTime"]},
        KRAN | {"issuedDateTime": "2025-06-01"},
    ],
)
def test_one_bad_certificate_fails_the_array(client, ditio, bad):
    ditio.plant("1042")

    assert client.sends("POST", CERTIFICATES, [BYGGEKORT, bad]).status_code == 400
    assert ditio.certificates == {}


def test_the_roster_comes_in_chunks_until_the_token_is_absent(client, ditio):
    for number in range(5):
        ditio.plant(str(number), phone=f"+4791000{number:03d}")

    first = client.sends("GET", "/reporting/v1/user?ChunkLimit=3").json()
    token = first["continuationToken"]
    second = client.sends("GET", "/reporting/v1/user", params={"ChunkLimit": 3, "ContinuationToken": token}).json()

    assert [row["employeeNumber"] for row in first["data"] + second["data"]] == ["0", "1", "2", "3", "4"]
    assert "continuationToken" not in second
    assert first["data"][0]["endDate"] == "0001-01-01"


def test_the_roster_lists_what_was_modified_since(client, ditio, clock):
    ditio.plant("1042")
    clock.now = clock.now.replace(minute=20)
    ditio.plant("1043", phone="+4791000001")

    rows = client.sends("GET", "/reporting/v1/user?ModifiedSince=2026-03-02T09:10:00Z").json()["data"]

    assert [row["employeeNumber"] for row in rows] == ["1043"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_put_and_delete_are_not_there_but_seen(client, ditio, method):
    ditio.plant("1042")

    assert client.employees(method, "/1042", {}).status_code == 405
    assert [(call.method, call.status) for call in ditio.writes()] == [(method, 405)]


def test_an_unknown_route_is_404(client):
    assert client.sends("GET", "/core/api/v5/integration/projects").status_code == 404
