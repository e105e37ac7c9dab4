"""Everything that the documentation leaves open is a parameter, and each parameter does what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.style import ALL_ANSWERS, ALL_EMPLOYMENTS, ALL_ENVELOPES, Style, documented_styles

from .conftest import Client, a_person


@pytest.fixture
def styled(clock):
    """A function from style parameters to a Ditio and its client; employee 1042 is employed."""

    def build(**parameters):
        ditio = SandboxDitio(style=Style(**parameters), now=clock)
        ditio.plant("1042", start=date(2025, 3, 1))
        return ditio, Client(ditio)

    return build


def test_the_documented_styles_cover_every_shape():
    styles = documented_styles()

    assert {style.envelope for style in styles} == set(ALL_ENVELOPES)
    assert {style.answers for style in styles} == set(ALL_ANSWERS)
    assert {style.employment for style in styles} == set(ALL_EMPLOYMENTS)
    assert {style.omit_empty for style in styles} == {True, False}
    assert {(style.disabled_key, style.date_form) for style in styles} >= {
        ("disabled", "day"),
        ("isDisabled", "datetime"),
    }
    assert len({style.name for style in styles}) == len(styles)


@pytest.mark.parametrize("style", documented_styles(), ids=lambda style: style.name)
def test_every_documented_style_lives_through_a_whole_employment(clock, style):
    ditio = SandboxDitio(style=style, now=clock)
    client = Client(ditio)

    calls = [
        client.employees("POST", "", a_person()),
        client.employees("PATCH", "/1042", {"workTitle": "Formann"}),
        client.employees("PATCH", "/1042/end-employment", {"endDate": "2026-03-01"}),
        client.employees("POST", "/1042/create-employment", {"startDate": "2026-04-01"}),
        client.employees("GET", "/1042?include=employment-history"),
        client.employees("GET", ""),
    ]

    assert all(answer.status_code in (200, 201, 204) for answer in calls)
    assert ditio.employee("1042").work_title == "Formann"
    assert len(ditio.employee("1042").employments) == 2


@pytest.mark.parametrize("envelope", ALL_ENVELOPES)
def test_envelope(styled, envelope):
    _, client = styled(envelope=envelope)

    document = client.employees("GET", "").json()

    assert len(document if envelope == "bare" else document[envelope]) == 1


@pytest.mark.parametrize(
    ("answers", "created", "changed", "has_body"),
    [
        ("body", 201, 200, True),
        ("200-body", 200, 200, True),
        ("empty-200", 200, 200, False),
        ("204", 204, 204, False),
    ],
)
def test_answers(styled, answers, created, changed, has_body):
    _, client = styled(answers=answers)

    post = client.employees("POST", "", a_person(employeeNumber="7"))
    patch = client.employees("PATCH", "/7", {"workTitle": "Bas"})

    assert (post.status_code, patch.status_code) == (created, changed)
    assert bool(post.content) == bool(patch.content) == has_body


def test_employment_shows_the_last_one_always(styled):
    ditio, client = styled()
    ditio.plant("1042", start=date(2025, 3, 1), end=date(2025, 6, 30))

    assert client.employees("GET", "/1042").json()["employment"]["endDate"] == "2025-06-30"


@pytest.mark.parametrize("key", ["employmentHistory", "employments"])
def test_a_list_of_employments_is_shown_only_when_included(styled, key):
    _, client = styled(employment=key)

    assert not {"employment", key} & client.employees("GET", "/1042").json().keys()
    assert len(client.employees("GET", "/1042?include=employment-history").json()[key]) == 1


def test_disabled_key_dates_and_empty_values(styled):
    _, client = styled(disabled_key="disabled", no_date="0001-01-01", date_form="datetime")
    document = client.employees("GET", "/1042").json()
    assert document["disabled"] is False
    assert document["birthDate"] == "0001-01-01T00:00:00"
    assert document["employment"]["startDate"] == "2025-03-01T00:00:00"

    _, client = styled(omit_empty=True)
    document = client.employees("GET", "/1042").json()
    assert "email" not in document
    assert "endDate" not in document["employment"]


@pytest.mark.parametrize("status", ["400", "409"])
def test_a_duplicate_is_refused(styled, status):
    ditio, client = styled(duplicates=status)

    for body in (a_person(), a_person(employeeNumber="7", phone="+4791234567")):
        assert client.employees("POST", "", body).status_code == int(status)
    assert list(ditio.company.employees) == ["1042"]


def test_a_duplicate_number_silently_updates(styled):
    ditio, client = styled(duplicates="update")

    assert client.employees("POST", "", a_person()).ok
    assert (ditio.employee("1042").first_name, ditio.employee("1042").created_count) == ("Kari", 0)
    assert client.employees("POST", "", a_person(employeeNumber="7")).status_code == 409

    ditio.style = replace(ditio.style, duplicates="update-all")
    assert client.employees("POST", "", a_person(employeeNumber="7", firstName="Liv")).ok
    assert ditio.employee("1042").first_name == "Liv"
    assert list(ditio.company.employees) == ["1042"]


def test_an_email_need_not_be_unique(styled):
    ditio, client = styled()
    ditio.plant("1", email="kari.nordmann@example.com", phone="+4791000001")

    assert client.employees("POST", "", a_person(employeeNumber="7")).status_code == 201


def test_ending_disables(styled):
    ditio, client = styled(ending_disables=True)

    client.employees("PATCH", "/1042/end-employment", {"endDate": "2026-03-05"})
    assert not ditio.employee("1042").disabled
    client.employees("PATCH", "/1042/end-employment", {"endDate": "2026-03-02"})
    assert ditio.employee("1042").disabled


def test_enabling_needs_an_employment(styled):
    ditio, client = styled(enabling_needs_employment=True)
    ditio.plant("1042", start=date(2025, 3, 1), end=date(2025, 6, 30), disabled=True)

    assert client.employees("PATCH", "/1042/enable").status_code == 409
    client.employees("POST", "/1042/create-employment", {"startDate": "2026-04-01"})
    assert client.employees("PATCH", "/1042/enable").status_code == 200


@pytest.mark.parametrize(("already", "status"), [("accept", (200, 200, 201)), ("refuse", (409, 409, 409))])
def test_what_changes_nothing(styled, already, status):
    ditio, client = styled(already=already)
    ditio.plant("1", start=date(2025, 3, 1), end=date(2025, 6, 30), disabled=True, phone="+4791000001")

    answers = (
        client.employees("PATCH", "/1/disable"),
        client.employees("PATCH", "/1/end-employment", {"endDate": "2025-06-30"}),
        client.employees("POST", "/1042/create-employment", {"startDate": "2026-04-01"}),
    )

    assert tuple(answer.status_code for answer in answers) == status
    assert len(ditio.employee("1042").employments) == 1


def test_reads_lag_behind_a_write(styled):
    _, client = styled(read_lag=2)

    client.employees("PATCH", "/1042", {"workTitle": "Bas"})
    titles = [client.employees("GET", "/1042").json()["workTitle"] for _ in range(3)]
    assert titles == [None, None, "Bas"]

    client.employees("POST", "", a_person(employeeNumber="7"))
    assert client.employees("GET", "/7").status_code == 404
    assert len(client.employees("GET", "").json()) == 1
    assert client.employees("GET", "/7").status_code == 200

    client.employees("PATCH", "/7/change-employee-number", {"employeeNumber": "8"})
    assert client.employees("GET", "/7").status_code == 200
    assert client.employees("GET", "/8").status_code == 404
    assert client.employees("GET", "/8").status_code == 200
    assert client.employees("GET", "/7").status_code == 404


def test_errors_take_four_forms(styled):
    ditio, client = styled()
    body = a_person(employeeNumber="7")
    del body["phone"]

    def refused(errors):
        ditio.style = replace(ditio.style, errors=errors)
        return client.employees("POST", "", body)

    assert refused("v5").json() == {
        "message": "Validation failed",
        "errors": [
            {
                "category": "UserInvalidInputError",
                "code": "ValidationError",
                "field": "Phone",
                "message": "The Phone field is required.",
            }
        ],
    }
    assert refused("simple").json() == {"error": "ValidationError", "message": "The Phone field is required."}
    assert refused("text").text == "Ugyldig verdi i feltet Phone."
    assert refused("problem").json()["errors"] == {"Phone": ["The Phone field is required."]}
    assert refused("problem").headers["Content-Type"] == "application/problem+json"


def test_operations_without_documentation(styled):
    ditio, client = styled(operations_method="POST", missing_operations=frozenset({"disable"}))

    assert client.employees("POST", "/1042/disable").status_code == 404
    assert client.employees("PATCH", "/1042/enable").status_code == 405
    assert client.employees("POST", "/1042/change-phone-number", {"phone": "+4798765432"}).status_code == 200
    assert client.employees("POST", "/1042/change-employee-number", {"employeeNumber": "7"}).status_code == 200
    assert ditio.employee("7").phone == "+4798765432"


def test_required_birth_date_and_company(styled):
    _, client = styled(birth_date_required=True, require_company_id=True)

    assert "CompanyId" in client.employees("POST", "", a_person(employeeNumber="7")).text
    answer = client.employees("POST", "", a_person(employeeNumber="7", companyId="012345", birthDate=None))
    assert answer.json()["errors"][0]["field"] == "BirthDate"
    assert client.employees("PATCH", "/1042", {"birthDate": None}).status_code == 400
    assert client.employees("POST", "", a_person(employeeNumber="7", companyId="012345")).status_code == 201


def test_a_locked_payroll_period(styled):
    _, client = styled(payroll_locked_until=date(2026, 3, 1))

    answer = client.employees("POST", "", a_person(employeeNumber="7"))
    assert (answer.status_code, answer.json()["message"][:22]) == (400, "Lønnsperioden er låst ")
    assert client.employees("PATCH", "/1042/end-employment", {"endDate": "2026-03-01"}).status_code == 400
    assert client.employees("PATCH", "/1042/end-employment", {"endDate": "2026-03-02"}).status_code == 200


def test_out_of_reach(styled):
    ditio, client = styled(out_of_reach=frozenset({"1042"}))

    assert client.employees("GET", "/1042").status_code == 404
    assert client.employees("PATCH", "/1042", {"workTitle": "Bas"}).status_code == 404
    assert client.employees("GET", "").json() == []
    assert client.employees("POST", "", a_person()).status_code == 409
    assert ditio.employee("1042").work_title is None


@pytest.mark.parametrize(("v4_case", "key"), [("camel", "companyProfileId"), ("pascal", "CompanyProfileId")])
def test_v4_disables_and_enables_with_an_empty_answer(styled, v4_case, key):
    ditio, client = styled(v4_case=v4_case)
    users = "/core/api/v4/integration/users"

    profile_id = client.sends("GET", f"{users}/by-employee-number/1042").json()[key]
    answer = client.sends("PATCH", f"{users}/disable/{profile_id}")

    assert (answer.status_code, answer.content, ditio.employee("1042").disabled) == (200, b"", True)
    client.sends("PATCH", f"{users}/enable/{profile_id}")
    assert not ditio.employee("1042").disabled


def test_partial_certificates(styled):
    ditio, client = styled(certificates_partial=True)
    good = {
        "employeeNumber": "1042",
        "certificateType": "Byggekort",
        "issuedDateTime": "2026-01-15T00:00:00Z",
        "validUntilDateTime": "2028-01-15T00:00:00Z",
    }

    answer = client.sends("POST", "/core/api/v4/integration/certificates", [good, {**good, "employeeNumber": "?"}])

    assert (answer.status_code, list(ditio.certificates)) == (400, [("1042", "Byggekort")])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"phone": "98765432"}, "Phone"),
        ({"phone": "+47 98765432"}, "Phone"),
        ({"birthDate": "1990-05-15T00:00:00Z"}, "BirthDate"),
        ({"birthDate": "1990-02-30"}, "BirthDate"),
        ({"employeeNumber": ""}, "EmployeeNumber"),
        ({"firstName": None}, "FirstName"),
        ({"email": 7}, "Email"),
        ({"employment": {"startDate": "2026-03-01T00:00:00+01:00"}}, "StartDate"),
        ({"employment": {"startDate": "2026-03-01", "payroll": 3}}, "Payroll"),
        ({"employment": None}, "Employment"),
    ],
)
def test_what_a_creation_refuses(client, ditio, changes, field):
    answer = client.employees("POST", "", a_person(**changes))

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert ditio.company.employees == {}


@pytest.mark.parametrize(
    ("form", "answered", "read"),
    [
        ("upper", "FORMANN", "FORMANN"),
        ("cut", "Formann", "Formann"),
        ("echoed", "Formann", "FORMANN"),
        ("ignored", None, None),
    ],
)
def test_a_form_of_its_own(styled, form, answered, read):
    _, client = styled(forms={"workTitle": form})

    answer = client.employees("PATCH", "/1042", {"workTitle": "Formann", "email": "kari@contractor.example"})

    assert answer.json()["workTitle"] == answered
    assert client.employees("GET", "/1042").json()["workTitle"] == read
    assert client.employees("GET", "/1042").json()["email"] == "kari@contractor.example"


def test_two_forms_in_turn(styled):
    _, client = styled(forms={"department": "alternating"})
    client.employees("PATCH", "/1042/update-employment", {"department": "Anlegg"})

    shown = [client.employees("GET", "/1042").json()["employment"]["department"] for _ in range(4)]

    assert len(set(shown)) == 2
    assert shown[:2] == shown[2:]
    assert "Anlegg" not in shown


def test_a_phone_in_groups_and_one_that_is_left_alone(styled):
    ditio, client = styled(forms={"phone": "spaced"})
    assert client.employees("GET", "/1042").json()["phone"] == "+47 912 34 567"

    ditio.style = replace(ditio.style, forms={"phone": "ignored"})
    assert client.employees("PATCH", "/1042/change-phone-number", {"phone": "+4798765432"}).status_code == 200
    assert ditio.employee("1042").phone == "+4791234567"


def test_what_a_creation_leaves_empty(styled):
    ditio, client = styled(forms={"workTitle": "ignored", "department": "ignored", "firstName": "ignored"})

    client.employees("POST", "", a_person(employeeNumber="7"))

    created = ditio.employee("7")
    assert (created.work_title, created.employment.department) == (None, None)
    assert created.first_name


def test_a_style_with_forms_has_a_name():
    assert Style(forms={"workTitle": "upper"}).name == "workTitle-upper"
