"""The directory of the simulated Entra: users, their attributes, and the mapping to SCIM."""

from __future__ import annotations

import random as randomness
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta


@dataclass(slots=True)
class EntraUser:
    """A user of the directory, and whether they are assigned to the bridge's enterprise application."""

    object_id: str
    user_principal_name: str
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    mail: str | None = None
    mobile: str | None = None
    telephone_number: str | None = None
    job_title: str | None = None
    department: str | None = None
    employee_id: str | None = None

    manager: str | None = None
    """Object id of another user."""

    account_enabled: bool = True
    """False: sign-in is blocked."""

    soft_deleted: bool = False
    """In the recycle bin, from which they may be restored for 30 days."""

    assigned: bool = True
    """Assigned to the application, and so in scope."""

    birth_date: str | None = None
    """As the mapping sends it: a custom attribute is text."""

    hire_date: str | None = None
    """`employeeHireDate`, as the mapping sends it."""

    leave_date: str | None = None
    """`employeeLeaveDateTime`, as the mapping sends it."""

    extra: dict[str, object] = field(default_factory=dict)
    """Further attributes: PATCH paths and their values, sent as they are."""

    user_type: str = "Member"
    """`Member` or `Guest`."""

    office_location: str | None = None
    """Not in the default mapping, and so never sent."""

    @property
    def active(self) -> bool:
        """Return whether a user who needs no group to be assigned is active in the target."""
        return self.assigned and not self.soft_deleted and self.account_enabled


@dataclass(slots=True)
class EntraGroup:
    """A group of the directory. One that is assigned to the application brings its direct members into scope."""

    object_id: str
    display_name: str
    members: list[str] = field(default_factory=list)
    """Object ids of users, and of groups: their members are not in scope by that."""

    assigned: bool = True
    """Assigned to the application."""

    devices: list[str] = field(default_factory=list)
    """Object ids of members that are devices."""

    security_enabled: bool = True
    """False: provisioning takes no notice of it."""

    visibility: str | None = None
    """`HiddenMembership`: who may read the group may still not see its members."""

    membership_rule: str | None = None
    """The rule of a dynamic group. The sandbox does not evaluate it."""

    membership_rule_processing_state: str | None = None
    """`On` or `Paused`, of a dynamic group."""


class Directory:
    """All users and groups, by object id; change the objects freely between cycles."""

    def __init__(self) -> None:
        self.users: dict[str, EntraUser] = {}
        self.groups: dict[str, EntraGroup] = {}
        self.purged: dict[str, EntraUser | EntraGroup] = {}
        """The users and groups that were deleted for good and that provisioning has not dealt with, as they were."""
        self.sources: dict[str, str] = {}
        """Where `EntraUser.extra` comes from: PATCH path → `extensionAttribute2` or `extension_<app id>_<name>`."""

    def add(self, user: EntraUser) -> EntraUser:
        """Add a user, or replace the one with its object id."""
        self.users[user.object_id] = user
        return user

    def add_group(self, group: EntraGroup) -> EntraGroup:
        """Add a group, or replace the one with its object id."""
        self.groups[group.object_id] = group
        return group

    def hard_delete(self, object_id: str) -> None:
        """Delete a user or group for good, as a purge or day 30 in the recycle bin does.

        :raises KeyError: there is none with this object id.
        """
        gone = self.groups.pop(object_id) if object_id in self.groups else self.users.pop(object_id)
        self.purged[object_id] = gone

    def assigned_by_group(self) -> set[str]:
        """Return the object ids of the direct members of assigned groups."""
        groups = [group for group in self.groups.values() if group.assigned and group.security_enabled]
        return {member for group in groups for member in group.members}


CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MANAGER = f"{ENTERPRISE}:manager"

JsonObject = dict[str, object]

_FILTERED = re.compile(r'(?P<list>\w+)\[type eq "(?P<type>[^"]*)"\]\.(?P<name>\w+)')

_PATHS = {
    "userPrincipalName": "userName",
    "displayName": "displayName",
    "givenName": "name.givenName",
    "surname": "name.familyName",
    "jobTitle": "title",
    "mail": 'emails[type eq "work"].value',
    "telephoneNumber": 'phoneNumbers[type eq "work"].value',
    "mobile": 'phoneNumbers[type eq "mobile"].value',
    "employeeId": f"{ENTERPRISE}:employeeNumber",
    "department": f"{ENTERPRISE}:department",
    "manager": MANAGER,
}
_EXTENSION = {
    "birthDate": "birthDate",
    "employeeHireDate": "employmentStartDate",
    "employeeLeaveDateTime": "employmentEndDate",
}
_FIELDS = {"employeeHireDate": "hire_date", "employeeLeaveDateTime": "leave_date", "objectId": "object_id"}

