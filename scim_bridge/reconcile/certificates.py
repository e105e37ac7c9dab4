"""Certificates as rows of a plan, and those rows sent in large batches (rules K2, K3)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import islice

from scim_bridge.certificates.batches import BATCH, Batches
from scim_bridge.certificates.entries import SlotEntries
from scim_bridge.certificates.reading import InvalidCertificate, slots_of
from scim_bridge.delivery.breaker import Gate
from scim_bridge.domain.certificate import (
    Certificate,
    CertificateToSend,
    CertificateType,
    Holder,
    HolderKind,
    Line,
    Unsendable,
    is_acknowledged,
    outstanding,
    wanted_of,
)
from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.candidates import Candidate
from scim_bridge.storage.certificate_queries import CertificateSearches, Key
from scim_bridge.storage.database import Session
from scim_bridge.tenant import Tenant

HANDS_OFF = "an operator stopped deliveries to this person: `people hands-off NUMBER --clear` resumes them"
HELD = "held: {why}"
PARKED = "parked, refused: see `outbox list`"


def packed(certificate: Certificate | None) -> str | None:
    """Return a certificate in one text, as a packed slot has it: ``number;issued;validUntil;notes``."""
    if certificate is None:
        return None
    end = certificate.valid_until.isoformat() if certificate.valid_until else ""
    return f"{certificate.number or ''};{certificate.issued.isoformat()};{end};{certificate.notes or ''}"


def wanted_by(shipment: CertificateToSend) -> str | None:
    """Return the text of the certificate that is desired; None for a withdrawal."""
    return None if shipment.is_withdrawal else packed(shipment.certificate)


@dataclass(frozen=True, slots=True)
class CertificateDrift:
    """Compare the ledger with what Ditio acknowledged, in one transaction that only reads."""

    s: Session
    tenant: Tenant
    today: date

    def of_people(self, batch: Sequence[Candidate]) -> dict[PersonId, list[Drift]]:
        """Return the rows of people who are linked, shown by Ditio and at work; people without rows are left out."""
        at_work = {
            candidate.record.person.id: candidate
            for candidate in batch
            if candidate.shown is not None and candidate.record.person.days.wants_employment(self.today)
        }
        keys = self._searches.outstanding_of(list(at_work)) if at_work else []
        found: dict[PersonId, list[Drift]] = {}
        for line in self._lines(keys):
            person_id = PersonId(line.holder.value)
            rows = self._rows(line, at_work[person_id])
            if rows:
                found.setdefault(person_id, []).extend(rows)
        return found

    def unclaimed(self, size: int) -> Iterator[list[Drift]]:
        """Yield the rows of numbers that no person is linked to, if the settings deliver those."""
        after = ("", "")
        while self.tenant.certificates.delivers_unclaimed:
            keys = self._searches.unclaimed(after, size)
            if not keys:
                return
            after = (keys[-1][0].value, keys[-1][1])
            yield [row for line in self._lines(keys) for row in self._rows(line, None)]

    def _rows(self, line: Line, candidate: Candidate | None) -> list[Drift]:
        number = candidate.record.person.employee_number if candidate else EmployeeNumber(line.holder.value)
        owed = outstanding([line], number, self.tenant.certificates) if number is not None else []
        return [self._row(each, number, candidate) for each in owed]

    def _row(
        self, owed: CertificateToSend | Unsendable, number: EmployeeNumber | None, candidate: Candidate | None
    ) -> Drift:
        line, known = owed.line, owed.line.acknowledged
        winner = line.winner
        user_name = candidate.document.get("userName") if candidate and candidate.document else None
        return Drift(
            kind=Kind.certificate,
            cause=_cause(owed),
            employee_number=number,
            user_name=user_name if isinstance(user_name, str) else None,
            field=line.type,
            wanted=wanted_by(owed)
            if isinstance(owed, CertificateToSend)
            else packed(winner.certificate if winner else None),
            acknowledged=packed(known.certificate) if known is not None and not known.is_withdrawn else None,
            person_id=candidate.record.person.id if candidate else None,
            revision=candidate.record.revision if candidate else None,
            listed=self._why_only_listed(owed, candidate),
        )

    def _why_only_listed(self, owed: CertificateToSend | Unsendable, candidate: Candidate | None) -> str | None:
        hands_off = candidate.record.person.hands_off if candidate else None
        if hands_off is not None and hands_off.lasts(self.today):
            return HANDS_OFF
        if isinstance(owed, Unsendable):
            return HELD.format(why=owed.why)
        return PARKED if owed.line.reason is not None else None

    def _lines(self, keys: Sequence[Key]) -> list[Line]:
        return self.s.ledger.lines_of(keys) if keys else []

    @property
    def _searches(self) -> CertificateSearches:
        return self.s.certificate_searches(self.tenant.certificates.missing_expiry)


def keep_slots_of(tenant: Tenant, batch: Sequence[Candidate]) -> frozenset[PersonId]:
    """Store slots again that were configured differently when their users were last read.

    Return the people who have a slot that can't be read today: another day it may be readable.
    """
    if not tenant.slots:
        return frozenset()
    unreadable: set[PersonId] = set()
    with tenant.read() as s:
        terms = tenant.certificate_terms(tenant.today(s.now))
        known = s.ledger.slots_of_many([each.record.person.id for each in batch])
    for candidate in batch:
        person = candidate.record.person
        if candidate.document is None or person.employee_number is None or candidate.record.due_since is not None:
            continue
        said = {each.type: each.said for each in slots_of(candidate.document, tenant.slots, terms)}
        has = {entry.certificate.type: entry.certificate for entry in known.get(person.id, [])}
        if any(isinstance(each, InvalidCertificate) for each in said.values()):
            unreadable.add(person.id)
        if any(not isinstance(each, InvalidCertificate) and has.get(kind) != each for kind, each in said.items()):
            tenant.transact(partial(_keep_slots, tenant, person.id))
    return frozenset(unreadable)


def _keep_slots(tenant: Tenant, person_id: PersonId, s: Session) -> None:
    if (record := s.people.get(person_id, lock=True)) is not None:
        SlotEntries(s, tenant).keep_stored(record.person, None)


def _cause(owed: CertificateToSend | Unsendable) -> Cause:
    """Return the cause: a setting changed if no source said anything since the acknowledgement (rule Q1)."""
    known, winner = owed.line.acknowledged, owed.line.winner
    is_as_before = (
        isinstance(owed, CertificateToSend)
        and known is not None
        and winner is not None
        and not (known.is_withdrawn or known.is_stale or owed.line.sending)
        and known.employee_number == owed.employee_number
        and winner.last_modified_at <= known.at
    )
    return Cause.mapping_changed if is_as_before else Cause.never_delivered


@dataclass(frozen=True, slots=True)
class CertificateApplying:
    """Send certificates of one tenant in this process."""

    tenant: Tenant
    run_id: str | None = None
    """The run of `reconcile` that sends them, if one does."""

    def apply(self, plan_id: str, items: Iterable[Drift], progress: Callable[[int], None]) -> None:
        """Send the certificates of these rows if they are still desired, and store the outcome of each row.

        :param progress: Called with the number of rows done.
        """
        done, rows = 0, iter(items)
        while some := list(islice(rows, BATCH)):
            self._apply(plan_id, {_key_of(item): item for item in some})
            done += len(some)
            progress(done)

    def assert_again(self, person_id: PersonId | None = None) -> int:
        """Send certificates again that Ditio acknowledged long ago: they can't be read back. Return how many.

        :param person_id: Only those of this person.
        """
        tenant = self.tenant
        with tenant.read() as s:
            moment = s.now - tenant.certificates.reassert_every

        def choose(line: Line, number: EmployeeNumber) -> CertificateToSend | None:
            wanted = wanted_of(line, number, tenant.certificates)
            is_old = line.acknowledged is not None and line.acknowledged.at <= moment
            is_there = isinstance(wanted, CertificateToSend) and not wanted.is_withdrawal and is_acknowledged(wanted)
            return wanted if isinstance(wanted, CertificateToSend) and is_old and is_there else None

        batches, after = Batches(self.tenant, choose, Gate(self.tenant).report_many, self.run_id), ("", "", "")
        while batches.halted is None:
            with tenant.read() as s:
                searches = s.certificate_searches(tenant.certificates.missing_expiry)
                keys = searches.acknowledged_before(moment, after, BATCH, only=person_id)
            if not keys:
                break
            after = (keys[-1][0].kind.value, keys[-1][0].value, keys[-1][1])
            _send(batches, keys)
        return sum(why is None for why in batches.outcomes.values())

    def _apply(self, plan_id: str, items: dict[Key, Drift]) -> None:
        tenant = self.tenant

        def choose(line: Line, number: EmployeeNumber) -> CertificateToSend | None:
            item = items[line.holder, line.type]
            owed = outstanding([line], number, tenant.certificates)
            is_same = (each for each in owed if isinstance(each, CertificateToSend) and wanted_by(each) == item.wanted)
            return next(is_same, None)

        batches = Batches(self.tenant, choose, Gate(self.tenant).report_many, self.run_id)
        _send(batches, list(items))
        outcomes = batches.outcomes
        settled = [(items[key].position or 0, why) for key, why in outcomes.items()]
        self.tenant.transact(lambda s: s.plan(plan_id).settle(settled))


def _send(batches: Batches, keys: list[Key]) -> None:
    people = [key for key in keys if key[0].kind is HolderKind.person]
    numbers = [key for key in keys if key[0].kind is HolderKind.number]
    if people:
        batches.send_of_people(people)
    if numbers:
        batches.send_unclaimed(numbers)


def _key_of(item: Drift) -> Key:
    kind = CertificateType(item.field or "")
    if item.person_id is not None:
        return Holder.of_person(item.person_id), kind
    return Holder.of_number(EmployeeNumber(item.employee_number or "")), kind
