"""Entries: put into the ledger what a user's slots or another source say of a certificate, or remove it (rule K1)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

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
from scim_bridge.storage.database import Session
from scim_bridge.storage.ledger import Ledger
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Entered:
    """An entry was put into the ledger."""

    entry: Entry
    beaten_by: Entry | None = None
    """The entry that outranks this one; None if this one wins."""

    is_owed: bool = False
    """Whether the certificate that Ditio should have has changed."""


@dataclass(frozen=True, slots=True)
class Outranked:
    """Another source's entry outranks this one: nothing was stored, and the answer has to name the winner."""

    winner: Entry


@dataclass(frozen=True, slots=True)
class Entries:
    """Puts entries into the ledger and removes them, in the caller's transaction."""

    s: Session
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
        """Put an entry of a source into the ledger. A source may always correct its own entry.

        :param former: The entry that this one corrects, if it was on another line and is removed; the new one keeps
            its id.
        :param stores_losers: Whether to store a new entry that is outranked. True for slots, whose document stays.
        """
        line = self.s.ledger.open(holder, certificate.type)
        own = next((entry for entry in line.entries if entry.source is source), None)
        if own is None and not stores_losers and (winner := self._stronger(line, certificate)) is not None:
            self.s.ledger.close(holder, certificate.type)
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
            created_at=own.created_at if own else former.created_at if former else self.s.now,
            last_modified_at=self.s.now,
        )
        winner = _elect(self.s.ledger, line, (*(each for each in line.entries if each is not own), entry))
        is_owed = line.winner is None or winner.certificate != line.winner.certificate
        entry = replace(entry, wins=winner.id == entry.id)
        if own is None:
            self.s.ledger.add(entry)
        else:
            self.s.ledger.replace(entry)
        if not entry.wins and not winner.wins:
            self.s.ledger.set_winner(winner.id, wins=True)
        return Entered(entry, None if entry.wins else winner, is_owed)

    def loses(self, holder: Holder, certificate: Certificate) -> Outranked | None:
        """Return the entry that would outrank a new one, if there is one."""
        line = self.s.ledger.open(holder, certificate.type)
        winner = self._stronger(line, certificate)
        self.s.ledger.close(holder, certificate.type)
        return Outranked(winner) if winner is not None else None

    def remove_entry(self, entry: Entry) -> bool:
        """Remove an entry of a source. The entry of another source takes its place, if there is one.

        Return whether the certificate that Ditio should have has changed.
        """
        line = self.s.ledger.open(entry.holder, entry.certificate.type)
        self.s.ledger.remove(entry.id)
        before, others = line.winner, tuple(each for each in line.entries if each.id != entry.id)
        if not others:
            self.s.ledger.clear(line)
            self.s.ledger.close(entry.holder, entry.certificate.type)
            return before is not None
        winner = _elect(self.s.ledger, line, others)
        self.s.ledger.set_winner(winner.id, wins=True)
        return before is not None and winner.certificate != before.certificate

    def _stronger(self, line: Line, certificate: Certificate) -> Entry | None:
        """Return the entry that outranks this new certificate, if there is one."""
        rivals = [line.winner]
        if line.holder.person_id is None:
            # Include entries of a person who is to have the number but is not in Ditio yet.
            rivals.append(self.s.ledger.rival(EmployeeNumber(line.holder.value), line.type))
        known = [entry for entry in rivals if entry is not None]
        strongest = winner_of(known)
        return strongest if strongest is not None and not beats(certificate, strongest.certificate) else None


def give_to(s: Session, person_id: PersonId, number: EmployeeNumber) -> bool:
    """Assign the unclaimed entries of a number to the person who is now linked. Return whether there were any."""
    ledger, heir = s.ledger, Holder.of_person(person_id)
    found = ledger.lines(Holder.of_number(number), lock=True)
    for line in found:
        own = ledger.open(heir, line.type)
        ledger.inherit(line, heir)
        ledger.clear(own)
        kept = {entry.source: entry for entry in own.entries}
        for entry in line.entries:
            # Of two entries of one source, keep the later.
            other = kept.get(entry.source)
            if other is not None and entry.last_modified_at <= other.last_modified_at:
                ledger.remove(entry.id)
                continue
            if other is not None:
                ledger.remove(other.id)
            # Both lines had a winner: choose the new one when all entries are moved.
            kept[entry.source] = replace(entry, holder=heir, employee_number=number, wins=False)
            ledger.replace(kept[entry.source])
        if kept:
            winner = _elect(ledger, own, tuple(kept.values()))
            ledger.set_winner(winner.id, wins=True)
    return bool(found)


