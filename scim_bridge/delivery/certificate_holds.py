"""While one request has certificates of many, no other process sends certificates of the same holders (rule D1)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from sqlalchemy import Connection

from scim_bridge.delivery.bisecting import Refused
from scim_bridge.delivery.outcome import printable
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.certificate import Holder, Shipment
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import NOT_THERE
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.certificate_queries import Key
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import RestLeases
from scim_bridge.storage.people import Record
from scim_bridge.storage.runs import Schedules

NOT_AT_REST = "he is due, is being delivered, or hands are off: his own delivery brings it"
HAS_LEFT = "he has left: certificates wait for his return"
NOT_THEIRS = "Ditio shows no employee, or another one, under this person's number: see `outbox list`"
ELSEWHERE = "another process sends it just now"

UNCLAIMED = "unclaimed-certificates"
"""The task of which one process at a time takes care."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a certificate is not sent."""

    why: str


class Hold(Protocol):
    """What keeps others away from some holders, for one request."""

    def look(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | Withheld]:
        """The number that each would be sent under now, or why it is not sent; others are not kept away yet."""

    def take(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | Withheld]:
        """Keep others away. The number that each is to be sent under, or why it is not sent."""

    def note(self, connection: Connection, now: datetime, shipments: Sequence[Shipment], entry: Entry) -> None:
        """Put a call into the history of whomever it was about (rule D5)."""

    def park(self, connection: Connection, now: datetime, refused: Refused[Shipment]) -> None:
        """Show those who are held up by a refusal."""

    def give_back(self, connection: Connection, now: datetime, holders: Collection[Holder]) -> Collection[Holder]:
        """Let others in again. From which of the holders they were kept away until now."""


@dataclass(frozen=True, slots=True)
class PeopleHold:
    """A lease on each of some people, who are at rest."""

    tenant: Tenant
    lease: str

    def look(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | Withheld]:
        """Whoever is at rest."""
        today = self.tenant.today(now)
        at_rest = RestLeases(connection, self.tenant.name, now).at_rest(_people({key[0] for key in keys}), today)
        return _numbers(keys, at_rest, today)

    def take(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | Withheld]:
        """Lease whoever is at rest."""
        asked, today = _people({key[0] for key in keys}), self.tenant.today(now)
        leases = RestLeases(connection, self.tenant.name, now)
        return _numbers(keys, leases.take(asked, self.lease, self.tenant.lease_seconds, today), today)

    def note(self, connection: Connection, now: datetime, shipments: Sequence[Shipment], entry: Entry) -> None:
        """A row for each person."""
        whose = _people({each.line.holder for each in shipments})
        History(connection, self.tenant.name, now).add_for_all(whose, entry)

    def park(self, connection: Connection, now: datetime, refused: Refused[Shipment]) -> None:
        """Park each person, with the types of his certificates and Ditio's words."""
        types: dict[PersonId, list[str]] = {}
        for each in refused.items:
            if (person_id := each.line.holder.person_id) is not None:
                types.setdefault(person_id, []).append(each.line.type)
        leases = RestLeases(connection, self.tenant.name, now)
        for person_id, his in types.items():
            detail = f"certificate {', '.join(his)}: {refused.why}"
            leases.park(person_id, self.lease, printable(detail))

    def give_back(self, connection: Connection, now: datetime, holders: Collection[Holder]) -> Collection[Holder]:
        """Give the leases back that are ours."""
        ours = RestLeases(connection, self.tenant.name, now).give_back(_people(holders), self.lease)
        return {Holder.of_person(person_id) for person_id in ours}


@dataclass(frozen=True, slots=True)
class UnclaimedHold:
    """One lease on all numbers that no person is linked to: there is nobody to lease."""

    tenant: Tenant
    lease: str

    def look(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | Withheld]:
        """All of them."""
        return {key: EmployeeNumber(key[0].value) for key in keys}

    def take(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | Withheld]:
        """Become the one who sends them."""
        schedules = Schedules(connection, self.tenant.name, now)
        if not schedules.take(UNCLAIMED, self.lease, every_seconds=0, alive_seconds=self.tenant.lease_seconds):
            return {key: Withheld(ELSEWHERE) for key in keys}
        return {key: EmployeeNumber(key[0].value) for key in keys}

    def note(self, connection: Connection, now: datetime, shipments: Sequence[Shipment], entry: Entry) -> None:
        """There is nobody whose history it is; the ledger has what was acknowledged."""

    def park(self, connection: Connection, now: datetime, refused: Refused[Shipment]) -> None:
        """There is nobody to park; the ledger has why."""

    def give_back(self, connection: Connection, now: datetime, holders: Collection[Holder]) -> Collection[Holder]:
        """Let another process do it."""
        Schedules(connection, self.tenant.name, now).done(UNCLAIMED, self.lease)
        return holders


def _people(holders: Collection[Holder]) -> list[PersonId]:
    return sorted(person_id for holder in holders if (person_id := holder.person_id) is not None)


def _numbers(keys: Sequence[Key], at_rest: Sequence[Record], today: date) -> Mapping[Key, EmployeeNumber | Withheld]:
    people = {record.person.id: record.person for record in at_rest}
    not_there = {record.person.id for record in at_rest if record.reason in NOT_THERE}
    found: dict[Key, EmployeeNumber | Withheld] = {}
    for key in keys:
        person = people.get(PersonId(key[0].value))
        if person is None or person.employee_number is None:
            found[key] = Withheld(NOT_AT_REST)
        elif person.id in not_there:
            found[key] = Withheld(NOT_THEIRS)
        elif not person.days.wants_employment(today):
            found[key] = Withheld(HAS_LEFT)
        else:
            found[key] = person.employee_number
    return found
