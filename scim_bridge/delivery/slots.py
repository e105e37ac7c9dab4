"""What a user's slots say is kept in step with the ledger (rule K1)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.ledger import Book, Entered
from scim_bridge.delivery.outcome import Note
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.certificate import Certificate, Holder, Source
from scim_bridge.domain.delivery_state import Reason
from scim_bridge.domain.documents import JsonObject
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import Person
from scim_bridge.mapping.certificates import Flaw
from scim_bridge.mapping.slots import SlotReading, slots_of
from scim_bridge.storage.certificates import Ledger


@dataclass(frozen=True, slots=True)
class SlotKeeping:
    """Enters the slots of one tenant's users, within one transaction in which the person is locked."""

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
        return held(readings)

    def _enter(self, book: Book, person: Person, certificate: Certificate, number: EmployeeNumber | None) -> Entered:
        holder = Holder.of_person(person.id)
        entered = book.enter(holder, Source.slot, certificate, number, stores_losers=True)
        if not isinstance(entered, Entered):
            raise AssertionError("a slot that loses is stored all the same")
        return entered


def held(readings: list[SlotReading]) -> list[Note]:
    """A note for each slot that can't be used: it is held, and the rest of the person flows on (rule K1)."""
    return [
        Note(f"certificate {reading.type}: {reading.said.text}", Reason.incomplete)
        for reading in readings
        if isinstance(reading.said, Flaw)
    ]
