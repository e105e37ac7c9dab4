"""The people whom the benchmarks store and ask for: as Entra sends them, by number."""

import json
from urllib.parse import quote

from scim_bridge.sandbox.directory import EntraUser, JsonObject, mapped, resource
from scim_bridge.scim.reading import DITIO_URN

DIGITS = 7
"""How many digits stand for a number wherever it occurs: rows of one person become another's by exchanging them."""

LARGEST = 10**DIGITS - 1


def digits(number: int) -> str:
    """A number as it stands in names, addresses and phone numbers."""
    return f"{number:0{DIGITS}d}"


def user_name(number: int) -> str:
    """The `userName` of a person."""
    return f"person{digits(number)}@contractor.example"


def document(number: int) -> JsonObject:
    """What Entra POSTs for a person, with a value for everything that is mapped."""
    unique = digits(number)
    user = EntraUser(
        object_id=f"5d1f3c0e-0000-4000-8000-00000{unique}",
        user_principal_name=user_name(number),
        display_name=f"Åse Nordmann {unique}",
        given_name="Åse",
        surname=f"Nordmann {unique}",
        mail=f"Ase.Nordmann{unique}@Contractor.example",
        # Any eight digits that begin with a 9 are a Norwegian mobile number.
        mobile=f"+47 9{unique}",
        job_title="Maskinfører",
        department="Anlegg",
        employee_id=unique,
        birth_date="1990-05-15",
        hire_date="2026-03-01",
    )
    return resource(mapped(user, active=True, extension=DITIO_URN, external_id="object_id"))


def body(number: int) -> bytes:
    """The body of that POST."""
    return json.dumps(document(number), ensure_ascii=False).encode()


def certificates(number: int) -> list[bytes]:
    """The bodies of two POSTs to `/Certificates`: what a competence system says of a person."""
    common = {"employeeNumber": digits(number), "issuedDateTime": "2026-01-15T00:00:00Z"}
    said = [
        {"certificateType": "Kranførerbevis", "validUntilDateTime": "2031-01-15T00:00:00Z"},
        {"certificateType": "Varme arbeider", "validUntilDateTime": "2031-01-15T00:00:00Z"},
    ]
    return [json.dumps({**common, **each, "certificateNumber": f"G{digits(number)}"}).encode() for each in said]


def match_query(number: int) -> str:
    """The query string with which Entra asks whether a person is there."""
    return "filter=" + quote(f'userName eq "{user_name(number)}"')
