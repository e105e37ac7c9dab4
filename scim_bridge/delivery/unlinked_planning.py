"""Employees whom no person is linked to, as rows of a plan: they are shown, and always left alone (rule Q2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from scim_bridge.delivery.certificate_drift import CertificateDrift
from scim_bridge.delivery.drift_facts import facts_of
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import EmployeeNumber, Field, Wish
from scim_bridge.plan.absence import duplicate
from scim_bridge.storage.candidates import candidates
from scim_bridge.storage.database import Database
from scim_bridge.storage.people import People
from scim_bridge.storage.snapshot import Snapshot

BATCH = 500
"""Employees who are in memory at a time."""

UNMANAGED = "no SCIM user claims this employee: left alone"


@dataclass(frozen=True, slots=True)
class UnlinkedPlanning:
    """Plans them for one run. Nothing is asked of Ditio, and nothing sent."""

    database: Database
    tenant: Tenant
    run_id: str
    read_at: datetime
    told: set[str]
    """Those who are named by a person's row; whoever is told as a double is added."""

    def rows(self) -> Iterator[list[Drift]]:
        """Doubles of linked employees, then everybody else, then certificates of numbers that nobody is linked to."""
        yield from self._doubles()
        yield from self._unmanaged()
        yield from self._unclaimed()

    def _doubles(self) -> Iterator[list[Drift]]:
        for shared in (Field.phone, Field.email, Field.employee_number):
            after = ""
            while True:
                with self.database.read() as connection:
                    snapshot = Snapshot(connection, self.tenant.name, self.run_id)
                    keys = snapshot.shared(shared, after, BATCH)
                    pairs = snapshot.doubles(shared, keys) if keys else []
                    rows = [row for pair in pairs if (row := self._double(connection, shared, *pair)) is not None]
                if not keys:
                    break
                after = keys[-1]
                yield rows

    def _double(self, connection: Connection, field: Field, number: str, other: str) -> Drift | None:
        """An unlinked employee who looks like a linked one; told once."""
        record = People(connection, self.tenant.name).linked_to(EmployeeNumber(number))
        if record is None or other in self.told:
            return None
        (candidate,) = candidates(connection, self.tenant.name, self.run_id, [record.person.id])
        self.told.add(other)
        facts = facts_of(connection, self.tenant, candidate, Wish({}), self._today)
        return duplicate(record.person, facts, number, field.value, other)

    def _unmanaged(self) -> Iterator[list[Drift]]:
        after = ""
        while True:
            with self.database.read() as connection:
                snapshot = Snapshot(connection, self.tenant.name, self.run_id)
                numbers = snapshot.unmanaged(self.run_id, after, BATCH)
            if not numbers:
                return
            after = numbers[-1]
            yield [
                Drift(Kind.unmanaged, Cause.created_outside, number, listed=UNMANAGED)
                for number in numbers
                if number not in self.told
            ]

    def _unclaimed(self) -> Iterator[list[Drift]]:
        with self.database.read() as connection:
            yield from map(list, CertificateDrift(connection, self.tenant, self._today).unclaimed(BATCH))

    @property
    def _today(self) -> date:
        return self.tenant.today(self.read_at)
