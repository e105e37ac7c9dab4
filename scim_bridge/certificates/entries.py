"""What a user's slots, or another source, say of a certificate is entered in the ledger, or taken out (rule K1)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.certificates.reading import InvalidCertificate, SlotReading, ending, slots_of
from scim_bridge.domain.certificate import (
    Certificate,
    Entry,
    EntryId,
    Holder,
    Line,
    Source,
    beats,
    outstanding,
    winner_of,
)
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import Note, Reason
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.ledger import CertificateDeliveries, Ledger
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Entered:
    """What a source says is in the ledger."""

    entry: Entry
    beaten_by: Entry | None = None
    """Whose word counts instead; None where this one does."""

    is_owed: bool = False
    """Whether Ditio is to have something else than before."""


@dataclass(frozen=True, slots=True)
class Outranked:
    """Another source's word counts: nothing was stored, and the loser is to be told."""

    winner: Entry


@dataclass(frozen=True, slots=True)
class Entries:
    """The ledger as one write sees it."""

    connection: Connection
    tenant: str
    now: datetime
    new_id: Callable[[], str]

    def put(
        self,
        holder: Holder,
        source: Source,
        certificate: Certificate,
        number: EmployeeNumber | None,
        *,
        former: Entry | None = None,
        stores_losers: bool = False,
    ) -> Entered | Outranked:
        """Enter what a source says. A source may always correct what it said itself.

        :param former: What this is a correction of, that stood on another line and is taken out: its id stays.
        :param stores_losers: Whether a first word that loses is kept: a slot's, whose document stays.
        """
        line = self._ledger.open(holder, certificate.type)
        own = next((entry for entry in line.entries if entry.source is source), None)
        if own is None and not stores_losers and (winner := self._stronger(line, certificate)) is not None:
            self._ledger.close(holder, certificate.type)
            return Outranked(winner)
        if own is not None and own.certificate == certificate and own.employee_number == number:
            return Entered(own, None if own.wins else line.winner)
        entry = Entry(
            id=own.id if own else former.id if former else EntryId(self.new_id()),
            holder=holder,
            source=source,
            certificate=certificate,
            wins=own is not None and own.wins,
            employee_number=number,
            version=1 + max((each.version for each in (own, former) if each is not None), default=0),
            created_at=own.created_at if own else former.created_at if former else self.now,
            last_modified_at=self.now,
        )
        winner = _crowned(self._ledger, line, (*(each for each in line.entries if each is not own), entry))
        is_owed = line.winner is None or winner.certificate != line.winner.certificate
        entry = replace(entry, wins=winner.id == entry.id)
        if own is None:
            self._ledger.add(entry)
        else:
            self._ledger.replace(entry)
        if not entry.wins and not winner.wins:
            self._ledger.set_winner(winner.id, wins=True)
        return Entered(entry, None if entry.wins else winner, is_owed)

    def loses(self, holder: Holder, certificate: Certificate) -> Outranked | None:
        """To whom a first word would lose."""
        line = self._ledger.open(holder, certificate.type)
        winner = self._stronger(line, certificate)
        self._ledger.close(holder, certificate.type)
        return Outranked(winner) if winner is not None else None

    def remove_entry(self, entry: Entry) -> bool:
        """A source says nothing any more of a certificate: what another still says takes its place.

        Whether Ditio is to have something else than before.
        """
        line = self._ledger.open(entry.holder, entry.certificate.type)
        self._ledger.remove(entry.id)
        before, others = line.winner, tuple(each for each in line.entries if each.id != entry.id)
        if not others:
            self._ledger.clear(line)
            self._ledger.close(entry.holder, entry.certificate.type)
            return before is not None
        winner = _crowned(self._ledger, line, others)
        self._ledger.set_winner(winner.id, wins=True)
        return before is not None and winner.certificate != before.certificate

    def _stronger(self, line: Line, certificate: Certificate) -> Entry | None:
        """Whose word counts more than this first one."""
        rivals = [line.winner]
        if line.holder.person_id is None:
            # Somebody who is to have the number, and is not in Ditio yet, says it himself.
            rivals.append(self._ledger.rival(EmployeeNumber(line.holder.value), line.type))
        known = [entry for entry in rivals if entry is not None]
        strongest = winner_of(known)
        return strongest if strongest is not None and not beats(certificate, strongest.certificate) else None

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.connection, self.tenant)


def give_to(connection: Connection, tenant: str, person_id: PersonId, number: EmployeeNumber) -> bool:
    """What was said under a number that nobody had becomes the linked person's. Whether there was anything."""
    ledger, heir = Ledger(connection, tenant), Holder.of_person(person_id)
    found = ledger.lines(Holder.of_number(number), lock=True)
    for line in found:
        his = ledger.open(heir, line.type)
        ledger.inherit(line, heir)
        ledger.clear(his)
        kept = {entry.source: entry for entry in his.entries}
        for entry in line.entries:
            # Of two words of one source the later counts.
            other = kept.get(entry.source)
            if other is not None and entry.last_modified_at <= other.last_modified_at:
                ledger.remove(entry.id)
                continue
            if other is not None:
                ledger.remove(other.id)
            # Two lines had a winner each: the new one is crowned when all are there.
            kept[entry.source] = replace(entry, holder=heir, employee_number=number, wins=False)
            ledger.replace(kept[entry.source])
        if kept:
            winner = _crowned(ledger, his, tuple(kept.values()))
            ledger.set_winner(winner.id, wins=True)
    return bool(found)


