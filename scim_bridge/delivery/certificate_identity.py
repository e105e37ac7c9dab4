"""Certificates of many go by employee number alone: whose number that is now is asked before they go (rule P5)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from scim_bridge.delivery.converge import Convergence
from scim_bridge.delivery.holders import is_anothers
from scim_bridge.delivery.tenant import wish_of_candidate
from scim_bridge.ditio.actual import employee_from_ditio
from scim_bridge.domain.certificate import Holder, Shipment
from scim_bridge.domain.employee import EmployeeNumber, FoundEmployee, Wish
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.errors import CredentialsRefused, PermanentError
from scim_bridge.plan.matching import is_still_ours
from scim_bridge.storage.candidates import candidates
from scim_bridge.storage.database import repeated
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.runs import Runs
from scim_bridge.storage.snapshot import Snapshot

FRESH = timedelta(minutes=15)
"""For how long after a run began the employees that it has read are believed to have their numbers still."""

STRANGER = "employee number {number} belongs to another person in Ditio now: nothing was sent, see `outbox list`"
NOT_SHOWN = "employee {number} is not found in Ditio now: nothing was sent, see `outbox list`"


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """Asks who has some employee numbers: the employees that a run has read, and Ditio where those do not settle it.

    :param run_id: The run that has read them; None where no run did.
    """

    convergence: Convergence
    run_id: str | None

    def strangers(self, shipments: Iterable[Shipment]) -> dict[Holder, str]:
        """Return people who do not have their number in Ditio now, and why; their own deliveries say what is wrong.

        What the run has read costs no call. Everybody else costs one.

        :raises DeliveryError: Ditio can't be read.
        """
        numbers = {
            person_id: each.employee_number
            for each in shipments
            if (person_id := each.line.holder.person_id) is not None
        }
        if not numbers:
            return {}
        found = {
            person.id: why
            for person, wish in self._unsettled(numbers)
            if (why := self._why_not(person, wish, numbers[person.id])) is not None
        }
        if found:
            repeated(lambda: self._mark_due(sorted(found)))
        return {Holder.of_person(person_id): why for person_id, why in found.items()}

    def _unsettled(self, numbers: Mapping[PersonId, EmployeeNumber]) -> list[tuple[Person, Wish]]:
        """Those whom the run has not read under their numbers, or has not recognised there."""
        tenant, run_id = self.convergence.tenant, self.run_id
        with self.convergence.database.read() as connection:
            now = self.convergence.database.now(connection)
            known = candidates(connection, tenant.name, run_id or "", sorted(numbers))
            run = Runs(connection, tenant.name).get(run_id) if run_id is not None else None
            shown: dict[str, FoundEmployee] = {}
            if run is not None and now - run.started_at <= FRESH:
                shown = Snapshot(connection, tenant.name, run.id).of(numbers.values())
        people = [(each.record.person, wish_of_candidate(each, tenant, tenant.today(now))) for each in known]
        return [
            (person, wish)
            for person, wish in people
            if (found := shown.get(numbers[person.id])) is None or not self._is_theirs(person, wish, found)
        ]

    def _is_theirs(self, person: Person, wish: Wish, found: FoundEmployee) -> bool:
        def has_phone_of_another() -> bool:
            with self.convergence.database.read() as connection:
                return is_anothers(connection, self.convergence.tenant.name, person, found)

        return is_still_ours(person, wish, found, has_phone_of_another)

    def _why_not(self, person: Person, wish: Wish, number: EmployeeNumber) -> str | None:
        try:
            answer = self.convergence.tenant.ditio.get(number)
        except PermanentError as error:
            return str(error)
        except CredentialsRefused as error:
            if error.status != 403:
                raise
            return str(error)  # Of this employee alone, perhaps: the person's own delivery finds that out (rule R2).
        if answer is None or answer.body is None:
            return NOT_SHOWN.format(number=number)
        rules = self.convergence.tenant.rules
        shown = employee_from_ditio(answer.body, region=rules.phone_region, zone=rules.zone)
        is_theirs = shown.employee_number == number and self._is_theirs(person, wish, shown)
        return None if is_theirs else STRANGER.format(number=number)

    def _mark_due(self, person_ids: list[PersonId]) -> None:
        with self.convergence.database.write() as connection:
            outbox = Outbox(connection, self.convergence.tenant.name, self.convergence.database.now(connection))
            for person_id in person_ids:
                outbox.mark_due(person_id)
