"""The attribute mapping of the simulated Entra: from a directory user to SCIM, flat by PATCH path.

Source: Microsoft, "Customize user provisioning attribute mappings", default mapping of a custom application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from scim_bridge.sandbox.directory import EntraUser

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
_FIELDS = {"employeeHireDate": "hire_date", "employeeLeaveDateTime": "leave_date"}


def scim_path(attribute: str, extension: str) -> str:
    """Return the PATCH path of an Entra attribute (`jobTitle`); a path is returned as it is."""
    if attribute in _EXTENSION:
        return f"{extension}:{_EXTENSION[attribute]}"
    return _PATHS.get(attribute, attribute)


def field_name(attribute: str) -> str:
    """Return the field of `EntraUser` that holds an Entra attribute."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", attribute).lower()
    return _FIELDS.get(attribute, snake)


def mapped(user: EntraUser, *, extension: str, external_id: str) -> JsonObject:
    """Return what the mapping wants, by PATCH path: no empty values (nulls do not flow), no manager.

    :param extension: URN of the extension for the dates.
    :param external_id: Field of `EntraUser` that is mapped to `externalId`.
    """
    wanted: JsonObject = {"externalId": getattr(user, external_id), "active": user.active}
    for attribute in (*_PATHS, *_EXTENSION):
        if attribute != "manager":
            wanted[scim_path(attribute, extension)] = getattr(user, field_name(attribute))
    names = [name for name in (user.given_name, user.surname) if name]
    wanted["name.formatted"] = " ".join(names)
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