def give_up(connection: Connection, tenant: Tenant, person: Person, now: datetime) -> None:
    """A leaver gives his number up for a newcomer: what was said under it since he left was never said of him."""
    number, left_on = person.employee_number, person.days.inactive_since
    if number is None or left_on is None:
        return
    entries = Entries(connection, tenant.name, now, lambda: "")
    for line in Ledger(connection, tenant.name).lines(Holder.of_person(person.id)):
        for entry in line.entries:
            if entry.source is not Source.slot and tenant.today(entry.last_modified_at) > left_on:
                entries.remove_entry(entry)
                entries.put(
                    Holder.of_number(number), entry.source, entry.certificate, number, former=entry, stores_losers=True
                )


def _crowned(ledger: Ledger, line: Line, said: tuple[Entry, ...]) -> Entry:
    """Whose word counts of these, with all others dethroned; what was held or parked before is tried again."""
    winner = winner_of(said)
    if winner is None:
        raise AssertionError("of several entries one wins")
    if line.winner is not None and line.winner.id != winner.id:
        ledger.set_winner(line.winner.id, wins=False)
    ledger.clear(line)
    return winner


@dataclass(frozen=True, slots=True)
class SlotEntries:
    """A user's certificates as intake sees them, within one transaction in which the person is locked."""

    connection: Connection
    tenant: Tenant
    now: datetime
    new_id: Callable[[], str]

    def keep(self, person: Person, document: JsonObject, wanted: EmployeeNumber | None) -> list[Note]:
        """Enter what the document says now, and take out what it says no more; a note for each slot that is held.

        A slot that can't be read says nothing new: what it said before stays (compare rule C3).

        :param wanted: The employee number that the document asks for, of somebody who is not linked yet.
        """
        if not self.tenant.slots:
            return []
        terms = self.tenant.certificate_terms(self.tenant.today(self.now))
        entries = Entries(self.connection, self.tenant.name, self.now, self.new_id)
        before = {each.certificate.type: each for each in Ledger(self.connection, self.tenant.name).slots_of(person.id)}
        number = person.employee_number or wanted
        readings = slots_of(document, self.tenant.slots, terms)
        for reading in readings:
            known = before.get(reading.type)
            match reading.said:
                case Certificate() as certificate:
                    is_new = known is None or (known.certificate, known.employee_number) != (certificate, number)
                    if is_new:
                        self._enter(entries, person, certificate, number)
                case None if known is not None:
                    entries.remove_entry(known)
                case _:
                    pass
        return held(readings) if person.days.wants_employment(terms.today) else []

    def keep_stored(self, person: Person, wanted: EmployeeNumber | None) -> list[Note]:
        """The same from the stored document: other slots may be configured since intake."""
        if not self.tenant.slots or person.user_id is None:
            return []
        document = document_of(self.connection, self.tenant.name, person.user_id)
        return self.keep(person, document, wanted) if document is not None else []

    def assert_again(self, person: Person) -> None:
        """Have all of a person's certificates sent again: he comes back (rule K2)."""
        CertificateDeliveries(self.connection, self.tenant.name).mark_stale(person.id)

    def owes(self, person: Person) -> bool:
        """Whether there is a certificate of a linked person that Ditio has not acknowledged."""
        number = person.employee_number
        if number is None or not person.days.wants_employment(self.tenant.today(self.now)):
            return False
        ledger, his = Ledger(self.connection, self.tenant.name), Holder.of_person(person.id)
        return ledger.has_lines(Holder.of_number(number)) or bool(
            outstanding(ledger.lines(his), number, self.tenant.certificates)
        )

    def outranked(self, person: Person) -> list[Note]:
        """A note for each slot of a person in whose place another source's word counts."""
        return outranked(Ledger(self.connection, self.tenant.name).lines(Holder.of_person(person.id)))

    def _enter(
        self, entries: Entries, person: Person, certificate: Certificate, number: EmployeeNumber | None
    ) -> Entered:
        holder = Holder.of_person(person.id)
        entered = entries.put(holder, Source.slot, certificate, number, stores_losers=True)
        if not isinstance(entered, Entered):
            raise AssertionError("a slot that loses is stored all the same")
        return entered


def outranked(lines: Iterable[Line]) -> list[Note]:
    """The loser is told: a note for each slot in whose place another source's word counts (rule K1)."""
    return [
        Note(f"certificate {line.type}: {_told(line.winner)}, so the slot does not count")
        for line in lines
        for entry in line.entries
        if entry.source is Source.slot and line.winner is not None and not entry.wins
    ]


def _told(winner: Entry) -> str:
    known = winner.certificate
    number = f"number {known.number}" if known.number else "one without a number"
    return f"{winner.source} has {number}, issued {known.issued}, {ending(known)}"


def held(readings: list[SlotReading]) -> list[Note]:
    """A note for each slot that can't be used: it is held, and the rest of the person flows on (rule K1)."""
    return [
        Note(f"certificate {reading.type}: {reading.said.text}", Reason.incomplete)
        for reading in readings
        if isinstance(reading.said, InvalidCertificate)
    ]
