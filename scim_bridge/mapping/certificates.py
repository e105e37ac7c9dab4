"""A certificate out of the texts in which it is sent in, by whatever way (rules K1, K5, T1)."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from scim_bridge.domain.certificate import FURTHEST_YEARS, Certificate, Entry, is_far_off, type_of
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.employee import Field as EmployeeField
from scim_bridge.domain.values import nfc
from scim_bridge.mapping.days import CURE, read_day
from scim_bridge.mapping.problems import shown
from scim_bridge.mapping.values import LONGEST, Unusable, text_of

LONGEST_TYPE = 200
"""Characters: a type is part of a key, which no database lets grow without end."""

LONGEST_TEXT = 4000
"""Characters of a certificate's number, or of its notes."""


class Part(StrEnum):
    """A part of a certificate, by the name that `/Certificates`, the CSV and Ditio give it."""

    employee_number = "employeeNumber"
    type = "certificateType"
    number = "certificateNumber"
    issued = "issuedDateTime"
    valid_until = "validUntilDateTime"
    notes = "notes"


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides whether a certificate can be used."""

    zone: ZoneInfo
    today: date
    missing_expiry: date | None = None
    """The day that stands for an end that is not said; None refuses a certificate without one (rule K5)."""

    cure: str = CURE
    """What to do about a date that can't be read."""

    names: Mapping[Part, str] = field(default_factory=dict)
    """What the parts are called where they come from; those that are not named have their own names."""

    def name(self, part: Part) -> str:
        """What a part is called."""
        return self.names.get(part, part.value)


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a certificate can't be used, for whoever sent it."""

    part: Part
    text: str
    """What is wrong, with the part's name, the value and the cure."""


def certificate_from(said: Mapping[Part, object], terms: Terms) -> Certificate | Flaw:
    """The certificate that some texts are; a part that is absent, null or blank is not said.

    Both days are days: an instant is converted as rule T1 says.
    """
    texts: dict[Part, str | None] = {}
    for part in (Part.type, Part.issued, Part.valid_until, Part.number, Part.notes):
        text = _text(said.get(part), _longest(part))
        if isinstance(text, Unusable):
            return _flaw(part, said.get(part), text.why, terms)
        texts[part] = text
    kind, issued_text, end_text = texts[Part.type], texts[Part.issued], texts[Part.valid_until]
    if kind is None:
        return Flaw(Part.type, f"{terms.name(Part.type)} is missing")
    if issued_text is None:
        return Flaw(Part.issued, f"{terms.name(Part.issued)} is missing: a certificate can't do without it")
    if end_text is None and terms.missing_expiry is None:
        why = "a certificate without an end is refused, unless CERTIFICATES__MISSING_EXPIRY has a date"
        return Flaw(Part.valid_until, f"{terms.name(Part.valid_until)} is missing: {why}")
    issued = _day(Part.issued, issued_text, terms)
    if isinstance(issued, Flaw):
        return issued
    end = None if end_text is None else _day(Part.valid_until, end_text, terms)
    if isinstance(end, Flaw):
        return end
    if (end or terms.missing_expiry or date.max) <= issued:
        name = terms.name(Part.valid_until)
        why = f"it is not after {terms.name(Part.issued)}, {issued}: correct one of the two"
        return Flaw(Part.valid_until, f"{name} is {end or terms.missing_expiry}: {why}")
    return Certificate(type_of(kind), issued, end, texts[Part.number], texts[Part.notes])


def number_from(raw: object) -> EmployeeNumber | Flaw:
    """The employee number that a certificate is said under: trimmed, and otherwise exact (rule P4)."""
    text = _text(raw, LONGEST[EmployeeField.employee_number])
    if text is None:
        return Flaw(Part.employee_number, f"{Part.employee_number} is missing")
    if isinstance(text, Unusable):
        return Flaw(Part.employee_number, f"{Part.employee_number} is {shown(raw)}: {text.why}")
    return EmployeeNumber(text)


def _day(part: Part, text: str, terms: Terms) -> date | Flaw:
    day = read_day(text, terms.zone, terms.cure)
    if isinstance(day, str):
        return _flaw(part, text, day, terms)
    if is_far_off(day, terms.today):
        return _flaw(part, text, f"it is more than {FURTHEST_YEARS} years off: correct it", terms)
    return day


def _text(raw: object, longest: int) -> str | Unusable | None:
    if raw is None:
        return None
    text = text_of(raw)
    if isinstance(text, Unusable):
        return text
    if len(text) > longest:
        return Unusable(f"it is longer than {longest} characters: shorten it")
    if any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in text):
        return Unusable("it has control characters: type it anew")
    return nfc(text) or None


def _longest(part: Part) -> int:
    return LONGEST_TYPE if part is Part.type else LONGEST_TEXT


def _flaw(part: Part, raw: object, why: str, terms: Terms) -> Flaw:
    return Flaw(part, f"{terms.name(part)} is {shown(raw)}: {why}")


def changed_parts(before: Entry | None, after: Entry) -> tuple[str, ...]:
    """The names of what is said differently now; nothing where nobody knows what was said before."""
    if before is None:
        return ()
    said = [_parts(entry) for entry in (before, after)]
    return tuple(part.value for part in Part if said[0][part] != said[1][part])


def _parts(entry: Entry) -> dict[Part, object]:
    certificate = entry.certificate
    return {
        Part.employee_number: entry.employee_number,
        Part.type: certificate.type,
        Part.number: certificate.number,
        Part.issued: certificate.issued,
        Part.valid_until: certificate.valid_until,
        Part.notes: certificate.notes,
    }
