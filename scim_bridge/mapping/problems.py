"""How a missing or unusable value is told to the administrator who reads Entra's provisioning log."""

from scim_bridge.domain.employee import Field, Problem
from scim_bridge.mapping.values import Unusable
from scim_bridge.scim.reading import ENTERPRISE_URN, SourcePath

LONGEST_SHOWN = 60
"""Characters of a value that a message quotes."""

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
"""SCIM attribute → the attribute that Entra's default attribute mapping maps to it."""


def missing(field: Field, source: SourcePath) -> Problem:
    """A required field that no source has.

    :param source: The attribute to send it in.
    """
    in_entra = _IN_ENTRA.get(source.text, "an attribute")
    cure = f"map {in_entra} to {source.text} in Entra's attribute mapping, and fill it in for this user"
    return Problem(field, source.text, f"{field} is missing: {cure}")


def unusable(field: Field, source: SourcePath, raw: object, unusable: Unusable) -> Problem:
    """A value that is there and can't be used."""
    return Problem(field, source.text, f"{source.text} is {shown(raw)}: {unusable.why}")


def shown(raw: object) -> str:
    """A value for a message: in quotes if it is text, on one line, bounded in length."""
    if isinstance(raw, (list, dict)):
        return "a list" if isinstance(raw, list) else "an object"
    text = str(raw)
    line = "".join(c if c.isprintable() else "�" for c in text[: LONGEST_SHOWN + 1])
    if len(line) > LONGEST_SHOWN:
        line = line[: LONGEST_SHOWN - 1] + "…"
    return f'"{line}"' if isinstance(raw, str) else line
