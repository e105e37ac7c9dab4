"""The simulated Ditio's reporting: the roster of users, in chunks. Source: Ditio "Data extraction", users."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, Response, jsonify, request

from scim_bridge.sandbox.company import Company, SandboxEmployee
from scim_bridge.sandbox.documents import identity_id, shown_day
from scim_bridge.sandbox.style import Style

REPORTING = "/reporting/v1/user"


class ReportingApi:
    """Answers with one row for each company profile; `0001-01-01` means no date, whatever the style."""

    def __init__(self, company: Company, style: Callable[[], Style]) -> None:
        self._company = company
        self._style = style

    def register(self, app: Flask) -> None:
        """Add the route."""
        app.add_url_rule(REPORTING, "reporting", self._users, methods=["GET"])

    def _users(self) -> Response:
        try:
            limit = int(request.args.get("ChunkLimit", "2500"))
            since = _since(request.args.get("ModifiedSince"))
            offset = _offset(request.args.get("ContinuationToken"))
        except ValueError as exc:
            return _bad(str(exc))
        if not 1 <= limit <= 10_000:
            return _bad("The 'ChunkLimit' parameter must be between 1 and 10000.")
        with self._company.lock:
            rows = [self._row(each) for each in self._company.employees.values() if self._wanted(each, since)]
        return jsonify(_page(rows, offset, limit))

    def _wanted(self, employee: SandboxEmployee, since: datetime | None) -> bool:
        company_id = request.args.get("CompanyId")
        recent = since is None or (employee.modified_at is not None and _aware(employee.modified_at) >= since)
        return recent and company_id in (None, employee.company_id)

    def _row(self, employee: SandboxEmployee) -> dict[str, object]:
        employment = employee.employment
        today = self._company.today()
        none = shown_day(None, self._style()) or "0001-01-01"
        active = employment is not None and employment.start <= today and employment.lasts_until(today)
        return {
            "id": employee.id,
            "identityUserId": identity_id(employee),
            "employeeNumber": employee.employee_number,
            "name": employee.name,
            "firstName": employee.first_name,
            "lastName": employee.last_name,
            "email": employee.email,
            "workTitle": employee.work_title,
            "department": employment.department if employment else None,
            "companyId": employee.company_id,
            "isActiveEmployment": active,
            "isDisabled": employee.disabled,
            "startDate": shown_day(employment.start, self._style()) if employment else none,
            "endDate": (shown_day(employment.end, self._style()) if employment else None) or none,
            "modifiedDateTime": _aware(employee.modified_at).isoformat() if employee.modified_at else none,
            "isDeleted": False,
        }


def _page(rows: list[dict[str, object]], offset: int, limit: int) -> dict[str, object]:
    page: dict[str, object] = {"data": rows[offset : offset + limit], "links": {}}
    if offset + limit < len(rows):
        token = base64.urlsafe_b64encode(str(offset + limit).encode()).decode()
        page["links"] = {"next": f"/v1/user?ChunkLimit={limit}&ContinuationToken={token}"}
        page["continuationToken"] = token
    return page


def _since(text: str | None) -> datetime | None:
    return _aware(datetime.fromisoformat(text)) if text else None


def _offset(token: str | None) -> int:
    return int(base64.urlsafe_b64decode(token.encode())) if token else 0


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bad(message: str) -> Response:
    answer = jsonify(error="ArgumentInvalid", message=message)
    answer.status_code = 400
    return answer
