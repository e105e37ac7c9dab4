"""A back door below `/_sandbox/`, for tests and demos in another process: state, calls, faults, planting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from flask import Flask, Response, jsonify, request

from scim_bridge.sandbox import forms
from scim_bridge.sandbox.company import Company, SandboxEmployee, SandboxEmployment
from scim_bridge.sandbox.faults import Fault, Faults
from scim_bridge.sandbox.gateway import ADMIN, Recorded
from scim_bridge.sandbox.refusals import Refused


class AdminApi:
    """Shows and changes what no API of Ditio's would; needs no token and is never recorded."""

    def __init__(self, company: Company, faults: Faults, calls: Callable[[], list[Recorded]]) -> None:
        self._company = company
        self._faults = faults
        self._calls = calls

    def register(self, app: Flask) -> None:
        """Add the routes."""
        rules = [
            ("GET", "employees", self._employees),
            ("POST", "employees", self._plant),
            ("GET", "requests", self._requests),
            ("DELETE", "requests", self._forget_requests),
            ("POST", "faults", self._plan_fault),
            ("DELETE", "faults", self._clear_faults),
        ]
        for method, rule, view in rules:
            app.add_url_rule(ADMIN + rule, f"admin{view.__name__}", view, methods=[method])

    def _employees(self) -> Response:
        with self._company.lock:
            return jsonify({number: _state(each) for number, each in self._company.employees.items()})

    def _plant(self) -> Response:
        employee = planted(forms.body_of(request.get_json(force=True, silent=True)))
        with self._company.lock:
            answer = jsonify(_state(self._company.put(employee)))
        answer.status_code = 201
        return answer

    def _requests(self) -> Response:
        return jsonify([asdict(call) | {"at": call.at.isoformat()} for call in list(self._calls())])

    def _forget_requests(self) -> Response:
        self._calls().clear()
        return Response(status=204)

    def _plan_fault(self) -> Response:
        try:
            asked = dict(forms.body_of(request.get_json(force=True, silent=True)))
            fault = Fault(**asked)  # type: ignore[arg-type]  # Any JSON may come: what is no fault raises.
        except (TypeError, ValueError) as exc:
            raise Refused(400, "", f"not a fault: {exc}") from exc
        self._faults.plan(fault)
        return Response(status=204)

    def _clear_faults(self) -> Response:
        self._faults.clear()
        return Response(status=204)


def planted(body: forms.Body) -> SandboxEmployee:
    """Return the employee to plant; only its number is required, and no rule of Ditio's is asked."""
    start = forms.day_or_none({"startDate": "2024-01-01", **body}, "startDate")
    end = forms.day_or_none(body, "endDate")
    department = forms.text_or_none(body, "department")
    payroll = forms.payroll({"payroll": 1, **body})
    return SandboxEmployee(
        employee_number=forms.text(body, "employeeNumber"),
        first_name=forms.text_or_none(body, "firstName") or "Ola",
        last_name=forms.text_or_none(body, "lastName") or "Nordmann",
        phone=forms.text_or_none(body, "phone") or "+4791234567",
        birth_date=forms.day_or_none(body, "birthDate"),
        email=forms.text_or_none(body, "email"),
        work_title=forms.text_or_none(body, "workTitle"),
        disabled=bool(body.get("disabled", False)),
        employments=[SandboxEmployment(start, end, department, payroll)] if start else [],
    )


def _state(employee: SandboxEmployee) -> dict[str, object]:
    return {
        "firstName": employee.first_name,
        "lastName": employee.last_name,
        "phone": employee.phone,
        "birthDate": employee.birth_date.isoformat() if employee.birth_date else None,
        "email": employee.email,
        "workTitle": employee.work_title,
        "disabled": employee.disabled,
        "employments": [_employment_state(each) for each in employee.employments],
        "createdCount": employee.created_count,
    }


def _employment_state(employment: SandboxEmployment) -> dict[str, object]:
    return {
        "start": employment.start.isoformat(),
        "end": employment.end.isoformat() if employment.end else None,
        "department": employment.department,
        "payroll": employment.payroll,
    }
