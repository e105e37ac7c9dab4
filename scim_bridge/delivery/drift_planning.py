"""Everybody is compared with what Ditio showed, and what differs becomes the rows of a plan (rules Q1, Q2)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from scim_bridge.delivery.agreeing import Agreement, agreement_of, note_agreement
from scim_bridge.delivery.certificate_drift import CertificateDrift, keep_slots_of
from scim_bridge.delivery.drift_facts import around, facts_of, wish_of_candidate
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Wish
from scim_bridge.domain.employment import running_employment
from scim_bridge.domain.person import PersonId
from scim_bridge.plan.absence import absent, duplicate, stuck
from scim_bridge.plan.drift import drift_of
from scim_bridge.plan.fingerprint import is_as_wanted
from scim_bridge.plan.lag import believed
from scim_bridge.storage.candidates import Candidate, candidates
from scim_bridge.storage.database import Database
from scim_bridge.storage.people import People
from scim_bridge.storage.plan_items import PlanItems
from scim_bridge.storage.snapshot import Snapshot

BATCH = 500
"""People who are in memory at a time."""

UNMANAGED = "no SCIM user claims this employee: left alone"


@dataclass(slots=True)
class Figures:
    """What a plan comes to."""

    people: int = 0
    in_sync: int = 0
    linked: int = 0
    at_work: int = 0
    items: int = 0


@dataclass(slots=True)
class DriftPlanning:
    """Makes the plan of one run. Nothing is asked of Ditio, and nothing sent."""

    database: Database
    tenant: Tenant
    run_id: str
    read_at: datetime
    """When Ditio began to be read: what was delivered since is newer than what was shown."""

    new_id: Callable[[], str]
    only: Kind | None = None
    figures: Figures = field(default_factory=Figures)
    _told: set[str] = field(default_factory=set)
    """Unlinked employees who are named by another row."""

    _agreements: list[Agreement] = field(default_factory=list)
    _certificates: dict[PersonId, list[Drift]] = field(default_factory=dict)
    """The certificates of the people in hand that Ditio has not acknowledged as they are."""

    def plan_people(self, person_id: PersonId | None, progress: Callable[[int], None]) -> None:
        """Plan everybody, or one person."""
        after = ""
        while batch := self._next(after, person_id):
            after = batch[-1].record.person.id
            self._plan(batch)
            progress(self.figures.people)

    def plan_others(self) -> None:
        """Plan employees whom no person is linked to: doubles of linked ones, and everybody else."""
        for batch in self._doubles():
            self._store(batch)
        for batch in self._unmanaged():
            self._store(batch)
        for batch in self._unclaimed():
            self._store(batch)

    def _next(self, after: str, person_id: PersonId | None) -> list[Candidate]:
        with self.database.read() as connection:
            return candidates(connection, self.tenant.name, self.run_id, after=after, limit=BATCH, only=person_id)

    def _plan(self, batch: Sequence[Candidate]) -> None:
        today = self.tenant.today(self.read_at)
        keep_slots_of(self.database, self.tenant, batch, self.new_id)
        with self.database.read() as connection:
            self._certificates = CertificateDrift(connection, self.tenant, today).of_people(batch)
        items: list[Drift] = []
        closer: list[tuple[Candidate, Wish]] = []
        for candidate in batch:
            person = candidate.record.person
            self.figures.linked += person.employee_number is not None
            if person.user_id is not None or person.employee_number is not None:
                self.figures.people += 1
            wish = wish_of_candidate(candidate, self.tenant, today)
            if person.id not in self._certificates and self._is_in_sync(candidate, wish, today):
                self.figures.in_sync += 1
                self.figures.at_work += person.days.wants_employment(today)
            else:
                closer.append((candidate, wish))
        if closer:
            with self.database.read() as connection:
                items = self._look_closer(connection, closer, today)
        self._store(items)
        self._acknowledge()

    def _is_in_sync(self, candidate: Candidate, wish: Wish, today: date) -> bool:
        """The short cut: nothing but the fingerprints is looked at."""
        record = candidate.record
        if candidate.shown is None or candidate.digest is None or record.due_since is not None:
            return False
        owners = self.tenant.policy.owners
        return is_as_wanted(candidate.shown, candidate.digest, record.person, wish, owners, today)

    def _look_closer(
        self, connection: Connection, closer: Sequence[tuple[Candidate, Wish]], today: date
    ) -> list[Drift]:
        snapshot = Snapshot(connection, self.tenant.name, self.run_id)
        linked = [number for candidate, _ in closer if (number := candidate.record.person.employee_number)]
        shown = snapshot.of(linked)
        items: list[Drift] = []
        for candidate, wish in closer:
            person = candidate.record.person
            found = shown.get(person.employee_number or "")
            if found is not None:
                self.figures.at_work += _is_at_work(found, today)
                rows = self._differing(connection, candidate, wish, found, today)
                rows += self._certificates.get(person.id, [])
            else:
                rows = self._absent(connection, snapshot, candidate, wish, today)
            is_counted = person.user_id is not None or person.employee_number is not None
            self.figures.in_sync += is_counted and not rows
            items += rows
        return items

    def _differing(
        self, connection: Connection, candidate: Candidate, wish: Wish, found: FoundEmployee, today: date
    ) -> list[Drift]:
        record, policy = candidate.record, self.tenant.policy
        # A moment more than the lag, so that what was taken at its very end is still believed to be shown.
        lag, moment = self.tenant.read_lag_seconds + 1e-6, self.read_at + timedelta(microseconds=2)
        found = believed(found, record.person.acknowledged, moment, lag)
        facts = facts_of(connection, self.tenant, candidate, wish, today)
        drift = drift_of(record.person, wish, found, policy, facts, today=today)
        if (agreement := agreement_of(record, wish, drift.plan.seen)) is not None:
            self._agreements.append(agreement)
        number = record.person.employee_number
        waits = stuck(record.person, facts, due_since=record.due_since, now=self.read_at, number=number)
        return [*drift.items, *waits]

    def _absent(
        self, connection: Connection, snapshot: Snapshot, candidate: Candidate, wish: Wish, today: date
    ) -> list[Drift]:
        record = candidate.record
        person = record.person
        settled_by = self.read_at - timedelta(seconds=self.tenant.read_lag_seconds)
        if person.employee_number is not None and person.linked_at is not None and person.linked_at > settled_by:
            return []  # Delivered while Ditio was read, or just before: it proves nothing that he is not shown.
        rows = absent(
            person,
            wish,
            facts_of(connection, self.tenant, candidate, wish, today),
            around(connection, self.tenant, snapshot, person, wish),
            self.tenant.policy,
            due_since=record.due_since,
            now=self.read_at,
            today=today,
        )
        self._told |= {str(row.found) for row in rows if row.kind in (Kind.renumbered, Kind.duplicate_identity)}
        return rows

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
        if record is None or other in self._told:
            return None
        (candidate,) = candidates(connection, self.tenant.name, self.run_id, after="", limit=1, only=record.person.id)
        self._told.add(other)
        facts = facts_of(connection, self.tenant, candidate, Wish({}), self.tenant.today(self.read_at))
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
                if number not in self._told
            ]

    def _unclaimed(self) -> Iterator[list[Drift]]:
        with self.database.read() as connection:
            yield from map(
                list, CertificateDrift(connection, self.tenant, self.tenant.today(self.read_at)).unclaimed(BATCH)
            )

    def _acknowledge(self) -> None:
        if self._agreements:
            with self.database.write() as connection:
                for agreement in self._agreements:
                    note_agreement(connection, self.tenant, agreement, self.read_at)
            self._agreements.clear()

    def _store(self, items: Sequence[Drift]) -> None:
        kept = [item for item in items if self.only is None or item.kind is self.only]
        if kept:
            with self.database.write() as connection:
                PlanItems(connection, self.tenant.name, self.run_id).add(kept, self.figures.items)
            self.figures.items += len(kept)


def _is_at_work(found: FoundEmployee, today: date) -> bool:
    return found.disabled is False or running_employment(found.employments or (), today) is not None
