"""Employees in every form that Ditio's documentation shows."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.ditio.actual import employee_from_row
from scim_bridge.domain.employee import ActualEmployee, Employment, Field
from scim_bridge.domain.values import NORWAY, OSLO, JsonObject

PROFILE: JsonObject = {
    "employeeNumber": "1042",
    "firstName": "Kari",
    "lastName": "Nordmann",
    "name": "Kari Nordmann",
    "phone": "+4798765432",
    "birthDate": "1990-05-15",
    "email": "kari@firma.no",
    "workTitle": "Maskinfører",
    "isDisabled": False,
    "companyProfileId": "67a1",
}
OPEN: JsonObject = {"startDate": "2026-03-01", "endDate": None, "department": "Anlegg", "payroll": 1}
ENDED: JsonObject = {"startDate": "2024-01-01", "endDate": "2025-06-30", "department": "Vei", "payroll": 2}
PLAIN = PROFILE | {"employment": OPEN}


def shown_in(body: JsonObject) -> ActualEmployee:
    """The employee that an answer shows."""
    found = employee_from_row(body, region=NORWAY, zone=OSLO)
    assert found is not None
    return found


def pascal(body: JsonObject) -> JsonObject:
    """The same with the keys of Ditio's older answers."""
    return {
        key[0].upper() + key[1:]: pascal(value) if isinstance(value, dict) else value for key, value in body.items()
    }


