"""The JSON of the simulated Ditio: employees, pages and errors, in every documented form."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import date
from urllib.parse import urlencode

from flask import Response, jsonify

from scim_bridge.sandbox.company import Refused, SandboxEmployee, SandboxEmployment
from scim_bridge.sandbox.style import Style


def employee_document(employee: SandboxEmployee, style: Style, includes: frozenset[str]) -> dict[str, object]:
    """Return the v5 document of an employee.

    :param includes: The values of the `include` query parameter.
    """
    document: dict[str, object] = {
        style.profile_key: employee.id,
        "companyId": employee.company_id,
        "employeeNumber": employee.employee_number,
        "firstName": employee.first_name,
        "lastName": employee.last_name,
        "phone": employee.phone,
        "birthDate": shown_day(employee.birth_date, style),
        "email": employee.email,
        "workTitle": employee.work_title,
        style.disabled_key: employee.disabled,
    }
    document |= _employments(employee, style, with_history="employment-history" in includes)
    if "tags" in includes:
        document["tags"] = []
    if "work-time-arrangements" in includes:
        document["workTimeArrangements"] = []
    return without_empty(document) if style.omit_empty else document


def listed(documents: list[dict[str, object]], style: Style) -> object:
    """Return a list in the style's envelope."""
    return documents if style.envelope == "bare" else {style.envelope: documents}


def v4_document(employee: SandboxEmployee, style: Style) -> dict[str, object]:
    """Return the v4 user document. Source: Ditio "Users (v4)", by-employee-number."""
    employment = employee.employment
    document: dict[str, object] = {
        "identityId": identity_id(employee),
        "companyProfileId": employee.id,
        "companyId": employee.company_id,
        "employeeNumber": employee.employee_number,
        "firstName": employee.first_name,
        "lastName": employee.last_name,
        "mobileWork": employee.phone,
        "email": employee.email,
        "workTitle": employee.work_title,
        "birthDate": shown_day(employee.birth_date, style),
        "employmentStartDate": shown_day(employment.start if employment else None, style),
        "employmentEndDate": shown_day(employment.end if employment else None, style),
        "department": employment.department if employment else None,
        "isDisabled": employee.disabled,
    }
    if style.v4_case == "pascal":
        return {key[0].upper() + key[1:]: value for key, value in document.items()}
    return document


def identity_id(employee: SandboxEmployee) -> str:
    """Return the id of the sign-in identity behind the profile."""
    return f"auth0|{employee.id}"


def shown_day(day: date | None, style: Style) -> str | None:
    """Return a date in the style's form, or what the style shows for none."""
    text = style.no_date if day is None else day.isoformat()
    return f"{text}T00:00:00" if text is not None and style.date_form == "datetime" else text


def without_empty(document: dict[str, object]) -> dict[str, object]:
    """Return the document without its null values."""
    return {key: value for key, value in document.items() if value is not None}


def _employments(employee: SandboxEmployee, style: Style, *, with_history: bool) -> dict[str, object]:
    history = [_employment(each, style) for each in employee.employments]
    if style.employment != "employment":
        return {style.employment: history} if with_history else {}
    current = employee.employment
    shown: dict[str, object] = {"employment": _employment(current, style) if current else None}
    return shown | ({"employmentHistory": history} if with_history else {})


def _employment(employment: SandboxEmployment, style: Style) -> dict[str, object]:
    document: dict[str, object] = {
        "startDate": shown_day(employment.start, style),
        "endDate": shown_day(employment.end, style),
        "department": employment.department,
        "payroll": employment.payroll,
    }
    return without_empty(document) if style.omit_empty else document


_NORWEGIAN = {
    "ValidationError": "Ugyldig verdi i feltet {field}.",
    "Duplicate": "{field} er allerede i bruk.",
    "NotFound": "Fant ikke den ansatte.",
    "AlreadySo": "Ansettelsen eller brukeren er allerede i denne tilstanden.",
    "NoEmployment": "Den ansatte har ingen aktiv ansettelse.",
}


def refusal_answer(refused: Refused, errors: str) -> Response:
    """Return the HTTP answer, its body in the form that `Style.errors` names."""
    match errors:
        case "simple":
            answer = jsonify(error=refused.code, message=refused.message)
        case "text":
            norwegian = _NORWEGIAN.get(refused.code, refused.message)
            answer = Response(norwegian.format(field=refused.field), mimetype="text/plain")
        case "problem":
            answer = jsonify(_problem(refused))
            answer.mimetype = "application/problem+json"
        case _:
            answer = jsonify(_v5(refused))
    answer.status_code = refused.status
    return answer


