"""The employee that a SCIM User document asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from scim_bridge.domain.employee import REQUIRED, Field, Owner, Problem, Value, Wish
from scim_bridge.domain.values import JsonObject
from scim_bridge.mapping import problems
from scim_bridge.mapping.rules import Rule, Rules
from scim_bridge.mapping.values import Unusable, end_of, is_address, text_of, value_of
from scim_bridge.scim.reading import SourcePath, read

IDENTITY = frozenset({Field.employee_number, Field.phone})
"""Where the next source does not replace an unusable value: it would be another employee or login."""


def wish_from_user(
    document: JsonObject,
    rules: Rules,
    *,
    today: date,
    provisioned_on: date | None = None,
    served: Mapping[Field, str] | None = None,
) -> Wish:
    """The wished employee; what can't be used is left out of its values and named in its problems.

    :param today: The day that intake decided (rule L1).
    :param provisioned_on: The start of an employment for which Entra sends none (rule H4); None: `today`.
    :param served: For a linked person, the sources that served last. A required value is then read from that
        source or from one earlier in the list, never from a later one (rule C3).
    """
    served = served or {}
    readings = {
        field: _reading(document, rule, rules, served.get(field), today)
        for field, rule in rules.by_field.items()
        # An end of Ditio's own is no wish: a leave date of Entra's would end an employment (rule H5).
        if not (field is Field.end_date and rule.owner is Owner.ditio)
    }
    defaults = _defaults(readings, rules, provisioned_on or today)
    found = {field: reading.value for field, reading in readings.items() if reading.value is not None}
    return Wish(
        values=found | defaults,
        sources={field: reading.source for field, reading in readings.items() if reading.source},
        defaulted=frozenset(defaults),
        problems=tuple(problem for reading in readings.values() for problem in reading.problems),
    )


def is_sent(document: JsonObject, field: Field, rules: Rules) -> bool:
    """Whether Entra sends anything for a field, be it a value that can't be used."""
    return any(read(document, source) is not None for source in rules.by_field[field].sources)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the sources of one field gave."""

    value: Value | None = None
    source: str | None = None
    problems: tuple[Problem, ...] = ()


def _reading(document: JsonObject, rule: Rule, rules: Rules, served: str | None, today: date) -> _Reading:
    found: list[Problem] = []
    for source in _sources(rule, served):
        raw = read(document, source)
        if raw is None or _is_name_only(rule.field, source, raw):
            continue
        value = _value(rule.field, source, raw, rules, today)
        if value is None:
            return _Reading(problems=tuple(found))  # The source says that there is none: no other is asked.
        if not isinstance(value, Unusable):
            return _Reading(value, source.text, tuple(found))
        found.append(problems.unusable(rule.field, source, raw, value))
        if rule.field in IDENTITY:
            break
    if rule.field in REQUIRED and not found:
        last = next((source for source in rule.sources if source.text == served), None)
        found.append(problems.missing(rule.field, last or rule.sources[0]))
    return _Reading(problems=tuple(found))


def _sources(rule: Rule, served: str | None) -> tuple[SourcePath, ...]:
    texts = [source.text for source in rule.sources]
    if rule.field not in REQUIRED or served not in texts:
        return rule.sources
    return rule.sources[: texts.index(served) + 1]


def _is_name_only(field: Field, source: SourcePath, raw: object) -> bool:
    """A user name that is no address is not a faulty e-mail address: it was never meant as one."""
    return field is Field.email and _is(source, "userName") and not (isinstance(raw, str) and is_address(raw))


def _value(field: Field, source: SourcePath, raw: object, rules: Rules, today: date) -> Value | Unusable | None:
    if field is Field.end_date:
        return end_of(raw, rules, today)
    if field not in (Field.first_name, Field.last_name) or not _is(source, "displayName"):
        return value_of(field, raw, rules)
    text = text_of(raw)
    if isinstance(text, Unusable):
        return text
    parts = text.rsplit(maxsplit=1)
    if len(parts) < 2:
        return Unusable("one word gives no first and last name: map givenName and surname in Entra")
    return value_of(field, parts[0] if field is Field.first_name else parts[1], rules)


def _is(source: SourcePath, attribute: str) -> bool:
    return (source.urn, source.sub_attribute) == (
        None,
        None,
    ) and source.attribute.lower() == attribute.lower()


def _defaults(readings: Mapping[Field, _Reading], rules: Rules, start: date) -> dict[Field, Value]:
    """What the bridge supplies where Entra sends nothing (rule H4); an unusable value is not replaced."""
    supplied: dict[Field, Value | None] = {Field.start_date: start, Field.payroll: rules.payroll}
    return {
        field: value
        for field, value in supplied.items()
        if value is not None and readings[field].value is None and not readings[field].problems
    }
