"""Which SCIM attributes each field of an employee is read from, and whose word counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import Field, Owner
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN, SourcePath

SETTING = "MAPPING__FIELDS"
OSLO = ZoneInfo("Europe/Oslo")


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one field comes from."""

    field: Field
    sources: tuple[SourcePath, ...]
    """The first that is present serves."""

    owner: Owner


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that decides how a SCIM user is mapped."""

    by_field: Mapping[Field, Rule]
    phone_region: str = "NO"
    """The country of phone numbers that name none, by its two letters."""

    payroll: int | None = 1
    """`payroll` where Entra sends none: 0 disabled, 1 enabled, 2 variable; None leaves it out (rule H4)."""

    zone: ZoneInfo = OSLO
    """The company's time zone, in which an instant becomes a day."""

    def owners(self) -> dict[Field, Owner]:
        """Who decides what each field holds."""
        return {rule.field: rule.owner for rule in self.by_field.values()}


def _rule(field: Field, *sources: str, owner: Owner = Owner.entra) -> Rule:
    return Rule(field, tuple(SourcePath.parse(source) for source in sources), owner)


_DEFAULTS = (
    _rule(Field.employee_number, f"{ENTERPRISE_URN}:employeeNumber"),
    _rule(Field.first_name, "name.givenName", "displayName"),
    _rule(Field.last_name, "name.familyName", "displayName"),
    _rule(
        Field.phone,
        'phoneNumbers[type eq "mobile"].value',
        'phoneNumbers[type eq "work"].value',
        "phoneNumbers[primary eq true].value",
    ),
    _rule(Field.birth_date, f"{DITIO_URN}:birthDate", owner=Owner.seed),
    _rule(Field.email, 'emails[type eq "work"].value', "emails[primary eq true].value", "userName"),
    _rule(Field.work_title, "title"),
    _rule(Field.department, f"{ENTERPRISE_URN}:department"),
    _rule(Field.start_date, f"{DITIO_URN}:employmentStartDate"),
    _rule(Field.end_date, f"{DITIO_URN}:employmentEndDate"),
    _rule(Field.payroll, f"{DITIO_URN}:payroll", owner=Owner.seed),
)

DEFAULT_RULES = Rules({rule.field: rule for rule in _DEFAULTS})
"""The mapping of a bridge without a setting (design, section 6; owners from rule H5)."""


def rules_from(
    setting: Mapping[str, Mapping[str, object]],
    *,
    phone_region: str = DEFAULT_RULES.phone_region,
    payroll: int | None = DEFAULT_RULES.payroll,
    zone: ZoneInfo = DEFAULT_RULES.zone,
) -> Rules:
    """The default rules with the setting ``MAPPING__FIELDS`` merged over them.

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
        raise ValueError(f'{where} is no table: write one with "from" and "owner"')
    for place, key in enumerate(entry, start=1):
        _one_of(f"{where}, name {place}", key, ("from", "owner"))
    sources = _sources(f"{where}.from", entry["from"]) if "from" in entry else rule.sources
    owner = Owner(_one_of(f"{where}.owner", entry["owner"], Owner)) if "owner" in entry else rule.owner
    return Rule(rule.field, sources, owner)


def _sources(where: str, found: object) -> tuple[SourcePath, ...]:
    if not isinstance(found, (list, tuple)) or not found or not all(isinstance(item, str) for item in found):
        raise ValueError(f'{where} is no list of texts: write a list of SCIM attribute paths, as in ["userName"]')
    try:
        return tuple(SourcePath.parse(item) for item in found)
    except ValueError as exc:
        raise ValueError(f"{where}: {exc}") from exc


def _one_of(where: str, found: object, allowed: Iterable[str]) -> str:
    names = [str(name) for name in allowed]
    if not isinstance(found, str) or found not in names:
        # Not quoted: a secret that was put in the wrong place would be in the log.
        raise ValueError(f"{where} is not known here: write one of {', '.join(names)}")
    return found