SHAPES: dict[str, JsonObject] = {
    "PascalCase": pascal(PLAIN),
    "disabled": {k: v for k, v in PLAIN.items() if k != "isDisabled"} | {"disabled": False},
    "employmentHistory": PROFILE | {"employmentHistory": [OPEN]},
    "employments": PROFILE | {"employments": [OPEN]},
    "all three": PLAIN | {"employmentHistory": [OPEN], "employments": [OPEN]},
    "current without an end": PROFILE
    | {"employment": {k: v for k, v in OPEN.items() if k != "endDate"}, "employmentHistory": [OPEN]},
    "details in the current one only": PLAIN | {"employmentHistory": [{"startDate": "2026-03-01"}]},
    "midnight": PROFILE | {"employment": OPEN | {"startDate": "2026-03-01T00:00:00"}},
    "midnight UTC": PROFILE | {"employment": OPEN | {"startDate": "2026-03-01T00:00:00Z"}},
    "midnight in Oslo": PROFILE | {"employment": OPEN | {"startDate": "2026-02-28T23:00:00Z"}},
    "no date in .NET": PROFILE | {"employment": OPEN | {"endDate": "0001-01-01T00:00:00"}},
    "payroll as text": PROFILE | {"employment": OPEN | {"payroll": "enabled"}},
    "department beside the names": PROFILE
    | {"employment": {k: v for k, v in OPEN.items() if k != "department"}, "department": "Anlegg"},
    "v4": {k: v for k, v in PROFILE.items() if k != "phone"}
    | {
        "mobileWork": "987 65 432",
        "employmentStartDate": "2026-03-01",
        "employmentEndDate": None,
        "department": "Anlegg",
        "payroll": True,
    },
    "v4 in PascalCase": pascal(
        {k: v for k, v in PROFILE.items() if k != "phone"}
        | {
            "mobileWork": "+47 98765432",
            "mobilePrivate": "555-5678",
            "employmentStartDate": "2026-03-01",
            "employmentEndDate": None,
            "department": "Anlegg",
            "payroll": True,
        }
    ),
    "reporting row": PROFILE
    | {"startDate": "2026-03-01T00:00:00", "endDate": "0001-01-01", "department": "Anlegg", "payroll": 1},
    "phoneNumber": {k: v for k, v in PLAIN.items() if k != "phone"} | {"phoneNumber": "0047 98765432"},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_documented_shape_is_read_the_same(shape: str) -> None:
    """Facts about Ditio, section 2: response bodies are unknown, so every documented form is accepted."""
    found = shown_in(SHAPES[shape])

    assert found == shown_in(PLAIN)
    assert found.values == {
        Field.employee_number: "1042",
        Field.first_name: "Kari",
        Field.last_name: "Nordmann",
        Field.phone: "+4798765432",
        Field.birth_date: date(1990, 5, 15),
        Field.email: "kari@firma.no",
        Field.work_title: "Maskinfører",
        Field.department: "Anlegg",
        Field.start_date: date(2026, 3, 1),
        Field.payroll: 1,
    }
    assert found.employments == (Employment(date(2026, 3, 1)),)
    assert (found.disabled, found.company_profile_id) == (False, "67a1")


def test_history_and_current_employment_are_merged() -> None:
    """Values come from the open employment; the ended one is kept."""
    found = shown_in(PLAIN | {"employmentHistory": [ENDED, OPEN]})

    assert set(found.employments or ()) == {
        Employment(date(2026, 3, 1)),
        Employment(date(2024, 1, 1), date(2025, 6, 30)),
    }
    assert (found.values[Field.department], found.values[Field.payroll]) == ("Anlegg", 1)


def test_a_second_employment_from_the_same_day_is_kept() -> None:
    """Ended and begun again on one day: the open one must not disappear behind the ended one."""
    again: JsonObject = {"startDate": "2024-01-01", "endDate": None}
    found = shown_in(PROFILE | {"employmentHistory": [ENDED, again]})

    assert set(found.employments or ()) == {
        Employment(date(2024, 1, 1), date(2025, 6, 30)),
        Employment(date(2024, 1, 1)),
    }


def test_after_the_last_employment_start_and_payroll_are_unknown() -> None:
    """H5: the start is never compared once an employment has ended."""
    found = shown_in(PROFILE | {"employment": ENDED})

    assert found.employments == (Employment(date(2024, 1, 1), date(2025, 6, 30)),)
    assert Field.start_date not in found.values
    assert Field.payroll not in found.values
    assert found.values[Field.department] == "Vei"


def test_what_is_not_shown_is_unknown_and_what_is_shown_empty_is_none() -> None:
    """C2: a field absent from an answer is unknown, not different."""
    found = shown_in({"employeeNumber": 1042, "email": None, "workTitle": "", "birthDate": "0001-01-01"})

    assert found.values == {
        Field.employee_number: "1042",
        Field.email: None,
        Field.work_title: None,
        Field.birth_date: None,
    }
    assert found.employments is None
    assert found.disabled is None


@pytest.mark.parametrize(
    ("more", "employments"),
    [
        ({"employment": None}, ()),
        ({"employmentHistory": []}, ()),
        ({"employmentHistory": None}, None),
        ({"employmentStartDate": None, "employmentEndDate": None}, None),
        ({"employment": {"department": "Anlegg"}}, (Employment(None),)),
        ({"employment": {}, "employments": [{}]}, ()),
        ({"employment": "Anlegg"}, None),
        ({"employments": ["Anlegg"]}, None),
        ({"employment": "Anlegg", "employments": [ENDED]}, (Employment(date(2024, 1, 1), date(2025, 6, 30)),)),
    ],
)
def test_no_employment_is_told_from_none_shown(more: JsonObject, employments: tuple[Employment, ...] | None) -> None:
    """C2: an answer that shows no employments says nothing about them."""
    assert shown_in(PROFILE | more).employments == employments


def test_values_that_cannot_be_read_are_unknown() -> None:
    """C2: taken for empty, they would be overwritten."""
    found = shown_in(PROFILE | {"birthDate": "soon", "payroll": "perhaps", "isDisabled": None})

    assert Field.birth_date not in found.values
    assert Field.payroll not in found.values
    assert found.disabled is None


@pytest.mark.parametrize("end", ["30/06/2025", "in June", 1751234400, True])
@pytest.mark.parametrize("key", ["employment", "employmentHistory", "flat"])
def test_an_end_that_can_not_be_read_makes_the_employment_unknown(end: object, key: str) -> None:
    """C2: taken for none, a person who has left would be at work, and be ended once more."""
    ended = ENDED | {"endDate": end}
    shapes: dict[str, JsonObject] = {
        "employment": {"employment": ended},
        "employmentHistory": {"employmentHistory": [OPEN, ended]},
        "flat": {"startDate": "2024-01-01", "endDate": end},
    }

    assert shown_in(PROFILE | shapes[key]).employments is None


@pytest.mark.parametrize("end", [None, "", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59.9999999", "2999-12-31"])
def test_an_employment_without_an_end_however_that_is_written(end: object) -> None:
    """Facts about Ditio, section 2: response bodies are unknown."""
    found = shown_in(PROFILE | {"employment": OPEN | {"endDate": end}})

    assert found.employments == (Employment(date(2026, 3, 1)),)


def test_a_start_that_can_not_be_read_is_unknown_and_the_employment_is_there() -> None:
    """C2: whether it runs is told by its end."""
    found = shown_in(PROFILE | {"employment": OPEN | {"startDate": "01/03/2026"}})

    assert found.employments == (Employment(None),)
    assert Field.start_date not in found.values


def test_a_phone_number_that_is_none_stays_as_it_is_shown() -> None:
    assert shown_in(PROFILE | {"phone": "555-1234"}).values[Field.phone] == "555-1234"
    assert shown_in(PROFILE | {"phone": None}).values[Field.phone] is None


@pytest.mark.parametrize("body", [{}, {"employeeNumber": None}, {"employeeNumber": " "}, {"name": "Kari"}])
def test_an_answer_without_an_employee_number_is_no_employee(body: JsonObject) -> None:
    assert employee_from_row(body, region=NORWAY, zone=OSLO) is None


KEYS = sorted({*PLAIN, *OPEN, "employmentHistory", "employments", "mobileWork", "disabled", "employmentEndDate"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("2026-03-01"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_no_answer_is_a_surprise(body: JsonObject) -> None:
    """Whatever Ditio answers beside an employee number, it is read or left unknown."""
    assert shown_in(body | {"employeeNumber": "1042"}).employee_number == "1042"
