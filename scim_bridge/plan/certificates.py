"""Which certificates Ditio is to have, and has not acknowledged yet (rules K2, K3, K5). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from scim_bridge.domain.certificate import Certificate, Line, Shipment, Unsendable
from scim_bridge.domain.employee import EmployeeNumber


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """What the settings say of certificates."""

    missing_expiry: date | None = None
    """The day that is sent where no end is said; None sends no such certificate."""

    expires_withdrawn: bool = True
    """Whether a certificate that nobody says any more is sent again as expired."""

    delivers_unclaimed: bool = False
    """Whether certificates of employees are delivered whom no SCIM user is."""

    reassert_every: timedelta = timedelta(days=30)
    """After how long a certificate is sent again that was acknowledged."""

    max_per_request: int = 500
    """How many are sent in one request."""


NO_END = "it has no end, and CERTIFICATES__MISSING_EXPIRY refuses that"


def wanted_of(line: Line, number: EmployeeNumber, policy: CertificatePolicy) -> Shipment | Unsendable | None:
    """What has to be sent for Ditio to have what the ledger says, whether or not it has it; None for nothing."""
    winner = line.winner
    if winner is None:
        return _withdrawal(line, number) if policy.expires_withdrawn else None
    end = winner.certificate.valid_until or policy.missing_expiry
    if end is None:
        return Unsendable(line, NO_END)
    if end <= winner.certificate.issued:
        return Unsendable(line, f"CERTIFICATES__MISSING_EXPIRY, {end}, is not after the day it was issued")
    return Shipment(line, number, replace(winner.certificate, valid_until=end))


def is_acknowledged(shipment: Shipment) -> bool:
    """Whether Ditio has taken exactly this, under this number, and nothing else since."""
    known = shipment.line.acknowledged
    if known is None or shipment.line.sending is not None or known.is_withdrawn is not shipment.is_withdrawal:
        return False
    if shipment.is_withdrawal:
        return True  # Nothing valid is there any more: neither a return nor another number brings it back.
    is_same = known.certificate == shipment.certificate and known.employee_number == shipment.employee_number
    return is_same and not known.is_stale


def outstanding(
    lines: Iterable[Line], number: EmployeeNumber, policy: CertificatePolicy
) -> list[Shipment | Unsendable]:
    """What Ditio has not acknowledged yet of one holder's certificates, in the order of the types."""
    wanted = [wanted_of(line, number, policy) for line in lines]
    return [each for each in wanted if each is not None and not (isinstance(each, Shipment) and is_acknowledged(each))]


def _withdrawal(line: Line, number: EmployeeNumber) -> Shipment | None:
    known = line.acknowledged
    issued = line.sending or (known.certificate.issued if known is not None else None)
    if issued is None:
        return None  # Ditio never heard of it.
    last = known.certificate if known is not None else Certificate(line.type, issued)
    return Shipment(line, number, replace(last, issued=issued, valid_until=None), is_withdrawal=True)
