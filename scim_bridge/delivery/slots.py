"""What a user's slots say is kept in step with the ledger (rule K1)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.certificates.reading import Flaw, SlotReading, ending, slots_of
from scim_bridge.delivery.ledger import Book, Entered
from scim_bridge.delivery.outcome import Note
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.certificate import Certificate, Entry, Holder, Line, Source, outstanding
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import Person
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.ledger import CertificateDeliveries, Ledger
from scim_bridge.storage.resources import document_of


@dataclass(frozen=True, slots=True)
class SlotKeeping:
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
        book = Book(self.connection, self.tenant.name, self.now, self.new_id)
        before = {each.certificate.type: each for each in Ledger(self.connection, self.tenant.name).slots_of(person.id)}
        number = person.employee_number or wanted
        readings = slots_of(document, self.tenant.slots, terms)
        for reading in readings:
            known = before.get(reading.type)
            match reading.said:
                case Certificate() as certificate:
                    is_new = known is None or (known.certificate, known.employee_number) != (certificate, number)
                    if is_new:
                        self._enter(book, person, certificate, number)
                case None if known is not None:
                    book.take_out(known)
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

    def beaten(self, person: Person) -> list[Note]:
        """A note for each slot of a person in whose place another source's word counts."""
        return beaten(Ledger(self.connection, self.tenant.name).lines(Holder.of_person(person.id)))

    def _enter(self, book: Book, person: Person, certificate: Certificate, number: EmployeeNumber | None) -> Entered:
        holder = Holder.of_person(person.id)
        entered = book.enter(holder, Source.slot, certificate, number, stores_losers=True)
        if not isinstance(entered, Entered):
            raise AssertionError("a slot that loses is stored all the same")
        return entered


def beaten(lines: Iterable[Line]) -> list[Note]:
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
        if isinstance(reading.said, Flaw)
    ]
