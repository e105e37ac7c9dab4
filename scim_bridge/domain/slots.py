"""Certificate slots: attributes of a SCIM user in which Entra carries a certificate (rule K1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from scim_bridge.domain.certificate import CertificateType


@dataclass(frozen=True, slots=True)
class PackedSlot:
    """One attribute: ``number;issued;validUntil;notes``."""

    type: CertificateType
    packed: str

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attribute, and what it is."""
        return {self.packed: f"Certificate {self.type}: number;issued;validUntil;notes, the days as yyyy-MM-dd"}


@dataclass(frozen=True, slots=True)
class SpreadSlot:
    """An attribute for each part; number and notes may have none."""

    type: CertificateType
    issued: str
    valid_until: str
    number: str | None = None
    notes: str | None = None

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attributes, and what each is."""
        named = {
            self.number: "the number",
            self.issued: "the day it was issued, as yyyy-MM-dd",
            self.valid_until: "the last day it is valid, as yyyy-MM-dd",
            self.notes: "notes",
        }
        return {name: f"Certificate {self.type}: {what}" for name, what in named.items() if name is not None}


Slot = PackedSlot | SpreadSlot
