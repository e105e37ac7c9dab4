"""Request bodies, as Ditio's documentation shows them."""

from datetime import date

import pytest

from scim_bridge.domain.employee import EmployeeNumber, Field, Value
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    ChangePhoneNumber,
    CreateEmployee,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
    OperationName,
    UpdateEmployee,
    UpdateEmployment,
    call_for,
)
from scim_bridge.domain.values import JsonObject

NUMBER = EmployeeNumber("1042")

OLA: dict[Field, Value] = {
    Field.employee_number: "1042",
    Field.first_name: "Ola",
    Field.last_name: "Nordmann",
    Field.phone: "+4798765432",
    Field.birth_date: date(1990, 5, 15),
    Field.start_date: date(2025, 3, 1),
    Field.payroll: 1,
}


def test_create_carries_profile_and_employment_together() -> None:
    """Ditio "Employees (v5)", create: the whole documented body, key by key and in its order."""
    more: dict[Field, Value] = {
        Field.email: "ola.nordmann@example.com",
        Field.work_title: "Machine Operator",
        Field.department: "Construction",
        Field.end_date: date(2026, 12, 31),
    }
    call = call_for(CreateEmployee(NUMBER, OLA | more), NUMBER)

    assert (call.name, call.employee_number) == (OperationName.create, "1042")
    assert list(call.body)[3:6] == ["phone", "birthDate", "email"]
    assert call.body == {
        "employeeNumber": "1042",
        "firstName": "Ola",
        "lastName": "Nordmann",
        "phone": "+4798765432",
        "birthDate": "1990-05-15",
        "email": "ola.nordmann@example.com",
        "workTitle": "Machine Operator",
        "employment": {"startDate": "2025-03-01", "department": "Construction", "payroll": 1},
    }


def test_create_sends_nothing_for_what_is_absent() -> None:
    """Ditio "Employees (v5)", the smallest documented body."""
    assert call_for(CreateEmployee(NUMBER, OLA), NUMBER).body == {
        "employeeNumber": "1042",
        "firstName": "Ola",
        "lastName": "Nordmann",
        "phone": "+4798765432",
        "birthDate": "1990-05-15",
        "employment": {"startDate": "2025-03-01", "payroll": 1},
    }


def test_payroll_can_be_left_out() -> None:
    """H4: MAPPING__PAYROLL = omit."""
    without: dict[Field, Value] = {field: value for field, value in OLA.items() if field is not Field.payroll}

    assert call_for(CreateEmployee(NUMBER, without), NUMBER).body["employment"] == {"startDate": "2025-03-01"}
    assert call_for(CreateEmployment(date(2025, 9, 1), None), NUMBER).body == {"startDate": "2025-09-01"}


@pytest.mark.parametrize(
    ("operation", "name", "body"),
    [
        (
            UpdateEmployee({Field.work_title: "Project Manager", Field.email: None}),
            "patch",
            {"workTitle": "Project Manager", "email": None},
        ),
        (UpdateEmployee({Field.birth_date: date(1990, 5, 15)}), "patch", {"birthDate": "1990-05-15"}),
        (
            UpdateEmployment({Field.department: "Management"}),
            "update-employment",
            {"department": "Management"},
        ),
        (
            UpdateEmployment({Field.start_date: date(2026, 3, 1)}),
            "update-employment",
            {"startDate": "2026-03-01"},
        ),
        (EndEmployment(date(2025, 6, 30)), "end-employment", {"endDate": "2025-06-30"}),
        (
            CreateEmployment(date(2025, 9, 1), 1),
            "create-employment",
            {"startDate": "2025-09-01", "payroll": 1},
        ),
        (ChangePhoneNumber("+4791234567"), "change-phone-number", {"phone": "+4791234567"}),
        (ChangeEmployeeNumber(EmployeeNumber("2")), "change-employee-number", {"employeeNumber": "2"}),
        (Disable(), "disable", {}),
        (Enable(), "enable", {}),
    ],
)
def test_each_operation_has_its_documented_body(operation: Operation, name: str, body: JsonObject) -> None:
    """Ditio "Employees (v5)": a day is a plain yyyy-MM-dd, and null clears."""
    call = call_for(operation, NUMBER)

    assert (call.name.value, call.employee_number, call.body) == (name, "1042", body)
    assert all(type(key) is str for key in call.body)
