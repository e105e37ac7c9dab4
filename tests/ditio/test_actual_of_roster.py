"""Rows of the roster: of the list of employees, of the reporting API, and several about one person."""

from datetime import date

import pytest

from scim_bridge.ditio.actual import employee_from_row
from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber, Employment, Field
from scim_bridge.reconcile.load import merged
from scim_bridge.scim.mapping import OSLO

TODAY = date(2026, 3, 2)
REPORTED = {
    "id": "1",
    "employeeNumber": "1042",
    "firstName": "Kari",
    "companyId": "012345",
    "isActiveEmployment": True,
    "isDisabled": False,
    "startDate": "2026-01-01T00:00:00",
    "endDate": "0001-01-01",
    "isDeleted": False,
}


def read(**changes: object) -> ActualEmployee | None:
    return employee_from_row({**REPORTED, **changes}, region="NO", zone=OSLO, today=TODAY)


@pytest.mark.parametrize(
    ("changes", "employments"),
    [
        ({}, (Employment(date(2026, 1, 1)),)),
        ({"endDate": "2026-02-01", "isActiveEmployment": False}, (Employment(date(2026, 1, 1), date(2026, 2, 1)),)),
        ({"startDate": "2026-09-01", "isActiveEmployment": False}, (Employment(date(2026, 9, 1)),)),
        ({"startDate": "0001-01-01", "isActiveEmployment": False}, ()),
        ({"startDate": "0001-01-01"}, None),
        ({"isActiveEmployment": False}, None),
    ],
)
def test_no_date_is_no_employment_and_a_contradiction_is_unknown(changes: dict[str, object], employments: object):
    """Facts about Ditio, section 6: `0001-01-01` means no date. C2: unknown is not different."""
    found = read(**changes)

    assert found is not None
    assert found.employments == employments
    assert Field.phone not in found.values


@pytest.mark.parametrize("changes", [{"isDeleted": True}, {"employeeNumber": None}, {"employeeNumber": "  "}])
def test_a_person_who_is_deleted_or_has_no_number_is_no_one(changes: dict[str, object]):
    assert read(**changes) is None


def employee(title: str, *employments: Employment, disabled: bool | None = None) -> ActualEmployee:
    return ActualEmployee(EmployeeNumber("1042"), {Field.work_title: title}, disabled, employments)


def test_of_several_rows_the_present_one_counts():
    """Several rows for one person: the running employment's values, and all employments."""
    old = employee("old", Employment(date(2020, 1, 1), date(2021, 1, 1)), disabled=True)
    new = employee("new", Employment(date(2025, 1, 1)), disabled=False)

    for one in (merged(old, new, TODAY), merged(new, old, TODAY)):
        assert one.values[Field.work_title] == "new"
        assert one.disabled is False
        assert set(one.employments or ()) == {*(old.employments or ()), *(new.employments or ())}


def test_a_row_that_comes_twice_changes_nothing():
    """A page that broke off is read again."""
    once = employee("new", Employment(date(2025, 1, 1)))

    assert merged(once, once, TODAY) == once
