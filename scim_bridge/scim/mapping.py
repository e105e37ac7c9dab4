"""The attribute mapping: from a SCIM user to the desired employee."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import REQUIRED, DesiredEmployee, Field, Owner, Problem, Value
from scim_bridge.domain.values import NORWAY, OSLO, JsonObject, Unusable, end_of, is_address, text_of, value_of
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN, Condition, SourcePath, read

LONGEST_SHOWN = 60
"""How many characters of a value a message quotes."""

_IN_ENTRA = {
    f"{ENTERPRISE_URN}:employeeNumber": "employeeId",
    f"{ENTERPRISE_URN}:department": "department",
    "name.givenName": "givenName",
    "name.familyName": "surname",
    "displayName": "displayName",
    "title": "jobTitle",
    "userName": "userPrincipalName",
    'emails[type eq "work"].value': "mail",
    'phoneNumbers[type eq "mobile"].value': "mobile",
    'phoneNumbers[type eq "work"].value': "telephoneNumber",
}
"""SCIM attribute → the Entra attribute that the default attribute mapping maps to it."""


def missing(field: Field, source: SourcePath) -> Problem:
    """Return the problem of a required field that no source has.

    :param source: The attribute to send it in.
    """
    in_entra = _IN_ENTRA.get(source.text, "an attribute")
    cure = f"map {in_entra} to {source.text} in Entra's attribute mapping, and fill it in for this user"
    return Problem(field, source.text, f"{field} is missing: {cure}")


def unusable(field: Field, source: SourcePath, raw: object, unusable: Unusable) -> Problem:
    """Return the problem of a value that is present but can't be used."""
    return Problem(field, source.text, f"{source.text} is {shown(raw)}: {unusable.why}")


def shown(raw: object) -> str:
    """Return a value for a message: in quotes if it is text, on one line, bounded in length."""
    if isinstance(raw, (list, dict)):
        return "a list" if isinstance(raw, list) else "an object"
    text = str(raw)
    line = "".join(c if c.isprintable() else "�" for c in text[: LONGEST_SHOWN + 1])
    if len(line) > LONGEST_SHOWN:
        line = line[: LONGEST_SHOWN - 1] + "…"
    return f'"{line}"' if isinstance(raw, str) else line


SETTING = "MAPPING__FIELDS"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which sources one field has, and which side owns it."""

    field: Field
    sources: tuple[SourcePath, ...]
    """The first source with a value is used."""

    owner: Owner


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that decides how a SCIM user is mapped."""

    by_field: Mapping[Field, Rule]
    phone_region: str = NORWAY
    """The country of phone numbers that name none, by its two letters."""

    payroll: int | None = 1
    """`payroll` where Entra sends none: 0 disabled, 1 enabled, 2 variable; None leaves it out (rule H4)."""

    zone: ZoneInfo = OSLO
    """The company's time zone, in which a time becomes a day."""

    def owners(self) -> dict[Field, Owner]:
        """Return the owner of each field."""
        return {rule.field: rule.owner for rule in self.by_field.values()}


def _attribute(name: str, sub: str | None = None) -> SourcePath:
    return SourcePath(name if sub is None else f"{name}.{sub}", None, name, sub)


def _of(urn: str, name: str) -> SourcePath:
    return SourcePath(f"{urn}:{name}", urn, name)


def _entry(name: str, kind: str) -> SourcePath:
    return SourcePath(f'{name}[type eq "{kind}"].value', None, name, "value", (Condition("type", kind),))


def _primary(name: str) -> SourcePath:
    return SourcePath(f"{name}[primary eq true].value", None, name, "value", (Condition("primary", True),))


def _rule(field: Field, *sources: SourcePath, owner: Owner = Owner.entra) -> Rule:
    return Rule(field, sources, owner)


_PHONES, _DISPLAY_NAME = "phoneNumbers", _attribute("displayName")

