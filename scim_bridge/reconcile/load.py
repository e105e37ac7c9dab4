"""Load the roster of Ditio, or one employee, into the database."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice

from scim_bridge.ditio.actual import employee_from_row, merged
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BridgeError
from scim_bridge.plan.diff import fingerprint_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.resources import document_of
from scim_bridge.storage.snapshot import Seen
from scim_bridge.tenant import NOTHING_DESIRED, Tenant

BATCH = 500
"""Rows that are in memory, and stored in one transaction, at a time."""


@dataclass(frozen=True, slots=True)
class RosterLoading:
    """Load the snapshot of one run."""

    tenant: Tenant
    run_id: str
    today: date

    def load(self, rows: Iterable[JsonObject], progress: Callable[[int], None]) -> int:
        """Store all employees. Return how many there are.

        :param progress: Called with the number of rows read so far.
        :raises DeliveryError: the roster can't be read as a whole.
        :raises BridgeError: the roster mixes companies.
        """
        come = 0
        for batch in _batches(iter(rows)):
            self._store(batch)
            come += len(batch)
            progress(come)
        with self.tenant.write() as s:
            snapshot = s.snapshot(self.run_id)
            snapshot.is_complete()
            return snapshot.count()

    def _store(self, batch: list[JsonObject]) -> None:
        shown: dict[EmployeeNumber, tuple[ActualEmployee, str | None]] = {}
        for row in batch:
            if (each := self._shown(row)) is not None:
                number = each[0].employee_number
                shown[number] = self._merged(shown[number], each) if number in shown else each
        with self.tenant.write() as s:
            snapshot = s.snapshot(self.run_id)
            if not snapshot.add_new([self._seen(*each) for each in shown.values()]):
                # Ditio listed an employee twice, or a page was read again. A new employee is merged with itself.
                known, companies = snapshot.of(shown), snapshot.companies_of(shown)
                pairs = [((known[number], companies.get(number)), each) for number, each in shown.items()]
                snapshot.add(self._seen(*self._merged(*pair)) for pair in pairs)

    def _merged(
        self, known: tuple[ActualEmployee, str | None], new: tuple[ActualEmployee, str | None]
    ) -> tuple[ActualEmployee, str | None]:
        number, company = known[0].employee_number, known[1]
        self._refuse_mixture(number, company, new[1])
        return merged(known[0], new[0], self.today), company or new[1]

    def _shown(self, row: JsonObject) -> tuple[ActualEmployee, str | None] | None:
        rules = self.tenant.rules
        found = employee_from_row(row, region=rules.phone_region, zone=rules.zone, today=self.today)
        company = next((str(value) for key, value in row.items() if key.lower() == "companyid" and value), None)
        return None if found is None else (found, company)

    def _seen(self, found: ActualEmployee, company: str | None) -> Seen:
        fingerprint = fingerprint_of(found, self.tenant.policy.owners, self.today)
        return Seen(found, company, fingerprint.shown, fingerprint.digest)

    def _refuse_mixture(self, number: str, one: str | None, other: str | None) -> None:
        if one is not None and other is not None and one.lstrip("0") != other.lstrip("0"):
            raise BridgeError(
                f"Ditio shows employees of several companies, and employee number {number} in two of them: set "
                "DITIO__COMPANY_ID to the id of your company"
            )


def _batches(rows: Iterator[JsonObject]) -> Iterator[list[JsonObject]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def rows_about(tenant: Tenant, person_id: PersonId) -> Iterator[JsonObject]:
    """Yield the employee with the linked number, else with the desired number, else those that look alike (rule P5).

    :raises DeliveryError: Ditio can't be read.
    """
    with tenant.read() as s:
        person, desired = _known(s, tenant, person_id)
    linked, wanted = person.employee_number, desired.employee_number
    if linked is not None and (row := _read(tenant, linked)) is not None:
        yield row
        return
    if wanted is not None and wanted != linked and (row := _read(tenant, wanted)) is not None:
        yield row
        return
    for text in _texts(person, desired):
        # The search is not exact: the comparison picks those with the same phone or address.
        yield from tenant.ditio.search(text)


def _known(s: Session, tenant: Tenant, person_id: PersonId) -> tuple[Person, DesiredEmployee]:
    record = s.people.get(person_id)
    if record is None:
        raise AssertionError("a person who was found a moment ago is there")
    person = record.person
    document = document_of(s, person.user_id) if person.user_id is not None else None
    if document is None:
        return person, NOTHING_DESIRED
    return person, tenant.desired(document, person, tenant.today(s.now))


def _read(tenant: Tenant, number: EmployeeNumber) -> JsonObject | None:
    answer = tenant.ditio.get(number)
    return None if answer is None else answer.body


def _texts(person: Person, desired: DesiredEmployee) -> list[str]:
    known = person.acknowledged.values
    values = [each.get(field) for field in (Field.phone, Field.email) for each in (desired.values, known)]
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))
