"""The calls that the bridge makes to Ditio: reads, and one operation or several certificates at a time."""

import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from functools import partial
from urllib.parse import quote

import requests

from scim_bridge.ditio.actual import employee_from_row
from scim_bridge.ditio.answers import (
    answer_of,
    employee_of,
    error_of,
    has_errors,
    is_of_company,
    missing,
    not_ditios,
    notes_of,
    refusal_of,
    rows_of,
    unreadable,
    value_of,
)
from scim_bridge.ditio.config import EMPLOYEES, DitioConfig, OperationCall, setting_name
from scim_bridge.ditio.roster import (
    Query,
    Roster,
    Shown,
    Source,
    employees_source,
    following,
    page_number_of,
    reporting_source,
    says_more,
)
from scim_bridge.ditio.token import tokens_of
from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber
from scim_bridge.domain.operations import Answer, Call, Operation, OperationName, call_for
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BudgetSpent, CredentialsRefused, OperationMissing, TransientError
from scim_bridge.http.exchange import PerThread, Received, pooled_sessions
from scim_bridge.http.limiter import Limiter
from scim_bridge.http.session import ApiSession

USERS_V4 = "/api/v4/integration/users"
CERTIFICATES = "/api/v4/integration/certificates"
WHAT = "certificates"
LONGEST_NUMBER = 64

SEARCHING = "Searching employees"
MOST_SEARCH_PAGES = 50

_DOCUMENTED: Mapping[OperationName, tuple[str, str]] = {
    OperationName.patch: ("PATCH", ""),
    OperationName.create_employment: ("POST", "/create-employment"),
    OperationName.update_employment: ("PATCH", "/update-employment"),
    OperationName.end_employment: ("PATCH", "/end-employment"),
}


