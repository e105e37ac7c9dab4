"""The employee routes of the simulated Ditio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, jsonify, make_response, request

from scim_bridge.sandbox import documents
from scim_bridge.sandbox.company import COMPANY_ID, Company, Refused, SandboxEmployee, not_found
from scim_bridge.sandbox.documents import Document, created, employee_document, in_own_form, kept, page_of, v4_document
from scim_bridge.sandbox.style import Style


@dataclass(slots=True)
class _Stale:
    """An employee's earlier state, still shown for some reads; None before the employee existed."""

    shown: SandboxEmployee | None
    reads_left: int


class Reading:
    """Reads with the lag of `Style.read_lag`. Hold the company's lock while using what it returns."""

    def __init__(self, company: Company, style: Callable[[], Style]) -> None:
        self._company = company
        self._style = style
        self._stale: dict[str, _Stale] = {}
        company.on_write = self._note

    def one(self, number: str) -> SandboxEmployee:
        """Return the employee that a read sees under this number, or refuse (404)."""
        for employee in self._named(number):
            seen = self._seen(employee)
            if seen is not None and self._is_meant(seen, number) and self._in_reach(number):
                return seen
        raise not_found(number)

    def all(self, *, company_id: str | None) -> list[SandboxEmployee]:
        """Return all employees that a read sees, of one company or of all (None)."""
        seen = [self._seen(employee) for employee in self._company.employees.values()]
        return [
            employee
            for employee in seen
            if employee is not None
            and self._in_reach(employee.employee_number)
            and company_id in (None, employee.company_id)
        ]

    def _note(self, before: SandboxEmployee | None, after: SandboxEmployee) -> None:
        self._stale.pop(after.id, None)
        if self._style().read_lag > 0:
            self._stale[after.id] = _Stale(before, self._style().read_lag)

    def _named(self, number: str) -> list[SandboxEmployee]:
        employees = self._company.employees
        meant = self._company.find(number)
        now = [meant] if meant is not None else []
        once = {key for key, stale in self._stale.items() if stale.shown and stale.shown.employee_number == number}
        return now + [each for each in employees.values() if each.id in once and each not in now]

    def _seen(self, employee: SandboxEmployee) -> SandboxEmployee | None:
        stale = self._stale.get(employee.id)
        if stale is None:
            return employee
        stale.reads_left -= 1
        if stale.reads_left == 0:
            del self._stale[employee.id]
        return stale.shown

    def _is_meant(self, seen: SandboxEmployee, number: str) -> bool:
        if self._style().numbers == "exact":
            return seen.employee_number == number
        return self._company.find(number) is self._company.find(seen.employee_number)

    def _in_reach(self, number: str) -> bool:
        return number not in self._style().out_of_reach


EMPLOYEES = "/api/v5/integration/employees"
USERS = "/api/v4/integration/users"

