"""Sends one operation on one employee: documented ones, configured ones, and the v4 pair."""

from collections.abc import Callable, Mapping
from datetime import datetime

from scim_bridge.ditio.actual import employee_from_row
from scim_bridge.ditio.answers import (
    answer_of,
    employee_of,
    error_of,
    is_of_company,
    missing,
    not_ditios,
    unreadable,
    value_of,
)
from scim_bridge.ditio.config import DitioConfig, OperationCall, setting_name
from scim_bridge.ditio.paths import EMPLOYEES, USERS_V4, segment
from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber
from scim_bridge.domain.operations import Answer, Call, Operation, OperationName, call_for
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import OperationMissing
from scim_bridge.http.exchange import Received
from scim_bridge.http.session import ApiSession

_DOCUMENTED: Mapping[OperationName, tuple[str, str]] = {
    OperationName.patch: ("PATCH", ""),
    OperationName.create_employment: ("POST", "/create-employment"),
    OperationName.update_employment: ("PATCH", "/update-employment"),
    OperationName.end_employment: ("PATCH", "/end-employment"),
}


class Operations:
    """Turns an operation into HTTP; URLs that Ditio does not document are settings."""

    def __init__(
        self,
        config: DitioConfig,
        *,
        session: ApiSession,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._session = session
        self._monotonic = monotonic
        self._now = now

    def send(self, operation: Operation, employee_number: EmployeeNumber, *, within: float | None) -> Answer:
        """Send one operation; see `DitioClient.send`."""
        call, number = call_for(operation, employee_number), segment(employee_number)
        if call.name is OperationName.change_employee_number:
            segment(str(call.body.get("employeeNumber", "")))
        if call.name is OperationName.create:
            return self._write(call, "POST", EMPLOYEES, self._with_company(call.body), within)
        if call.name in _DOCUMENTED:
            method, suffix = _DOCUMENTED[call.name]
            body = self._with_company(call.body) if call.name is OperationName.create_employment else call.body
            return self._write(call, method, f"{EMPLOYEES}/{number}{suffix}", body, within)
        match self._config.operation(call.name):
            case "off":
                message = f'{_what(call)}: {setting_name(call.name)} is "off"; nothing was sent'
                raise OperationMissing(message, operation=call.name)
            case "v4":
                return self._send_v4(call, number, within)
            case OperationCall() as how:
                path = EMPLOYEES + how.path.replace("{employeeNumber}", number)
                return self._write(call, how.method, path, _filled(how.body, call), within)

    def _send_v4(self, call: Call, number: str, within: float | None) -> Answer:
        """Send the documented pair: look up the company profile, then switch its login."""
        began = self._monotonic()
        path = f"{USERS_V4}/by-employee-number/{number}"
        user = self._request(call, "GET", path, None, within)
        profile = self._company_profile_id(call, user)
        if profile is None:
            said = f"{_what(call)}: GET {path} showed no companyProfileId (request {user.request_id})"
            raise user.error(missing(call.name, said))
        left = None if within is None else within - (self._monotonic() - began)
        return self._write(call, "PATCH", f"{USERS_V4}/{call.name}/{segment(profile)}", None, left)

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
        return answer_of(received, self._employee(received))

    def _employee(self, received: Received) -> ActualEmployee | None:
        """Return the employee in an answer, or None: no body is documented, so an unreadable one counts as none."""
        try:
            body = employee_of(received.document()) or {}
        except ValueError:
            return None
        return employee_from_row(body, region=self._config.phone_region, zone=self._config.zone)

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
