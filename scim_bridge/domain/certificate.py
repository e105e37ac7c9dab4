"""Certificates: their ledger lines, the slots of a user, and what Ditio still has to be sent (rules K1-K3)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import nfc

CertificateType = NewType("CertificateType", str)
"""The name of a kind of certificate, trimmed and in NFC, and otherwise exact: made by `type_of`."""

EntryId = NewType("EntryId", str)
"""The ``id`` of what one source says of one certificate: that of the SCIM resource."""

FURTHEST_YEARS = 50
"""A day that is sent in further away than this is a placeholder or a slip of the pen (rule K1)."""


class Source(StrEnum):
    """A way in."""

    certificates = "certificates"
    """The SCIM resource type `/Certificates`: a competence system."""

    csv = "csv"
    """`certificates import`."""

    slot = "slot"
    """Attributes of a SCIM user: Entra."""


class HolderKind(StrEnum):
    """Whose a certificate is."""

    person = "person"
    """A person who is linked to an employee, or whose own user carries the slot."""

    number = "employee-number"
    """An employee number that no person is linked to: unclaimed."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a certificate is: a person, or an employee number that is nobody's yet."""

    kind: HolderKind
    value: str

    @classmethod
    def of_person(cls, person_id: PersonId) -> "Holder":
        """A person."""
        return cls(HolderKind.person, person_id)

    @classmethod
    def of_number(cls, number: EmployeeNumber) -> "Holder":
        """An employee number that no person is linked to."""
        return cls(HolderKind.number, number)

    @property
    def person_id(self) -> PersonId | None:
        """The person; None for a bare number."""
        return PersonId(self.value) if self.kind is HolderKind.person else None


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of somebody, in days of the company's time zone."""

    type: CertificateType
    issued: date
    valid_until: date | None = None
    """The last day; None where none is said (`CERTIFICATES__MISSING_EXPIRY`)."""

    number: str | None = None
    notes: str | None = None

    @property
    def rank(self) -> tuple[date, date]:
        """What decides between sources: the newest `issued`, then the later end; no end is the latest (rule K1)."""
        return self.issued, self.valid_until or date.max


@dataclass(frozen=True, slots=True)
class Entry:
    """What one source says of one certificate of one holder."""

    id: EntryId
    holder: Holder
    source: Source
    certificate: Certificate
    wins: bool
    """Whether this is what Ditio is to have, of all that the sources say of the holder's certificate of this type."""

    employee_number: EmployeeNumber | None
    """The holder's number as far as it is known: of a linked person the present one."""

    version: int
    created_at: datetime
    last_modified_at: datetime
    external_id: str | None = None
    """The client's own id of it: `/Certificates` alone has one (RFC 7643 §3.1)."""


@dataclass(frozen=True, slots=True)
class AcknowledgedCertificate:
    """What Ditio took with a 2xx."""

    certificate: Certificate
    employee_number: EmployeeNumber
    """Under which number it was sent."""

    at: datetime
    is_withdrawn: bool = False
    """Whether it was sent as expired, one second after it was issued (rule K5)."""

    is_stale: bool = False
    """Whether it has to be sent again all the same: its person left and came back (rule K2)."""


@dataclass(frozen=True, slots=True)
class Line:
    """The ledger's line for one holder and one type."""

    holder: Holder
    type: CertificateType
    entries: tuple[Entry, ...] = ()
    acknowledged: AcknowledgedCertificate | None = None
    sending: date | None = None
    """When the certificate was issued that was about to be POSTed, until it is known what became of it (rule R4)."""

    reason: str | None = None
    """Why it is held or parked, by the name of a `Reason`; None where it is not."""

    detail: str | None = None
    """Ditio's words, or ours."""

    @property
    def winner(self) -> Entry | None:
        """What Ditio is to have; None where no source says anything any more."""
        return next((entry for entry in self.entries if entry.wins), None)


def type_of(text: str) -> CertificateType:
    """The type that a text means: ``"Kranførerbevis"`` is one, however its ø was typed (rule K1)."""
    return CertificateType(nfc(text).strip())


def winner_of(entries: Iterable[Entry]) -> Entry | None:
    """Whose word counts: the newest, then the longest valid, then who has it already (rule K1).

    Where none of them has it, the one that was there first.
    """
    known = list(entries)
    if not known:
        return None
    best = max(entry.certificate.rank for entry in known)
    equal = [entry for entry in known if entry.certificate.rank == best]
    return min(equal, key=lambda entry: (not entry.wins, entry.created_at, entry.id))


def beats(newcomer: Certificate, present: Certificate) -> bool:
    """Whether a source's first word counts more than another's: on equal dates what is there stays (rule K1)."""
    return newcomer.rank > present.rank


def is_far_off(day: date, today: date) -> bool:
    """Whether a day that is sent in is more than 50 years off (rule K1)."""
    return day < _years_from(today, -FURTHEST_YEARS) or day > _years_from(today, FURTHEST_YEARS)


def _years_from(today: date, years: int) -> date:
    try:
        return today.replace(year=today.year + years)
    except ValueError:  # 29 February.
        return today.replace(year=today.year + years, day=28)


@dataclass(frozen=True, slots=True)
class Shipment:
    """One certificate to be sent."""

    line: Line
    employee_number: EmployeeNumber
    certificate: Certificate
    """As it is to be sent, with an end; of a withdrawal the day of issue counts."""

    is_withdrawal: bool = False


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A certificate that can't be sent as it is, and why."""

    line: Line
    why: str


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
