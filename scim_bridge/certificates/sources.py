"""Certificate sources: store what `/Certificates` or a CSV file says in the ledger; its person is then due (K1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scim_bridge.certificates.entries import Entered, Entries, Outranked, give_to
from scim_bridge.certificates.reading import withdrawn_elsewhere
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.certificate import Certificate, CertificateType, Entry, EntryId, Holder, Line, Source
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import ClaimKind, PersonId
from scim_bridge.domain.values import CERTIFICATE
from scim_bridge.errors import NotFound
from scim_bridge.storage.database import Session
from scim_bridge.tenant import Tenant

MarkDue = Callable[[Session, PersonId, str], object]
"""Mark a person due, because of what happened to a certificate. Return None if there is nothing to deliver now (K2)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry was stored."""

    entry: Entry
    beaten_by: Entry | None = None
    """The entry that still outranks this one, after its source corrected it; None if this one wins."""

    due: tuple[PersonId, ...] = ()
    """The people who are due because of it."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The source already has a certificate of this type for this holder: nothing was stored."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class OtherSource:
    """The entry belongs to another source, which has to change it: nothing was stored."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The source's entry was withdrawn."""

    due: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateSources:
    """Stores and withdraws entries, in the caller's transaction. It is cheap: make one for each request or file."""

    tenant: Tenant
    mark_due: MarkDue

    def put(
        self, s: Session, source: Source, number: EmployeeNumber, certificate: Certificate, *, is_new: bool = False
    ) -> Stored | Outranked | Exists:
        """Store what a source says about a certificate. An earlier entry of the same source is corrected.

        :param is_new: Whether to store nothing if the source already has such an entry (a POST).
        """
        entries, holder = self._entries(s), self._holder(s, number)
        if is_new and (own := self._own(s, holder, source, certificate)) is not None:
            return Exists(own)
        entered = entries.put(holder, source, certificate, number)
        if isinstance(entered, Outranked):
            return entered
        return self._stored(s, entered, "certificate-put")

    def change(
        self, s: Session, entry_id: EntryId, number: EmployeeNumber, certificate: Certificate
    ) -> Stored | Outranked | Exists | OtherSource | None:
        """Change a resource of `/Certificates` (PUT or PATCH). Return None if no entry has this id.

        The type and the employee may change too.
        """
        entry = self.lock(s, entry_id)
        if entry is None:
            return None
        if entry.source is not Source.certificates:
            return OtherSource(entry)
        entries, holder = self._entries(s), self._holder(s, number)
        if (holder, certificate.type) == (entry.holder, entry.certificate.type):
            entered = entries.put(holder, entry.source, certificate, number)
            was_owed = False
        else:
            if (own := self._own(s, holder, entry.source, certificate)) is not None:
                return Exists(own)
            # Check this before anything is removed: an outranked change must leave everything as it was.
            if (lost := entries.loses(holder, certificate)) is not None:
                return lost
            was_owed = entries.remove_entry(entry)
            entered = entries.put(holder, entry.source, certificate, number, former=entry)
        if isinstance(entered, Outranked):
            return entered
        kept = self._stored(s, entered, "certificate-changed")
        moved = was_owed and entry.holder != holder
        due = self._due(s, entry.holder, "certificate-withdrawn") if moved else ()
        return Stored(kept.entry, kept.beaten_by, (*kept.due, *due))

    def withdraw(
        self, s: Session, entry_id: EntryId, source: Source = Source.certificates
    ) -> Withdrawn | OtherSource | None:
        """Withdraw the entry of a source, for example when a resource of `/Certificates` is deleted.

        Return None if no entry has this id.
        """
        entry = self.lock(s, entry_id)
        if entry is None:
            return None
        if entry.source is not source:
            return OtherSource(entry)
        is_owed = self._entries(s).remove_entry(entry)
        return Withdrawn(self._due(s, entry.holder, "certificate-withdrawn") if is_owed else ())

    def repeat(self, s: Session, entry_id: EntryId) -> None:
        """Retry what Ditio refused of an entry, because its source has sent it again unchanged (rule A5)."""
        entry, ledger = self.lock(s, entry_id), s.ledger
        lines = ledger.lines_of([(entry.holder, entry.certificate.type)]) if entry is not None else []
        refused = [line for line in lines if line.reason is not None]
        for line in refused:
            ledger.clear(line)
            self._due(s, line.holder, "certificate-repeated")

    def lock(self, s: Session, entry_id: EntryId) -> Entry | None:
        """Return an entry, locked: no other transaction changes it before this one ends."""
        ledger = s.ledger
        entry = ledger.entry(entry_id)
        while entry is not None:
            ledger.lock(entry.holder)
            ledger.open(entry.holder, entry.certificate.type)
            again = ledger.entry(entry_id)
            if again is None or again.holder == entry.holder:
                return again
            entry = again  # It was assigned to a person meanwhile.
        return None

    def _holder(self, s: Session, number: EmployeeNumber) -> Holder:
        """Return the holder of certificates under a number. A person gets what was stored as unclaimed before."""
        holder = s.ledger.holder_of(number, lock=True)
        person_id = holder.person_id
        if person_id is not None and give_to(s, person_id, number):
            # A worker sends the assigned entries, even if the present one is not stored.
            s.outbox.mark_due(person_id)
        return holder

    def _own(self, s: Session, holder: Holder, source: Source, certificate: Certificate) -> Entry | None:
        """Return the source's own entry of this type, if any. The line is locked until the transaction ends."""
        line = s.ledger.open(holder, certificate.type)
        return next((entry for entry in line.entries if entry.source is source), None)

    def _stored(self, s: Session, entered: Entered, what: str) -> Stored:
        due = self._due(s, entered.entry.holder, what) if entered.is_owed else ()
        return Stored(entered.entry, entered.beaten_by, due)

    def _due(self, s: Session, holder: Holder, what: str) -> tuple[PersonId, ...]:
        person_id = holder.person_id
        return () if person_id is None or self.mark_due(s, person_id, what) is None else (person_id,)

    def _entries(self, s: Session) -> Entries:
        return Entries(s, self.tenant.new_id)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An entry from a file that was withdrawn."""

    entry: Entry
    successor: Entry | None
    """The entry of another source for the same certificate; None if there is none."""

    is_due: bool
    """Whether its person is due because of it."""


def withdraw_from_files(
    sources: CertificateSources, author: Author, name: str, kind: CertificateType
) -> list[Withdrawal]:
    """Withdraw the entries from files for a person's certificate of one type.

    :param name: An employee number or a user name.
    :raises NotFound: no file had such a certificate; nothing was changed.
    """
    return sources.tenant.transact(lambda s: _withdraw(s, sources, author, name.strip(), kind))


def _withdraw(
    s: Session, sources: CertificateSources, author: Author, name: str, kind: CertificateType
) -> list[Withdrawal]:
    lines = _lines(s, name)
    entries = [entry for line in lines if line.type == kind for entry in line.entries]
    from_files = [entry for entry in entries if entry.source is Source.csv]
    if not from_files:
        raise NotFound(_why_none(lines, entries, name, kind))
    return [_take_back(s, sources, author, entry) for entry in from_files]


def _lines(s: Session, name: str) -> list[Line]:
    """Return the lines of a person, or those under an employee number that no user has.

    :raises NotFound: there is no such person or number.
    """
    record = s.people.find(name)
    holders = [Holder.of_number(EmployeeNumber(name))]
    if record is not None:
        holders.insert(0, Holder.of_person(record.person.id))
        claims = s.claims.held_by(record.person.id)
        # Entries from before the person was linked are stored under the desired number.
        holders += [
            Holder.of_number(EmployeeNumber(claim.value)) for claim in claims if claim.kind is ClaimKind.employee_number
        ]
    lines = s.ledger.lines_under(*dict.fromkeys(holders))
    if record is None and not lines:
        raise NotFound(f"no user or certificate has the employee number or user name {name!r}: check the spelling")
    return lines


def _why_none(lines: Sequence[Line], entries: Sequence[Entry], name: str, kind: CertificateType) -> str:
    if entries:
        return "; ".join(map(withdrawn_elsewhere, entries))
    known = dict.fromkeys(line.type for line in lines for entry in line.entries if entry.source is Source.csv)
    files = f"files have the types {', '.join(known)}" if known else "files have none for this person"
    return f'{name} has no certificate of the type "{kind}" from a file: {files}'


def _take_back(s: Session, sources: CertificateSources, author: Author, entry: Entry) -> Withdrawal:
    outcome = sources.withdraw(s, entry.id, Source.csv)
    if not isinstance(outcome, Withdrawn):
        raise NotFound(f'another process has just withdrawn the certificate "{entry.certificate.type}"')
    deed = AuditEvent(Action.deleted, CERTIFICATE, entry.id, entry.holder.person_id)
    s.audit.add(deed, author)
    left = s.ledger.lines_of([(entry.holder, entry.certificate.type)])
    return Withdrawal(entry, next((line.winner for line in left), None), bool(outcome.due))
