"""Certificates are sent in large batches: what a plan found outstanding, and what is due to be sent again (rule K3)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from scim_bridge.delivery.certificate_batches import BATCH, Batches
from scim_bridge.delivery.certificate_drift import wanted_by
from scim_bridge.delivery.converge import Convergence
from scim_bridge.domain.certificate import (
    CertificateType,
    Holder,
    HolderKind,
    Line,
    Shipment,
    is_acknowledged,
    outstanding,
    wanted_of,
)
from scim_bridge.domain.drift import Drift
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.certificate_queries import CertificateSearches, Key
from scim_bridge.storage.database import repeated
from scim_bridge.storage.plans import PlanItems


@dataclass(frozen=True, slots=True)
class CertificateApplying:
    """Sends certificates of one tenant in this process."""

    convergence: Convergence
    run_id: str | None = None
    """The run of `reconcile` that sends them, if one does."""

    def apply(self, plan_id: str, items: Iterable[Drift], progress: Callable[[int], None]) -> None:
        """Send what rows of a plan are about, as far as the same is wanted still; what became of each is stored.

        :param progress: Told how many rows are done.
        """
        done = 0
        for some in _batches(iter(items)):
            self._apply(plan_id, {_key_of(item): item for item in some})
            done += len(some)
            progress(done)

    def assert_again(self, person_id: PersonId | None = None) -> int:
        """Send again what was acknowledged too long ago to be believed: nobody can look. How many certificates.

        :param person_id: Of this person alone.
        """
        database, tenant = self.convergence.database, self.convergence.tenant
        with database.read() as connection:
            moment = database.now(connection) - tenant.certificates.reassert_every

        def choose(line: Line, number: EmployeeNumber) -> Shipment | None:
            wanted = wanted_of(line, number, tenant.certificates)
            is_old = line.acknowledged is not None and line.acknowledged.at <= moment
            is_there = isinstance(wanted, Shipment) and not wanted.is_withdrawal and is_acknowledged(wanted)
            return wanted if isinstance(wanted, Shipment) and is_old and is_there else None

        batches, after = Batches(self.convergence, choose, self.run_id), ("", "", "")
        while batches.halted is None:
            with database.read() as connection:
                searches = CertificateSearches(connection, tenant.name, tenant.certificates.missing_expiry)
                keys = searches.acknowledged_before(moment, after, BATCH, only=person_id)
            if not keys:
                break
            after = (keys[-1][0].kind.value, keys[-1][0].value, keys[-1][1])
            _send(batches, keys)
        return sum(why is None for why in batches.outcomes.values())

    def _apply(self, plan_id: str, items: dict[Key, Drift]) -> None:
        tenant = self.convergence.tenant

        def choose(line: Line, number: EmployeeNumber) -> Shipment | None:
            item = items[line.holder, line.type]
            owed = outstanding([line], number, tenant.certificates)
            is_same = (each for each in owed if isinstance(each, Shipment) and wanted_by(each) == item.wanted)
            return next(is_same, None)

        batches = Batches(self.convergence, choose, self.run_id)
        _send(batches, list(items))
        outcomes = batches.outcomes
        repeated(lambda: self._settle(plan_id, [(items[key].position or 0, why) for key, why in outcomes.items()]))

    def _settle(self, plan_id: str, outcomes: Sequence[tuple[int, str | None]]) -> None:
        database = self.convergence.database
        with database.write() as connection:
            PlanItems(connection, self.convergence.tenant.name, plan_id).settle(outcomes, database.now(connection))


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


def _batches(items: Iterator[Drift]) -> Iterator[list[Drift]]:
    while batch := list(islice(items, BATCH)):
        yield batch
