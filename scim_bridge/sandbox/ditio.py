"""The simulated Ditio: all of its APIs and faults as one WSGI application."""

from __future__ import annotations

import random as randomness
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime

from flask import Flask, Response, jsonify, make_response, request
from werkzeug.exceptions import HTTPException

from scim_bridge.sandbox import documents
from scim_bridge.sandbox.admin import CallsAdmin
from scim_bridge.sandbox.apis import REPORTING, REPORTING_SCOPE, SCOPE, CertificatesApi, Identity, Ledger, ReportingApi
from scim_bridge.sandbox.company import COMPANY_ID, ByHand, Company, Refused, SandboxEmployee, SandboxEmployment
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.documents import refusal_answer
from scim_bridge.sandbox.employees_api import EmployeesApi, Reading
from scim_bridge.sandbox.gateway import ACCEPTED, ADMIN, Faults, Gateway, Recorded, SegmentConverter
from scim_bridge.sandbox.style import Style

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "Recorded", "SandboxDitio"]

BASE_PATH = "/core"
"""The path before `/api/…`."""

CLIENT_ID = "sandbox"
CLIENT_SECRET = "sandbox-secret"  # nosec B105 # of the simulated Ditio


class AdminApi:
    """Shows and changes employees as Ditio's own APIs would not; it needs no token and is never recorded."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def register(self, app: Flask) -> None:
        for method, view in (("GET", self._employees), ("POST", self._plant)):
            app.add_url_rule(f"{ADMIN}employees", f"admin{view.__name__}", view, methods=[method])

    def _employees(self) -> Response:
        with self._company.lock:
            return jsonify({number: _state(each) for number, each in self._company.employees.items()})

    def _plant(self) -> Response:
        employee = planted(documents.body_of(request.get_json(force=True, silent=True)))
        with self._company.lock:
            return make_response(jsonify(_state(self._company.put(employee))), 201)


def planted(body: documents.Body) -> SandboxEmployee:
    """Return the employee to plant; only its number is required, and Ditio's rules are not checked."""
    start = documents.day_or_none({"startDate": "2024-01-01", **body}, "startDate")
    end = documents.day_or_none(body, "endDate")
    department = documents.text_or_none(body, "department")
    payroll = documents.payroll({"payroll": 1, **body})
    return SandboxEmployee(
        employee_number=documents.text(body, "employeeNumber"),
        first_name=documents.text_or_none(body, "firstName") or "Ola",
        last_name=documents.text_or_none(body, "lastName") or "Nordmann",
        phone=documents.text_or_none(body, "phone") or "+4791234567",
        birth_date=documents.day_or_none(body, "birthDate"),
        email=documents.text_or_none(body, "email"),
        work_title=documents.text_or_none(body, "workTitle"),
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


_WRITES = ("POST", "PATCH", "PUT", "DELETE")


class SandboxDitio:
    """One Ditio environment: identity server, integration API and reporting API in one WSGI application.

    :param style: How it behaves where the documentation is silent; may be replaced at any time.
    :param now: Returns the time, aware; its date is the company's today.
    :param random: Source of tokens and of the faults' chances; seeded with 0 when None.
    """

    def __init__(
        self,
        *,
        style: Style | None = None,
        now: Callable[[], datetime],
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        random: randomness.Random | None = None,
    ) -> None:
        rng = random or randomness.Random(0)  # nosec B311 # a simulation
        self.style = style or Style()
        self.client_disabled = False
        self.forbidden = False
        self.faults = Faults(rng, now)
        self.company = Company(style=self._style, now=now)
        self.by_hand = ByHand(self.company, lambda: self.apply_late(all=True))
        self._identity = Identity(
            client_id=client_id, client_secret=client_secret, now=now, style=self._style, random=rng
        )
        self._certificates = CertificatesApi(self.company, self._style)
        self.app = self._application()
        self._gateway = Gateway(
            self.app.wsgi_app, faults=self.faults, now=now, token_id=self._identity.token_id, base_path=BASE_PATH
        )
        self.app.wsgi_app = self._gateway  # type: ignore[method-assign]  # Flask's own way to put middleware around it.

    @property
    def requests(self) -> list[Recorded]:
        """Every call that arrived, token requests included, oldest first."""
        return self._gateway.requests

    @property
    def certificates(self) -> Ledger:
        """The certificates that were posted last, by employee number and type."""
        return self._certificates.ledger

    def employee(self, number: str) -> SandboxEmployee:
        """Return the employee's true present state.

        :raises KeyError: there is none with this number.
        """
        try:
            return self.company.employees[number]
        except KeyError:
            known = ", ".join(self.company.employees) or "none"
            raise KeyError(f"no employee {number!r} in the sandbox; there are: {known}") from None

    def plant(
        self,
        number: str,
        first_name: str = "Ola",
        last_name: str = "Nordmann",
        phone: str = "+4791234567",
        *,
        email: str | None = None,
        birth_date: date | None = None,
        work_title: str | None = None,
        start: date | None = date(2024, 1, 1),
        department: str | None = None,
        payroll: int = 1,
        disabled: bool = False,
        end: date | None = None,
        company_id: str = COMPANY_ID,
    ) -> SandboxEmployee:
        """Store an employee without any call or rule; `start` None means never employed."""
        employments = [SandboxEmployment(start, end, department, payroll)] if start else []
        employee = SandboxEmployee(
            number, first_name, last_name, phone, birth_date, email, work_title, disabled, employments, company_id
        )
        return self.company.put(employee)

    def employ(self, users: Iterable[EntraUser]) -> None:
        """Store an employee for each user, with the values that Entra has and Ditio's form of the phone number."""
        for user in users:
            self.plant(
                str(user.employee_id),
                str(user.given_name),
                str(user.surname),
                f"+47{re.sub(r'[^0-9]', '', str(user.mobile))[-8:]}",
                email=user.mail,
                birth_date=date.fromisoformat(str(user.birth_date)),
                work_title=user.job_title,
                start=date.fromisoformat(str(user.hire_date)),
                department=user.department,
            )

    def calls(self, method: str | None = None, containing: str = "") -> list[Recorded]:
        """Return the calls with this method (None: any) whose path contains a text."""
        return [call for call in list(self.requests) if method in (None, call.method) and containing in call.path]

    def writes(self) -> list[Recorded]:
        """Return the calls that may change something; token requests do not."""
        return [call for call in self.calls() if call.method in _WRITES and call.path != "/connect/token"]

    def apply_late(self, *, all: bool = False) -> int:
        """Apply the late writes that are due, as the next call would, or `all` of them. Return how many."""
        return self._gateway.late.apply(all=all)

    def forget_requests(self) -> None:
        """Clear the recorded calls."""
        self.requests.clear()
        self.company.written.clear()

    def revoke_tokens(self) -> None:
        """Answer 401 to every access token issued so far; a new one works."""
        self._identity.revoke_all()

    def _style(self) -> Style:
        return self.style

    def _application(self) -> Flask:
        app = Flask("ditio_sandbox", static_folder=None)
        app.url_map.strict_slashes = False
        app.url_map.merge_slashes = False
        app.url_map.converters["segment"] = SegmentConverter
        app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask types the interface, not its default.
        app.before_request(self._gatekeeper)
        app.register_error_handler(Refused, lambda refused: refusal_answer(refused, self.style.errors))
        app.register_error_handler(HTTPException, _http_error)
        self._identity.register(app)
        EmployeesApi(self.company, Reading(self.company, self._style), self._style).register(app, BASE_PATH)
        self._certificates.register(app, BASE_PATH)
        ReportingApi(self.company, self._style).register(app)
        AdminApi(self.company).register(app)
        CallsAdmin(self.faults, lambda: self.requests).register(app)
        return app

    def _gatekeeper(self) -> Response | None:
        """Refuse a call without a valid token, before any other check."""
        if request.path.startswith((ADMIN, "/connect/")) or ACCEPTED in request.environ:
            return None
        scope = REPORTING_SCOPE if request.path.startswith(REPORTING) else SCOPE
        status = self._identity.refusal(request.headers.get("Authorization", ""), scope)
        if self.client_disabled:
            status = 401
        elif self.forbidden:
            status = status or 403
        if status == 401:
            return Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        return None if status is None else Response(status=status)


def _http_error(error: HTTPException) -> Response:
    document = jsonify(error=error.name.replace(" ", ""), message=error.description)
    return make_response(document, error.code or 500)
