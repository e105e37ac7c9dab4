"""What an answer of Ditio's means: an employee, a list, a refusal or a failure."""

import html
import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from scim_bridge.ditio.config import DEFAULT_OPERATIONS, setting_name
from scim_bridge.domain.employee import ActualEmployee
from scim_bridge.domain.operations import Answer, OperationName
from scim_bridge.domain.values import JsonObject, nfc
from scim_bridge.errors import (
    CredentialsRefused,
    DeliveryError,
    OperationMissing,
    PermanentError,
    RateLimited,
    TransientError,
)
from scim_bridge.http.exchange import Received, retry_after_seconds
from scim_bridge.http.pages import Scalar

_ONE = ("data", "item", "employee", "result")
MANY = ("data", "items", "employees", "results")
"""The keys under which a list is looked for."""

DEPTH = 3
"""How many envelopes are opened, as in {"data": {"items": […]}}."""

_EMPLOYEE_KEYS = frozenset(
    key.lower()
    for key in (
        *("employeeNumber", "firstName", "lastName", "phone", "companyProfileId"),
        *("employment", "employments", "employmentHistory"),
    )
)


def answer_of(received: Received, employee: ActualEmployee | None = None) -> Answer:
    """Return what an answer tells of the call. :param employee: The employee that it shows."""
    return Answer(received.status, received.request_id, received.seconds, employee)


def employee_of(body: Any, *, depth: int = DEPTH) -> JsonObject | None:
    """Return the employee in an answer: bare, in an envelope, or alone in a list; None where there is none."""
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
    """Return the employees in an answer; None where it has no list, which is not the same as an empty one."""
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


def notes_of(body: Any, *, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Scalar]:
    """Return what the envelope of a list says beside its rows, such as a link to the next page: path → value."""
    notes: dict[tuple[str, ...], Scalar] = {}
    if not isinstance(body, dict) or _is_employee(body) or len(path) > DEPTH:
        return notes
    for key, value in body.items():
        if isinstance(value, dict):
            notes |= notes_of(value, path=(*path, key))
        elif not isinstance(value, list):
            notes[(*path, key)] = value
    return notes


def value_of(employee: JsonObject, name: str) -> str | None:
    """Return an id in an answer, as text; v4 spells its keys in camelCase or PascalCase."""
    wanted = name.lower()
    for key, value in employee.items():
        if key.lower() == wanted and isinstance(value, str | int) and str(value):
            return str(value)
    return None


def is_of_company(employee: JsonObject, company_id: str | None) -> bool:
    """Return whether a row may be ours: it names no company, or this one. The id may lack its leading zeros."""
    if company_id is None:
        return True
    shown = value_of(employee, "companyId")
    return shown is None or shown.lstrip("0") == company_id.lstrip("0")


def _present(body: JsonObject, keys: tuple[str, ...]) -> list[str]:
    """Return the envelope's own spellings of those of `keys` that it has."""
    return [key for wanted in keys for key in body if key.lower() == wanted]


def _is_employee(body: JsonObject) -> bool:
    return any(key.lower() in _EMPLOYEE_KEYS for key in body)


LONGEST = 300
"""How many characters of Ditio's words are passed on."""

_MOST = 20
"""How many complaints of one answer are read; more would not fit."""

