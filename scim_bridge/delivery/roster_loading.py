"""The roster into the database, in batches: what Ditio showed, ready to be compared (design, section 9)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice

from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.documents import JsonObject
from scim_bridge.domain.employee import FoundEmployee
from scim_bridge.errors import BridgeError
from scim_bridge.mapping.from_roster import employee_from_row, merged
from scim_bridge.plan.fingerprint import fingerprint_of
from scim_bridge.storage.database import Database
from scim_bridge.storage.snapshot import Seen, Snapshot

BATCH = 500
"""Rows that are in memory, and in one transaction, at a time."""


@dataclass(frozen=True, slots=True)
class RosterLoading:
    """Loads one run's snapshot."""

    database: Database
    tenant: Tenant
    run_id: str
    today: date

    def load(self, rows: Iterable[JsonObject], progress: Callable[[int], None]) -> int:
        """Store everybody. How many employees there are.

        :param progress: Told how many rows have come.
        :raises DeliveryError: the roster can't be read as a whole.
        :raises BridgeError: it mixes companies.
        """
        come = 0
        for batch in _batches(iter(rows)):
            self._store(batch)
            come += len(batch)
            progress(come)
        with self.database.read() as connection:
            return Snapshot(connection, self.tenant.name, self.run_id).count()

    def _store(self, batch: list[JsonObject]) -> None:
        shown = [each for row in batch if (each := self._shown(row)) is not None]
        with self.database.write() as connection:
            snapshot = Snapshot(connection, self.tenant.name, self.run_id)
            numbers = [found.employee_number for found, _ in shown]
            companies, known = snapshot.companies_of(numbers), snapshot.of(numbers)
            for found, company in shown:
                number = found.employee_number
                if number in known:
                    self._refuse_mixture(number, companies.get(number), company)
                    # Several rows for one person, or a page that was read again.
                    found = merged(known[number], found, self.today)
                known[number], companies[number] = found, companies.get(number) or company
            snapshot.add(self._seen(known[number], companies.get(number)) for number in dict.fromkeys(numbers))

    def _shown(self, row: JsonObject) -> tuple[FoundEmployee, str | None] | None:
        rules = self.tenant.rules
        found = employee_from_row(row, region=rules.phone_region, zone=rules.zone, today=self.today)
        company = next((str(value) for key, value in row.items() if key.lower() == "companyid" and value), None)
        return None if found is None else (found, company)

    def _seen(self, found: FoundEmployee, company: str | None) -> Seen:
        fingerprint = fingerprint_of(found, self.tenant.policy.owners, self.today)
        return Seen(found, company, fingerprint.shown, fingerprint.digest)

    def _refuse_mixture(self, number: str, one: str | None, other: str | None) -> None:
        if one is not None and other is not None and one.lstrip("0") != other.lstrip("0"):
            raise BridgeError(
                f"Ditio shows employees of several companies, and employee number {number} in two of them: set "
                "DITIO__COMPANY_ID to the company that is meant"
            )


def _batches(rows: Iterator[JsonObject]) -> Iterator[list[JsonObject]]:
    while batch := list(islice(rows, BATCH)):
        yield batch
