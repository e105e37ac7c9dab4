"""Invented people of a Norwegian construction contractor, for demos, tests and benchmarks."""

from __future__ import annotations

import random as randomness
import uuid
from collections.abc import Callable
from datetime import date, timedelta

from scim_bridge.sandbox.directory import EntraUser


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


def people(
    count: int, rng: randomness.Random, *, domain: str = "contractor.example", start_number: int = 1001
) -> list[EntraUser]:
    """Return `count` users, complete enough to become employees; no two share an address or a phone number.

    :param start_number: Employee number of the first; the others follow it.
    """
    phones = _phones(count, rng)
    addresses: set[str] = set()
    return [_person(rng, phone, start_number + index, domain, addresses) for index, phone in enumerate(phones)]


def _person(rng: randomness.Random, phone: str, number: int, domain: str, addresses: set[str]) -> EntraUser:
    given_name, surname = rng.choice(_FIRST_NAMES), rng.choice(_SURNAMES)
    address = _address(given_name, surname, domain, addresses)
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


def _address(given_name: str, surname: str, domain: str, taken: set[str]) -> str:
    local = f"{given_name}.{surname}".lower().translate(_ASCII)
    candidate, suffix = local, 1
    while candidate in taken:
        suffix += 1
        candidate = f"{local}{suffix}"
    taken.add(candidate)
    return f"{candidate}@{domain}"


def _day(rng: randomness.Random, first: date, last: date) -> str:
    return (first + timedelta(days=rng.randrange((last - first).days + 1))).isoformat()
