"""An employee out of Ditio's answer.

The form of answers is not documented ([U]): every form that Ditio's documentation, its v4 API and its
reporting API show is read, keys regardless of case. What an answer does not show is unknown, not empty
(rule C2).
"""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Value
from scim_bridge.domain.values import JsonObject, nfc
from scim_bridge.mapping.phones import to_e164
from scim_bridge.mapping.rules import DEFAULT_RULES
from scim_bridge.mapping.shown_employments import ShownEmployments, day_of, shown_employments
from scim_bridge.mapping.values import payroll_of

_TEXTS = (Field.first_name, Field.last_name, Field.email, Field.work_title)
_PHONE_KEYS = ("phone", "mobilework", "phonenumber")
_DISABLED_KEYS = ("isdisabled", "disabled")

Shown = dict[Field, Value | None]


def employee_from_ditio(
    body: JsonObject, *, region: str = DEFAULT_RULES.phone_region, zone: ZoneInfo = DEFAULT_RULES.zone
) -> FoundEmployee:
    """The employee that an answer shows, out of its envelope.

    :param region: The country of phone numbers that name none, by its two letters.
    :param zone: The company's time zone, for days that are shown as instants.
    :raises ValueError: when no employee number is shown.
    """
    shown = {key.lower(): value for key, value in body.items()}
    number = _text(shown.get("employeenumber"))
    if number is None:
        raise ValueError("Ditio's answer shows no employeeNumber, so it is no employee")
    employments = shown_employments(shown, zone)
    return FoundEmployee(
        employee_number=EmployeeNumber(number),
        values={Field.employee_number: number} | _profile(shown, region, zone) | _employment_values(shown, employments),
        disabled=_disabled(shown),
        employments=employments.all,
        company_profile_id=_text(shown.get("companyprofileid")),
    )


def _profile(shown: Mapping[str, object], region: str, zone: ZoneInfo) -> Shown:
    values: Shown = {}
    for field in _TEXTS:
        if field.lower() in shown:
            text = _text(shown[field.lower()])
            values[field] = None if text is None else nfc(text)
    phones = [_text(shown[key]) for key in _PHONE_KEYS if key in shown]
    if phones:
        phone = next(filter(None, phones), None)
        values[Field.phone] = None if phone is None else to_e164(phone, region) or phone
    return values | _birth_date(shown, zone)


def _birth_date(shown: Mapping[str, object], zone: ZoneInfo) -> Shown:
    if "birthdate" not in shown:
        return {}
    day = day_of(shown["birthdate"], zone)
    # A text that can't be read is unknown: taken for empty, it would be overwritten.
    return {Field.birth_date: day.value} if day.is_known else {}


def _employment_values(shown: Mapping[str, object], employments: ShownEmployments) -> Shown:
    values: Shown = {}
    if employments.open is not None and employments.open.shows_start:
        values[Field.start_date] = employments.open.employment.start
    current = employments.current.details if employments.current else {}
    for holder in (current, shown):
        if "department" in holder and Field.department not in values:
            department = _text(holder["department"])
            values[Field.department] = None if department is None else nfc(department)
    for holder in (employments.open.details if employments.open else {}, shown):
        if "payroll" in holder and Field.payroll not in values:
            values |= _payroll(holder["payroll"])
    return values


def _payroll(raw: object) -> Shown:
    if raw is None or raw == "":
        return {Field.payroll: None}
    # v4 shows whether payroll is enabled, not which kind it is.
    payroll = int(raw) if isinstance(raw, bool) else payroll_of(raw)
    return {} if payroll is None else {Field.payroll: payroll}


def _disabled(shown: Mapping[str, object]) -> bool | None:
    for key in _DISABLED_KEYS:
        text = str(shown.get(key)).strip().lower()
        if text in ("true", "false"):
            return text == "true"
    return None


def _text(raw: object) -> str | None:
    """Text or a number as trimmed text; None for null, empty text and anything else."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        return None
    return str(raw).strip() or None
