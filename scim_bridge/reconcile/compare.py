"""Compare each person with what Ditio showed, and list employees that no person is linked to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field, running_employment
from scim_bridge.domain.outcome import NOT_THERE
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.plan.absence import RosterMatches, absent, duplicate, stranger, stuck
from scim_bridge.plan.diff import is_as_wanted
from scim_bridge.plan.drift import drift_of
from scim_bridge.plan.matching import is_still_ours, is_what_we_created
from scim_bridge.plan.readback import believed
from scim_bridge.reconcile.certificates import CertificateDrift, keep_slots_of
from scim_bridge.reconcile.facts import (
    Agreement,
    acknowledge_agreement,
    around,
    basis_of,
    drift_facts_of,
    find_agreement,
)
from scim_bridge.storage.candidates import Candidate, Found, SyncState, candidates
from scim_bridge.storage.database import Session
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.snapshot import Snapshot
from scim_bridge.tenant import Tenant, belongs_to_another, desired_of_candidate

BATCH = 500
"""Employees, or people with their documents, that are in memory at a time."""

UNMANAGED = "no SCIM user claims this employee: left alone"


@dataclass(frozen=True, slots=True)
class UnlinkedPlanning:
    """Plan the employees that no person is linked to, for one run. Read nothing from Ditio, and send nothing."""

    tenant: Tenant
    run_id: str
    read_at: datetime
    named: set[str]
    """Numbers of employees that a person's row names already. Duplicates that are found here are added."""

    def rows(self) -> Iterator[list[Drift]]:
        """Yield duplicates of linked employees, then all other employees, then certificates of unlinked numbers."""
        yield from self._doubles()
        yield from self._unmanaged()
        yield from self._unclaimed()

    def _doubles(self) -> Iterator[list[Drift]]:
        for shared in (Field.phone, Field.email, Field.employee_number):
            after = ""
            while True:
                with self.tenant.read() as s:
                    snapshot = s.snapshot(self.run_id)
                    keys = snapshot.shared(shared, after, BATCH)
                    pairs = snapshot.doubles(shared, keys) if keys else []
                    rows = [row for pair in pairs if (row := self._double(s, shared, *pair)) is not None]
                if not keys:
                    break
                after = keys[-1]
                yield rows

    def _double(self, s: Session, field: Field, number: str, other: str) -> Drift | None:
        """Return the row of an unlinked employee that looks like a linked one; None if a row names it already."""
        record = s.people.linked_to(EmployeeNumber(number))
        if record is None or other in self.named:
            return None
        (candidate,) = candidates(s, self.run_id, [record.person.id])
        self.named.add(other)
        facts = drift_facts_of(s, self.tenant, candidate, DesiredEmployee({}), self._today)
        return duplicate(record.person, facts, number, field.value, other)

    def _unmanaged(self) -> Iterator[list[Drift]]:
        after = ""
        while True:
            with self.tenant.read() as s:
                snapshot = s.snapshot(self.run_id)
                numbers = snapshot.unmanaged(self.run_id, after, BATCH)
            if not numbers:
                return
            after = numbers[-1]
            yield [
                Drift(Kind.unmanaged, Cause.created_outside, number, listed=UNMANAGED)
                for number in numbers
                if number not in self.named
            ]

    def _unclaimed(self) -> Iterator[list[Drift]]:
        with self.tenant.read() as s:
            yield from map(list, CertificateDrift(s, self.tenant, self._today).unclaimed(BATCH))

    @property
    def _today(self) -> date:
        return self.tenant.today(self.read_at)


PAGE = 5000
"""People whose sync state the database reads at a time: in sync, or to be compared."""

FOUND_AGAIN = "the employee is found again: the person is due now, and their own delivery sends it"


@dataclass(slots=True)
class Figures:
    """The figures of a plan."""

    people: int = 0
    in_sync: int = 0
    linked: int = 0
    at_work: int = 0
    items: int = 0