# Written as `source_path` parses their texts, so that the parser is loaded only for a setting.
_DEFAULTS = (
    _rule(Field.employee_number, _of(ENTERPRISE_URN, "employeeNumber")),
    _rule(Field.first_name, _attribute("name", "givenName"), _DISPLAY_NAME),
    _rule(Field.last_name, _attribute("name", "familyName"), _DISPLAY_NAME),
    _rule(Field.phone, _entry(_PHONES, "mobile"), _entry(_PHONES, "work"), _primary(_PHONES)),
    _rule(Field.birth_date, _of(DITIO_URN, "birthDate"), owner=Owner.seed),
    _rule(Field.email, _entry("emails", "work"), _primary("emails"), _attribute("userName")),
    _rule(Field.work_title, _attribute("title")),
    _rule(Field.department, _of(ENTERPRISE_URN, "department")),
    _rule(Field.start_date, _of(DITIO_URN, "employmentStartDate")),
    _rule(Field.end_date, _of(DITIO_URN, "employmentEndDate")),
    _rule(Field.payroll, _of(DITIO_URN, "payroll"), owner=Owner.seed),
)

DEFAULT_RULES = Rules({rule.field: rule for rule in _DEFAULTS})
"""The mapping without a setting (owners: rule H5)."""


def rules_from(
    setting: Mapping[str, Mapping[str, object]],
    *,
    phone_region: str = DEFAULT_RULES.phone_region,
    payroll: int | None = DEFAULT_RULES.payroll,
    zone: ZoneInfo = DEFAULT_RULES.zone,
) -> Rules:
    """Return the default rules with the setting ``MAPPING__FIELDS`` merged over them.

    :param setting: Ditio's name of a field → ``from`` (source paths, in order) and ``owner``; either may be
        left out.
    :raises ValueError: when the setting can't be used; it says where, what was found, and what is allowed.
    """
    by_field = dict(DEFAULT_RULES.by_field)
    for place, (name, entry) in enumerate(setting.items(), start=1):
        field = Field(_one_of(f"{SETTING}, name {place}", name, Field))
        by_field[field] = _merged(by_field[field], entry)
    return Rules(by_field, phone_region, payroll, zone)


def _merged(rule: Rule, entry: Mapping[str, object]) -> Rule:
    where = f"{SETTING}.{rule.field}"
    if not isinstance(entry, Mapping):
        raise ValueError(f'{where} is not a table: write one with "from" and "owner"')
    for place, key in enumerate(entry, start=1):
        _one_of(f"{where}, name {place}", key, ("from", "owner"))
    sources = _sources(f"{where}.from", entry["from"]) if "from" in entry else rule.sources
    owner = Owner(_one_of(f"{where}.owner", entry["owner"], Owner)) if "owner" in entry else rule.owner
    return Rule(rule.field, sources, owner)


def _sources(where: str, found: object) -> tuple[SourcePath, ...]:
    if not isinstance(found, (list, tuple)) or not found or not all(isinstance(item, str) for item in found):
        raise ValueError(f'{where} is not a list of texts: write a list of SCIM attribute paths, as in ["userName"]')
    from scim_bridge.scim.schema import source_path  # noqa: PLC0415 # Only a setting needs the library behind it.

    try:
        return tuple(source_path(item) for item in found)
    except ValueError as exc:
        raise ValueError(f"{where}: {exc}") from exc


def _one_of(where: str, found: object, allowed: Iterable[str]) -> str:
    names = [str(name) for name in allowed]
    if not isinstance(found, str) or found not in names:
        # The value is not quoted: a secret in the wrong place would end up in the log.
        raise ValueError(f"{where} is not known here: write one of {', '.join(names)}")
    return found


IDENTITY = frozenset({Field.employee_number, Field.phone})
"""Fields whose unusable value is not replaced by the next source: that would be another employee or login."""