def give_up(s: Session, tenant: Tenant, person: Person) -> None:
    """Make entries unclaimed that a leaver got after leaving, because they give up their number for a newcomer.

    Those entries were never about the leaver.
    """
    number, left_on = person.employee_number, person.days.inactive_since
    if number is None or left_on is None:
        return
    entries = Entries(s, lambda: "")
    for line in s.ledger.lines(Holder.of_person(person.id)):
        for entry in line.entries:
            if entry.source is not Source.slot and tenant.today(entry.last_modified_at) > left_on:
                entries.remove_entry(entry)
                entries.put(
                    Holder.of_number(number), entry.source, entry.certificate, number, former=entry, stores_losers=True
                )


def _elect(ledger: Ledger, line: Line, said: tuple[Entry, ...]) -> Entry:
    """Return the winner of these entries, and unset an earlier winner. What was held or parked is tried again."""
    winner = winner_of(said)
    if winner is None:
        raise AssertionError("of several entries one wins")
    if line.winner is not None and line.winner.id != winner.id:
        ledger.set_winner(line.winner.id, wins=False)
    ledger.clear(line)
    return winner


@dataclass(frozen=True, slots=True)
class SlotEntries:
    """Puts the certificates of a user's slots into the ledger, in a transaction that has locked the person."""

    s: Session
    tenant: Tenant

    def keep(self, person: Person, document: JsonObject, wanted: EmployeeNumber | None) -> list[Note]:
        """Put the document's slots into the ledger. Return a note for each slot that is held.

        An empty slot removes its entry. A slot that can't be read changes nothing: its earlier entry stays (compare
        rule C3).

        :param wanted: The employee number that the document asks for, for a person who is not linked yet.
        """
        if not self.tenant.slots:
            return []
        terms = self.tenant.certificate_terms(self.tenant.today(self.s.now))
        entries = Entries(self.s, self.tenant.new_id)
        before = {each.certificate.type: each for each in self.s.ledger.slots_of(person.id)}
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
        """Do what `keep` does with the stored document: other slots may be configured since intake."""
        if not self.tenant.slots or person.user_id is None:
            return []
        document = document_of(self.s, person.user_id)
        return self.keep(person, document, wanted) if document is not None else []

    def assert_again(self, person: Person) -> None:
        """Mark all certificates of a person who returns to be sent again (rule K2)."""
        self.s.certificate_deliveries.mark_stale(person.id)

    def owes(self, person: Person) -> bool:
        """Return whether a linked person has a certificate that Ditio has not acknowledged."""
        number = person.employee_number
        if number is None or not person.days.wants_employment(self.tenant.today(self.s.now)):
            return False
        ledger, own = self.s.ledger, Holder.of_person(person.id)
        return ledger.has_lines(Holder.of_number(number)) or bool(
            outstanding(ledger.lines(own), number, self.tenant.certificates)
        )

    def outranked(self, person: Person) -> list[Note]:
        """Return a note for each slot of a person that another source's entry outranks."""
        return outranked(self.s.ledger.lines(Holder.of_person(person.id)))

    def _enter(
        self, entries: Entries, person: Person, certificate: Certificate, number: EmployeeNumber | None
    ) -> Entered:
        holder = Holder.of_person(person.id)
        entered = entries.put(holder, Source.slot, certificate, number, stores_losers=True)
        if not isinstance(entered, Entered):
            raise AssertionError("the entry of a slot is always stored, even if outranked")
        return entered


def outranked(lines: Iterable[Line]) -> list[Note]:
    """Return a note for each slot that another source's entry outranks (rule K1)."""
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
    """Return a note for each slot that can't be used: it is held, and everything else is delivered (rule K1)."""
    return [
        Note(f"certificate {reading.type}: {reading.said.text}", Reason.incomplete)
        for reading in readings
        if isinstance(reading.said, InvalidCertificate)
    ]
