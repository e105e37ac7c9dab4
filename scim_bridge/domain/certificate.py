"""Certificates: their ledger lines, the slots of a user, and what still has to be sent to Ditio (rules K1-K3)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NewType
from zoneinfo import ZoneInfo

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import CURE, JsonObject, nfc

CertificateType = NewType("CertificateType", str)
"""The name of a certificate type: trimmed, in NFC, otherwise exact. Made by `type_of`."""

EntryId = NewType("EntryId", str)
"""The ``id`` of one source's entry for one certificate: the ``id`` of the SCIM resource."""


class Source(StrEnum):
    """Where an entry comes from."""

    certificates = "certificates"
    """The SCIM resource type `/Certificates`, written by a competence system."""

    csv = "csv"
    """`certificates import`."""

    slot = "slot"
    """Attributes of a SCIM user, written by Entra."""


class HolderKind(StrEnum):
    """What kind of holder a certificate has."""

    person = "person"
    """A person who is linked to an employee, or whose own user carries the slot."""

    number = "employee-number"
    """An employee number that no person is linked to: unclaimed."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a certificate: a person, or an employee number that no person is linked to."""

    kind: HolderKind
    value: str

    @classmethod
    def of_person(cls, person_id: PersonId) -> "Holder":
        return cls(HolderKind.person, person_id)

    @classmethod
    def of_number(cls, number: EmployeeNumber) -> "Holder":
        """Return the holder for an employee number that no person is linked to."""
        return cls(HolderKind.number, number)

    @property
    def person_id(self) -> PersonId | None:
        """The person; None for an employee number."""
        return PersonId(self.value) if self.kind is HolderKind.person else None


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of one holder; days are in the company's time zone."""

    type: CertificateType
    issued: date
    valid_until: date | None = None
    """The last day; None where the source gives none (`CERTIFICATES__MISSING_EXPIRY`)."""

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
    """Whether this entry is the one for Ditio, among all entries for the holder and type."""

    employee_number: EmployeeNumber | None
    """The holder's employee number, if known; for a linked person the present one."""

    version: int
    created_at: datetime
    last_modified_at: datetime
    external_id: str | None = None
    """The client's own id of the entry: only `/Certificates` has one (RFC 7643 §3.1)."""


@dataclass(frozen=True, slots=True)
class AcknowledgedCertificate:
    """What Ditio accepted with a 2xx."""

    certificate: Certificate
    employee_number: EmployeeNumber
    """The employee number under which it was sent."""

    at: datetime
    is_withdrawn: bool = False
    """Whether it was sent as expired, one second after it was issued (rule K5)."""

    is_stale: bool = False
    """Whether it has to be sent again although accepted: its person left and came back (rule K2)."""


@dataclass(frozen=True, slots=True)
class Line:
    """The ledger's line for one holder and one type."""

    holder: Holder
    type: CertificateType
    entries: tuple[Entry, ...] = ()
    acknowledged: AcknowledgedCertificate | None = None
    sending: date | None = None
    """The `issued` day of the certificate that was about to be POSTed, until the outcome is known (rule R4)."""

    reason: str | None = None
    """Why it is held or parked, by the name of a `Reason`; None otherwise."""

    detail: str | None = None
    """The explanation, in Ditio's words or the bridge's."""

    @property
    def winner(self) -> Entry | None:
        """The entry for Ditio; None where no source has an entry any more."""
        return next((entry for entry in self.entries if entry.wins), None)


def type_of(text: str) -> CertificateType:
    """Return the type that a text means: ``"Kranførerbevis"`` is one type, however its ø was typed (rule K1)."""
    return CertificateType(nfc(text).strip())


def winner_of(entries: Iterable[Entry]) -> Entry | None:
    """Return the entry that wins: the newest, then the longest valid, then the present winner (rule K1).

    If none of these is the present winner, the entry that came first wins.
    """
    known = list(entries)
    if not known:
        return None
    best = max(entry.certificate.rank for entry in known)
    equal = [entry for entry in known if entry.certificate.rank == best]
    return min(equal, key=lambda entry: (not entry.wins, entry.created_at, entry.id))


def beats(newcomer: Certificate, present: Certificate) -> bool:
    """Return whether a source's first entry outranks another's: on equal dates the present one stays (rule K1)."""
    return newcomer.rank > present.rank


@dataclass(frozen=True, slots=True)
class CertificateToSend:
    """One certificate to be sent."""

    line: Line
    employee_number: EmployeeNumber
    certificate: Certificate
    """The certificate as sent, with an end; for a withdrawal only `issued` matters."""

    is_withdrawal: bool = False


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A certificate that can't be sent as it is, and why."""

    line: Line
    why: str


@dataclass(frozen=True, slots=True)
class PackedSlot:
    """One attribute for all parts: ``number;issued;validUntil;notes``."""

    type: CertificateType
    packed: str

    @property
    def attributes(self) -> Mapping[str, str]:
        """Return the attribute and its description."""
        return {self.packed: f"Certificate {self.type}: number;issued;validUntil;notes, the days as yyyy-MM-dd"}


