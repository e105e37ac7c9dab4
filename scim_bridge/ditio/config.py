"""Where Ditio is, and how its operations are called."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from scim_bridge.domain.operations import OperationName
from scim_bridge.domain.values import NORWAY, OSLO, JsonObject

EMPLOYEES = "/api/v5/integration/employees"


@dataclass(frozen=True, slots=True)
class OperationCall:
    """How one operation is called.

    `path` follows `…/employees` and holds `{employeeNumber}`, the present number. A text in `body` that is
    exactly `{employeeNumber}`, `{phone}` or `{newEmployeeNumber}` is replaced by that value.
    """

    method: str
    path: str
    body: JsonObject = field(default_factory=dict)


OperationSetting = OperationCall | Literal["v4", "off"]
"""`v4` means the documented pair of v4 users calls, `off` means "never call it"."""

DEFAULT_OPERATIONS: Mapping[OperationName, OperationSetting] = {
    # Ditio's documentation names these four and shows neither URL nor body: guesses, so they are settings.
    OperationName.disable: OperationCall("PATCH", "/{employeeNumber}/disable"),
    OperationName.enable: OperationCall("PATCH", "/{employeeNumber}/enable"),
    OperationName.change_phone_number: OperationCall(
        "PATCH", "/{employeeNumber}/change-phone-number", {"phone": "{phone}"}
    ),
    OperationName.change_employee_number: OperationCall(
        "PATCH", "/{employeeNumber}/change-employee-number", {"employeeNumber": "{newEmployeeNumber}"}
    ),
}

_V4 = (OperationName.disable, OperationName.enable)
_VALUE = {OperationName.change_phone_number: "{phone}", OperationName.change_employee_number: "{newEmployeeNumber}"}
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_UNSAFE_IN_PATH = re.compile(r"[?#\\%\s\x00-\x1f\x7f]|//|/\.{1,2}(/|$)")


def setting_name(name: OperationName) -> str:
    """Return the setting that says how an operation is called."""
    return f"DITIO__OPERATIONS__{name.name.upper()}"


def operation_setting(name: OperationName, raw: str | JsonObject | None) -> OperationSetting:
    """Read the setting of one operation; None means the default.

    :param raw: `v4`, `off`, or `{"method": …, "path": …, "body": …}`, parsed or as JSON text.
    :raises ValueError: when it can't be used; the message names the setting and what to write.
    """
    if raw is None:
        return DEFAULT_OPERATIONS[name]
    if isinstance(raw, str):
        match raw.strip():
            case "off":
                return "off"
            case "v4":
                return _v4(name)
            case text:
                raw = _parsed(name, text)
    call = OperationCall(_method(name, raw), _path(name, raw), _body(name, raw))
    if set(raw) - {"method", "path", "body"}:
        raise _wrong(name, "has an unknown key; the keys are method, path and body")
    if "{employeeNumber}" not in {*_PLACEHOLDER.findall(call.path), *_texts(call.body)}:
        raise _wrong(name, "names no employee: write {employeeNumber} into its path")
    return call


def _v4(name: OperationName) -> Literal["v4"]:
    if name not in _V4:
        raise _wrong(name, 'can\'t be "v4", which only disable and enable have; write "off" or a call')
    return "v4"


def _parsed(name: OperationName, text: str) -> JsonObject:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        example = '{"method": "PATCH", "path": "/{employeeNumber}/' + name + '", "body": {}}'
        words = '"v4", "off"' if name in _V4 else '"off"'
        raise _wrong(name, f"can't be read; write {words} or JSON such as {example}")
    return value


def _method(name: OperationName, raw: JsonObject) -> str:
    match raw.get("method"):
        case "PATCH" | "POST" as method:
            return str(method)
        case "PUT" | "DELETE" as method:
            raise _wrong(name, f"may not use {method}: Ditio's PUT wipes fields, its DELETE is permanent")
        case _:
            raise _wrong(name, "has a method that can't be used; write PATCH or POST")


def _path(name: OperationName, raw: JsonObject) -> str:
    path = raw.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise _wrong(name, 'has a path that can\'t be used; it follows "…/employees" and starts with "/"')
    if _UNSAFE_IN_PATH.search(path):
        raise _wrong(name, "has a path that can't be used; write plain segments, without a query or an escape")
    for placeholder in _PLACEHOLDER.findall(path):
        if placeholder != "{employeeNumber}":
            raise _wrong(name, f"has {placeholder} in its path, where only {{employeeNumber}} is known")
    return path


def _body(name: OperationName, raw: JsonObject) -> JsonObject:
    body = raw.get("body", {})
    if not isinstance(body, dict):
        raise _wrong(name, "has a body that can't be used; write a JSON object, {} for an empty one")
    value = _VALUE.get(name)
    known = [placeholder for placeholder in ("{employeeNumber}", value) if placeholder]
    placeholders = [text for text in _texts(body) if _PLACEHOLDER.fullmatch(text)]
    for text in placeholders:
        if text not in known:
            raise _wrong(name, f"has {text} in its body, where only {' and '.join(known)} can be filled in")
    if value is not None and value not in placeholders:
        raise _wrong(name, f"never sends the new value: write {value} into its body")
    return body


def _texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for inner in value.values() for text in _texts(inner)]
        case list():
            return [text for inner in value for text in _texts(inner)]
        case _:
            return []


def _wrong(name: OperationName, what: str) -> ValueError:
    return ValueError(f"{setting_name(name)} {what}")


@dataclass(frozen=True, slots=True)
class DitioConfig:
    """What the client has to know. Nothing here is read from the environment."""

    api_url: str
    """Base URL of the integration API; it may carry a path, such as `/core`."""

    identity_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = "ditioapiv3"
    company_id: str | None = None
    """The company's six-digit id, as text. Rows that name another company are ignored."""

    send_company_id: bool = False
    """Whether the creation of an employee or an employment carries `companyId`; Ditio's documents disagree on that."""

    timeout_seconds: float = 20.0
    """How long one HTTP call may take, in seconds."""

    max_concurrency: int = 8
    """How many connections to Ditio stay open for reuse, all threads together."""

    requests_per_second: float | None = None
    """How many calls may start in a second, all threads together; None for no limit."""

    operations: Mapping[OperationName, OperationSetting] = field(default_factory=dict)
    """Only what differs from `DEFAULT_OPERATIONS`."""

    phone_region: str = NORWAY
    """The country of phone numbers that name none, by its two letters."""

    zone: ZoneInfo = OSLO
    """The company's time zone, for days that are shown as times."""

    def __post_init__(self) -> None:
        if self.send_company_id and not self.company_id:
            raise ValueError("DITIO__SEND_COMPANY_ID is on, so DITIO__COMPANY_ID has to name the company")

    def operation(self, name: OperationName) -> OperationSetting:
        """Return how a configurable operation is called."""
        return self.operations.get(name, DEFAULT_OPERATIONS[name])

    def is_off(self, name: OperationName) -> bool:
        """Return whether an operation is never called; a documented one always is."""
        return self.operations.get(name) == "off"
