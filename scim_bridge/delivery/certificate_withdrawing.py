"""An operator withdraws a certificate that came by a file (rules K1, K5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from scim_bridge.certificates.reading import withdrawn_elsewhere
from scim_bridge.delivery.certifying import Certifying, Withdrawn
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.audit import Action, Author, Deed
from scim_bridge.domain.certificate import CertificateType, Entry, Holder, Line, Source
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import ClaimKind
from scim_bridge.domain.values import CERTIFICATE
from scim_bridge.errors import NotFound
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.database import repeated
from scim_bridge.storage.history import AuditTrail
from scim_bridge.storage.ledger import Ledger
from scim_bridge.storage.people import People


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A certificate that no file says any more."""

    entry: Entry
    successor: Entry | None
    """What another source says of the same certificate; None where no source does."""

    is_due: bool
    """Whether its person is to be delivered for it."""


def withdraw_from_files(intake: Intake, author: Author, name: str, kind: CertificateType) -> list[Withdrawal]:
    """Withdraw what files said of a person's certificate of a type.

    :param intake: One that only queues.
    :param name: An employee number or a user name.
    :raises NotFound: no file said such a certificate; nothing was changed.
    """
    return repeated(lambda: _withdraw(intake, author, name.strip(), kind))


def _withdraw(intake: Intake, author: Author, name: str, kind: CertificateType) -> list[Withdrawal]:
    tenant = intake.tenant.name
    with intake.database.write() as connection:
        lines = _lines(connection, tenant, name)
        entries = [entry for line in lines if line.type == kind for entry in line.entries]
        from_files = [entry for entry in entries if entry.source is Source.csv]
        if not from_files:
            raise NotFound(_why_none(lines, entries, name, kind))
        return [_take_back(connection, intake, author, entry) for entry in from_files]


def _lines(connection: Connection, tenant: str, name: str) -> list[Line]:
    """All that is said of a person, or under an employee number that no user has.

    :raises NotFound: there is no such person or number.
    """
    record = People(connection, tenant).find(name)
    holders = [Holder.of_number(EmployeeNumber(name))]
    if record is not None:
        holders.insert(0, Holder.of_person(record.person.id))
        claims = Claims(connection, tenant).held_by(record.person.id)
        # What was said before the person was linked stands under the number that is wanted for the person.
        holders += [
            Holder.of_number(EmployeeNumber(claim.value)) for claim in claims if claim.kind is ClaimKind.employee_number
        ]
    lines = Ledger(connection, tenant).lines_under(*dict.fromkeys(holders))
    if record is None and not lines:
        raise NotFound(f"no user or certificate has the employee number or user name {name!r}: check the spelling")
    return lines


def _why_none(lines: Sequence[Line], entries: Sequence[Entry], name: str, kind: CertificateType) -> str:
    if entries:
        return "; ".join(map(withdrawn_elsewhere, entries))
    known = dict.fromkeys(line.type for line in lines for entry in line.entries if entry.source is Source.csv)
    files = f"files said {', '.join(known)}" if known else "files said none"
    return f'{name} has no certificate of the type "{kind}": {files}'


def _take_back(connection: Connection, intake: Intake, author: Author, entry: Entry) -> Withdrawal:
    tenant, certifying = intake.tenant.name, Certifying(intake)
    outcome = certifying.withdraw(connection, entry.id, Source.csv)
    if not isinstance(outcome, Withdrawn):
        raise NotFound(f'the certificate "{entry.certificate.type}" was withdrawn by another just now')
    deed = Deed(Action.deleted, CERTIFICATE, entry.id, entry.holder.person_id)
    AuditTrail(connection, tenant).add(deed, author, now=intake.database.now(connection))
    left = Ledger(connection, tenant).lines_of([(entry.holder, entry.certificate.type)])
    return Withdrawal(entry, next((line.winner for line in left), None), bool(outcome.tickets))