_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
# A server in debug mode prints request headers into its error pages.
_BEARER = re.compile(r"bearer\s+[\w.~+/=-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that Ditio finds wrong."""

    words: str
    field: str | None = None
    """Ditio's camelCase name of the field (`startDate`)."""


def words_of(body: bytes, content_type: str) -> Complaint:
    """Return the words of a refusal: all messages joined, and the first field that is named.

    Forms: v5 `errors`, `error` and `message`, RFC 9457 `title`, `detail` and `errors`, plain text (often
    Norwegian), HTML, or nothing. The markup of a page is never passed on.
    """
    text = _decoded(body)
    if "html" in content_type.lower() or text.lstrip().startswith("<"):
        return Complaint(_page(text))
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        document = text
    complaints = [c for c in _complaints(document) if c.words]
    # Each message once, in the order in which Ditio gives them.
    words = "; ".join(dict.fromkeys(c.words for c in complaints))
    field = next((c.field for c in complaints if c.field), None)
    return Complaint(_bounded(words) or "no reason was given", field)


def has_errors(body: bytes) -> bool:
    """Return whether an answer has errors in a form of Ditio's: non-empty `errors` or `error`, also of one item."""
    try:
        return _has_errors(json.loads(body), DEPTH)
    except (ValueError, RecursionError):
        return False


def _has_errors(document: object, depth: int) -> bool:
    match document:
        case list() if depth:
            return any(_has_errors(each, depth - 1) for each in document)
        case dict():
            is_refused = any(document[key] for key in _present(document, ("errors", "error")))
            return is_refused or any(_has_errors(document[key], depth - 1) for key in _present(document, MANY) if depth)
        case _:
            return False


def camel_case(name: str) -> str | None:
    """Return a field as the create body spells it: `Employment.StartDate` and `$.startDate` are `startDate`."""
    last = re.sub(r"\[\d*\]", "", name).split(".")[-1].strip(" $")
    return last[0].lower() + last[1:] if last else None


def _complaints(document: object, depth: int = 4) -> list[Complaint]:
    match document:
        case str():
            return [Complaint(_clean(document))]
        case list() if depth:
            return [complaint for item in document[:_MOST] for complaint in _complaints(item, depth - 1)]
        case dict():
            shown = {str(key).lower(): value for key, value in document.items()}  # v4 may spell them in PascalCase.
            inner = [complaint for complaint in _inner(shown.get("errors"), depth) if complaint.words]
            # Words of an error beside its list are only a heading: "Validation failed".
            own = Complaint(_message(shown), _field(shown.get("field")))
            if inner or own.words or not depth:
                return inner or [own]
            return [complaint for key in MANY for complaint in _complaints(shown.get(key), depth - 1)]
        case _:
            return []


def _inner(errors: object, depth: int) -> list[Complaint]:
    match errors:
        case list() if depth:
            return _complaints(errors, depth - 1)
        case dict():
            by_field = [(_field(name), _complaints(said, 1)) for name, said in list(errors.items())[:_MOST]]
            return [Complaint(complaint.words, field) for field, said in by_field for complaint in said]
        case _:
            return []


def _message(document: JsonObject) -> str:
    texts = _texts(document, "message") or _texts(document, "title", "detail") or _texts(document, "error")
    return ": ".join(texts)


def _field(name: object) -> str | None:
    return camel_case(_clean(name)) if isinstance(name, str) else None


def _texts(document: JsonObject, *keys: str) -> list[str]:
    values = (document.get(key) for key in keys)
    return [text for value in values if isinstance(value, str) and (text := _clean(value))]


def _page(text: str) -> str:
    found = _TITLE.search(text)
    title = html.unescape(re.sub("<[^>]*>", " ", found[1])) if found else ""
    title = _clean(title.replace("<", " ").replace(">", " "))
    return _bounded(f'an HTML page titled "{title}"' if title else "an HTML page")


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _clean(text: str) -> str:
    """Return text in NFC on one line, without control and format characters."""
    visible = "".join(" " if unicodedata.category(c).startswith("C") else c for c in text[: 20 * LONGEST])
    return nfc(_BEARER.sub("Bearer …", " ".join(visible.split())))


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


_FIVE_CAUSES = (
    "Ditio refuses a valid token for five causes; a new token cures none of them. "
    "In Ditio, check that the API client (1) was not deleted, (2) is not disabled, "
    "(3) is not past its ValidUntil, (4) has scopes, among them the one in DITIO__SCOPE, "
    "and (5) has an emulation user that exists, is enabled, is an administrator and belongs to the company. "
    "Then check that DITIO__IDENTITY_URL and DITIO__API_URL are of one environment, production or test"
)


def error_of(
    received: Received, what: str, *, now: datetime, write: bool, operation: OperationName | None = None
) -> DeliveryError:
    """Return the error for an answer other than 2xx.

    :param what: What was being done, as the beginning of a sentence; it names a person only by employee number.
    :param now: For a `Retry-After` that is a date.
    :param write: Whether Ditio may have applied something before it failed.
    :param operation: The operation that was called; its 404 or 405 is then a missing operation (rule R1).
    """
    return received.error(_error(received, what, now, write, operation))


def unreadable(received: Received, what: str, why: str) -> TransientError:
    """Return the error for a 2xx to a read that does not hold what was asked for."""
    said = f"{what}: Ditio's answer {why} ({received.status}, request {received.request_id})"
    return received.error(TransientError(f"{said}. If this lasts, check DITIO__API_URL"))


def not_ditios(received: Received, what: str) -> TransientError:
    """Return the error for a 404 with a web page: it comes from a gateway, and proves nothing (rule P5)."""
    said = f"{what}: a web page came with the {received.status} (request {received.request_id})"
    why = "so a gateway answered and not Ditio. If this lasts, check DITIO__API_URL"
    return received.error(TransientError(f"{said}, {why}", ambiguous=True))


def _error(received: Received, what: str, now: datetime, write: bool, operation: OperationName | None) -> DeliveryError:
    status = received.status
    said = f"{what}: Ditio answered {status} (request {received.request_id})"
    seconds = retry_after_seconds(received.headers.get("Retry-After"), now)
    match status:
        case 401 | 403:
            twice = ", and again after its token was renewed once" if status == 401 else ""
            return CredentialsRefused(f"{said}{twice}. {_FIVE_CAUSES}")
        case 404 | 405 if operation is not None:
            return missing(operation, said)
        case 429:
            return RateLimited(said, retry_after_seconds=seconds)
        case _ if 400 <= status <= 499 and status != HTTPStatus.REQUEST_TIMEOUT:
            return refusal_of(received, what)
        case _ if status >= 400:
            # A proxy may also answer 408 (RFC 9110 §15.5.9) for Ditio, and then nothing was refused.
            return TransientError(said, ambiguous=write, retry_after_seconds=seconds)
        case _:
            return CredentialsRefused(f"{said}. DITIO__API_URL seems wrong: the API itself never redirects")


def missing(operation: OperationName, said: str) -> OperationMissing:
    """Return the error for an operation that Ditio does not know, naming the setting for its call."""
    setting = setting_name(operation) if operation in DEFAULT_OPERATIONS else "DITIO__API_URL"
    # A new employee can't be read yet: reading other employees shows whether the address is right.
    shown = "other employees" if operation is OperationName.create else "the employee"
    return OperationMissing(f"{said}. If {shown} can be read, check {setting}", operation=operation)


def refusal_of(received: Received, what: str) -> PermanentError:
    """Return the error for what Ditio refuses, in its own words."""
    complaint = words_of(received.body, received.headers.get("Content-Type", ""))
    about = f" because of {complaint.field}" if complaint.field else ""
    said = f"{what}: Ditio refused it{about} ({received.status}, request {received.request_id})"
    return received.error(PermanentError(said, words=complaint.words, field=complaint.field))
