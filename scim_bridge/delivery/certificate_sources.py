"""`/Certificates` or a CSV file says something of a certificate: it is in the ledger, and its person due (rule K1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from scim_bridge.certificates.entries import Entered, Entries, Outranked, give_to
from scim_bridge.certificates.reading import withdrawn_elsewhere
from scim_bridge.delivery.intake import Intake, Ticket
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.certificate import Certificate, CertificateType, Entry, EntryId, Holder, Line, Source
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import ClaimKind
from scim_bridge.domain.values import CERTIFICATE
from scim_bridge.errors import NotFound
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.database import repeated
from scim_bridge.storage.history import AuditTrail
from scim_bridge.storage.ledger import Ledger
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People


@dataclass(frozen=True, slots=True)
class Stored:
    """It is stored."""

    entry: Entry
    beaten_by: Entry | None = None
    """Whose word counts all the same, after a source corrected its own; None where this one does."""

    tickets: tuple[Ticket, ...] = ()
    """Whom to deliver once the transaction is committed."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The source holds a certificate of this type for this holder already: nothing was stored."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class OtherSource:
    """It is what another source says: nothing was stored, and that source has to change it."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The source says nothing any more of this certificate."""

    tickets: tuple[Ticket, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateSources:
    """Takes certificates in, within the caller's transaction. Cheap to make: one for each request or file."""

    intake: Intake

    def put(
        self,
        connection: Connection,
        source: Source,
        number: EmployeeNumber,
        certificate: Certificate,
        *,
        is_new: bool = False,
    ) -> Stored | Outranked | Exists:
        """A source says something of a certificate; one that it said itself before is corrected.

        :param is_new: Whether one that it said itself is in the way (a POST).
        """
        entries, holder = self._book(connection), self._holder(connection, number)
        if is_new and (own := self._own(connection, holder, source, certificate)) is not None:
            return Exists(own)
        entered = entries.put(holder, source, certificate, number)
        if isinstance(entered, Outranked):
            return entered
        return self._kept(connection, entered, "certificate-put")

    def change(
        self, connection: Connection, entry_id: EntryId, number: EmployeeNumber, certificate: Certificate
    ) -> Stored | Outranked | Exists | OtherSource | None:
        """A resource of `/Certificates` is replaced or patched; None where there is none with this id.

        It may be given another type, or be another employee's from now on.
        """
        entry = self.lock(connection, entry_id)
        if entry is None:
            return None
        if entry.source is not Source.certificates:
            return OtherSource(entry)
        entries, holder = self._book(connection), self._holder(connection, number)
        if (holder, certificate.type) == (entry.holder, entry.certificate.type):
            entered = entries.put(holder, entry.source, certificate, number)
            was_owed = False
        else:
            if (own := self._own(connection, holder, entry.source, certificate)) is not None:
                return Exists(own)
            # Asked before anything is taken out: who loses finds everything as it was.
            if (lost := entries.loses(holder, certificate)) is not None:
                return lost
            was_owed = entries.remove_entry(entry)
            entered = entries.put(holder, entry.source, certificate, number, former=entry)
        if isinstance(entered, Outranked):
            return entered
        kept = self._kept(connection, entered, "certificate-changed")
        moved = was_owed and entry.holder != holder
        tickets = self._due(connection, entry.holder, "certificate-withdrawn") if moved else ()
        return Stored(kept.entry, kept.beaten_by, (*kept.tickets, *tickets))

    def withdraw(
        self, connection: Connection, entry_id: EntryId, source: Source = Source.certificates
    ) -> Withdrawn | OtherSource | None:
        """A source withdraws what it said: a resource of `/Certificates` is deleted, for one.

        None where there is nothing with this id.
        """
        entry = self.lock(connection, entry_id)
        if entry is None:
            return None
        if entry.source is not source:
            return OtherSource(entry)
        is_owed = self._book(connection).remove_entry(entry)
        return Withdrawn(self._due(connection, entry.holder, "certificate-withdrawn") if is_owed else ())

    def repeat(self, connection: Connection, entry_id: EntryId) -> tuple[Ticket, ...]:
        """A source says again what it has said: what Ditio refused of it is tried again (rule A5)."""
        entry, ledger = self.lock(connection, entry_id), Ledger(connection, self.intake.tenant.name)
        lines = ledger.lines_of([(entry.holder, entry.certificate.type)]) if entry is not None else []
        refused = [line for line in lines if line.reason is not None]
        for line in refused:
            ledger.clear(line)
        return tuple(
            ticket for line in refused for ticket in self._due(connection, line.holder, "certificate-repeated")
        )

    def lock(self, connection: Connection, entry_id: EntryId) -> Entry | None:
        """A resource of `/Certificates`, which nobody else changes until the transaction ends."""
        ledger = Ledger(connection, self.intake.tenant.name)
        entry = ledger.entry(entry_id)
        while entry is not None:
            ledger.lock(entry.holder)
            ledger.open(entry.holder, entry.certificate.type)
            again = ledger.entry(entry_id)
            if again is None or again.holder == entry.holder:
                return again
            entry = again  # It was given to a person meanwhile.
        return None

    def _holder(self, connection: Connection, number: EmployeeNumber) -> Holder:
        """Whose certificates are said under a number, with all that was said of them before he was known."""
        holder = Ledger(connection, self.intake.tenant.name).holder_of(number, lock=True)
        name, person_id = self.intake.tenant.name, holder.person_id
        if person_id is not None and give_to(connection, name, person_id, number):
            # Whatever becomes of what is said now: a worker sends it.
            Outbox(connection, name, self.intake.database.now(connection)).mark_due(person_id)
        return holder

    def _own(self, connection: Connection, holder: Holder, source: Source, certificate: Certificate) -> Entry | None:
        """What the source holds of this type already; nobody else enters it from now on."""
        ledger = Ledger(connection, self.intake.tenant.name)
        line = ledger.open(holder, certificate.type)
        return next((entry for entry in line.entries if entry.source is source), None)

    def _kept(self, connection: Connection, entered: Entered, what: str) -> Stored:
        tickets = self._due(connection, entered.entry.holder, what) if entered.is_owed else ()
        return Stored(entered.entry, entered.beaten_by, tickets)

    def _due(self, connection: Connection, holder: Holder, what: str) -> tuple[Ticket, ...]:
        if holder.person_id is None:
            return ()
        ticket = self.intake.certificate_said(connection, holder.person_id, what)
        return (ticket,) if ticket is not None else ()

    def _book(self, connection: Connection) -> Entries:
        intake = self.intake
        return Entries(connection, intake.tenant.name, intake.database.now(connection), intake.new_id)


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
    tenant, certifying = intake.tenant.name, CertificateSources(intake)
    outcome = certifying.withdraw(connection, entry.id, Source.csv)
    if not isinstance(outcome, Withdrawn):
        raise NotFound(f'the certificate "{entry.certificate.type}" was withdrawn by another just now')
    deed = AuditEvent(Action.deleted, CERTIFICATE, entry.id, entry.holder.person_id)
    AuditTrail(connection, tenant).add(deed, author, now=intake.database.now(connection))
    left = Ledger(connection, tenant).lines_of([(entry.holder, entry.certificate.type)])
    return Withdrawal(entry, next((line.winner for line in left), None), bool(outcome.tickets))
