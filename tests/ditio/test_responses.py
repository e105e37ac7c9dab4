"""Employees are found in whatever envelope an answer has; nothing else is taken for one."""

from __future__ import annotations

import pytest

from scim_bridge.ditio.answers import camel_case, employee_of, rows_of

KARI = {"employeeNumber": "1042"}
OLA = {"EmployeeNumber": "7"}


@pytest.mark.parametrize(
    "body", [KARI, {"data": KARI}, {"Item": KARI}, {"employee": [KARI]}, [KARI], {"data": {"result": KARI}}]
)
def test_one_employee_is_unwrapped(body):
    assert employee_of(body) == KARI


@pytest.mark.parametrize(
    "body", [None, {}, [], [KARI, OLA], "1042", 7, {"success": True}, {"data": None}, [[[[[KARI]]]]]]
)
def test_what_is_no_employee_is_not_taken_for_one(body):
    assert employee_of(body) is None


@pytest.mark.parametrize(
    "body", [[KARI, OLA], {"items": [KARI, OLA]}, {"Data": {"results": [KARI, OLA, 7]}, "total": 2}]
)
def test_several_are_unwrapped(body):
    assert rows_of(body) == [KARI, OLA]


def test_no_list_is_not_an_empty_list():
    assert rows_of({"data": {"items": []}}) == []
    assert rows_of({"data": {"message": "wait"}}) is None


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Phone", "phone"),
        ("Employment.StartDate", "startDate"),
        ("$.employment.startDate", "startDate"),
        ("Employments[0].Department", "department"),
        ("$", None),
        ("", None),
    ],
)
def test_a_field_is_named_as_the_create_body_names_it(name, field):
    assert camel_case(name) == field