BIRTH_DATE_SOURCE = "extensionAttribute1"
"""Where the directory has the birth date, which is no attribute of Entra's own."""


def sources(extension: str, external_id: str) -> dict[str, str]:
    """Return the default mapping: SCIM target → the attribute's name in Entra's provisioning."""
    by_target = {"externalId": _camel(external_id)}
    for attribute in (*_PATHS, *_EXTENSION):
        source = BIRTH_DATE_SOURCE if attribute == "birthDate" else attribute
        by_target[scim_path(attribute, extension)] = source
    return by_target


def _camel(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(map(str.title, others))


def scim_path(attribute: str, extension: str) -> str:
    """Return the PATCH path of an Entra attribute (`jobTitle`); a path is returned as it is."""
    if attribute in _EXTENSION:
        return f"{extension}:{_EXTENSION[attribute]}"
    return _PATHS.get(attribute, attribute)


def field_name(attribute: str) -> str:
    """Return the field of `EntraUser` that holds an Entra attribute."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", attribute).lower()
    return _FIELDS.get(attribute, snake)


def mapped(user: EntraUser, *, active: bool, extension: str, external_id: str) -> JsonObject:
    """Return what the mapping wants, by PATCH path: no empty values (nulls do not flow), no manager.

    :param active: What `Switch([IsSoftDeleted] …)` makes of the user.
    :param extension: URN of the extension for the dates.
    :param external_id: Field of `EntraUser` that is mapped to `externalId`.
    """
    wanted: JsonObject = {"externalId": getattr(user, external_id), "active": active}
    for attribute in (*_PATHS, *_EXTENSION):
        if attribute != "manager":
            wanted[scim_path(attribute, extension)] = getattr(user, field_name(attribute))
    names = [name for name in (user.given_name, user.surname) if name]
    wanted["name.formatted"] = " ".join(names)
    # "When userPrincipalName is a source attribute, the #EXT# of a guest is stripped" (how-provisioning-works.md).
    wanted["userName"] = user.user_principal_name.replace("#EXT#", "")
    return {path: value for path, value in (wanted | user.extra).items() if value not in (None, "")}


def resource(wanted: Mapping[str, object]) -> JsonObject:
    """Return the body of a POST. As Entra does, it lists the core and enterprise schemas and no other."""
    document: JsonObject = {"schemas": [CORE, ENTERPRISE]}
    for path, value in wanted.items():
        _place(document, path, value)
    return document | {"meta": {"resourceType": "User"}, "roles": document.get("roles", [])}


def value_at(document: Mapping[str, object], path: str) -> object:
    """Return what a resource has at a PATCH path; None where it has nothing."""
    if (match := _FILTERED.fullmatch(path)) is not None:
        elements = _as_list(document.get(match["list"]))
        found = [each for each in elements if isinstance(each, dict) and each.get("type") == match["type"]]
        return found[0].get(match["name"]) if found else None
    owner, name = _owner(path)
    value = _as_object(document.get(owner)).get(name) if owner else document.get(name)
    return _as_object(value).get("value") if path == MANAGER and isinstance(value, dict) else value


def _place(document: JsonObject, path: str, value: object) -> None:
    if (match := _FILTERED.fullmatch(path)) is not None:
        elements = _as_list(document.setdefault(match["list"], []))
        _element(elements, match["list"], match["type"])[match["name"]] = value
        return
    owner, name = _owner(path)
    target = _as_object(document.setdefault(owner, {})) if owner else document
    target[name] = value


def _element(elements: list[object], owner: str, kind: str) -> JsonObject:
    for element in elements:
        if isinstance(element, dict) and element.get("type") == kind:
            return element
    # Entra marks the e-mail address and the work phone as primary.
    new: JsonObject = {"primary": True, "type": kind} if kind == "work" else {"type": kind}
    elements.append(new)
    return new


def _owner(path: str) -> tuple[str, str]:
    """Split `name.givenName` and `urn:…:User:department` into owner and attribute."""
    owner, _, name = path.rpartition(":" if path.startswith("urn:") else ".")
    return owner, name


def _as_object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES = _words(
    """
    Anders Anne Arne Astrid Bjørn Bjørg Camilla Dag Eirik Elin Erik Espen Eva Frode Geir Grete Gunnar
    Hanne Hege Henrik Håkon Ida Inger Ingrid Ivar Jan Jonas Jørgen Kari Kjell Kjersti Knut Kristin Lars
    Leif Lene Linda Magnus Marit Marte Mona Morten Nina Odd Ola Ole Olav Pål Per Ragnhild Randi Roar
    Rune Silje Siri Solveig Stein Svein Sverre Terje Thomas Tone Tor Torill Trond Trygve Unni Vegard
    Vidar Wenche Øystein Åse
    """
)
_SURNAMES = _words(
    """
    Aas Amundsen Andersen Bakke Berg Berge Bakken Brekke Christensen Dahl Dale Eide Eliassen Eriksen
    Fredriksen Gulbrandsen Hagen Halvorsen Hansen Haugen Haugland Hauge Henriksen Holm Iversen Jacobsen
    Jensen Johansen Karlsen Knutsen Kristiansen Larsen Lie Lund Løken Martinsen Moen Myhre Myklebust
    Nilsen Nygård Olsen Pedersen Rasmussen Ruud Rønning Sandvik Sivertsen Solberg Solheim Strand Strøm
    Sæther Sørensen Tangen Tveit Vik Øen Ødegård
    """
)
_JOBS = {
    "Anlegg": ("Anleggsarbeider", "Maskinfører", "Grunnarbeider", "Sprengningsbas", "Rørlegger", "Formann"),
    "Bygg": ("Tømrer", "Betongarbeider", "Forskalingssnekker", "Kranfører", "Murer", "Bas"),
    "Vei": ("Asfaltarbeider", "Lastebilsjåfør", "Hjullasterfører", "Veiarbeider", "Formann"),
    "Prosjekt": ("Prosjektleder", "Anleggsleder", "Stikningsingeniør", "HMS-leder", "Kalkulatør"),
    "Verksted": ("Mekaniker", "Verkstedleder", "Sveiser", "Lagerarbeider"),
    "Administrasjon": ("Lønnsmedarbeider", "Regnskapsmedarbeider", "HR-rådgiver", "Innkjøper"),
}
# Mobile numbers of the Norwegian numbering plan: eight digits, beginning so.
_PREFIXES = ("40", "41", "45", "46", "47", "48", *(str(number) for number in range(90, 100)))
_SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda digits: f"+47 {digits[:3]} {digits[3:5]} {digits[5:]}",
    lambda digits: digits,
    lambda digits: f"0047{digits}",
    lambda digits: f"+47{digits}",
    lambda digits: f"{digits[:2]} {digits[2:4]} {digits[4:6]} {digits[6:]}",
)
_ASCII = str.maketrans({"æ": "ae", "ø": "o", "å": "a"})


FIRST_NUMBER = 1001
"""The employee number of the first user that is made up; the others follow it."""


def people(count: int, rng: randomness.Random) -> list[EntraUser]:
    """Return `count` users, complete enough to become employees; no two share an address or a phone number."""
    phones = _phones(count, rng)
    addresses: set[str] = set()
    return [_person(rng, phone, FIRST_NUMBER + index, addresses) for index, phone in enumerate(phones)]


def _person(rng: randomness.Random, phone: str, number: int, addresses: set[str]) -> EntraUser:
    given_name, surname = rng.choice(_FIRST_NAMES), rng.choice(_SURNAMES)
    address = _address(given_name, surname, addresses)
    department = rng.choice(list(_JOBS))
    return EntraUser(
        object_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        user_principal_name=address,
        display_name=f"{given_name} {surname}",
        given_name=given_name,
        surname=surname,
        mail=address,
        mobile=rng.choice(_SPELLINGS)(phone),
        job_title=rng.choice(_JOBS[department]),
        department=department,
        employee_id=str(number),
        birth_date=_day(rng, date(1960, 1, 1), date(2004, 12, 31)),
        hire_date=_day(rng, date(2012, 1, 1), date(2025, 6, 30)),
    )


def _phones(count: int, rng: randomness.Random) -> list[str]:
    """Return distinct mobile numbers, eight digits each."""
    numbers: dict[str, None] = {}
    while len(numbers) < count:
        numbers[f"{rng.choice(_PREFIXES)}{rng.randrange(1_000_000):06d}"] = None
    return list(numbers)


def _address(given_name: str, surname: str, taken: set[str]) -> str:
    local = f"{given_name}.{surname}".lower().translate(_ASCII)
    candidate, suffix = local, 1
    while candidate in taken:
        suffix += 1
        candidate = f"{local}{suffix}"
    taken.add(candidate)
    return f"{candidate}@contractor.example"


def _day(rng: randomness.Random, first: date, last: date) -> str:
    return (first + timedelta(days=rng.randrange((last - first).days + 1))).isoformat()