def _v5(refused: Refused) -> dict[str, object]:
    validation = refused.code == "ValidationError"
    error = {
        "category": "UserInvalidInputError" if validation else "BusinessError",
        "code": refused.code,
        "field": refused.field or None,
        "message": refused.message,
    }
    return {"message": "Validation failed" if validation else refused.message, "errors": [error]}


def _problem(refused: Refused) -> dict[str, object]:
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": refused.code,
        "status": refused.status,
        "detail": refused.message,
    }
    return problem | ({"errors": {refused.field: [refused.message]}} if refused.field else {})


Body = Mapping[str, object]

_PHONE = re.compile(r"\+[0-9]{8,15}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def body_of(document: object) -> Body:
    """Return a request body that is a JSON object."""
    if not isinstance(document, dict):
        raise Refused(400, "", "The request body must be a JSON object.")
    return document


def new_employee(body: Body, style: Style) -> SandboxEmployee:
    """Return the employee that a creation asks for, its first employment included."""
    if style.require_company_id:
        text(body, "companyId")
    employment = body.get("employment")
    if not isinstance(employment, dict):
        raise _required("employment")
    return SandboxEmployee(
        employee_number=text(body, "employeeNumber"),
        first_name=text(body, "firstName"),
        last_name=text(body, "lastName"),
        phone=phone(body),
        birth_date=day(body, "birthDate") if style.birth_date_required else day_or_none(body, "birthDate"),
        email=text_or_none(body, "email"),
        work_title=text_or_none(body, "workTitle"),
        employments=[new_employment(employment)],
        company_id=text_or_none(body, "companyId") or "",
    )


def new_employment(body: Body) -> SandboxEmployment:
    """Return the employment that a creation or a rehire asks for."""
    return SandboxEmployment(
        start=day(body, "startDate"),
        department=text_or_none(body, "department"),
        payroll=payroll(body) if "payroll" in body else 1,
    )


def profile_changes(body: Body, style: Style) -> dict[str, object]:
    """Return the fields that a PATCH sets; only what was sent, and None where it clears."""
    changes: dict[str, object] = {}
    for key, name in (("firstName", "first_name"), ("lastName", "last_name")):
        if key in body:
            changes[name] = text(body, key)
    for key, name in (("email", "email"), ("workTitle", "work_title")):
        if key in body:
            changes[name] = text_or_none(body, key)
    if "birthDate" in body:
        changes["birth_date"] = (day if style.birth_date_required else day_or_none)(body, "birthDate")
    return changes


def employment_changes(body: Body) -> dict[str, object]:
    """Return the fields that an update of the current employment sets."""
    changes: dict[str, object] = {}
    if "startDate" in body:
        changes["start"] = day(body, "startDate")
    if "department" in body:
        changes["department"] = text_or_none(body, "department")
    if "payroll" in body:
        changes["payroll"] = payroll(body)
    return changes


def text(body: Body, key: str) -> str:
    """Return a required text."""
    value = text_or_none(body, key)
    if value is None or not value.strip():
        raise _required(key)
    return value


def text_or_none(body: Body, key: str) -> str | None:
    """Return an optional text."""
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise _invalid(key, "must be a string")
    return value


def phone(body: Body) -> str:
    """Return the required phone number, E.164: a plus sign and 8 to 15 digits."""
    value = text(body, "phone")
    if not _PHONE.fullmatch(value):
        raise _invalid("phone", "must be an international number such as +4798765432")
    return value


def day(body: Body, key: str) -> date:
    """Return a required plain date."""
    value = day_or_none(body, key)
    if value is None:
        raise _required(key)
    return value


def day_or_none(body: Body, key: str) -> date | None:
    """Return an optional date, `yyyy-MM-dd`; a time or an offset is refused."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise _invalid(key, "must be a date of the form yyyy-MM-dd")
    try:
        return date.fromisoformat(value)
    except ValueError as exc:
        raise _invalid(key, "is not a date") from exc


def payroll(body: Body) -> int:
    """Return 0, 1 or 2."""
    value = body.get("payroll")
    if isinstance(value, bool) or not isinstance(value, int) or value not in (0, 1, 2):
        raise _invalid("payroll", "must be 0, 1 or 2")
    return value


def _pascal(key: str) -> str:
    return key[0].upper() + key[1:]


def _required(key: str) -> Refused:
    return Refused(400, _pascal(key), f"The {_pascal(key)} field is required.")


def _invalid(key: str, problem: str) -> Refused:
    return Refused(400, _pascal(key), f"The {_pascal(key)} field {problem}.")


CUT_AT = 8
"""Characters that `cut` keeps."""

_NAMES = {
    "firstName": "first_name",
    "lastName": "last_name",
    "phone": "phone",
    "birthDate": "birth_date",
    "email": "email",
    "workTitle": "work_title",
    "department": "department",
    "startDate": "start",
}
"""The names of these fields on `SandboxEmployee` and `SandboxEmployment`."""

_OPTIONAL = ("birth_date", "email", "work_title")


def kept(changes: Mapping[str, object], forms: Mapping[str, str]) -> dict[str, object]:
    """Return the changes that take effect, by the names of `SandboxEmployee`: without ignored fields."""
    ignored = {_NAMES[field] for field, form in forms.items() if form == "ignored"}
    return {name: value for name, value in changes.items() if name not in ignored}


def created(employee: SandboxEmployee, forms: Mapping[str, str]) -> SandboxEmployee:
    """Return the employee as a creation stores it: without the ignored fields that may be empty."""
    ignored = {_NAMES[field] for field, form in forms.items() if form == "ignored"}
    for name in ignored & {*_OPTIONAL}:
        setattr(employee, name, None)
    if "department" in ignored:
        for employment in employee.employments:
            employment.department = None
    return employee


def in_own_form(
    document: dict[str, object], forms: Mapping[str, str], *, turn: int, answers_write: bool
) -> dict[str, object]:
    """Return the document as this Ditio shows it, its employments included.

    :param turn: Counts how often the employee was shown, for `alternating`.
    :param answers_write: Whether this is the answer to a write, and not a read.
    """
    shown: dict[str, object] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            shown[key] = in_own_form(value, forms, turn=turn, answers_write=answers_write)
        elif isinstance(value, list):
            shown[key] = [
                in_own_form(each, forms, turn=turn, answers_write=answers_write) if isinstance(each, dict) else each
                for each in value
            ]
        else:
            shown[key] = _shown(value, forms.get(key), turn, answers_write)
    return shown


def _shown(value: object, form: str | None, turn: int, answers_write: bool) -> object:
    if not isinstance(value, str):
        return value
    match form:
        case "upper":
            return value.upper()
        case "echoed":
            return value if answers_write else value.upper()
        case "alternating":
            return f"{value} ({1 + turn % 2})"
        case "cut":
            return value[:CUT_AT]
        case "spaced":
            return f"{value[:3]} {value[3:6]} {value[6:8]} {value[8:]}"
    return value


Document = dict[str, object]


def page_of(
    documents: list[Document], args: Mapping[str, str], path: str, style: Style
) -> tuple[object, dict[str, str]]:
    """Return the body and the headers of the requested page.

    :param args: The query of the request.
    :param path: Where the list is, for links.
    """
    if style.paging == "none":
        return listed(documents, style), {}
    size = min(_count(args, "pageSize", style.page_size), style.page_size)
    number = _count(args, "page", style.first_page)
    begin = (
        offset_of(args.get("continuationToken"))
        if style.paging in ("link", "token")
        else (number - style.first_page) * size
    )
    page = documents[max(begin, 0) : max(begin, 0) + size]
    is_last = begin + size >= len(documents)
    notes, headers = _notes(style, number, size, len(documents), None if is_last else token_of(begin + size), path)
    body = listed(page, style)
    if isinstance(body, dict):
        return body | notes, {}
    return body, headers


def _notes(
    style: Style, number: int, size: int, total: int, token: str | None, path: str
) -> tuple[Document, dict[str, str]]:
    """Return what the page says about the next one: in an envelope, or else in headers."""
    if style.paging == "link":
        link = f"{path}?{urlencode({'pageSize': size, 'continuationToken': token})}" if token else None
        return {"links": {"next": link}}, {"Link": f'<{link}>; rel="next"'} if link else {}
    if style.paging == "token":
        return {"continuationToken": token}, {"X-Continuation-Token": token} if token else {}
    if style.paging == "page":
        return {"page": number, "pageSize": size, "totalCount": total}, {"X-Total-Count": str(total)}
    return {}, {}


def token_of(offset: int) -> str:
    """Return the token of a page that begins after so many rows."""
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def offset_of(token: str | None) -> int:
    """Return where a page begins. :raises ValueError: the token is none of `token_of`."""
    return int(base64.urlsafe_b64decode(token.encode())) if token else 0


def _count(args: Mapping[str, str], name: str, otherwise: int) -> int:
    text = args.get(name, "")
    if text and not text.isdigit():
        raise Refused(400, name, f"The {name} field must be a number.")
    return int(text) if text else otherwise
