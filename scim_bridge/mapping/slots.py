"""The certificates that a SCIM user carries in slots (rules K1, T1)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scim_bridge.domain.certificate import Certificate, CertificateType, PackedSlot, Slot, SpreadSlot, type_of
from scim_bridge.domain.values import JsonObject
from scim_bridge.mapping.certificates import Flaw, Part, Terms, certificate_from
from scim_bridge.scim.reading import DITIO_URN, SourcePath, read

_IN_ORDER = (Part.number, Part.issued, Part.valid_until, Part.notes)
"""The parts of a packed slot: ``number;issued;validUntil;notes``."""

_CALLED = {Part.number: "number", Part.issued: "issued", Part.valid_until: "validUntil", Part.notes: "notes"}


@dataclass(frozen=True, slots=True)
class SlotReading:
    """What one slot of a user says."""

    type: CertificateType
    said: Certificate | Flaw | None
    """The certificate, why it can't be used, or None where the slot is empty: then there is none."""


def slots_from(raw: Sequence[Mapping[str, str]]) -> tuple[Slot, ...]:
    """The slots of the settings, which have looked at them already."""
    return tuple(
        PackedSlot(type_of(slot["type"]), slot["packed"])
        if "packed" in slot
        else SpreadSlot(
            type_of(slot["type"]), slot["issued"], slot["valid_until"], slot.get("number"), slot.get("notes")
        )
        for slot in raw
    )


def slots_of(document: JsonObject, slots: Sequence[Slot], terms: Terms) -> list[SlotReading]:
    """What all slots of a user say. An attribute that a PATCH leaves out is still in the document."""
    return [SlotReading(slot.type, _said(document, slot, terms)) for slot in slots]


def _said(document: JsonObject, slot: Slot, terms: Terms) -> Certificate | Flaw | None:
    parts = dict(_spread(document, slot) if isinstance(slot, SpreadSlot) else _unpacked(document, slot))
    if not any(_is_said(value) for value in parts.values()):
        return None
    return certificate_from({**parts, Part.type: slot.type}, replace(terms, names=_names(slot)))


def _spread(document: JsonObject, slot: SpreadSlot) -> Iterator[tuple[Part, object]]:
    for part, attribute in _attributes(slot):
        yield part, _value(document, attribute)


def _unpacked(document: JsonObject, slot: PackedSlot) -> Iterator[tuple[Part, object]]:
    """Entra's `Join(";", …)` leaves the separators of what is empty, so ``;;;`` is an empty slot."""
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
