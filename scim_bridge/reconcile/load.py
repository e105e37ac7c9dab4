"""Load the roster of Ditio, or one employee, into the database."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice

from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field, running_employment
from scim_bridge.domain.person import Person, PersonId
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

    def load(self, employees: Iterable[ActualEmployee], progress: Callable[[int], None]) -> int:
        """Store all employees. Return how many there are.

        :param progress: Called with the number of employees read so far.
        :raises DeliveryError: the roster can't be read as a whole.
        :raises BridgeError: the roster mixes companies.
        """
        come, rows = 0, iter(employees)
        while batch := list(islice(rows, BATCH)):
            self._store(batch)
            come += len(batch)
            progress(come)
        with self.tenant.write() as s:
            snapshot = s.snapshot(self.run_id)
            snapshot.is_complete()
            return snapshot.count()

    def _store(self, batch: list[ActualEmployee]) -> None:
        shown: dict[EmployeeNumber, ActualEmployee] = {}
        for each in batch:
            number = each.employee_number
            shown[number] = self._merged(shown[number], each) if number in shown else each
        with self.tenant.write() as s:
            snapshot = s.snapshot(self.run_id)
            if not snapshot.add_new([self._seen(each) for each in shown.values()]):
                # Ditio listed an employee twice, or a page was read again. A new employee is merged with itself.
                known = snapshot.of(shown)
                snapshot.add(self._seen(self._merged(known[number], each)) for number, each in shown.items())

    def _merged(self, known: ActualEmployee, new: ActualEmployee) -> ActualEmployee:
        self._refuse_mixture(known.employee_number, known.company, new.company)
        return merged(known, new, self.today)

    def _seen(self, found: ActualEmployee) -> Seen:
        fingerprint = fingerprint_of(found, self.tenant.policy.owners, self.today)
        return Seen(found, fingerprint.shown, fingerprint.digest)

    def _refuse_mixture(self, number: str, one: str | None, other: str | None) -> None:
        if one is not None and other is not None and one.lstrip("0") != other.lstrip("0"):
            raise BridgeError(
                f"Ditio shows employees of several companies, and employee number {number} in two of them: set "
                "DITIO__COMPANY_ID to the id of your company"
            )


def merged(known: ActualEmployee, new: ActualEmployee, today: date) -> ActualEmployee:
    """Return one employee from two rows about them: of two employments, or the same row read twice."""
    first, second = (new, known) if _rank(new, today) > _rank(known, today) else (known, new)
    both = [each.employments for each in (first, second) if each.employments is not None]
    return ActualEmployee(
        employee_number=first.employee_number,
        values={**second.values, **first.values},
        disabled=second.disabled if first.disabled is None else first.disabled,
        employments=tuple(dict.fromkeys(each for employments in both for each in employments)) if both else None,
        company_profile_id=first.company_profile_id or second.company_profile_id,
        company=known.company or new.company,
    )


def _rank(found: ActualEmployee, today: date) -> tuple[bool, date, bool]:
    """Return a rank by which the present one of two rows wins: running employment, later start, open login."""
    running = running_employment(found.employments or (), today)
    starts = [each.start for each in found.employments or () if each.start is not None]
    return running is not None, max(starts, default=date.min), found.disabled is False


def employees_about(tenant: Tenant, person_id: PersonId) -> Iterator[ActualEmployee]:
    """Yield the employee with the linked number, else with the desired number, else those that look alike (rule P5).

    :raises DeliveryError: Ditio can't be read.
    """
    with tenant.read() as s:
        person, desired = _known(s, tenant, person_id)
    linked, wanted = person.employee_number, desired.employee_number
    if linked is not None and (found := tenant.ditio.get(linked)) is not None:
        yield found
        return
    if wanted is not None and wanted != linked and (found := tenant.ditio.get(wanted)) is not None:
        yield found
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


def _texts(person: Person, desired: DesiredEmployee) -> list[str]:
    known = person.acknowledged.values
    values = [each.get(field) for field in (Field.phone, Field.email) for each in (desired.values, known)]
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))
