"""The settings that say how an undocumented operation is called, and what a wrong one is told."""

from __future__ import annotations

import pytest

from scim_bridge.ditio.config import OperationCall, operation_setting
from scim_bridge.domain.operations import OperationName

DISABLE, PHONE, NUMBER = (
    OperationName.disable,
    OperationName.change_phone_number,
    OperationName.change_employee_number,
)


def a_setting(**changes: object) -> dict[str, object]:
    return {"method": "PATCH", "path": "/{employeeNumber}/disable", "body": {}} | changes


@pytest.mark.parametrize("name", [DISABLE, OperationName.enable, PHONE, NUMBER])
def test_the_default_is_a_patch_under_the_employee(name):
    setting = operation_setting(name, None)

    assert isinstance(setting, OperationCall)
    assert (setting.method, setting.path) == ("PATCH", f"/{{employeeNumber}}/{name}")


@pytest.mark.parametrize(
    ("raw", "setting"),
    [
        ("off", "off"),
        (" v4 ", "v4"),
        (a_setting(), OperationCall("PATCH", "/{employeeNumber}/disable", {})),
        ({"method": "POST", "path": "/{employeeNumber}/x"}, OperationCall("POST", "/{employeeNumber}/x", {})),
        ('{"method": "POST", "path": "/{employeeNumber}/x"}', OperationCall("POST", "/{employeeNumber}/x", {})),
        (
            a_setting(path="/disable", body={"who": ["{employeeNumber}"]}),
            OperationCall("PATCH", "/disable", {"who": ["{employeeNumber}"]}),
        ),
    ],
)
def test_a_setting_is_read(raw, setting):
    assert operation_setting(DISABLE, raw) == setting


@pytest.mark.parametrize(
    ("name", "raw", "cure"),
    [
        (DISABLE, "", '"v4", "off" or JSON'),
        (PHONE, "yes", '"off" or JSON'),
        (DISABLE, "[]", "JSON such as"),
        (PHONE, "v4", "only disable and enable"),
        (DISABLE, a_setting(method="GET"), "PATCH or POST"),
        (DISABLE, a_setting(method="PUT"), "wipes fields"),
        (DISABLE, a_setting(method="DELETE"), "permanent"),
        (DISABLE, {"path": "/{employeeNumber}/x"}, "PATCH or POST"),
        (DISABLE, {"method": "PATCH"}, 'starts with "/"'),
        (DISABLE, a_setting(path="{employeeNumber}/disable"), 'starts with "/"'),
        (DISABLE, a_setting(path="/{employeeNumber}/../x"), "plain segments"),
        (DISABLE, a_setting(path="/{employeeNumber}/x?y=1"), "plain segments"),
        (DISABLE, a_setting(path="/{employeeNumber}/%2e%2e"), "plain segments"),
        (DISABLE, a_setting(path="//{employeeNumber}"), "plain segments"),
        (DISABLE, a_setting(path="/{id}/disable"), "{id}"),
        (DISABLE, a_setting(path="/disable"), "names no employee"),
        (DISABLE, a_setting(body=[]), "JSON object"),
        (DISABLE, a_setting(body={"phone": "{phone}"}), "{phone}"),
        (DISABLE, a_setting(retries=3), "unknown key; the keys are method"),
        (PHONE, a_setting(), "{phone}"),
        (NUMBER, a_setting(body={"employeeNumber": "{employeeNumber}"}), "{newEmployeeNumber}"),
    ],
)
def test_a_wrong_setting_is_told_the_cure(name, raw, cure):
    with pytest.raises(ValueError, match=f"DITIO__OPERATIONS__{name.name.upper()}") as wrong:
        operation_setting(name, raw)

    assert cure in str(wrong.value)