@dataclass(frozen=True, slots=True)
class SpreadSlot:
    """One attribute for each part; number and notes may have none."""

    type: CertificateType
    issued: str
    valid_until: str
    number: str | None = None
    notes: str | None = None

    @property
    def attributes(self) -> Mapping[str, str]:
        """Return the attributes and their descriptions."""
        named = {
            self.number: "the number",
            self.issued: "the day it was issued, as yyyy-MM-dd",
            self.valid_until: "the last day it is valid, as yyyy-MM-dd",
            self.notes: "notes",
        }
        return {name: f"Certificate {self.type}: {what}" for name, what in named.items() if name is not None}


Slot = PackedSlot | SpreadSlot


def body_of(shipment: CertificateToSend) -> JsonObject:
    """Return the body for one certificate. A day is sent as that day, unshifted; `null` clears an earlier value."""
    certificate, known = shipment.certificate, shipment.line.acknowledged
    before = known.certificate if known is not None else None
    body: JsonObject = {
        "employeeNumber": shipment.employee_number,
        "certificateType": certificate.type,
        "issuedDateTime": _moment(certificate.issued),
        "validUntilDateTime": _end(shipment),
    }
    if certificate.number is not None or (before is not None and before.number is not None):
        body["certificateNumber"] = certificate.number
    if certificate.notes is not None or (before is not None and before.notes is not None):
        body["notes"] = certificate.notes
    return body


def _end(shipment: CertificateToSend) -> str:
    if shipment.is_withdrawal:
        # Ditio can't remove a certificate: one that was valid for a second counts as withdrawn (rule K5).
        return _moment(shipment.certificate.issued, second=1)
    if shipment.certificate.valid_until is None:
        raise AssertionError("a certificate is sent with an end")
    return _moment(shipment.certificate.valid_until)


def _moment(day: date, second: int = 0) -> str:
    return f"{day.isoformat()}T00:00:{second:02}Z"


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """What the settings say about certificates."""

    missing_expiry: date | None = None
    """The day that is sent for a certificate without an end; None sends no such certificate."""

    expires_withdrawn: bool = True
    """Whether a certificate that no source has any more is sent again as expired."""

    delivers_unclaimed: bool = False
    """Whether certificates are delivered for employees who are no SCIM user."""

    reassert_every: timedelta = timedelta(days=30)
    """How long after it was acknowledged a certificate is sent again."""

    max_per_request: int = 500
    """How many certificates one request carries."""


NO_END = "it has no end, and CERTIFICATES__MISSING_EXPIRY refuses that"


def wanted_of(line: Line, number: EmployeeNumber, policy: CertificatePolicy) -> CertificateToSend | Unsendable | None:
    """Return what Ditio should have by the ledger, whether or not it has it already; None for nothing."""
    winner = line.winner
    if winner is None:
        return _withdrawal(line, number) if policy.expires_withdrawn else None
    end = winner.certificate.valid_until or policy.missing_expiry
    if end is None:
        return Unsendable(line, NO_END)
    if end <= winner.certificate.issued:
        return Unsendable(line, f"CERTIFICATES__MISSING_EXPIRY, {end}, is not after the day it was issued")
    return CertificateToSend(line, number, replace(winner.certificate, valid_until=end))


def is_acknowledged(shipment: CertificateToSend) -> bool:
    """Return whether Ditio accepted exactly this under this number, and nothing newer since."""
    known = shipment.line.acknowledged
    if known is None or shipment.line.sending is not None or known.is_withdrawn is not shipment.is_withdrawal:
        return False
    if shipment.is_withdrawal:
        return True  # No valid certificate is left there: a return or another number does not bring one back.
    is_same = known.certificate == shipment.certificate and known.employee_number == shipment.employee_number
    return is_same and not known.is_stale


def outstanding(
    lines: Iterable[Line], number: EmployeeNumber, policy: CertificatePolicy
) -> list[CertificateToSend | Unsendable]:
    """Return what Ditio has not acknowledged yet of one holder's certificates, in the order of the types."""
    wanted = [wanted_of(line, number, policy) for line in lines]
    return [
        each
        for each in wanted
        if each is not None and not (isinstance(each, CertificateToSend) and is_acknowledged(each))
    ]


def _withdrawal(line: Line, number: EmployeeNumber) -> CertificateToSend | None:
    known = line.acknowledged
    issued = line.sending or (known.certificate.issued if known is not None else None)
    if issued is None:
        return None  # Ditio never received it.
    last = known.certificate if known is not None else Certificate(line.type, issued)
    return CertificateToSend(line, number, replace(last, issued=issued, valid_until=None), is_withdrawal=True)


class Part(StrEnum):
    """A part of a certificate, by its name in `/Certificates`, the CSV file and Ditio."""

    employee_number = "employeeNumber"
    type = "certificateType"
    number = "certificateNumber"
    issued = "issuedDateTime"
    valid_until = "validUntilDateTime"
    notes = "notes"


@dataclass(frozen=True, slots=True)
class CertificateRules:
    """The rules that decide whether a certificate is valid."""

    zone: ZoneInfo
    today: date
    missing_expiry: date | None = None
    """The end of a certificate that gives none; None refuses a certificate without an end (rule K5)."""

    cure: str = CURE
    """What to do about a date that can't be read."""

    names: Mapping[Part, str] = field(default_factory=dict)
    """What the source calls the parts; a part that is missing here keeps its own name."""

    def name(self, part: Part) -> str:
        """Return the source's name of a part."""
        return self.names.get(part, part.value)