class DitioClient:
    """Employees in one company; safe to share between threads, made after the process has forked."""

    def __init__(
        self,
        config: DitioConfig,
        *,
        limiter: Limiter | None = None,
        session_factory: Callable[[], requests.Session] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """Prepare the client; nothing is sent yet.

        :param limiter: That of another client of the same company; None for the limits in the settings.
        :param session_factory: Makes a session for each thread; by default they share a pool of connections.
        :param now: Reads the dates of `Retry-After`.
        :param new_id: Makes the ids by which Ditio's support can find a call.
        """
        sessions = PerThread(session_factory or pooled_sessions(config.max_concurrency))
        self.limiter = limiter or Limiter(
            config.max_concurrency, config.requests_per_second, monotonic=monotonic, sleep=sleep
        )
        self._tokens = tokens_of(config, limiter=self.limiter, sessions=sessions, monotonic=monotonic, now=now)
        self._session = ApiSession(
            config.api_url,
            "DITIO__API_URL",
            timeout_seconds=config.timeout_seconds,
            tokens=self._tokens,
            limiter=self.limiter,
            sessions=sessions,
            monotonic=monotonic,
            new_id=new_id,
        )
        self._config = config
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep

    def permit(
        self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[None]:
        """Return the right to call, for this thread and for a block; a call without one takes it by itself.

        Code that has to check something between the wait and the call takes it first: see `Limiter.permit`.
        """
        return self.limiter.permit(within=within, meanwhile=meanwhile)

    def get(self, number: EmployeeNumber, *, within: float | None = None) -> ActualEmployee | None:
        """Return one employee with all employments; None where Ditio shows none in this company.

        :param within: Seconds left for all of it; None leaves each HTTP call its configured time-out.
        :raises ValueError: when the number can't be a segment of a URL (rule P7); nothing was sent.
        :raises DeliveryError: see `errors.py`.
        """
        what = f"employee {number}: reading"
        path = f"{EMPLOYEES}/{_segment(number)}"
        query = {"include": "employment-history"}
        received = self._session.request("GET", path, what=what, operation="read", query=query, within=within)
        if received.status == 404 and received.is_page:
            raise not_ditios(received, what)
        if received.status == 404:
            return None
        document = self._document(received, what)
        employee = employee_of(document)
        if employee is None and rows_of(document) != []:
            raise unreadable(received, what, "has no employee")
        if employee is None or not is_of_company(employee, self._config.company_id):
            return None
        if (found := self._employee(employee)) is None:
            raise unreadable(received, what, "shows no employee number")
        return found

    def search(self, text: str, *, within: float | None = None) -> list[ActualEmployee]:
        """Return employees of this company where Ditio finds a text, in any field and not exactly (rule P4).

        One may have no employee number ([U]: Ditio's own SCIM app sends none), and still has the phone or e-mail.

        :param within: Seconds left for all of it; None leaves each HTTP call its configured time-out.
        :raises DeliveryError: see `errors.py`.
        """
        rows = self._search(text, within=within, renews=True)
        return [found for row in rows if (found := self._employee(row, needs_number=False)) is not None]

    def roster(self, today: date) -> Iterator[ActualEmployee]:
        """Yield all employees of this company, as a stream; an employee may come more than once.

        :param today: The day on which a row that says so is active.
        :raises DeliveryError: it can't be read as a whole.
        """
        return self._all_employees(employees_source(), today)

    def reporting_roster(self, today: date) -> Iterator[ActualEmployee]:
        """Yield the same from the reporting API, of which this client then has the address and the scope."""
        return self._all_employees(reporting_source(self._config.company_id), today)

    def _employee(
        self, row: JsonObject, today: date | None = None, *, needs_number: bool = True
    ) -> ActualEmployee | None:
        region, zone = self._config.phone_region, self._config.zone
        return employee_from_row(row, region=region, zone=zone, today=today, needs_number=needs_number)

    def _all_employees(self, source: Source, today: date) -> Iterator[ActualEmployee]:
        roster = Roster(
            self._session,
            source,
            company_id=self._config.company_id,
            read=partial(self._employee, today=today),
            now=self._now,
            monotonic=self._monotonic,
            sleep=self._sleep,
        )
        return roster.rows()

    def send(self, operation: Operation, number: EmployeeNumber, *, within: float | None = None) -> Answer:
        """Send one operation. A 2xx without a readable body is also an answer: read back.

        :param within: Seconds left for all of it; None leaves each HTTP call its configured time-out.
        :raises ValueError: when an employee number, old or new, can't be used (rule P7); nothing was sent.
        :raises OperationMissing: 404, 405, or switched off.
        :raises DeliveryError: see `errors.py`.
        """
        call, quoted = call_for(operation, number), _segment(number)
        if call.name is OperationName.change_employee_number:
            _segment(str(call.body.get("employeeNumber", "")))
        if call.name is OperationName.create:
            return self._write(call, "POST", EMPLOYEES, self._with_company(call.body), within)
        if call.name in _DOCUMENTED:
            method, suffix = _DOCUMENTED[call.name]
            body = self._with_company(call.body) if call.name is OperationName.create_employment else call.body
            return self._write(call, method, f"{EMPLOYEES}/{quoted}{suffix}", body, within)
        match self._config.operation(call.name):
            case "off":
                message = f'{_what(call)}: {setting_name(call.name)} is "off"; nothing was sent'
                raise OperationMissing(message, operation=call.name)
            case "v4":
                return self._send_v4(call, quoted, within)
            case OperationCall() as how:
                path = EMPLOYEES + how.path.replace("{employeeNumber}", quoted)
                return self._write(call, how.method, path, _filled(how.body, call), within)

    def _send_v4(self, call: Call, quoted: str, within: float | None) -> Answer:
        """Send the documented pair: look up the company profile, then switch its login."""
        began = self._monotonic()
        path = f"{USERS_V4}/by-employee-number/{quoted}"
        user = self._request(call, "GET", path, None, within)
        profile = self._company_profile_id(call, user)
        if profile is None:
            said = f"{_what(call)}: GET {path} showed no companyProfileId (request {user.request_id})"
            raise user.error(missing(call.name, said))
        left = None if within is None else within - (self._monotonic() - began)
        return self._write(call, "PATCH", f"{USERS_V4}/{call.name}/{_segment(profile)}", None, left)

    def _company_profile_id(self, call: Call, user: Received) -> str | None:
        """Return Ditio's id of the profile in this company; None where the answer shows none."""
        try:
            employee = employee_of(user.document())
        except ValueError as exc:
            raise unreadable(user, _what(call), "is not JSON") from exc
        if employee is None or not is_of_company(employee, self._config.company_id):
            return None
        return value_of(employee, "companyProfileId")

    def _write(self, call: Call, method: str, path: str, body: JsonObject | None, within: float | None) -> Answer:
        received = self._request(call, method, path, body, within)
        return answer_of(received, self._answered(received))

    def _answered(self, received: Received) -> ActualEmployee | None:
        """Return the employee in an answer, or None: no body is documented, so an unreadable one counts as none."""
        try:
            return self._employee(employee_of(received.document()) or {})
        except ValueError:
            return None

    def _request(self, call: Call, method: str, path: str, body: JsonObject | None, within: float | None) -> Received:
        what = _what(call)
        received = self._session.request(method, path, what=what, operation=call.name, json_body=body, within=within)
        if received.ok:
            return received
        if call.name is OperationName.create and received.status == 404 and received.is_page:
            raise not_ditios(received, what)  # No employee exists yet, so none can be read to tell (rule R1).
        if received.status in (404, 405):
            # The operator who corrects the setting has to see which call it caused.
            what = f"{what} by {method} {path}"
        raise error_of(received, what, now=self._now(), write=method != "GET", operation=call.name)

    def _with_company(self, body: JsonObject) -> JsonObject:
        """Return the body of a creation. Ditio's overview wants the company there, and no example has it ([U])."""
        return {"companyId": self._config.company_id, **body} if self._config.send_company_id else body

    def is_off(self, name: OperationName) -> bool:
        """Return whether an operation is switched off (`DITIO__OPERATIONS__…` = `off`)."""
        return self._config.is_off(name)

    def post_certificates(self, items: Sequence[JsonObject], *, within: float | None = None) -> Answer:
        """Upsert certificates by employee number and type: safe to repeat. Return only if Ditio accepted all.

        :param within: Seconds left for all of it; None leaves each HTTP call its configured time-out.
        :raises PermanentError: one of them, or the whole, is refused; Ditio may still have accepted some of them.
        :raises DeliveryError: see `errors.py`.
        """
        received = self._session.request(
            "POST", CERTIFICATES, what=WHAT, operation=WHAT, json_body=list(items), within=within
        )
        if received.status in (404, 405):
            said = f"{WHAT} by POST {CERTIFICATES}: Ditio answered {received.status} (request {received.request_id})"
            cure = "If the employee can be read, check DITIO__API_URL"
            raise received.error(OperationMissing(f"{said}. {cure}", operation=WHAT))
        if not received.ok:
            raise error_of(received, WHAT, now=self._now(), write=True)
        # No answer is documented ([U]): a 2xx means that Ditio accepted all, unless it names errors as Ditio does.
        if has_errors(received.body):
            raise refusal_of(received, WHAT)
        return answer_of(received)

    def sign_in(self, *, within: float) -> None:
        """Get a token, unless a valid one is in memory; the API itself is not called.

        :raises DeliveryError: when no token can be obtained.
        """
        with self.limiter.permit(within=within):
            self._tokens.current(within=within)

    def check(self, *, within: float | None = None, renews: bool = True) -> None:
        """Get a token, unless a valid one is in memory, and read something cheap that concerns no person (rule R2).

        :param renews: Whether a 401 renews the token once; not after a 401 that came just after a renewal.
        :raises DeliveryError: when Ditio can't be reached, or does not accept the API client.
        """
        self._search("scim-bridge-check", within=within, renews=renews)

    def _search(self, text: str, *, within: float | None, renews: bool) -> list[JsonObject]:
        """Return the rows of all pages. Whether there are any is unknown ([U]); a missed row doubles a person."""
        until = None if within is None else self._monotonic() + within
        base = query = {"query": text}
        asked: list[Query] = []
        rows: list[JsonObject] = []
        first_page: int | None = None
        while len(asked) < MOST_SEARCH_PAGES:
            left = None if until is None else until - self._monotonic()
            try:
                received, document, page = self._found(query, within=left, renews=renews)
            except BudgetSpent as spent:
                if not asked:
                    raise
                # A spent budget is tried again at once, which is right where nothing was sent.
                raise TransientError("Searching employees: there was no time for all pages") from spent
            asked.append(query)
            is_new = bool(page) and page[0] not in rows
            rows += page if is_new else []
            notes = notes_of(document)
            first_page = page_number_of(notes) if first_page is None else first_page
            shown = Shown(notes, received.headers, len(page), len(rows), first_page)
            then = following(shown, base)
            # A link may spell the text in its own way.
            query = {**then, **base} if is_new and isinstance(then, Mapping) else query
            if query in asked:
                if says_more(shown):
                    raise unreadable(
                        received, SEARCHING, "says that there are more employees, but not how to read them"
                    )
                return [row for row in rows if is_of_company(row, self._config.company_id)]
        raise unreadable(received, SEARCHING, f"has more than {MOST_SEARCH_PAGES} pages")

    def _found(self, query: Query, *, within: float | None, renews: bool) -> tuple[Received, object, list[JsonObject]]:
        """Return one page of what a search finds: the answer, its document, and its rows."""
        what = SEARCHING
        received = self._session.request(
            "GET",
            f"{EMPLOYEES}/search",
            what=what,
            operation="search",
            query=query,
            within=within,
            renews=renews,
        )
        if received.status in (404, 405):
            # An empty result here would hide a duplicate, and the search is documented: the address is wrong.
            said = f"{what}: Ditio answered {received.status} (request {received.request_id})"
            cure = "DITIO__API_URL seems wrong; the base may need a path, such as /core"
            raise received.error(CredentialsRefused(f"{said}. {cure}"))
        document = self._document(received, what)
        rows = rows_of(document)
        if rows is None:
            raise unreadable(received, what, "has no list of employees")
        return received, document, rows

    def _document(self, received: Received, what: str) -> object:
        if not received.ok:
            raise error_of(received, what, now=self._now(), write=False)
        try:
            return received.document()
        except ValueError as exc:
            raise unreadable(received, what, "is not JSON") from exc


def _segment(number: str) -> str:
    """Return an employee number, percent-encoded as one segment of a path.

    :raises ValueError: for a number that can't be one segment. HTTP clients resolve `.` and `..` even when
        they are encoded, and `search` is a route of its own; routes are not case-sensitive in ASP.NET.
    """
    if not number.strip():
        raise ValueError("the employee number is empty")
    if len(number) > LONGEST_NUMBER:
        raise ValueError(f"the employee number is longer than {LONGEST_NUMBER} characters")
    if number.strip() in (".", "..") or number.strip().lower() == "search":
        raise ValueError(f"the employee number {number!r} can't be used in a URL of Ditio's")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in number):
        raise ValueError(f"the employee number {number!r} has control characters")
    return quote(number, safe="")


def _what(call: Call) -> str:
    return f"employee {call.employee_number}: {call.name}"


def _filled(body: JsonObject, call: Call) -> JsonObject:
    values: dict[str, object] = {
        "{employeeNumber}": call.employee_number,
        "{phone}": call.body.get("phone"),
        "{newEmployeeNumber}": call.body.get("employeeNumber"),
    }
    return {key: _value(value, values) for key, value in body.items()}


def _value(value: object, values: Mapping[str, object]) -> object:
    match value:
        case str():
            return values.get(value, value)
        case dict():
            return {key: _value(inner, values) for key, inner in value.items()}
        case list():
            return [_value(inner, values) for inner in value]
        case _:
            return value