def desired_from_user(
    document: JsonObject,
    rules: Rules,
    *,
    today: date,
    provisioned_on: date | None = None,
    served: Mapping[Field, str] | None = None,
) -> DesiredEmployee:
    """Return the desired employee; a value that can't be used is left out and named in the problems.

    :param today: The day that intake decided (rule L1).
    :param provisioned_on: The start of an employment for which Entra sends none (rule H4); None: `today`.
    :param served: For a linked person, the sources used last. A required value is then read from that source or
        from one earlier in the list, never from a later one (rule C3).
    """
    served = served or {}
    readings = {
        field: _reading(document, rule, rules, served.get(field), today)
        for field, rule in rules.by_field.items()
        # Where Ditio owns the end, Entra's leave date is not desired: it would end an employment (rule H5).
        if not (field is Field.end_date and rule.owner is Owner.ditio)
    }
    defaults = _defaults(readings, rules, provisioned_on or today)
    found = {field: reading.value for field, reading in readings.items() if reading.value is not None}
    return DesiredEmployee(
        values=found | defaults,
        sources={field: reading.source for field, reading in readings.items() if reading.source},
        defaulted=frozenset(defaults),
        problems=tuple(problem for reading in readings.values() for problem in reading.problems),
    )


def is_sent(document: JsonObject, field: Field, rules: Rules) -> bool:
    """Return whether Entra sends anything for a field, even a value that can't be used."""
    return any(read(document, source) is not None for source in rules.by_field[field].sources)


class _Reading(NamedTuple):
    """What the sources of one field gave."""

    value: Value | None = None
    source: str | None = None
    problems: tuple[Problem, ...] = ()


def _reading(document: JsonObject, rule: Rule, rules: Rules, served: str | None, today: date) -> _Reading:
    found: list[Problem] = []
    for source in _sources_of(rule, served):
        raw = read(document, source)
        if raw is None or _is_name_only(rule.field, source, raw):
            continue
        value = _value(rule.field, source, raw, rules, today)
        if value is None:
            return _Reading(problems=tuple(found))  # The source says that there is none: no other source is read.
        if not isinstance(value, Unusable):
            return _Reading(value, source.text, tuple(found))
        found.append(unusable(rule.field, source, raw, value))
        if rule.field in IDENTITY:
            break
    if rule.field in REQUIRED and not found:
        last = next((source for source in rule.sources if source.text == served), None)
        found.append(missing(rule.field, last or rule.sources[0]))
    return _Reading(problems=tuple(found))


def _sources_of(rule: Rule, served: str | None) -> tuple[SourcePath, ...]:
    if served is None or rule.field not in REQUIRED:
        return rule.sources
    texts = [source.text for source in rule.sources]
    if served not in texts:
        return rule.sources
    return rule.sources[: texts.index(served) + 1]


def _is_name_only(field: Field, source: SourcePath, raw: object) -> bool:
    """Return whether this is a user name that is no address. It was never an e-mail address, so it is not faulty."""
    return field is Field.email and _is(source, "userName") and not (isinstance(raw, str) and is_address(raw))


_NAMES = frozenset({Field.first_name, Field.last_name})


def _value(field: Field, source: SourcePath, raw: object, rules: Rules, today: date) -> Value | Unusable | None:
    if field is Field.end_date:
        return end_of(raw, rules.zone, today)
    if field not in _NAMES or not _is(source, "displayName"):
        return value_of(field, raw, rules.phone_region, rules.zone)
    text = text_of(raw)
    if isinstance(text, Unusable):
        return text
    parts = text.rsplit(maxsplit=1)
    if len(parts) < 2:
        return Unusable("one word gives no first and last name: map givenName and surname in Entra")
    return value_of(field, parts[0] if field is Field.first_name else parts[1], rules.phone_region, rules.zone)


def _is(source: SourcePath, attribute: str) -> bool:
    return source.urn is None and source.sub_attribute is None and source.attribute.lower() == attribute.lower()


def _defaults(readings: Mapping[Field, _Reading], rules: Rules, start: date) -> dict[Field, Value]:
    """Return what the bridge supplies where Entra sends nothing (rule H4); it replaces no unusable value."""
    supplied: dict[Field, Value | None] = {Field.start_date: start, Field.payroll: rules.payroll}
    return {
        field: value
        for field, value in supplied.items()
        if value is not None and readings[field].value is None and not readings[field].problems
    }
