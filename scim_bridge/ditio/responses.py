"""What an answer of Ditio's means: an employee, several, or an error; read tolerantly."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scim_bridge.domain.documents import JsonObject

_ONE = ("data", "item", "employee", "result")
MANY = ("data", "items", "employees", "results")
"""Under which keys a list is looked for."""

DEPTH = 3
"""How many envelopes are opened, as in {"data": {"items": […]}}."""

_EMPLOYEE_KEYS = frozenset(
    key.lower()
    for key in (
        *("employeeNumber", "firstName", "lastName", "phone", "companyProfileId"),
        *("employment", "employments", "employmentHistory"),
    )
)


@dataclass(frozen=True, slots=True)
class Received:
    """An answer, of whatever status."""

    status: int
    headers: Mapping[str, str]
    """Its keys are looked up without regard to case."""

    body: bytes
    request_id: str
    """Ditio's id of the call, or the one that was sent with it."""

    seconds: float

    @property
    def ok(self) -> bool:
        """Whether Ditio did what it was asked."""
        return 200 <= self.status <= 299

    @property
    def is_page(self) -> bool:
        """Whether it is a web page, as gateways and proxies answer where they should pass Ditio's answer on."""
        kind = self.headers.get("Content-Type", "")
        return "html" in kind.lower() or self.body.lstrip()[:1] == b"<"

    def document(self) -> object:
        """The body as JSON; None for a 204.

        :raises ValueError: when it is not JSON.
        """
        if self.status == 204:
            return None
        try:
            document: object = json.loads(self.body)
        except RecursionError as exc:
            raise ValueError("the JSON is nested too deeply") from exc
        return document


def employee_of(body: Any, *, depth: int = DEPTH) -> JsonObject | None:
    """The employee in an answer: bare, in an envelope, or alone in a list; None where there is none."""
    match body:
        case dict() if _is_employee(body):
            return body
        case [only] if depth:
            return employee_of(only, depth=depth - 1)
        case dict() if depth:
            found = (employee_of(body[key], depth=depth - 1) for key in _present(body, _ONE))
            return next((employee for employee in found if employee is not None), None)
        case _:
            return None


def rows_of(body: Any, *, depth: int = DEPTH) -> list[JsonObject] | None:
    """The employees in an answer; None where it has no list, which is not the same as an empty one."""
    match body:
        case None:
            return []
        case list():
            return [row for row in body if isinstance(row, dict)]
        case dict() if _is_employee(body):
            return [body]
        case dict() if depth:
            inner = (rows_of(body[key], depth=depth - 1) for key in _present(body, MANY))
            return next((rows for rows in inner if rows is not None), None)
        case _:
            return None


def value_of(employee: JsonObject, name: str) -> str | None:
    """An id in an answer, as text; v4 spells its keys in camelCase or PascalCase."""
    for key, value in employee.items():
        if key.lower() == name.lower() and isinstance(value, str | int) and str(value):
            return str(value)
    return None


def is_of_company(employee: JsonObject, company_id: str | None) -> bool:
    """Whether a row may be ours: it names no company, or this one. The id may have lost its leading zeros."""
    shown = value_of(employee, "companyId")
    return company_id is None or shown is None or shown.lstrip("0") == company_id.lstrip("0")


def _present(body: JsonObject, keys: tuple[str, ...]) -> list[str]:
    """The envelope's own spellings of those of `keys` that it has."""
    return [key for wanted in keys for key in body if key.lower() == wanted]


def _is_employee(body: JsonObject) -> bool:
    return any(key.lower() in _EMPLOYEE_KEYS for key in body)