@dataclass(slots=True)
class DriftPlanning:
    """Make the plan of one run. Read nothing from Ditio, and send nothing."""

    tenant: Tenant
    run_id: str
    read_at: datetime
    """When the run began to read Ditio: what was delivered since then is newer than the snapshot."""

    only: Kind | None = None
    figures: Figures = field(default_factory=Figures)
    _named: set[str] = field(default_factory=set)
    """Numbers of unlinked employees that another row names."""

    _agreements: list[Agreement] = field(default_factory=list)
    _recognised: dict[PersonId, str] = field(default_factory=dict)
    """The `companyProfileId` of people whose id was not known before."""

    _found_again: list[PersonId] = field(default_factory=list)
    """People who were parked because their employee was missing, and who have an employee again."""

    _certificates: dict[PersonId, list[Drift]] = field(default_factory=dict)
    """Certificates of the current batch of people that Ditio has not acknowledged as they are now."""

    def plan_people(self, person_id: PersonId | None, progress: Callable[[int], None]) -> None:
        """Plan all people, or one person, who is compared even if they were in sync before."""
        basis = basis_of(self.tenant)
        if person_id is not None:
            self._plan(self._candidates([person_id]), basis)
            return
        after = ""
        while page := self._next(after, basis):
            after = page[-1].person_id
            self._count([each.is_at_work for each in page if each.is_at_work is not None])
            moved = [each.person_id for each in page if each.is_at_work is None]
            progress(self.figures.people)
            for first in range(0, len(moved), BATCH):
                self._plan(self._candidates(moved[first : first + BATCH]), basis)
                progress(self.figures.people)

    def plan_others(self) -> None:
        """Plan employees that no person is linked to: duplicates of linked ones, then all others."""
        for batch in UnlinkedPlanning(self.tenant, self.run_id, self.read_at, self._named).rows():
            self.store(batch)

    def _next(self, after: str, basis: str) -> list[SyncState]:
        today = self.tenant.today(self.read_at)
        with self.tenant.read() as s:
            searches = s.certificate_searches(self.tenant.certificates.missing_expiry)
            return s.in_sync(basis).scan(self.run_id, today, searches.may_owe(), after=after, limit=PAGE)

    def _count(self, at_work: Sequence[bool]) -> None:
        """Count people who are in sync already. :param at_work: For each of them, whether they are at work."""
        self.figures.people += len(at_work)
        self.figures.linked += len(at_work)
        self.figures.in_sync += len(at_work)
        self.figures.at_work += sum(at_work)

    def _candidates(self, person_ids: Sequence[PersonId]) -> list[Candidate]:
        with self.tenant.read() as s:
            return candidates(s, self.run_id, person_ids, in_short=True)

    def _plan(self, batch: Sequence[Candidate], basis: str) -> None:
        today = self.tenant.today(self.read_at)
        unreadable = keep_slots_of(self.tenant, batch)
        with self.tenant.read() as s:
            self._certificates = CertificateDrift(s, self.tenant, today).of_people(batch)
        items: list[Drift] = []
        closer: list[PersonId] = []
        found: list[Found] = []
        for candidate in batch:
            person = candidate.record.person
            self.figures.linked += person.employee_number is not None
            if person.user_id is not None or person.employee_number is not None:
                self.figures.people += 1
            desired = desired_of_candidate(candidate, self.tenant, today)
            if person.id not in self._certificates and self._is_in_sync(candidate, desired, today):
                is_at_work = person.days.wants_employment(today)
                self.figures.in_sync += 1
                self.figures.at_work += is_at_work
                if person.id not in unreadable:
                    found.append(_found(candidate, is_at_work))
            else:
                closer.append(person.id)
        if closer:
            with self.tenant.read() as s:
                items = self._look_closer(s, candidates(s, self.run_id, closer), today)
        self.store(items)
        self._acknowledge()
        if found:
            with self.tenant.write() as s:
                s.in_sync(basis).note(found)

    def _is_in_sync(self, candidate: Candidate, desired: DesiredEmployee, today: date) -> bool:
        """Return whether the fingerprints alone show that nothing differs: the short cut."""
        record = candidate.record
        if candidate.shown is None or candidate.digest is None or record.due_since is not None:
            return False
        if record.reason in NOT_THERE:
            return False
        owners = self.tenant.policy.owners
        return is_as_wanted(candidate.shown, candidate.digest, record.person, desired, owners, today)

    def _look_closer(self, s: Session, closer: Sequence[Candidate], today: date) -> list[Drift]:
        snapshot = s.snapshot(self.run_id)
        linked = [number for candidate in closer if (number := candidate.record.person.employee_number)]
        shown = snapshot.of(linked)
        items: list[Drift] = []
        for candidate in closer:
            person, desired = candidate.record.person, desired_of_candidate(candidate, self.tenant, today)
            found = shown.get(person.employee_number or "")
            if found is not None and not self._is_theirs(s, person, desired, found):
                rows = self._stranger(s, snapshot, candidate, desired, today)
            elif found is not None:
                self.figures.at_work += _is_at_work(found, today)
                rows = self._differing(s, candidate, desired, found, today)
                rows += self._certificates.get(person.id, [])
            else:
                rows = self._absent(s, snapshot, candidate, desired, today)
            is_counted = person.user_id is not None or person.employee_number is not None
            self.figures.in_sync += is_counted and not rows
            items += rows
        return items

    def _differing(
        self, s: Session, candidate: Candidate, desired: DesiredEmployee, found: ActualEmployee, today: date
    ) -> list[Drift]:
        record, policy = candidate.record, self.tenant.policy
        self._note_identity(record, found)
        # A moment more than the lag: what Ditio acknowledged at its very end may not be shown yet, either.
        lag, moment = self.tenant.read_lag_seconds + 1e-6, self.read_at + timedelta(microseconds=2)
        found = believed(found, record.person.acknowledged, moment, lag)
        facts = drift_facts_of(s, self.tenant, candidate, desired, today)
        drift = drift_of(record.person, desired, found, policy, facts, today=today)
        if (agreement := find_agreement(record, desired, drift.plan.seen)) is not None:
            self._agreements.append(agreement)
        number = record.person.employee_number
        waits = stuck(record.person, facts, due_since=record.due_since, now=self.read_at, number=number)
        items = drift.items
        if record.reason in NOT_THERE:
            items = tuple(replace(item, listed=item.listed or FOUND_AGAIN) for item in items)
        return [*items, *waits]

    def _is_theirs(self, s: Session, person: Person, desired: DesiredEmployee, found: ActualEmployee) -> bool:
        return is_still_ours(person, desired, found, lambda: belongs_to_another(s, person, found))

    def _note_identity(self, record: PersonRecord, found: ActualEmployee) -> None:
        """Note a `companyProfileId` that Ditio shows for the first time, and a person who is found again (rule P5)."""
        person, profile_id = record.person, found.company_profile_id
        if person.company_profile_id is None and profile_id is not None:
            self._recognised[person.id] = profile_id
        if record.reason in NOT_THERE:
            self._found_again.append(person.id)

    def _stranger(
        self, s: Session, snapshot: Snapshot, candidate: Candidate, desired: DesiredEmployee, today: date
    ) -> list[Drift]:
        """Return the row of a number that another person has now; none if the read may be older than our own change."""
        person = candidate.record.person
        settled_by = self.read_at - timedelta(seconds=self.tenant.read_lag_seconds)
        if candidate.record.due_since is not None or (person.linked_at is not None and person.linked_at > settled_by):
            return []
        facts = drift_facts_of(s, self.tenant, candidate, desired, today)
        row = stranger(person, desired, facts, around(s, self.tenant, snapshot, person, desired, linked_too=True))
        if row.found is not None:
            self._named.add(str(row.found))
        return [row]

    def _absent(
        self, s: Session, snapshot: Snapshot, candidate: Candidate, desired: DesiredEmployee, today: date
    ) -> list[Drift]:
        record = candidate.record
        person = record.person
        settled_by = self.read_at - timedelta(seconds=self.tenant.read_lag_seconds)
        if person.employee_number is not None and person.linked_at is not None and person.linked_at > settled_by:
            return []  # Linked while Ditio was read, or just before: that the employee is not shown proves nothing.
        shown = around(s, self.tenant, snapshot, person, desired)
        if _is_found_again(record, shown):
            self._found_again.append(person.id)
        rows = absent(
            person,
            desired,
            drift_facts_of(s, self.tenant, candidate, desired, today),
            shown,
            self.tenant.policy,
            due_since=record.due_since,
            now=self.read_at,
            today=today,
        )
        self._named |= {str(row.found) for row in rows if row.kind in (Kind.renumbered, Kind.duplicate_identity)}
        return rows

    def _acknowledge(self) -> None:
        if self._agreements or self._recognised or self._found_again:
            self.tenant.transact(self._note_agreements)
            self._agreements.clear()
            self._recognised.clear()
            self._found_again.clear()

    def _note_agreements(self, s: Session) -> None:
        for person_id, profile_id in sorted(self._recognised.items()):
            s.people.recognise(person_id, profile_id)
        for agreement in self._agreements:
            acknowledge_agreement(s, self.tenant, agreement, self.read_at)
        for person_id in sorted(self._found_again):
            s.outbox.mark_due(person_id)

    def store(self, items: Sequence[Drift]) -> None:
        """Store rows of the plan, as far as the request asks for them."""
        kept = [item for item in items if self.only is None or item.kind is self.only]
        if kept:
            with self.tenant.write() as s:
                s.plan(self.run_id).add(kept, self.figures.items)
            self.figures.items += len(kept)


def _found(candidate: Candidate, is_at_work: bool) -> Found:
    record = candidate.record
    number = record.person.employee_number
    if number is None or candidate.digest is None:
        raise AssertionError("Ditio shows the employee of every person in sync")
    return Found(
        person_id=record.person.id,
        employee_number=number,
        revision=record.revision,
        state_since=record.state_since,
        digest=candidate.digest,
        is_at_work=is_at_work,
    )


def _is_found_again(record: PersonRecord, shown: RosterMatches) -> bool:
    """Return whether a lost creation's employee, once renumbered, has the number again that was sent (rule P5)."""
    creating, same = record.person.creating, shown.same_number
    return (
        record.reason in NOT_THERE and creating is not None and same is not None and is_what_we_created(creating, same)
    )


def _is_at_work(found: ActualEmployee, today: date) -> bool:
    return found.disabled is False or running_employment(found.employments or (), today) is not None
