"""Read certificates out of the texts and slots in which they arrive (rules K1, K5, T1)."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from scim_bridge.domain.certificate import (
    Certificate,
    CertificateRules,
    CertificateType,
    Entry,
    PackedSlot,
    Part,
    Slot,
    Source,
    SpreadSlot,
    type_of,
)
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.employee import Field as EmployeeField
from scim_bridge.domain.values import FURTHEST_YEARS, LONGEST, JsonObject, Unusable, is_far_off, nfc, read_day, text_of
from scim_bridge.scim.mapping import shown
from scim_bridge.scim.reading import DITIO_URN, SourcePath, read

WAYS_IN = {
    Source.certificates: "/Certificates",
    Source.csv: "a CSV file (certificates import)",
    Source.slot: "Entra (a slot of the user)",
}
"""How messages name a source."""

_ORDER = "The newest issuedDateTime wins, then the later validUntilDateTime; on equal dates the stored one stays"


def called(entry: Entry) -> str:
    """Name a certificate in a message."""
    employee = f"employee {entry.employee_number}" if entry.employee_number else "a person without an employee number"
    return f'the certificate "{entry.certificate.type}" of {employee}'


def lost_to(winner: Entry) -> str:
    """Return the message when another source's entry wins."""
    return (
        f"{called(winner)} comes from {WAYS_IN[winner.source]}: {described(winner.certificate)}. "
        f"{_ORDER}. Send a newer one, or correct it there"
    )


def held_already(entry: Entry) -> str:
    """Return the message when `/Certificates` already has that type."""
    return (
        f"{called(entry)} is already in /Certificates, with the id {entry.id}: {described(entry.certificate)}. "
        "Replace or patch that one"
    )


def belongs_to(entry: Entry) -> str:
    """Return the message when a client tries to change an entry of another source."""
    return (
        f"{called(entry)} comes from {WAYS_IN[entry.source]}: {described(entry.certificate)}. "
        "Change it there, or POST a newer one of your own"
    )


def withdrawn_elsewhere(entry: Entry) -> str:
    """Return the message when a command tries to withdraw an entry that is not from a file."""
    where = "Clear the slot there" if entry.source is Source.slot else f"Delete it there, id {entry.id}"
    return f"{called(entry)} comes from {WAYS_IN[entry.source]}: {described(entry.certificate)}. {where}"


def described(certificate: Certificate) -> str:
    """Describe a certificate by its number and days."""
    number = f"number {certificate.number}" if certificate.number else "without a number"
    return f"{number}, issued {certificate.issued}, {ending(certificate)}"


def ending(certificate: Certificate) -> str:
    """Describe until when a certificate is valid."""
    return f"valid until {certificate.valid_until}" if certificate.valid_until else "without an end"


LONGEST_TYPE = 200
"""Characters of a certificate's type. It is part of a key, and databases limit the length of keys."""

LONGEST_TEXT = 4000
"""Characters of a certificate's number, or of its notes."""


@dataclass(frozen=True, slots=True)
class InvalidCertificate:
    """Why a certificate can't be used, for its sender."""

    part: Part
    text: str
    """What is wrong, with the part's name, the value and the cure."""


def certificate_from(said: Mapping[Part, object], terms: CertificateRules) -> Certificate | InvalidCertificate:
    """Return the certificate that some texts describe. A part that is absent, null or blank counts as missing.

    Both dates are days: an instant is converted as rule T1 says.
    """
    texts: dict[Part, str | None] = {}
    for part in (Part.type, Part.issued, Part.valid_until, Part.number, Part.notes):
        text = _text(said.get(part), _longest(part))
        if isinstance(text, Unusable):
            return _flaw(part, said.get(part), text.why, terms)
        texts[part] = text
    kind, issued_text, end_text = texts[Part.type], texts[Part.issued], texts[Part.valid_until]
    if kind is None:
        return InvalidCertificate(Part.type, f"{terms.name(Part.type)} is missing")
    if issued_text is None:
        return InvalidCertificate(Part.issued, f"{terms.name(Part.issued)} is missing: every certificate needs it")
    if end_text is None and terms.missing_expiry is None:
        why = "a certificate without an end is refused, unless CERTIFICATES__MISSING_EXPIRY has a date"
        return InvalidCertificate(Part.valid_until, f"{terms.name(Part.valid_until)} is missing: {why}")
    issued = _day(Part.issued, issued_text, terms)
    if isinstance(issued, InvalidCertificate):
        return issued
    end = None if end_text is None else _day(Part.valid_until, end_text, terms)
    if isinstance(end, InvalidCertificate):
        return end
    if (end or terms.missing_expiry or date.max) <= issued:
        name = terms.name(Part.valid_until)
        why = f"it is not after {terms.name(Part.issued)}, {issued}: correct one of the two"
        return InvalidCertificate(Part.valid_until, f"{name} is {end or terms.missing_expiry}: {why}")
    return Certificate(type_of(kind), issued, end, texts[Part.number], texts[Part.notes])