_ONE = "/<segment:number>"
_BRIEF = ("companyId", "employeeNumber", "firstName", "lastName")
_ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class EmployeesApi:
    """Answers calls about employees from the company's state, in the style that is in force."""

    def __init__(self, company: Company, reading: Reading, style: Callable[[], Style]) -> None:
        self._company = company
        self._reading = reading
        self._style = style
        self._shown: Counter[str] = Counter()

    def register(self, app: Flask, base_path: str) -> None:
        rules: list[tuple[str, str, Callable[..., Response]]] = [
            ("POST", EMPLOYEES, self._create),
            ("GET", EMPLOYEES, self._list),
            ("GET", f"{EMPLOYEES}/search", self._search),
            ("GET", EMPLOYEES + _ONE, self._get),
            ("PATCH", EMPLOYEES + _ONE, self._patch),
            ("POST", f"{EMPLOYEES}{_ONE}/create-employment", self._create_employment),
            ("PATCH", f"{EMPLOYEES}{_ONE}/update-employment", self._update_employment),
            ("PATCH", f"{EMPLOYEES}{_ONE}/end-employment", self._end_employment),
            ("GET", f"{USERS}/by-employee-number{_ONE}", self._v4_user),
            ("PATCH", f"{USERS}/<any(disable, enable):what>/<segment:profile_id>", self._v4_set_disabled),
        ]
        for method, rule, view in rules:
            app.add_url_rule(base_path + rule, view.__name__, view, methods=[method])
        operation = f"{base_path}{EMPLOYEES}{_ONE}/<segment:operation>"
        app.add_url_rule(operation, "operation", self._operation, methods=_ANY_METHOD)

    def _create(self) -> Response:
        employee = created(documents.new_employee(_body(), self._style()), self._style().forms)
        return self._written(lambda: self._company.create(employee), created=True)

    def _list(self) -> Response:
        return self._paged(self._documents(lambda employee: True))

    def _paged(self, documents: list[Document]) -> Response:
        body, headers = page_of(documents, request.args, request.path, self._style())
        return make_response(jsonify(body), headers)

    def _search(self) -> Response:
        query = request.args.get("query", "").lower()
        if not query:
            raise Refused(400, "Query", "The Query field is required.")
        found = self._documents(lambda employee: any(query in text.lower() for text in _texts(employee)))
        if self._style().brief_search:
            found = [{key: document[key] for key in _BRIEF if key in document} for document in found]
        return self._paged(found)

    def _get(self, number: str) -> Response:
        with self._company.lock:
            return jsonify(self._document(self._reading.one(number)))

    def _patch(self, number: str) -> Response:
        changes = kept(documents.profile_changes(_body(), self._style()), self._style().forms)
        return self._written(lambda: self._company.patch(number, changes))

    def _create_employment(self, number: str) -> Response:
        self._refuse_missing("create-employment")
        if self._style().require_company_id:
            documents.text(_body(), "companyId")
        employment = documents.new_employment(_body())
        return self._written(lambda: self._company.create_employment(number, employment), created=True)

    def _update_employment(self, number: str) -> Response:
        self._refuse_missing("update-employment")
        changes = kept(documents.employment_changes(_body()), self._style().forms)
        return self._written(lambda: self._company.update_employment(number, changes))

    def _end_employment(self, number: str) -> Response:
        self._refuse_missing("end-employment")
        end = documents.day(_body(), "endDate")
        return self._written(lambda: self._company.end_employment(number, end))

    def _operation(self, number: str, operation: str) -> Response:
        """Answer one of the operations that Ditio names without documenting them."""
        company = self._company
        self._refuse_missing(operation)
        operations: dict[str, Callable[[], SandboxEmployee]] = {
            "disable": lambda: company.set_disabled(number, True),
            "enable": lambda: company.set_disabled(number, False),
            "change-phone-number": lambda: self._change_phone(number),
            "change-employee-number": lambda: company.change_number(number, documents.text(_body(), "employeeNumber")),
        }
        if operation not in operations:
            raise Refused(404, "", "There is no such operation.", "NotFound")
        if request.method != self._style().operations_method:
            raise Refused(405, "", "The method is not allowed.", "MethodNotAllowed")
        return self._written(operations[operation])

    def _change_phone(self, number: str) -> SandboxEmployee:
        asked = documents.phone(_body())
        is_kept = kept({"phone": asked}, self._style().forms)
        return self._company.change_phone(number, asked if is_kept else self._company.reach(number).phone)

    def _v4_user(self, number: str) -> Response:
        with self._company.lock:
            return jsonify(v4_document(self._company.reach(number), self._style()))

    def _v4_set_disabled(self, what: str, profile_id: str) -> Response:
        with self._company.lock:
            self._company.set_disabled(self._company.by_id(profile_id).employee_number, what == "disable")
        return Response(status=204 if self._style().answers == "204" else 200)

    def _documents(self, wanted: Callable[[SandboxEmployee], bool]) -> list[dict[str, object]]:
        everywhere = request.args.get("includeEmployeesFromSubsidiaries", "").lower() == "true"
        with self._company.lock:
            employees = self._reading.all(company_id=None if everywhere else COMPANY_ID)
            return [self._document(employee) for employee in employees if wanted(employee)]

    def _written(self, write: Callable[[], SandboxEmployee], *, created: bool = False) -> Response:
        with self._company.lock:
            document = self._document(write(), answers_write=True)
        answers = self._style().answers
        if answers == "204":
            return Response(status=204)
        if answers == "empty-200":
            return Response(status=200)
        return make_response(jsonify(document), 201 if created and answers == "body" else 200)

    def _document(self, employee: SandboxEmployee, *, answers_write: bool = False) -> dict[str, object]:
        includes = frozenset(part.strip() for part in request.args.get("include", "").split(","))
        self._shown[employee.id] += 1
        document = employee_document(employee, self._style(), includes)
        turn = self._shown[employee.id]
        return in_own_form(document, self._style().forms, turn=turn, answers_write=answers_write)

    def _refuse_missing(self, operation: str) -> None:
        if operation in self._style().missing_operations:
            raise Refused(404, "", "There is no such operation.", "NotFound")


def _body() -> documents.Body:
    return documents.body_of(request.get_json(force=True, silent=True))


def _texts(employee: SandboxEmployee) -> tuple[str, ...]:
    return (employee.name, employee.phone, employee.email or "", employee.employee_number)
