"""The simulated Ditio's other APIs: sign-in, certificates and reporting."""

from __future__ import annotations

import copy
import random as randomness
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_plus

from flask import Flask, Response, jsonify, make_response, request

from scim_bridge.sandbox import documents
from scim_bridge.sandbox.company import Company, Refused, SandboxEmployee
from scim_bridge.sandbox.documents import identity_id, shown_day
from scim_bridge.sandbox.gateway import bearer
from scim_bridge.sandbox.style import Style

CERTIFICATES = "/api/v4/integration/certificates"

Ledger = dict[tuple[str, str], dict[str, object]]


class CertificatesApi:
    """Stores certificates by employee number and type; a client can neither read nor delete them."""

    def __init__(self, company: Company, style: Callable[[], Style]) -> None:
        self.ledger: Ledger = {}
        self._company = company
        self._style = style

    def register(self, app: Flask, base_path: str) -> None:
        app.add_url_rule(base_path + CERTIFICATES, "certificates", self._upsert, methods=["POST"])

    def _upsert(self) -> Response:
        items = request.get_json(force=True, silent=True)
        if not isinstance(items, list):
            raise Refused(400, "", "The request body must be a JSON array.")
        with self._company.lock:
            good, refusals = self._sorted(items)
            if not refusals or self._style().certificates_partial:
                self.ledger |= good
                for number in dict.fromkeys(number for number, _ in good):
                    employee = self._company.reach(number)
                    self._company.note("certificates", copy.deepcopy(employee), employee)
        if refusals:
            raise refusals[0]
        return self._answer(list(good.values()))

    def _sorted(self, items: list[object]) -> tuple[Ledger, list[Refused]]:
        good: Ledger = {}
        refusals = []
        for index, item in enumerate(items):
            try:
                good |= self._checked(item)
            except Refused as refused:
                field = f"[{index}].{refused.field}"
                refusals.append(Refused(400, field, f"{field}: {refused.message}", refused.code))
        return good, refusals

    def _checked(self, item: object) -> Ledger:
        body = documents.body_of(item)
        number, kind = documents.text(body, "employeeNumber"), documents.text(body, "certificateType")
        self._company.reach(number)
        for key in ("certificateNumber", "notes"):
            documents.text_or_none(body, key)
        if _moment(body, "issuedDateTime") >= _moment(body, "validUntilDateTime"):
            raise Refused(400, "IssuedDateTime", "The IssuedDateTime must be before the ValidUntilDateTime.")
        return {(number, kind): dict(body)}

    def _answer(self, items: list[dict[str, object]]) -> Response:
        match self._style().answers:
            case "204":
                return Response(status=204)
            case "empty-200":
                return Response(status=200)
            case _:
                return jsonify(items)


def _moment(body: documents.Body, key: str) -> datetime:
    """Return a required time with an offset, such as `2026-01-15T00:00:00Z`."""
    try:
        moment = datetime.fromisoformat(documents.text(body, key))
    except ValueError as exc:
        raise _bad_moment(key) from exc
    if moment.tzinfo is None:
        raise _bad_moment(key)
    return moment


def _bad_moment(key: str) -> Refused:
    field = key[0].upper() + key[1:]
    return Refused(400, field, f"The {field} field must be of the form 2026-01-15T00:00:00Z.")


SCOPE, REPORTING_SCOPE = "ditioapiv3", "reportingapiv1"
"""What a token may be used for: the integration API, and the reporting API."""


@dataclass(frozen=True, slots=True)
class _Token:
    id: str
    scopes: frozenset[str]
    expires_at: datetime


class Identity:
    """Issues tokens and checks them."""

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        now: Callable[[], datetime],
        style: Callable[[], Style],
        random: randomness.Random,
    ) -> None:
        self._credentials = (client_id, client_secret)
        self._scopes = frozenset((SCOPE, REPORTING_SCOPE))
        self._now = now
        self._style = style
        self._random = random
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._revoked: set[str] = set()

    def register(self, app: Flask) -> None:
        """Add the token endpoint."""
        app.add_url_rule("/connect/token", "token", self._token, methods=["POST"])

    def revoke_all(self) -> None:
        """Make every token issued so far invalid."""
        with self._lock:
            self._revoked.update(self._tokens)

    def token_id(self, authorization: str) -> str | None:
        """Return the id of a token that the sandbox issued, valid or not."""
        token = self._tokens.get(bearer(authorization))
        return token.id if token else None

    def refusal(self, authorization: str, scope: str) -> int | None:
        """Return the status that refuses a call needing `scope`; None when the token is valid."""
        text = bearer(authorization)
        token = self._tokens.get(text)
        if token is None or text in self._revoked or token.expires_at <= self._now():
            return 401
        return None if scope in token.scopes else self._style().wrong_scope

    def _token(self) -> Response:
        header = request.authorization
        basic = header is not None and header.type == "basic"
        if header is not None and basic:
            sent = (unquote_plus(header.username or ""), unquote_plus(header.password or ""))
        else:
            sent = (request.form.get("client_id", ""), request.form.get("client_secret", ""))
        if sent != self._credentials:
            return _error("invalid_client", 401 if basic else 400)
        if request.form.get("grant_type") != "client_credentials":
            return _error("unsupported_grant_type", 400)
        scopes = frozenset(request.form.get("scope", " ".join(self._scopes)).split())
        if not scopes or not scopes <= self._scopes:
            return _error("invalid_scope", 400)
        return self._issue(scopes)

    def _issue(self, scopes: frozenset[str]) -> Response:
        seconds = self._style().token_seconds
        with self._lock:
            number = len(self._tokens) + 1
            text = f"sandbox-{number}-{self._random.getrandbits(128):032x}"
            self._tokens[text] = _Token(f"token-{number}", scopes, self._now() + timedelta(seconds=seconds))
        told = {"access_token": text, "expires_in": seconds, "token_type": "Bearer"}  # nosec B105 # its kind
        return jsonify({**told, "scope": " ".join(sorted(scopes))})


def _error(code: str, status: int) -> Response:
    answer = make_response(jsonify(error=code), status)
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Basic"
    return answer


REPORTING = "/reporting/v1/user"


class ReportingApi:
    """Answers with one row for each company profile; `0001-01-01` means no date, in every style."""

    def __init__(self, company: Company, style: Callable[[], Style]) -> None:
        self._company = company
        self._style = style

    def register(self, app: Flask) -> None:
        app.add_url_rule(REPORTING, "reporting", self._users, methods=["GET"])

    def _users(self) -> Response:
        try:
            limit = int(request.args.get("ChunkLimit", "2500"))
            since = _since(request.args.get("ModifiedSince"))
            offset = documents.offset_of(request.args.get("ContinuationToken"))
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
        token = documents.token_of(offset + limit)
        page["links"] = {"next": f"/v1/user?ChunkLimit={limit}&ContinuationToken={token}"}
        page["continuationToken"] = token
    return page


def _since(text: str | None) -> datetime | None:
    return _aware(datetime.fromisoformat(text)) if text else None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bad(message: str) -> Response:
    return make_response(jsonify(error="ArgumentInvalid", message=message), 400)