def number_from(raw: object) -> EmployeeNumber | InvalidCertificate:
    """Return the employee number of a certificate: trimmed, and otherwise exact (rule P4)."""
    text = _text(raw, LONGEST[EmployeeField.employee_number])
    if text is None:
        return InvalidCertificate(Part.employee_number, f"{Part.employee_number} is missing")
    if isinstance(text, Unusable):
        return InvalidCertificate(Part.employee_number, f"{Part.employee_number} is {shown(raw)}: {text.why}")
    return EmployeeNumber(text)


def _day(part: Part, text: str, terms: CertificateRules) -> date | InvalidCertificate:
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
        return Unusable("it has control characters: type it again")
    return nfc(text) or None


def _longest(part: Part) -> int:
    return LONGEST_TYPE if part is Part.type else LONGEST_TEXT


def _flaw(part: Part, raw: object, why: str, terms: CertificateRules) -> InvalidCertificate:
    return InvalidCertificate(part, f"{terms.name(part)} is {shown(raw)}: {why}")


def changed_parts(before: Entry | None, after: Entry) -> tuple[str, ...]:
    """Return the names of the parts that changed; empty if the entry before is unknown."""
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


_IN_ORDER = (Part.number, Part.issued, Part.valid_until, Part.notes)
"""The parts of a packed slot: ``number;issued;validUntil;notes``."""

_CALLED = {Part.number: "number", Part.issued: "issued", Part.valid_until: "validUntil", Part.notes: "notes"}


@dataclass(frozen=True, slots=True)
class SlotReading:
    """The content of one slot of a user."""

    type: CertificateType
    said: Certificate | InvalidCertificate | None
    """The certificate, or why it can't be used; None if the slot is empty."""


def slots_from(raw: Sequence[Mapping[str, str]]) -> tuple[Slot, ...]:
    """Return the slots of the settings, which have validated them already."""
    return tuple(
        PackedSlot(type_of(slot["type"]), slot["packed"])
        if "packed" in slot
        else SpreadSlot(
            type_of(slot["type"]), slot["issued"], slot["valid_until"], slot.get("number"), slot.get("notes")
        )
        for slot in raw
    )


def slots_of(document: JsonObject, slots: Sequence[Slot], terms: CertificateRules) -> list[SlotReading]:
    """Read all slots of a user. An attribute that a PATCH leaves out is still in the document."""
    return [SlotReading(slot.type, _said(document, slot, terms)) for slot in slots]


def _said(document: JsonObject, slot: Slot, terms: CertificateRules) -> Certificate | InvalidCertificate | None:
    parts = dict(_spread(document, slot) if isinstance(slot, SpreadSlot) else _unpacked(document, slot))
    if not any(_is_said(value) for value in parts.values()):
        return None
    return certificate_from({**parts, Part.type: slot.type}, replace(terms, names=_names(slot)))


def _spread(document: JsonObject, slot: SpreadSlot) -> Iterator[tuple[Part, object]]:
    for part, attribute in _attributes(slot):
        yield part, _value(document, attribute)


def _unpacked(document: JsonObject, slot: PackedSlot) -> Iterator[tuple[Part, object]]:
    """Yield the parts of a packed slot. Entra's `Join(";", …)` keeps all separators, so ``;;;`` is an empty slot."""
    value = _value(document, slot.packed)
    text = "" if value is None else str(value)
    yield from zip(_IN_ORDER, text.split(";", len(_IN_ORDER) - 1), strict=False)


def _names(slot: Slot) -> dict[Part, str]:
    if isinstance(slot, SpreadSlot):
        return dict(_attributes(slot))
    return {part: f"{called} in {slot.packed}" for part, called in _CALLED.items()}


def _attributes(slot: SpreadSlot) -> list[tuple[Part, str]]:
    named = ((Part.number, slot.number), (Part.issued, slot.issued))
    more = ((Part.valid_until, slot.valid_until), (Part.notes, slot.notes))
    return [(part, attribute) for part, attribute in (*named, *more) if attribute is not None]


def _value(document: JsonObject, attribute: str) -> object | None:
    return read(document, SourcePath(f"{DITIO_URN}:{attribute}", DITIO_URN, attribute))


def _is_said(value: object) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())
